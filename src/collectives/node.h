/* Collectives among the ranks of one node, through its shared slots and arenas.
 *
 * One operation runs at a time; all ranks of the node start the same operations in the same order.
 * start prepares, step runs as far as it can without blocking and returns RONDE__IDLE,
 * RONDE__MOVED or RONDE__DONE. Buffers and lists stay the caller's until DONE. One thread at a
 * time.
 *
 * The order of addition is the order of local ranks for every element, whatever the path. */
#ifndef RONDE_COLLECTIVES_NODE_H
#define RONDE_COLLECTIVES_NODE_H

#include "base/piece.h"
#include "collectives/stores.h"
#include "reduce/reduce.h"
#include "shm/arena.h"
#include "shm/slots.h"

struct node;

/* What the running operation works on. */
struct node_work {
    const struct piece *pieces; /* this rank's list; counts are the same on all ranks. An `out` that
                                   is NULL: this rank does not want the result of that piece */
    int32_t piece_count;
    size_t count; /* elements of all pieces */
    size_t element_bytes;
    size_t wire_element_bytes; /* of a reduce to wire: of the result there */
    const struct reduction *reduction;
    /* Of an allreduce or reduce to wire: who contributes, by local rank, alike on all; NULL: all.
     * Of a rank that does not, every `in` may be NULL. */
    const unsigned char *present;
    const double *weights; /* by local rank, alike on all: of each contribution; NULL: none */
    int root;              /* local rank */
};

/* A rank's run of bytes in an exchange. */
struct node_run {
    size_t bytes; /* in all, alike on all ranks */
    size_t from;  /* this rank wants [from, from + wanted) of it ... */
    size_t wanted;
    char *out; /* ... here */
};

/* What is learnt of storing results: where they are, and sizes four times apart, from 16 KiB up. */
enum { NODE_OUT_PRIVATE, NODE_OUT_ARENA, NODE_OUT_IN_PLACE, NODE_OUTS, NODE_OUT_SIZES = 6 };

/* A rank's own view of its node in one communicator. */
struct node {
    int me, ranks;
    struct slots slots;
    const struct arena *arena; /* NULL: none */
    const int *arena_ranks;    /* whose part of it is whose; NULL: as numbered */
    uint64_t operation;        /* the number of the running, or last, operation */
    uint64_t slice;            /* slices of all operations before the running one */
    uint64_t arrived_all;      /* all are known to have arrived at this operation */
    int polls;                 /* how often to look for the others before ringing them */
    int unrung;                /* this rank has arrived, and the others were not rung yet */
    int32_t (*stage)(struct node *);
    struct node_work work;
    const struct node_run *runs; /* of an exchange */
    size_t slice_count;          /* elements per slice of this operation */
    uint64_t slices;             /* slices of this operation */
    uint64_t next_in, next_reduce, next_out;
    struct piece_cursor in_at, reduce_at, out_at;
    size_t at;                                       /* how far the zero-copy pass has come */
    struct stores to_slots;                          /* how to store into the slots */
    struct stores to_out[NODE_OUTS][NODE_OUT_SIZES]; /* ... and results */
    struct stores *out;    /* of the running operation; NULL: through the caches */
    int out_past;          /* results go past the caches now */
    int contributors;      /* sources of a reduction ... */
    int own;               /* ... which of them is mine; -1: none */
    int *members;          /* [contributors] their local ranks, in order */
    const double *weights; /* [contributors] NULL: none */
    double *some_weights;  /* [ranks] scratch: of those present */
    const void **sources;  /* [ranks] scratch */
    char **places;         /* [ranks] scratch */
};

/* slots: laid out by the caller, shared by `ranks` ranks. spins: 1 where each rank has a CPU, so
 * that looking twice is cheaper than waking. RONDE_ERR_MEMORY. */
int32_t ronde__node_open(struct node *node, const struct slots *slots, int me,
                         const struct arena *arena, const int *arena_ranks, int spins);
void ronde__node_close(struct node *node);

/* Every rank's pieces combined, to every rank's pieces. */
void ronde__node_start_allreduce(struct node *node, const struct node_work *work);
/* Every rank's pieces combined, to the node's wire buffer; DONE when all of it is there. Where
 * nobody of the node contributes, what changes nothing is there. count x wire_element_bytes is at
 * most wire_bytes. The buffer is free again when the next operation starts. */
void ronde__node_start_reduce_to_wire(struct node *node, const struct node_work *work);
/* The root's `in`, to every rank's `out`. */
void ronde__node_start_broadcast(struct node *node, const struct node_work *work);
/* Every rank lays out a run of bytes, and takes from everybody's (its own too) the part that it
 * wants: allgather, gather, scatter and all-to-all. runs: by local rank; mine: the pieces, in
 * bytes, that make up this rank's run (`out` is not looked at). A part that would be copied onto
 * itself (allgather in place) is left alone; otherwise in and out do not overlap. */
void ronde__node_start_exchange(struct node *node, const struct node_run *runs,
                                const struct piece *mine, int32_t pieces);
/* DONE when all ranks have started it. */
void ronde__node_start_barrier(struct node *node);

/* Of the running operation; `node` is a struct node *. */
int32_t ronde__node_step(void *node);

#endif
