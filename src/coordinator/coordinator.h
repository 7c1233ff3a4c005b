/* The coordinator of one rank: takes submitted requests, agrees with the other ranks what runs,
 * runs it, and completes it.
 *
 * Who runs this: nobody owns it. Whoever wants progress - the coordinator thread in the background,
 * a caller inside wait - takes the driver's token for the length of one step. A caller that waits
 * spins or sleeps on this rank's bell and steps; the thread steps only while no caller waits, and
 * sleeps on its own bell otherwise. Everything in struct coordinator that is not atomic belongs to
 * the holder of the token, but for the queue and the handles, which have their locks.
 *
 * Invariant: while operations are outstanding here, somebody listens to the bell or will look: a
 * waiting caller, or else the thread (in caller mode: the next call of poll or wait). */
#ifndef RONDE_COORDINATOR_COORDINATOR_H
#define RONDE_COORDINATOR_COORDINATOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bell.h"
#include "base/log.h"
#include "base/settings.h"
#include "collectives/select.h"
#include "coordinator/communicator.h"
#include "coordinator/handles.h"
#include "coordinator/leader.h"
#include "coordinator/link.h"
#include "coordinator/queue.h"
#include "net/net.h"

struct counts {
    _Atomic uint64_t operations, bins, announcements, cached, wakeups, thread_cpu_us;
};

struct coordinator {
    struct net *net;
    const struct settings *settings;
    const struct log *log;
    struct select_table select;
    struct queue queue;
    struct handles handles;
    struct counts counts;
    struct bell *bell; /* this rank's, rung by peers and by completions */

    _Atomic uint32_t token;       /* 1: taken */
    _Atomic uint32_t missed;      /* 1: somebody wanted the token meanwhile */
    _Atomic uint32_t callers;     /* that wait */
    _Atomic uint32_t outstanding; /* operations submitted and not done */
    _Atomic uint32_t stopping;    /* the thread shall end */
    _Atomic uint32_t leads;       /* as the node's leader it has something to see to */
    pthread_t thread;
    int has_thread;
    struct patience patience;    /* of callers that wait ... */
    _Atomic int64_t spin_now_ns; /* ... and what they have learned */

    /* the driver's */
    struct communicator communicator;
    struct link link;
    struct leader *leader; /* NULL: another rank of the node leads */
    struct request *to_announce;
    struct writer record;             /* scratch of one announcement */
    uint64_t decisions;               /* followed */
    struct request *bins, *bins_last; /* decided; a bin ends at last_of_bin */
    int32_t whole_bins;
    struct request *running; /* the first of the bin that runs */
    struct piece *pieces;    /* scratch of an allreduce */
    int32_t piece_room;
    size_t *bytes_of;               /* scratch of an allgather, [size] */
    void *gather_copy, *gather_out; /* of a running allgather, where the caller's will not do */
    int64_t nap_ns;                 /* how long the driver may sleep unrung; 0: no limit */
    int64_t ping_ns;                /* when to remind the leader of what waits here */
    _Atomic int32_t
        fatal; /* the first fatal error; 0: none. Stored when all is completed with it */
};

/* Collective over the net. */
int32_t ronde__coordinator_open(struct coordinator **coordinator, struct net *net,
                                const struct arena *arena, const struct settings *settings,
                                const struct log *log);
/* Closing, in this order: meet - no more submissions, what is outstanding here is completed, and
 * all ranks are known to close; stop the thread; all meet once more (the caller's business),
 * since ranks may be threads and share their memory; close. */
int32_t ronde__coordinator_meet(struct coordinator *coordinator);
/* Instead of meeting, where something outside named operations has failed (the last error says
 * what): the others are told as if it had been one. */
void ronde__coordinator_give_up(struct coordinator *coordinator, int32_t status);
void ronde__coordinator_stop(struct coordinator *coordinator);
void ronde__coordinator_close(struct coordinator *coordinator);

/* Hands a request over; any thread. name NULL: by counter. On an error the request stays the
 * caller's. */
int32_t ronde__coordinator_submit(struct coordinator *coordinator, const char *name,
                                  uint64_t unnamed_number, struct request *request);
/* After a submission that nobody is going to wait for at once. */
void ronde__coordinator_wake(struct coordinator *coordinator);
/* Waits until the request (NULL: all) is done: RONDE_OK, or RONDE_PENDING at deadline_ns (0:
 * never). */
int32_t ronde__coordinator_wait(struct coordinator *coordinator, const struct request *request,
                                int64_t deadline_ns);
/* In caller mode, one step of progress. */
void ronde__coordinator_poke(struct coordinator *coordinator);

/* ---- inside the room ------------------------------------------------------------------------- */

/* Steps everything once if nobody else does (drive.c). RONDE__IDLE or RONDE__MOVED; then *nap_ns is
 * how long to sleep at most. */
int32_t ronde__coordinator_step(struct coordinator *coordinator, int64_t *nap_ns);
/* Must somebody go on stepping, as of the last step? */
int ronde__coordinator_has_business(const struct coordinator *coordinator);
/* The thread's main function (wait.c); its argument is the coordinator. */
void *ronde__coordinator_thread(void *coordinator);
/* Runs decided bins as far as they go (run.c). */
int32_t ronde__coordinator_run(struct coordinator *coordinator);
/* Ends a request with a status and, on an error, its text. The request may be gone at return. */
void ronde__coordinator_complete(struct coordinator *coordinator, struct request *request,
                                 int32_t status, const char *text);
/* Takes new requests, announces them, follows decisions (follow.c). */
int32_t ronde__coordinator_announce(struct coordinator *coordinator);
int32_t ronde__coordinator_follow(struct coordinator *coordinator);

#endif
