/* Every rank is the executor (collectives/executor.c) on a CPU of its own, which does one thing at
 * a time: starts a message, or takes one in. It looks for what to do in the executor's order:
 * sends, a window of segments of each step, in the order of the list; then receives, each peer's
 * messages in the order in which they come, a segment that the round also sends only after that
 * has left. A round ends when all of its steps have, and the next begins at once.
 *
 * A short message that comes before its receive was posted waits at no cost; one of a step whose
 * messages are longer than `eager_bytes` leaves only once the receive is posted. */
#include "events.h"

#include <stdlib.h>

#include "wire.h"

static int reduces(const struct run_flow *flow)
{
    return flow->step->kind == STEP_RECV_REDUCE || flow->step->kind == STEP_RECV_REDUCE_INTO;
}

/* The receives of a step that have room in the window; their senders may be waiting. */
static void post_receives(struct run *run, struct rank *me, const struct run_flow *flow)
{
    size_t posted = flow->finished + run->model->window;
    if (posted > flow->pieces.segments)
        posted = flow->pieces.segments;
    wire_partner(run, me, flow->step->peer)->posted = flow->before + posted;
    struct rank *from = &run->rank[flow->step->peer * run->job->lanes + me->lane];
    for (int32_t i = 0; i < from->flows; i++)
        if (is_send(&from->flow[i]) && from->flow[i].step->peer == me->node)
            wire_let_go(run, from, i);
}

static void open_round(struct run *run, struct rank *me)
{
    const struct step *step = me->schedule->step;
    int32_t round = step[me->next_step].round;
    me->flows = 0;
    for (; me->next_step < me->schedule->steps && step[me->next_step].round == round;
         me->next_step++) {
        struct run_flow *flow = &me->flow[me->flows++];
        *flow = (struct run_flow){.step = &step[me->next_step]};
        size_t bytes = 0;
        for (int32_t b = 0; b < flow->step->count; b++)
            bytes += run->job->bytes[(flow->step->first + b) * run->job->lanes + me->lane];
        flow->pieces = model_cut(run->model, bytes);
        struct partner *partner = wire_partner(run, me, flow->step->peer);
        size_t *count = is_send(flow) ? &partner->sent : &partner->awaited;
        flow->before = *count;
        *count += flow->pieces.segments;
        if (!is_send(flow))
            post_receives(run, me, flow);
    }
}

static int round_is_over(const struct rank *me)
{
    for (int32_t i = 0; i < me->flows; i++)
        if (me->flow[i].finished < me->flow[i].pieces.segments)
            return 0;
    return 1;
}

static int may_send(const struct run *run, const struct rank *me, const struct run_flow *flow)
{
    if (flow->posted == flow->pieces.segments ||
        flow->posted - flow->finished >= run->model->window)
        return 0;
    for (const struct run_flow *other = me->flow; other < flow; other++)
        if (is_send(other) && other->step->peer == flow->step->peer &&
            other->posted < other->pieces.segments)
            return 0;
    return 1;
}

static int may_take(struct run *run, struct rank *me, const struct run_flow *flow)
{
    if (flow->finished == flow->pieces.segments ||
        wire_partner(run, me, flow->step->peer)->arrived <= flow->before + flow->finished)
        return 0;
    for (int32_t i = 0; i < me->flows; i++)
        if (is_send(&me->flow[i]) && me->flow[i].step->first == flow->step->first &&
            me->flow[i].finished <= flow->finished)
            return 0;
    return 1;
}

/* The flow that the executor would go on with, sends first; -1: none. */
static int32_t next_flow(struct run *run, struct rank *me)
{
    for (int32_t i = 0; i < me->flows; i++)
        if (is_send(&me->flow[i]) && may_send(run, me, &me->flow[i]))
            return i;
    for (int32_t i = 0; i < me->flows; i++)
        if (!is_send(&me->flow[i]) && may_take(run, me, &me->flow[i]))
            return i;
    return -1;
}

static void go_on(struct run *run, struct rank *me)
{
    if (me->done || me->busy_with >= 0)
        return;
    while (round_is_over(me)) {
        if (me->next_step == me->schedule->steps) {
            me->done = 1;
            run->done++;
            run->end = run->now;
            return;
        }
        open_round(run, me);
    }
    me->busy_with = next_flow(run, me);
    if (me->busy_with < 0)
        return;
    const struct run_flow *flow = &me->flow[me->busy_with];
    int64_t takes = run->model->overhead;
    if (!is_send(flow))
        takes = model_take(run->model, model_segment(&flow->pieces, flow->finished), reduces(flow));
    wire_put(run, &(struct event){.at = run->now + takes,
                                  .kind = EVENT_CPU,
                                  .rank = (int32_t)(me - run->rank)});
}

static void end_work(struct run *run, struct rank *me)
{
    struct run_flow *flow = &me->flow[me->busy_with];
    if (is_send(flow)) {
        flow->posted++;
        flow->posted_at = run->now;
        wire_let_go(run, me, me->busy_with);
    } else {
        flow->finished++;
        post_receives(run, me, flow);
    }
    me->busy_with = -1;
}

