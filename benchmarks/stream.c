/* ronde-stream: what a plain TCP stream each way attains between two hosts, the yardstick of
 * collectives between nodes. See --help. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20, TRIES = 100 };
static const double START_SECONDS = 0.5; /* until the windows of both streams are open */

static char chunk[CHUNK_BYTES];

static void die(const char *what)
{
    fprintf(stderr, "ronde-stream: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int listen_at(const struct sockaddr_in *address)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(listener, (const struct sockaddr *)address, sizeof *address) || listen(listener, 1))
        die("listening");
    int peer = accept(listener, NULL, NULL);
    if (peer < 0)
        die("accepting");
    close(listener);
    return peer;
}

/* The other side may not be there yet. */
static int connect_to(const struct sockaddr_in *address)
{
    const struct timespec nap = {.tv_nsec = 50000000};
    for (int tries = 0; tries < TRIES; tries++) {
        int peer = socket(AF_INET, SOCK_STREAM, 0);
        if (peer >= 0 && !connect(peer, (const struct sockaddr *)address, sizeof *address))
            return peer;
        if (peer >= 0)
            close(peer);
        nanosleep(&nap, NULL);
    }
    die("connecting");
    return -1;
}

/* Sends and receives what goes without waiting. Returns the bytes received, -1 at the end. */
static ssize_t turn(int peer)
{
    struct pollfd poll_peer = {.fd = peer, .events = POLLIN | POLLOUT};
    if (poll(&poll_peer, 1, 1000) < 0)
        die("waiting");
    if (poll_peer.revents & POLLOUT &&
        send(peer, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        return -1;
    if (!(poll_peer.revents & POLLIN))
        return 0;
    static char into[CHUNK_BYTES];
    ssize_t bytes = recv(peer, into, sizeof into, MSG_DONTWAIT);
    return bytes > 0 ? bytes : bytes < 0 && errno == EAGAIN ? 0 : -1;
}

/* Bytes per second received, between two receives, while the other direction is as busy. */
static double measure(int peer, double seconds)
{
    double begin = now(), from = 0, to = 0, received = 0;
    for (double at = begin; at < begin + START_SECONDS + seconds; at = now()) {
        ssize_t bytes = turn(peer);
        if (bytes < 0)
            break;
        if (!bytes || at < begin + START_SECONDS)
            continue;
        if (from > 0)
            received += (double)bytes;
        to = now();
        from = from > 0 ? from : to;
    }
    return to > from ? received / (to - from) : 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int listens = argc == 5 && !strcmp(argv[1], "listen");
    int connects = argc == 5 && !strcmp(argv[1], "connect");
    int is_address = argc == 5 && inet_pton(AF_INET, argv[2], &address.sin_addr) == 1;
    int port = argc == 5 ? atoi(argv[3]) : 0;
    double seconds = argc == 5 ? atof(argv[4]) : 0;
    if ((!listens && !connects) || !is_address || port < 1 || port > 65535 || !(seconds > 0)) {
        printf("ronde-stream listen|connect ADDRESS PORT SECONDS\n"
               "One side listens at an IPv4 address, the other connects to it. Both send as fast\n"
               "as TCP takes it, and print the bytes per second that they receive.\n");
        return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
    }
    address.sin_port = htons((uint16_t)port);
    int peer = listens ? listen_at(&address) : connect_to(&address);
    printf("%.0f\n", measure(peer, seconds));
    close(peer);
    return 0;
}
