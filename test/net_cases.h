/* What every network must do, run by each rank of either implementation (unit_net.c, mpi_net.c).
 * Cases use all ranks at once and leave nothing on its way. */
#ifndef RONDE_TEST_NET_CASES_H
#define RONDE_TEST_NET_CASES_H

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "net/net.h"
#include "ronde.h"

/* Bytes that tell sender, tag and index apart; 251 is prime. */
static inline unsigned char net_byte(int from, int tag, size_t index)
{
    return (unsigned char)((index + 7u * (unsigned)from + 31u * (unsigned)tag) % 251);
}

static inline void net_fill(unsigned char *data, size_t bytes, int from, int tag)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = net_byte(from, tag, i);
}

static inline int net_is_filled(const unsigned char *data, size_t bytes, int from, int tag)
{
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != net_byte(from, tag, i))
            return 0;
    return 1;
}

/* Tests until all are done; the first error, if any. */
static inline int32_t net_finish(struct net *net, struct net_request *requests, int n)
{
    int32_t status = RONDE_OK;
    for (int i = 0; i < n; i++)
        for (int done = 0; !done; sched_yield()) {
            int32_t one = ronde__net_test(net, &requests[i], &done);
            status = status == RONDE_OK ? one : status;
        }
    return status;
}

/* The next control message, waited for. */
static inline int32_t net_next(struct net *net, int *from, void **message, size_t *bytes)
{
    for (;;) {
        int32_t status = ronde__net_poll(net, from, message, bytes);
        if (status != RONDE_OK || *message)
            return status;
        sched_yield();
    }
}

static inline void net_barrier(struct net *net)
{
    char mine = 0, *all = malloc((size_t)net->size);
    if (all)
        ronde__net_allgather(net, &mine, 1, all);
    free(all);
}

/* Every rank to every rank, itself included. */
static inline void net_every_rank_reaches_every_rank(struct net *net, size_t bytes)
{
    size_t size = (size_t)net->size;
    unsigned char *out = malloc(bytes + 1), *in = malloc(size * (bytes + 1));
    struct net_request *requests = calloc(2 * size, sizeof(*requests));
    CHECK(out && in && requests);
    net_fill(out, bytes, net->rank, 3);
    memset(in, 0xAA, size * (bytes + 1));
    for (int peer = 0; peer < net->size; peer++) {
        unsigned char *place = in + (size_t)peer * (bytes + 1);
        CHECK(ronde__net_recv(net, place, bytes, peer, 3, &requests[2 * peer]) == RONDE_OK);
        CHECK(ronde__net_send(net, out, bytes, peer, 3, &requests[2 * peer + 1]) == RONDE_OK);
    }
    CHECK(net_finish(net, requests, 2 * net->size) == RONDE_OK);
    for (int peer = 0; peer < net->size; peer++) {
        unsigned char *place = in + (size_t)peer * (bytes + 1);
        CHECK_SAYING(net_is_filled(place, bytes, peer, 3), "%zu bytes of rank %d", bytes, peer);
        CHECK_SAYING(place[bytes] == 0xAA, "rank %d wrote past %zu bytes", peer, bytes);
        CHECK(!requests[2 * peer].state && !requests[2 * peer + 1].state);
    }
    free(requests);
    free(in);
    free(out);
}

enum { NET_RUN = 20, NET_LARGEST = 40000 };

/* Sizes on both sides of what implementations send at once. */
static inline size_t net_size_of(int i)
{
    return i % 4 == 3 ? NET_LARGEST : (size_t)(i * 37);
}

/* To the right neighbour two streams of messages, told apart by tag; the receives of the later tag
 * are started first. */
static inline void net_messages_match_by_tag_in_order(struct net *net)
{
    int right = (net->rank + 1) % net->size, left = (net->rank + net->size - 1) % net->size;
    unsigned char *out = malloc(2 * NET_RUN * NET_LARGEST), *in = calloc(2 * NET_RUN, NET_LARGEST);
    struct net_request sends[2 * NET_RUN], receives[2 * NET_RUN];
    CHECK(out && in);
    for (int i = 0; i < 2 * NET_RUN; i++) {
        unsigned char *place = out + (size_t)i * NET_LARGEST;
        net_fill(place, net_size_of(i), net->rank, i);
        CHECK(!ronde__net_send(net, place, net_size_of(i), right, 4094 + i % 2, &sends[i]));
    }
    for (int tag = 1; tag >= 0; tag--)
        for (int i = tag; i < 2 * NET_RUN; i += 2)
            CHECK(!ronde__net_recv(net, in + (size_t)i * NET_LARGEST, net_size_of(i), left,
                                   4094 + tag, &receives[i]));
    CHECK(net_finish(net, receives, 2 * NET_RUN) == RONDE_OK);
    CHECK(net_finish(net, sends, 2 * NET_RUN) == RONDE_OK);
    for (int i = 0; i < 2 * NET_RUN; i++)
        CHECK_SAYING(net_is_filled(in + (size_t)i * NET_LARGEST, net_size_of(i), left, i),
                     "message %d of %d bytes", i, (int)net_size_of(i));
    free(in);
    free(out);
}

