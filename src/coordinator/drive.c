/* One step of everything, by whoever holds the token; and how all ends when a part fails. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

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
    /* What others told names its rank already; so does the loss of one. */
    int named = status == RONDE_ERR_PEER || ronde__link_fatal(&c->link) ||
                (c->leader && c->leader->told);
    char *text = named ? ronde__text("%s", ronde_last_error())
                       : ronde__text("rank %d: %s", c->net->rank, ronde_last_error());
    const char *kept = text ? text : "no memory for the text";
    ronde__log(c->log, RONDE__LOG_ERROR, "%s", kept);
    ronde__link_tell_fatal(&c->link, status, kept);
    ronde__bell_ring_others(c->communicator.node.slots.bells, c->net->local_size,
                            c->net->local_rank);
    if (c->leader ? !c->leader->told : !ronde__region_is_held(&c->communicator.region, 0))
        ronde__leader_tell_fatal(c->net, status, kept);
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
    enum { WIRE_NS = 50000, NEGOTIATION_NS = 100000, STALL_NS = 50000000 };
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

/* The leader of a node may have nothing outstanding and sleep, while this rank's tensor waits
 * for just that rank. So now and then, whoever waits rings it awake, to look after stalls. */
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
    /* Following comes first: what was decided before a request is announced is none of its
     * business. */
    int32_t said = ronde__coordinator_follow(c);
    if (said >= 0)
        said = ronde__both(said, ronde__coordinator_announce(c));
    if (said >= 0 && c->leader)
        said = ronde__both(said, ronde__leader_step(c->leader));
    if (said >= 0)
        said = ronde__both(said, ronde__coordinator_follow(c));
    if (said >= 0)
        said = ronde__both(said, ronde__coordinator_run(c));
    return said;
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
        if (atomic_load(&c->outstanding) || (c->leader && c->net->nodes > 1))
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

int32_t ronde__coordinator_step(struct coordinator *c, int64_t *nap_ns)
{
    if (!take_token(c))
        return RONDE__IDLE;
    int32_t said = step(c);
    *nap_ns = c->nap_ns;
    int leads = c->leader && !atomic_load(&c->fatal) && ronde__leader_is_busy(c->leader);
    atomic_store_explicit(&c->leads, (uint32_t)leads, memory_order_relaxed);
    release_token(c);
    return said;
}

int ronde__coordinator_has_business(const struct coordinator *c)
{
    return atomic_load_explicit(&c->leads, memory_order_relaxed) ||
           atomic_load(&c->outstanding) > 0;
}
