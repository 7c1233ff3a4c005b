/* Opening and closing, and the step that drives everything. */
#include "coordinator/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/status.h"

/* A pair of tags of the net: named and direct operations never meet. */
enum { TAG_NAMED = 1 };

/* ---- completing ------------------------------------------------------------------------------ */

void ronde__coordinator_complete(struct coordinator *c, struct request *request, int32_t status,
                                 const char *text)
{
    ronde__queue_finish(&c->queue, request);
    request->status = status;
    request->text = status ? strdup(text) : NULL;
    atomic_fetch_add_explicit(&c->counts.operations, 1, memory_order_relaxed);
    /* pairs with the acquire in is_done: the result is there */
    atomic_store_explicit(&request->state, REQUEST_DONE, memory_order_release);
    atomic_fetch_sub(&c->outstanding, 1);
    ronde__bell_ring(c->bell);
}

/* The first fatal error: everything outstanding and everything to come ends with it, here, and by
 * what is told, on all ranks. */
static void end_with(struct coordinator *c, int32_t status)
{
    char *text = ronde__link_fatal(&c->link) ? ronde__text("%s", ronde_last_error())
                                             : ronde__text("rank %d: %s", c->net->rank,
                                                           ronde_last_error());
    const char *kept = text ? text : "no memory for the text";
    ronde__log(c->log, RONDE__LOG_ERROR, "%s", kept);
    ronde__link_tell_fatal(&c->link, status, kept);
    ronde__bell_ring_others(c->communicator.node.slots.bells, c->net->local_size,
                            c->net->local_rank);
    if (c->leader)
        ronde__leader_tell_fatal(c->leader, status, kept);
    ronde__queue_shut(&c->queue, status, kept);
    c->to_announce = c->bins = c->bins_last = c->running = NULL;
    c->whole_bins = 0;
    for (struct request *r; (r = ronde__queue_any(&c->queue));)
        ronde__coordinator_complete(c, r, status, kept);
    free(text);
    atomic_store(&c->fatal, status);
}

/* ---- the step -------------------------------------------------------------------------------- */

static void nap_at_most(struct coordinator *c, int64_t ns)
{
    if (!c->nap_ns || ns < c->nap_ns)
        c->nap_ns = ns;
}

/* How long the driver may sleep if nothing rings: MPI rings no bell, and stalls have clocks. */
static void choose_nap(struct coordinator *c)
{
    enum { WIRE_NS = 50000, NEGOTIATION_NS = 100000, STALL_NS = 100000000 };
    c->nap_ns = 0;
    int waits = atomic_load(&c->outstanding) > 0;
    if (c->communicator.on_wire && c->running)
        nap_at_most(c, WIRE_NS);
    if (c->leader && c->leader->nap_ns)
        nap_at_most(c, c->leader->nap_ns);
    if (c->leader && c->net->nodes > 1 && waits && !c->running)
        nap_at_most(c, NEGOTIATION_NS);
    if (waits || (c->leader && ronde__leader_is_busy(c->leader)))
        nap_at_most(c, STALL_NS);
}

/* The leader of a node may have nothing outstanding and sleep, while this rank's tensor waits for just
 * that rank. So now and then, whoever waits rings it awake, to look after stalls. */
static void ping_leader(struct coordinator *c)
{
    enum { PING_NS = 250000000 };
    if (c->leader || !atomic_load(&c->outstanding))
        return;
    int64_t now = ronde__now_ns();
    if (!c->ping_ns) {
        c->ping_ns = now + PING_NS;
    } else if (now > c->ping_ns) {
        c->ping_ns = now + PING_NS;
        ronde__bell_ring(&c->link.of[0].idle);
    }
}

static int32_t step_parts(struct coordinator *c)
{
    int32_t said = ronde__coordinator_announce(c);
    int32_t more = said < 0 || !c->leader ? 0 : ronde__leader_step(c->leader);
    said = more < 0 ? more : said | more;
    more = said < 0 ? 0 : ronde__coordinator_follow(c);
    said = more < 0 ? more : said | more;
    more = said < 0 ? 0 : ronde__coordinator_run(c);
    return more < 0 ? more : said | more;
}

/* One step of everything; the token is held. RONDE__IDLE or RONDE__MOVED. */
static int32_t step(struct coordinator *c)
{
    if (atomic_load_explicit(&c->fatal, memory_order_relaxed))
        return RONDE__IDLE;
    int32_t said = step_parts(c);
    if (said == RONDE__IDLE) {
        choose_nap(c);
        ping_leader(c);
        if (atomic_load(&c->outstanding))
            said = ronde__link_trouble(&c->link, &c->communicator);
    } else {
        c->ping_ns = 0;
    }
    if (said < 0)
        end_with(c, said);
    return said ? RONDE__MOVED : RONDE__IDLE;
}

/* Takes the token, or leaves word that it was wanted: who holds it then rings at its release. */
static int take_token(struct coordinator *c)
{
    if (!atomic_exchange(&c->token, 1))
        return 1;
    atomic_store(&c->missed, 1);
    return !atomic_exchange(&c->token, 1);
}

