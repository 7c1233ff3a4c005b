/* Direct operations: the caller's own thread runs the collective, on a communicator of their
 * own. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dtype.h"
#include "base/status.h"
#include "context.h"

enum {
    WIRE_NAP_NS = 50000,     /* MPI rings no bell */
    IDLE_STEPS_PER_LOOK = 16 /* looking reads the clock; asleep, these are 8 naps */
};

int32_t ronde__direct_open(struct direct *direct, struct net *net, struct coordinator *coordinator,
                           const struct settings *settings)
{
    *direct = (struct direct){.coordinator = coordinator};
    int32_t status = ronde__region_open(&direct->region, net,
                                        ronde__communicator_bytes(net, settings), REGION_COMMITTED);
    if (status)
        return status;
    const struct communicator_place place = {.memory = direct->region.base,
                                             .bells = coordinator->lobby.direct,
                                             .arena = coordinator->arena};
    status = ronde__communicator_open(&direct->communicator, net, &place, settings, TAG_DIRECT);
    if (status) {
        ronde__region_close(&direct->region, net);
        return status;
    }
    direct->bytes_of = calloc((size_t)net->size, sizeof(*direct->bytes_of));
    status = direct->bytes_of
                 ? ronde__select_read(&direct->select, settings->allreduce)
                 : ronde__fail(RONDE_ERR_MEMORY, "no memory for the rows of %d ranks", net->size);
    if (status) {
        free(direct->bytes_of);
        ronde__communicator_close(&direct->communicator);
        ronde__region_close(&direct->region, net);
        return status;
    }
    direct->patience = ronde__patience(net->local_size, settings->spin_us);
    direct->patience.nap_ns = net->nodes > 1 ? WIRE_NAP_NS : LOBBY_LOOK_NS;
    pthread_mutex_init(&direct->lock, NULL);
    return RONDE_OK;
}

void ronde__direct_close(struct direct *direct, const struct net *net)
{
    free(direct->bytes_of);
    pthread_mutex_destroy(&direct->lock);
    ronde__communicator_close(&direct->communicator);
    ronde__region_close(&direct->region, net);
}

/* As an outstanding operation for this rank, as a caller that waits for the leader of the node, who
 * watches the other nodes. */
static void be_concerned(struct coordinator *c, int concerned)
{
    uint32_t by = concerned ? 1 : (uint32_t)-1;
    atomic_fetch_add(&c->outstanding, by);
    atomic_fetch_add_explicit(&c->lobby.of[c->net->local_rank].waiting, by, memory_order_relaxed);
}

/* ---- the timeline ---------------------------------------------------------------------------- */

/* The lock is held. Direct operations have numbers that are the same on all ranks. */
static void note_begin(struct direct *direct, const char *call, enum kind kind, size_t bytes)
{
    struct timeline *timeline = direct->coordinator->timeline;
    struct communicator *c = &direct->communicator;
    uint64_t id = UINT64_C(1) << 63 | direct->operations;
    if (timeline || c->trace.timeline)
        ronde__communicator_trace(c, timeline);
    if (!timeline)
        return;
    ronde__communicator_label(c, call, id);
    direct->event = (struct timeline_event){.phase = TIMELINE_OPERATION,
                                            .name = call,
                                            .kind = ronde__kind_name(kind),
                                            .begin_ns = ronde__now_ns(),
                                            .bytes = bytes,
                                            .id = id,
                                            .peer = -1};
}

/* Either who ends the timeline sees that we record, and waits for the end of this step, or we see
 * that it has ended: both store first and then look, in one order for all. */
static int32_t step_recorded(struct direct *direct)
{
    struct communicator *c = &direct->communicator;
    atomic_store(&direct->recording, 1);
    struct timeline *timeline = direct->coordinator->timeline;
    if (timeline != c->trace.timeline) {
        ronde__communicator_trace(c, timeline);
        direct->event.begin_ns = 0; /* half an operation is none */
    }
    int32_t said = ronde__communicator_step(c);
    if ((said == RONDE__DONE || said < 0) && direct->event.begin_ns) {
        direct->event.end_ns = ronde__now_ns();
        direct->event.status = said < 0 ? said : RONDE_OK;
        ronde__timeline_record(timeline, &direct->event);
    }
    atomic_store(&direct->recording, 0);
    return said;
}

