/* A schedule is run round by round; each step of the round is a flow of messages (flow.h). A round
 * posts its receives, then its sends, takes in what arrives, and ends when all its flows have.
 *
 * What a round sends is what the blocks held when it began. So a segment that has come to be
 * reduced waits in its slot until the same segment has gone out, where the round sends the block
 * too (as doubling does). Nothing waits in a circle: the send of segment k needs the partner's
 * receive of k, which is posted once k - FLOW_WINDOW was taken in, which waited at most for the
 * send of k - FLOW_WINDOW.
 *
 * Messages between two peers match in the order in which they are posted, so of two steps of a
 * round with one peer and one direction the later posts nothing before the earlier has posted all.
 *
 * Memory: slots for a window of segments, 1 MiB, per step of a round that reduces or whose blocks
 * are in several pieces: 1 or 2 MiB for the algorithms there are, whatever the size of the data. */
#include "collectives/executor.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bell.h"
#include "base/status.h"
#include "collectives/flow.h"

struct executor {
    struct net *net;
    const struct schedule *schedule;
    const int *peers;
    int tag;
    const struct trace *trace; /* NULL: none */
    struct flow_data data;
    int32_t next_step; /* the first one after this round */
    int32_t status;    /* IDLE while it runs, then DONE or the error */
    int32_t flows;     /* steps of this round */
    char *scratch;
    size_t scratch_bytes;
    struct flow flow[]; /* room for the longest round */
};

static int32_t round_end(const struct schedule *schedule, int32_t begin)
{
    int32_t end = begin;
    while (end < schedule->steps && schedule->step[end].round == schedule->step[begin].round)
        end++;
    return end;
}

/* Opens the flows of the next round, if there is one; returns the scratch that they need. */
static size_t open_round(struct executor *executor)
{
    int32_t begin = executor->next_step, end = round_end(executor->schedule, begin);
    size_t used = 0;
    for (int32_t i = begin; i < end; i++) {
        struct flow *flow = &executor->flow[i - begin];
        size_t needed = ronde__flow_open(flow, &executor->schedule->step[i], &executor->data);
        /* Still NULL while the scratch is only being measured. */
        flow->scratch = needed && executor->scratch ? executor->scratch + used : NULL;
        used += needed;
    }
    executor->flows = end - begin;
    executor->next_step = end;
    return used;
}

/* The scratch of the round that needs most, so that running allocates nothing. */
static size_t scratch_needed(struct executor *executor)
{
    size_t most = 0;
    executor->next_step = 0;
    while (executor->next_step < executor->schedule->steps) {
        size_t needed = open_round(executor);
        most = needed > most ? needed : most;
    }
    executor->next_step = executor->flows = 0;
    return most;
}

static int32_t grow_scratch(struct executor *executor, size_t bytes)
{
    if (bytes <= executor->scratch_bytes)
        return RONDE_OK;
    char *scratch = aligned_alloc(64, bytes);
    if (!scratch)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu bytes of receive slots", bytes);
    free(executor->scratch);
    executor->scratch = scratch;
    executor->scratch_bytes = bytes;
    return RONDE_OK;
}

int32_t ronde__executor_restart(struct executor *executor, void *data, size_t element_bytes,
                                const struct block_map *blocks, const struct reduction *reduction)
{
    if (executor->status < 0)
        return executor->status;
    assert(executor->status == RONDE__DONE);
    executor->data = (struct flow_data){data, element_bytes, blocks, reduction};
    int32_t status = grow_scratch(executor, scratch_needed(executor));
    if (status)
        return status;
    executor->status = RONDE__IDLE;
    return RONDE_OK;
}

int32_t ronde__executor_open(struct executor **executor, struct net *net,
                             const struct schedule *schedule, const int *peers, int tag, void *data,
                             size_t element_bytes, const struct block_map *blocks,
                             const struct reduction *reduction)
{
    int32_t longest = 0;
    for (int32_t begin = 0, end; begin < schedule->steps; begin = end) {
        end = round_end(schedule, begin);
        longest = end - begin > longest ? end - begin : longest;
    }
    size_t bytes = sizeof(**executor) + (size_t)longest * sizeof((*executor)->flow[0]);
    struct executor *made = calloc(1, bytes);
    if (!made)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for an executor of %zu bytes", bytes);
    made->net = net;
    made->schedule = schedule;
    made->peers = peers;
    made->tag = tag;
    made->status = RONDE__DONE;
    int32_t status = ronde__executor_restart(made, data, element_bytes, blocks, reduction);
    if (status) {
        ronde__executor_close(made);
        return status;
    }
    *executor = made;
    return RONDE_OK;
}

