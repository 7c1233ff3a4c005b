/* Allreduce inside a node, on p ranks and n bytes. Four ways, all adding in the order of local
 * ranks:
 *
 *   small     n <= 16 KiB. Everybody writes its data into its small slot and announces it;
 * everybody
 *             reduces all p slots for itself. One synchronisation; reads p n per rank. Up to 52
 * bytes
 *             travel in the line of the announcement.
 *   zero-copy all tensors of all ranks lie in arenas. Everybody tells where; then rank r reduces
 * its
 *             share r of the p inputs and stores the result into all p outputs. Two
 * synchronisations; moves
 *             2 n per rank.
 *   slices    private memory. A pipeline over slices of the slots, three stages a slice:
 *               in       copy what the others shall reduce into my slot
 *               reduce   my share of the slice, from the others' slots and my own memory, into my
 *                        memory and my slot
 *               out      copy the others' shares from their slots
 *             No barrier; counters only. Own data never goes through a slot on the way in.
 *             Moves (5 - 2/p) n per rank.
 *   to wire   as slices, but the result stays in the node's wire buffer for the network.
 *
 * Source: reduce-scatter + allgather by direct loads and stores, as in the shared-memory
 * collectives of Graham and Shipman (EuroPVM/MPI 2008), with pipelining and without barriers. */
#include "base/bell.h"
#include "collectives/node_stages.h"

/* Reduces [from, to) of the virtual buffer: the others' data lie at sources[] (advanced along),
 * mine in the pieces. The result goes to `place`, contiguous, and unless it is NULL ... to the
 * pieces. */
static void reduce_run(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                       char *const *base, size_t base_offset, char *place)
{
    size_t size = node->work.element_bytes;
    for (size_t at = from; at < to;) {
        size_t run = ronde__piece_seek(cursor, at);
        run = run < to - at ? run : to - at;
        size_t in_piece = (at - cursor->start) * size;
        for (int rank = 0; rank < node->ranks; rank++)
            node->sources[rank] = base[rank] + base_offset + (at - from) * size;
        node->sources[node->me] = cursor->piece->in + in_piece;
        char *dst = place ? place + (at - from) * size : cursor->piece->out + in_piece;
        ronde__reduce(node->work.reduction, dst, node->sources, node->ranks, run);
        at += run;
    }
}

/* ---- small ----------------------------------------------------------------------------------- */

static int32_t small_reduce(struct node *node)
{
    if (!ronde__node_all_answered(node))
        return RONDE__IDLE;
    ronde__node_own_next(node);
    size_t bytes = node->work.count * node->work.element_bytes;
    for (int rank = 0; rank < node->ranks; rank++) {
        struct arrival *slot = ronde__node_arrival(node, rank);
        node->outs[rank] = bytes <= sizeof(slot->tiny) ? slot->tiny : slot->data;
    }
    struct piece_cursor cursor = ronde__node_first_piece(node);
    reduce_run(node, &cursor, 0, node->work.count, node->outs, 0, NULL);
    ronde__node_ring_late(node);
    return RONDE__DONE;
}

static int32_t small_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    struct arrival *slot = ronde__node_arrival(node, node->me);
    size_t bytes = node->work.count * node->work.element_bytes;
    struct piece_cursor cursor = ronde__node_first_piece(node);
    ronde__node_gather(node, &cursor, 0, node->work.count,
                       bytes <= sizeof(slot->tiny) ? slot->tiny : slot->data);
    ronde__node_arrive_quietly(node);
    node->stage = small_reduce;
    int32_t said = small_reduce(node);
    return said == RONDE__IDLE ? RONDE__MOVED : said;
}

/* ---- zero-copy ------------------------------------------------------------------------------- */

/* Waits until nobody reads or writes my tensors any more. */
static int32_t arena_leave(struct node *node)
{
    if (!ronde__node_all_at_least(node, NODE_OUT, node->slice + 1))
        return RONDE__IDLE;
    node->slices = 1;
    return ronde__node_end_slices(node);
}

/* Elements [from, to) of one piece, `offset` bytes into it: reduce into my own output, then copy
 * to the others while it is in the first cache. */
