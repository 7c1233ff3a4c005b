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
    struct communicator communicator;
    struct link *link; /* the coordinator's: where the node's fatal error is told */
    struct select_table select;
    struct patience patience;
    size_t *bytes_of; /* [size] */
    unsigned idle_steps;
    int32_t failed; /* what the first failure said; 0: none */
    uint64_t operations;
};

struct ronde_context {
    struct net *net;
    const volatile char *ours; /* 1; but 0 in a forked child, whose context this is not */
    struct settings settings;
    struct log log;
    struct arena *arena;
    struct coordinator *coordinator;
    struct direct direct;
};

/* Collective. Opens a context over a net, which it takes over (and closes, also on an error). */
int32_t ronde__open_net(struct net *net, const char *settings, ronde_context **context);

int32_t ronde__direct_open(struct direct *direct, struct net *net, const struct arena *arena,
                           const struct settings *settings);
void ronde__direct_close(struct direct *direct);

/* What a call asks for, checked (arguments.c). */
struct demand {
    enum kind kind;
    const void *in;
    void *out;
    size_t count; /* elements of this rank's input; of an allgather, rows x row_count */
    size_t rows, row_count, out_rows;
    int32_t dtype, op, root;
    size_t bytes;               /* of count */
    struct signature signature; /* out */
};

/* Fills demand->bytes and signature, or says which argument is wrong. name: NULL or the
 * tensor's. */
int32_t ronde__check_demand(const ronde_context *context, const char *name, struct demand *demand,
                            const ronde_call *call);
int32_t ronde__check_open(const ronde_context *context);
/* That, and that this thread may drive operations itself where no thread of ours does (named), or
 * at all (direct). */
int32_t ronde__check_driver(const ronde_context *context, int is_direct);

#endif
