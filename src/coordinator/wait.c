/* Who drives: the coordinator thread while no caller waits, and callers that wait. */
#include <time.h>

#include "base/clock.h"
#include "coordinator/coordinator.h"
#include "ronde.h"

/* ---- the thread ------------------------------------------------------------------------------ */

struct thread_view {
    struct coordinator *c;
    struct patience patience;
};

/* Wakes up when there is work that no caller does. */
static int32_t idle_step(void *state)
{
    struct thread_view *view = state;
    struct coordinator *c = view->c;
    int64_t nap_ns;
    if (atomic_load(&c->stopping))
        return RONDE__DONE;
    if (!atomic_load(&c->callers))
        ronde__coordinator_step(c, &nap_ns);
    /* Callers do what this rank was rung for; the last of them to leave rings again, since what it was
     * may have come after their last look. */
    if (atomic_load(&c->callers)) {
        atomic_store(&c->put_off, 1);
        if (atomic_load(&c->callers))
            return RONDE__IDLE;
        ronde__coordinator_step(c, &nap_ns);
    }
    view->patience.nap_ns = ronde__coordinator_idle_nap_ns(c);
    return ronde__coordinator_has_business(c) ? RONDE__DONE : RONDE__IDLE;
}

static int32_t drive_step(void *state)
{
    struct thread_view *view = state;
    struct coordinator *c = view->c;
    if (atomic_load(&c->stopping) || atomic_load(&c->callers))
        return RONDE__DONE;
    int32_t said = ronde__coordinator_step(c, &view->patience.nap_ns);
    if (said == RONDE__IDLE && !ronde__coordinator_has_business(c))
        return RONDE__DONE;
    return said;
}

static void nap(int64_t ns)
{
    const struct timespec time = {.tv_nsec = ns};
    nanosleep(&time, NULL);
}

/* Whoever has just submitted often waits next, and then does the work with one wake-up less; and who
 * goes on submitting makes larger bins if left alone. So the thread lets callers go first, for as long
 * as more keeps coming, but at most some twenty moments (which take twice their time). */
static void give_callers_a_moment(struct coordinator *c)
{
    enum { MOMENTS = 20, MOMENT_NS = 50000 };
    uint32_t before, now = atomic_load(&c->outstanding);
    for (int i = 0; i < MOMENTS && !atomic_load(&c->callers) && !atomic_load(&c->stopping); i++) {
        before = now;
        nap(MOMENT_NS);
        now = atomic_load(&c->outstanding);
        if (now <= before)
            break;
    }
}

/* Nothing is left to do, but more may come soon: to look for it a few times costs less than to be woken
 * by each submission, of which most callers wait for the result themselves. Ends with business, or
 * after some 2 ms in which nothing is done. */
static void linger(struct coordinator *c)
{
    enum { SHORTEST_NS = 50000, LONGEST_NS = 200000, CALLERS_NS = 1000000, QUIET_NS = 2000000 };
    int64_t ns = SHORTEST_NS, nap_ns;
    uint64_t before = atomic_load_explicit(&c->counts.operations, memory_order_relaxed);
    for (int64_t quiet = 0; quiet < QUIET_NS && !atomic_load(&c->stopping);) {
        int64_t slept = atomic_load(&c->callers) ? CALLERS_NS : ns;
        nap(slept);
        int callers = atomic_load(&c->callers) > 0;
        if (!callers && !ronde__coordinator_has_business(c))
            ronde__coordinator_step(c, &nap_ns);
        if (!callers && ronde__coordinator_has_business(c))
            return;
        uint64_t now = atomic_load_explicit(&c->counts.operations, memory_order_relaxed);
        quiet = now != before ? 0 : quiet + slept;
        before = now;
        ns = 2 * ns < LONGEST_NS ? 2 * ns : LONGEST_NS;
    }
}

