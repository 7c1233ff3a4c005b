/* Input and output in one kind of memory, touched once so that no page fault is timed. */
#ifndef RONDE_PERF_BUFFERS_H
#define RONDE_PERF_BUFFERS_H

#include "options.h"
#include "work.h"

struct buffers {
    char *in, *out; /* NULL where none were made */
    enum memory memory;
    int in_place; /* `in` is memory of `out` */
};

/* Room for `out_bytes` of results and `in_bytes` of contributions. An error ends the program. */
void buffers_make(struct buffers *buffers, ronde_context *context, enum memory memory,
                  size_t in_bytes, size_t out_bytes, int in_place);

/* In place, makes the contribution lie `offset_bytes` into the results; else does nothing. */
void buffers_place_input(struct buffers *buffers, size_t offset_bytes);

void buffers_free(struct buffers *buffers, ronde_context *context);

#endif
