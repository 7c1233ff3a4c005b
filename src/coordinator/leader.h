/* The part of a process set that one rank per node plays: it gathers what its subtree has submitted,
 * and passes decisions down. Leaders form a binary tree; the root decides. A state machine, stepped
 * by the leader rank's driver; it never blocks. */
#ifndef RONDE_COORDINATOR_LEADER_H
#define RONDE_COORDINATOR_LEADER_H

#include "base/log.h"
#include "base/settings.h"
#include "collectives/select.h"
#include "coordinator/batch.h"
#include "coordinator/link.h"
#include "coordinator/negotiation.h"
#include "coordinator/tune.h"
#include "net/net.h"
#include "shm/lobby.h"

enum {
    STALL_TEXT_BYTES = 4096,
    BIN_TENSORS = 2048 /* what a board of the node's slots can name */
};

/* What a leader works with; all of it stays the caller's. */
struct leader_place {
    struct net *net; /* of the process set */
    uint32_t set;
    struct link *link;
    struct lobby *lobby;
    const int *lobby_ranks; /* [local ranks] their numbers in the lobby */
    const int *global;      /* [size] global ranks */
    const struct settings *settings;
    const struct log *log;
    struct tuner *tuner;
    uint64_t *lamport;
};

/* Complete tensors of a group that wait for the others of it. */
struct held {
    uint64_t group;
    uint32_t size, count;
    struct entry **entry; /* [size] */
};

struct leader {
    struct leader_place at;
    struct negotiation *negotiation;
    struct batches batches;
    int *contributor_of; /* [size] */
    int is_root, parent; /* rank of the parent's leader */
    int children, child[2];
    struct writer up;
    struct writer mail;        /* scratch of a message */
    struct writer down;        /* decisions not yet in the node's ring ... */
    size_t down_at, down_sent; /* ... from here; and not yet sent to the children from here */
    uint64_t decisions;
    uint32_t child_waits; /* bits */
    int64_t arrived_ns;   /* when an announcement last came */
    int64_t stall_check_ns;
    int64_t nap_ns;       /* out: when it wants to be stepped again; 0: when rung */
    struct entry **ready; /* root: to be decided, in order of completion */
    size_t ready_count, ready_room;
    size_t ready_bytes;
    int64_t ready_ns;        /* since when the first of them is */
    uint32_t *ready_batches; /* root: batches that all have announced whole */
    size_t ready_batch_count;
    struct held *held;
    size_t held_count, held_room;
    struct plan_item *items; /* scratch of the root, each [ready_room] */
    int32_t *bin_of;
    struct entry **sorted;
    size_t *bin_from;
    int32_t last_joined; /* rank */
    int join_reported;   /* root: that ranks have joined, and the others do nothing */
    struct words rows;   /* scratch */
    char *text;          /* scratch of the stall report */
};

int32_t ronde__leader_open(struct leader *leader, const struct leader_place *place);
void ronde__leader_close(struct leader *leader);

/* RONDE__IDLE, RONDE__MOVED, or an error. */
int32_t ronde__leader_step(struct leader *leader);
/* A message from another node's leader of this set, without its head; from: rank of the set. */
int32_t ronde__leader_take(struct leader *leader, int from, const char *message, size_t bytes);

/* Root: looks at what is ready and, unless more is about to come, decides (decide.c). */
int32_t ronde__leader_decide(struct leader *leader, int64_t now_ns);
/* Root: runs batches that all have announced whole (leader_batch.c). */
int32_t ronde__leader_decide_batches(struct leader *leader, int64_t now_ns);
/* A contributor has announced a batch. */
int32_t ronde__leader_take_batch(struct leader *leader, int contributor,
                                 const struct record *record, int64_t now_ns);
/* Before one of the batch's tensors is announced by itself, or reported: those who have announced the
 * batch have announced each of its tensors. */
int32_t ronde__leader_spread_batch(struct leader *leader, struct batch *batch, int64_t now_ns);
/* Batches that some have not announced for so long are taken apart, so that stalls are seen. */
int32_t ronde__leader_spread_old_batches(struct leader *leader, int64_t now_ns, int64_t age_ns);
/* Root: the entry is complete: it is ready, or waits for its group. */
int32_t ronde__leader_make_ready(struct leader *leader, struct entry *entry, int64_t now_ns);
/* Complete: upwards, or ready. */
int32_t ronde__leader_completed(struct leader *leader, struct entry *entry, int64_t now_ns);
/* Of a reduction between nodes: by its own size. */
enum algorithm ronde__leader_algorithm(const struct leader *leader,
                                       const struct signature *signature);
/* What may be fused shares all that the one pass over the bin has: dtype, op, scales, algorithm; or,
 * of broadcasts, the root. */
int ronde__leader_same_kin(const struct leader *leader, const struct signature *a,
                           const struct signature *b);
/* Reports and fails what has waited too long for some ranks (stall.c). */
int32_t ronde__leader_check_stalls(struct leader *leader, int64_t now_ns);
/* Puts a decision on its way down, and follows it. */
int32_t ronde__leader_pass_down(struct leader *leader, struct record *decision);
/* 1 where all ranks of the subtree wait, as far as is known: nobody is about to submit more. */
int ronde__leader_subtree_waits(const struct leader *leader);
/* 1 where something is on the table, on its way, or waits to be decided. */
int ronde__leader_is_busy(const struct leader *leader);
/* Room for `count` words in leader->rows, all set to 0. */
int32_t ronde__leader_room(struct leader *leader, size_t count);

#endif
