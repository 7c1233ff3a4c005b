/* The leaders' tree of src/coordinator/leader.c as a schedule: the parent of node n is (n - 1) / 2.
 * What goes up and what comes down are block 0, so that one waits for the other, and what is more
 * of one of them is block 1. n = 6:
 *
 *   round   node 0      1        2       3, 4, 5
 *     0     from 1, 2   3, 4     5
 *     1                 to 0     to 0    to 1, 1, 2
 *     2                 from 0   from 0  from 1, 1, 2
 *     3     to 1, 2     3, 4     5
 */
#include <stdlib.h>

#include "events.h"
#include "predict.h"

enum {
    TREE_STEPS = 6,
    TREE_MESSAGES = 60000 /* each has a rank or two, whose executors take memory */
};

static void put_step(struct schedule *list, enum step_kind kind, int peer, int blocks, int round)
{
    list->step[list->steps++] =
        (struct step){.kind = kind, .peer = peer, .count = blocks, .round = round};
}

/* up, down: how many blocks. */
static struct schedule *tree_schedule(int nodes, int me, int up, int down)
{
    struct schedule *list = calloc(1, sizeof(*list) + TREE_STEPS * sizeof(list->step[0]));
    if (!list)
        return NULL;
    list->blocks = 2;
    for (int child = 2 * me + 1; child <= 2 * me + 2 && child < nodes; child++)
        put_step(list, STEP_RECV, child, up, 0);
    if (me > 0) {
        put_step(list, STEP_SEND, (me - 1) / 2, up, 1);
        put_step(list, STEP_RECV, (me - 1) / 2, down, 2);
    }
    for (int child = 2 * me + 1; child <= 2 * me + 2 && child < nodes; child++)
        put_step(list, STEP_SEND, child, down, 3);
    return list;
}

static const char *run_tree(const struct model *model, int nodes, size_t up_bytes,
                            size_t down_bytes, struct outcome *outcome)
{
    size_t less = up_bytes < down_bytes ? up_bytes : down_bytes;
    const size_t bytes[] = {less, up_bytes + down_bytes - 2 * less};
    const struct schedule **schedules = calloc((size_t)nodes, sizeof(const struct schedule *));
    const char *wrong = schedules ? NULL : "out of memory for the simulation";
    int made = 0;
    for (; made < nodes && !wrong; made++)
        if (!(schedules[made] = tree_schedule(nodes, made, 1 + (up_bytes > less),
                                              1 + (down_bytes > less))))
            wrong = "out of memory for the simulation";
    const struct job job = {nodes, 1, schedules, 1, bytes, bytes, NULL};
    int64_t ended_at;
    if (!wrong)
        wrong = events_run(model, &job, outcome, &ended_at);
    for (int n = 0; n < made; n++)
        free((void *)(uintptr_t)schedules[n]);
    free(schedules);
    return wrong;
}

/* One level with two children: whose messages share the parent's card, on the way up from start to
 * end, and are taken in one after the other; on the way down the second leaves when the CPU has
 * sent the first. */
static int64_t level_up(const struct model *model, size_t bytes)
{
    return 3 * model->overhead + model->latency + 2 * model_wire(model, bytes);
}

static int64_t level_down(const struct model *model, size_t bytes)
{
    int64_t o = model->overhead, w = model_wire(model, bytes);
    return 2 * o + model->latency + w + (o > w ? o : w);
}

/* n - 1 messages each way. floor(lg n) levels: exact where all of them are full, n = 2^k - 1; else
 * above the events by part of a level each way, since some subtrees are lower than others, and
 * below by nothing. */
static void tree_formula(const struct model *model, int nodes, size_t up_bytes, size_t down_bytes,
                         struct outcome *outcome)
{
    int levels = 0;
    while ((int64_t)2 << levels <= nodes)
        levels++;
    *outcome = (struct outcome){.messages = 2 * ((int64_t)nodes - 1)};
    outcome->time = levels * (level_up(model, up_bytes) + level_down(model, down_bytes));
    if (nodes < 2)
        return;
    /* Either the root's or node 1's are the most: one up, and down to as many as it has below. */
    int64_t root = nodes > 2 ? 2 : 1, below = nodes > 4 ? 2 : nodes > 3;
    int64_t root_bytes = root * (int64_t)down_bytes;
    int64_t bytes = (int64_t)up_bytes + below * (int64_t)down_bytes;
    outcome->rank_messages = root > 1 + below ? root : 1 + below;
    outcome->rank_bytes = root_bytes > bytes ? root_bytes : bytes;
    outcome->node_bytes = outcome->rank_bytes;
}

const char *predict_negotiation(const struct model *model, int nodes, size_t up_bytes,
                                size_t down_bytes, enum method method, struct outcome *outcome)
{
    tree_formula(model, nodes, up_bytes, down_bytes, outcome);
    if (method == METHOD_FORMULA || (method == METHOD_AUTO && outcome->messages > TREE_MESSAGES))
        return NULL;
    return run_tree(model, nodes, up_bytes, down_bytes, outcome);
}
