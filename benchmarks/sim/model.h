/* The machine that is simulated: LogGP, with links that messages share as fluids do. Times are
 * whole picoseconds, so that runs can be compared by equality.
 *
 * A message of k bytes takes `overhead` of its sender's CPU; `latency` later its first byte stands
 * before the links, of which it wants, as work, `gap` + k `byte_ps`: the sending node's card out,
 * the other's card in, and between switches theirs; what several want at once is shared fairly
 * (share.h; by whom: enum sharing). Then `overhead`, and k `reduce_ps` where it is reduced, of the
 * receiver's CPU.
 * A message of more than `eager_bytes` is offered first, and leaves when the answer is back: 2
 * `latency` later, or more where its receive is not posted yet.
 *
 * LogGP: Alexandrov, Ionescu, Schauser and Scheiman, LogGP: incorporating long messages into the
 * LogP model, SPAA 1995. */
#ifndef RONDE_SIM_MODEL_H
#define RONDE_SIM_MODEL_H

#include <stddef.h>
#include <stdint.h>

/* Who shares a link: connections, in each of which messages go one after the other; all messages at
 * once, as in SMPI; or nodes, from whose cards messages leave one after the other. */
enum sharing { SHARING_CONNECTIONS, SHARING_MESSAGES, SHARING_CARDS };

struct model {
    int64_t latency, overhead, gap; /* ps */
    double byte_ps;                 /* of a card, per byte that leaves */
    double in_ps;                   /* per byte that comes in; 0: as fast as you like */
    double reduce_ps;               /* of a CPU, per byte received that is reduced */
    double node_ps;                 /* of a node's stages before and after the wire, per byte */
    size_t eager_bytes;             /* longer messages are offered first: rendezvous */
    enum sharing sharing;
    int switch_nodes; /* nodes per switch; 0: one switch for all */
    double uplink_ps; /* of a switch's link to the others, each way, per byte */
};

/* How the executor cuts a step's bytes (collectives/flow.c); all messages but the last have
 * segment_bytes. */
struct pieces {
    size_t bytes, segment_bytes, segments;
};

struct pieces model_cut(size_t bytes);

/* What a message asks of a card, and of the CPU of one who takes it in. */
int64_t model_wire(const struct model *model, size_t bytes);
int64_t model_take(const struct model *model, size_t bytes, int reduces);

/* What came out. A rank is a lane of a node: it exchanges with the same lane of other nodes. */
enum answer { ANSWER_FORMULA, ANSWER_NODE, ANSWER_EVENTS };

struct outcome {
    int64_t time;          /* ps */
    int64_t rank_messages; /* sent, of the rank that sends most */
    int64_t rank_bytes;    /* the same */
    int64_t node_bytes;    /* that leave the node that most leave from */
    int64_t messages;      /* of all ranks */
    enum answer answer;    /* how the time was found */
};

#endif
