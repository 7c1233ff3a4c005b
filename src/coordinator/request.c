#include "coordinator/request.h"

#include <stdio.h>
#include <string.h>

#include "base/dtype.h"
#include "base/status.h"

const char *ronde__kind_name(enum kind kind)
{
    switch (kind) {
    case KIND_ALLREDUCE: return "allreduce";
    case KIND_BROADCAST: return "broadcast";
    case KIND_ALLGATHER: return "allgather";
    case KIND_REDUCE: return "reduce";
    case KIND_REDUCESCATTER: return "reducescatter";
    case KIND_ALLTOALL: return "alltoall";
    case KIND_GATHER: return "gather";
    case KIND_SCATTER: return "scatter";
    case KIND_SPARSE: return "sparse_allreduce";
    case KIND_BARRIER: return "barrier";
    case KIND_JOIN: return "join";
    case KIND_SEND: return "send";
    case KIND_RECV: return "recv";
    }
    return "unknown operation";
}

const char *ronde__gathering_name(int32_t what)
{
    switch ((enum gathering)what) {
    case GATHERING_OPEN: return "ronde_open";
    case GATHERING_ADD: return "ronde_process_set_add";
    case GATHERING_SPLIT: return "ronde_process_set_split";
    case GATHERING_LISTS: return "ronde_process_set_from_communicator";
    case GATHERING_REMOVE: return "ronde_process_set_remove";
    case GATHERING_PART: break;
    }
    return "a call that makes or removes a process set";
}

const char *ronde__call_name(int kind, const char *name, const struct signature *signature)
{
    if (kind != KIND_ALLGATHER)
        return NULL;
    if (strcmp(name, COORDINATOR_CLOSING) == 0)
        return "ronde_close";
    if (strcmp(name, COORDINATOR_GATHERING) == 0)
        return ronde__gathering_name(signature ? (int32_t)signature->shape[0] : GATHERING_PART);
    return NULL;
}

const char *ronde__shown_name(int kind, const char *name)
{
    const char *call = ronde__call_name(kind, name, NULL);
    if (call)
        return call;
    const char *colon = kind == KIND_SEND || kind == KIND_RECV ? strchr(name, ':') : NULL;
    return colon ? colon + 1 : name;
}

static int rows_may_differ(int kind)
{
    return kind == KIND_ALLGATHER || kind == KIND_ALLTOALL || kind == KIND_GATHER ||
           kind == KIND_SCATTER || kind == KIND_SPARSE;
}

int ronde__signature_is_weighted(const struct signature *s)
{
    return s->op == RONDE_WEIGHTED_AVERAGE &&
           (s->kind == KIND_ALLREDUCE || s->kind == KIND_REDUCE || s->kind == KIND_REDUCESCATTER);
}

int ronde__signature_has_rows(const struct signature *s)
{
    return (rows_may_differ(s->kind) && s->kind != KIND_ALLTOALL) ||
           ronde__signature_is_weighted(s);
}

static int first_shared_dimension(const struct signature *s)
{
    return rows_may_differ(s->kind) ? 1 : 0;
}

static int shapes_equal(const struct signature *a, const struct signature *b)
{
    if (a->dimensions != b->dimensions)
        return 0;
    for (int i = first_shared_dimension(a); i < a->dimensions; i++)
        if (a->shape[i] != b->shape[i])
            return 0;
    return 1;
}

/* Scales are compared as bits: a NaN equals itself, and nothing else does. */
static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

/* Both ends of a pair are of one kind to each other. */
static int same_kind(const struct signature *a, const struct signature *b)
{
    return a->kind == b->kind || (a->kind >= KIND_SEND && b->kind >= KIND_SEND);
}

int ronde__signature_equal(const struct signature *a, const struct signature *b)
{
    return same_kind(a, b) && a->dtype == b->dtype && a->op == b->op && a->root == b->root &&
           a->flags == b->flags && a->wire == b->wire && a->group == b->group &&
           same_bits(a->prescale, b->prescale) && same_bits(a->postscale, b->postscale) &&
           shapes_equal(a, b);
}

static size_t product(const struct signature *s, int from)
{
    size_t count = 1;
    for (int i = from; i < s->dimensions; i++)
        count *= s->shape[i];
    return count;
}

size_t ronde__signature_count(const struct signature *s)
{
    return product(s, first_shared_dimension(s));
}

size_t ronde__signature_row_count(const struct signature *s)
{
    return product(s, 1);
}

size_t ronde__signature_bytes(const struct signature *s)
{
    return ronde__signature_count(s) * ronde_dtype_bytes(s->dtype);
}

