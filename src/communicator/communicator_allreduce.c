/* Allreduce of a bin. One node: the node's own operation does it all. Several: rounds of
 *
 *   reduce    all ranks of the node, weighted and scaled, into a part of the wire buffer, which is
 *             laid out chunk-major; float32 may become a half here
 *   wire      lane k exchanges its share of every block with lane k of the other nodes
 *   gather    wait for all lanes of this node
 *   unpack    everybody copies out what it wants, divided and scaled
 *
 * The wire is stepped beside everything else, and runs without a pause from round to round: there
 * are two parts, and a node does, in this order, for rounds 0, 1, 2, ...
 *
 *   the node   reduce 0, reduce 1, gather 0, unpack 0, reduce 2, gather 1, unpack 1, reduce 3, ...
 *   the wire             0 ......................... 1 ............................ 2 ........
 *
 * A part is written again once everybody has unpacked it: a reduction to the wire begins when all
 * ranks of the node have come to it.
 *
 * Who contributes, and how much, matters inside the nodes only: what crosses the network is a sum
 * like any other, and the finish divides by what it was told. */
#include "base/status.h"
#include "communicator/communicator_stages.h"

static int32_t go_on(struct communicator *c);

static struct wire_part *part_of(struct communicator *c, int32_t round)
{
    return &c->parts[round % WIRE_PARTS];
}

static size_t part_bytes(const struct communicator *c)
{
    return c->node.slots.wire_bytes / WIRE_PARTS;
}

static char *memory_of(const struct communicator *c, int32_t round)
{
    return c->wire_buffer + (size_t)(round % WIRE_PARTS) * part_bytes(c);
}

static size_t round_bytes(struct communicator *c, int32_t round)
{
    return part_of(c, round)->block_from[c->layout.blocks] * c->wire_element_bytes;
}

/* ---- unpack ---------------------------------------------------------------------------------- */

/* A few pieces at a time, so that the wire is looked after in between. */
static int32_t run_unpack(struct communicator *c)
{
    enum { STEP_BYTES = 256 << 10 };
    const struct wire_part *part = part_of(c, c->rounds_ended);
    for (size_t done = 0; c->next_piece < part->piece_count; c->next_piece++) {
        const struct piece *piece = &part->pieces[c->next_piece];
        const void *source = c->unpack_from;
        if (done >= STEP_BYTES)
            return RONDE__MOVED;
        if (piece->out)
            ronde__reduce(&c->finish, piece->out, &source, 1, piece->count);
        c->unpack_from += piece->count * c->wire_element_bytes;
        done += piece->count * c->element_bytes;
    }
    c->rounds_ended++;
    return go_on(c);
}

static int32_t begin_unpack(struct communicator *c)
{
    ronde__communicator_phase(c, TIMELINE_UNPACK, "allreduce", round_bytes(c, c->rounds_ended));
    c->next_piece = 0;
    c->unpack_from = memory_of(c, c->rounds_ended);
    c->part_stage = run_unpack;
    return run_unpack(c);
}

/* ---- gather ---------------------------------------------------------------------------------- */

static int32_t run_gather(struct communicator *c)
{
    return ronde__communicator_run_node(c, begin_unpack);
}

/* Until my own lane is through. */
static int32_t run_wire(struct communicator *c)
{
    uint64_t mine = c->runs_before + (uint64_t)c->rounds_ended;
    if (c->wire && ronde__executor_ended(c->wire) <= mine)
        return RONDE__IDLE;
    ronde__node_start_barrier(&c->node);
    c->part_stage = run_gather;
    return run_gather(c);
}

/* ---- wire ------------------------------------------------------------------------------------ */

/* My lane's share of every block of this round. */
static void cut_lanes(struct communicator *c, struct wire_part *part)
{
    for (int32_t block = 0; block < c->layout.blocks; block++) {
        size_t from, length, all = part->block_from[block + 1] - part->block_from[block];
        ronde__layout_part(all, c->lanes, c->net->local_rank, &from, &length);
        part->ranges[block] = (struct block_range){part->block_from[block] + from, length};
    }
}