static void release_token(struct coordinator *c)
{
    atomic_store(&c->token, 0);
    if (atomic_load(&c->missed) && atomic_exchange(&c->missed, 0))
        ronde__bell_ring(c->bell);
}

/* Steps if nobody else does; then *nap_ns is how long to sleep at most. */
static int32_t step_with_token(struct coordinator *c, int64_t *nap_ns)
{
    if (!take_token(c))
        return RONDE__IDLE;
    int32_t said = step(c);
    *nap_ns = c->nap_ns;
    release_token(c);
    return said;
}

/* ---- the thread ------------------------------------------------------------------------------ */

struct thread_view {
    struct coordinator *c;
    struct patience patience;
};

static int has_business(struct coordinator *c, int64_t *nap_ns)
{
    if (!take_token(c))
        return 1;
    step(c);
    *nap_ns = c->nap_ns;
    int leads = c->leader && !atomic_load(&c->fatal) && ronde__leader_is_busy(c->leader);
    release_token(c);
    return leads || atomic_load(&c->outstanding) > 0;
}

/* Wakes up when there is work that no caller does. */
static int32_t idle_step(void *state)
{
    struct thread_view *view = state;
    struct coordinator *c = view->c;
    int64_t nap_ns;
    if (atomic_load(&c->stopping))
        return RONDE__DONE;
    if (atomic_load(&c->callers))
        return RONDE__IDLE;
    return has_business(c, &nap_ns) ? RONDE__DONE : RONDE__IDLE;
}

static int32_t drive_step(void *state)
{
    struct thread_view *view = state;
    struct coordinator *c = view->c;
    if (atomic_load(&c->stopping) || atomic_load(&c->callers))
        return RONDE__DONE;
    int32_t said = step_with_token(c, &view->patience.nap_ns);
    if (said == RONDE__IDLE && !has_business(c, &view->patience.nap_ns))
        return RONDE__DONE;
    return said;
}

/* Whoever has just submitted often waits next, and then does the work with one wake-up less. */
static void give_callers_a_moment(void)
{
    const struct timespec moment = {.tv_nsec = 50000};
    nanosleep(&moment, NULL);
}

static void *thread_main(void *state)
{
    struct coordinator *c = state;
    struct bell *idle = &c->link.of[c->net->local_rank].idle;
    /* A leader of one of several nodes looks for messages now and then, to report stalls. */
    enum { IDLE_NAP_NS = 500000000 };
    int64_t idle_nap_ns = c->leader && c->net->nodes > 1 ? IDLE_NAP_NS : 0;
    while (!atomic_load(&c->stopping)) {
        struct thread_view view = {.c = c, .patience = {.nap_ns = idle_nap_ns}};
        ronde__wait_for(idle, &view.patience, idle_step, &view);
        atomic_fetch_add_explicit(&c->counts.wakeups, 1, memory_order_relaxed);
        give_callers_a_moment();
        view.patience = (struct patience){.spin_ns = 0};
        ronde__wait_for(c->bell, &view.patience, drive_step, &view);
        atomic_store_explicit(&c->counts.thread_cpu_us,
                              (uint64_t)ronde__thread_cpu_ns() / 1000, memory_order_relaxed);
    }
    return NULL;
}

/* ---- callers --------------------------------------------------------------------------------- */

int32_t ronde__coordinator_submit(struct coordinator *c, const char *name, uint64_t unnamed_number,
                                  struct request *request)
{
    char drawn[48];
    if (!name)
        snprintf(drawn, sizeof(drawn), "%s#%llu",
                 ronde__kind_name((enum kind)request->signature.kind),
                 (unsigned long long)unnamed_number);
    atomic_fetch_add(&c->outstanding, 1);
    int32_t status = ronde__queue_submit(&c->queue, name ? name : drawn, !name, request);
    if (status)
        atomic_fetch_sub(&c->outstanding, 1);
    return status;
}

void ronde__coordinator_wake(struct coordinator *c)
{
    if (!c->has_thread)
        return;
    ronde__bell_ring(&c->link.of[c->net->local_rank].idle);
    ronde__bell_ring(c->bell);
}

struct wait_view {
    struct coordinator *c;
    const struct request *request; /* NULL: all */
    struct patience patience;
};

static int is_done(const struct wait_view *view)
{
    /* pairs with the release in ronde__coordinator_complete */
    if (view->request)
        return atomic_load_explicit(&view->request->state, memory_order_acquire) == REQUEST_DONE;
    return atomic_load(&view->c->outstanding) == 0;
}

static int32_t wait_step(void *state)
{
    struct wait_view *view = state;
    if (is_done(view))
        return RONDE__DONE;
    int32_t said = step_with_token(view->c, &view->patience.nap_ns);
    return is_done(view) ? RONDE__DONE : said;
}

