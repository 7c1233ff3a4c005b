/* A process set on one of its ranks: its own names, control path, communicator, and the bins it runs.
 * Set 0 is all ranks. Sets know nothing of each other; the coordinator steps them all.
 *
 * Everything that is not atomic belongs to the holder of the coordinator's token, but for the queue,
 * which has its lock. */
#ifndef RONDE_COORDINATOR_SET_H
#define RONDE_COORDINATOR_SET_H

#include <stdatomic.h>

#include "communicator/communicator.h"
#include "coordinator/batch.h"
#include "coordinator/leader.h"
#include "coordinator/link.h"
#include "coordinator/queue.h"
#include "coordinator/transfer.h"

struct coordinator;

/* How long tensors wait for the rest of their batch after the last one came, while nobody waits for
 * them: a submission takes under a microsecond, so this is a generous gap between two. */
enum { SET_HOLD_NS = 30000 };

/* What runs: the first request of a bin, and what its phases need. */
struct job {
    struct request *first;
    int32_t (*next)(struct set *,
                    struct request *); /* when the communicator is done; NULL: all is */
    void *copy, *out;             /* malloc'd: input and output where the caller's will not do */
    size_t *bytes_of;             /* [size] scratch */
    uint64_t *splits;             /* [size x size] malloc'd, of an all-to-all */
    struct run *sends, *receives; /* [size] scratch of an exchange */
    size_t *local_bytes;          /* [local size x local size] scratch */
    struct contributions contributions;
    double *weights; /* [size] scratch */
    int64_t begun_ns;
};

struct set {
    int32_t id;
    int slot; /* where the coordinator keeps it */
    struct coordinator *c;
    struct net *net;      /* of its members; set 0: of all */
    int *global;          /* [size] global ranks, ascending */
    int *lobby_ranks;     /* [local size] */
    struct bell **bells;  /* [local size] */
    char *memory;         /* shared on this node */
    struct region region; /* of set 0 */
    void *block;          /* of another set, where this rank made it: to be given back */
    struct queue queue;
    struct communicator communicator;
    struct link link;
    struct leader *leader; /* NULL: another rank of the node leads */

    struct request *to_announce;
    uint32_t held;   /* how many wait for the rest of their batch */
    int64_t held_ns; /* when the last of them came */
    struct batches batches;
    struct writer record;             /* scratch of one announcement */
    uint64_t decisions;               /* followed */
    struct request *bins, *bins_last; /* decided; a bin ends at last_of_bin */
    int32_t whole_bins;
    struct job job;
    struct transfers transfers;
    struct piece *pieces; /* scratch of a bin */
    size_t piece_room;
};

/* Where a set lives; the memory is zeroed, and its rings are placed. */
struct set_place {
    struct coordinator *c;
    int32_t id;
    int slot;
    struct net *net;   /* taken over, but for set 0's */
    const int *global; /* copied */
    char *memory;
};

/* Bytes of shared memory that a set needs on this node. */
size_t ronde__set_bytes(const struct coordinator *c, const struct net *net);
/* Lays out what the ranks of a node share; by one of them, in zeroed memory. */
void ronde__set_place_memory(const struct coordinator *c, const struct net *net, char *memory);
/* Local. On an error the net stays the caller's. */
int32_t ronde__set_open(struct set **set, const struct set_place *place);
/* All its ranks are through with it. */
void ronde__set_close(struct set *set);

/* The set's rank with this global rank, or -1. */
int ronde__set_rank_of(const struct set *set, int global);

/* Hands a request over; any thread. name NULL: by counter. On an error the request stays the
 * caller's. */
int32_t ronde__set_submit(struct set *set, const char *name, uint64_t unnamed_number,
                          struct request *request);
int32_t ronde__set_submit_join(struct set *set, struct request *request);
/* An operation of the library's own. */
int32_t ronde__set_submit_ours(struct set *set, const char *name, struct request *request);
int32_t ronde__set_submit_group(struct set *set, char *const *names, struct request **requests,
                                size_t n);

/* One step of the set: RONDE__IDLE, RONDE__MOVED or an error. */
int32_t ronde__set_step(struct set *set);
/* How long the driver may sleep at most; 0: until rung. */
int64_t ronde__set_nap_ns(const struct set *set);
/* Ends everything outstanding (undecided: only what no decision has named) with this error. */
void ronde__set_end(struct set *set, int undecided, int32_t status, const char *text);

/* ---- inside the room ------------------------------------------------------------------------- */

/* Takes new requests, announces them, follows decisions (announce.c, follow.c). */
int32_t ronde__set_announce(struct set *set);
/* Forgets which requests wait for their batch. */
void ronde__set_let_go(struct set *set);
int32_t ronde__set_follow(struct set *set);
/* Runs decided bins as far as they go (run.c). */
int32_t ronde__set_run(struct set *set);
/* Ends a request with a status and, on an error, its text. The request may be gone at return. */
void ronde__set_complete(struct set *set, struct request *request, int32_t status,
                         const char *text);
/* What every event of the request in the timeline has. */
struct timeline_event ronde__set_event(const struct set *set, const struct request *request);
/* Starts a bin of the kinds of run_move.c. RONDE__DONE where there is nothing to do. */
int32_t ronde__set_start_move(struct set *set, struct request *request);
/* How a request of these kinds ends: its status, RONDE_OK or RONDE_ERR_TRUNCATED. */
int32_t ronde__set_finish_move(struct set *set, struct request *request);

#endif
