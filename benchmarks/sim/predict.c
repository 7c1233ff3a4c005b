/* Rounds are cut as fusion/layout.c does: all but the last take the same elements of each block. So
 * two of them are run at most, and the rest is multiplied: rounds meet in a barrier of the node. */
#include "predict.h"

#include <math.h>

#include "events.h"
#include "formula.h"

/* Where the wire is simulated, all messages of all ranks are. */
static const char *run_wire(const struct model *model, const struct shape *shape,
                            enum method method, struct outcome *outcome)
{
    formula_algorithm(model, shape, outcome);
    if (shape->nodes == 1)
        return NULL;
    int few = outcome->messages <= PREDICT_MESSAGES;
    if (method == METHOD_EVENTS || (method == METHOD_AUTO && few))
        return events_algorithm(model, shape, 0, outcome);
    return model->switch_nodes ? "there is no formula for several switches: simulate fewer messages"
                               : NULL;
}

static void add(struct outcome *sum, const struct outcome *round, int64_t times)
{
    sum->time += times * round->time;
    sum->rank_messages += times * round->rank_messages;
    sum->rank_bytes += times * round->rank_bytes;
    sum->node_bytes += times * round->node_bytes;
    sum->messages += times * round->messages;
    sum->by_events |= round->by_events;
}

const char *predict(const struct model *model, const struct collective *collective,
                    enum method method, struct outcome *outcome)
{
    size_t count = (collective->bytes + collective->element_bytes - 1) / collective->element_bytes;
    size_t capacity = collective->buffer_bytes / collective->element_bytes;
    struct shape last = shape_of(collective->algorithm, collective->nodes, collective->lanes, count,
                                 collective->element_bytes);
    size_t blocks = (size_t)last.blocks, longest = last.elements + (last.longer > 0);
    size_t share = capacity / blocks, rounds = 0;
    *outcome = (struct outcome){0};
    if (share == 0)
        return "the wire buffer has less than one element for each node";
    if (count > capacity)
        rounds = (longest - 1) / share; /* that are followed by another */
    struct outcome round;
    const char *wrong = NULL;
    if (rounds) {
        struct shape full = last;
        full.elements = share;
        full.longer = 0;
        wrong = run_wire(model, &full, method, &round);
        add(outcome, &round, (int64_t)rounds);
        last.elements -= rounds * share;
    }
    if (!wrong)
        wrong = run_wire(model, &last, method, &round);
    add(outcome, &round, 1);
    outcome->time += llround((double)collective->bytes * model->node_ps);
    return wrong;
}
