/* For as many ranks as you like: what takes too long to simulate whole. One switch only. */
#ifndef RONDE_SIM_FORMULA_H
#define RONDE_SIM_FORMULA_H

#include "model.h"
#include "shape.h"

/* Messages and bytes of all runs. Those of ring and doubling are what the schedules send; of others
 * they are what rank 0 sends, if of two lengths of blocks it had the longer ones. */
const char *formula_count(const struct shape *shape, struct outcome *outcome);
/* The time, and by what it was found. NULL, or what is wrong. */
const char *formula_time(const struct model *model, const struct shape *shape,
                         struct outcome *outcome);

#endif
