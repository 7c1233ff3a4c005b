/* Checks what callers pass. Every refusal is local and immediate, and says what was passed. */
#include <string.h>

#include "base/dtype.h"
#include "base/status.h"
#include "context.h"

static const ronde_call defaults = {.size = sizeof(defaults),
                                    .prescale = 1,
                                    .postscale = 1,
                                    .weight = 1};

void ronde_call_init(ronde_call *call, size_t size)
{
    if (!call)
        return;
    memset(call, 0, size);
    memcpy(call, &defaults, size < sizeof(defaults) ? size : sizeof(defaults));
    if (size >= sizeof(call->size))
        call->size = (uint32_t)size;
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

/* ---- what kinds have ------------------------------------------------------------------------- */

enum trait {
    READS = 1,       /* every rank's `in` ... */
    READS_ROOT = 2,  /* ... or the root's only */
    WRITES = 4,      /* every rank's `out` ... */
    WRITES_ROOT = 8, /* ... or the root's only; as many elements as `in` */
    HAS_OP = 16,
    HAS_ROOT = 32,
    HAS_ROWS = 64, /* in is rows x row_count, and out has room for out_rows */
    IS_PAIR = 128,
    HAS_GROUPS = 256, /* may be in a group */
    HAS_WIRE = 512    /* has sums that may cross the network narrowed */
};

static int traits(enum kind kind)
{
    switch (kind) {
    case KIND_ALLREDUCE: return READS | WRITES | HAS_OP | HAS_GROUPS | HAS_WIRE;
    case KIND_BROADCAST: return READS_ROOT | WRITES | HAS_ROOT | HAS_GROUPS;
    case KIND_ALLGATHER: return READS | HAS_ROWS | HAS_GROUPS;
    case KIND_REDUCE: return READS | WRITES_ROOT | HAS_OP | HAS_ROOT | HAS_GROUPS | HAS_WIRE;
    case KIND_REDUCESCATTER: return READS | HAS_OP | HAS_ROWS | HAS_GROUPS | HAS_WIRE;
    case KIND_ALLTOALL: return READS | HAS_ROWS | HAS_GROUPS;
    case KIND_GATHER: return READS | HAS_ROWS | HAS_ROOT | HAS_GROUPS;
    case KIND_SCATTER: return READS_ROOT | HAS_ROWS | HAS_ROOT | HAS_GROUPS;
    case KIND_SPARSE: return READS | HAS_OP | HAS_ROWS | HAS_GROUPS;
    case KIND_BARRIER:
    case KIND_JOIN: return 0;
    case KIND_SEND: return READS | IS_PAIR;
    case KIND_RECV: return WRITES | IS_PAIR;
    }
    return 0;
}

static int is_root(const ronde_context *context, const struct demand *d)
{
    return context->net->rank == d->root;
}

static int reads(const ronde_context *context, const struct demand *d)
{
    int t = traits(d->kind);
    return (t & READS) || ((t & READS_ROOT) && is_root(context, d));
}

static int writes(const ronde_context *context, const struct demand *d)
{
    int t = traits(d->kind);
    return (t & WRITES) || ((t & WRITES_ROOT) && is_root(context, d));
}

/* ---- the call's options ---------------------------------------------------------------------- */

static int32_t read_call(const ronde_call *call, ronde_call *read)
{
    *read = defaults;
    if (!call)
        return RONDE_OK;
    if (call->size < sizeof(call->size) || call->size > 65536)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "ronde_call has size %u: fill it with "
                           "ronde_call_init first",
                           call->size);
    memcpy(read, call, call->size < sizeof(*read) ? call->size : sizeof(*read));
    if (read->divide != RONDE_DIVIDE_CONTRIBUTORS && read->divide != RONDE_DIVIDE_SIZE)
        return ronde__fail(RONDE_ERR_ARGUMENT, "unknown division %d: use enum ronde_divide",
                           read->divide);
    if (read->wire < RONDE_WIRE_AS_IS || read->wire > RONDE_WIRE_BFLOAT16)
        return ronde__fail(RONDE_ERR_ARGUMENT, "unknown wire %d: use enum ronde_wire", read->wire);
    if (read->reserved)
        return ronde__fail(RONDE_ERR_ARGUMENT, "ronde_call has %d in reserved, not 0",
                           read->reserved);
    if (!(read->deadline >= 0))
        return ronde__fail(RONDE_ERR_ARGUMENT, "a deadline of %g seconds", read->deadline);
    return RONDE_OK;
}

