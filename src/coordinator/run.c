/* Running what was decided: a bin at a time, in the order of the decisions. */
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

static int32_t bin_size(const struct request *first)
{
    int32_t n = 1;
    for (const struct request *r = first; !r->last_of_bin; r = r->next)
        n++;
    return n;
}

/* ---- starting; RONDE__DONE where there is nothing to do -------------------------------------- */

static int32_t start_allreduce(struct coordinator *c, const struct request *first)
{
    const struct signature *s = &first->signature;
    int32_t n = bin_size(first);
    if (n > c->piece_room) {
        struct piece *grown = realloc(c->pieces, (size_t)n * sizeof(*grown));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for a bin of %d tensors", n);
        c->pieces = grown;
        c->piece_room = n;
    }
    size_t count = 0;
    const struct request *r = first;
    for (int32_t i = 0; i < n; i++, r = r->next) {
        c->pieces[i] = (struct piece){r->in, r->out, r->count};
        count += r->count;
    }
    if (!count)
        return RONDE__DONE;
    struct reduction whole = ronde__reduction(s->dtype, s->op, s->prescale, s->postscale,
                                              (uint32_t)c->net->size);
    enum algorithm algorithm = ronde__select(&c->select, first->count * ronde_dtype_bytes(s->dtype),
                                             c->net->nodes);
    int32_t status = ronde__communicator_start_allreduce(&c->communicator, c->pieces, n, &whole,
                                                         algorithm);
    return status ? status : RONDE__MOVED;
}

static int32_t start_broadcast(struct coordinator *c, const struct request *request)
{
    size_t bytes = request->count * ronde_dtype_bytes(request->signature.dtype);
    if (!bytes)
        return RONDE__DONE;
    int32_t status = ronde__communicator_start_broadcast(&c->communicator, request->in,
                                                         request->out, bytes,
                                                         request->signature.root);
    return status ? status : RONDE__MOVED;
}

static size_t row_bytes(const struct request *request)
{
    return ronde__signature_count(&request->signature) *
           ronde_dtype_bytes(request->signature.dtype);
}

static int overlap(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_bytes && y < x + a_bytes;
}

/* Where the gathered rows go: the caller's output if they fit, else memory of ours. */
static int32_t place_gather(struct coordinator *c, struct request *request, size_t bytes,
                            size_t before, const void **in, void **out)
{
    size_t mine = request->rows * row_bytes(request);
    int fits = !request->allocate && request->made_rows <= request->out_rows;
    *in = request->in;
    *out = request->out;
    if (!fits) {
        c->gather_out = malloc(bytes);
        *out = c->gather_out;
    } else if (mine && overlap(*in, mine, *out, bytes) && *in != (char *)*out + before) {
        c->gather_copy = malloc(mine);
        if (c->gather_copy)
            memcpy(c->gather_copy, *in, mine);
        *in = c->gather_copy;
    }
    return *out && (*in || !mine)
               ? RONDE_OK
               : ronde__fail(RONDE_ERR_MEMORY, "no memory to gather %zu bytes of '%s'", bytes,
                             request->tensor->name);
}

static int32_t start_gather(struct coordinator *c, struct request *request)
{
    size_t each = row_bytes(request), bytes = 0, before = 0;
    request->made_rows = 0;
    for (int rank = 0; rank < c->net->size; rank++) {
        uint64_t rows = request->all_rows[rank];
        if (rank == c->net->rank)
            before = bytes;
        if (each && (rows > PTRDIFF_MAX / each || rows * each > PTRDIFF_MAX - bytes))
            return ronde__fail(RONDE_ERR_OVERFLOW,
                               "the gathered rows of '%s' exceed the address "
                               "space",
                               request->tensor->name);
        c->bytes_of[rank] = rows * each;
        bytes += rows * each;
        request->made_rows += rows;
    }
    if (!bytes)
        return RONDE__DONE;
    const void *in;
    void *out;
    int32_t status = place_gather(c, request, bytes, before, &in, &out);
    if (!status)
        status = ronde__communicator_start_gather(&c->communicator, in, out, c->bytes_of);
    return status ? status : RONDE__MOVED;
}

static int32_t start(struct coordinator *c, struct request *first)
{
    switch ((enum kind)first->signature.kind) {
    case KIND_ALLREDUCE: return start_allreduce(c, first);
    case KIND_BROADCAST: return start_broadcast(c, first);
    case KIND_ALLGATHER: return start_gather(c, first);
    }
    return ronde__fail(RONDE_ERR_SYSTEM, "told to run an operation of unknown kind %d",
                       first->signature.kind);
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void complete_gather(struct coordinator *c, struct request *request)
{
    int truncated = !request->allocate && request->made_rows > request->out_rows;
    void *made = c->gather_out;
    free(c->gather_copy);
    c->gather_copy = c->gather_out = NULL;
    if (truncated) {
        free(made);
        char text[NAME_BYTES + 200];
        ronde__fail(RONDE_ERR_TRUNCATED,
                    "allgather '%s' has %zu rows in all, but the output has "
                    "room for %zu: give it more",
                    request->tensor->name, request->made_rows, request->out_rows);
        strncpy(text, ronde_last_error(), sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        ronde__coordinator_complete(c, request, RONDE_ERR_TRUNCATED, text);
        return;
    }
    request->made = made;
    for (int rank = 0; rank < c->net->size && request->rows_by_rank; rank++)
        request->rows_by_rank[rank] = request->all_rows[rank];
    ronde__coordinator_complete(c, request, RONDE_OK, NULL);
}

static void complete_bin(struct coordinator *c)
{
    struct request *request = c->running;
    c->running = NULL;
    atomic_fetch_add_explicit(&c->counts.bins, 1, memory_order_relaxed);
    for (int last = 0; !last;) {
        struct request *next = request->next; /* completed, the request is its waiter's */
        last = request->last_of_bin;
        if (request->signature.kind == KIND_ALLGATHER)
            complete_gather(c, request);
        else
            ronde__coordinator_complete(c, request, RONDE_OK, NULL);
        request = next;
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

static struct request *take_bin(struct coordinator *c)
{
    struct request *first = c->bins, *last = first;
    while (!last->last_of_bin)
        last = last->next;
    c->bins = last->next;
    if (!c->bins)
        c->bins_last = NULL;
    c->whole_bins--;
    return first;
}

int32_t ronde__coordinator_run(struct coordinator *c)
{
    if (!c->running && !c->whole_bins)
        return RONDE__IDLE;
    int32_t said;
    if (c->running) {
        said = ronde__communicator_step(&c->communicator);
    } else {
        c->running = take_bin(c);
        said = start(c, c->running);
    }
    if (said != RONDE__DONE)
        return said;
    complete_bin(c);
    return RONDE__MOVED;
}
