#include "coordinator/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

enum { QUARTERS = 4, LEAST_LOOK_NS = 10000000 };

static void add_neighbour(struct watch *w, int rank)
{
    w->neighbour[w->neighbours++] = rank;
}

/* The tree of set 0's leaders. */
static void find_neighbours(struct watch *w, const struct net *net)
{
    int node = net->node;
    if (net->local_rank != 0)
        return;
    if (node > 0)
        add_neighbour(w, ronde__net_rank_at(net, (node - 1) / 2, 0));
    for (int child = 2 * node + 1; child <= 2 * node + 2 && child < net->nodes; child++)
        add_neighbour(w, ronde__net_rank_at(net, child, 0));
}

int32_t ronde__watch_open(struct watch *w, const struct coordinator *c)
{
    size_t local = (size_t)c->net->local_size;
    *w = (struct watch){.heartbeat_ns = (int64_t)(c->settings->heartbeat * 1e9)};
    w->beats = calloc(local, sizeof(*w->beats));
    w->changed_ns = calloc(local, sizeof(*w->changed_ns));
    if (!w->beats || !w->changed_ns)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to watch %zu ranks", local);
    find_neighbours(w, c->net);
    if (c->net->node > 0)
        w->error_ns = INT64_MAX;
    return RONDE_OK;
}

void ronde__watch_close(struct watch *w)
{
    free(w->beats);
    free(w->changed_ns);
}

/* ---- inside the node ------------------------------------------------------------------------- */

int ronde__watch_leader_is_lost(const struct coordinator *c)
{
    const struct watch *w = &c->watch;
    return !ronde__lobby_is_alive(&c->lobby, 0) ||
           (w->heartbeat_ns && w->watching && w->changed_ns[0] &&
            ronde__now_ns() - w->changed_ns[0] >= w->heartbeat_ns);
}

static int32_t lost(const struct coordinator *c, int rank, int64_t silent_ns)
{
    return ronde__fail(RONDE_ERR_PEER,
                       "rank %d is lost: it has not answered for %.1f s (stopped, stuck, or its "
                       "node is gone; the setting heartbeat is %.1f s); close the context",
                       rank, (double)silent_ns * 1e-9, (double)c->watch.heartbeat_ns * 1e-9);
}

static int32_t look_at_local(struct coordinator *c, int64_t now)
{
    struct watch *w = &c->watch;
    for (int local = 0; local < c->net->local_size; local++) {
        struct lobby_rank *rank = &c->lobby.of[local];
        uint64_t beats = atomic_load_explicit(&rank->beats, memory_order_relaxed);
        if (local == c->net->local_rank)
            continue;
        if (!w->changed_ns[local] || beats != w->beats[local]) {
            w->beats[local] = beats;
            w->changed_ns[local] = now;
            continue;
        }
        int64_t silent = now - w->changed_ns[local];
        /* Who cannot answer is only looked at; so its silence counts from when it can. */
        if (!atomic_load_explicit(&rank->answers, memory_order_relaxed))
            w->changed_ns[local] = now;
        else if (silent >= w->heartbeat_ns)
            return lost(c, ronde__net_rank_at(c->net, c->net->node, local), silent);
        else if (silent >= w->heartbeat_ns / QUARTERS)
            ronde__bell_ring(&rank->idle);
    }
    return RONDE_OK;
}

/* ---- between nodes --------------------------------------------------------------------------- */

int32_t ronde__watch_post(struct coordinator *c, int to, uint8_t type, const int64_t *words,
                          uint32_t n)
{
    struct writer message = {0};
    const struct message_head head = {0};
    const struct record record = {.type = type,
                                  .id = NO_ID,
                                  .rank = c->net->rank,
                                  .lamport = ++c->lamport,
                                  .rows = words,
                                  .row_words = n};
    message.data = malloc(sizeof(head) + 256);
    if (!message.data)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a heartbeat");
    message.room = sizeof(head) + 256;
    message.bytes = sizeof(head);
    memcpy(message.data, &head, sizeof(head));
    ronde__record_write(&message, &record);
    int32_t status = message.failed ? ronde__fail(RONDE_ERR_MEMORY, "no memory for a heartbeat")
                                    : ronde__net_post(c->net, to, message.data, message.bytes);
    ronde__writer_free(&message);
    return status;
}

static int32_t ask(struct coordinator *c, int neighbour, int64_t now)
{
    c->watch.asked_ns[neighbour] = now;
    return ronde__watch_post(c, c->watch.neighbour[neighbour], RECORD_PING, &now, 1);
}