int32_t ronde__read_demand(const ronde_context *context, struct demand *d)
{
    int32_t status = read_call(d->call, &d->read);
    if (status)
        return status;
    d->list = ronde__sets_find(context->coordinator, d->read.process_set);
    if (!d->list)
        return ronde__fail(RONDE_ERR_PROCESS_SET, "unknown process set %d: 0 is all ranks",
                           d->read.process_set);
    d->set = d->list->set;
    if (!d->set)
        return ronde__fail(RONDE_ERR_PROCESS_SET, "this rank %d is no member of process set %d",
                           context->net->rank, d->read.process_set);
    return RONDE_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int32_t check_op(const struct demand *d)
{
    if (!ronde__op_is_valid(d->op))
        return ronde__fail(RONDE_ERR_ARGUMENT, "unknown op %d: use enum ronde_op", d->op);
    if (d->kind == KIND_SPARSE && (d->op == RONDE_ADASUM || d->op == RONDE_WEIGHTED_AVERAGE))
        return ronde__fail(RONDE_ERR_ARGUMENT, "there is no %s by %s", ronde_op_name(d->op),
                           ronde__kind_name(d->kind));
    if (!ronde__op_fits(d->op, d->dtype))
        return ronde__fail(RONDE_ERR_ARGUMENT, "there is no %s of %s", ronde_op_name(d->op),
                           ronde_dtype_name(d->dtype));
    if (d->op == RONDE_WEIGHTED_AVERAGE &&
        !(d->read.weight >= 0 && d->read.weight <= 1.7976931348623157e308))
        return ronde__fail(RONDE_ERR_ARGUMENT, "a weight of %g: it must be 0 or more, and finite",
                           d->read.weight);
    return RONDE_OK;
}

static int32_t check_values(const ronde_context *context, const struct demand *d)
{
    int t = traits(d->kind);
    if (!t) /* a barrier or a join */
        return RONDE_OK;
    if (!ronde__dtype_is_valid(d->dtype))
        return ronde__fail(RONDE_ERR_ARGUMENT, "unknown dtype %d: use enum ronde_dtype", d->dtype);
    const char *end = t & IS_PAIR ? "the other end" : "root";
    if ((t & (HAS_ROOT | IS_PAIR)) && (d->root < 0 || d->root >= context->net->size))
        return ronde__fail(RONDE_ERR_ARGUMENT, "%s %d is none of the %d ranks", end, d->root,
                           context->net->size);
    if ((t & (HAS_ROOT | IS_PAIR)) && d->set && ronde__set_rank_of(d->set, d->root) < 0)
        return ronde__fail(RONDE_ERR_ARGUMENT, "%s %d is no member of process set %d", end, d->root,
                           d->set->id);
    return t & HAS_OP ? check_op(d) : RONDE_OK;
}

/* Elements and bytes of the input. */
static int32_t measure(struct demand *d)
{
    if (traits(d->kind) & HAS_ROWS) {
        if (d->row_count && d->rows > SIZE_MAX / d->row_count)
            return ronde__fail(RONDE_ERR_OVERFLOW,
                               "%zu rows of %zu elements exceed the address "
                               "space",
                               d->rows, d->row_count);
        d->count = d->rows * d->row_count;
    }
    return ronde__bytes_of(d->count, d->dtype, &d->bytes);
}

/* ---- rows ------------------------------------------------------------------------------------ */

size_t ronde_share_rows(size_t rows, int32_t ranks, int32_t rank)
{
    if (ranks <= 0 || rank < 0 || rank >= ranks)
        return 0;
    return rows / (size_t)ranks + ((size_t)rank < rows % (size_t)ranks);
}

static int32_t check_splits(const struct demand *d)
{
    size_t sum = 0, n = (size_t)d->set->net->size;
    if (!d->splits && d->kind == KIND_ALLTOALL && d->rows % n)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "%zu rows do not divide among %zu ranks: pass splits", d->rows, n);
    for (size_t rank = 0; rank < n && d->splits; rank++)
        if (__builtin_add_overflow(sum, d->splits[rank], &sum))
            return ronde__fail(RONDE_ERR_OVERFLOW, "the splits exceed the address space");
    if (d->splits && sum != d->rows)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the splits add up to %zu rows, but there are %zu",
                           sum, d->rows);
    return RONDE_OK;
}