static void take_event(struct run *run, struct event *event)
{
    struct rank *me = &run->rank[event->rank];
    run->now = event->at;
    switch ((enum event_kind)event->kind) {
    case EVENT_CPU: end_work(run, me); break;
    case EVENT_GO: wire_send(run, me, event->flow); return;
    case EVENT_LEFT: me->flow[event->flow].finished++; break;
    case EVENT_HEAD: wire_take_head(run, event); return;
    case EVENT_HERE: wire_partner(run, me, run->rank[event->sender].node)->arrived++; break;
    }
    go_on(run, me);
}

/* ---- from start to end ----------------------------------------------------------------------- */

static size_t longest_round(const struct job *job)
{
    size_t longest = 1;
    for (int n = 0; n < job->nodes; n++) {
        const struct schedule *list = job->schedules[n];
        for (int32_t i = 0, begin = 0; i < list->steps; i++) {
            begin = list->step[i].round == list->step[begin].round ? begin : i;
            size_t length = (size_t)(i - begin) + 1;
            longest = length > longest ? length : longest;
        }
    }
    return longest;
}

static void place_ranks(struct run *run, size_t most_flows)
{
    for (int32_t r = 0; r < run->ranks; r++)
        run->rank[r] = (struct rank){.schedule = run->job->schedules[r / run->job->lanes],
                                     .node = r / run->job->lanes,
                                     .lane = r % run->job->lanes,
                                     .busy_with = -1,
                                     .flow = run->flows + (size_t)r * most_flows};
}

static void tell(const struct run *run, struct outcome *outcome)
{
    *outcome = (struct outcome){.time = run->end, .by_events = 1};
    for (int32_t r = 0; r < run->ranks; r++) {
        const struct rank *rank = &run->rank[r];
        outcome->messages += rank->messages;
        if (rank->messages > outcome->rank_messages)
            outcome->rank_messages = rank->messages;
        if (rank->bytes > outcome->rank_bytes)
            outcome->rank_bytes = rank->bytes;
    }
    for (int n = 0; n < run->job->nodes; n++)
        if (run->node_bytes[n] > outcome->node_bytes)
            outcome->node_bytes = run->node_bytes[n];
}

const char *events_run(const struct model *model, const struct job *job, struct outcome *outcome)
{
    struct run run = {.model = model, .job = job, .ranks = job->nodes * job->lanes};
    size_t nodes = (size_t)job->nodes, ranks = (size_t)run.ranks, flows = longest_round(job);
    run.rank = calloc(ranks, sizeof(*run.rank));
    run.flows = calloc(ranks * flows, sizeof(*run.flows));
    run.free_at = calloc(4 * nodes, sizeof(*run.free_at));
    run.node_bytes = calloc(nodes, sizeof(*run.node_bytes));
    if (!run.rank || !run.flows || !run.free_at || !run.node_bytes) {
        run.wrong = wire_out_of_memory;
    } else {
        place_ranks(&run, flows);
        for (int32_t r = 0; r < run.ranks; r++)
            go_on(&run, &run.rank[r]);
        while (run.heap.count && !run.wrong) {
            struct event event = heap_take(&run.heap);
            take_event(&run, &event);
        }
        if (!run.wrong && run.done < run.ranks)
            run.wrong = "the schedules wait for messages that nobody sends";
        tell(&run, outcome);
    }
    for (size_t r = 0; run.rank && r < ranks; r++)
        free(run.rank[r].partner);
    heap_free(&run.heap);
    free(run.rank);
    free(run.flows);
    free(run.free_at);
    free(run.node_bytes);
    return run.wrong;
}

const char *events_algorithm(const struct model *model, const struct shape *shape, int root,
                             struct outcome *outcome)
{
    size_t nodes = (size_t)shape->nodes, lanes = (size_t)shape->lanes;
    const struct schedule **schedules = calloc(nodes, sizeof(const struct schedule *));
    size_t *bytes = malloc((size_t)shape->blocks * lanes * sizeof(*bytes));
    const char *wrong = schedules && bytes ? NULL : wire_out_of_memory;
    size_t made = 0;
    for (; made < nodes && !wrong; made++) {
        schedules[made] = ronde__schedule(shape->algorithm, shape->nodes, (int)made, root);
        wrong = schedules[made] ? NULL : wire_out_of_memory;
    }
    for (int32_t b = 0; b < shape->blocks && !wrong; b++)
        for (int l = 0; l < shape->lanes; l++)
            bytes[(size_t)b * lanes + (size_t)l] = shape_bytes(shape, b < shape->longer, l);
    const struct job job = {shape->nodes, shape->lanes, schedules, bytes};
    if (!wrong)
        wrong = events_run(model, &job, outcome);
    for (size_t n = 0; n < made; n++)
        free((void *)(uintptr_t)schedules[n]);
    free(schedules);
    free(bytes);
    return wrong;
}