/* Has a neighbour other than this one told lately that somebody waits? */
static int concerns_others(const struct watch *w, int neighbour, int64_t now)
{
    for (int i = 0; i < w->neighbours; i++)
        if (i != neighbour && now < w->concern_ns[i])
            return 1;
    return 0;
}

static int32_t look_at_nodes(struct coordinator *c, int64_t now)
{
    struct watch *w = &c->watch;
    int64_t quarter = w->heartbeat_ns / QUARTERS;
    int32_t status = RONDE_OK;
    if (!c->has_thread) /* then the others have none either, and cannot answer while they compute */
        return RONDE_OK;
    for (int i = 0; i < w->neighbours && !status; i++) {
        /* Also one that talks is asked: it shall look at its ranks. But nobody for having asked. */
        int asks = w->waits || concerns_others(w, i, now);
        if (!w->heard_ns[i] || (asks && !w->asking[i]))
            w->heard_ns[i] = now; /* its silence counts from here */
        w->asking[i] = asks;
        int64_t silent = now - w->heard_ns[i];
        if (asks && silent >= w->heartbeat_ns)
            return lost(c, w->neighbour[i], silent);
        if (asks && now - w->asked_ns[i] >= quarter)
            status = ask(c, i, now);
    }
    return status;
}

void ronde__watch_heard(struct coordinator *c, int from, int64_t now)
{
    for (int i = 0; i < c->watch.neighbours; i++)
        if (c->watch.neighbour[i] == from)
            c->watch.heard_ns[i] = now;
}

int32_t ronde__watch_take(struct coordinator *c, int from, const struct record *record)
{
    struct watch *w = &c->watch;
    int64_t now = ronde__now_ns();
    if (c->lamport < record->lamport)
        c->lamport = record->lamport;
    if (record->type == RECORD_PONG) {
        int64_t word[PONG_WORDS];
        for (size_t i = 0; i < PONG_WORDS && record->row_words == PONG_WORDS; i++)
            word[i] = (int64_t)ronde__record_word(record->rows, i);
        if (c->net->node > 0 && from == w->neighbour[0] && record->row_words == PONG_WORDS)
            ronde__watch_learn_clock(c, word, now);
        return RONDE_OK;
    }
    if (record->row_words == 1) /* else it is about the clock alone */
        for (int i = 0; i < w->neighbours; i++)
            if (w->neighbour[i] == from)
                w->concern_ns[i] = now + w->heartbeat_ns;
    int64_t word[PONG_WORDS];
    int64_t asked = record->row_words ? (int64_t)ronde__record_word(record->rows, 0) : 0;
    ronde__watch_answer(c, asked, now, word);
    return ronde__watch_post(c, from, RECORD_PONG, word, PONG_WORDS);
}

/* ---- the look -------------------------------------------------------------------------------- */

/* Does somebody of this node wait? */
static int waits_here(const struct coordinator *c)
{
    if (atomic_load(&c->outstanding))
        return 1;
    for (int local = 0; local < c->net->local_size && c->net->local_rank == 0; local++)
        if (atomic_load_explicit(&c->lobby.of[local].waiting, memory_order_relaxed))
            return 1;
    return atomic_load_explicit(&c->leads, memory_order_relaxed) != 0;
}

static void begin(struct watch *w, int local_size)
{
    memset(w->changed_ns, 0, (size_t)local_size * sizeof(*w->changed_ns));
    memset(w->heard_ns, 0, sizeof(w->heard_ns));
}

int32_t ronde__watch_look(struct coordinator *c, int64_t now)
{
    struct watch *w = &c->watch;
    int32_t status = ronde__watch_ask_clock(c, now);
    if (status || !w->heartbeat_ns || now < w->look_ns)
        return status;
    int64_t each = w->heartbeat_ns / (2 * QUARTERS);
    /* Whoever was not looking cannot tell how long the others have been silent. */
    if (now - w->look_ns > w->heartbeat_ns / 2)
        begin(w, c->net->local_size);
    w->look_ns = now + (each < LEAST_LOOK_NS ? LEAST_LOOK_NS : each);
    w->waits = waits_here(c);
    int concerned = w->waits || concerns_others(w, -1, now);
    if (concerned && !w->watching)
        begin(w, c->net->local_size);
    w->watching = concerned;
    if (!concerned)
        return RONDE_OK;
    status = look_at_local(c, now);
    return status ? status : look_at_nodes(c, now);
}