static int32_t check_rows(const ronde_context *context, const struct demand *d)
{
    int t = traits(d->kind);
    if (!(t & HAS_ROWS) || d->kind == KIND_SPARSE)
        return RONDE_OK;
    if (!d->out && d->out_rows && (d->kind != KIND_GATHER || is_root(context, d)))
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "the output is NULL, but has room for %zu rows: "
                           "pass 0 to have it made",
                           d->out_rows);
    if (d->kind == KIND_REDUCESCATTER && d->set) {
        size_t share = ronde_share_rows(d->rows, d->set->net->size, d->set->net->rank);
        if (d->out && d->out_rows < share)
            return ronde__fail(RONDE_ERR_ARGUMENT,
                               "the output has room for %zu rows, but this rank's share is %zu",
                               d->out_rows, share);
    }
    int splits = d->kind == KIND_ALLTOALL || (d->kind == KIND_SCATTER && is_root(context, d));
    return splits && d->set ? check_splits(d) : RONDE_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_bytes && y < x + a_bytes;
}

/* Bytes that this rank writes to the caller's output, where that is known here. */
static size_t bytes_out(const ronde_context *context, const struct demand *d)
{
    if (writes(context, d))
        return d->bytes;
    if (d->kind == KIND_ALLTOALL && d->out && d->rows)
        return d->out_rows > SIZE_MAX / (d->bytes / d->rows + 1)
                   ? SIZE_MAX / 2
                   : d->out_rows * (d->bytes / d->rows);
    if (d->kind != KIND_REDUCESCATTER || !d->set || !d->rows || !d->out)
        return 0;
    return ronde_share_rows(d->rows, d->set->net->size, d->set->net->rank) * (d->bytes / d->rows);
}

static int32_t check_memory(const ronde_context *context, const struct demand *d)
{
    if (reads(context, d) && d->bytes && !d->in)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the input is NULL, but has %zu elements", d->count);
    if (writes(context, d) && d->bytes && !d->out)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the output is NULL, but has %zu elements",
                           d->count);
    if (d->kind == KIND_SPARSE && d->rows && !d->indices)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the indices are NULL, but there are %zu rows",
                           d->rows);
    size_t out = bytes_out(context, d);
    int apart = d->in != d->out || d->kind == KIND_ALLTOALL;
    if (reads(context, d) && apart && d->bytes && out && overlap(d->in, d->bytes, d->out, out))
        return ronde__fail(RONDE_ERR_ARGUMENT, "input and output overlap by a part: make them "
                                               "equal, or apart");
    return RONDE_OK;
}

/* ---- names and shapes ------------------------------------------------------------------------ */

/* "allreduce#7": what is made of the counter, or the library's own. */
static int is_drawn(const char *name)
{
    const char *mark = strchr(name, '#');
    for (int kind = 0; mark && kind < KINDS; kind++) {
        const char *word = ronde__kind_name((enum kind)kind);
        if (strncmp(name, word, strlen(word)) == 0 && name[strlen(word)] == '#')
            return 1;
    }
    return 0;
}

static int32_t check_name(const struct demand *d)
{
    const char *name = d->name;
    if (!name)
        return RONDE_OK;
    if (strnlen(name, NAME_BYTES + 1) > NAME_BYTES)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the name is longer than %d bytes", NAME_BYTES);
    if (is_drawn(name) && d->kind != KIND_JOIN)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "the name begins as those that are drawn for unnamed operations: choose "
                           "another");
    if (!*name)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the name is empty: pass NULL to have one drawn");
    return RONDE_OK;
}

static int32_t copy_shape(struct signature *s, const ronde_call *call, int least, size_t *product)
{
    if (call->dimensions < least || call->dimensions > SHAPE_DIMENSIONS)
        return ronde__fail(RONDE_ERR_ARGUMENT, "a shape of %d dimensions: %d to %d are possible",
                           call->dimensions, least, SHAPE_DIMENSIONS);
    int overflow = 0, empty = 0;
    *product = 1;
    for (int i = least; i < call->dimensions; i++) {
        overflow |= __builtin_mul_overflow(*product, call->shape[i], product);
        empty |= !call->shape[i];
    }
    for (int i = 0; i < call->dimensions; i++)
        s->shape[i] = call->shape[i];
    s->dimensions = (uint8_t)call->dimensions;
    if (overflow && !empty)
        return ronde__fail(RONDE_ERR_OVERFLOW, "the shape's product exceeds the address space");
    *product = empty ? 0 : *product;
    return RONDE_OK;
}