int32_t ronde__signature_wire_dtype(const struct signature *s)
{
    switch ((enum ronde_wire)s->wire) {
    case RONDE_WIRE_AS_IS: break;
    case RONDE_WIRE_FLOAT16: return RONDE_FLOAT16;
    case RONDE_WIRE_BFLOAT16: return RONDE_BFLOAT16;
    }
    return s->dtype;
}

size_t ronde__signature_wire_bytes(const struct signature *s)
{
    return ronde__signature_count(s) * ronde_dtype_bytes(ronde__signature_wire_dtype(s));
}

enum algorithm ronde__signature_algorithm(const struct signature *s,
                                          const struct select_table *table, int nodes)
{
    int32_t dtype = ronde__signature_wire_dtype(s);
    size_t bytes = ronde__signature_wire_bytes(s);
    if (dtype == RONDE_FLOAT16 || dtype == RONDE_BFLOAT16)
        return ronde__select_halves(table, bytes, nodes);
    return ronde__select(table, bytes, nodes);
}

static void write_shape(char *text, size_t bytes, const struct signature *s)
{
    size_t at = (size_t)snprintf(text, bytes, "[");
    for (int i = 0; i < s->dimensions && at < bytes; i++)
        if (i < first_shared_dimension(s))
            at += (size_t)snprintf(text + at, bytes - at, "any");
        else
            at += (size_t)snprintf(text + at, bytes - at, "%s%llu", i ? ", " : "",
                                   (unsigned long long)s->shape[i]);
    if (at < bytes)
        snprintf(text + at, bytes - at, "]");
}

/* Of its members only a hash is known. */
static void write_group(char *text, size_t bytes, const struct signature *s,
                        const struct signature *first)
{
    if (!s->group)
        snprintf(text, bytes, "it alone");
    else if (s->group_size == first->group_size && s->group != first->group)
        snprintf(text, bytes, "it in a group of %u whose other members differ", s->group_size);
    else
        snprintf(text, bytes, "it in a group of %u", s->group_size);
}

static void write_flag(char *text, size_t bytes, const struct signature *s)
{
    if (s->kind == KIND_ALLTOALL)
        snprintf(text, bytes, "%s", s->flags & SIGNATURE_SPLITS ? "given" : "even");
    else
        snprintf(text, bytes, "%s",
                 s->flags & SIGNATURE_DIVIDE_SIZE ? "by the size" : "by the contributors");
}

/* The first thing that differs, and its two values as text. */
static const char *difference(const struct signature *a, const struct signature *b, char *of_a,
                              char *of_b, size_t bytes)
{
    if (a->dtype != b->dtype) {
        snprintf(of_a, bytes, "%s", ronde_dtype_name(a->dtype));
        snprintf(of_b, bytes, "%s", ronde_dtype_name(b->dtype));
        return "dtype";
    }
    if (!shapes_equal(a, b)) {
        write_shape(of_a, bytes, a);
        write_shape(of_b, bytes, b);
        return "shape";
    }
    if (a->op != b->op) {
        snprintf(of_a, bytes, "%s", ronde_op_name(a->op));
        snprintf(of_b, bytes, "%s", ronde_op_name(b->op));
        return "op";
    }
    if (a->root != b->root) {
        snprintf(of_a, bytes, "%d", a->root);
        snprintf(of_b, bytes, "%d", b->root);
        return "root";
    }
    if (a->flags != b->flags) {
        write_flag(of_a, bytes, a);
        write_flag(of_b, bytes, b);
        return a->kind == KIND_ALLTOALL ? "splits" : "division";
    }
    if (a->wire != b->wire) {
        snprintf(of_a, bytes, "%s", ronde_dtype_name(ronde__signature_wire_dtype(a)));
        snprintf(of_b, bytes, "%s", ronde_dtype_name(ronde__signature_wire_dtype(b)));
        return "dtype on the wire";
    }
    if (a->group != b->group) {
        write_group(of_a, bytes, a, a);
        write_group(of_b, bytes, b, a);
        return "group";
    }
    int pre = !same_bits(a->prescale, b->prescale);
    snprintf(of_a, bytes, "%.17g", pre ? a->prescale : a->postscale);
    snprintf(of_b, bytes, "%.17g", pre ? b->prescale : b->postscale);
    return pre ? "prescale" : "postscale";
}

char *ronde__signature_conflict(const char *name, const struct signature *a, int rank_a,
                                const struct signature *b, int rank_b)
{
    char of_a[400], of_b[400];
    const char *what = difference(a, b, of_a, of_b, sizeof(of_a));
    return ronde__text("%s '%s': %s differs: rank %d has %s, rank %d has %s; submit the same on "
                       "every rank",
                       ronde__kind_name((enum kind)a->kind),
                       ronde__short_name(name, NAME_ROOM).text, what, rank_a, of_a, rank_b, of_b);
}
