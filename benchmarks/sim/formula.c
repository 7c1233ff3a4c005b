/* Four ways to a time; the first that fits is taken.
 *
 * rounds       Fewer elements than blocks: a round takes as long as its few messages.
 * one node     All nodes do the same at the same time, shifted (node n sends to n + d where node 0
 *              sends to d; or to n xor d). So one node is simulated, which receives what it sends.
 *              That is exact as far as all blocks are of one length and none go round the end,
 *              which cuts messages in two, and nodes get out of step (circulant). So with more
 *              blocks than one it is multiplied by what it is off for 24 to 47 nodes.
 * more nodes   The same with many rounds (ring): all are alike, so what 256 nodes with blocks of
 *              the same length take, and that for each further node which they took more than 128.
 * more levels  Nodes that are not alike (doubling where p = q + pairs is no power of two): what
 *              fewer members with as large a part of pairs take, all simulated, and for each
 *              further doubling of q what they took more than a quarter of them, by half. Blocks
 *              must not depend on their number. */
#include "formula.h"

#include <math.h>
#include <stdlib.h>

#include "collectives/schedule_algorithms.h"
#include "events.h"

enum {
    FEW_RUNS = 3,  /* that are simulated: they are alike but for the first and the last, */
    MANY_RUNS = 8, /* unless nodes get out of step, which takes some runs */
    ENOUGH_BYTES = 2 << 20,
    MESSAGES = 12000, /* that are simulated at most, or of FEW_NODES */
    FEW_NODES = 48,
    MANY_STEPS = 1024, /* of a node: not all nodes' are simulated, */
    NODES = 256        /* but those of so many */
};

static const char *const no_memory = "out of memory for the formula";

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- messages and bytes ---------------------------------------------------------------------- */

/* `times` messages, each of `elements` elements of a node, of the rank and node that send most. */
static void count_step(const struct shape *shape, size_t elements, int64_t times, int64_t all,
                       struct outcome *outcome)
{
    for (int lane = 0; lane < shape->lanes; lane++) {
        size_t bytes = shape_lane(shape, elements, lane);
        int64_t messages = (int64_t)model_cut(bytes).segments;
        outcome->rank_messages += lane ? 0 : times * messages;
        outcome->rank_bytes += lane ? 0 : times * (int64_t)bytes;
        outcome->node_bytes += times * (int64_t)bytes;
        outcome->messages += all * messages;
    }
}

/* Of two turns each passes on all blocks but one: the last ones of these, which are short where
 * there are any such, are what the peer that sends most does not send. */
static void count_ring(const struct shape *shape, struct outcome *outcome)
{
    int64_t p = shape->nodes, longer = shape->longer, shorter = p - longer;
    int64_t spared = larger(0, 2 - shorter); /* that are long */
    count_step(shape, shape->elements + 1, 2 * longer - spared, 2 * (p - 1) * longer, outcome);
    count_step(shape, shape->elements, 2 * shorter - (2 - spared), 2 * (p - 1) * shorter, outcome);
}

static void count_doubling(const struct shape *shape, struct outcome *outcome)
{
    int log, q = ronde__power_below(shape->nodes, &log), pairs = shape->nodes - q;
    count_step(shape, shape->elements, log + (pairs > 0), (int64_t)q * log + 2 * pairs, outcome);
}

static size_t longest(const struct shape *shape, const struct step *step)
{
    size_t count = (size_t)step->count, longer = (size_t)shape->longer;
    return count * shape->elements + (count < longer ? count : longer);
}

static const char *count_run(const struct shape *shape, struct outcome *outcome)
{
    if (shape->algorithm == ALGORITHM_RING) {
        count_ring(shape, outcome);
    } else if (shape->algorithm == ALGORITHM_DOUBLING) {
        count_doubling(shape, outcome);
    } else {
        struct schedule *list = ronde__schedule(shape->algorithm, shape->nodes, 0, 0);
        for (int32_t i = 0; list && i < list->steps; i++)
            if (list->step[i].kind == STEP_SEND)
                count_step(shape, longest(shape, &list->step[i]), 1, shape->nodes, outcome);
        free(list);
        return list ? NULL : no_memory;
    }
    return NULL;
}