void ronde__direct_leave_timeline(struct direct *direct)
{
    while (atomic_load(&direct->recording))
        sched_yield();
}

/* ---- running --------------------------------------------------------------------------------- */

/* Whoever has waited for a while counts as an outstanding operation, so that the coordinator watches
 * the others; it is stepped from here too, for where it has no thread. */
static int32_t look_around(struct direct *direct)
{
    struct coordinator *c = direct->coordinator;
    int64_t before = direct->looked_ns, nap_ns;
    int32_t status = ronde__lobby_trouble(&c->lobby, &direct->looked_ns);
    if (status || before == direct->looked_ns)
        return status;
    if (!direct->concerned)
        be_concerned(c, 1);
    direct->concerned = 1;
    ronde__coordinator_step(c, &nap_ns);
    return RONDE__IDLE;
}

/* The communicator's step, with an eye on whether all is well. */
static int32_t step(void *state)
{
    struct direct *direct = state;
    struct communicator *c = &direct->communicator;
    int32_t said = c->trace.timeline ? step_recorded(direct) : ronde__communicator_step(c);
    if (said != RONDE__IDLE || ++direct->idle_steps % IDLE_STEPS_PER_LOOK)
        return said;
    return look_around(direct);
}

/* Steps what was started, or passes up why it was not. The lock is held. */
static int32_t run(struct direct *direct, int32_t status)
{
    struct communicator *c = &direct->communicator;
    uint64_t sent = atomic_load_explicit(&c->net->bytes_sent, memory_order_relaxed);
    direct->idle_steps = 0;
    if (!status)
        status = ronde__wait_for(direct->coordinator->lobby.direct[c->net->local_rank],
                                 &direct->patience, step, direct);
    if (direct->concerned)
        be_concerned(direct->coordinator, 0);
    direct->concerned = 0;
    if (status < 0 && !direct->failed) {
        direct->failed = status;
        ronde__lobby_tell_fatal(&direct->coordinator->lobby, status, ronde_last_error());
    } else
        direct->operations++;
    ronde__coordinator_has_sent(direct->coordinator, sent);
    return status < 0 ? status : RONDE_OK;
}

/* After a failure the ranks no longer agree where they are; and where named operations have found that
 * all is lost, nobody need wait to find it again. */
static int32_t lock(struct direct *direct, const char *call, enum kind kind, size_t bytes)
{
    pthread_mutex_lock(&direct->lock);
    int32_t fatal = ronde__lobby_fatal(&direct->coordinator->lobby);
    if (!fatal && !direct->failed) {
        note_begin(direct, call, kind, bytes);
        return RONDE_OK;
    }
    pthread_mutex_unlock(&direct->lock);
    if (fatal)
        return fatal;
    return ronde__fail(direct->failed, "an earlier direct operation failed (%s): close the context",
                       ronde_status_name(direct->failed));
}

/* They are over all ranks, and know no set, group or shape. */
static int32_t check_demand(const ronde_context *context, struct demand *d)
{
    int32_t status = ronde__read_demand(context, d);
    if (!status && d->read.process_set)
        status = ronde__fail(RONDE_ERR_PROCESS_SET, "direct operations are over all ranks, process "
                                                    "set 0");
    if (!status && (d->op == RONDE_ADASUM || d->op == RONDE_WEIGHTED_AVERAGE))
        status = ronde__fail(RONDE_ERR_ARGUMENT, "%s is an op of named operations alone",
                             ronde_op_name(d->op));
    d->read.shape = NULL;
    d->read.group = 0;
    return status ? status : ronde__check_demand(context, d);
}

