/* One rank's wish, from the front door to its handle; and what ranks must agree on about it. */
#ifndef RONDE_COORDINATOR_REQUEST_H
#define RONDE_COORDINATOR_REQUEST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum kind { KIND_ALLREDUCE, KIND_BROADCAST, KIND_ALLGATHER };
enum { KINDS = KIND_ALLGATHER + 1 };
const char *ronde__kind_name(enum kind kind);

/* The name under which ranks meet to close; users cannot pass one of this form. */
#define COORDINATOR_CLOSING "allgather#closing"

enum { SHAPE_DIMENSIONS = 16, NAME_BYTES = 1000 };

/* What must be the same on all ranks; of an allgather's shape the first entry may differ. */
struct signature {
    uint8_t kind, dtype, op, dimensions;
    int32_t root;
    double prescale, postscale;
    uint64_t shape[SHAPE_DIMENSIONS];
};

int ronde__signature_equal(const struct signature *a, const struct signature *b);
/* Elements; for an allgather, of one row. */
size_t ronde__signature_count(const struct signature *signature);
/* A malloc'd sentence that names the first difference and both values, or NULL where there is no
 * memory. */
char *ronde__signature_conflict(const char *name, const struct signature *a, int rank_a,
                                const struct signature *b, int rank_b);

enum request_state { REQUEST_FREE, REQUEST_RUNNING, REQUEST_DONE };

struct request {
    /* of the handle table */
    uint32_t index, generation;
    _Atomic int32_t state; /* enum request_state; DONE is stored with release */
    int waited;            /* a thread waits on it */
    struct request *next;  /* in the free list, the queue, or the list of bins */

    /* of the caller, until done */
    struct signature signature;
    struct tensor *tensor;
    const void *in;
    void *out;
    size_t count;          /* elements; of this rank's own rows for an allgather */
    size_t rows, out_rows; /* allgather */
    size_t *rows_by_rank;
    int allocate; /* the library makes the output */

    /* of the coordinator */
    uint64_t *all_rows; /* [size], malloc'd: what the allgather's decision said */
    int announced, decided;
    int last_of_bin;

    /* of the result */
    int32_t status;
    char *text; /* of the error, malloc'd; NULL: none */
    void *made; /* the library's output, until taken */
    size_t made_rows;
};

#endif
