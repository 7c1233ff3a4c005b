/* What the node's operations share. Internal to collectives/node_*.c. */
#ifndef RONDE_COLLECTIVES_NODE_STAGES_H
#define RONDE_COLLECTIVES_NODE_STAGES_H

#include <string.h>

#include "base/bell.h"
#include "collectives/node.h"

enum {
    /* From here zero-copy, with its two synchronisations, is as fast as small slots. */
    NODE_MEDIUM_BYTES = 4 << 10,
    /* From here a result is larger than a core's own cache, and it is tried whether to store it
     * past the caches; smaller ones the caller finds there. */
    NODE_TRY_PAST_BYTES = 1 << 20,
    /* From here it is larger than a core's part of all caches. */
    NODE_LARGE_BYTES = 16 << 20
};

/* Begins an operation on this work. */
void ronde__node_begin(struct node *node, const struct node_work *work);
/* Results are `bytes` in all, and of that kind. */
void ronde__node_expect_out(struct node *node, int kind, size_t bytes);
/* ... in private memory, as every operation begins. */
void ronde__node_expect_private(struct node *node, size_t bytes);
/* Around storing `bytes` of results: sets node->out_past. */
void ronde__node_begin_out(struct node *node, size_t bytes);
void ronde__node_end_out(struct node *node, size_t bytes);

/* ---- arriving -------------------------------------------------------------------------------- */

/* The small slot in which `rank` arrives at the running operation. */
static inline struct arrival *ronde__node_arrival(const struct node *node, int rank)
{
    return &node->slots.of[rank].arrival[node->operation % 2];
}

/* Where so many bytes lie in it: few travel in the line of the announcement. */
static inline char *ronde__node_small(struct arrival *slot, size_t bytes)
{
    return bytes <= sizeof(slot->tiny) ? slot->tiny : slot->data;
}

/* 1 where all have arrived at `operation` (the running one or the one before). */
int ronde__node_all_arrived(struct node *node, uint64_t operation);
/* Says that this rank has arrived at the running operation; the slot is filled before. */
void ronde__node_arrive(struct node *node);
/* 1 where all have arrived with a word that is not 0. Every rank sees the same words, so all go the
 * same way. */
int ronde__node_all_agree(const struct node *node);

/* The same for an operation that all others answer at once, where ringing them first would cost as
 * much as their answer: a fence waits for the store to get through. So look for the answers a
 * little while, and ring afterwards: before this rank reports to be idle, and at the latest when
 * the operation is done (ronde__node_ring_late). */
void ronde__node_arrive_quietly(struct node *node);
int ronde__node_all_answered(struct node *node);
/* Fetches this rank's slot of the next operation for writing: everybody has arrived here, so nobody
 * reads any more what the operation before left there. Else the next arrival would first have to
 * take its line back from the readers, which doubles the time of a small operation. */
static inline void ronde__node_own_next(struct node *node)
{
#if defined(__x86_64__)
    const struct arrival *next = &node->slots.of[node->me].arrival[(node->operation + 1) % 2];
    __asm__ volatile("prefetchw %0" ::"m"(next->operation));
    if (node->work.count * node->work.element_bytes > sizeof(next->tiny))
        for (size_t at = 0; at < 256 && at < node->work.count * node->work.element_bytes; at += 64)
            __asm__ volatile("prefetchw %0" ::"m"(next->data[at]));
#else
    (void)node;
#endif
}
static inline void ronde__node_ring_late(struct node *node)
{
    if (node->unrung)
        ronde__bell_ring_others(node->slots.bells, node->ranks, node->me);
    node->unrung = 0;
}

/* ---- slices ---------------------------------------------------------------------------------- */

/* One of the three counters of slices, of every rank at least `value`? */
static inline int ronde__node_all_at_least(const struct node *node, size_t counter, uint64_t value)
{
    for (int rank = 0; rank < node->ranks; rank++) {
        const char *slots = (const char *)&node->slots.of[rank];
        const _Atomic uint64_t *word = (const _Atomic uint64_t *)(const void *)(slots + counter);
        /* pairs with the release in ronde__node_publish */
        if (rank != node->me && atomic_load_explicit(word, memory_order_acquire) < value)
            return 0;
    }
    return 1;
}

