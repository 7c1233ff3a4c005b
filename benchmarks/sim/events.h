/* Runs schedules on the model, event by event. */
#ifndef RONDE_SIM_EVENTS_H
#define RONDE_SIM_EVENTS_H

#include "collectives/schedule.h"
#include "model.h"
#include "shape.h"

/* What every rank runs: lane l of node n follows schedules[n], and its block b has
 * bytes[b lanes + l], in the last of `runs` runs last_bytes[...]. All start at time 0; of a node at
 * most two runs are on the wire at once, as the two parts of the wire buffer have it. */
struct job {
    int nodes, lanes;
    const struct schedule *const *schedules;
    int32_t runs;
    const size_t *bytes, *last_bytes;
    /* Not NULL: node 0 stands for all, which do the same at the same time, and only its schedule is
     * there. To whom is node 0 what `peer` is to node 0? */
    int (*mirror)(int nodes, int peer);
};

/* NULL, or what is wrong: a static sentence. ended_at[runs]: when each run has ended. */
const char *events_run(const struct model *model, const struct job *job, struct outcome *outcome,
                       int64_t *ended_at);
/* All runs of a shape, up to `most` of which are simulated: others take as long as these do on
 * average, once they follow each other. Counts what was simulated. mirror: as in the job. */
const char *events_algorithm(const struct model *model, const struct shape *shape, int32_t most,
                             int (*mirror)(int nodes, int peer), struct outcome *outcome);

#endif
