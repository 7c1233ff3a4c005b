/* From a call to a request: check, queue, and hand out a handle or wait; and what handles are for. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "fusion/layout.h"

/* ---- requests -------------------------------------------------------------------------------- */

/* The rows that each rank gets, written out where they are even. */
static int32_t copy_splits(struct request *request, const struct demand *d)
{
    size_t n = (size_t)d->set->net->size, from;
    request->splits = calloc(n, sizeof(*request->splits));
    if (!request->splits)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the splits of %zu ranks", n);
    for (size_t rank = 0; rank < n; rank++)
        if (d->splits)
            request->splits[rank] = d->splits[rank];
        else
            ronde__layout_part(d->rows, (int32_t)n, (int32_t)rank, &from, &request->splits[rank]);
    return RONDE_OK;
}

/* What a scatter's root tells: everybody's rows. */
static int32_t list_words(struct request *request, size_t n)
{
    request->words = calloc(2 * n, sizeof(*request->words));
    if (!request->words)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the rows of %zu ranks", n);
    for (size_t rank = 0; rank < n; rank++) {
        request->words[2 * rank] = rank;
        request->words[2 * rank + 1] = request->splits[rank];
    }
    return RONDE_OK;
}

/* Does the library make the output where the caller has none? */
static int makes_output(const ronde_context *context, const struct demand *d, int waits)
{
    switch (d->kind) {
    case KIND_ALLGATHER:
    case KIND_REDUCESCATTER:
    case KIND_ALLTOALL:
    case KIND_SCATTER: return !d->out && !waits;
    case KIND_GATHER: return !d->out && !waits && context->net->rank == d->root;
    case KIND_SPARSE: return 1;
    case KIND_ALLREDUCE:
    case KIND_BROADCAST:
    case KIND_REDUCE:
    case KIND_BARRIER:
    case KIND_JOIN:
    case KIND_SEND:
    case KIND_RECV: break;
    }
    return 0;
}

int32_t ronde__make_request(ronde_context *context, const struct demand *d, int waits,
                            struct request **made)
{
    struct coordinator *c = context->coordinator;
    struct request *request = ronde__handles_take(&c->handles);
    if (!request)
        return RONDE_ERR_MEMORY;
    ronde__signature_copy(&request->signature, &d->signature);
    request->set = d->set;
    request->in = d->in;
    request->out = d->out;
    request->count = d->count;
    request->rows = d->rows;
    request->out_rows = d->out_rows;
    request->rows_by_rank = d->rows_by_rank;
    request->received = d->received;
    request->last_rank = d->last_rank;
    request->indices = d->indices;
    request->weight = d->read.weight;
    request->deadline = d->read.deadline;
    request->allocate = makes_output(context, d, waits);
    if (c->timeline)
        request->submitted_ns = ronde__now_ns();
    int32_t status = RONDE_OK;
    if (d->kind == KIND_SEND || d->kind == KIND_RECV)
        request->peer = ronde__set_rank_of(d->set, d->root);
    int scatters = d->kind == KIND_SCATTER && context->net->rank == d->root;
    if (d->kind == KIND_ALLTOALL || scatters)
        status = copy_splits(request, d);
    if (!status && scatters)
        status = list_words(request, (size_t)d->set->net->size);
    if (status)
        ronde__handles_give(&c->handles, request);
    else
        *made = request;
    return status;
}

/* Drawn before anything can fail, so that ranks stay matched after a failed call. */
static uint64_t draw(const struct demand *d)
{
    int is_pair = d->kind == KIND_SEND || d->kind == KIND_RECV;
    if (d->name || !d->set)
        return 0;
    return ronde__queue_draw(&d->set->queue, d->kind,
                             is_pair ? ronde__set_rank_of(d->set, d->root) : -1);
}

/* The refusal, with what was refused. */
static int32_t refuse(const struct demand *d, int32_t status)
{
    char *why = ronde__text("%s", ronde_last_error());
    if (why && d->name)
        ronde__fail(status, "%s '%s': %s", ronde__kind_name(d->kind),
                    ronde__short_name(d->name, NAME_BYTES).text, why);
    else if (why)
        ronde__fail(status, "%s: %s", ronde__kind_name(d->kind), why);
    free(why);
    return status;
}

