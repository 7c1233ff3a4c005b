/* A context, as the front door keeps it: everything a rank has opened. */
#ifndef RONDE_CONTEXT_H
#define RONDE_CONTEXT_H

#include <pthread.h>

#include "base/log.h"
#include "base/settings.h"
#include "coordinator/coordinator.h"
#include "net/net.h"
#include "ronde.h"
#include "shm/arena.h"

/* Direct operations have a communicator of their own, so that they run beside named ones. */
struct direct {
    pthread_mutex_t lock; /* one direct operation at a time on this rank */
    struct region region;
    struct communicator communicator;
    struct coordinator *coordinator; /* whose lobby says when all is lost */
    struct select_table select;
    struct patience patience;
    size_t *bytes_of; /* [size] */
    unsigned idle_steps;
    int64_t looked_ns;
    int concerned;  /* it has waited for a while: the coordinator watches the others */
    int32_t failed; /* what the first failure said; 0: none */
    uint64_t operations;
    struct timeline_event event; /* the running operation's; begin_ns 0: it is not recorded */
    _Atomic uint32_t recording;  /* 1: a step runs that may record */
};

/* Groups that have begun and not ended (groups.c). */
struct groups {
    pthread_mutex_t lock; /* of the list; a group is one thread's */
    struct group *first;
    uint64_t last_id;
};

struct ronde_context {
    struct net *net;
    const volatile char *ours; /* 1; but 0 in a forked child, whose context this is not */
    struct settings settings;
    struct log log;
    struct arena *arena;
    struct coordinator *coordinator;
    struct direct direct;
    struct groups groups;
};

/* Collective. Opens a context over a net, which it takes over (and closes, also on an error). */
int32_t ronde__open_net(struct net *net, const char *settings, ronde_context **context);

int32_t ronde__direct_open(struct direct *direct, struct net *net, struct coordinator *coordinator,
                           const struct settings *settings);
void ronde__direct_close(struct direct *direct, const struct net *net);

/* The timeline has been swapped for none: returns when no direct operation records in it any more,
 * which takes as long as a step, not as an operation. Any thread. */
void ronde__direct_leave_timeline(struct direct *direct);

/* What a call asks for, checked (arguments.c). */
struct demand {
    enum kind kind;
    const char *name; /* NULL: drawn */
    const void *in;
    void *out;
    size_t count; /* elements of this rank's input; where there are rows, rows x row_count */
    size_t rows, row_count, out_rows;
    int32_t dtype, op, root; /* root: of a send or receive, the other end */
    const size_t *splits;    /* of an all-to-all, or of a scatter's root; NULL: even */
    const int64_t *indices;
    size_t *rows_by_rank, *received; /* out */
    int32_t *last_rank;              /* out */
    /* found by the check */
    const ronde_call *call;
    ronde_call read; /* the call, with defaults for what its version did not know */
    const struct set_list *list;
    struct set *set;
    size_t bytes; /* of count */
    struct signature signature;
};

/* Reads the call's options and finds its process set; then checks everything else and fills the
 * signature, or says which argument is wrong. */
int32_t ronde__read_demand(const ronde_context *context, struct demand *demand);
int32_t ronde__check_demand(const ronde_context *context, struct demand *demand);
int32_t ronde__check_open(const ronde_context *context);
/* That, and that this thread may drive operations itself where no thread of ours does (named), or
 * at all (direct). */
int32_t ronde__check_driver(const ronde_context *context, int is_direct);

/* A request of what was demanded, not handed over yet; its name as it is to be submitted. */
int32_t ronde__make_request(ronde_context *context, const struct demand *demand, int waits,
                            struct request **request);

/* The demand, checked, belongs to an open group: its request is kept there until the end; or, where
 * `status` says that it was refused (the last error says why), that is. */
int32_t ronde__group_take(ronde_context *context, uint64_t group, const struct demand *demand,
                          uint64_t number, int32_t status, uint64_t *handle);
void ronde__groups_open(struct groups *groups);
void ronde__groups_close(ronde_context *context);

#endif
