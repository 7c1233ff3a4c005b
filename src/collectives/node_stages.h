/* What the node's operations share. Internal to collectives/node_*.c. */
#ifndef RONDE_COLLECTIVES_NODE_STAGES_H
#define RONDE_COLLECTIVES_NODE_STAGES_H

#include <string.h>

#include "collectives/node.h"

/* From here a final output is larger than a core's part of the caches, and storing it past them
 * saves reading it first. */
enum { STREAM_BYTES = 16 << 20 };

/* The small slot in which `rank` arrives at the running operation. */
static inline struct arrival *ronde__node_arrival(const struct node *node, int rank)
{
    return &node->slots.of[rank].arrival[node->operation % 2];
}

/* 1 where all have arrived at `operation` (the running one or the one before). */
int ronde__node_all_arrived(struct node *node, uint64_t operation);
/* Says that this rank has arrived at the running operation; the slot is filled before. */
void ronde__node_arrive(struct node *node);

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

/* Sets this rank's counter and rings the others. */
void ronde__node_publish(struct node *node, _Atomic uint64_t *counter, uint64_t value);

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

/* Copies [from, to) of the virtual buffer between the pieces and a contiguous place. */
void ronde__node_gather(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                        char *place);
void ronde__node_scatter(struct node *node, struct piece_cursor *cursor, size_t from, size_t to,
                         const char *place);

static inline struct piece_cursor ronde__node_first_piece(const struct node *node)
{
    return (struct piece_cursor){node->work.pieces, 0};
}

#endif
