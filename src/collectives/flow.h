/* One step of a schedule as messages: the middle of the executor, for executor.c alone.
 *
 * The bytes of a step's blocks, in order, are cut into segments, each a message of its own. How is
 * a pure function of the number of bytes, so both sides cut alike wherever their ranges lie. A few
 * segments are in flight at once (the window), so that one is reduced while the next arrives. */
#ifndef RONDE_COLLECTIVES_FLOW_H
#define RONDE_COLLECTIVES_FLOW_H

#include "collectives/executor.h"

enum {
    /* Of a segment, at most. Large enough that the cost of a message (some 50 us on TCP, 2 ms of
     * wire at 1 Gbit/s) hides behind the window; small enough to be reduced out of a core's 1 MiB
     * L2 cache, and to leave little to reduce once the last has come. A multiple of 64. */
    FLOW_SEGMENT_BYTES = 256 << 10,
    /* Segments in flight per step: one reduced, one on the wire, two to cover late steps. */
    FLOW_WINDOW = 4
};

/* What all flows of an executor work on. */
struct flow_data {
    char *data;
    size_t element_bytes;
    const struct block_map *blocks;
    const struct reduction *reduction;
};

/* A position in the ranges of a step; moves forward only. */
struct flow_cursor {
    const struct block_range *range;
    size_t done_bytes; /* of *range */
};

struct flow {
    const struct step *step;
    size_t bytes;
    size_t segment_bytes; /* of each but the last */
    size_t segments;
    size_t posted, finished; /* segments; sent, or received and taken in */
    struct flow_cursor at_post, at_finish;
    int64_t begun_ns; /* when the first was posted; 0: nobody records */
    char *scratch; /* FLOW_WINDOW slots of segment_bytes, or fewer where there are fewer segments */
    struct net_request requests[FLOW_WINDOW]; /* of segment k: k % FLOW_WINDOW */
};

/* Returns the scratch that the flow needs, a multiple of 64, for the caller to set. */
size_t ronde__flow_open(struct flow *flow, const struct step *step, const struct flow_data *data);

static inline int ronde__flow_sends(const struct flow *flow)
{
    return flow->step->kind == STEP_SEND;
}

static inline int ronde__flow_may_post(const struct flow *flow)
{
    return flow->posted < flow->segments && flow->posted - flow->finished < FLOW_WINDOW;
}

/* Starts the message of the next segment. May post. peer: of the network. */
int32_t ronde__flow_post(struct flow *flow, const struct flow_data *data, struct net *net, int peer,
                         int tag);
/* Sets *arrived where the oldest message in flight (there is one) has been sent or has come. */
int32_t ronde__flow_test(struct flow *flow, struct net *net, int *arrived);
/* Done with the oldest message, which has arrived: one received is now in the blocks, reduced where
 * the step says so. */
void ronde__flow_finish(struct flow *flow, const struct flow_data *data);
/* After a failure: lets go of messages that have ended by now. Returns 1 where the network may
 * still write into the scratch. */
int ronde__flow_abandon(struct flow *flow, struct net *net);

#endif
