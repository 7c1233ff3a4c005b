/* What the node's operations share: arriving, publishing, slices, and walking the pieces. */
#include "collectives/node.h"

#include <stdlib.h>

#include "base/bell.h"
#include "base/status.h"
#include "collectives/node_stages.h"

int32_t ronde__node_open(struct node *node, const struct slots *slots, int me,
                         const struct arena *arena, const int *arena_ranks, int spins)
{
    enum { POLLS = 200 }; /* about half a microsecond: several hand-overs between two CPUs */
    size_t ranks = (size_t)slots->ranks;
    *node = (struct node){.me = me,
                          .ranks = slots->ranks,
                          .slots = *slots,
                          .arena = arena,
                          .arena_ranks = arena_ranks,
                          .polls = spins ? POLLS : 0};
    node->members = calloc(ranks, sizeof(*node->members));
    node->some_weights = calloc(ranks, sizeof(*node->some_weights));
    node->sources = calloc(ranks, sizeof(*node->sources));
    node->places = calloc(ranks, sizeof(*node->places));
    if (node->members && node->some_weights && node->sources && node->places)
        return RONDE_OK;
    ronde__node_close(node);
    return ronde__fail(RONDE_ERR_MEMORY, "no memory for a communicator of %d local ranks",
                       slots->ranks);
}

void ronde__node_close(struct node *node)
{
    free(node->members);
    free(node->some_weights);
    free(node->sources);
    free(node->places);
    node->members = NULL;
    node->some_weights = NULL;
    node->sources = NULL;
    node->places = NULL;
}

int32_t ronde__node_step(void *state)
{
    struct node *node = state;
    return node->stage(node);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static size_t wanted_bytes(const struct node_work *work)
{
    size_t bytes = work->count * work->element_bytes;
    for (int32_t i = 0; i < work->piece_count; i++)
        if (!work->pieces[i].out)
            bytes -= work->pieces[i].count * work->element_bytes;
    return bytes;
}

void ronde__node_expect_out(struct node *node, int kind, size_t bytes)
{
    enum { LEAST = 16 << 10 };
    int size = 0;
    while (size + 1 < NODE_OUT_SIZES && bytes >= (size_t)LEAST << 2 * (size + 1))
        size++;
    node->out = &node->to_out[kind][size];
    node->out_past = node->out->past;
}

void ronde__node_expect_private(struct node *node, size_t bytes)
{
    node->out = NULL;
    node->out_past = 0;
    if (bytes >= NODE_TRY_PAST_BYTES)
        ronde__node_expect_out(node, NODE_OUT_PRIVATE, bytes);
}

void ronde__node_begin(struct node *node, const struct node_work *work)
{
    size_t bytes = work->count * work->element_bytes;
    node->work = *work;
    node->operation++;
    ronde__node_expect_private(node, bytes < NODE_TRY_PAST_BYTES ? 0 : wanted_bytes(work));
}

void ronde__node_begin_out(struct node *node, size_t bytes)
{
    if (node->out)
        node->out_past = ronde__stores_begin(node->out, bytes);
}

void ronde__node_end_out(struct node *node, size_t bytes)
{
    const double gain = 1.1; /* who reads the results finds them in memory, not in a cache */
    if (!node->out)
        return;
    ronde__stores_end(node->out, node->out_past, bytes, gain);
    node->out_past = node->out->past;
}

/* ---- arriving -------------------------------------------------------------------------------- */

int ronde__node_all_arrived(struct node *node, uint64_t operation)
{
    if (node->arrived_all >= operation)
        return 1;
    for (int rank = 0; rank < node->ranks; rank++) {
        const struct arrival *slot = &node->slots.of[rank].arrival[operation % 2];
        /* pairs with the release in ronde__node_arrive */
        if (rank != node->me &&
            atomic_load_explicit(&slot->operation, memory_order_acquire) < operation)
            return 0;
    }
    node->arrived_all = operation;
    return 1;
}

void ronde__node_publish(struct node *node, _Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_release);
    ronde__bell_ring_others(node->slots.bells, node->ranks, node->me);
}

