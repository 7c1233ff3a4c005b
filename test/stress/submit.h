/* Submits a flight, and takes what came of it. */
#ifndef RONDE_TEST_STRESS_SUBMIT_H
#define RONDE_TEST_STRESS_SUBMIT_H

#include "flight.h"

static inline size_t in_rows(const struct flight *f)
{
    return f->in_count / (f->op.row_count ? f->op.row_count : 1);
}

/* What the call has room for. Rows of nothing have a number as well. */
static inline size_t out_rows(const struct flight *f)
{
    size_t rows = f->library_makes ? 0 : f->out_count / (f->op.row_count ? f->op.row_count : 1);
    return rows - (f->op.plant == NO_ROOM && f->rank == f->op.odd);
}

static inline void flight_deal(struct flight *f)
{
    const struct members *members = &f->op.set->members;
    for (int i = 0; i < members->n; i++)
        f->splits[i] = f->op.kind == ALLTOALL ? rows_between(&f->op, f->rank, members->ranks[i])
                                              : rows_of(&f->op, members->ranks[i]);
}

/* What a call says beyond its arguments. The shape is to be kept beside it. */
static inline ronde_call flight_call(const struct flight *f, uint64_t group, size_t *shape)
{
    ronde_call call = call_in(f->op.set->id);
    call.prescale = f->op.prescale;
    call.postscale = f->op.postscale;
    call.divide = f->op.divide;
    call.group = group;
    if (f->op.op == RONDE_WEIGHTED_AVERAGE && reduces(f->op.kind))
        call.weight = weight_of(&f->op, f->rank);
    if (f->op.columns) {
        shape[0] = f->op.count / (size_t)f->op.columns;
        shape[1] = (size_t)f->op.columns;
        call.shape = shape;
        call.dimensions = 2;
    }
    return call;
}

static inline int32_t flight_submit(ronde_context *c, struct flight *f, uint64_t group)
{
    const struct operation *op = &f->op;
    const char *name = *op->name ? op->name : NULL;
    const void *in = flight_in(f);
    void *out = flight_out(f);
    size_t shape[2], *splits = op->splits_are_given ? f->splits : NULL, row = op->row_count;
    ronde_call call = flight_call(f, group, shape);
    uint64_t *handle = &f->handle;
    flight_deal(f);
    switch (op->kind) {
    case ALLREDUCE:
        return ronde_allreduce_async(c, name, in, out, op->count, op->dtype, op->op, &call, handle);
    case BROADCAST:
        return ronde_broadcast_async(c, name, in, out, op->count, op->dtype, op->root, &call,
                                     handle);
    case ALLGATHER:
        return ronde_allgather_async(c, name, in, in_rows(f), row, op->dtype, out, out_rows(f),
                                     f->by_rank, &call, handle);
    case REDUCE:
        return ronde_reduce_async(c, name, in, out, op->count, op->dtype, op->op, op->root, &call,
                                  handle);
    case REDUCESCATTER:
        return ronde_reducescatter_async(c, name, in, op->count, row, op->dtype, op->op, out,
                                         out_rows(f), &call, handle);
    case ALLTOALL:
        return ronde_alltoall_async(c, name, in, splits, in_rows(f), row, op->dtype, out,
                                    out_rows(f), f->by_rank, &call, handle);
    case GATHER:
        return ronde_gather_async(c, name, in, in_rows(f), row, op->dtype, out, out_rows(f),
                                  f->by_rank, op->root, &call, handle);
    case SCATTER:
        return ronde_scatter_async(c, name, in, splits, in_rows(f), row, op->dtype, out,
                                   out_rows(f), f->by_rank, op->root, &call, handle);
    case SPARSE:
        return ronde_sparse_allreduce_async(c, name,
                                            f->in_count ? (const int64_t *)(void *)f->indices.data
                                                        : NULL,
                                            in, sparse_rows(op, f->rank), row, op->dtype, op->op,
                                            &call, handle);
    case SEND:
        return f->receives
                   ? ronde_recv_async(c, name, out, op->count, op->dtype, op->root, &call, handle)
                   : ronde_send_async(c, name, in, op->count, op->dtype, op->receiver, &call,
                                      handle);
    case BARRIER: return ronde_barrier_async(c, name, &call, handle);
    case KINDS: break;
    }
    return RONDE_ERR_ARGUMENT;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* One of the ways in which a caller may wait. */
static inline int32_t flight_wait(struct trial *trial, struct flight *f, uint64_t *dice)
{
    ronde_context *c = trial->context;
    int32_t status = RONDE_PENDING;
    switch (dice_below(dice, 4)) {
    case 0: until_done(trial, f->handle); return ronde_wait(c, f->handle);
    case 1:
        while (status == RONDE_PENDING)
            status = ronde_wait_for(c, f->handle, 1e-6 * (double)dice_below(dice, 3000));
        return status;
    default: return ronde_wait(c, f->handle);
    }
}

/* The text names the tensor, and says what differs; of a group it may be about another of it. */
static inline void flight_refused(struct trial *trial, const struct flight *f)
{
    static const char *const words[] = {"",        "dtype",  "shape",    "shape",  "op",
                                        "root",    "scale",  "division", "splits", "group",
                                        "weights", "joined", ""};
    const struct operation *plan = f->plan;
    char odd[32], name[41]; /* of long names, the beginning is shown */
    SAYING(trial, f, is_untouched(f), "refused, and yet written to");
    if (f->unit->n > 1)
        return;
    snprintf(odd, sizeof odd, "rank %d", plan->odd);
    snprintf(name, sizeof name, "%.40s", *plan->name ? plan->name : "#");
    EXPECT_ERROR(trial, name, words[plan->plant], "rank",
                 plan->odd >= 0 && plan->plant != NO_WEIGHT && plan->plant != ROOT_JOINED ? odd
                                                                                          : "");
}

static inline void take_made(struct trial *trial, struct flight *f)
{
    void *values = NULL;
    int64_t *indices = NULL;
    size_t rows = 0;
    if (f->op.kind == SPARSE) {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_take_sparse(trial->context, f->handle, &indices, &values, &rows));
        SAYING(trial, f, sparse_is(&f->op, indices, values, rows), "other rows");
        EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, indices));
    } else {
        EXPECT_STATUS(trial, RONDE_OK, ronde_take(trial->context, f->handle, &values, &rows));
        SAYING(trial, f, rows == f->out_count / f->op.row_count && result_is(f, values),
               "the library made other rows");
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, values));
}

/* `status` is what must come. */
static inline void flight_finish(struct trial *trial, struct flight *f, int32_t wanted,
                                 uint64_t *dice)
{
    int makes = f->library_makes || f->op.kind == SPARSE;
    if (makes && wanted == RONDE_OK)
        take_made(trial, f);
    int32_t status = flight_wait(trial, f, dice);
    if (status != wanted) {
        char text[600];
        snprintf(text, sizeof text, "%s, not %s: %s", ronde_status_name(status),
                 ronde_status_name(wanted), status < 0 ? ronde_last_error() : "");
        SAYING(trial, f, 0, text);
    } else if (wanted == RONDE_ERR_MISMATCH) {
        flight_refused(trial, f);
    } else if (wanted == RONDE_OK && !makes) {
        SAYING(trial, f, result_is(f, flight_out(f)), "wrong result");
    }
    if (chance(dice, 5))
        EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(trial->context, f->handle));
    flight_close(trial, f);
}

#endif
