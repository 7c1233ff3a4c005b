/* What the other nodes' clocks show. Each leader asks its parent in the tree of nodes, which knows
 * its own against node 0's; offsets and errors add up along the way.
 *
 *   asked     word[0]  by the asker's clock     there = word[1] - word[0] = offset + way there
 *   heard     word[1]  by the answerer's        back  = word[2] - now     = offset - way back
 *   answered  word[2]
 *   now                by the asker's           offset = (there + back) / 2, within half the ways
 *
 * and word[3], word[4]: the answerer's own offset and error. */
#include <sched.h>
#include <time.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

enum {
    OPENING_QUESTIONS = 8, /* the quickest of them counts */
    QUESTIONS = 4,
    AGAIN_NS = 1000000000,
    DRIFT = 20000 /* of 1 ns in so many, 50 ppm: worse than quartz gets at one temperature */
};

static int64_t aged(int64_t error_ns, int64_t measured_ns, int64_t now)
{
    if (!measured_ns || error_ns == INT64_MAX)
        return error_ns;
    return error_ns + (now - measured_ns) / DRIFT;
}

static void publish(struct coordinator *c)
{
    const struct watch *w = &c->watch;
    ronde__lobby_set_clock(&c->lobby, w->offset_ns, w->error_ns, w->measured_ns);
    if (c->timeline)
        ronde__watch_tell_clock(c);
}

/* 1 where this is better than what was known, which is then replaced. */
static int learn(struct watch *w, const int64_t word[PONG_WORDS], int64_t now)
{
    int64_t there = word[1] - word[0], back = word[2] - now;
    int64_t ways = (now - word[0]) - (word[2] - word[1]);
    int64_t error = ways / 2 + 1 + word[4];
    if (word[4] == INT64_MAX || error > aged(w->error_ns, w->measured_ns, now))
        return 0;
    w->offset_ns = (there + back) / 2 + word[3];
    w->error_ns = error;
    w->measured_ns = now;
    return 1;
}

void ronde__watch_learn_clock(struct coordinator *c, const int64_t word[PONG_WORDS], int64_t now)
{
    c->watch.ask_again_ns = now;
    if (learn(&c->watch, word, now))
        publish(c);
}

void ronde__watch_answer(const struct coordinator *c, int64_t asked_ns, int64_t heard_ns,
                         int64_t word[PONG_WORDS])
{
    const struct watch *w = &c->watch;
    word[0] = asked_ns;
    word[1] = heard_ns;
    word[2] = ronde__now_ns();
    word[3] = w->offset_ns;
    word[4] = aged(w->error_ns, w->measured_ns, word[2]);
}

int32_t ronde__watch_ask_clock(struct coordinator *c, int64_t now)
{
    struct watch *w = &c->watch;
    _Atomic uint32_t *wanted = &c->lobby.clock->wanted;
    if (c->net->node == 0 || c->net->local_rank != 0)
        return RONDE_OK;
    if (atomic_load_explicit(wanted, memory_order_relaxed) && atomic_exchange(wanted, 0))
        w->asks = QUESTIONS;
    if (!w->asks || now < w->ask_again_ns)
        return RONDE_OK;
    const int64_t words[2] = {now, 0}; /* two: nobody waits */
    w->asks--;
    w->ask_again_ns = now + AGAIN_NS;
    return ronde__watch_post(c, w->neighbour[0], RECORD_PING, words, 2);
}

/* ---- for timelines --------------------------------------------------------------------------- */

void ronde__watch_read_clock(const struct coordinator *c, int64_t *offset_ns, int64_t *error_ns)
{
    int64_t measured_ns;
    *offset_ns = 0;
    *error_ns = INT64_MAX;
    if (ronde__lobby_read_clock(&c->lobby, offset_ns, error_ns, &measured_ns))
        *error_ns = aged(*error_ns, measured_ns, ronde__now_ns());
}

void ronde__watch_want_clock(struct coordinator *c)
{
    if (c->net->node == 0)
        return;
    atomic_store(&c->lobby.clock->wanted, 1);
    ronde__bell_ring(&c->lobby.of[0].idle);
}

void ronde__watch_tell_clock(struct coordinator *c)
{
    int64_t offset_ns, error_ns;
    uint32_t turn = atomic_load_explicit(&c->lobby.clock->turn, memory_order_relaxed);
    if (turn == c->watch.told_turn)
        return;
    c->watch.told_turn = turn;
    ronde__watch_read_clock(c, &offset_ns, &error_ns);
    ronde__timeline_set_clock(c->timeline, offset_ns, error_ns);
}

/* ---- when a context opens -------------------------------------------------------------------- */

static int32_t finish(struct net *net, struct net_request *request)
{
    int32_t status = RONDE_OK;
    for (int done = !request->state; !done && !status;) {
        status = ronde__net_test(net, request, &done);
        if (!done)
            sched_yield();
    }
    return status;
}

static int32_t send(struct net *net, const int64_t word[PONG_WORDS], int peer)
{
    struct net_request request = {0};
    int32_t status = ronde__net_send(net, word, PONG_WORDS * sizeof(*word), peer, TAG_CLOCK,
                                     &request);
    return status ? status : finish(net, &request);
}

static int32_t receive(struct net *net, int64_t word[PONG_WORDS], int peer)
{
    struct net_request request = {0};
    int32_t status = ronde__net_recv(net, word, PONG_WORDS * sizeof(*word), peer, TAG_CLOCK,
                                     &request);
    return status ? status : finish(net, &request);
}

/* Below the parent, above the children: first it asks, and when it knows, it answers. */
static int32_t ask_and_answer(struct coordinator *c)
{
    struct watch *w = &c->watch;
    int64_t word[PONG_WORDS] = {0};
    int32_t status = RONDE_OK;
    int has_parent = c->net->node > 0;
    for (int i = 0; i < OPENING_QUESTIONS && has_parent && !status; i++) {
        word[0] = ronde__now_ns();
        status = send(c->net, word, w->neighbour[0]);
        if (!status)
            status = receive(c->net, word, w->neighbour[0]);
        if (!status)
            learn(w, word, ronde__now_ns());
    }
    publish(c);
    for (int i = 0; i < OPENING_QUESTIONS * (w->neighbours - has_parent) && !status; i++) {
        int child = w->neighbour[has_parent + i / OPENING_QUESTIONS];
        status = receive(c->net, word, child);
        ronde__watch_answer(c, word[0], ronde__now_ns(), word);
        if (!status)
            status = send(c->net, word, child);
    }
    return status;
}

/* Until the leader has measured. */
static int32_t await_leader(struct coordinator *c)
{
    const struct timespec moment = {.tv_nsec = 20000};
    int64_t looked_ns = 0;
    int32_t status = RONDE_OK;
    while (!status && !atomic_load(&c->lobby.clock->turn)) {
        nanosleep(&moment, NULL);
        status = ronde__lobby_trouble(&c->lobby, &looked_ns);
    }
    return status;
}

int32_t ronde__watch_measure(struct coordinator *c)
{
    if (c->net->local_rank != 0)
        return await_leader(c);
    ronde__coordinator_take(c);
    int32_t status = ask_and_answer(c);
    ronde__coordinator_release(c);
    if (status)
        ronde__lobby_tell_fatal(&c->lobby, status, ronde_last_error());
    return status;
}