int32_t ronde_direct_allreduce(ronde_context *context, const void *in, void *out, size_t count,
                               int32_t dtype, int32_t op, const ronde_call *call)
{
    int32_t status = ronde__check_driver(context, 1);
    struct demand d = {.kind = KIND_ALLREDUCE,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .op = op,
                       .call = call};
    if (!status)
        status = check_demand(context, &d);
    if (status || !count)
        return status;
    struct direct *direct = &context->direct;
    struct net *net = context->net;
    struct reduction whole = ronde__reduction(dtype, op, d.signature.prescale,
                                              d.signature.postscale, (uint32_t)net->size);
    const struct piece piece = {in, out, count};
    const struct crossing crossing = {ronde__signature_algorithm(&d.signature, &direct->select,
                                                                 net->nodes),
                                      ronde__signature_wire_dtype(&d.signature)};
    if ((status = lock(direct, __func__, KIND_ALLREDUCE, d.bytes)))
        return status;
    status = ronde__communicator_start_allreduce(&direct->communicator, &piece, 1, &whole,
                                                 &crossing, NULL);
    status = run(direct, status);
    pthread_mutex_unlock(&direct->lock);
    return status;
}

int32_t ronde_direct_broadcast(ronde_context *context, const void *in, void *out, size_t count,
                               int32_t dtype, int32_t root, const ronde_call *call)
{
    int32_t status = ronde__check_driver(context, 1);
    struct demand d = {.kind = KIND_BROADCAST,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .root = root,
                       .call = call};
    if (!status)
        status = check_demand(context, &d);
    if (status || !count)
        return status;
    struct direct *direct = &context->direct;
    if ((status = lock(direct, __func__, KIND_BROADCAST, d.bytes)))
        return status;
    const struct piece piece = {in, out, d.bytes};
    status = ronde__communicator_start_broadcast(&direct->communicator, &piece, 1, root);
    status = run(direct, status);
    pthread_mutex_unlock(&direct->lock);
    return status;
}

/* Every rank's bytes; their sum, or an overflow. */
static int32_t list_bytes(struct direct *direct, int ranks, size_t rows, size_t row_bytes,
                          const size_t *rows_by_rank, size_t *total)
{
    *total = 0;
    for (int rank = 0; rank < ranks; rank++) {
        size_t bytes, of_rank = rows_by_rank ? rows_by_rank[rank] : rows;
        if (__builtin_mul_overflow(of_rank, row_bytes, &bytes) ||
            __builtin_add_overflow(*total, bytes, total) || *total > PTRDIFF_MAX)
            return ronde__fail(RONDE_ERR_OVERFLOW, "the gathered rows exceed the address space");
        direct->bytes_of[rank] = bytes;
    }
    return RONDE_OK;
}

/* Does the input lie in the output, but not in its own place? */
static int is_misplaced(const struct direct *direct, int me, const void *in, const void *out,
                        size_t total)
{
    uintptr_t source = (uintptr_t)in, target = (uintptr_t)out;
    size_t before = 0;
    for (int rank = 0; rank < me; rank++)
        before += direct->bytes_of[rank];
    return source != target + before && source < target + total &&
           target < source + direct->bytes_of[me];
}

int32_t ronde_direct_allgather(ronde_context *context, const void *in, size_t rows,
                               size_t row_count, int32_t dtype, void *out,
                               const size_t *rows_by_rank, const ronde_call *call)
{
    int32_t status = ronde__check_driver(context, 1);
    struct demand d = {.kind = KIND_ALLGATHER,
                       .in = in,
                       .rows = rows,
                       .row_count = row_count,
                       .dtype = dtype,
                       .out = out,
                       .call = call};
    if (!status)
        status = check_demand(context, &d);
    if (status)
        return status;
    int me = context->net->rank;
    if (rows_by_rank && rows_by_rank[me] != rows)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "rows_by_rank says %zu rows for this rank %d, the "
                           "call %zu",
                           rows_by_rank[me], me, rows);
    struct direct *direct = &context->direct;
    if ((status = lock(direct, __func__, KIND_ALLGATHER, d.bytes)))
        return status;
    size_t total;
    status = list_bytes(direct, context->net->size, rows, row_count * ronde_dtype_bytes(dtype),
                        rows_by_rank, &total);
    if (!status && rows && in && out && is_misplaced(direct, me, in, out, total))
        status = ronde__fail(RONDE_ERR_ARGUMENT, "input and output overlap, but the input is not "
                                                 "where this rank's rows go in the output");
    if (!status && total && !out)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the output is NULL, but gets %zu bytes", total);
    if (!status && total)
        status = run(direct, ronde__communicator_start_gather(&direct->communicator, in, out,
                                                              direct->bytes_of));
    pthread_mutex_unlock(&direct->lock);
    return status;
}
