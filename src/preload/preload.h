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

/* Bytes, both ends included; least > most: none. */
struct preload_span {
    size_t least, most;
};

/* The last answer about a reduction. Only predefined types and ops are ever understood, and their
 * handles mean the same for ever. */
struct preload_known {
    MPI_Datatype type;
    MPI_Op op;
    int is_known, understood;
    struct reduction reduction;
    size_t element_bytes;
};

struct preload {
    struct net net; /* only its allgather works: over PMPI, on the user's communicator */
    MPI_Comm comm;
    enum { PRELOAD_UNOPENED, PRELOAD_OPEN, PRELOAD_REFUSED } state;
    double owed_ns; /* what it would have gained, had it been open */
    int is_brief;   /* calls are not counted: passing one on leaves no trace */
    struct preload_span spans[PRELOAD_KINDS]; /* outside of these no row says anything */
    struct preload_known known;
    MPI_Datatype plain_type; /* the last that is a run of plain_bytes bytes; 0 of them: none */
    size_t plain_bytes;
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
/* The bytes from the least to the most that any row covers. */
struct preload_span ronde__preload_span(enum preload_kind kind, int ranks);
static inline int ronde__preload_may_cover(const struct preload *preload, enum preload_kind kind,
                                           size_t bytes)
{
    return bytes >= preload->spans[kind].least && bytes <= preload->spans[kind].most;
}

/* ---- the short way out ----------------------------------------------------------------------- */

/* The last communicator that this thread has used. A handle means another communicator only after
 * the old one was freed, which advances the era. */
struct preload_last {
    MPI_Comm comm;
    struct preload *preload;
    unsigned era;
};
#define PRELOAD_HIDDEN __attribute__((visibility("hidden")))
extern PRELOAD_HIDDEN atomic_uint ronde__preload_era;
extern PRELOAD_HIDDEN _Thread_local struct preload_last ronde__preload_last
    __attribute__((tls_model("initial-exec")));

static inline struct preload *ronde__preload_last_of(MPI_Comm comm)
{
    const struct preload_last *last = &ronde__preload_last;
    return last->comm == comm &&
                   last->era == atomic_load_explicit(&ronde__preload_era, memory_order_relaxed)
               ? last->preload
               : NULL;
}

/* 1 where a call certainly is to be passed on, and nothing else is to be done about it. Most calls
 * are small, and MPI takes some 0.2 us for them: looking properly would be seen. */
static inline int ronde__preload_passes(enum preload_kind kind, int count, MPI_Datatype type,
                                        MPI_Comm comm)
{
    const struct preload *preload = ronde__preload_last_of(comm);
    if (!preload || !preload->is_brief || preload->plain_type != type)
        return 0;
    int is_shared = kind == PRELOAD_ALLGATHER || kind == PRELOAD_ALLTOALL ||
                    kind == PRELOAD_REDUCE_SCATTER;
    size_t parts = is_shared ? (size_t)preload->net.size : 1;
    return !ronde__preload_may_cover(preload, kind, (size_t)count * parts * preload->plain_bytes);
}

/* ---- types ----------------------------------------------------------------------------------- */

/* After MPI_Init, once. */
void ronde__preload_learn_types(void);
/* 1 where Ronde computes what MPI says of this type and op. */
int ronde__preload_reduction(MPI_Datatype type, MPI_Op op, struct reduction *reduction);
/* Bytes of data of an element. *plain: it lies in memory as it is, without holes, at its place. */
size_t ronde__preload_type_bytes(struct preload *preload, MPI_Datatype type, int *plain);

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