const char *formula_count(const struct shape *shape, struct outcome *outcome)
{
    struct shape full = *shape;
    full.elements = shape->full;
    full.longer = 0;
    *outcome = (struct outcome){0};
    const char *wrong = shape->runs > 1 ? count_run(&full, outcome) : NULL;
    outcome->rank_messages *= shape->runs - 1;
    outcome->rank_bytes *= shape->runs - 1;
    outcome->node_bytes *= shape->runs - 1;
    outcome->messages *= shape->runs - 1;
    return wrong ? wrong : count_run(shape, outcome);
}

/* ---- times ----------------------------------------------------------------------------------- */

/* Of a round one latency, and what its messages ask of the CPU and the card. */
static const char *by_rounds(const struct model *model, const struct shape *shape,
                             const struct schedule *list, struct outcome *outcome)
{
    outcome->time = 0;
    for (int32_t i = 0; i < list->steps; i++) {
        const struct step *step = &list->step[i];
        size_t mine = shape_lane(shape, longest(shape, step), 0);
        int is_first = i == 0 || list->step[i - 1].round != step->round;
        outcome->time += is_first ? model->latency : 0;
        outcome->time += step->kind == STEP_SEND ? model->overhead
                                                 : model_take(model, mine, step->kind != STEP_RECV);
        for (int lane = 0; lane < shape->lanes && step->kind == STEP_SEND; lane++) {
            size_t bytes = shape_lane(shape, longest(shape, step), lane);
            outcome->time += bytes ? model_wire(model, bytes) : 0;
        }
    }
    outcome->answer = ANSWER_FORMULA;
    return NULL;
}

/* Does node 0 in each round receive as much as it sends, from those to whom it is what those are to
 * it whom it sends to? */
static int is_alike(const struct schedule *list, int nodes, int (*mirror)(int, int))
{
    int32_t at = 0;
    for (int32_t i = 0; i < list->steps; i++) {
        const struct step *send = &list->step[i], *found = NULL;
        if (send->kind != STEP_SEND)
            continue;
        while (list->step[at].round < send->round)
            at++;
        for (int32_t r = at; r < list->steps && list->step[r].round == send->round && !found; r++)
            if (list->step[r].kind != STEP_SEND &&
                list->step[r].peer == mirror(nodes, send->peer) &&
                list->step[r].count == send->count)
                found = &list->step[r];
        if (!found)
            return 0;
    }
    return 1;
}

static int opposite(int nodes, int peer)
{
    return (nodes - peer) % nodes;
}

static int partner(int nodes, int peer)
{
    (void)nodes;
    return peer;
}

/* With other nodes, and all blocks of one length: `times` as long as they are on average. */
static struct shape resized(const struct shape *shape, int nodes, double times)
{
    struct shape new = *shape;
    new.nodes = nodes;
    new.blocks = ronde__algorithms[shape->algorithm].blocks(nodes);
    if (times == 1 && shape->longer == 0)
        return new;
    double of_element = times * (double)shape->element_bytes;
    double elements = (double)shape->elements + (double)shape->longer / shape->blocks;
    new.elements = (size_t)llround(elements * of_element);
    new.full = (size_t)llround((double)shape->full * of_element);
    new.longer = 0;
    new.element_bytes = 1;
    return new;
}

/* How much of a run's bytes suffices to tell what more take, which is as many times as long. */
static double enough(const struct shape *shape)
{
    size_t block = shape->runs > 1 ? shape->full : shape->elements;
    double bytes = (double)(block * shape->element_bytes) * shape->blocks;
    return bytes > ENOUGH_BYTES ? ENOUGH_BYTES / bytes : 1;
}

/* What `more` steps further take, if each takes what one from `less` to `base` does. */
static const char *further(const struct model *model, const struct shape *less,
                           const struct shape *base, double more, int (*mirror)(int, int),
                           struct outcome *outcome)
{
    struct outcome first, second;
    const char *wrong = events_algorithm(model, less, FEW_RUNS, mirror, &first);
    if (!wrong)
        wrong = events_algorithm(model, base, FEW_RUNS, mirror, &second);
    if (wrong)
        return wrong;
    outcome->time = second.time + llround((double)(second.time - first.time) * more);
    outcome->answer = ANSWER_FORMULA;
    return NULL;
}

