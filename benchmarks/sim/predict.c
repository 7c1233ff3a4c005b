#include "predict.h"

#include <math.h>

#include "events.h"
#include "formula.h"

/* Runs that are simulated of one that has more: so many must fit, and more tell nothing new. */
enum { LEAST_RUNS = 8, MOST_RUNS = 32 };

/* As communicator.c cuts the wire buffer: in two, of whole cache lines, one a block at least. */
static size_t capacity_of(const struct collective *collective)
{
    size_t part = collective->buffer_bytes / 2 / 64 * 64, least = (size_t)collective->nodes * 64;
    return (part > least ? part : least) / collective->element_bytes;
}

const char *predict(const struct model *model, const struct collective *collective,
                    enum method method, struct outcome *outcome)
{
    size_t count = (collective->bytes + collective->element_bytes - 1) / collective->element_bytes;
    const struct shape shape = shape_of(collective->algorithm, collective->nodes, collective->lanes,
                                        count, collective->element_bytes, capacity_of(collective));
    const char *wrong = formula_count(&shape, outcome);
    if (wrong)
        return wrong;
    if (shape.nodes == 1) {
        outcome->time = llround((double)collective->bytes * model->node_ps);
        return NULL;
    }
    int64_t of_run = outcome->messages / shape.runs + 1;
    if (method == METHOD_EVENTS)
        return events_algorithm(model, &shape, shape.runs, NULL, outcome);
    int64_t least = shape.runs < LEAST_RUNS ? shape.runs : LEAST_RUNS;
    if (method == METHOD_AUTO && least * of_run <= PREDICT_MESSAGES) {
        int64_t most = PREDICT_MESSAGES / of_run;
        struct outcome events;
        wrong = events_algorithm(model, &shape, (int32_t)(most < MOST_RUNS ? most : MOST_RUNS),
                                 NULL, &events);
        outcome->time = events.time;
        outcome->answer = ANSWER_EVENTS;
        return wrong;
    }
    if (model->switch_nodes)
        return "there is no formula for several switches: simulate fewer messages";
    return formula_time(model, &shape, outcome);
}
