/* Sends and receives by name, once both ends are agreed: one transfer at a time from each rank to
 * each, in the order of the decisions, beside the bins. Inside a node through the arena (directly
 * out of it where the sender's data lie there, else by two chunks of it), between nodes by a message. */
#ifndef RONDE_COORDINATOR_TRANSFER_H
#define RONDE_COORDINATOR_TRANSFER_H

#include <stdatomic.h>

#include "net/net.h"
#include "shm/arena.h"
#include "shm/lobby.h"

struct set;
struct request;

/* From one local rank to another; both counters only grow. */
struct mailbox {
    _Alignas(LOBBY_LINE) _Atomic uint64_t posted; /* chunks that the sender has laid out */
    int64_t offset[2];                            /* where, in the sender's part of the arena */
    _Alignas(LOBBY_LINE) _Atomic uint64_t taken;  /* by the receiver */
};

struct transfer {
    struct transfer *next;
    struct request *request;
    int sends, peer; /* rank of the set */
    int started;
    size_t bytes, chunk_bytes;
    uint64_t chunks, done; /* of this transfer; laid out or taken */
    char *stage;           /* two chunks in the arena; NULL: the data lie there */
    struct net_request message;
};

struct transfers {
    struct mailbox *boxes; /* [local size x local size]: from * local size + to */
    struct transfer *first, *last;
    int on_wire;
};

size_t ronde__transfers_bytes(const struct net *net);

/* Both ends have submitted it. Takes the request over until it completes. */
int32_t ronde__transfer_start(struct set *set, struct request *request);
/* RONDE__IDLE, RONDE__MOVED or an error. */
int32_t ronde__transfers_step(struct set *set);
/* After a failure: forgets them all; their requests end otherwise. */
void ronde__transfers_drop(struct set *set);

#endif
