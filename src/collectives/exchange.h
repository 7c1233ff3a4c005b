/* All-to-all by plain messages: what each rank has for each other, of any length, straight from and
 * into the callers' memory. A state machine that never blocks. One thread at a time. */
#ifndef RONDE_COLLECTIVES_EXCHANGE_H
#define RONDE_COLLECTIVES_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/trace.h"
#include "net/net.h"

/* A run of bytes to or from a rank. */
struct run {
    char *data;
    size_t bytes;
};

/* Messages in flight each way, at most: enough to keep a wire busy with small ones, few enough that
 * nobody is sent much more at once than it has asked for. */
enum { EXCHANGE_WINDOW = 8 };

struct exchange_way {
    const struct run *runs;
    int places; /* of the order that were passed; the net's size: all */
    struct net_request requests[EXCHANGE_WINDOW];
    int rank[EXCHANGE_WINDOW];         /* whose each is */
    int64_t begun_ns[EXCHANGE_WINDOW]; /* when each was started; 0: nobody records */
};

/* All zero: never started. */
struct exchange {
    struct net *net;
    int tag;
    const struct trace *trace; /* NULL: none */
    int32_t status;            /* IDLE while it runs, then DONE or the error */
    struct exchange_way sends, receives;
};

/* sends, receives: [size of the net], by rank, this rank included; what one receives is as long as
 * what the other sends, and what is empty takes no message. Lists and data stay the caller's until
 * DONE. No message is started yet. */
void ronde__exchange_start(struct exchange *exchange, struct net *net, int tag,
                           const struct run *sends, const struct run *receives);
/* From here each message is recorded. `trace` stays the caller's until the exchange is over. */
void ronde__exchange_trace(struct exchange *exchange, const struct trace *trace);
/* RONDE__IDLE, RONDE__MOVED, RONDE__DONE (base/bell.h), or an error. */
int32_t ronde__exchange_step(struct exchange *exchange);
/* Lets go of messages that have ended by now. Never started, done, failed or given up, it is all
 * the same. Returns 1 where the network may still write into what it was given. */
int ronde__exchange_close(struct exchange *exchange);

#endif
