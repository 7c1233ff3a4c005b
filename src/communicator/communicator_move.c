/* Broadcast and allgather.
 *
 * Broadcast: on the root's node the root carries, on the others the first local rank. The carriers
 * run one binomial tree for all pieces, straight from and into the users' memory; then each spreads
 * inside its node.
 *
 * Allgather: inside each node everybody gets the node's own runs, in place in its output; the first
 * local ranks pass the nodes' runs round a ring; then each spreads the other nodes' runs inside. */
#include <stdlib.h>

#include "base/status.h"
#include "communicator/communicator_stages.h"

/* Of c->pieces, to everybody's `out`. */
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
    c->stage = ronde__communicator_run_last;
    return RONDE__MOVED;
}

static size_t total_bytes(const struct piece *pieces, int32_t n)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < n; i++)
        bytes += pieces[i].count;
    return bytes;
}

/* ---- broadcast ------------------------------------------------------------------------------- */

static int32_t spread_broadcast(struct communicator *c)
{
    return spread(c, c->piece_count, total_bytes(c->pieces, c->piece_count),
                  c->net->local_rank_of[c->carriers[c->net->node]]);
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

/* The one block of the tree is all pieces, each a range. Ranges have offsets in one memory: all
 * that begins with the piece that lies lowest. On the root, `in` and what it only sends. */
static char *lay_out_tree(struct communicator *c)
{
    uintptr_t lowest = UINTPTR_MAX;
    for (int32_t i = 0; i < c->piece_count; i++)
        if (c->pieces[i].count && (uintptr_t)c->pieces[i].in < lowest)
            lowest = (uintptr_t)c->pieces[i].in;
    for (int32_t i = 0; i < c->piece_count; i++) {
        const struct piece *piece = &c->pieces[i];
        size_t offset = piece->count ? (uintptr_t)piece->in - lowest : 0;
        c->ranges[i] = (struct block_range){offset, piece->count};
    }
    c->first_range[0] = 0;
    c->first_range[1] = c->piece_count;
    return (char *)lowest;
}

static int32_t begin_tree(struct communicator *c, int root)
{
    struct net *net = c->net;
    int32_t status = ronde__communicator_room_for_ranges(c, (size_t)c->piece_count);
    if (status)
        return status;
    c->once_schedule = ronde__schedule(ALGORITHM_BINOMIAL, net->nodes, net->node,
                                       net->node_of[root]);
    if (!c->once_schedule)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a schedule of %d nodes", net->nodes);
    c->on_wire = 1;
    c->stage = run_tree;
    status = ronde__executor_open(&c->once, net, c->once_schedule, c->carriers, c->tag,
                                  lay_out_tree(c), 1, &c->map, NULL);
    if (!status)
        ronde__executor_trace(c->once, &c->trace);
    return status;
}

int32_t ronde__communicator_start_broadcast(struct communicator *c, const struct piece *tensors,
                                            int32_t n, int root)
{
    struct net *net = c->net;
    size_t bytes = total_bytes(tensors, n);
    if (!bytes)
        return ronde__communicator_start_nothing(c);
    int32_t status = ronde__communicator_room(c, (size_t)n);
    if (status)
        return status;
    ronde__communicator_phase(c, TIMELINE_EXCHANGE, "broadcast", bytes);
    c->piece_count = n;
    for (int32_t i = 0; i < n; i++) {
        const struct piece *tensor = &tensors[i];
        c->pieces[i] = (struct piece){.in = net->rank == root ? tensor->in : tensor->out,
                                      .out = tensor->out,
                                      .count = tensor->count};
    }
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
    for (int rank = 0; rank < net->size; rank++)
        if (net->node_of[rank] != net->node && c->pieces[1 + rank].count)
            c->pieces[n++] = c->pieces[1 + rank]; /* n <= rank: read before written */
    return spread(c, n, total_bytes(c->pieces, n), 0);
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
    const struct piece *runs = &c->pieces[1];
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
    int32_t status = ronde__communicator_lane(c, ALGORITHM_RING_GATHER, runs[0].out, &c->map,
                                              c->carriers, NULL);
    return status ? status : RONDE__MOVED;
}

static int32_t run_gather(struct communicator *c)
{
    return ronde__communicator_run_node(c, begin_ring);
}

/* pieces: this rank's run as it comes, then all ranks' runs where they go. */
int32_t ronde__communicator_start_gather(struct communicator *c, const void *in, void *out,
                                         const size_t *bytes_of)
{
    struct net *net = c->net;
    int32_t status = ronde__communicator_room(c, 1 + (size_t)net->size);
    if (status)
        return status;
    struct piece *runs = &c->pieces[1];
    size_t at = 0;
    for (int rank = 0; rank < net->size; rank++) {
        char *place = bytes_of[rank] ? (char *)out + at : out;
        runs[rank] = (struct piece){place, place, bytes_of[rank]};
        at += bytes_of[rank];
    }
    if (!at)
        return ronde__communicator_start_nothing(c);
    c->pieces[0] = (struct piece){.in = in, .count = bytes_of[net->rank]};
    for (int local = 0; local < net->local_size; local++) {
        const struct piece *run = &runs[ronde__net_rank_at(net, net->node, local)];
        c->node_runs[local] = (struct node_run){run->count, 0, run->count, run->out};
    }
    ronde__communicator_phase(c, TIMELINE_EXCHANGE, "allgather", at);
    c->wire_element_bytes = 1;
    ronde__node_start_exchange(&c->node, c->node_runs, c->pieces, 1);
    c->stage = run_gather;
    return RONDE_OK;
}
