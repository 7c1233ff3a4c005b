/* Allreduce inside a node, on p ranks and n bytes. Four ways, all adding in the order of local
 * ranks:
 *
 *   small     n <= 16 KiB. Everybody writes its data into its small slot and announces it;
 *             everybody reduces all p slots for itself. One synchronisation; reads p n per rank.
 *             Up to 52 bytes travel in the line of the announcement.
 *   zero-copy all tensors of all ranks lie in arenas (node_arena.c); from 4 KiB where each rank has
 *             a CPU, else from 16 KiB.
 *   slices    private memory. A pipeline over slices of the slots, three stages a slice:
 *               in       copy what the others shall reduce into my slot
 *               reduce   my share of the slice, from the others' slots and my own memory, into my
 *                        memory and my slot
 *               out      copy the others' shares from their slots
 *             No barrier; counters only. Own data never goes through a slot on the way in.
 *             Moves (5 - 2/p) n per rank.
 *   to wire   as slices, but the result stays in the node's wire buffer for the network.
 *
 * A rank that does not contribute is left out of the sources, and still carries its share of the
 * work. What a rank does not want is not stored there.
 *
 * Source: reduce-scatter + allgather by direct loads and stores, as in the shared-memory
 * collectives of Graham and Shipman (EuroPVM/MPI 2008), with pipelining and without barriers. */
#include "base/bell.h"
#include "collectives/node_stages.h"

/* The sources are those present, in the order of local ranks. */
static void choose_sources(struct node *node)
{
    const struct node_work *work = &node->work;
    node->contributors = 0;
    node->own = -1;
    for (int rank = 0; rank < node->ranks; rank++) {
        if (work->present && !work->present[rank])
            continue;
        if (rank == node->me)
            node->own = node->contributors;
        if (work->weights)
            node->some_weights[node->contributors] = work->weights[rank];
        node->members[node->contributors++] = rank;
    }
    node->weights = work->weights ? node->some_weights : NULL;
}

static inline void begin(struct node *node, const struct node_work *work)
{
    ronde__node_begin(node, work);
    node->weights = work->weights;
    if (work->present || node->contributors != node->ranks)
        choose_sources(node); /* else they are all, as before */
}

/* Points the sources at `count` elements: the others' lie at node->places, in the order of the
 * sources, `offset` bytes along; mine at `mine`. */
static void point_sources(struct node *node, const char *mine, size_t offset)
{
    for (int i = 0; i < node->contributors; i++)
        node->sources[i] = node->places[i] + offset;
    if (node->own >= 0)
        node->sources[node->own] = mine;
}

/* Of a reduction: one run of contiguous elements, to `out` (this rank's memory; NULL: not wanted)
 * and to `place`. */
typedef void reduce_function(struct node *node, char *out, char *place, size_t count);

/* Where results go beside this rank's memory: nowhere (NULL), or there. */
struct place {
    char *memory;
    size_t element_bytes;
};

/* Reduces [from, to) of the virtual buffer, which begins `offset` elements along the others' data
 * and the place, run by run. */
static void reduce_runs(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                        size_t offset, struct place place, reduce_function *function)
{
    size_t size = node->work.element_bytes;
    for (size_t at = from; at < to;) {
        size_t run = ronde__piece_seek(cursor, at);
        run = run < to - at ? run : to - at;
        size_t in_piece = (at - cursor->start) * size, done = at - from + offset;
        char *out = cursor->piece->out ? cursor->piece->out + in_piece : NULL;
        point_sources(node, cursor->piece->in + in_piece, done * size);
        function(node, out, place.memory ? place.memory + done * place.element_bytes : NULL, run);
        at += run;
    }
}

static void reduce_to_out(struct node *node, char *out, char *place, size_t count)
{
    (void)place;
    if (out)
        ronde__node_combine(node, out, count);
}

static void reduce_to_place(struct node *node, char *out, char *place, size_t count)
{
    (void)out;
    ronde__node_combine(node, place, count);
}

/* Both in one pass: so stores go on while the next data come from the others' caches, and the
 * result is not read again. */
static void reduce_to_both(struct node *node, char *out, char *place, size_t count)
{
    const struct destination to = {place, node->to_slots.past, out, node->out_past};
    ronde__node_combine_to(node, &to, count);
}

/* ---- small ----------------------------------------------------------------------------------- */

static int32_t small_reduce(struct node *node)
{
    if (!ronde__node_all_answered(node))
        return RONDE__IDLE;
    ronde__node_own_next(node);
    size_t bytes = node->work.count * node->work.element_bytes;
    for (int i = 0; i < node->contributors; i++)
        node->places[i] = ronde__node_small(ronde__node_arrival(node, node->members[i]), bytes);
    struct piece_cursor cursor = ronde__node_first_piece(node);
    reduce_runs(node, &cursor, 0, node->work.count, 0, (struct place){0}, reduce_to_out);
    ronde__node_ring_late(node);
    return RONDE__DONE;
}

static void fill_small(struct node *node, struct arrival *mine)
{
    size_t bytes = node->work.count * node->work.element_bytes;
    struct piece_cursor cursor = ronde__node_first_piece(node);
    if (node->own >= 0)
        ronde__node_gather(node, &cursor, 0, node->work.count, ronde__node_small(mine, bytes));
}

static int32_t small_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    fill_small(node, ronde__node_arrival(node, node->me));
    ronde__node_arrive_quietly(node);
    node->stage = small_reduce;
    int32_t said = small_reduce(node);
    return said == RONDE__IDLE ? RONDE__MOVED : said;
}

/* ---- slices ---------------------------------------------------------------------------------- */

