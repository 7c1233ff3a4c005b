/* One step of a schedule as messages: the middle of the executor, for executor.c alone.
 *
 * The bytes of a step's blocks, in order, are cut into segments, each a message of its own. How is
 * a pure function of the number of bytes, so both sides cut alike wherever their ranges lie. A few
 * segments are in flight at once (the window), so that one is reduced while the next arrives. */
#ifndef RONDE_COLLECTIVES_FLOW_H
#define RONDE_COLLECTIVES_FLOW_H

#include "collectives/executor.h"

enum {
    /* Of a segment, at most. Below the 64 KiB up to which Open MPI's TCP sends without asking
     * first: on 1 Gbit/s the wire stood idle for a sixth of the time with segments of 64 KiB and
     * more, and not at all with these (benchmarks/hosts.sh). They stay in a core's L2 cache, and
     * leave little to reduce once the last has come. A multiple of 64. */
    FLOW_SEGMENT_BYTES = 60 << 10,
    /* A step has so many, if they are not shorter than this: while one passes on, the others keep
     * the wire busy. 16 KiB take as long on 1 Gbit/s as a message costs on its way. */
    FLOW_SEGMENTS = 4,
    FLOW_SEGMENT_LEAST = 16 << 10,
    /* Segments in flight per step: what the wire holds, and some to cover late steps. */
    FLOW_WINDOW = 8
};

/* What all flows of a run work on. */
struct flow_data {
    char *data;
    size_t element_bytes;
    struct block_map blocks;
    const struct reduction *reduction;
    size_t *block_at; /* [blocks + 1]: where each begins in the sequence of all, in bytes */
};

/* A position in the ranges of a step; moves forward only. */
struct flow_cursor {
    const struct block_range *range;
    size_t done_bytes; /* of *range */
};

struct flow {
    const struct step *step;
    const struct flow_data *data;
    uint64_t run;
    size_t from, bytes;   /* in the sequence of all blocks */
    size_t segment_bytes; /* of each but the last */
    size_t segments;
    size_t posted, finished; /* segments; sent, or received and taken in */
    struct flow_cursor at_post, at_finish;
    int64_t begun_ns; /* when the first was posted; 0: nobody records */
    char *scratch; /* FLOW_WINDOW slots of segment_bytes, or fewer where there are fewer segments */
    size_t scratch_bytes;                     /* of what is allocated there */
    struct net_request requests[FLOW_WINDOW]; /* of segment k: k % FLOW_WINDOW */
};

/* Begins a step; keeps the scratch, which must then have as many bytes as this returns. */
size_t ronde__flow_open(struct flow *flow, const struct step *step, const struct flow_data *data,
                        uint64_t run);

static inline int ronde__flow_sends(const struct flow *flow)
{
    return flow->step->kind == STEP_SEND;
}

/* What is received is taken in from a slot, once it has come, instead of where it belongs. */
static inline int ronde__flow_reduces(const struct flow *flow)
{
    return flow->step->kind >= STEP_RECV_REDUCE;
}

/* Is taken in together with the others of its round. */
static inline int ronde__flow_combines(const struct flow *flow)
{
    return flow->step->kind == STEP_RECV_COMBINE;
}

static inline int ronde__flow_is_over(const struct flow *flow)
{
    return flow->finished == flow->segments;
}

static inline int ronde__flow_may_post(const struct flow *flow)
{
    return flow->posted < flow->segments && flow->posted - flow->finished < FLOW_WINDOW;
}

/* 1 where bytes of segment `segment` are among those that `other` has not finished. */
int ronde__flow_meets(const struct flow *flow, size_t segment, const struct flow *other);

/* Starts the message of the next segment. May post. peer: of the network. */
int32_t ronde__flow_post(struct flow *flow, struct net *net, int peer, int tag);
/* Sets *arrived where the oldest message in flight (there is one) has been sent or has come. */
int32_t ronde__flow_test(struct flow *flow, struct net *net, int *arrived);
/* Done with the oldest message, which has arrived: one received is now in the blocks, reduced where
 * the step says so. */
void ronde__flow_finish(struct flow *flow);
/* The same for flows that are combined: all n of a round, in the order of their peers, whose oldest
 * messages have arrived. sources: scratch for n + 1. */
void ronde__flow_combine(struct flow *const *flows, int n, const void **sources);
/* After a failure: lets go of messages that have ended by now. Returns 1 where the network may
 * still use the scratch. */
int ronde__flow_abandon(struct flow *flow, struct net *net);

#endif