void ronde__node_arrive(struct node *node)
{
    ronde__node_publish(node, &ronde__node_arrival(node, node->me)->operation, node->operation);
}

int ronde__node_all_agree(const struct node *node)
{
    for (int rank = 0; rank < node->ranks; rank++)
        if (!ronde__node_arrival(node, rank)->word)
            return 0;
    return 1;
}

void ronde__node_arrive_quietly(struct node *node)
{
    atomic_store_explicit(&ronde__node_arrival(node, node->me)->operation, node->operation,
                          memory_order_release);
    node->unrung = 1;
}

int ronde__node_all_answered(struct node *node)
{
    int polls = node->unrung ? node->polls : 0;
    do
        if (ronde__node_all_arrived(node, node->operation))
            return 1;
    while (polls-- > 0);
    ronde__node_ring_late(node);
    return 0;
}

/* ---- slices ---------------------------------------------------------------------------------- */

void ronde__node_share(const struct node *node, size_t n, int rank, size_t *from, size_t *to)
{
    size_t line = 64 / node->work.element_bytes;
    size_t ranks = (size_t)node->ranks, r = (size_t)rank;
    size_t lines = n / line;
    size_t each = lines / ranks, more = lines % ranks;
    *from = (each * r + (r < more ? r : more)) * line;
    *to = rank + 1 == node->ranks ? n : *from + (each + (r < more)) * line;
}

void ronde__node_begin_slices(struct node *node, size_t slice_count)
{
    node->slice_count = slice_count;
    node->slices = (node->work.count + slice_count - 1) / slice_count;
    node->next_in = node->next_reduce = node->next_out = 0;
    node->in_at = node->reduce_at = node->out_at = ronde__node_first_piece(node);
}

int32_t ronde__node_end_slices(struct node *node)
{
    node->slice += node->slices;
    return RONDE__DONE;
}

/* ---- zero-copy ------------------------------------------------------------------------------- */

static int32_t left_by_all(struct node *node)
{
    if (!ronde__node_all_at_least(node, NODE_OUT, node->slice + 1))
        return RONDE__IDLE;
    node->slices = 1;
    return ronde__node_end_slices(node);
}

int32_t ronde__node_leave(struct node *node)
{
    struct rank_slots *mine = ronde__node_mine(node);
    atomic_store_explicit(&mine->in, node->slice + 1, memory_order_relaxed);
    atomic_store_explicit(&mine->reduced, node->slice + 1, memory_order_relaxed);
    ronde__node_publish(node, &mine->out, node->slice + 1);
    node->stage = left_by_all;
    return RONDE__MOVED;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static void copy(char *to, const char *from, size_t bytes, int past)
{
    if (past)
        ronde__copy_streaming(to, from, bytes);
    else
        memcpy(to, from, bytes);
}

static void gather(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                   char *place, int past)
{
    size_t size = node->work.element_bytes;
    while (from < to) {
        size_t run = ronde__piece_seek(cursor, from);
        run = run < to - from ? run : to - from;
        copy(place, cursor->piece->in + (from - cursor->start) * size, run * size, past);
        place += run * size;
        from += run;
    }
}

void ronde__node_gather(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                        char *place)
{
    gather(node, cursor, from, to, place, 0);
}

void ronde__node_fill_slot(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                           char *place)
{
    const double gain = 1.5; /* readers that share a cache with this core gain from it, too */
    size_t bytes = (to - from) * node->work.element_bytes;
    int past = ronde__stores_begin(&node->to_slots, bytes);
    gather(node, cursor, from, to, place, past);
    ronde__stores_end(&node->to_slots, past, bytes, gain);
}

void ronde__node_scatter(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                         const char *place)
{
    size_t size = node->work.element_bytes;
    while (from < to) {
        size_t run = ronde__piece_seek(cursor, from);
        run = run < to - from ? run : to - from;
        if (cursor->piece->out)
            ronde__node_copy_out(node, cursor->piece->out + (from - cursor->start) * size, place,
                                 run * size);
        place += run * size;
        from += run;
    }
}

void ronde__node_copy_out(const struct node *node, char *out, const char *from, size_t bytes)
{
    copy(out, from, bytes, node->out_past);
}