/* A blocking call gives nobody a moment to take what the library would make. How many rows come, the
 * others learn when they run. */
static int32_t check_share(const struct demand *d)
{
    if (d->kind != KIND_REDUCESCATTER || d->out || !d->bytes)
        return RONDE_OK;
    size_t share = ronde_share_rows(d->rows, d->set->net->size, d->set->net->rank);
    if (!share)
        return RONDE_OK;
    return ronde__fail(RONDE_ERR_ARGUMENT,
                       "the output is NULL, but this rank's share is %zu rows: give it room, or "
                       "submit it asynchronously and take what the library makes",
                       share);
}

static int32_t check(ronde_context *context, struct demand *d, int waits, uint64_t *number)
{
    int32_t status = ronde__check_open(context);
    if (status)
        return status;
    status = ronde__read_demand(context, d);
    if (!status)
        *number = draw(d);
    if (!status && waits)
        status = ronde__check_driver(context, 0);
    if (!status && waits && d->read.group)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "a blocking call cannot be in a group");
    if (!status)
        status = ronde__check_demand(context, d);
    if (!status && waits)
        status = check_share(d);
    return status ? refuse(d, status) : RONDE_OK;
}

/* waits: the calling thread will wait. */
static int32_t submit(ronde_context *context, const struct demand *d, uint64_t number, int waits,
                      struct request **submitted)
{
    struct request *request;
    int32_t status = ronde__make_request(context, d, waits, &request);
    if (status)
        return status;
    status = d->kind == KIND_JOIN ? ronde__set_submit_join(d->set, request)
                                  : ronde__set_submit(d->set, d->name, number, request);
    if (status)
        ronde__handles_give(&context->coordinator->handles, request);
    else
        *submitted = request;
    return status;
}

/* Such a call is of a group, also where it was refused. */
static int in_group(const ronde_context *context, const struct demand *d)
{
    return context && *context->ours && d->call && d->read.group;
}

int32_t ronde__call_async(ronde_context *context, struct demand *d, uint64_t *handle)
{
    uint64_t number = 0;
    int32_t status = check(context, d, 0, &number);
    if (!status && !handle)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the place for the handle is NULL");
    if (in_group(context, d))
        return ronde__group_take(context, d->read.group, d, number, status, handle);
    struct request *request;
    if (!status)
        status = submit(context, d, number, 0, &request);
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

int32_t ronde__call_and_wait(ronde_context *context, struct demand *d)
{
    uint64_t number = 0;
    struct request *request;
    int32_t status = check(context, d, 1, &number);
    if (status && in_group(context, d))
        return ronde__group_take(context, d->read.group, d, number, status, NULL);
    if (!status)
        status = submit(context, d, number, 1, &request);
    return status ? status : finish(context->coordinator, request, 0);
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
    if (ronde__handles_finish(&context->coordinator->handles, handle))
        return RONDE_OK;
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

/* Once it is done. */
static int32_t take(ronde_context *context, uint64_t handle, int64_t **indices, void **memory,
                    size_t *rows)
{
    struct coordinator *c = context->coordinator;
    int32_t status = ronde__check_driver(context, 0);
    struct request *request = status ? NULL : ronde__handles_claim(&c->handles, handle);
    if (!request)
        return status ? status : RONDE_ERR_HANDLE;
    ronde__coordinator_wait(c, request, 0);
    ronde__handles_unclaim(&c->handles, request);
    return ronde__handles_take_made(&c->handles, handle, indices, memory, rows);
}

int32_t ronde_take(ronde_context *context, uint64_t handle, void **memory, size_t *rows)
{
    int32_t status = ronde__check_open(context);
    if (status)
        return status;
    if (!memory || !rows)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the place for the %s is NULL",
                           memory ? "rows" : "memory");
    return take(context, handle, NULL, memory, rows);
}

int32_t ronde_take_sparse(ronde_context *context, uint64_t handle, int64_t **indices, void **values,
                          size_t *rows)
{
    int32_t status = ronde__check_open(context);
    if (status)
        return status;
    if (!indices || !values || !rows)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the place for the %s is NULL",
                           !indices  ? "indices"
                           : !values ? "values"
                                     : "rows");
    return take(context, handle, indices, values, rows);
}
