/* Exchange inside a node: everybody lays out a run of bytes and takes what it wants of everybody's.
 * On p ranks, with runs of n bytes of which each rank takes m in all:
 *
 *   small     all runs <= 16 KiB: through the small slots, one synchronisation.
 *   zero-copy all runs lie in arenas: everybody tells where, and copies straight from there. Two
 *             synchronisations; moves 2 m per rank. Where the parts go is nobody else's business.
 *   slices    everybody copies its slices into its slots, and takes out of the others'. As many
 *             slices as the longest run has. Moves 2 n + 2 m per rank.
 *
 * Rank r sends its slices beginning at r/p of its run, so that in an all-to-all, where all lay out
 * the parts in the same order, not all parts for one rank come at once and leave it alone with the
 * work. */
#include "base/bell.h"
#include "collectives/node_stages.h"

/* Copies [from, to) of my own run to `out`. */
static void copy_own(struct node *node, size_t from, size_t to, char *out)
{
    if (from < node->out_at.start)
        node->out_at = ronde__node_first_piece(node);
    while (from < to) {
        size_t run = ronde__piece_seek(&node->out_at, from);
        run = run < to - from ? run : to - from;
        const char *in = node->out_at.piece->in + (from - node->out_at.start);
        if (in != out)
            ronde__node_copy_out(node, out, in, run);
        out += run;
        from += run;
    }
}

/* Takes what I want of [from, from + length) of a rank's run, which lies at `place`; returns how
 * much that is. */
static size_t take(struct node *node, int rank, size_t from, size_t length, const char *place)
{
    const struct node_run *run = &node->runs[rank];
    size_t end = run->from + run->wanted;
    size_t first = from > run->from ? from : run->from;
    size_t last = from + length < end ? from + length : end;
    if (first >= last)
        return 0;
    char *out = run->out + (first - run->from);
    if (rank == node->me)
        copy_own(node, first, last, out);
    else
        ronde__node_copy_out(node, out, place + (first - from), last - first);
    return last - first;
}

/* ---- small ----------------------------------------------------------------------------------- */

static int32_t small_take(struct node *node)
{
    if (!ronde__node_all_answered(node))
        return RONDE__IDLE;
    ronde__node_own_next(node);
    for (int rank = 0; rank < node->ranks; rank++) {
        size_t bytes = node->runs[rank].bytes;
        take(node, rank, 0, bytes, ronde__node_small(ronde__node_arrival(node, rank), bytes));
    }
    ronde__node_ring_late(node);
    return RONDE__DONE;
}

static int32_t small_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    size_t bytes = node->runs[node->me].bytes;
    ronde__node_gather(node, &node->in_at, 0, bytes,
                       ronde__node_small(ronde__node_arrival(node, node->me), bytes));
    ronde__node_arrive_quietly(node);
    node->stage = small_take;
    int32_t said = small_take(node);
    return said == RONDE__IDLE ? RONDE__MOVED : said;
}

/* ---- zero-copy ------------------------------------------------------------------------------- */

/* One entry for each piece that is not empty: where it is, and how long. */
static uint32_t fill_board(struct node *node)
{
    struct board_entry *entry = ronde__node_board(node, node->me);
    const struct board_entry *end = entry + SLOTS_BOARD_PIECES;
    if (!node->arena)
        return 0;
    for (int32_t i = 0; i < node->work.piece_count; i++) {
        const struct piece *piece = &node->work.pieces[i];
        if (!piece->count)
            continue;
        int64_t in = ronde__arena_offset(node->arena, piece->in, piece->count);
        if (in == ARENA_NOWHERE || entry == end)
            return 0;
        *entry++ = (struct board_entry){in, (int64_t)piece->count};
    }
    return 1;
}

/* Copies [from, from + bytes) of another rank's run, which lies as its board says. */
static void copy_from_arena(const struct node *node, int rank, size_t from, size_t bytes, char *out)
{
    for (const struct board_entry *at = ronde__node_board(node, rank); bytes; at++) {
        size_t length = (size_t)at->out;
        if (from >= length) {
            from -= length;
            continue;
        }
        size_t run = length - from < bytes ? length - from : bytes;
        ronde__node_copy_out(node, out, ronde__node_arena_at(node, rank, at->in) + from, run);
        out += run;
        bytes -= run;
        from = 0;
    }
}

