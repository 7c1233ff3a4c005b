#include "base/bell.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "ronde.h"

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

/* Orders the publication before the look at `asleep`. The thread sanitizer does not know fences, so
 * there a read-modify-write of the word itself stands in, which costs the line. */
static inline void order_before_look(void)
{
#ifndef THREAD_SANITIZER
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline uint32_t look(struct bell *bell)
{
#ifdef THREAD_SANITIZER
    return atomic_fetch_or(&bell->asleep, 0);
#else
    return atomic_load_explicit(&bell->asleep, memory_order_relaxed);
#endif
}

static void wake(struct bell *bell)
{
    atomic_fetch_add(&bell->rings, 1);
    syscall(SYS_futex, &bell->rings, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void ronde__bell_ring(struct bell *bell)
{
    order_before_look();
    if (look(bell))
        wake(bell);
}

void ronde__bell_ring_others(struct bell *const *bells, int n, int me)
{
    order_before_look();
    for (int i = 0; i < n; i++)
        if (i != me && look(bells[i]))
            wake(bells[i]);
}

/* Sleeps until the bell was rung since `seen` was read, or for timeout_ns (0: no limit). */
static void sleep_on(struct bell *bell, uint32_t seen, int64_t timeout_ns)
{
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    syscall(SYS_futex, &bell->rings, FUTEX_WAIT, seen, timeout_ns > 0 ? &timeout : NULL, NULL, 0);
}

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* The time to sleep: the nap or what is left until the deadline, whichever is less; 0: no limit. */
static int64_t sleep_limit_ns(const struct patience *patience, int64_t now)
{
    int64_t limit = patience->nap_ns;
    if (patience->deadline_ns) {
        int64_t left = patience->deadline_ns - now;
        left = left > 1 ? left : 1;
        limit = limit && limit < left ? limit : left;
    }
    return limit;
}

/* Marks itself asleep, looks once more, sleeps. Returns what that look said. */
static int32_t sleep_unless_moved(struct bell *bell, const struct patience *patience,
                                  ronde__step_function *step, void *state)
{
    atomic_fetch_add(&bell->asleep, 1); /* pairs with the look in ring: see the header */
    order_before_look();
    uint32_t seen = atomic_load(&bell->rings);
    int32_t said = step(state);
    if (said == RONDE__IDLE)
        sleep_on(bell, seen, sleep_limit_ns(patience, ronde__now_ns()));
    atomic_fetch_sub(&bell->asleep, 1);
    return said;
}

enum { LEAST_SPIN_NS = 1000 }; /* a few hand-overs between free CPUs, a fraction of a futex's */

static void spinning_paid(struct patience *patience)
{
    int64_t twice = 2 * patience->spin_now_ns;
    patience->spin_now_ns = twice < patience->spin_ns ? twice : patience->spin_ns;
    patience->spin_before_ns = 0;
}

/* Now and then all the spinning that is allowed is tried, whatever has been learned: ranks that have
 * spun in vain for a while, say while one of them computed, would else keep each other asleep for ever,
 * since a sleep ends long after what it was for. */
static void spinning_was_in_vain(struct patience *patience, int64_t now)
{
    enum { ONE_OF = 8 };
    int64_t half = patience->spin_now_ns / 2;
    int64_t least = patience->spin_ns < LEAST_SPIN_NS ? patience->spin_ns : LEAST_SPIN_NS;
    int was_tried = patience->spin_now_ns == patience->spin_ns && patience->spin_before_ns;
    patience->spin_now_ns = was_tried ? patience->spin_before_ns : half > least ? half : least;
    patience->spin_before_ns = 0;
    if ((now >> 10) % ONE_OF == 0) {
        patience->spin_before_ns = patience->spin_now_ns;
        patience->spin_now_ns = patience->spin_ns;
    }
}

int32_t ronde__wait_for(struct bell *bell, struct patience *patience, ronde__step_function *step,
                        void *state)
{
    enum { STEPS_PER_CLOCK = 16 }; /* a clock costs some 25 ns, an idle step about as much */
    int64_t idle_since = 0;
    for (unsigned idle_steps = 0;;) {
        int32_t said = step(state);
        if (said != RONDE__IDLE) {
            if (idle_steps)
                spinning_paid(patience);
            if (said != RONDE__MOVED)
                return said;
            idle_steps = 0;
            idle_since = 0;
            continue;
        }
        if (patience->spin_now_ns > 0 && ++idle_steps % STEPS_PER_CLOCK) {
            if (patience->yields)
                sched_yield();
            else
                pause_cpu();
            continue;
        }
        int64_t now = ronde__now_ns();
        if (patience->deadline_ns && now >= patience->deadline_ns)
            return RONDE_PENDING;
        if (!idle_since)
            idle_since = now;
        if (now - idle_since < patience->spin_now_ns)
            continue;
        spinning_was_in_vain(patience, now);
        said = sleep_unless_moved(bell, patience, step, state);
        if (said < 0 || said == RONDE__DONE)
            return said;
        idle_steps = 0; /* awake: what comes next may come soon */
        idle_since = 0;
    }
}

struct patience ronde__patience(int ranks, double spin_us)
{
    /* 50 us: a few futex round trips (5 to 15 us each), so that a peer that is merely late by a
     * context switch is met awake and a peer that computes is not waited for by burning a CPU. */
    int64_t spin_ns = 50000;
    if (spin_us >= 0)
        spin_ns = (int64_t)(spin_us * 1000);
    return (struct patience){.spin_ns = spin_ns,
                             .spin_now_ns = spin_ns,
                             .yields = ranks > ronde__cpu_count_of_node()};
}
