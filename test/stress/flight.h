/* One rank's part of an operation of the stress test, from its submission to the check of what came
 * out. A flight belongs to one thread. */
#ifndef RONDE_TEST_STRESS_FLIGHT_H
#define RONDE_TEST_STRESS_FLIGHT_H

#include "data.h"

struct flight {
    const struct operation *plan;
    const struct unit *unit;
    int window, rank;
    int receives;        /* the end of a message */
    struct operation op; /* as this rank sees it */
    struct memory in, out, indices;
    int has_in, has_out,
        in_place; /* in place: the data begin in the memory that has them at last */
    int library_makes;
    size_t in_count, out_count; /* elements */
    size_t by_rank[MOST_RANKS], splits[MOST_RANKS];
    uint64_t handle;
};

#define SAYING(trial, flight, condition, what) \
    EXPECT(trial, condition, \
           "operation %d, %s \"%.40s\" of set %d, %s %s x %zu x %zu, plant %d: %s", \
           (flight)->plan->number, kind_text((flight)->plan->kind), (flight)->plan->name, \
           (int)(flight)->plan->set->id, ronde_dtype_name((flight)->plan->dtype), \
           ronde_op_name((flight)->plan->op), (flight)->plan->count, (flight)->plan->row_count, \
           (int)(flight)->plan->plant, what)

/* ---- sizes ----------------------------------------------------------------------------------- */

static inline size_t rows_of_present(const struct operation *op, int before)
{
    size_t rows = 0;
    for (int i = 0; i < op->present.n && op->present.ranks[i] < before; i++)
        rows += rows_of(op, op->present.ranks[i]);
    return rows;
}

static inline size_t share_begin(const struct operation *op, int rank)
{
    size_t begin = 0;
    for (int place = 0; place < members_place(&op->set->members, rank); place++)
        begin += ronde_share_rows(op->count, op->set->members.n, place);
    return begin;
}

/* The rows that a rank deals out to those before, or to all (`before` is MOST_RANKS). */
static inline size_t rows_dealt(const struct operation *op, int from, int before)
{
    size_t rows = 0;
    for (int i = 0; i < op->set->members.n && op->set->members.ranks[i] < before; i++)
        rows += op->kind == ALLTOALL ? rows_between(op, from, op->set->members.ranks[i])
                                     : rows_of(op, op->set->members.ranks[i]);
    return rows;
}

static inline size_t rows_received(const struct operation *op, int rank)
{
    size_t rows = 0;
    for (int i = 0; i < op->present.n; i++)
        rows += rows_between(op, op->present.ranks[i], rank);
    return rows;
}