static int32_t begin_wire(struct communicator *c)
{
    int32_t round = c->rounds_begun++;
    if (c->net->local_rank < c->lanes) {
        struct wire_part *part = part_of(c, round);
        const struct block_map map = {c->one_range, part->ranges};
        cut_lanes(c, part);
        int32_t status = ronde__communicator_lane(c, c->algorithm, memory_of(c, round), &map,
                                                  c->peers, &c->middle);
        if (status)
            return status;
        c->wire = c->lanes_by_algorithm[c->algorithm].executor;
    }
    return go_on(c);
}

/* ---- reduce ---------------------------------------------------------------------------------- */

static int32_t run_reduce(struct communicator *c)
{
    return ronde__communicator_run_node(c, begin_wire);
}

static int32_t begin_reduce(struct communicator *c)
{
    int32_t round = c->rounds_begun;
    struct wire_part *part = part_of(c, round);
    part->piece_count = ronde__layout_round(&c->layout, c->tensors, c->element_bytes, round,
                                            part->pieces, part->block_from);
    struct node_work work = {.pieces = part->pieces,
                             .piece_count = part->piece_count,
                             .count = part->block_from[c->layout.blocks],
                             .element_bytes = c->element_bytes,
                             .wire_element_bytes = c->wire_element_bytes,
                             .reduction = &c->start,
                             .present = c->present,
                             .weights = c->weights};
    ronde__communicator_phase(c, TIMELINE_REDUCE, "allreduce", work.count * c->element_bytes);
    c->node.slots.wire = memory_of(c, round); /* this rank's own view of them */
    ronde__node_start_reduce_to_wire(&c->node, &work);
    c->part_stage = run_reduce;
    return RONDE__MOVED;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* What the node does next, in an order that is the same on all its ranks. */
static int32_t go_on(struct communicator *c)
{
    if (c->rounds_ended == c->layout.rounds)
        return RONDE__DONE;
    if (c->rounds_begun < c->layout.rounds && c->rounds_begun - c->rounds_ended < WIRE_PARTS)
        return begin_reduce(c);
    ronde__communicator_phase(c, TIMELINE_EXCHANGE, "allreduce", round_bytes(c, c->rounds_ended));
    c->part_stage = run_wire;
    return RONDE__MOVED;
}

static int32_t run_rounds(struct communicator *c)
{
    int32_t wire = c->wire ? ronde__executor_step(c->wire) : RONDE__DONE;
    if (wire < 0)
        return wire;
    c->on_wire = wire != RONDE__DONE;
    int32_t said = c->part_stage(c);
    return said == RONDE__IDLE && wire == RONDE__MOVED ? RONDE__MOVED : said;
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
                                            const struct crossing *crossing,
                                            const struct contributions *contributions)
{
    enum algorithm algorithm = crossing->algorithm;
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
    c->start = ronde__reduction_start(whole, crossing->dtype);
    c->middle = ronde__reduction_middle(whole, crossing->dtype);
    c->finish = ronde__reduction_finish(whole, crossing->dtype);
    c->wire_element_bytes = ronde_dtype_bytes(crossing->dtype);
    c->tensors = tensors;
    c->algorithm = algorithm;
    c->rounds_begun = c->rounds_ended = 0;
    c->wire = NULL;
    const struct executor *executor = c->lanes_by_algorithm[algorithm].executor;
    c->runs_before = executor ? ronde__executor_ended(executor) : 0;
    int32_t blocks = ronde__algorithms[algorithm].blocks(c->net->nodes);
    c->layout = ronde__layout(tensors, n, blocks, part_bytes(c) / c->wire_element_bytes);
    int32_t status = RONDE_OK;
    for (int i = 0; !status && i < WIRE_PARTS && i < c->layout.rounds; i++)
        status = ronde__communicator_grow(&c->parts[i].pieces, &c->parts[i].piece_room,
                                          (size_t)blocks * (size_t)n);
    c->stage = run_rounds;
    c->part_stage = go_on;
    return status;
}
