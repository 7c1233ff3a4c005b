/* Nodes from colours, and the network whose ranks are threads. */
#include <pthread.h>

#include "check.h"
#include "net/net.h"
#include "net_cases.h"

/* ---- nodes ----------------------------------------------------------------------------------- */

static int same(const int *a, const int *b, int n)
{
    return memcmp(a, b, (size_t)n * sizeof(*a)) == 0;
}

static void nodes_are_numbered_by_their_lowest_rank(void)
{
    const int colour[] = {40, -3, 40, 7, -3, 40};
    const int node_of[] = {0, 1, 0, 2, 1, 0}, local[] = {0, 0, 1, 0, 1, 2}, sizes[] = {3, 2, 1};
    const int ranks[] = {0, 2, 5, 1, 4, 3}, firsts[] = {0, 3, 5};
    struct net net = {.rank = 4, .size = 6};
    CHECK(ronde__net_set_nodes(&net, colour) == RONDE_OK);
    CHECK(net.nodes == 3 && net.node == 1 && net.local_rank == 1 && net.local_size == 2);
    CHECK(same(net.node_of, node_of, 6) && same(net.local_rank_of, local, 6));
    CHECK(same(net.local_size_of, sizes, 3) && same(net.first_of_node, firsts, 3));
    CHECK(same(net.ranks_of_nodes, ranks, 6));
    for (int rank = 0; rank < 6; rank++)
        CHECK(ronde__net_rank_at(&net, net.node_of[rank], net.local_rank_of[rank]) == rank);
    ronde__net_free_nodes(&net);
    CHECK(!net.node_of && !net.first_of_node);
}

static void one_rank_is_one_node(void)
{
    const int colour = 5;
    struct net net = {.size = 1};
    CHECK(ronde__net_set_nodes(&net, &colour) == RONDE_OK);
    CHECK(net.nodes == 1 && net.node == 0 && net.local_rank == 0 && net.local_size == 1);
    ronde__net_free_nodes(&net);
}