static inline void flight_measure(struct flight *f)
{
    const struct operation *op = &f->op;
    int is_root = op->root == f->rank, place = members_place(&op->set->members, f->rank);
    size_t row = op->row_count;
    switch (op->kind) {
    case ALLREDUCE: f->in_count = f->out_count = op->count; break;
    case BROADCAST:
        f->in_count = is_root ? op->count : 0;
        f->out_count = op->count;
        break;
    case REDUCE:
        f->in_count = op->count;
        f->out_count = is_root ? op->count : 0;
        break;
    case ALLGATHER:
    case GATHER:
        f->in_count = rows_of(op, f->rank) * row;
        f->out_count = op->kind == ALLGATHER || is_root ? rows_of_present(op, MOST_RANKS) * row : 0;
        break;
    case REDUCESCATTER:
        f->in_count = op->count * row;
        f->out_count = ronde_share_rows(op->count, op->set->members.n, place) * row;
        break;
    case ALLTOALL:
        f->in_count = rows_dealt(op, f->rank, MOST_RANKS) * row;
        f->out_count = rows_received(op, f->rank) * row;
        break;
    case SCATTER:
        f->in_count = is_root ? rows_dealt(op, f->rank, MOST_RANKS) * row : 0;
        f->out_count = rows_of(op, f->rank) * row;
        break;
    case SPARSE: f->in_count = sparse_rows(op, f->rank) * row; break;
    case SEND:
        f->in_count = f->receives ? 0 : op->count;
        f->out_count = f->receives ? op->count : 0;
        break;
    case BARRIER:
    case KINDS: break;
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static inline int can_be_in_place(const struct flight *f)
{
    const struct operation *op = &f->op;
    if (op->plant == NO_ROOM || op->plant == OTHER_ROOT || op->plant == ROOT_JOINED)
        return 0;
    switch (op->kind) {
    case ALLREDUCE:
    case BROADCAST:
    case ALLGATHER:
    case REDUCESCATTER: return 1;
    case REDUCE:
    case GATHER: return op->root == f->rank;
    case ALLTOALL:
    case SCATTER:
    case SPARSE:
    case SEND:
    case BARRIER:
    case KINDS: break;
    }
    return 0;
}

static inline void flight_fill(struct flight *f, unsigned char *in)
{
    const struct operation *op = &f->op;
    if (op->kind == SPARSE)
        sparse_fill(op, f->rank, (int64_t *)(void *)f->indices.data, in);
    else if (reduces(op->kind))
        reduction_fill(op, f->rank, in, f->in_count);
    else
        pattern_fill(op, f->rank, in, f->in_count * ronde_dtype_bytes(op->dtype));
}

/* Where the input is: in memory of its own, or at its place in the output. */
static inline unsigned char *flight_in(const struct flight *f)
{
    if (!f->in_place || f->op.kind == REDUCESCATTER)
        return f->has_in ? f->in.data : NULL;
    if (f->op.kind == ALLGATHER || f->op.kind == GATHER)
        return f->out.data +
               rows_of_present(&f->op, f->rank) * f->op.row_count * ronde_dtype_bytes(f->op.dtype);
    return f->out.data;
}

static inline unsigned char *flight_out(const struct flight *f)
{
    if (f->in_place && f->op.kind == REDUCESCATTER)
        return f->in.data;
    return f->has_out ? f->out.data : NULL;
}

static inline void flight_open(struct trial *trial, struct flight *f, uint64_t *dice)
{
    const struct operation *op = &f->op;
    size_t element = ronde_dtype_bytes(op->dtype), skew = element * dice_below(dice, 4);
    int kind_of_memory = (int)dice_below(dice, 4); /* bits: input, output in the arena */
    flight_measure(f);
    f->in_place = can_be_in_place(f) && chance(dice, 50);
    f->library_makes = !f->in_place && op->plant != NO_ROOM && f->out_count && chance(dice, 25) &&
                       has_rows(op->kind);
    if (op->kind == SPARSE)
        memory_open(trial, &f->indices, 8 * sparse_rows(op, f->rank), 0, kind_of_memory & 1, 1);
    f->has_in = f->in_place ? op->kind == REDUCESCATTER : f->in_count || chance(dice, 50);
    f->has_out = f->in_place ? op->kind != REDUCESCATTER
                             : !f->library_makes && op->kind != SPARSE &&
                                   (f->out_count || chance(dice, 50));
    if (f->has_in)
        memory_open(trial, &f->in, f->in_count * element, skew, kind_of_memory & 1, 1);
    if (f->has_out)
        memory_open(trial, &f->out, f->out_count * element, skew, kind_of_memory >> 1, 1);
    if (f->in_count)
        flight_fill(f, flight_in(f));
}

static inline void flight_close(struct trial *trial, struct flight *f)
{
    if (f->op.kind == SPARSE)
        memory_close(trial, &f->indices);
    if (f->has_in)
        memory_close(trial, &f->in);
    if (f->has_out)
        memory_close(trial, &f->out);
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* Rows of all those present, one after the other; by_rank tells how many. */
static inline int gathered_is(const struct flight *f, const unsigned char *out)
{
    const struct operation *op = &f->op;
    size_t row_bytes = op->row_count * ronde_dtype_bytes(op->dtype), at = 0;
    for (int i = 0; i < op->set->members.n; i++) {
        int rank = op->set->members.ranks[i];
        size_t rows = !is_present(op, rank)  ? 0
                      : op->kind == ALLTOALL ? rows_between(op, rank, f->rank)
                                             : rows_of(op, rank);
        size_t from = op->kind == ALLTOALL ? rows_dealt(op, rank, f->rank) : 0;
        if (f->by_rank[i] != rows ||
            !pattern_is(op, rank, from * row_bytes, out + at, rows * row_bytes))
            return 0;
        at += rows * row_bytes;
    }
    return 1;
}

static inline int result_is(const struct flight *f, const unsigned char *out)
{
    const struct operation *op = &f->op;
    size_t row_bytes = op->row_count * ronde_dtype_bytes(op->dtype);
    size_t bytes = f->out_count * ronde_dtype_bytes(op->dtype);
    switch (op->kind) {
    case ALLREDUCE: return reduction_is(op, 0, op->count, out, op->count);
    case REDUCE: return reduction_is(op, 0, op->count, out, f->out_count);
    case REDUCESCATTER:
        return reduction_is(op, share_begin(op, f->rank) * op->row_count, f->in_count, out,
                            f->out_count);
    case BROADCAST:
    case SEND: return pattern_is(op, op->root, 0, out, bytes);
    case ALLGATHER:
    case ALLTOALL: return gathered_is(f, out);
    case GATHER: return op->root != f->rank || gathered_is(f, out);
    case SCATTER:
        return f->by_rank[0] == rows_of(op, f->rank) &&
               pattern_is(op, op->root,
                          (op->splits_are_given ? rows_dealt(op, f->rank, f->rank)
                                                : share_begin(op, f->rank)) *
                              row_bytes,
                          out, bytes);
    case SPARSE:
    case BARRIER:
    case KINDS: break;
    }
    return 1;
}

/* An operation that is refused writes nothing. */
static inline int is_untouched(const struct flight *f)
{
    for (size_t i = 0; f->has_out && !f->in_place && i < f->out.bytes; i++)
        if (f->out.data[i] != f->out.guard)
            return 0;
    return 1;
}

#endif