/* Work is there until a caller or its end takes it away. */
static void drive(struct coordinator *c)
{
    struct thread_view view = {.c = c};
    give_callers_a_moment(c);
    ronde__wait_for(c->bell, &view.patience, drive_step, &view);
    atomic_store_explicit(&c->counts.thread_cpu_us, (uint64_t)ronde__thread_cpu_ns() / 1000,
                          memory_order_relaxed);
}

void *ronde__coordinator_thread(void *state)
{
    struct coordinator *c = state;
    struct bell *idle = &c->lobby.of[c->net->local_rank].idle;
    while (!atomic_load(&c->stopping)) {
        struct thread_view view = {.c = c};
        view.patience.nap_ns = ronde__coordinator_idle_nap_ns(c);
        ronde__wait_for(idle, &view.patience, idle_step, &view);
        atomic_fetch_add_explicit(&c->counts.wakeups, 1, memory_order_relaxed);
        do {
            drive(c);
            linger(c);
        } while (!atomic_load(&c->stopping) && !atomic_load(&c->callers) &&
                 ronde__coordinator_has_business(c));
    }
    return NULL;
}

/* ---- callers --------------------------------------------------------------------------------- */

void ronde__coordinator_wake(struct coordinator *c)
{
    if (c->has_thread)
        ronde__bell_ring(&c->lobby.of[c->net->local_rank].idle);
    ronde__bell_ring(c->bell);
}

struct wait_view {
    struct coordinator *c;
    const struct request *request; /* NULL: all */
    struct patience patience;
};

static int is_done(const struct wait_view *view)
{
    /* pairs with the release in ronde__set_complete */
    if (view->request)
        return atomic_load_explicit(&view->request->state, memory_order_acquire) == REQUEST_DONE;
    return atomic_load(&view->c->outstanding) == 0;
}

static int32_t wait_step(void *state)
{
    struct wait_view *view = state;
    if (is_done(view))
        return RONDE__DONE;
    int32_t said = ronde__coordinator_step(view->c, &view->patience.nap_ns);
    return is_done(view) ? RONDE__DONE : said;
}

int32_t ronde__coordinator_wait(struct coordinator *c, const struct request *request,
                                int64_t deadline_ns)
{
    struct wait_view view = {c, request, c->patience};
    view.patience.deadline_ns = deadline_ns;
    view.patience.spin_now_ns = atomic_load_explicit(&c->spin_now_ns, memory_order_relaxed);
    view.patience.spin_before_ns = atomic_load_explicit(&c->spin_before_ns, memory_order_relaxed);
    if (is_done(&view))
        return RONDE_OK;
    struct lobby_rank *mine = &c->lobby.of[c->net->local_rank];
    uint64_t sent = atomic_load_explicit(&c->net->bytes_sent, memory_order_relaxed);
    atomic_fetch_add(&c->callers, 1);
    atomic_fetch_add_explicit(&mine->waiting, 1, memory_order_relaxed);
    int32_t said = ronde__wait_for(c->bell, &view.patience, wait_step, &view);
    atomic_store_explicit(&c->spin_now_ns, view.patience.spin_now_ns, memory_order_relaxed);
    atomic_store_explicit(&c->spin_before_ns, view.patience.spin_before_ns, memory_order_relaxed);
    atomic_fetch_sub_explicit(&mine->waiting, 1, memory_order_relaxed);
    int others = atomic_fetch_sub(&c->callers, 1) > 1;
    if (others) /* they may sleep by what was true before this one's last step */
        ronde__bell_ring(c->bell);
    else if (c->has_thread && (atomic_load(&c->outstanding) | atomic_exchange(&c->put_off, 0)))
        ronde__bell_ring(&mine->idle);
    else
        ronde__coordinator_has_sent(c, sent);
    return said == RONDE__DONE ? RONDE_OK : RONDE_PENDING;
}

void ronde__coordinator_poke(struct coordinator *c)
{
    int64_t nap_ns;
    if (!c->has_thread)
        ronde__coordinator_step(c, &nap_ns);
}