static void hosts_are_cut_into_runs_of_ranks(void)
{
    static const struct {
        size_t ranks_per_node;
        int colour[7], cut[7];
    } rows[] = {
        {0, {0, 0, 0, 0, 4, 4, 4}, {0, 0, 0, 0, 4, 4, 4}},
        {1, {0, 0, 0, 0, 4, 4, 4}, {0, 1, 2, 3, 4, 5, 6}},
        {2, {0, 0, 0, 0, 4, 4, 4}, {0, 0, 2, 2, 4, 4, 6}},
        {3, {0, 0, 0, 0, 4, 4, 4}, {0, 0, 0, 3, 4, 4, 4}},
        {2, {0, 1, 0, 1, 0, 1, 0}, {0, 1, 0, 1, 4, 5, 4}}, /* hosts taking turns */
        {SIZE_MAX, {0, 0, 0, 0, 4, 4, 4}, {0, 0, 0, 0, 4, 4, 4}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int colour[7];
        memcpy(colour, rows[i].colour, sizeof(colour));
        ronde__net_split_nodes(7, rows[i].ranks_per_node, colour);
        CHECK_SAYING(same(colour, rows[i].cut, 7), "row %zu", i);
    }
}

/* ---- ranks as threads ------------------------------------------------------------------------ */

enum { MOST = 8 };

static void *every_case(void *net)
{
    net_runs_every_case(net);
    ronde__net_close(net);
    return NULL;
}

static void threads_do_what_every_network_must(void)
{
    for (int size = 1; size <= MOST; size += 1 + (size > 4)) {
        struct net *nets[MOST];
        pthread_t threads[MOST];
        const int node_of[MOST] = {0, 0, 1, 1, 1, 2, 2, 2};
        CHECK(ronde__net_open_threads(size, node_of, nets) == RONDE_OK);
        for (int rank = 0; rank < size; rank++) {
            CHECK(nets[rank]->rank == rank && nets[rank]->size == size);
            CHECK(nets[rank]->node == node_of[rank] && nets[rank]->one_process);
            CHECK(pthread_create(&threads[rank], NULL, every_case, nets[rank]) == 0);
        }
        for (int rank = 0; rank < size; rank++)
            pthread_join(threads[rank], NULL);
    }
}

/* The same rank's network from two threads: one sends data, the other control messages. */
static void *posts(void *net)
{
    for (int i = 0; i < 500; i++)
        if (ronde__net_post(net, 1, &i, sizeof(i)) != RONDE_OK)
            return NULL;
    return net;
}

static void two_threads_share_a_rank(void)
{
    struct net *nets[2];
    const int node_of[2] = {0, 1};
    pthread_t thread;
    void *posted = NULL;
    CHECK(ronde__net_open_threads(2, node_of, nets) == RONDE_OK);
    CHECK(pthread_create(&thread, NULL, posts, nets[0]) == 0);
    for (int i = 0; i < 500; i++) {
        struct net_request requests[2];
        unsigned char out[200], in[200];
        net_fill(out, sizeof(out), 0, i);
        CHECK(!ronde__net_send(nets[0], out, sizeof(out), 1, 5, &requests[0]));
        CHECK(!ronde__net_recv(nets[1], in, sizeof(in), 0, 5, &requests[1]));
        CHECK(!net_finish(nets[1], &requests[1], 1) && !net_finish(nets[0], &requests[0], 1));
        CHECK(net_is_filled(in, sizeof(in), 0, i));
    }
    for (int i = 0; i < 500; i++) {
        void *message;
        size_t bytes;
        int from;
        CHECK(!net_next(nets[1], &from, &message, &bytes) && *(int *)message == i);
        free(message);
    }
    pthread_join(thread, &posted);
    CHECK(posted == nets[0]);
    ronde__net_close(nets[0]);
    ronde__net_close(nets[1]);
}

/* A schedule may not count on its message being buffered: nothing of a long one is done before its
 * receive, and the memory is the network's until then. */
static void long_sends_wait_for_their_receive(void)
{
    struct net *nets[2];
    const int node_of[2] = {0, 0};
    unsigned char out[1000] = {0}, in[1000];
    struct net_request send, receive;
    int done = 1;
    CHECK(ronde__net_open_threads(2, node_of, nets) == RONDE_OK);
    CHECK(!ronde__net_send(nets[0], out, sizeof(out), 1, 0, &send));
    CHECK(!ronde__net_test(nets[0], &send, &done) && !done);
    net_fill(out, sizeof(out), 0, 0);
    CHECK(!ronde__net_recv(nets[1], in, sizeof(in), 0, 0, &receive));
    CHECK(!receive.state && net_is_filled(in, sizeof(in), 0, 0));
    CHECK(!ronde__net_test(nets[0], &send, &done) && done && !send.state);
    ronde__net_close(nets[1]);
    ronde__net_close(nets[0]);
}

static void closing_frees_what_nobody_took(void)
{
    struct net *nets[2];
    const int node_of[2] = {0, 0};
    struct net_request request;
    CHECK(ronde__net_open_threads(2, node_of, nets) == RONDE_OK);
    CHECK(!ronde__net_send(nets[0], "x", 1, 1, 0, &request) && !request.state);
    CHECK(!ronde__net_post(nets[0], 1, "hello", 6) && !ronde__net_post(nets[1], 1, NULL, 0));
    ronde__net_close(nets[0]);
    ronde__net_close(nets[1]);
    ronde__net_close(NULL);
}

int main(void)
{
    RUN(nodes_are_numbered_by_their_lowest_rank);
    RUN(one_rank_is_one_node);
    RUN(hosts_are_cut_into_runs_of_ranks);
    RUN(threads_do_what_every_network_must);
    RUN(two_threads_share_a_rank);
    RUN(long_sends_wait_for_their_receive);
    RUN(closing_frees_what_nobody_took);
    return check_result();
}