int32_t ronde__coordinator_wait(struct coordinator *c, const struct request *request,
                                int64_t deadline_ns)
{
    struct wait_view view = {c, request, c->patience};
    view.patience.deadline_ns = deadline_ns;
    view.patience.spin_now_ns = atomic_load_explicit(&c->spin_now_ns, memory_order_relaxed);
    if (is_done(&view))
        return RONDE_OK;
    struct link_rank *mine = &c->link.of[c->net->local_rank];
    atomic_fetch_add(&c->callers, 1);
    atomic_fetch_add_explicit(&mine->waiting, 1, memory_order_relaxed);
    int32_t said = ronde__wait_for(c->bell, &view.patience, wait_step, &view);
    atomic_store_explicit(&c->spin_now_ns, view.patience.spin_now_ns, memory_order_relaxed);
    atomic_fetch_sub_explicit(&mine->waiting, 1, memory_order_relaxed);
    int others = atomic_fetch_sub(&c->callers, 1) > 1;
    if (others) /* they may sleep by what was true before this one's last step */
        ronde__bell_ring(c->bell);
    else if (atomic_load(&c->outstanding) && c->has_thread)
        ronde__bell_ring(&mine->idle);
    return said == RONDE__DONE ? RONDE_OK : RONDE_PENDING;
}


void ronde__coordinator_poke(struct coordinator *c)
{
    int64_t nap_ns;
    if (!c->has_thread)
        step_with_token(c, &nap_ns);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int32_t start_thread(struct coordinator *c)
{
    int wanted = c->settings->progress != RONDE__PROGRESS_CALLER;
    if (c->net->nodes > 1 && !c->net->background) {
        if (c->settings->progress == RONDE__PROGRESS_THREAD)
            return ronde__fail(RONDE_ERR_THREADS,
                               "progress=thread over several nodes needs MPI_THREAD_MULTIPLE: "
                               "initialise MPI with it, or set progress to auto or caller");
        wanted = 0;
    }
    if (!wanted)
        return RONDE_OK;
    int error = pthread_create(&c->thread, NULL, thread_main, c);
    if (error)
        return ronde__fail(RONDE_ERR_SYSTEM, "starting the coordinator thread: %s",
                           strerror(error));
    c->has_thread = 1;
    return RONDE_OK;
}

static int32_t open_leader(struct coordinator *c)
{
    if (c->net->local_rank != 0)
        return RONDE_OK;
    c->leader = calloc(1, sizeof(*c->leader));
    if (!c->leader)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the node's leader");
    return ronde__leader_open(c->leader, c->net, &c->link, c->communicator.node.slots.bells,
                              c->settings, c->log, &c->select);
}

int32_t ronde__coordinator_open(struct coordinator **coordinator, struct net *net,
                                const struct arena *arena, const struct settings *settings,
                                const struct log *log)
{
    struct coordinator *c = calloc(1, sizeof(*c));
    if (!c)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a coordinator");
    c->net = net;
    c->settings = settings;
    c->log = log;
    ronde__handles_open(&c->handles);
    int32_t status = ronde__communicator_open(&c->communicator, net, arena, settings, TAG_NAMED);
    if (status)
        goto free_memory;
    status = ronde__link_open(&c->link, net);
    if (status)
        goto close_communicator;
    c->bell = ronde__communicator_bell(&c->communicator);
    c->patience = ronde__patience(net->local_size, settings->spin_us);
    atomic_store(&c->spin_now_ns, c->patience.spin_ns);
    status = ronde__select_read(&c->select, settings->allreduce);
    if (!status)
        status = ronde__queue_open(&c->queue);
    c->bytes_of = calloc((size_t)net->size, sizeof(*c->bytes_of));
    if (!status && !c->bytes_of)
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory for the rows of %d ranks", net->size);
    if (!status)
        status = open_leader(c);
    if (!status)
        status = start_thread(c);
    if (status) {
        ronde__coordinator_close(c);
        return status;
    }
    *coordinator = c;
    return RONDE_OK;

close_communicator:
    ronde__communicator_close(&c->communicator);
free_memory:
    ronde__handles_close(&c->handles);
    free(c);
    return status;
}

void ronde__coordinator_drain(struct coordinator *c)
{
    ronde__queue_shut(&c->queue, RONDE_ERR_CLOSED, "the context is closing");
    ronde__coordinator_wait(c, NULL, 0);
}

void ronde__coordinator_stop(struct coordinator *c)
{
    if (!c->has_thread)
        return;
    atomic_store(&c->stopping, 1);
    ronde__coordinator_wake(c);
    pthread_join(c->thread, NULL);
    c->has_thread = 0;
}

void ronde__coordinator_close(struct coordinator *c)
{
    if (c->leader)
        ronde__leader_close(c->leader);
    free(c->leader);
    ronde__writer_free(&c->record);
    free(c->pieces);
    free(c->bytes_of);
    free(c->gather_copy);
    free(c->gather_out);
    ronde__queue_close(&c->queue);
    ronde__handles_close(&c->handles);
    ronde__link_close(&c->link, c->net);
    ronde__communicator_close(&c->communicator);
    free(c);
}
