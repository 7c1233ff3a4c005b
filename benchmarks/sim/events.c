/* Every rank runs the library's own executor (collectives/executor.c) on a network that is
 * simulated, and on a CPU of its own, which does one thing at a time: starts a message, or takes
 * one in, and reduces it. So what is cut how, what waits for what, and how many segments, rounds
 * and runs are under way at once is the executor's doing, and nothing here says it again.
 *
 * A node prepares its runs and sees to what they leave in the order of communicator_allreduce.c. */
#include "events.h"

#include <math.h>
#include <stdlib.h>

#include "base/bell.h"
#include "wire.h"

enum { PARTS = 2 }; /* of the wire buffer: runs of a node at once */

/* ---- runs ------------------------------------------------------------------------------------ */

static const size_t *bytes_of(const struct job *job, int32_t index)
{
    return index == job->runs - 1 ? job->last_bytes : job->bytes;
}

/* The node's stages for one run: as long before the wire as after it. */
static int64_t stage(const struct run *run, int32_t index)
{
    const struct job *job = run->job;
    size_t all = 0;
    for (int32_t b = 0; b < job->schedules[0]->blocks * job->lanes; b++)
        all += bytes_of(job, index)[b];
    return llround((double)all * run->model->node_ps / 2);
}

static void work(const struct run *run, struct node *node, int64_t takes)
{
    node->free_at = (node->free_at > run->now ? node->free_at : run->now) + takes;
}

static void prepare(struct run *run, struct node *node, int32_t index)
{
    work(run, node, stage(run, index));
    wire_put(run, &(struct event){.at = node->free_at, .kind = EVENT_ADD, .what = node});
}

/* Gives the next run to the executors of all lanes. */
static void add(struct run *run, struct node *node)
{
    int32_t index = node->given++, first = (int32_t)(node - run->node) * run->job->lanes;
    for (int32_t lane = 0; lane < run->job->lanes; lane++) {
        struct rank *rank = &run->rank[first + lane];
        const struct block_map *map =
            &run->map[(index == run->job->runs - 1) * run->job->lanes + lane];
        int32_t status = rank->executor
                             ? ronde__executor_add(rank->executor, run->data, 1, map,
                                                   &rank->reduction)
                             : ronde__executor_open(&rank->executor, &rank->net,
                                                    run->job->schedules[rank->node], run->peers, 0,
                                                    run->data, 1, map, &rank->reduction);
        if (status)
            run->wrong = wire_out_of_memory;
        else
            wire_wake(run, rank);
    }
}

/* A lane is through with a run; with the last one the node is. */
static void end_lane(struct run *run, struct rank *rank, int32_t index)
{
    struct node *node = &run->node[rank->node];
    node->lanes_until = rank->cpu_free > node->lanes_until ? rank->cpu_free : node->lanes_until;
    if (++node->lanes_ended[index % PARTS] < run->job->lanes)
        return;
    node->lanes_ended[index % PARTS] = 0;
    node->free_at = node->lanes_until > node->free_at ? node->lanes_until : node->free_at;
    work(run, node, stage(run, index));
    if (node->free_at > run->ended_at[index])
        run->ended_at[index] = node->free_at;
    if (index + PARTS < run->job->runs)
        prepare(run, node, index + PARTS);
    run->runs_over++;
}

static void go_on(struct run *run, struct rank *rank)
{
    int32_t status;
    rank->is_woken = 0;
    if (!rank->executor)
        return;
    while ((status = ronde__executor_step(rank->executor)) == RONDE__MOVED)
        ;
    if (status < 0 && !run->wrong)
        run->wrong = wire_out_of_memory;
    while (rank->ended < ronde__executor_ended(rank->executor))
        end_lane(run, rank, (int32_t)rank->ended++);
}

static void take_event(struct run *run, const struct event *event)
{
    switch ((enum event_kind)event->kind) {
    case EVENT_START:
    case EVENT_END: wire_take_event(run, event); break;
    case EVENT_WAKE: wire_wake(run, event->what); break;
    case EVENT_ADD: add(run, event->what); break;
    }
}

/* What happens at one time happens before the links are shared anew. */
static void run_events(struct run *run)
{
    while (!run->wrong) {
        while (run->heap.count && run->heap.event[0].at <= run->now) {
            struct event event = heap_take(&run->heap);
            take_event(run, &event);
        }
        if (run->woken_count == 0) {
            wire_settle(run);
            if (run->heap.count == 0)
                return;
            run->now = run->heap.event[0].at;
        }
        for (; run->woken_count > 0 && !run->wrong;)
            go_on(run, run->woken[--run->woken_count]);
    }
}

/* ---- from start to end ----------------------------------------------------------------------- */

static void tell(const struct run *run, struct outcome *outcome)
{
    *outcome = (struct outcome){.time = run->ended_at[run->job->runs - 1], .answer = ANSWER_EVENTS};
    int64_t node_bytes = 0;
    for (int32_t r = 0; r < run->ranks; r++) {
        int64_t messages = (int64_t)run->rank[r].net.messages_sent;
        int64_t bytes = (int64_t)run->rank[r].net.bytes_sent;
        outcome->messages += messages;
        node_bytes = run->rank[r].lane == 0 ? bytes : node_bytes + bytes;
        if (messages > outcome->rank_messages)
            outcome->rank_messages = messages;
        if (bytes > outcome->rank_bytes)
            outcome->rank_bytes = bytes;
        if (node_bytes > outcome->node_bytes)
            outcome->node_bytes = node_bytes;
    }
}

