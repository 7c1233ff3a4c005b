/* One step of everything, by whoever holds the token; and how all ends when a part fails. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

/* ---- the end --------------------------------------------------------------------------------- */

/* Tells the other nodes' leaders that this context is lost; by the leader, or where that is what was
 * lost, by any rank of its node. As far as it goes: this is the last thing said. */
static void tell_nodes(struct coordinator *c, int32_t status, const char *text)
{
    struct writer message = {0};
    const struct message_head head = {0};
    struct record fatal = ronde__record_error(0, NULL, 0, status, text);
    fatal.type = RECORD_FATAL;
    message.data = malloc(sizeof(head));
    if (!message.data)
        return;
    message.room = message.bytes = sizeof(head);
    memcpy(message.data, &head, sizeof(head));
    ronde__record_write(&message, &fatal);
    for (int node = 0; node < c->net->nodes && !message.failed; node++)
        if (node != c->net->node)
            ronde__net_post(c->net, ronde__net_rank_at(c->net, node, 0), message.data,
                            message.bytes);
    ronde__writer_free(&message);
}

/* The first fatal error: everything outstanding and everything to come ends with it, here, and by
 * what is told, on all ranks. */
static void end_with(struct coordinator *c, int32_t status)
{
    /* What others told names its rank already; so does the loss of one. */
    int named = status == RONDE_ERR_PEER || ronde__lobby_fatal(&c->lobby) || c->told;
    char *text = named ? ronde__text("%s", ronde_last_error())
                       : ronde__text("rank %d: %s", c->net->rank, ronde_last_error());
    const char *kept = text ? text : "no memory for the text";
    int leads = c->net->local_rank == 0;
    ronde__log(c->log, RONDE__LOG_ERROR, "%s", kept);
    ronde__lobby_tell_fatal(&c->lobby, status, kept);
    ronde__bell_ring_others(c->lobby.named, c->net->local_size, c->net->local_rank);
    if (c->net->nodes > 1 && (leads ? !c->told : ronde__watch_leader_is_lost(c)))
        tell_nodes(c, status, kept);
    for (int i = 0; i < c->sets; i++)
        ronde__queue_shut(&c->set[i]->queue, status, kept);
    for (int i = 0; i < c->sets; i++)
        ronde__set_end(c->set[i], 0, status, kept);
    ronde__fail_text(status, kept); /* telling may have failed, and left another text */
    free(text);
    atomic_store(&c->fatal, status);
}

/* ---- messages from other nodes --------------------------------------------------------------- */

static int32_t take_ours(struct coordinator *c, int from, const char *message, size_t bytes)
{
    size_t at = 0, n;
    const char *place;
    struct record record;
    if (!ronde__record_next(message, bytes, &at, &place, &n) ||
        !ronde__record_read(&record, place, n))
        return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from rank %d are no record", bytes, from);
    if (record.type == RECORD_PING || record.type == RECORD_PONG)
        return ronde__watch_take(c, from, &record);
    if (record.type == RECORD_FATAL) {
        c->told = 1;
        return ronde__fail(record.status < 0 ? record.status : RONDE_ERR_SYSTEM, "%.*s",
                           (int)record.text_bytes, record.text);
    }
    return RONDE_PENDING; /* set 0's own */
}

static struct set *set_of(struct coordinator *c, uint32_t id)
{
    for (int i = 0; i < c->sets; i++)
        if ((uint32_t)c->set[i]->id == id)
            return c->set[i];
    return NULL;
}

/* A set's first message may come before this rank knows that the set is made: it is kept. */
static int32_t keep_early(struct coordinator *c, int from, void *message, size_t bytes)
{
    struct early *early = calloc(1, sizeof(*early));
    if (!early) {
        free(message);
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a message of %zu bytes", bytes);
    }
    *early = (struct early){.from = from, .message = message, .bytes = bytes};
    struct early **last = &c->early;
    while (*last)
        last = &(*last)->next;
    *last = early;
    return RONDE_OK;
}

