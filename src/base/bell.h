/* The one wait primitive: a bell that sleeps on a futex, and a loop that first spins, or yields,
 * a little.
 *
 * Whoever waits is a state machine with a step. Whoever changes what a step looks at publishes the
 * change with a release store and then rings the bell of each rank that may care. Ringing costs a
 * fence and a load while nobody sleeps. Bells live in shared memory (between ranks) or anywhere
 * (between threads). No wake-up is lost: a sleeper marks itself asleep before its last step, a
 * ringer publishes before it looks for the mark. */
#ifndef RONDE_BASE_BELL_H
#define RONDE_BASE_BELL_H

#include <stdatomic.h>
#include <stdint.h>

struct bell {
    _Atomic uint32_t rings;  /* the futex word */
    _Atomic uint32_t asleep; /* how many sleep, or are about to */
};

/* Wakes every sleeper of this bell. Any thread of any process that maps it. */
void ronde__bell_ring(struct bell *bell);

/* ronde__bell_ring for bells[0..n), except number `me`, with one fence for all. */
void ronde__bell_ring_others(struct bell *const *bells, int n, int me);

/* What a step reports. Negative: an error status. */
enum { RONDE__IDLE = 0, RONDE__MOVED = 1, RONDE__DONE = 2 };

/* What a step of two parts says, of which neither ends it: an error, else whether any moved. */
static inline int32_t ronde__both(int32_t said, int32_t more)
{
    return more < 0 ? more : said | more;
}

typedef int32_t ronde__step_function(void *state);

struct patience {
    int64_t spin_ns;     /* how long at most to step without progress before sleeping */
    int64_t spin_now_ns; /* how long it pays now: halved when spinning was in vain (the peer has no
                            CPU, or computes), doubled when it was not. Kept between waits where
                            the structure is. */
    int64_t spin_before_ns; /* what to go back to where spinning longer, as a trial, was in vain;
                               0: it is not tried */
    int yields;             /* 1: the CPU is given away between looks: ranks outnumber CPUs */
    int64_t nap_ns;         /* longest sleep, for what rings no bell (MPI); 0: until rung */
    int64_t deadline_ns;    /* ronde__now_ns at which to give up; 0: never */
};

/* Calls step until it returns DONE or an error, and returns that; RONDE_PENDING at the deadline.
 * Spins and sleeps on the bell in between. The step may change *patience. */
int32_t ronde__wait_for(struct bell *bell, struct patience *patience, ronde__step_function *step,
                        void *state);

/* The patience of a caller among `ranks` ranks of this node. spin_us < 0: chosen here. Where the
 * ranks outnumber the usable CPUs, the CPU is given away between two looks: whoever is waited for
 * may want it. */
struct patience ronde__patience(int ranks, double spin_us);

#endif
