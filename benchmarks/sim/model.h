/* The machine that is simulated: LogGP with serial network cards, and what the executor does with a
 * step's bytes. Times are whole picoseconds, so that sums do not depend on their order and runs
 * can be compared by equality.
 *
 * A message of k bytes takes `overhead` of its sender's CPU, then `gap` + k `byte_ps` of the
 * sending node's card, all of whose ranks share it; its first byte reaches the other node's card
 * `latency` after it left, which is busy as long for all that come in; then `overhead`, and
 * k `reduce_ps` where it is reduced, of the receiver's CPU. Cards are full duplex, first come first
 * served. A message of more than `eager_bytes` is offered first, and leaves when the answer is back:
 * 2 `latency` later, or more where its receive is not posted yet. LogGP: Alexandrov, Ionescu, Schauser and Scheiman, LogGP: incorporating long messages
 * into the LogP model, SPAA 1995. */
#ifndef RONDE_SIM_MODEL_H
#define RONDE_SIM_MODEL_H

#include <stddef.h>
#include <stdint.h>

struct model {
    int64_t latency, overhead, gap; /* ps */
    double byte_ps;                 /* of a card, per byte */
    double reduce_ps;               /* of a CPU, per byte received that is reduced */
    double node_ps;                 /* of a node's stages before and after the wire, per byte */
    size_t eager_bytes;             /* longer messages are offered first: rendezvous */
    size_t segment_bytes;           /* a message has at most so many */
    size_t segments;                /* of a step, if they have at least ... */
    size_t segment_least;           /* ... so many bytes */
    size_t window;                  /* messages of a step in flight */
    int switch_nodes;               /* nodes per switch; 0: one switch for all */
    double uplink_ps;               /* of a switch's link to the others, each way, per byte */
};

/* How a step's bytes become messages, which all but the last have segment_bytes. */
struct pieces {
    size_t bytes, segment_bytes, segments;
};

/* As ronde__flow_open cuts (collectives/flow.c). */
struct pieces model_cut(const struct model *model, size_t bytes);
size_t model_segment(const struct pieces *pieces, size_t segment);

/* Time of a card, and of the CPU of one who takes a message in. */
int64_t model_wire(const struct model *model, size_t bytes);
int64_t model_take(const struct model *model, size_t bytes, int reduces);

/* What came out. A rank is a lane of a node: it exchanges with the same lane of other nodes. */
struct outcome {
    int64_t time;          /* ps */
    int64_t rank_messages; /* sent, of the rank that sends most */
    int64_t rank_bytes;    /* the same */
    int64_t node_bytes;    /* that leave the node that most leave from */
    int64_t messages;      /* of all ranks */
    int by_events;
};

#endif