static struct shape with_members(const struct shape *shape, int level)
{
    int log, q = ronde__power_below(shape->nodes, &log), members = 1 << level;
    int pairs = (int)llround((double)(shape->nodes - q) * members / q);
    pairs = pairs < 1 ? 1 : pairs < members ? pairs : members - 1;
    return resized(shape, members + pairs, enough(shape));
}

static const char *by_levels(const struct model *model, const struct shape *shape,
                             struct outcome *outcome)
{
    int log, base;
    ronde__power_below(shape->nodes, &log);
    base = log;
    int64_t runs = shape->runs < FEW_RUNS ? shape->runs : FEW_RUNS;
    int64_t messages = outcome->messages / shape->runs * runs;
    while (1 << base >= FEW_NODES && (messages >> (log - base)) * base / log > MESSAGES)
        base--;
    const struct shape less = with_members(shape, base - 2), most = with_members(shape, base);
    const char *wrong = further(model, &less, &most, (log - base) / 2.0, NULL, outcome);
    outcome->time = llround((double)outcome->time / enough(shape));
    return wrong;
}

static const char *simulate(const struct model *model, const struct shape *shape,
                            int (*mirror)(int, int), struct outcome *outcome)
{
    struct outcome found;
    const char *wrong = events_algorithm(model, shape, mirror ? FEW_RUNS : MANY_RUNS, mirror,
                                         &found);
    outcome->time = found.time;
    outcome->answer = mirror ? ANSWER_NODE : ANSWER_EVENTS;
    return wrong;
}

/* What all nodes take, if one of them takes what the outcome says. */
static const char *correct(const struct model *model, const struct shape *shape,
                           int (*mirror)(int, int), struct outcome *outcome)
{
    int nodes = shape->nodes;
    while (nodes >= FEW_NODES)
        nodes -= nodes / 2; /* as circulant does, so that its rounds are the last ones of these */
    const struct shape few = resized(shape, nodes, enough(shape) * shape->blocks / nodes);
    struct outcome one, all;
    const char *wrong = events_algorithm(model, &few, FEW_RUNS, mirror, &one);
    if (!wrong)
        wrong = events_algorithm(model, &few, MANY_RUNS, NULL, &all);
    if (!wrong)
        outcome->time = llround((double)outcome->time * (double)all.time / (double)one.time);
    outcome->answer = ANSWER_FORMULA;
    return wrong;
}

static const char *find_time(const struct model *model, const struct shape *shape,
                             const struct schedule *list, struct outcome *outcome)
{
    int is_many = shape->nodes > NODES && list->steps > MANY_STEPS;
    int is_ring = shape->algorithm == ALGORITHM_RING; /* the longest block passes all nodes */
    struct shape all = *shape;
    all.elements += shape->longer > 0;
    all.longer = 0;
    if (!is_ring)
        all = resized(shape, shape->nodes, 1);
    if (shape->blocks > 1 && shape->runs == 1 && shape->elements == 0)
        return by_rounds(model, shape, list, outcome);
    int (*mirror)(int, int) = is_alike(list, shape->nodes, opposite)  ? opposite
                              : is_alike(list, shape->nodes, partner) ? partner
                                                                      : NULL;
    if (mirror && is_many) {
        const struct shape less = resized(&all, NODES / 2, 1), base = resized(&all, NODES, 1);
        double more = (shape->nodes - NODES) / (NODES / 2.0);
        return further(model, &less, &base, more, mirror, outcome);
    }
    if (mirror && (is_ring || shape->blocks == 1))
        return simulate(model, &all, mirror, outcome);
    if (shape->nodes < FEW_NODES)
        return simulate(model, shape, NULL, outcome);
    if (!mirror)
        return by_levels(model, shape, outcome);
    const char *wrong = simulate(model, &all, mirror, outcome);
    return wrong ? wrong : correct(model, &all, mirror, outcome);
}

const char *formula_time(const struct model *model, const struct shape *shape,
                         struct outcome *outcome)
{
    struct schedule *list = ronde__schedule(shape->algorithm, shape->nodes, 0, 0);
    const char *wrong = list ? find_time(model, shape, list, outcome) : no_memory;
    free(list);
    return wrong;
}
