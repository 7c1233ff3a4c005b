/* A run of a schedule is a sequence of steps, each a flow of messages (flow.h), and the runs given
 * to an executor are one sequence. A few rounds of it are open at once, those of the next run
 * among them: a segment goes out as soon as what it consists of has come, while others of its round
 * are still on their way. So the wire of a ring never waits for the end of a round, nor for that of
 * a run, as long as a block has several segments.
 *
 * A segment waits for the bytes that it shares with other open flows of its run:
 *   sent      until what rounds before have received there is taken in;
 *   received  (reduced: taken in; else: posted) until that, too, and until what its own round and
 *             those before send from there has gone out.
 * Hence a round sends what the blocks held when all rounds before had ended. Whole rounds are
 * opened, so that a receive knows all sends that it must wait for.
 *
 * Messages between two peers match in the order in which they are posted, so of two flows with one
 * peer and one direction the later posts nothing before the earlier has posted all.
 *
 * Nothing waits in a circle: the flows of the oldest round that has not ended wait for each other
 * and for the peers alone, as if there were no others (the checker proves that they end), and the
 * send of segment k needs the partner's receive of k, which is posted once k - FLOW_WINDOW was
 * taken in, which waited at most for the send of k - FLOW_WINDOW.
 *
 * Memory: slots for a window of segments, at most FLOW_WINDOW * FLOW_SEGMENT_BYTES, per open flow
 * that reduces or whose blocks are in several pieces, whatever the size of the data. */
#include "collectives/executor.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bell.h"
#include "base/status.h"
#include "collectives/flow.h"

/* Open at once: one that ends, one on its way, one that begins. */
enum { ROUNDS = 3 };

struct executor {
    struct net *net;
    const struct schedule *schedule;
    const int *peers;
    int tag;
    const struct trace *trace;            /* NULL: none */
    int32_t status;                       /* IDLE while it runs, then DONE or the error */
    uint64_t runs, runs_ended;            /* given, and over */
    struct flow_data data[EXECUTOR_RUNS]; /* of run r: r % EXECUTOR_RUNS */
    uint64_t next_run;                    /* the next flow to open: this run's ... */
    int32_t next_step;                    /* ... step */
    size_t *block_at;                     /* memory of all runs' block_at */
    const void **sources;                 /* [longest round + 1] scratch, as is ... */
    struct flow **group;                  /* [longest round + 1] ... this */
    uint64_t first, end;                  /* open are flows [first, end), in order */
    uint64_t places;
    struct flow flow[]; /* flow f is flow[f % places] */
};

static struct flow *flow_at(struct executor *executor, uint64_t f)
{
    return &executor->flow[f % executor->places];
}

static int32_t round_end(const struct schedule *schedule, int32_t begin)
{
    int32_t end = begin;
    while (end < schedule->steps && schedule->step[end].round == schedule->step[begin].round)
        end++;
    return end;
}

static int32_t longest_round(const struct schedule *schedule)
{
    int32_t longest = 0;
    for (int32_t begin = 0, end; begin < schedule->steps; begin = end) {
        end = round_end(schedule, begin);
        longest = end - begin > longest ? end - begin : longest;
    }
    return longest;
}

/* ---- runs ------------------------------------------------------------------------------------ */

int32_t ronde__executor_add(struct executor *executor, void *data, size_t element_bytes,
                            const struct block_map *blocks, const struct reduction *reduction)
{
    if (executor->status < 0)
        return executor->status;
    assert(executor->runs - executor->runs_ended < EXECUTOR_RUNS);
    struct flow_data *run = &executor->data[executor->runs % EXECUTOR_RUNS];
    size_t *block_at = run->block_at;
    *run = (struct flow_data){data, element_bytes, *blocks, reduction, block_at};
    for (int32_t b = 0; b < executor->schedule->blocks; b++) {
        block_at[b + 1] = block_at[b];
        for (int32_t r = blocks->first_range[b]; r < blocks->first_range[b + 1]; r++)
            block_at[b + 1] += blocks->ranges[r].count * element_bytes;
    }
    executor->runs++;
    executor->status = RONDE__IDLE;
    return RONDE_OK;
}

uint64_t ronde__executor_ended(const struct executor *executor)
{
    return executor->runs_ended;
}

