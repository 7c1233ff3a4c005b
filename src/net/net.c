/* What the two networks share: the way into their table, the counters, and which rank is where. */
#include "net/net.h"

#include <assert.h>
#include <stdlib.h>

#include "base/status.h"

enum { LAST_TAG = 4095 };

static void count_message(struct net *net, size_t bytes)
{
    atomic_fetch_add_explicit(&net->messages_sent, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&net->bytes_sent, bytes, memory_order_relaxed);
}

int32_t ronde__net_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                        struct net_request *request)
{
    assert(tag >= 0 && tag <= LAST_TAG);
    request->state = NULL;
    int32_t status = net->operations->send(net, data, bytes, peer, tag, request);
    if (status == RONDE_OK)
        count_message(net, bytes);
    return status;
}

int32_t ronde__net_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                        struct net_request *request)
{
    assert(tag >= 0 && tag <= LAST_TAG);
    request->state = NULL;
    return net->operations->recv(net, data, bytes, peer, tag, request);
}

int32_t ronde__net_test(struct net *net, struct net_request *request, int *done)
{
    if (!request->state) {
        *done = 1;
        return RONDE_OK;
    }
    return net->operations->test(net, request, done);
}

int32_t ronde__net_post(struct net *net, int peer, const void *message, size_t bytes)
{
    int32_t status = net->operations->post(net, peer, message, bytes);
    if (status == RONDE_OK)
        count_message(net, bytes);
    return status;
}

int32_t ronde__net_poll(struct net *net, int *from, void **message, size_t *bytes)
{
    return net->operations->poll(net, from, message, bytes);
}

int32_t ronde__net_ranks_of(struct net *net, int32_t fortran_communicator, int **ranks, int *n)
{
    if (!net->operations->ranks_of)
        return ronde__fail(RONDE_ERR_ARGUMENT, "ranks that are threads have no communicators");
    return net->operations->ranks_of(net, fortran_communicator, ranks, n);
}

int32_t ronde__net_allgather(struct net *net, const void *mine, size_t bytes, void *all)
{
    return net->operations->allgather(net, mine, bytes, all);
}

void ronde__net_close(struct net *net)
{
    if (net)
        net->operations->close(net);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* The node whose first rank has this colour, or -1. Searched from the last node: ranks of a node
 * are mostly neighbours. firsts[node] is that node's first rank. */
static int find_node(const int *colour, const int *firsts, int nodes, int wanted)
{
    int node = nodes - 1;
    while (node >= 0 && colour[firsts[node]] != wanted)
        node--;
    return node;
}

/* Numbers the nodes by their lowest rank; first_of_node serves as find_node's firsts. */
static void number_ranks(struct net *net, const int *colour)
{
    for (int rank = 0; rank < net->size; rank++) {
        int node = find_node(colour, net->first_of_node, net->nodes, colour[rank]);
        if (node < 0) {
            node = net->nodes++;
            net->first_of_node[node] = rank;
        }
        net->node_of[rank] = node;
        net->local_rank_of[rank] = net->local_size_of[node]++;
    }
}

static void list_ranks(struct net *net)
{
    for (int node = 0, first = 0; node < net->nodes; node++) {
        net->first_of_node[node] = first;
        first += net->local_size_of[node];
    }
    for (int rank = 0; rank < net->size; rank++) {
        int at = net->first_of_node[net->node_of[rank]] + net->local_rank_of[rank];
        net->ranks_of_nodes[at] = rank;
    }
}

int32_t ronde__net_set_nodes(struct net *net, const int *colour)
{
    size_t size = (size_t)net->size;
    int *table = calloc(5 * size, sizeof(*table)); /* one block, known by its first array */
    if (!table)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the nodes of %d ranks", net->size);
    net->nodes = 0;
    net->node_of = table;
    net->local_rank_of = table + size;
    net->local_size_of = table + 2 * size;
    net->ranks_of_nodes = table + 3 * size;
    net->first_of_node = table + 4 * size;
    number_ranks(net, colour);
    list_ranks(net);
    net->node = net->node_of[net->rank];
    net->local_rank = net->local_rank_of[net->rank];
    net->local_size = net->local_size_of[net->node];
    return RONDE_OK;
}

void ronde__net_free_nodes(struct net *net)
{
    free(net->node_of);
    net->node_of = net->local_rank_of = net->local_size_of = NULL;
    net->ranks_of_nodes = net->first_of_node = NULL;
}

/* From the highest rank down, so that the lower ranks, which are counted to find a rank's index on
 * its host, still have their host's colour. Needs no memory; cost: ranks x ranks of a host where
 * these are neighbours. */
void ronde__net_split_nodes(int size, size_t ranks_per_node, int *colour)
{
    if (!ranks_per_node)
        return;
    for (int rank = size - 1; rank >= 0; rank--) {
        size_t index = 0;
        for (int lower = rank - 1; lower >= colour[rank]; lower--)
            index += colour[lower] == colour[rank];
        int first = rank;
        for (size_t back = index % ranks_per_node; back > 0; back -= colour[first] == colour[rank])
            first--;
        colour[rank] = first;
    }
}

int32_t ronde__net_check_thread(struct net *net)
{
    return net->operations->check_thread ? net->operations->check_thread(net) : RONDE_OK;
}