static void arena_reduce_run(struct node *node, int32_t piece, size_t offset, size_t count)
{
    const struct node_work *work = &node->work;
    for (int rank = 0; rank < node->ranks; rank++) {
        const struct board_entry *at = &node->slots.of[rank].board[node->operation % 2][piece];
        node->sources[rank] = ronde__arena_at(node->arena, rank, at->in) + offset;
        node->outs[rank] = ronde__arena_at(node->arena, rank, at->out) + offset;
    }
    /* 8 KiB: a few of these, one per source, fit 48 KiB of first-level cache. */
    const size_t block = 8192 / work->element_bytes;
    for (size_t done = 0; done < count;) {
        size_t run = count - done < block ? count - done : block;
        size_t bytes = run * work->element_bytes;
        char *mine = node->outs[node->me];
        ronde__reduce(work->reduction, mine, node->sources, node->ranks, run);
        for (int rank = 0; rank < node->ranks; rank++) {
            if (rank != node->me)
                memcpy(node->outs[rank], mine, bytes);
            node->outs[rank] += bytes;
            node->sources[rank] = (const char *)node->sources[rank] + bytes;
        }
        done += run;
    }
}

static int32_t arena_reduce(struct node *node)
{
    /* 1 MiB a step, so that a step stays short against a millisecond */
    const size_t most = (1 << 20) / node->work.element_bytes;
    size_t from, to;
    ronde__node_share(node, node->work.count, node->me, &from, &to);
    size_t at = from + node->at;
    size_t stop = to - at < most ? to : at + most;
    while (at < stop) {
        size_t run = ronde__piece_seek(&node->reduce_at, at);
        run = run < stop - at ? run : stop - at;
        arena_reduce_run(node, (int32_t)(node->reduce_at.piece - node->work.pieces),
                         (at - node->reduce_at.start) * node->work.element_bytes, run);
        at += run;
    }
    node->at = at - from;
    if (at < to)
        return RONDE__MOVED;
    struct rank_slots *mine = &node->slots.of[node->me];
    atomic_store_explicit(&mine->in, node->slice + 1, memory_order_relaxed);
    atomic_store_explicit(&mine->reduced, node->slice + 1, memory_order_relaxed);
    ronde__node_publish(node, &mine->out, node->slice + 1);
    node->stage = arena_leave;
    return RONDE__MOVED;
}

/* ---- slices ---------------------------------------------------------------------------------- */

static struct rank_slots *mine(const struct node *node)
{
    return &node->slots.of[node->me];
}

static int slice_in(struct node *node)
{
    uint64_t slice = node->slice + node->next_in;
    if (node->next_in == node->slices ||
        (slice >= node->slots.count &&
         !ronde__node_all_at_least(node, NODE_OUT, slice - node->slots.count + 1)))
        return 0;
    size_t from, to, my_from, my_to, size = node->work.element_bytes;
    ronde__node_slice(node, node->next_in, &from, &to);
    ronde__node_share(node, to - from, node->me, &my_from, &my_to);
    char *slot = ronde__slots_slice(&node->slots, node->me, slice);
    ronde__node_gather(node, &node->in_at, from, from + my_from, slot);
    ronde__node_gather(node, &node->in_at, from + my_to, to, slot + my_to * size);
    node->next_in++;
    ronde__node_publish(node, &mine(node)->in, slice + 1);
    return 1;
}

/* Result to my slot, and from there, still in the first cache, to my memory. */
static int slice_reduce(struct node *node, char *wire)
{
    uint64_t slice = node->slice + node->next_reduce;
    if (node->next_reduce == node->next_in || !ronde__node_all_at_least(node, NODE_IN, slice + 1))
        return 0;
    size_t from, to, my_from, my_to, size = node->work.element_bytes;
    ronde__node_slice(node, node->next_reduce, &from, &to);
    ronde__node_share(node, to - from, node->me, &my_from, &my_to);
    for (int rank = 0; rank < node->ranks; rank++)
        node->outs[rank] = ronde__slots_slice(&node->slots, rank, slice);
    struct piece_cursor scatter_at = node->reduce_at;
    const size_t block = 8192 / size;
    for (size_t at = my_from; at < my_to; at += block) {
        size_t stop = my_to - at < block ? my_to : at + block;
        char *place = wire ? wire + (from + at) * size : node->outs[node->me] + at * size;
        reduce_run(node, &node->reduce_at, from + at, from + stop, node->outs, at * size, place);
        if (!wire)
            ronde__node_scatter(node, &scatter_at, from + at, from + stop, place);
    }
    node->next_reduce++;
    ronde__node_publish(node, &mine(node)->reduced, slice + 1);
    return 1;
}