/* A lane's blocks lie one behind the other. Two maps a lane: of all runs, and of the last one. */
static int make_maps(struct run *run)
{
    const struct job *job = run->job;
    size_t lanes = (size_t)job->lanes, blocks = (size_t)job->schedules[0]->blocks, most = 1;
    run->map = calloc(2 * lanes, sizeof(*run->map));
    run->ranges = calloc(2 * lanes * blocks, sizeof(*run->ranges));
    run->first_range = calloc(blocks + 1, sizeof(*run->first_range));
    run->peers = calloc((size_t)job->nodes, sizeof(*run->peers));
    if (!run->map || !run->ranges || !run->first_range || !run->peers)
        return -1;
    for (size_t b = 0; b <= blocks; b++)
        run->first_range[b] = (int32_t)b;
    for (int n = 0; n < job->nodes; n++)
        run->peers[n] = n;
    for (size_t m = 0; m < 2 * lanes; m++) {
        struct block_range *ranges = run->ranges + m * blocks;
        const size_t *bytes = m < lanes ? job->bytes : job->last_bytes;
        size_t at = 0;
        for (size_t b = 0; b < blocks; b++) {
            ranges[b] = (struct block_range){at, bytes[b * lanes + m % lanes]};
            at += ranges[b].count;
        }
        most = at > most ? at : most;
        run->map[m] = (struct block_map){run->first_range, ranges};
    }
    run->data = malloc(most); /* nobody looks there */
    return run->data ? 0 : -1;
}

static int make_ranks(struct run *run)
{
    run->rank = calloc((size_t)run->ranks, sizeof(*run->rank));
    run->woken = calloc((size_t)run->ranks, sizeof(*run->woken));
    run->node = calloc((size_t)run->nodes, sizeof(*run->node));
    if (!run->rank || !run->woken || !run->node)
        return -1;
    for (int32_t r = 0; r < run->ranks; r++) {
        struct rank *rank = &run->rank[r];
        rank->net.operations = &wire_operations;
        rank->run = run;
        rank->node = r / run->job->lanes;
        rank->lane = r % run->job->lanes;
    }
    return 0;
}

static void free_all(struct run *run)
{
    run->is_closing = 1;
    for (int32_t r = 0; run->rank && r < run->ranks; r++)
        ronde__executor_close(run->rank[r].executor);
    wire_close(run);
    heap_free(&run->heap);
    free(run->rank);
    free(run->woken);
    free(run->node);
    free(run->map);
    free(run->ranges);
    free(run->first_range);
    free(run->peers);
    free(run->data);
}

const char *events_run(const struct model *model, const struct job *job, struct outcome *outcome,
                       int64_t *ended_at)
{
    struct run run = {.model = model, .job = job, .nodes = job->mirror ? 1 : job->nodes};
    run.ranks = run.nodes * job->lanes;
    run.ended_at = ended_at;
    for (int32_t r = 0; r < job->runs; r++)
        ended_at[r] = 0;
    if (make_maps(&run) || make_ranks(&run) || wire_open(&run)) {
        run.wrong = wire_out_of_memory;
    } else {
        for (int32_t n = 0; n < run.nodes; n++)
            for (int32_t r = 0; r < PARTS && r < job->runs; r++)
                prepare(&run, &run.node[n], r);
        run_events(&run);
        if (!run.wrong && run.runs_over < run.nodes * job->runs)
            run.wrong = "the schedules wait for messages that nobody sends";
        tell(&run, outcome);
    }
    free_all(&run);
    return run.wrong;
}

/* ---- of an algorithm ------------------------------------------------------------------------- */

/* The mean of the later half of the runs but the last, which may be shorter. */
static int64_t period(const int64_t *ended_at, int32_t runs)
{
    int32_t first = (runs - 2) / 2, last = runs - 2;
    return (ended_at[last] - ended_at[first]) / (last - first);
}

const char *events_algorithm(const struct model *model, const struct shape *shape, int32_t most,
                             int (*mirror)(int, int), struct outcome *outcome)
{
    size_t nodes = mirror ? 1 : (size_t)shape->nodes;
    size_t parts = (size_t)shape->blocks * (size_t)shape->lanes;
    struct job job = {.nodes = shape->nodes, .lanes = shape->lanes, .mirror = mirror};
    const struct schedule **schedules = calloc(nodes, sizeof(const struct schedule *));
    size_t *bytes = calloc(2 * parts, sizeof(*bytes)), made = 0;
    job.runs = shape->runs < most ? shape->runs : most;
    int64_t *ended_at = calloc((size_t)job.runs, sizeof(*ended_at));
    const char *wrong = schedules && bytes && ended_at ? NULL : wire_out_of_memory;
    for (; made < nodes && !wrong; made++) {
        schedules[made] = ronde__schedule(shape->algorithm, shape->nodes, (int)made, 0);
        wrong = schedules[made] ? NULL : wire_out_of_memory;
    }
    for (size_t i = 0; i < parts && !wrong; i++) {
        int32_t block = (int32_t)(i / (size_t)shape->lanes),
                lane = (int32_t)(i % (size_t)shape->lanes);
        bytes[i] = shape_bytes(shape, 0, block, lane);
        bytes[parts + i] = shape_bytes(shape, 1, block, lane);
    }
    job.schedules = schedules;
    job.bytes = bytes;
    job.last_bytes = bytes + parts;
    if (!wrong)
        wrong = events_run(model, &job, outcome, ended_at);
    if (!wrong && job.runs < shape->runs)
        outcome->time += (shape->runs - job.runs) * period(ended_at, job.runs);
    for (size_t n = 0; n < made; n++)
        free((void *)(uintptr_t)schedules[n]);
    free(schedules);
    free(bytes);
    free(ended_at);
    return wrong;
}
