/* Broadcast and allgather.
 *
 * Broadcast: on the root's node the root carries, on the others the first local rank. The carriers
 * run a binomial tree, straight from and into the users' memory; then each spreads inside its node.
 *
 * Allgather: inside each node everybody gets the node's own runs, in place in its output; the first
 * local ranks pass the nodes' runs round a ring; then each spreads the other nodes' runs inside. */
#include <stdlib.h>

#include "base/status.h"
#include "coordinator/communicator_stages.h"

static int32_t run_node(struct communicator *c)
{
    return ronde__communicator_run_node(c, NULL);
}

static int32_t spread(struct communicator *c, int32_t pieces, size_t bytes, int root)
{
    struct node_work work = {.pieces = c->pieces,
                             .piece_count = pieces,
                             .count = bytes,
                             .element_bytes = 1,
                             .root = root};
    c->on_wire = 0;
    if (!bytes)
        return RONDE__DONE;
    ronde__node_start_broadcast(&c->node, &work);
    c->stage = run_node;
    return RONDE__MOVED;
}

/* ---- broadcast ------------------------------------------------------------------------------- */

static int32_t spread_broadcast(struct communicator *c)
{
    return spread(c, 1, c->pieces[0].count, c->net->local_rank_of[c->carriers[c->net->node]]);
}

static int32_t run_tree(struct communicator *c)
{
    int32_t said = ronde__executor_step(c->once);
    if (said != RONDE__DONE)
        return said;
    ronde__executor_close(c->once);
    free(c->once_schedule);
    c->once = NULL;
    c->once_schedule = NULL;
    return spread_broadcast(c);
}

static int32_t begin_tree(struct communicator *c, int root)
{
    struct net *net = c->net;
    c->once_schedule = ronde__schedule(ALGORITHM_BINOMIAL, net->nodes, net->node,
                                       net->node_of[root]);
    if (!c->once_schedule)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a schedule of %d nodes", net->nodes);
    c->first_range[0] = 0;
    c->first_range[1] = 1;
    c->ranges[0] = (struct block_range){0, c->pieces[0].count};
    /* The root only sends, so its input stays as it is. */
    void *data = net->rank == root ? (void *)(uintptr_t)c->pieces[0].in : c->pieces[0].out;
    c->on_wire = 1;
    c->stage = run_tree;
    return ronde__executor_open(&c->once, net, c->once_schedule, c->carriers, c->tag, data, 1,
                                &c->map, NULL);
}

int32_t ronde__communicator_start_broadcast(struct communicator *c, const void *in, void *out,
                                            size_t bytes, int root)
{
    struct net *net = c->net;
    int32_t status = ronde__communicator_room(c, 1);
    if (status)
        return status;
    c->pieces[0] = (struct piece){net->rank == root ? in : out, out, bytes};
    for (int node = 0; node < net->nodes; node++)
        c->carriers[node] = node == net->node_of[root] ? root : ronde__net_rank_at(net, node, 0);
    if (net->nodes > 1 && net->rank == c->carriers[net->node])
        return begin_tree(c, root);
    spread_broadcast(c);
    return RONDE_OK;
}

/* ---- allgather ------------------------------------------------------------------------------- */

/* The other nodes' runs, as a list for the node's broadcast. */
static int32_t spread_others(struct communicator *c)
{
    struct net *net = c->net;
    int32_t n = 0;
    size_t bytes = 0;
    for (int rank = 0; rank < net->size; rank++)
        if (net->node_of[rank] != net->node && c->pieces[net->local_size + rank].count) {
            c->pieces[n] = c->pieces[net->local_size + rank]; /* n <= rank: read before written */
            bytes += c->pieces[n++].count;
        }
    return spread(c, n, bytes, 0);
}

static int32_t run_ring(struct communicator *c)
{
    int32_t said = ronde__executor_step(c->lanes_by_algorithm[ALGORITHM_RING_GATHER].executor);
    return said == RONDE__DONE ? spread_others(c) : said;
}

/* Block b: the runs of node b's ranks, wherever they lie in the output. */
static int32_t begin_ring(struct communicator *c)
{
    struct net *net = c->net;
    if (net->nodes == 1)
        return RONDE__DONE;
    if (net->local_rank != 0)
        return spread_others(c);
    const struct piece *runs = &c->pieces[net->local_size];
    int32_t range = 0;
    for (int node = 0; node < net->nodes; node++) {
        c->first_range[node] = range;
        c->carriers[node] = ronde__net_rank_at(net, node, 0);
        for (int local = 0; local < net->local_size_of[node]; local++) {
            const struct piece *run = &runs[ronde__net_rank_at(net, node, local)];
            c->ranges[range++] = (struct block_range){(size_t)(run->out - runs[0].out), run->count};
        }
    }
    c->first_range[net->nodes] = range;
    c->on_wire = 1;
    c->stage = run_ring;
    int32_t status = ronde__communicator_lane(c, ALGORITHM_RING_GATHER, runs[0].out, c->carriers,
                                              NULL);
    return status ? status : RONDE__MOVED;
}

static int32_t run_gather(struct communicator *c)
{
    return ronde__communicator_run_node(c, begin_ring);
}

/* pieces: first this node's runs by local rank, then all ranks' runs by rank. */
int32_t ronde__communicator_start_gather(struct communicator *c, const void *in, void *out,
                                         const size_t *bytes_of)
{
    struct net *net = c->net;
    int32_t status = ronde__communicator_room(c, (size_t)(net->local_size + net->size));
    if (status)
        return status;
    char *at = out;
    struct piece *runs = &c->pieces[net->local_size];
    for (int rank = 0; rank < net->size; rank++) {
        runs[rank] = (struct piece){at, at, bytes_of[rank]};
        at += bytes_of[rank];
    }
    for (int local = 0; local < net->local_size; local++)
        c->pieces[local] = runs[ronde__net_rank_at(net, net->node, local)];
    c->pieces[net->local_rank].in = in;
    c->element_bytes = 1;
    struct node_work work = {.pieces = c->pieces,
                             .piece_count = net->local_size,
                             .element_bytes = 1};
    ronde__node_start_gather(&c->node, &work);
    c->stage = run_gather;
    return RONDE_OK;
}