static int slice_out(struct node *node)
{
    uint64_t slice = node->slice + node->next_out;
    if (node->next_out == node->next_reduce ||
        !ronde__node_all_at_least(node, NODE_REDUCED, slice + 1))
        return 0;
    size_t from, to, size = node->work.element_bytes;
    ronde__node_slice(node, node->next_out, &from, &to);
    for (int rank = 0; rank < node->ranks; rank++) {
        size_t share_from, share_to;
        ronde__node_share(node, to - from, rank, &share_from, &share_to);
        const char *slot = ronde__slots_slice(&node->slots, rank, slice);
        if (rank != node->me)
            ronde__node_scatter(node, &node->out_at, from + share_from, from + share_to,
                                slot + share_from * size);
    }
    node->next_out++;
    ronde__node_publish(node, &mine(node)->out, slice + 1);
    return 1;
}

static int32_t slices_run(struct node *node)
{
    int moved = slice_in(node);
    moved |= slice_reduce(node, NULL);
    moved |= slice_out(node);
    if (node->next_out == node->slices)
        return ronde__node_end_slices(node);
    return moved ? RONDE__MOVED : RONDE__IDLE;
}

/* ---- choosing between slices and zero-copy --------------------------------------------------- */

/* Every rank sees the same words, so all go the same way. */
static int all_in_arena(const struct node *node)
{
    for (int rank = 0; rank < node->ranks; rank++)
        if (!ronde__node_arrival(node, rank)->word)
            return 0;
    return 1;
}

static int32_t large_choose(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation))
        return RONDE__IDLE;
    if (all_in_arena(node)) {
        node->at = 0;
        node->reduce_at = ronde__node_first_piece(node);
        node->stage = arena_reduce;
    } else {
        ronde__node_begin_slices(node, node->slots.slice_bytes / node->work.element_bytes);
        node->stage = slices_run;
    }
    return RONDE__MOVED;
}

/* Writes where my pieces lie; 0 where one lies outside the arena, or they are too many. */
static uint32_t fill_board(struct node *node)
{
    const struct node_work *work = &node->work;
    struct board_entry *board = mine(node)->board[node->operation % 2];
    if (!node->arena || work->piece_count > SLOTS_BOARD_PIECES)
        return 0;
    for (int32_t i = 0; i < work->piece_count; i++) {
        size_t bytes = work->pieces[i].count * work->element_bytes;
        board[i].in = ronde__arena_offset(node->arena, work->pieces[i].in, bytes);
        board[i].out = ronde__arena_offset(node->arena, work->pieces[i].out, bytes);
        if (bytes && (board[i].in == ARENA_NOWHERE || board[i].out == ARENA_NOWHERE))
            return 0;
    }
    return 1;
}

static int32_t large_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    ronde__node_arrival(node, node->me)->word = fill_board(node);
    ronde__node_arrive(node);
    node->stage = large_choose;
    return RONDE__MOVED;
}

/* ---- alone on the node ----------------------------------------------------------------------- */

static int32_t alone(struct node *node)
{
    for (int32_t i = 0; i < node->work.piece_count; i++) {
        const struct piece *piece = &node->work.pieces[i];
        const void *source = piece->in;
        if (piece->count)
            ronde__reduce(node->work.reduction, piece->out, &source, 1, piece->count);
    }
    return RONDE__DONE;
}

void ronde__node_start_allreduce(struct node *node, const struct node_work *work)
{
    node->work = *work;
    node->operation++;
    if (node->ranks == 1)
        node->stage = alone;
    else if (work->count * work->element_bytes <= SLOTS_SMALL_BYTES)
        node->stage = small_arrive;
    else
        node->stage = large_arrive;
}

/* ---- to the wire ----------------------------------------------------------------------------- */

/* A slice's slot is read by the reducers only; `out` follows at once. The slice is complete here
 * when everybody has reduced it. */
static int32_t to_wire_run(struct node *node)
{
    int moved = slice_in(node);
    if (slice_reduce(node, node->slots.wire)) {
        ronde__node_publish(node, &mine(node)->out, node->slice + node->next_reduce);
        moved = 1;
    }
    if (node->next_reduce == node->slices &&
        ronde__node_all_at_least(node, NODE_REDUCED, node->slice + node->slices))
        return ronde__node_end_slices(node);
    return moved ? RONDE__MOVED : RONDE__IDLE;
}

/* Nobody may write into the wire buffer before all have left the operation before. */
static int32_t to_wire_wait(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation))
        return RONDE__IDLE;
    node->stage = to_wire_run;
    return RONDE__MOVED;
}

static int32_t to_wire_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    ronde__node_arrive(node);
    node->stage = to_wire_wait;
    return RONDE__MOVED;
}

void ronde__node_start_reduce_to_wire(struct node *node, const struct node_work *work)
{
    node->work = *work;
    node->operation++;
    ronde__node_begin_slices(node, node->slots.slice_bytes / work->element_bytes);
    node->stage = to_wire_arrive;
}
