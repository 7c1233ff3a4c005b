/* The coordinator of one rank: takes submitted requests, agrees with the other ranks what runs, runs
 * it, and completes it; for all process sets of the context.
 *
 * Who runs this: nobody owns it. Whoever wants progress - the coordinator thread in the background,
 * a caller inside wait - takes the driver's token for the length of one step. A caller that waits
 * spins or sleeps on this rank's bell and steps; the thread steps only while no caller waits, and
 * sleeps on its own bell otherwise. Everything in struct coordinator that is not atomic belongs to
 * the holder of the token, but for the handles, which have their lock.
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
#include "base/timeline.h"
#include "coordinator/handles.h"
#include "coordinator/set.h"
#include "coordinator/tune.h"
#include "coordinator/watch.h"
#include "net/net.h"
#include "shm/arena.h"
#include "shm/lobby.h"

struct counts {
    _Atomic uint64_t operations, bins, announcements, cached, wakeups, thread_cpu_us;
    _Atomic uint64_t batches, negotiated;
};

/* Tags of the net: each set has some, and direct operations never meet named ones. */
enum {
    TAG_NAMED = 0,
    TAG_TRANSFER = 1,
    TAG_DIRECT = 2, /* of set 0 */
    TAG_CLOCK = 3,  /* of set 0 */
    TAGS_PER_SET = 8,
    SETS = 500
};

/* A process set as all ranks know it. */
struct set_list {
    int32_t id;
    int n;
    int *ranks;      /* global, ascending */
    struct set *set; /* NULL: this rank is no member */
    int removed;
    struct set_list *older; /* all there ever were */
};

/* A message for a set that this rank does not know yet. */
struct early {
    struct early *next;
    int from;
    void *message;
    size_t bytes;
};

struct coordinator {
    struct net *net;
    struct arena *arena;
    const struct settings *settings;
    const struct log *log;
    struct tuner tuner;
    struct handles handles;
    struct counts counts;
    struct lobby lobby;
    struct bell *bell; /* this rank's, rung by peers and by completions */

    _Atomic uint32_t token;       /* 1: taken */
    _Atomic uint32_t missed;      /* 1: somebody wanted the token meanwhile */
    _Atomic uint32_t callers;     /* that wait */
    _Atomic uint32_t put_off;     /* 1: the thread has left to them what it was rung for */
    _Atomic uint32_t outstanding; /* operations submitted and not done */
    _Atomic uint32_t stopping;    /* the thread shall end */
    _Atomic uint32_t leads;       /* as a leader it has something to see to */
    _Atomic uint32_t polls;       /* other nodes write to it: it leads a set of several nodes */
    _Atomic int64_t heard_ns;     /* when they last have */
    _Atomic int64_t sent_ns;      /* when this rank was last found to have sent something */
    pthread_t thread;
    int has_thread;
    struct patience patience;                    /* of callers that wait ... */
    _Atomic int64_t spin_now_ns, spin_before_ns; /* ... and what they have learned */

    /* process sets (sets.c) */
    _Atomic(struct set_list *) list[SETS]; /* by slot; set 0 in slot 0 */
    struct set_list *lists;                /* all, for freeing */
    int32_t next_id;
    enum gathering gathering; /* the last call for which ranks meet ... */
    uint32_t gatherings;      /* ... and how many there were (gathering.c) */

    /* the driver's */
    struct set *set[SETS]; /* those of which this rank is a member */
    int sets;
    struct watch watch;
    _Atomic(struct timeline *) timeline; /* NULL: nothing is recorded; any thread may look for it */
    uint64_t lamport;
    int told;        /* of a fatal error by another node: need not tell */
    int64_t nap_ns;  /* how long the driver may sleep unrung; 0: no limit */
    int64_t ping_ns; /* when to remind the leaders of what waits here */
    int64_t looked_ns;
    int64_t nudged_ns; /* when the network was last called for what it may hold back */
    uint64_t sent;     /* bytes that had been sent by sent_ns */
    struct early *early;
    _Atomic int32_t
        fatal; /* the first fatal error; 0: none. Stored when all is completed with it */
};

