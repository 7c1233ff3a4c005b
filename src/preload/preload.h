/* libronde-mpi.so: takes over MPI's collectives where Ronde is faster, and hands everything else to
 * PMPI. Used by LD_PRELOAD; docs/drop-in.md tells users.
 *
 * preload.c          what is decided about this process, and what was taken
 * preload_comm.c     what is known of a communicator, opening it, waiting
 * preload_rows.c     which sizes are covered, by rows of data
 * preload_types.c    MPI's types and ops as Ronde's
 * preload_reduce.c   allreduce, reduce, reduce-scatter, barrier
 * preload_move.c     broadcast, allgather(v), all-to-all(v)
 * preload_entry.c    the C symbols: take it, or pass it on
 * preload_fortran.c  Open MPI's Fortran symbols; MPICH's call the C ones
 *
 * Two rules hold all of it together. Whether a call is taken is decided from what MPI guarantees to
 * be alike on all ranks, so that all decide alike; what only this rank knows (which type describes
 * the bytes, say) is told to the others before it counts. And whoever waits here drives MPI, as
 * MPI's own collectives do: another rank may wait for a message of ours that is still under way.
 *
 * Only PMPI_ is called, so nothing here calls itself. All of it lies on one node: ranks of several
 * nodes are passed on. Collectives on one communicator come from one thread at a time, as MPI asks;
 * different communicators know nothing of each other. */
#ifndef RONDE_PRELOAD_PRELOAD_H
#define RONDE_PRELOAD_PRELOAD_H

#include <mpi.h>
#include <stdatomic.h>

#include "base/bell.h"
#include "collectives/node.h"
#include "net/net.h"
#include "reduce/reduce.h"
#include "shm/region.h"

enum preload_kind {
    PRELOAD_ALLREDUCE,
    PRELOAD_REDUCE,
    PRELOAD_REDUCE_SCATTER,
    PRELOAD_BROADCAST,
    PRELOAD_ALLGATHER,
    PRELOAD_ALLTOALL,
    PRELOAD_ALLTOALLV,
    PRELOAD_BARRIER,
    PRELOAD_KINDS
};

/* ---- the process ----------------------------------------------------------------------------- */

struct preload_process {
    int takes;    /* 0: everything is passed on */
    int logs;     /* RONDE_MPI=log */
    int all;      /* RONDE_MPI=all: whatever can be taken is, at once; for tests and measurements */
    int rank;     /* of MPI_COMM_WORLD */
    int has_cpus; /* each rank of the node has a CPU: waiting spins, as MPI's does */
    int keyval;   /* of what is attached to a communicator */
};

/* What is decided, at the first call after MPI_Init; NULL before it and from MPI_Finalize on. */
const struct preload_process *ronde__preload_process(void);
/* MPI_Finalize begins. */
void ronde__preload_finish(void);
/* Counts a call, for the log. Returns `taken`. */
int ronde__preload_note(enum preload_kind kind, int taken);
/* A line on standard error, where RONDE_MPI=log. */
void ronde__preload_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- a communicator -------------------------------------------------------------------------- */

/* The same bytes on all ranks: what each rank sends and expects in an all-to-all. */
struct preload_demand {
    uint64_t usable; /* 0: this rank cannot take part */
    uint64_t sends, receives;
};

struct preload {
    struct net net; /* only its allgather works: over PMPI, on the user's communicator */
    MPI_Comm comm;
    enum { PRELOAD_UNOPENED, PRELOAD_OPEN, PRELOAD_REFUSED } state;
    double owed_ns; /* what it would have gained, had it been open */
    int skipped[PRELOAD_KINDS], to_skip[PRELOAD_KINDS]; /* ronde__preload_in_vain */
    struct region region;
    struct bell **bells; /* [ranks] */
    struct node node;
    struct patience patience;
    int64_t waiting_since;
    unsigned idle_steps, steps_per_look;
    int yields;                    /* ranks outnumber CPUs */
    struct node_run *runs;         /* [ranks] */
    struct piece *pieces;          /* [ranks] */
    struct preload_demand *demand; /* [ranks x ranks] */
};

/* What is attached to the communicator, made at its first call. NULL: pass the call on. */
struct preload *ronde__preload_of(MPI_Comm comm);
/* Whether a call of this kind and size is to be taken; alike on all ranks, and called by all, since
 * it opens the communicator once that has paid. */
int ronde__preload_covers(struct preload *preload, enum preload_kind kind, size_t bytes);
/* All have agreed to pass on a call of a covered kind and size, and says so by returning 0. Asking
 * costs, so where it is in vain time after time, ever more calls are passed on unasked. */
int ronde__preload_in_vain(struct preload *preload, enum preload_kind kind);
/* Runs what was started on the node to its end. */
void ronde__preload_run(struct preload *preload);
/* All ranks say how many bytes they understand, 0 where they cannot take part. 1 where all said the
 * same, but not 0. Collective. */
int ronde__preload_agree(struct preload *preload, size_t bytes);

/* Whether rows say that it is covered, and about how much is gained. */
int ronde__preload_row(enum preload_kind kind, int ranks, size_t bytes, double *gain_ns);

/* ---- types ----------------------------------------------------------------------------------- */

/* After MPI_Init, once. */
void ronde__preload_learn_types(void);
/* 1 where Ronde computes what MPI says of this type and op. */
int ronde__preload_reduction(MPI_Datatype type, MPI_Op op, struct reduction *reduction);
/* Bytes of data of an element. *plain: it lies in memory as it is, without holes, at its address.
 */
size_t ronde__preload_type_bytes(MPI_Datatype type, int *plain);

/* ---- the calls ------------------------------------------------------------------------------- */

/* Arguments are MPI's. 1: done, with success. 0: nothing happened, pass it on. */
int ronde__preload_allreduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op,
                             MPI_Comm comm);
int ronde__preload_reduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op,
                          int root, MPI_Comm comm);
/* counts NULL: `count` for every rank. */
int ronde__preload_reduce_scatter(const void *in, void *out, const int *counts, int count,
                                  MPI_Datatype type, MPI_Op op, MPI_Comm comm);
int ronde__preload_barrier(MPI_Comm comm);
int ronde__preload_broadcast(void *buffer, int count, MPI_Datatype type, int root, MPI_Comm comm);

/* One side of a move: counts NULL: `count` for every rank, one after the other. */
struct preload_side {
    const char *memory;
    int count;
    const int *counts, *at; /* [ranks], in elements */
    MPI_Datatype type;
};

int ronde__preload_allgather(const struct preload_side *in, const struct preload_side *out,
                             MPI_Comm comm);
int ronde__preload_alltoall(const struct preload_side *in, const struct preload_side *out,
                            MPI_Comm comm);

#endif
