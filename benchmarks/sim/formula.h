/* The same as events.h without events: for as many ranks as you like. One switch only. */
#ifndef RONDE_SIM_FORMULA_H
#define RONDE_SIM_FORMULA_H

#include "model.h"
#include "shape.h"

/* Messages and bytes are those of the schedules. The time, against the events':
 *   exact            where a node has one lane and a lane's block is one message
 *   0 to 1.5 % more  where it is several
 *   within 7 %       where lanes share a card: rings
 *   within 25 %      the same: doubling; of the binomial tree with several lanes nothing is said
 * test/unit_sim.c holds it to that. Broadcast: root 0. */
void formula_algorithm(const struct model *model, const struct shape *shape,
                       struct outcome *outcome);

#endif