/* Collective over the net. */
int32_t ronde__coordinator_open(struct coordinator **coordinator, struct net *net,
                                struct arena *arena, const struct settings *settings,
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

/* After a submission that nobody is going to wait for at once. */
void ronde__coordinator_wake(struct coordinator *coordinator);
/* Waits until the request (NULL: all) is done: RONDE_OK, or RONDE_PENDING at deadline_ns (0:
 * never). */
int32_t ronde__coordinator_wait(struct coordinator *coordinator, const struct request *request,
                                int64_t deadline_ns);
/* In caller mode, one step of progress. */
void ronde__coordinator_poke(struct coordinator *coordinator);

/* Any thread. The timeline begins to be recorded (NULL: ends). Returns what nobody records in from
 * here: the one before, or, where there is one and shall be another, that. */
struct timeline *ronde__coordinator_swap_timeline(struct coordinator *coordinator,
                                                  struct timeline *timeline);

/* ---- process sets (sets.c) ------------------------------------------------------------------- */

/* NULL where there is none of that number. Any thread. */
const struct set_list *ronde__sets_find(const struct coordinator *coordinator, int32_t id);
/* Collective over all ranks, blocking, as ronde_process_set_add, _split, _remove. */
int32_t ronde__sets_add(struct coordinator *coordinator, const int32_t *ranks, int32_t n,
                        int32_t *id);
/* Sets of the ranks that pass the same list; n 0: none, *id -1. */
int32_t ronde__sets_split(struct coordinator *coordinator, const int32_t *ranks, int32_t n,
                          int32_t *id);
int32_t ronde__sets_remove(struct coordinator *coordinator, int32_t id);
/* The setting: "0,1/2-3". */
int32_t ronde__sets_add_text(struct coordinator *coordinator, const char *text);
/* Reads the next list of the setting into ranks (room for size + 1), and moves *text on; pure. */
int32_t ronde__sets_read_list(const char **text, int size, int32_t *ranks, int32_t *n);
/* That all of the setting can be read; label is how messages call it ("RONDE_PROCESS_SETS"). */
int32_t ronde__sets_check_text(const char *text, int size, const char *label);
/* Before the coordinator is stopped, opens set 0; and closes all. */
int32_t ronde__sets_open(struct coordinator *coordinator);
void ronde__sets_close(struct coordinator *coordinator);

/* Blocking, collective over all ranks: `bytes` of each to all, in order of rank; malloc'd. bytes_of
 * (NULL, or [size]) receives each rank's. One at a time. RONDE_ERR_MISMATCH where ranks meet for different
 * calls. RONDE_ERR_STALLED, after stall_abort, never of a part or of opening (gathering.c). */
int32_t ronde__coordinator_gather(struct coordinator *coordinator, enum gathering what,
                                  const void *mine, size_t bytes, void **all, size_t *bytes_of);

/* ---- inside the room ------------------------------------------------------------------------- */

/* Steps everything once if nobody else does (drive.c). RONDE__IDLE or RONDE__MOVED; then *nap_ns is
 * how long to sleep at most. */
int32_t ronde__coordinator_step(struct coordinator *coordinator, int64_t *nap_ns);
/* How long the thread may sleep with nothing to do: for ever (0), or, where other nodes may write to
 * this rank, until it looks for messages; more often while they have written lately. Any thread. */
int64_t ronde__coordinator_idle_nap_ns(const struct coordinator *coordinator);
/* A caller leaves, and may have sent something since net->bytes_sent was `before`: the thread, where it
 * sleeps long, is to see that all of it goes out. Any thread. */
void ronde__coordinator_has_sent(struct coordinator *coordinator, uint64_t before);
/* Must somebody go on stepping, as of the last step? */
int ronde__coordinator_has_business(const struct coordinator *coordinator);
/* The thread's main function (wait.c); its argument is the coordinator. */
void *ronde__coordinator_thread(void *coordinator);
/* After a set was made: the messages for it that came before. The token is held. */
int32_t ronde__coordinator_take_early(struct coordinator *coordinator);
/* The token, to be held for a moment; waits for it. */
void ronde__coordinator_take(struct coordinator *coordinator);
void ronde__coordinator_release(struct coordinator *coordinator);

#endif
