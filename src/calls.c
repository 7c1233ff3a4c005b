/* Named operations: check, queue, and hand out a handle or wait. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "context.h"

/* Copies what was asked for into a request, and submits it. waits: the calling thread will wait. */
static int32_t submit(ronde_context *context, const char *name, struct demand *demand,
                      size_t *rows_by_rank, const ronde_call *call, int waits,
                      struct request **submitted)
{
    int32_t status = ronde__check_open(context);
    if (status)
        return status;
    struct coordinator *c = context->coordinator;
    /* Drawn before anything can fail, so that ranks stay matched after a failed call. */
    uint64_t number = name ? 0 : ronde__queue_draw(&c->queue, demand->kind);
    if (waits)
        status = ronde__check_driver(context, 0);
    if (!status)
        status = ronde__check_demand(context, name, demand, call);
    if (status)
        return status;
    struct request *request = ronde__handles_take(&c->handles);
    if (!request)
        return RONDE_ERR_MEMORY;
    request->signature = demand->signature;
    request->in = demand->in;
    request->out = demand->out;
    request->count = demand->count;
    request->rows = demand->rows;
    request->out_rows = demand->out_rows;
    request->rows_by_rank = rows_by_rank;
    request->allocate = demand->kind == KIND_ALLGATHER && !demand->out && !waits;
    status = ronde__coordinator_submit(c, name, number, request);
    if (status)
        ronde__handles_give(&c->handles, request);
    else
        *submitted = request;
    return status;
}

static int32_t submit_async(ronde_context *context, const char *name, struct demand *demand,
                            size_t *rows_by_rank, const ronde_call *call, uint64_t *handle)
{
    if (!handle && context) {
        if (!name)
            ronde__queue_draw(&context->coordinator->queue, demand->kind);
        return ronde__fail(RONDE_ERR_ARGUMENT, "the place for the handle is NULL");
    }
    struct request *request;
    int32_t status = submit(context, name, demand, rows_by_rank, call, 0, &request);
    if (status)
        return status;
    *handle = ronde__handle_of(request);
    ronde__coordinator_wake(context->coordinator);
    return RONDE_OK;
}

static int32_t finish(struct coordinator *c, struct request *request, int64_t deadline_ns)
{
    if (ronde__coordinator_wait(c, request, deadline_ns) == RONDE_PENDING) {
        ronde__handles_unclaim(&c->handles, request);
        return RONDE_PENDING;
    }
    int32_t status = ronde__request_status(request);
    ronde__handles_give(&c->handles, request);
    return status;
}

static int32_t submit_and_wait(ronde_context *context, const char *name, struct demand *demand,
                               size_t *rows_by_rank, const ronde_call *call)
{
    struct request *request;
    int32_t status = submit(context, name, demand, rows_by_rank, call, 1, &request);
    return status ? status : finish(context->coordinator, request, 0);
}

/* ---- the operations -------------------------------------------------------------------------- */

static struct demand allreduce(const void *in, void *out, size_t count, int32_t dtype, int32_t op)
{
    return (struct demand){
        .kind = KIND_ALLREDUCE, .in = in, .out = out, .count = count, .dtype = dtype, .op = op};
}

static struct demand broadcast(const void *in, void *out, size_t count, int32_t dtype, int32_t root)
{
    return (struct demand){
        .kind = KIND_BROADCAST, .in = in, .out = out, .count = count, .dtype = dtype, .root = root};
}

static struct demand allgather(const void *in, size_t rows, size_t row_count, int32_t dtype,
                               void *out, size_t out_rows)
{
    return (struct demand){.kind = KIND_ALLGATHER,
                           .in = in,
                           .rows = rows,
                           .row_count = row_count,
                           .dtype = dtype,
                           .out = out,
                           .out_rows = out_rows};
}

int32_t ronde_allreduce_async(ronde_context *context, const char *name, const void *in, void *out,
                              size_t count, int32_t dtype, int32_t op, const ronde_call *call,
                              uint64_t *handle)
{
    struct demand demand = allreduce(in, out, count, dtype, op);
    return submit_async(context, name, &demand, NULL, call, handle);
}

int32_t ronde_broadcast_async(ronde_context *context, const char *name, const void *in, void *out,
                              size_t count, int32_t dtype, int32_t root, const ronde_call *call,
                              uint64_t *handle)
{
    struct demand demand = broadcast(in, out, count, dtype, root);
    return submit_async(context, name, &demand, NULL, call, handle);
}

int32_t ronde_allgather_async(ronde_context *context, const char *name, const void *in, size_t rows,
                              size_t row_count, int32_t dtype, void *out, size_t out_rows,
                              size_t *rows_by_rank, const ronde_call *call, uint64_t *handle)
{
    struct demand demand = allgather(in, rows, row_count, dtype, out, out_rows);
    return submit_async(context, name, &demand, rows_by_rank, call, handle);
}

int32_t ronde_allreduce(ronde_context *context, const char *name, const void *in, void *out,
                        size_t count, int32_t dtype, int32_t op, const ronde_call *call)
{
    struct demand demand = allreduce(in, out, count, dtype, op);
    return submit_and_wait(context, name, &demand, NULL, call);
}

int32_t ronde_broadcast(ronde_context *context, const char *name, const void *in, void *out,
                        size_t count, int32_t dtype, int32_t root, const ronde_call *call)
{
    struct demand demand = broadcast(in, out, count, dtype, root);
    return submit_and_wait(context, name, &demand, NULL, call);
}

int32_t ronde_allgather(ronde_context *context, const char *name, const void *in, size_t rows,
                        size_t row_count, int32_t dtype, void *out, size_t out_rows,
                        size_t *rows_by_rank, const ronde_call *call)
{
    struct demand demand = allgather(in, rows, row_count, dtype, out, out_rows);
    return submit_and_wait(context, name, &demand, rows_by_rank, call);
}

/* ---- handles --------------------------------------------------------------------------------- */

int32_t ronde_poll(ronde_context *context, uint64_t handle)
{
    int32_t status = ronde__check_driver(context, 0);
    if (status)
        return status;
    ronde__coordinator_poke(context->coordinator);
    return ronde__handles_poll(&context->coordinator->handles, handle);
}

static int32_t wait_until(ronde_context *context, uint64_t handle, int64_t deadline_ns)
{
    int32_t status = ronde__check_driver(context, 0);
    if (status)
        return status;
    struct request *request = ronde__handles_claim(&context->coordinator->handles, handle);
    return request ? finish(context->coordinator, request, deadline_ns) : RONDE_ERR_HANDLE;
}

int32_t ronde_wait(ronde_context *context, uint64_t handle)
{
    return wait_until(context, handle, 0);
}

int32_t ronde_wait_for(ronde_context *context, uint64_t handle, double seconds)
{
    if (!(seconds >= 0))
        return ronde__fail(RONDE_ERR_ARGUMENT, "a wait of %g seconds", seconds);
    const double longest = 1e9; /* 30 years of nanoseconds fit 63 bits */
    seconds = seconds < longest ? seconds : longest;
    return wait_until(context, handle, ronde__now_ns() + (int64_t)(seconds * 1e9));
}

int32_t ronde_take(ronde_context *context, uint64_t handle, void **memory, size_t *rows)
{
    int32_t status = ronde__check_open(context);
    if (status)
        return status;
    if (!memory || !rows)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the place for the %s is NULL",
                           memory ? "rows" : "memory");
    return ronde__handles_take_made(&context->coordinator->handles, handle, memory, rows);
}