/* Rank by rank, beginning with myself, so that not all read one rank's memory at once. */
static int32_t arena_take(struct node *node)
{
    int rank = (node->me + (int)node->next_out) % node->ranks;
    const struct node_run *run = &node->runs[rank];
    size_t left = run->wanted - node->at, from = run->from + node->at;
    size_t bytes = left < NODE_STEP_BYTES ? left : NODE_STEP_BYTES;
    ronde__node_begin_out(node, bytes);
    if (rank == node->me && bytes)
        copy_own(node, from, from + bytes, run->out + node->at);
    else if (bytes)
        copy_from_arena(node, rank, from, bytes, run->out + node->at);
    ronde__node_end_out(node, bytes);
    node->at += bytes;
    if (node->at == run->wanted) {
        node->at = 0;
        node->next_out++;
    }
    return node->next_out < (uint64_t)node->ranks ? RONDE__MOVED : ronde__node_leave(node);
}

/* ---- slices ---------------------------------------------------------------------------------- */

/* Bytes [*from, *from + length) of a rank's run travel in slice s; returns length. */
static size_t part_of_run(const struct node *node, int rank, uint64_t s, size_t *from)
{
    size_t bytes = node->runs[rank].bytes, slice = node->slice_count;
    size_t slices = (bytes + slice - 1) / slice;
    *from = 0;
    if (s >= slices)
        return 0;
    *from = ((size_t)s + slices * (size_t)rank / (size_t)node->ranks) % slices * slice;
    return bytes - *from < slice ? bytes - *from : slice;
}

static int slice_in(struct node *node)
{
    if (node->next_in == node->slices || !ronde__node_slot_is_free(node))
        return 0;
    struct rank_slots *mine = ronde__node_mine(node);
    uint64_t slice = node->slice + node->next_in;
    size_t from, length = part_of_run(node, node->me, node->next_in, &from);
    if (from < node->in_at.start)
        node->in_at = ronde__node_first_piece(node);
    ronde__node_fill_slot(node, &node->in_at, from, from + length,
                          ronde__slots_slice(&node->slots, node->me, slice));
    node->next_in++;
    atomic_store_explicit(&mine->reduced, slice + 1, memory_order_relaxed);
    ronde__node_publish(node, &mine->in, slice + 1);
    return 1;
}

static int slice_out(struct node *node)
{
    uint64_t slice = node->slice + node->next_out;
    if (node->next_out == node->next_in || !ronde__node_all_at_least(node, NODE_IN, slice + 1))
        return 0;
    size_t taken = 0;
    ronde__node_begin_out(node, node->slice_count);
    for (int rank = 0; rank < node->ranks; rank++) {
        size_t from, length = part_of_run(node, rank, node->next_out, &from);
        taken += take(node, rank, from, length, ronde__slots_slice(&node->slots, rank, slice));
    }
    ronde__node_end_out(node, taken);
    node->next_out++;
    ronde__node_publish(node, &ronde__node_mine(node)->out, slice + 1);
    return 1;
}

static int32_t slices_run(struct node *node)
{
    int moved = slice_in(node);
    moved |= slice_out(node);
    if (node->next_out == node->slices)
        return ronde__node_end_slices(node);
    return moved ? RONDE__MOVED : RONDE__IDLE;
}

/* ---- choosing -------------------------------------------------------------------------------- */

static int32_t large_choose(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation))
        return RONDE__IDLE;
    node->at = 0;
    node->stage = ronde__node_all_agree(node) ? arena_take : slices_run;
    return RONDE__MOVED;
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

static int32_t alone(struct node *node)
{
    take(node, node->me, 0, node->runs[node->me].bytes, NULL);
    return RONDE__DONE;
}

void ronde__node_start_exchange(struct node *node, const struct node_run *runs,
                                const struct piece *mine, int32_t pieces)
{
    size_t longest = 0, wanted = 0;
    for (int rank = 0; rank < node->ranks; rank++) {
        longest = runs[rank].bytes > longest ? runs[rank].bytes : longest;
        wanted += runs[rank].wanted;
    }
    node->work = (struct node_work){.pieces = mine,
                                    .piece_count = pieces,
                                    .count = longest,
                                    .element_bytes = 1};
    node->operation++;
    node->runs = runs;
    ronde__node_expect_private(node, wanted);
    ronde__node_begin_slices(node, node->slots.slice_bytes);
    if (node->ranks == 1)
        node->stage = alone;
    else
        node->stage = longest <= SLOTS_SMALL_BYTES ? small_arrive : large_arrive;
}
