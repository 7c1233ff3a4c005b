/* Allreduce of a bin. One node: the node's own operation does it all. Several: rounds of
 *
 *   reduce    all ranks of the node, weighted and scaled, into the wire buffer, which is laid out
 *             chunk-major
 *   wire      lane k exchanges part k of every block with lane k of the other nodes
 *   gather    wait for all lanes of this node
 *   unpack    everybody copies out what it wants, divided and scaled
 *
 * Who contributes, and how much, matters inside the nodes only: what crosses the network is a sum
 * like any other, and the finish divides by what it was told. */
#include "base/status.h"
#include "communicator/communicator_stages.h"

static int32_t begin_round(struct communicator *c);

static int32_t unpack(struct communicator *c)
{
    const char *at = c->node.slots.wire;
    size_t bytes = c->block_from[c->layout.blocks] * c->element_bytes;
    ronde__communicator_phase(c, TIMELINE_UNPACK, "allreduce", bytes);
    for (int32_t i = 0; i < c->piece_count; i++) {
        const struct piece *piece = &c->pieces[i];
        const void *source = at;
        if (piece->out)
            ronde__reduce(&c->finish, piece->out, &source, 1, piece->count);
        at += piece->count * c->element_bytes;
    }
    return ++c->round < c->layout.rounds ? begin_round(c) : RONDE__DONE;
}

static int32_t run_gather(struct communicator *c)
{
    return ronde__communicator_run_node(c, unpack);
}

static int32_t begin_gather(struct communicator *c)
{
    c->on_wire = 0;
    ronde__node_start_barrier(&c->node);
    c->stage = run_gather;
    return RONDE__MOVED;
}

static int32_t run_wire(struct communicator *c)
{
    int32_t said = ronde__executor_step(c->lanes_by_algorithm[c->algorithm].executor);
    return said == RONDE__DONE ? begin_gather(c) : said;
}

/* My lane's part of every block of this round. */
static void cut_lanes(struct communicator *c)
{
    for (int32_t block = 0; block < c->layout.blocks; block++) {
        size_t from, length, all = c->block_from[block + 1] - c->block_from[block];
        ronde__layout_part(all, c->lanes, c->net->local_rank, &from, &length);
        c->first_range[block] = block;
        c->ranges[block] = (struct block_range){c->block_from[block] + from, length};
    }
    c->first_range[c->layout.blocks] = c->layout.blocks;
}

static int32_t begin_wire(struct communicator *c)
{
    size_t bytes = c->block_from[c->layout.blocks] * c->element_bytes;
    ronde__communicator_phase(c, TIMELINE_EXCHANGE, "allreduce", bytes);
    if (c->net->local_rank >= c->lanes)
        return begin_gather(c);
    cut_lanes(c);
    int32_t status = ronde__communicator_lane(c, c->algorithm, c->node.slots.wire, c->peers,
                                              &c->middle);
    if (status)
        return status;
    c->on_wire = 1;
    c->stage = run_wire;
    return RONDE__MOVED;
}

static int32_t run_reduce(struct communicator *c)
{
    return ronde__communicator_run_node(c, begin_wire);
}

static int32_t begin_round(struct communicator *c)
{
    c->piece_count = ronde__layout_round(&c->layout, c->tensors, c->element_bytes, c->round,
                                         c->pieces, c->block_from);
    struct node_work work = {.pieces = c->pieces,
                             .piece_count = c->piece_count,
                             .count = c->block_from[c->layout.blocks],
                             .element_bytes = c->element_bytes,
                             .reduction = &c->start,
                             .present = c->present,
                             .weights = c->weights};
    ronde__communicator_phase(c, TIMELINE_REDUCE, "allreduce", work.count * c->element_bytes);
    ronde__node_start_reduce_to_wire(&c->node, &work);
    c->stage = run_reduce;
    return RONDE__MOVED;
}

static size_t total_count(const struct piece *tensors, int32_t n)
{
    size_t count = 0;
    for (int32_t i = 0; i < n; i++)
        count += tensors[i].count;
    return count;
}

/* Keeps what of the contributions is this node's, by local rank. */
static void note_contributions(struct communicator *c, const struct contributions *all)
{
    c->present = all && all->present ? c->present_here : NULL;
    c->weights = all && all->weights ? c->weights_here : NULL;
    for (int local = 0; local < c->net->local_size; local++) {
        int rank = ronde__net_rank_at(c->net, c->net->node, local);
        if (c->present)
            c->present_here[local] = all->present[rank];
        if (c->weights)
            c->weights_here[local] = all->weights[rank];
    }
}

int32_t ronde__communicator_start_allreduce(struct communicator *c, const struct piece *tensors,
                                            int32_t n, const struct reduction *whole,
                                            enum algorithm algorithm,
                                            const struct contributions *contributions)
{
    note_contributions(c, contributions);
    c->whole = *whole;
    c->element_bytes = ronde_dtype_bytes(whole->dtype);
    if (c->net->nodes == 1) {
        struct node_work work = {.pieces = tensors,
                                 .piece_count = n,
                                 .count = total_count(tensors, n),
                                 .element_bytes = c->element_bytes,
                                 .reduction = &c->whole,
                                 .present = c->present,
                                 .weights = c->weights};
        ronde__communicator_phase(c, TIMELINE_EXCHANGE, "allreduce", work.count * c->element_bytes);
        ronde__node_start_allreduce(&c->node, &work);
        c->stage = ronde__communicator_run_last;
        return RONDE_OK;
    }
    c->start = ronde__reduction_start(whole);
    c->middle = ronde__reduction_middle(whole);
    c->finish = ronde__reduction_finish(whole);
    c->tensors = tensors;
    c->algorithm = algorithm;
    c->round = 0;
    int32_t blocks = ronde__algorithms[algorithm].blocks(c->net->nodes);
    c->layout = ronde__layout(tensors, n, blocks, c->node.slots.wire_bytes / c->element_bytes);
    int32_t status = ronde__communicator_room(c, (size_t)blocks * (size_t)n);
    if (!status)
        begin_round(c);
    return status;
}
