/* The state of a simulation: what events.c (ranks) and wire.c (messages) share, for these alone. */
#ifndef RONDE_SIM_WIRE_H
#define RONDE_SIM_WIRE_H

#include "events.h"
#include "heap.h"

struct run_flow {
    const struct step *step;
    struct pieces pieces;
    size_t posted; /* sends: handed to the network */
    size_t let_go; /* of them: may leave, or has */
    size_t gone;   /* of them: given to the card */
    int64_t posted_at;
    size_t finished; /* segments that have left, or were taken in */
    size_t before;   /* messages to, or from, this peer that belong to earlier steps */
};

/* Messages between a rank and its lane of a node. */
struct partner {
    int32_t node;
    size_t sent, awaited; /* by the steps so far */
    size_t posted;        /* receives */
    size_t arrived;
};

struct rank {
    const struct schedule *schedule;
    int32_t node, lane;
    int32_t next_step, flows;
    int32_t busy_with; /* a flow; -1: idle */
    int done;
    struct run_flow *flow;
    struct partner *partner;
    int32_t partners;
    int64_t messages, bytes;
};

struct run {
    const struct model *model;
    const struct job *job;
    struct heap heap;
    int64_t now, end;
    int32_t ranks, done;
    struct rank *rank;
    struct run_flow *flows; /* of all ranks */
    int64_t *free_at;       /* links: cards out, cards in, switches up, switches down */
    int64_t *node_bytes;
    const char *wrong;
};

static inline int is_send(const struct run_flow *flow)
{
    return flow->step->kind == STEP_SEND;
}

/* Sets run->wrong where memory is out. */
void wire_put(struct run *run, const struct event *event);
/* Made where there is none yet. */
struct partner *wire_partner(struct run *run, struct rank *me, int32_t node);
/* The messages of a step that may go by now: at once, or by rendezvous: the receiver answers an
 * offer when it has posted. */
void wire_let_go(struct run *run, struct rank *me, int32_t flow);
/* Gives the next message of a step to the card. */
void wire_send(struct run *run, struct rank *me, int32_t flow);
/* A message's first byte stands before a link. */
void wire_take_head(struct run *run, struct event *event);

extern const char *const wire_out_of_memory;

#endif
