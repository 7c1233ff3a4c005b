/* Runs schedules on the model, event by event. */
#ifndef RONDE_SIM_EVENTS_H
#define RONDE_SIM_EVENTS_H

#include "collectives/schedule.h"
#include "model.h"
#include "shape.h"

/* What every rank runs: lane l of node n is rank n lanes + l, follows schedules[n], and its block b
 * has bytes[b lanes + l]. All start at time 0. */
struct job {
    int nodes, lanes;
    const struct schedule *const *schedules;
    const size_t *bytes;
};

/* NULL, or what is wrong: a static sentence. */
const char *events_run(const struct model *model, const struct job *job, struct outcome *outcome);
/* The same for all ranks of an algorithm. */
const char *events_algorithm(const struct model *model, const struct shape *shape, int root,
                             struct outcome *outcome);

#endif