static inline void net_wrong_lengths_are_errors_that_name_both(struct net *net)
{
    int right = (net->rank + 1) % net->size, left = (net->rank + net->size - 1) % net->size;
    char out[4] = "abc", in[8] = "";
    struct net_request send, receive;
    CHECK(!ronde__net_send(net, out, 4, right, 1, &send));
    int32_t status = ronde__net_recv(net, in, 8, left, 1, &receive);
    status = status ? status : net_finish(net, &receive, 1);
    CHECK_SAYING(status == RONDE_ERR_MPI, "status %d", (int)status);
    CHECK_SAYING(strstr(ronde_last_error(), "sent 4 bytes with tag 1 where 8"), "%s",
                 ronde_last_error());
    CHECK(net_finish(net, &send, 1) == RONDE_OK);
}

/* Each rank posts to all, itself included: a number, then a long message, then none at all. */
static inline void net_control_messages_keep_their_order(struct net *net)
{
    enum { KINDS = 4 };
    static const size_t sizes[KINDS] = {sizeof(int), 300000, 0, 1024};
    unsigned char *out = malloc(300000);
    int *seen = calloc((size_t)net->size, sizeof(*seen));
    CHECK(out && seen);
    for (int kind = 0; kind < KINDS; kind++) {
        net_fill(out, sizes[kind], net->rank, kind);
        for (int peer = 0; peer < net->size; peer++)
            CHECK(ronde__net_post(net, peer, out, sizes[kind]) == RONDE_OK);
    }
    for (int i = 0; i < KINDS * net->size; i++) {
        void *message = NULL;
        size_t bytes = 0;
        int from = -1;
        CHECK_SAYING(!net_next(net, &from, &message, &bytes), "%s", ronde_last_error());
        CHECK(from >= 0 && from < net->size && seen[from] < KINDS);
        CHECK_SAYING(bytes == sizes[seen[from]], "rank %d, message %d: %zu bytes", from, seen[from],
                     bytes);
        CHECK(net_is_filled(message, bytes, from, seen[from]));
        seen[from]++;
        free(message);
    }
    free(seen);
    free(out);
}

static inline void net_polling_finds_nothing_where_nothing_was_posted(struct net *net)
{
    void *message = net;
    size_t bytes = 1;
    int from = -7;
    net_barrier(net);
    for (int i = 0; i < 50; i++) {
        CHECK(ronde__net_poll(net, &from, &message, &bytes) == RONDE_OK);
        CHECK(!message && from == -7);
    }
    net_barrier(net);
}

static inline void net_allgather_is_in_rank_order(struct net *net)
{
    for (size_t bytes = 0; bytes < 9000; bytes = bytes * 3 + 1) {
        unsigned char *mine = malloc(bytes + 1), *all = malloc((size_t)net->size * bytes + 1);
        CHECK(mine && all);
        net_fill(mine, bytes, net->rank, 9);
        CHECK(ronde__net_allgather(net, mine, bytes, all) == RONDE_OK);
        for (int rank = 0; rank < net->size; rank++)
            CHECK(net_is_filled(all + (size_t)rank * bytes, bytes, rank, 9));
        free(all);
        free(mine);
    }
}

static inline void net_counters_count_data_and_control(struct net *net)
{
    uint64_t messages = atomic_load(&net->messages_sent), bytes = atomic_load(&net->bytes_sent);
    int right = (net->rank + 1) % net->size, left = (net->rank + net->size - 1) % net->size;
    char out[100] = "", in[100];
    struct net_request requests[2];
    void *message = NULL;
    size_t length = 0;
    int from;
    net_barrier(net); /* not counted */
    CHECK(!ronde__net_send(net, out, 100, right, 0, &requests[0]));
    CHECK(!ronde__net_recv(net, in, 100, left, 0, &requests[1]));
    CHECK(!net_finish(net, requests, 2));
    CHECK(!ronde__net_post(net, right, out, 7));
    CHECK(!net_next(net, &from, &message, &length) && from == left && length == 7);
    free(message);
    CHECK(atomic_load(&net->messages_sent) - messages == 2);
    CHECK(atomic_load(&net->bytes_sent) - bytes == 107);
}

static inline void net_runs_every_case(struct net *net)
{
    static const size_t sizes[] = {0, 1, 127, 128, 129, 4096, 70001, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        net_every_rank_reaches_every_rank(net, sizes[i]);
    net_messages_match_by_tag_in_order(net);
    net_wrong_lengths_are_errors_that_name_both(net);
    net_control_messages_keep_their_order(net);
    net_polling_finds_nothing_where_nothing_was_posted(net);
    net_allgather_is_in_rank_order(net);
    net_counters_count_data_and_control(net);
}

#endif
