/* Checks what callers pass. Every refusal is local and immediate, and says what was passed. */
#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "base/status.h"
#include "context.h"

void ronde_call_init(ronde_call *call, size_t size)
{
    ronde_call defaults = {.size = (uint32_t)size, .prescale = 1, .postscale = 1};
    if (!call)
        return;
    memset(call, 0, size);
    memcpy(call, &defaults, size < sizeof(defaults) ? size : sizeof(defaults));
}

int32_t ronde__check_open(const ronde_context *context)
{
    if (!context)
        return ronde__fail(RONDE_ERR_CLOSED, "the context is not open: call ronde_open first");
    if (!*context->ours)
        return ronde__fail(RONDE_ERR_CLOSED,
                           "the context is the parent's, not this forked child's");
    return RONDE_OK;
}

int32_t ronde__check_driver(const ronde_context *context, int is_direct)
{
    int32_t status = ronde__check_open(context);
    if (status || context->net->nodes == 1 || (context->coordinator->has_thread && !is_direct))
        return status;
    return ronde__net_check_thread(context->net);
}

/* The caller's options, with defaults for what its version did not know. */
static int32_t read_call(const ronde_call *call, ronde_call *read)
{
    ronde_call_init(read, sizeof(*read));
    if (!call)
        return RONDE_OK;
    if (call->size < sizeof(call->size) || call->size > 65536)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "ronde_call has size %u: fill it with "
                           "ronde_call_init first",
                           call->size);
    memcpy(read, call, call->size < sizeof(*read) ? call->size : sizeof(*read));
    if (read->process_set != 0)
        return ronde__fail(RONDE_ERR_PROCESS_SET, "unknown process set %d: 0 is all ranks",
                           read->process_set);
    return RONDE_OK;
}

static int32_t check_values(const ronde_context *context, const struct demand *d)
{
    if (!ronde__dtype_is_valid(d->dtype))
        return ronde__fail(RONDE_ERR_ARGUMENT, "unknown dtype %d: use enum ronde_dtype", d->dtype);
    if (!ronde__op_is_valid(d->op))
        return ronde__fail(RONDE_ERR_ARGUMENT, "unknown op %d: use enum ronde_op", d->op);
    if (d->root < 0 || d->root >= context->net->size)
        return ronde__fail(RONDE_ERR_ARGUMENT, "root %d is none of the %d ranks", d->root,
                           context->net->size);
    return RONDE_OK;
}

/* Elements and bytes of the input; for an allgather from rows and row_count. */
static int32_t measure(struct demand *d)
{
    if (d->kind == KIND_ALLGATHER) {
        if (d->row_count && d->rows > SIZE_MAX / d->row_count)
            return ronde__fail(RONDE_ERR_OVERFLOW,
                               "%zu rows of %zu elements exceed the address "
                               "space",
                               d->rows, d->row_count);
        d->count = d->rows * d->row_count;
    }
    return ronde__bytes_of(d->count, d->dtype, &d->bytes);
}

static int overlap(const void *a, const void *b, size_t bytes)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + bytes && y < x + bytes;
}

static int32_t check_memory(const ronde_context *context, const struct demand *d)
{
    int reads = d->kind != KIND_BROADCAST || context->net->rank == d->root;
    int writes = d->kind != KIND_ALLGATHER;
    if (reads && d->bytes && !d->in)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the input is NULL, but has %zu elements", d->count);
    if (writes && d->bytes && !d->out)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the output is NULL, but has %zu elements",
                           d->count);
    if (!writes && !d->out && d->out_rows)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "the output is NULL, but has room for %zu rows: "
                           "pass 0 to have it made",
                           d->out_rows);
    if (reads && writes && d->in != d->out && d->bytes && overlap(d->in, d->out, d->bytes))
        return ronde__fail(RONDE_ERR_ARGUMENT, "input and output overlap by a part: make them "
                                               "equal, or apart");
    return RONDE_OK;
}

/* The caller's shape, which must hold the count, or [count], or [rows, row_count]. */
static int32_t fill_shape(struct signature *s, const struct demand *d, const ronde_call *call)
{
    if (!call->shape) {
        s->shape[0] = d->kind == KIND_ALLGATHER ? d->rows : d->count;
        s->shape[1] = d->row_count;
        s->dimensions = d->kind == KIND_ALLGATHER ? 2 : 1;
        return RONDE_OK;
    }
    int least = d->kind == KIND_ALLGATHER ? 1 : 0;
    if (call->dimensions < least || call->dimensions > SHAPE_DIMENSIONS)
        return ronde__fail(RONDE_ERR_ARGUMENT, "a shape of %d dimensions: %d to %d are possible",
                           call->dimensions, least, SHAPE_DIMENSIONS);
    size_t product = 1;
    for (int i = 0; i < call->dimensions; i++) {
        s->shape[i] = call->shape[i];
        if (__builtin_mul_overflow(product, call->shape[i], &product) && d->count)
            return ronde__fail(RONDE_ERR_OVERFLOW, "the shape's product exceeds the address space");
    }
    s->dimensions = (uint8_t)call->dimensions;
    if (product != d->count || (least && call->shape[0] != d->rows))
        return ronde__fail(RONDE_ERR_ARGUMENT, "the shape holds %zu elements, but the call has %zu",
                           product, d->count);
    return RONDE_OK;
}

/* "allreduce#7": what coordinator.c makes of the counter. */
static int is_drawn(const char *name)
{
    for (int kind = 0; kind < KINDS; kind++) {
        size_t n = strlen(ronde__kind_name((enum kind)kind));
        if (strncmp(name, ronde__kind_name((enum kind)kind), n) == 0 && name[n] == '#')
            return 1;
    }
    return 0;
}

int32_t ronde__check_demand(const ronde_context *context, const char *name, struct demand *d,
                            const ronde_call *call)
{
    ronde_call read;
    int32_t status = read_call(call, &read);
    if (!status)
        status = check_values(context, d);
    if (!status)
        status = measure(d);
    if (!status)
        status = check_memory(context, d);
    if (!status && name && strnlen(name, NAME_BYTES + 1) > NAME_BYTES)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the name '%.40s...' is longer than %d bytes",
                             name, NAME_BYTES);
    if (!status && name && is_drawn(name))
        status = ronde__fail(RONDE_ERR_ARGUMENT,
                             "the name '%.40s' has the form of those drawn for "
                             "unnamed operations: choose another",
                             name);
    if (!status && name && !*name)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the name is empty: pass NULL to have one drawn");
    if (status)
        return status;
    struct signature *s = &d->signature;
    *s = (struct signature){.kind = (uint8_t)d->kind,
                            .dtype = (uint8_t)d->dtype,
                            .op = (uint8_t)d->op,
                            .root = d->root,
                            .prescale = read.prescale,
                            .postscale = read.postscale};
    return fill_shape(s, d, &read);
}