/* Takes the message over. */
static int32_t take_message(struct coordinator *c, int from, void *message, size_t bytes)
{
    struct message_head head;
    const char *records = (const char *)message + sizeof(head);
    int32_t status = RONDE_PENDING;
    int64_t now = ronde__now_ns();
    atomic_store_explicit(&c->heard_ns, now, memory_order_relaxed);
    ronde__watch_heard(c, from, now);
    if (bytes < sizeof(head)) {
        free(message);
        return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from rank %d are no message", bytes, from);
    }
    memcpy(&head, message, sizeof(head));
    struct set *set = set_of(c, head.set);
    if (!set && head.set >= (uint32_t)c->next_id)
        return keep_early(c, from, message, bytes);
    if (!head.set)
        status = take_ours(c, from, records, bytes - sizeof(head));
    if (status == RONDE_PENDING)
        status = set && set->leader ? ronde__leader_take(set->leader, ronde__set_rank_of(set, from),
                                                         records, bytes - sizeof(head))
                                    : RONDE_OK; /* of a set that was removed */
    free(message);
    return status;
}

int32_t ronde__coordinator_take_early(struct coordinator *c)
{
    struct early *all = c->early;
    int32_t status = RONDE_OK;
    c->early = NULL;
    for (struct early *early = all, *next; early; early = next) {
        next = early->next;
        if (status)
            free(early->message);
        else
            status = take_message(c, early->from, early->message, early->bytes);
        free(early);
    }
    return status;
}