void ronde__executor_trace(struct executor *executor, const struct trace *trace)
{
    executor->trace = trace;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Whether this flow's turn has come to post towards its peer. */
static int is_first_in_line(const struct executor *executor, const struct flow *flow)
{
    for (const struct flow *other = executor->flow; other < flow; other++)
        if (other->step->peer == flow->step->peer &&
            ronde__flow_sends(other) == ronde__flow_sends(flow) && other->posted < other->segments)
            return 0;
    return 1;
}

static int32_t post(struct executor *executor, struct flow *flow, int *moved)
{
    while (ronde__flow_may_post(flow) && is_first_in_line(executor, flow)) {
        if (flow->posted == 0)
            flow->begun_ns = ronde__trace_begin(executor->trace);
        int32_t status = ronde__flow_post(flow, &executor->data, executor->net,
                                          executor->peers[flow->step->peer], executor->tag);
        if (status)
            return status;
        *moved = 1;
    }
    return RONDE_OK;
}

/* Whether the oldest segment of a receive may be written: the round's sends of the same blocks,
 * which are cut alike, have it behind them. */
static int may_finish(const struct executor *executor, const struct flow *flow)
{
    for (int32_t i = 0; i < executor->flows && !ronde__flow_sends(flow); i++) {
        const struct flow *other = &executor->flow[i];
        if (ronde__flow_sends(other) && other->step->first == flow->step->first &&
            other->finished <= flow->finished)
            return 0;
    }
    return 1;
}

static void record(const struct executor *executor, const struct flow *flow)
{
    if (flow->begun_ns && flow->finished == flow->segments)
        ronde__trace_message(executor->trace,
                             ronde__flow_sends(flow) ? TIMELINE_SEND : TIMELINE_RECV,
                             executor->peers[flow->step->peer], flow->bytes, flow->begun_ns);
}

static int32_t finish_and_post(struct executor *executor, struct flow *flow, int *moved)
{
    while (flow->finished < flow->posted) {
        int arrived;
        int32_t status = ronde__flow_test(flow, executor->net, &arrived);
        if (status)
            return status;
        if (!arrived || !may_finish(executor, flow))
            return RONDE_OK;
        ronde__flow_finish(flow, &executor->data);
        record(executor, flow);
        *moved = 1;
        status = post(executor, flow, moved);
        if (status)
            return status;
    }
    return RONDE_OK;
}

typedef int32_t flow_function(struct executor *, struct flow *, int *moved);

static int32_t for_flows(struct executor *executor, int sends, flow_function *function, int *moved)
{
    int32_t status = RONDE_OK;
    for (int32_t i = 0; !status && i < executor->flows; i++)
        if (ronde__flow_sends(&executor->flow[i]) == sends)
            status = function(executor, &executor->flow[i], moved);
    return status;
}

static int32_t run_round(struct executor *executor, int *moved)
{
    int32_t status = for_flows(executor, 0, post, moved);
    if (!status)
        status = for_flows(executor, 1, post, moved);
    if (!status)
        status = for_flows(executor, 1, finish_and_post, moved);
    return status ? status : for_flows(executor, 0, finish_and_post, moved);
}

static int round_is_over(const struct executor *executor)
{
    for (int32_t i = 0; i < executor->flows; i++)
        if (executor->flow[i].finished < executor->flow[i].segments)
            return 0;
    return 1;
}

int32_t ronde__executor_step(struct executor *executor)
{
    if (executor->status != RONDE__IDLE)
        return executor->status;
    int moved = 0;
    for (;;) {
        int32_t status = run_round(executor, &moved);
        if (status)
            return executor->status = status;
        if (!round_is_over(executor))
            return moved ? RONDE__MOVED : RONDE__IDLE;
        if (executor->next_step == executor->schedule->steps)
            return executor->status = RONDE__DONE;
        open_round(executor);
        moved = 1;
    }
}

void ronde__executor_close(struct executor *executor)
{
    if (!executor)
        return;
    int in_use = 0;
    for (int32_t i = 0; i < executor->flows; i++)
        in_use |= ronde__flow_abandon(&executor->flow[i], executor->net);
    if (!in_use) /* else lost: better than written to by the network once it is somebody else's */
        free(executor->scratch);
    free(executor);
}