static int slice_in(struct node *node)
{
    if (node->next_in == node->slices || !ronde__node_slot_is_free(node))
        return 0;
    uint64_t slice = node->slice + node->next_in;
    size_t from, to, my_from, my_to, size = node->work.element_bytes;
    ronde__node_slice(node, node->next_in, &from, &to);
    ronde__node_share(node, to - from, node->me, &my_from, &my_to);
    if (node->own >= 0) {
        char *slot = ronde__slots_slice(&node->slots, node->me, slice);
        ronde__node_fill_slot(node, &node->in_at, from, from + my_from, slot);
        ronde__node_fill_slot(node, &node->in_at, from + my_to, to, slot + my_to * size);
    }
    node->next_in++;
    ronde__node_publish(node, &ronde__node_mine(node)->in, slice + 1);
    return 1;
}

/* To the wire, or (NULL) to this rank's memory and its slot. */
static int slice_reduce(struct node *node, char *wire)
{
    uint64_t slice = node->slice + node->next_reduce;
    if (node->next_reduce == node->next_in || !ronde__node_all_at_least(node, NODE_IN, slice + 1))
        return 0;
    size_t from, to, my_from, my_to;
    ronde__node_slice(node, node->next_reduce, &from, &to);
    ronde__node_share(node, to - from, node->me, &my_from, &my_to);
    for (int i = 0; i < node->contributors; i++)
        node->places[i] = ronde__slots_slice(&node->slots, node->members[i], slice);
    const struct node_work *work = &node->work;
    struct place place = {ronde__slots_slice(&node->slots, node->me, slice), work->element_bytes};
    if (wire)
        place = (struct place){wire + from * work->wire_element_bytes, work->wire_element_bytes};
    reduce_runs(node, &node->reduce_at, from + my_from, from + my_to, my_from, place,
                wire ? reduce_to_place : reduce_to_both);
    node->next_reduce++;
    ronde__node_publish(node, &ronde__node_mine(node)->reduced, slice + 1);
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
    ronde__node_begin_out(node, (to - from) * size);
    for (int rank = 0; rank < node->ranks; rank++) {
        size_t share_from, share_to;
        ronde__node_share(node, to - from, rank, &share_from, &share_to);
        const char *slot = ronde__slots_slice(&node->slots, rank, slice);
        if (rank != node->me)
            ronde__node_scatter(node, &node->out_at, from + share_from, from + share_to,
                                slot + share_from * size);
    }
    ronde__node_end_out(node, (to - from) * size);
    node->next_out++;
    ronde__node_publish(node, &ronde__node_mine(node)->out, slice + 1);
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

static void begin_in_slices(struct node *node)
{
    ronde__node_begin_slices(node, node->slots.slice_bytes / node->work.element_bytes);
    node->stage = slices_run;
}

static int32_t large_choose(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation))
        return RONDE__IDLE;
    if (ronde__node_all_agree(node))
        ronde__node_begin_in_arena(node);
    else
        begin_in_slices(node);
    return RONDE__MOVED;
}

static int32_t large_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    uint32_t in_arena = ronde__node_fill_board(node);
    ronde__node_arrival(node, node->me)->word = in_arena;
    ronde__node_arrive(node);
    if (in_arena)
        node->stage = large_choose;
    else
        begin_in_slices(node); /* as all will who wait to see what this rank says */
    return RONDE__MOVED;
}

/* ---- choosing between small and zero-copy ---------------------------------------------------- */

/* Where some said that they are in the arena and some did not, the former have nothing in their
 * small slots. */
static int32_t medium_choose(struct node *node)
{
    if (!ronde__node_all_answered(node))
        return RONDE__IDLE;
    int in_arena = 0;
    for (int rank = 0; rank < node->ranks; rank++)
        in_arena += ronde__node_arrival(node, rank)->word != 0;
    if (!in_arena)
        return small_reduce(node);
    ronde__node_ring_late(node);
    if (in_arena == node->ranks)
        ronde__node_begin_in_arena(node);
    else
        begin_in_slices(node);
    return RONDE__MOVED;
}

static int32_t medium_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    struct arrival *mine = ronde__node_arrival(node, node->me);
    /* Where ranks share a CPU, a second synchronisation costs more than small slots. */
    mine->word = node->polls ? ronde__node_fill_board(node) : 0;
    if (!mine->word)
        fill_small(node, mine);
    ronde__node_arrive_quietly(node);
    node->stage = medium_choose;
    int32_t said = medium_choose(node);
    return said == RONDE__IDLE ? RONDE__MOVED : said;
}

/* ---- alone on the node ----------------------------------------------------------------------- */

static int32_t alone(struct node *node)
{
    for (int32_t i = 0; i < node->work.piece_count; i++) {
        const struct piece *piece = &node->work.pieces[i];
        node->sources[0] = piece->in;
        if (piece->count && piece->out)
            ronde__node_combine(node, piece->out, piece->count);
    }
    return RONDE__DONE;
}

void ronde__node_start_allreduce(struct node *node, const struct node_work *work)
{
    begin(node, work);
    size_t bytes = work->count * work->element_bytes;
    if (node->ranks == 1)
        node->stage = alone;
    else if (bytes <= SLOTS_SMALL_BYTES)
        node->stage = bytes < NODE_MEDIUM_BYTES ? small_arrive : medium_arrive;
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
        ronde__node_publish(node, &ronde__node_mine(node)->out, node->slice + node->next_reduce);
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
    begin(node, work);
    ronde__node_begin_slices(node, node->slots.slice_bytes / work->element_bytes);
    node->stage = to_wire_arrive;
}
