/* What the operations of a communicator share. Internal to communicator*.c. */
#ifndef RONDE_COMMUNICATOR_COMMUNICATOR_STAGES_H
#define RONDE_COMMUNICATOR_COMMUNICATOR_STAGES_H

#include "base/bell.h"
#include "communicator/communicator.h"

/* Room for so many pieces in a list, and in the scratch list. */
int32_t ronde__communicator_grow(struct piece **pieces, size_t *room, size_t wanted);
int32_t ronde__communicator_room(struct communicator *c, size_t pieces);
int32_t ronde__communicator_room_for_ranges(struct communicator *c, size_t ranges);
/* An operation of no bytes: done at once, on all ranks. */
int32_t ronde__communicator_start_nothing(struct communicator *c);
/* Steps the node's operation; when that is done, begins what comes next. */
int32_t ronde__communicator_run_node(struct communicator *c,
                                     int32_t (*next)(struct communicator *));
/* The same with nothing to come. */
int32_t ronde__communicator_run_last(struct communicator *c);
/* Begins a run of an algorithm between nodes. peers must be the same array at every call for one
 * algorithm. */
int32_t ronde__communicator_lane(struct communicator *c, enum algorithm algorithm, void *data,
                                 const struct block_map *map, const int *peers,
                                 const struct reduction *middle);

/* In the timeline: ends the running phase, if there is one, and begins this. kind: in static
 * storage. */
void ronde__communicator_phase(struct communicator *c, enum timeline_phase phase, const char *kind,
                               size_t bytes);
void ronde__communicator_end_phase(struct communicator *c, int32_t status);

/* Frees what an adasum holds, if one was running when the communicator failed. */
void ronde__adasum_forget(struct communicator *c);

#endif
