/* The part of the coordinator that one rank per node plays: it gathers what its subtree has
 * submitted, and passes decisions down. Leaders form a binary tree; the root decides. A state
 * machine, stepped by the leader rank's driver; it never blocks. */
#ifndef RONDE_COORDINATOR_LEADER_H
#define RONDE_COORDINATOR_LEADER_H

#include "base/log.h"
#include "base/settings.h"
#include "collectives/select.h"
#include "coordinator/link.h"
#include "coordinator/negotiation.h"
#include "net/net.h"

enum { STALL_TEXT_BYTES = 4096 };

struct leader {
    struct net *net;
    struct link *link;
    struct bell *bells; /* [local ranks] of the communicator */
    const struct settings *settings;
    const struct log *log;
    const struct select_table *select;
    struct negotiation *negotiation;
    int is_root, parent;    /* global rank of the parent's leader */
    int children, child[2]; /* global ranks */
    struct writer up;
    struct writer down;        /* decisions not yet in the node's ring ... */
    size_t down_at, down_sent; /* ... from here; and not yet sent to the children from here */
    uint64_t decisions;
    uint32_t child_waits; /* bits */
    int told;             /* of a fatal error by another node: need not tell */
    int64_t arrived_ns;   /* when an announcement last came */
    int64_t stall_check_ns;
    int64_t nap_ns;       /* out: when it wants to be stepped again; 0: when rung */
    struct entry **ready; /* root: complete, in order of completion */
    size_t ready_count, ready_room;
    size_t ready_bytes;
    int64_t ready_ns;        /* since when the first of them is */
    struct plan_item *items; /* scratch of the root, [ready_room] */
    int32_t *bin_of;
    uint64_t *rows; /* scratch, [size] */
    char *text;     /* scratch of the stall report */
};

int32_t ronde__leader_open(struct leader *leader, struct net *net, struct link *link,
                           struct bell *bells, const struct settings *settings,
                           const struct log *log, const struct select_table *select);
void ronde__leader_close(struct leader *leader);

/* RONDE__IDLE, RONDE__MOVED, or an error. */
int32_t ronde__leader_step(struct leader *leader);

/* Root: looks at what is ready and, unless more is about to come, decides (decide.c). */
int32_t ronde__leader_decide(struct leader *leader, int64_t now_ns);
/* Reports and fails what has waited too long for some ranks (stall.c). */
int32_t ronde__leader_check_stalls(struct leader *leader, int64_t now_ns);
/* Puts a decision on its way down, and follows it. */
int32_t ronde__leader_pass_down(struct leader *leader, const struct record *decision);
/* 1 where all ranks of the subtree wait, as far as is known: nobody is about to submit more. */
int ronde__leader_subtree_waits(const struct leader *leader);
/* Tells all other nodes' leaders that this context is lost; by the leader, or where that is what
 * was lost, by any rank of its node. */
void ronde__leader_tell_fatal(struct net *net, int32_t status, const char *text);
/* 1 where something is on the table, on its way, or waits to be decided. */
int ronde__leader_is_busy(const struct leader *leader);

#endif
