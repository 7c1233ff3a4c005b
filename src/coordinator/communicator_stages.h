/* What the operations of a communicator share. Internal to coordinator/communicator*.c. */
#ifndef RONDE_COORDINATOR_COMMUNICATOR_STAGES_H
#define RONDE_COORDINATOR_COMMUNICATOR_STAGES_H

#include "base/bell.h"
#include "coordinator/communicator.h"

/* Room for so many pieces in the scratch list. */
int32_t ronde__communicator_room(struct communicator *c, size_t pieces);
/* Steps the node's operation; when that is done, begins what comes next (NULL: nothing). */
int32_t ronde__communicator_run_node(struct communicator *c,
                                     int32_t (*next)(struct communicator *));
/* Begins an algorithm between nodes over c->first_range and c->ranges. peers must be the same array
 * at every call for one algorithm. */
int32_t ronde__communicator_lane(struct communicator *c, enum algorithm algorithm, void *data,
                                 const int *peers, const struct reduction *middle);

#endif