/* The caller's shape, which must hold the count, or [count], or [rows, row_count]. */
static int32_t fill_shape(const ronde_context *context, struct signature *s, const struct demand *d)
{
    int rows = traits(d->kind) & HAS_ROWS ? 1 : 0;
    if (!d->read.shape || !traits(d->kind)) {
        s->shape[0] = rows ? d->rows : d->count;
        s->shape[1] = d->row_count;
        s->dimensions = rows ? 2 : 1;
        return RONDE_OK;
    }
    size_t product = 0;
    int32_t status = copy_shape(s, &d->read, rows, &product);
    int has_rows = rows && reads(context, d);
    if (!status &&
        (product != (rows ? d->row_count : d->count) || (has_rows && d->read.shape[0] != d->rows)))
        status = ronde__fail(RONDE_ERR_ARGUMENT,
                             "the shape holds %zu elements%s, but the call has %zu", product,
                             rows ? " a row" : "", rows ? d->row_count : d->count);
    if (rows)
        s->shape[0] = d->rows;
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static const char *wire_name(const struct demand *d)
{
    const struct signature wanted = {.wire = (uint8_t)d->read.wire};
    return ronde_dtype_name(ronde__signature_wire_dtype(&wanted));
}

static int32_t check_fit(const struct demand *d)
{
    if (d->kind == KIND_JOIN && d->read.deadline > 0)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "a join has no deadline: it ends when all ranks have "
                           "joined");
    if (d->read.group && !(traits(d->kind) & HAS_GROUPS))
        return ronde__fail(RONDE_ERR_ARGUMENT, "a %s cannot be in a group",
                           ronde__kind_name(d->kind));
    if (d->read.wire && !(traits(d->kind) & HAS_WIRE))
        return ronde__fail(RONDE_ERR_ARGUMENT, "a %s has no sums that could be sent as %s",
                           ronde__kind_name(d->kind), wire_name(d));
    if (d->read.wire && (d->dtype != RONDE_FLOAT32 || d->op == RONDE_ADASUM))
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "only what is reduced in float32, and not by adasum, can be sent as %s; "
                           "the op is %s, the dtype %s",
                           wire_name(d), ronde_op_name(d->op), ronde_dtype_name(d->dtype));
    return RONDE_OK;
}

int32_t ronde__check_demand(const ronde_context *context, struct demand *d)
{
    int32_t status = check_values(context, d);
    /* What others pass is nobody's business here. */
    if (!status && d->kind == KIND_SCATTER && !is_root(context, d)) {
        d->rows = 0;
        d->in = NULL;
        d->splits = NULL;
    }
    if (!status && d->kind == KIND_GATHER && !is_root(context, d)) {
        d->out = NULL;
        d->out_rows = 0;
        d->rows_by_rank = NULL;
    }
    if (!status)
        status = check_name(d);
    if (!status)
        status = measure(d);
    if (!status)
        status = check_rows(context, d);
    if (!status)
        status = check_memory(context, d);
    if (!status)
        status = check_fit(d);
    if (status)
        return status;
    int averages = (traits(d->kind) & HAS_OP) && d->op == RONDE_AVERAGE;
    int pair = traits(d->kind) & IS_PAIR;
    int flags = averages && d->read.divide == RONDE_DIVIDE_SIZE ? SIGNATURE_DIVIDE_SIZE : 0;
    if (d->kind == KIND_ALLTOALL && d->splits)
        flags |= SIGNATURE_SPLITS;
    struct signature *s = &d->signature; /* the shape is filled as far as it goes */
    s->kind = (uint8_t)d->kind;
    s->dtype = (uint8_t)d->dtype;
    s->op = (uint8_t)d->op;
    s->flags = (uint8_t)flags;
    s->wire = (uint8_t)d->read.wire;
    s->root = d->kind == KIND_SEND ? context->net->rank : d->root;
    s->prescale = pair ? 1 : d->read.prescale;
    s->postscale = pair ? 1 : d->read.postscale;
    s->group = 0;
    s->group_size = 0;
    return fill_shape(context, s, d);
}