#define NODE_IN offsetof(struct rank_slots, in)
#define NODE_REDUCED offsetof(struct rank_slots, reduced)
#define NODE_OUT offsetof(struct rank_slots, out)

static inline struct rank_slots *ronde__node_mine(const struct node *node)
{
    return &node->slots.of[node->me];
}

/* Sets this rank's counter and rings the others. */
void ronde__node_publish(struct node *node, _Atomic uint64_t *counter, uint64_t value);

/* 1 where this rank's slot of slice `next_in` may be written. */
static inline int ronde__node_slot_is_free(const struct node *node)
{
    uint64_t slice = node->slice + node->next_in;
    return slice < node->slots.count ||
           ronde__node_all_at_least(node, NODE_OUT, slice - node->slots.count + 1);
}

/* Share of `rank` in n elements: [*from, *to), cut at cache lines of the virtual buffer. */
void ronde__node_share(const struct node *node, size_t n, int rank, size_t *from, size_t *to);

/* Begins the slices of an operation in whose slots `slice_count` elements fit. */
void ronde__node_begin_slices(struct node *node, size_t slice_count);
/* Ends the operation, all of whose slices are through. */
int32_t ronde__node_end_slices(struct node *node);

/* The elements of slice s: [*from, *to) of the virtual buffer. */
static inline void ronde__node_slice(const struct node *node, uint64_t s, size_t *from, size_t *to)
{
    *from = (size_t)s * node->slice_count;
    size_t left = node->work.count - *from;
    *to = *from + (left < node->slice_count ? left : node->slice_count);
}

/* ---- zero-copy ------------------------------------------------------------------------------- */

enum { NODE_STEP_BYTES = 1 << 20 }; /* so that a step stays short against a millisecond */

/* Where `rank` says that its tensors lie, in the running operation. */
static inline struct board_entry *ronde__node_board(const struct node *node, int rank)
{
    return node->slots.of[rank].board[node->operation % 2];
}

/* The address here of an offset in that rank's arena. */
static inline char *ronde__node_arena_at(const struct node *node, int rank, int64_t offset)
{
    int part = node->arena_ranks ? node->arena_ranks[rank] : rank;
    return ronde__arena_at(node->arena, part, offset);
}

/* This rank has read and written the others' memory; DONE when nobody uses its own any more. The
 * operation counts as one slice. */
int32_t ronde__node_leave(struct node *node);

/* A large allreduce: says where this rank's tensors lie, 0 where that cannot be said; and begins
 * where all have said so (node_arena.c). */
uint32_t ronde__node_fill_board(struct node *node);
void ronde__node_begin_in_arena(struct node *node);

/* ---- pieces ---------------------------------------------------------------------------------- */

/* Copies [from, to) of the virtual buffer between the pieces and a contiguous place. What is not
 * wanted is not scattered. */
void ronde__node_gather(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                        char *place);
/* The same to a place in this rank's slices. */
void ronde__node_fill_slot(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                           char *place);
void ronde__node_scatter(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                         const char *place);
/* Copies to the final output. */
void ronde__node_copy_out(const struct node *node, char *out, const char *from, size_t bytes);

/* The sources [contributors] combined, weighted where there are weights. */
static inline void ronde__node_combine_to(const struct node *node, const struct destination *to,
                                          size_t count)
{
    const struct reduction *reduction = node->work.reduction;
    if (node->contributors)
        ronde__reduce_to(reduction, to, node->sources, node->weights, node->contributors, count);
    else {
        ronde__reduce_identity(reduction, to->dst, count);
        if (to->also)
            memcpy(to->also, to->dst, count * node->work.element_bytes);
    }
}

static inline void ronde__node_combine(const struct node *node, void *dst, size_t count)
{
    const struct destination to = {.dst = dst};
    ronde__node_combine_to(node, &to, count);
}

static inline struct piece_cursor ronde__node_first_piece(const struct node *node)
{
    return (struct piece_cursor){node->work.pieces, 0};
}

#endif