int32_t ronde__executor_open(struct executor **executor, struct net *net,
                             const struct schedule *schedule, const int *peers, int tag, void *data,
                             size_t element_bytes, const struct block_map *blocks,
                             const struct reduction *reduction)
{
    size_t longest = (size_t)longest_round(schedule), places = ROUNDS * longest;
    size_t all = (size_t)schedule->blocks + 1;
    size_t bytes = sizeof(**executor) + places * sizeof((*executor)->flow[0]);
    struct executor *made = calloc(1, bytes);
    size_t *block_at = calloc(EXECUTOR_RUNS * all, sizeof(*block_at));
    const void **sources = calloc(longest + 1, sizeof(*sources));
    struct flow **group = calloc(longest + 1, sizeof(*group));
    if (!made || !block_at || !sources || !group) {
        free(made);
        free(block_at);
        free(sources);
        free(group);
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for an executor of %zu bytes", bytes);
    }
    made->net = net;
    made->schedule = schedule;
    made->peers = peers;
    made->tag = tag;
    made->places = places;
    made->block_at = block_at;
    made->sources = sources;
    made->group = group;
    for (size_t r = 0; r < EXECUTOR_RUNS; r++)
        made->data[r].block_at = block_at + r * all;
    *executor = made;
    return ronde__executor_add(made, data, element_bytes, blocks, reduction);
}

void ronde__executor_trace(struct executor *executor, const struct trace *trace)
{
    executor->trace = trace;
}

/* ---- flows ----------------------------------------------------------------------------------- */

/* A place for flows keeps its slots, so that running allocates nothing once they are large
 * enough. */
static int32_t open_flow(struct executor *executor, const struct step *step)
{
    struct flow *flow = flow_at(executor, executor->end);
    size_t needed = ronde__flow_open(flow, step,
                                     &executor->data[executor->next_run % EXECUTOR_RUNS],
                                     executor->next_run);
    if (needed > flow->scratch_bytes) {
        char *scratch = aligned_alloc(64, needed);
        if (!scratch)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu bytes of slots", needed);
        free(flow->scratch);
        flow->scratch = scratch;
        flow->scratch_bytes = needed;
    }
    executor->end++;
    return RONDE_OK;
}

/* Opens whole rounds, of the run at hand and of the next, as long as there are places. */
static int32_t open_rounds(struct executor *executor, int *moved)
{
    const struct schedule *schedule = executor->schedule;
    while (executor->next_run < executor->runs) {
        int32_t end = round_end(schedule, executor->next_step);
        size_t wanted = (size_t)(end - executor->next_step);
        if (executor->end - executor->first + wanted > executor->places)
            return RONDE_OK;
        for (; executor->next_step < end; executor->next_step++) {
            int32_t status = open_flow(executor, &schedule->step[executor->next_step]);
            if (status)
                return status;
        }
        *moved = 1;
        if (executor->next_step == schedule->steps) {
            executor->next_step = 0;
            executor->next_run++;
        }
    }
    return RONDE_OK;
}

/* Flows that are over leave in order; with its last one a run ends. */
static void close_flows(struct executor *executor, int *moved)
{
    while (executor->first < executor->end &&
           ronde__flow_is_over(flow_at(executor, executor->first))) {
        executor->first++;
        *moved = 1;
    }
    executor->runs_ended = executor->first < executor->end ? flow_at(executor, executor->first)->run
                                                           : executor->next_run;
}

/* Whether an earlier flow with this one's peer and direction has messages to post, or to finish. */
static int is_behind(struct executor *executor, uint64_t f, int in_posting)
{
    const struct flow *flow = flow_at(executor, f);
    for (uint64_t o = executor->first; o < f; o++) {
        const struct flow *other = flow_at(executor, o);
        if (other->step->peer == flow->step->peer &&
            ronde__flow_sends(other) == ronde__flow_sends(flow) &&
            (in_posting ? other->posted : other->finished) < other->segments)
            return 1;
    }
    return 0;
}

static int are_combined(const struct flow *a, const struct flow *b)
{
    return ronde__flow_combines(a) && ronde__flow_combines(b) && a->run == b->run &&
           a->step->round == b->step->round;
}

/* Whether this flow waits for the other where they meet; o and f: their places in the order. */
static int waits_for(const struct flow *flow, uint64_t f, const struct flow *other, uint64_t o)
{
    if (flow->run != other->run || are_combined(flow, other))
        return 0;
    if (ronde__flow_sends(flow))
        return !ronde__flow_sends(other) && other->step->round < flow->step->round;
    return ronde__flow_sends(other) ? other->step->round <= flow->step->round : o < f;
}

/* Whether the bytes of a segment of flow f are as the schedule wants them. */
static int is_ready(struct executor *executor, uint64_t f, size_t segment)
{
    const struct flow *flow = flow_at(executor, f);
    for (uint64_t o = executor->first; o < executor->end; o++) {
        const struct flow *other = flow_at(executor, o);
        if (waits_for(flow, f, other, o) && ronde__flow_meets(flow, segment, other))
            return 0;
    }
    return 1;
}

