#include "shm/lobby.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"

enum { FATAL_NONE, FATAL_BEING_WRITTEN, FATAL_WRITTEN };

int32_t ronde__lobby_open(struct lobby *lobby, struct net *net)
{
    size_t ranks = (size_t)net->local_size;
    *lobby = (struct lobby){.net = net, .region = {.file = -1}};
    struct bell **lists = calloc(2 * ranks, sizeof(struct bell *));
    int32_t status = ronde__region_open(&lobby->region, net,
                                        sizeof(struct lobby_fatal) + sizeof(struct lobby_clock) +
                                            ranks * sizeof(struct lobby_rank),
                                        REGION_COMMITTED);
    if (!status && !lists)
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory for the bells of %zu ranks", ranks);
    if (!status)
        status = ronde__region_hold(&lobby->region, net->local_rank);
    if (status) {
        free(lists);
        ronde__region_close(&lobby->region, net);
        return status;
    }
    lobby->fatal = (struct lobby_fatal *)(void *)lobby->region.base;
    lobby->clock = (struct lobby_clock *)(void *)(lobby->fatal + 1);
    lobby->of = (struct lobby_rank *)(void *)(lobby->clock + 1);
    lobby->named = lists;
    lobby->direct = lists + ranks;
    for (size_t rank = 0; rank < ranks; rank++) {
        lobby->named[rank] = &lobby->of[rank].named;
        lobby->direct[rank] = &lobby->of[rank].direct;
    }
    return RONDE_OK;
}

void ronde__lobby_close(struct lobby *lobby)
{
    free(lobby->named);
    ronde__region_close(&lobby->region, lobby->net);
}

void ronde__lobby_tell_fatal(struct lobby *lobby, int32_t status, const char *text)
{
    struct lobby_fatal *fatal = lobby->fatal;
    uint32_t none = FATAL_NONE;
    if (!atomic_compare_exchange_strong(&fatal->state, &none, FATAL_BEING_WRITTEN))
        return;
    fatal->status = status;
    snprintf(fatal->text, sizeof(fatal->text), "%s", text);
    /* pairs with the acquire in ronde__lobby_fatal */
    atomic_store_explicit(&fatal->state, FATAL_WRITTEN, memory_order_release);
}

int32_t ronde__lobby_fatal(const struct lobby *lobby)
{
    const struct lobby_fatal *fatal = lobby->fatal;
    if (atomic_load_explicit(&fatal->state, memory_order_acquire) != FATAL_WRITTEN)
        return RONDE_OK;
    return ronde__fail_text(fatal->status, fatal->text);
}

/* The turn is odd while the leader writes. Who has read anything new of a measurement, by these
 * acquires of its releases, then sees that the turn has changed. */
void ronde__lobby_set_clock(struct lobby *lobby, int64_t offset_ns, int64_t error_ns,
                            int64_t measured_ns)
{
    struct lobby_clock *clock = lobby->clock;
    uint32_t turn = atomic_load_explicit(&clock->turn, memory_order_relaxed);
    atomic_store_explicit(&clock->turn, turn + 1, memory_order_relaxed);
    atomic_store_explicit(&clock->offset_ns, offset_ns, memory_order_release);
    atomic_store_explicit(&clock->error_ns, error_ns, memory_order_release);
    atomic_store_explicit(&clock->measured_ns, measured_ns, memory_order_release);
    atomic_store_explicit(&clock->turn, turn + 2, memory_order_release);
}

uint32_t ronde__lobby_read_clock(const struct lobby *lobby, int64_t *offset_ns, int64_t *error_ns,
                                 int64_t *measured_ns)
{
    const struct lobby_clock *clock = lobby->clock;
    for (;;) {
        uint32_t turn = atomic_load_explicit(&clock->turn, memory_order_acquire);
        if (!turn)
            return 0;
        *offset_ns = atomic_load_explicit(&clock->offset_ns, memory_order_acquire);
        *error_ns = atomic_load_explicit(&clock->error_ns, memory_order_acquire);
        *measured_ns = atomic_load_explicit(&clock->measured_ns, memory_order_acquire);
        if (turn % 2 == 0 && atomic_load_explicit(&clock->turn, memory_order_relaxed) == turn)
            return turn;
    }
}

int ronde__lobby_is_alive(const struct lobby *lobby, int local_rank)
{
    return local_rank == lobby->net->local_rank ||
           ronde__region_is_held(&lobby->region, local_rank);
}

int32_t ronde__lobby_trouble(const struct lobby *lobby, int64_t *looked_ns)
{
    int32_t status = ronde__lobby_fatal(lobby);
    int64_t now = ronde__now_ns();
    if (status || now - *looked_ns < LOBBY_LOOK_NS)
        return status;
    *looked_ns = now;
    for (int local = 0; local < lobby->net->local_size; local++)
        if (!ronde__lobby_is_alive(lobby, local))
            return ronde__fail(RONDE_ERR_PEER,
                               "rank %d is lost: its process has ended; close the context",
                               ronde__net_rank_at(lobby->net, lobby->net->node, local));
    return RONDE_OK;
}
