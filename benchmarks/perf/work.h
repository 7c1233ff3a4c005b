/* What is timed: the pieces of memory that one operation (or one step) works on, and the ways of
 * doing it, called variants: an implementation, a path and a kind of memory. */
#ifndef RONDE_PERF_WORK_H
#define RONDE_PERF_WORK_H

#include <stddef.h>
#include <stdint.h>

#include "ronde.h"

/* One tensor, somewhere in a buffer. */
struct piece {
    char name[64];
    size_t count;
    size_t offset_bytes;
};

struct pieces {
    struct piece *at;
    size_t number;
    size_t count;      /* of all */
    size_t span_bytes; /* from the first byte to the last, with the gaps */
};

/* One size, or one list, on all ranks. An allgather's piece is one rank's contribution. */
struct work {
    int collective; /* enum collective */
    int32_t dtype, op, root;
    int rank, ranks, hosts;
    int in_place;
    size_t element_bytes;
    size_t bytes;     /* of a rank's result, which is what rows call the size */
    size_t count;     /* of elements: of the result, or contributed by each rank of an allgather */
    const char *list; /* NULL unless the work is a step */
    ronde_context *context;
};

struct variant {
    const char *impl, *path, *memory; /* as rows name them */
    const char *algo, *wire;          /* NULL: not chosen */
    ronde_context *context;           /* of Ronde's */
    const ronde_call *call;
    void (*run)(const struct work *work, const struct variant *variant);
    const struct pieces *pieces;
    char *in, *out;
    uint64_t *handles; /* one for each piece, for what is submitted before it is waited for */
    void *state;       /* of the implementation, if it keeps any */
    int from_first;    /* timed from the first rank's start: its ranks do not wait for each other */
    size_t wrong;      /* elements, over all ranks */
    double estimate_us; /* of one call */
    double min_us, p50_us, p99_us;
};

/* One operation on every piece, start to end; an error ends the program. */
void named_run(const struct work *work, const struct variant *variant);
void direct_run(const struct work *work, const struct variant *variant);
void mpi_run(const struct work *work, const struct variant *variant);
/* NULL, or why MPI cannot do this work (static text). */
const char *mpi_refuses(const struct work *work, size_t largest_count);

/* Gloo, if its shim was built. gloo_open, gloo_prepare and gloo_close are collective. gloo_open and
 * gloo_refuses: NULL, or why not, until the next call. gloo_prepare chooses for each piece the
 * fastest of Gloo's ways; gloo_drop undoes it. */
const char *gloo_open(const struct work *work);
void gloo_close(void);
const char *gloo_refuses(const struct work *work, size_t largest_count);
void gloo_prepare(const struct work *work, struct variant *variant);
void gloo_run(const struct work *work, const struct variant *variant);
void gloo_drop(struct variant *variant);
/* What no allreduce of private memory can beat: every rank reads its contributions once and writes
 * as many bytes of results once, all at the same time, by memcpy or by streaming stores. */
void floor_copy_run(const struct work *work, const struct variant *variant);
void floor_stream_run(const struct work *work, const struct variant *variant);
const char *floor_refuses(const struct work *work);
/* Elements that were not copied. */
size_t floor_wrong(const struct work *work, const struct variant *variant);

/* Prints one line with this process's rank, and ends all ranks. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