static int32_t post(struct executor *executor, uint64_t f, int *moved)
{
    struct flow *flow = flow_at(executor, f);
    while (ronde__flow_may_post(flow) && !is_behind(executor, f, 1)) {
        if (!ronde__flow_reduces(flow) && !is_ready(executor, f, flow->posted))
            return RONDE_OK;
        if (flow->posted == 0)
            flow->begun_ns = ronde__trace_begin(executor->trace);
        int32_t status = ronde__flow_post(flow, executor->net, executor->peers[flow->step->peer],
                                          executor->tag);
        if (status)
            return status;
        *moved = 1;
    }
    return RONDE_OK;
}

static void record(const struct executor *executor, const struct flow *flow)
{
    if (flow->begun_ns && ronde__flow_is_over(flow))
        ronde__trace_message(executor->trace,
                             ronde__flow_sends(flow) ? TIMELINE_SEND : TIMELINE_RECV,
                             executor->peers[flow->step->peer], flow->bytes, flow->begun_ns);
}

/* Gathers what is combined with flow f, its first; 0 where a message is still missing. */
static int32_t gather_group(struct executor *executor, uint64_t f, int *n)
{
    const struct flow *first = flow_at(executor, f);
    int found = 0;
    *n = 0;
    for (uint64_t o = f; o < executor->end; o++) {
        struct flow *flow = flow_at(executor, o);
        int arrived;
        if (!are_combined(first, flow))
            continue;
        if (flow->finished == flow->posted || is_behind(executor, o, 0))
            return RONDE_OK;
        int32_t status = ronde__flow_test(flow, executor->net, &arrived);
        if (status || !arrived)
            return status;
        executor->group[found++] = flow;
    }
    *n = found;
    return RONDE_OK;
}

static int32_t finish_together(struct executor *executor, uint64_t f, int *moved)
{
    struct flow *first = flow_at(executor, f);
    for (int n; !ronde__flow_is_over(first) && is_ready(executor, f, first->finished);) {
        int32_t status = gather_group(executor, f, &n);
        if (status || !n)
            return status;
        ronde__flow_combine(executor->group, n, executor->sources);
        for (int i = 0; i < n; i++)
            record(executor, executor->group[i]);
        *moved = 1;
    }
    return RONDE_OK;
}

static int32_t finish(struct executor *executor, uint64_t f, int *moved)
{
    struct flow *flow = flow_at(executor, f);
    if (ronde__flow_combines(flow)) {
        int is_first = f == executor->first || !are_combined(flow, flow_at(executor, f - 1));
        return is_first ? finish_together(executor, f, moved) : RONDE_OK;
    }
    while (flow->finished < flow->posted && !is_behind(executor, f, 0)) {
        int arrived;
        if (ronde__flow_reduces(flow) && !is_ready(executor, f, flow->finished))
            return RONDE_OK; /* without a look, which would cost a turn of the network */
        int32_t status = ronde__flow_test(flow, executor->net, &arrived);
        if (status || !arrived)
            return status;
        ronde__flow_finish(flow);
        record(executor, flow);
        *moved = 1;
    }
    return RONDE_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

typedef int32_t flow_function(struct executor *, uint64_t f, int *moved);

static int32_t for_flows(struct executor *executor, int sends, flow_function *function, int *moved)
{
    int32_t status = RONDE_OK;
    for (uint64_t f = executor->first; !status && f < executor->end; f++)
        if (ronde__flow_sends(flow_at(executor, f)) == sends)
            status = function(executor, f, moved);
    return status;
}

/* Takes in what has come, then starts all that this allows, what others wait for first: receives
 * are posted a round or two ahead of what comes. */
static int32_t pass(struct executor *executor, int *moved)
{
    int32_t status = for_flows(executor, 1, finish, moved);
    if (!status)
        status = for_flows(executor, 0, finish, moved);
    close_flows(executor, moved);
    if (!status)
        status = open_rounds(executor, moved);
    if (!status)
        status = for_flows(executor, 1, post, moved);
    return status ? status : for_flows(executor, 0, post, moved);
}

int32_t ronde__executor_step(struct executor *executor)
{
    if (executor->status != RONDE__IDLE)
        return executor->status;
    int moved = 0;
    int32_t status = pass(executor, &moved);
    if (status)
        return executor->status = status;
    if (executor->runs_ended == executor->runs)
        return executor->status = RONDE__DONE;
    return moved ? RONDE__MOVED : RONDE__IDLE;
}

void ronde__executor_close(struct executor *executor)
{
    if (!executor)
        return;
    for (uint64_t f = executor->first; f < executor->end; f++) {
        struct flow *flow = flow_at(executor, f);
        if (ronde__flow_abandon(flow, executor->net))
            flow->scratch = NULL; /* lost: better than written to by the network once it is
                                     somebody else's */
    }
    for (uint64_t place = 0; place < executor->places; place++)
        free(executor->flow[place].scratch);
    free(executor->block_at);
    free(executor->sources);
    free(executor->group);
    free(executor);
}