static int32_t poll_net(struct coordinator *c)
{
    int32_t said = RONDE__IDLE;
    for (;;) {
        int from;
        void *message = NULL;
        size_t bytes;
        int32_t status = ronde__net_poll(c->net, &from, &message, &bytes);
        if (status || !message)
            return status ? status : said;
        status = take_message(c, from, message, bytes);
        if (status)
            return status;
        said = RONDE__MOVED;
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

static void nap_at_most(struct coordinator *c, int64_t ns)
{
    if (ns && (!c->nap_ns || ns < c->nap_ns))
        c->nap_ns = ns;
}

static int is_busy(const struct coordinator *c)
{
    for (int i = 0; i < c->sets; i++)
        if (c->set[i]->leader && ronde__leader_is_busy(c->set[i]->leader))
            return 1;
    return 0;
}

/* How long the driver may sleep if nothing rings. */
static void choose_nap(struct coordinator *c)
{
    enum { STALL_NS = 50000000 };
    c->nap_ns = 0;
    for (int i = 0; i < c->sets; i++)
        nap_at_most(c, ronde__set_nap_ns(c->set[i]));
    if (atomic_load(&c->outstanding) > 0 || is_busy(c))
        nap_at_most(c, STALL_NS);
}

/* The leader of a node may have nothing outstanding and sleep, while this rank's tensor waits
 * for just that rank. So now and then, whoever waits rings it awake, to look after stalls. */
static void ping_leaders(struct coordinator *c, int64_t now)
{
    enum { PING_NS = 250000000 };
    if (c->net->local_size == 1 || !atomic_load(&c->outstanding))
        return;
    if (!c->ping_ns) {
        c->ping_ns = now + PING_NS;
    } else if (now > c->ping_ns) {
        c->ping_ns = now + PING_NS;
        for (int i = 0; i < c->sets; i++)
            if (!c->set[i]->leader)
                ronde__bell_ring(&c->lobby.of[c->set[i]->lobby_ranks[0]].idle);
        ronde__bell_ring(&c->lobby.of[0].idle);
    }
}

static int32_t step_parts(struct coordinator *c)
{
    int32_t said = RONDE__IDLE;
    if (c->net->nodes > 1 && atomic_load_explicit(&c->polls, memory_order_relaxed))
        said = poll_net(c);
    for (int i = 0; i < c->sets && said >= 0; i++)
        said = ronde__both(said, ronde__set_step(c->set[i]));
    return said;
}

/* MPI may call a message sent while it still holds some of it, for a connection that was busy; it
 * goes on only where this process calls it (Open MPI 4.1 over TCP: a rank that slept after its send
 * left the receiver waiting for good). So a rank that has sent calls it now and then. Leaders
 * do, for what comes. */
static int64_t nudge_period_ns(const struct coordinator *c, int64_t now)
{
    enum { JUST_NS = 20000000, LATELY_NS = 1000000000 };
    enum { AT_ONCE_NS = 1000000, OFTEN_NS = 10000000, SELDOM_NS = 500000000 };
    int64_t age = now - atomic_load_explicit(&c->sent_ns, memory_order_relaxed);
    return age < JUST_NS ? AT_ONCE_NS : age < LATELY_NS ? OFTEN_NS : SELDOM_NS;
}

static int32_t nudge_net(struct coordinator *c)
{
    if (c->net->nodes == 1)
        return RONDE__IDLE;
    int64_t now = ronde__now_ns();
    uint64_t sent = atomic_load_explicit(&c->net->bytes_sent, memory_order_relaxed);
    if (sent != c->sent) {
        c->sent = sent;
        atomic_store_explicit(&c->sent_ns, now, memory_order_relaxed);
    }
    int64_t period = nudge_period_ns(c, now);
    nap_at_most(c, period);
    if (now - c->nudged_ns < period || atomic_load_explicit(&c->polls, memory_order_relaxed))
        return RONDE__IDLE;
    c->nudged_ns = now;
    return poll_net(c);
}

/* One step of everything; the token is held. RONDE__IDLE or RONDE__MOVED. */
static int32_t step(struct coordinator *c)
{
    if (atomic_load_explicit(&c->fatal, memory_order_relaxed))
        return RONDE__IDLE;
    _Atomic uint64_t *beats = &c->lobby.of[c->net->local_rank].beats;
    atomic_store_explicit(beats, atomic_load_explicit(beats, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    int32_t said = step_parts(c);
    if (said == RONDE__IDLE) {
        choose_nap(c);
        said = nudge_net(c);
    }
    if (said == RONDE__IDLE) {
        if (atomic_load(&c->outstanding) || (c->net->local_rank == 0 && c->net->nodes > 1) ||
            c->watch.watching) {
            int64_t now = ronde__now_ns();
            ping_leaders(c, now);
            said = ronde__lobby_trouble(&c->lobby, &c->looked_ns);
            if (!said)
                said = ronde__watch_look(c, now);
        }
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

void ronde__coordinator_take(struct coordinator *c)
{
    while (!take_token(c))
        sched_yield();
}

void ronde__coordinator_release(struct coordinator *c)
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
    int leads = !atomic_load(&c->fatal) && is_busy(c);
    atomic_store_explicit(&c->leads, (uint32_t)leads, memory_order_relaxed);
    ronde__coordinator_release(c);
    return said;
}

int64_t ronde__coordinator_idle_nap_ns(const struct coordinator *c)
{
    enum { LATELY_NS = 1000000000, OFTEN_NS = 2000000, SELDOM_NS = 500000000 };
    if (c->net->nodes == 1)
        return 0;
    int64_t now = ronde__now_ns(), nudge = nudge_period_ns(c, now);
    if (!atomic_load_explicit(&c->polls, memory_order_relaxed))
        return nudge;
    int64_t heard = atomic_load_explicit(&c->heard_ns, memory_order_relaxed);
    int64_t listen = heard && now - heard < LATELY_NS ? OFTEN_NS : SELDOM_NS;
    return nudge < listen ? nudge : listen;
}

void ronde__coordinator_has_sent(struct coordinator *c, uint64_t before)
{
    enum { JUST_NS = 10000000 }; /* the thread looks every millisecond still */
    uint64_t sent = atomic_load_explicit(&c->net->bytes_sent, memory_order_relaxed);
    if (c->net->nodes == 1 || !c->has_thread || sent == before)
        return;
    if (ronde__now_ns() - atomic_load_explicit(&c->sent_ns, memory_order_relaxed) > JUST_NS)
        ronde__bell_ring(&c->lobby.of[c->net->local_rank].idle);
}

int ronde__coordinator_has_business(const struct coordinator *c)
{
    return atomic_load_explicit(&c->leads, memory_order_relaxed) ||
           atomic_load(&c->outstanding) > 0;
}

struct timeline *ronde__coordinator_swap_timeline(struct coordinator *c, struct timeline *timeline)
{
    ronde__coordinator_take(c);
    struct timeline *before = c->timeline;
    if (before && timeline) {
        ronde__coordinator_release(c);
        return timeline;
    }
    c->timeline = timeline;
    for (int i = 0; i < c->sets; i++)
        ronde__communicator_trace(&c->set[i]->communicator, timeline);
    ronde__coordinator_release(c);
    return before;
}
