/* One rank's wish, from the front door to its handle; and what ranks must agree on about it. */
#ifndef RONDE_COORDINATOR_REQUEST_H
#define RONDE_COORDINATOR_REQUEST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/select.h"

enum kind {
    KIND_ALLREDUCE,
    KIND_BROADCAST,
    KIND_ALLGATHER,
    KIND_REDUCE,
    KIND_REDUCESCATTER,
    KIND_ALLTOALL,
    KIND_GATHER,
    KIND_SCATTER,
    KIND_SPARSE, /* allreduce of indices and rows */
    KIND_BARRIER,
    KIND_JOIN,
    KIND_SEND, /* on the wire of both ends */
    KIND_RECV
};
enum { KINDS = KIND_RECV + 1 };
const char *ronde__kind_name(enum kind kind);
/* The user's name of a tensor: pairs have their ranks before it. Of an operation of the library's own,
 * the call that submits it. */
const char *ronde__shown_name(int kind, const char *name);
struct signature;
/* That call, or NULL: it is a user's operation. The signature, where it is known, tells calls that
 * gather apart. */
const char *ronde__call_name(int kind, const char *name, const struct signature *signature);

/* What all ranks meet for by a gather, so that those that call something else are told. */
enum gathering {
    GATHERING_OPEN,
    GATHERING_ADD,
    GATHERING_SPLIT,
    GATHERING_LISTS,
    GATHERING_REMOVE,
    GATHERING_PART /* a later meeting of one of them */
};
/* The call's; `what` may have come from elsewhere. */
const char *ronde__gathering_name(int32_t what);

/* The names under which ranks meet to close, and for calls that gather; users cannot pass any of this
 * form. */
#define COORDINATOR_CLOSING "allgather#closing"
#define COORDINATOR_GATHERING "allgather#calls"
/* The one name of joins. */
#define COORDINATOR_JOIN "join#"

enum {
    SHAPE_DIMENSIONS = 16,
    NAME_BYTES = 1000,          /* of a user's name */
    NAME_ROOM = NAME_BYTES + 32 /* with the ranks of a pair before it: "3>5:name" */
};

enum signature_flag {
    SIGNATURE_DIVIDE_SIZE = 1, /* an average divides by all ranks, joined ones too */
    SIGNATURE_SPLITS = 2       /* an all-to-all whose splits were given */
};

/* What must be the same on all ranks; where rows may differ, the first entry of the shape may. */
struct signature {
    uint8_t kind, dtype, op, dimensions;
    uint8_t flags; /* enum signature_flag */
    uint8_t wire;  /* enum ronde_wire */
    int32_t root;  /* global rank; of a send or receive, the sender */
    double prescale, postscale;
    uint64_t group;      /* 0: none; else what identifies the group ... */
    uint32_t group_size; /* ... and its number of tensors */
    uint64_t shape[SHAPE_DIMENSIONS];
};

/* As an assignment, without the part of the shape that is not used. */
static inline void ronde__signature_copy(struct signature *to, const struct signature *from)
{
    __builtin_memcpy(to, from, offsetof(struct signature, shape));
    for (int i = 0; i < from->dimensions; i++)
        to->shape[i] = from->shape[i];
}
int ronde__signature_equal(const struct signature *a, const struct signature *b);
/* Elements; where rows may differ by rank, of one row. */
size_t ronde__signature_count(const struct signature *signature);
/* Bytes of all elements of a reduction or broadcast. */
size_t ronde__signature_bytes(const struct signature *signature);
/* The dtype in which its sums cross the network, in how many bytes, and by which algorithm. */
int32_t ronde__signature_wire_dtype(const struct signature *signature);
size_t ronde__signature_wire_bytes(const struct signature *signature);
enum algorithm ronde__signature_algorithm(const struct signature *signature,
                                          const struct select_table *table, int nodes);
/* Elements of one row of a kind that has rows. */
size_t ronde__signature_row_count(const struct signature *signature);
/* A malloc'd sentence that names the first difference and both values, or NULL where there is no
 * memory. */
char *ronde__signature_conflict(const char *name, const struct signature *a, int rank_a,
                                const struct signature *b, int rank_b);

/* Kinds whose ranks tell a number each, which the decision lists by rank: rows, or a weight. */
int ronde__signature_is_weighted(const struct signature *signature);
int ronde__signature_has_rows(const struct signature *signature);

enum request_state { REQUEST_FREE, REQUEST_RUNNING, REQUEST_DONE };

struct request {
    /* of the handle table */
    uint32_t index, generation;
    _Atomic int32_t state; /* enum request_state; DONE is stored with release */
    int waited;            /* a thread waits on it */
    int staged;            /* in a group that has not ended */
    struct request *next;  /* in the free list, the queue, or the list of bins */

    /* of the caller, until done */
    struct set *set;
    struct tensor *tensor;
    const void *in;
    void *out;
    size_t count;          /* elements of this rank's input */
    size_t rows, out_rows; /* of the input; room in the output */
    size_t *rows_by_rank;  /* out: rows of each rank, or (scatter, reduce-scatter) NULL */
    size_t *received;      /* out: rows that came */
    int32_t peer;          /* of a send or receive: rank of the set */
    int32_t *last_rank;    /* out, of a join */
    const int64_t *indices;
    uint64_t
        *words; /* what this rank tells: malloc'd (rank, word) pairs; NULL: its rows or weight */
    size_t *splits; /* of an all-to-all, or of a scatter's root: malloc'd rows by rank */
    double weight;
    double deadline;       /* seconds; 0: none */
    int allocate;          /* the library makes the output */
    struct request *mates; /* of its group: a ring through all of them; NULL: none */
    int finished;          /* done, but not all of its group are */

    /* of the coordinator */
    uint64_t *all_rows;     /* [size], malloc'd: what the decision said; NULL: nothing */
    unsigned char *present; /* [size], malloc'd: who contributes; NULL: all */
    int announced, decided;
    uint64_t announced_seen; /* decisions followed by then */
    int last_of_bin;
    int ghost;         /* this rank has joined: nobody waits for it here, nothing is contributed */
    uint8_t algorithm; /* enum algorithm, between nodes */
    uint64_t lamport;
    int64_t submitted_ns, decided_ns; /* for the timeline */

    /* of the result */
    int32_t status;
    char *text; /* of the error, malloc'd; NULL: none */
    void *made; /* the library's output, until taken */
    int64_t *made_indices;
    size_t made_rows;

    struct signature
        signature; /* the last, and its shape the last of that: most of it is not used */
};

#endif
