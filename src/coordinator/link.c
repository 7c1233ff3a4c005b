#include "coordinator/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"

/* A thousand names of 50 bytes go up before the leader must look; decisions name each tensor
 * once. */
enum { DECISION_HEAD_BYTES = 8 << 10 }; /* names, texts and numbers */
enum { UP_BYTES = 64 << 10, DOWN_BYTES = 256 << 10 };

/* The longest decision, an allgather's rows by rank, must fit; and a record at most half a ring. */
static uint32_t down_bytes(const struct net *net)
{
    uint32_t bytes = DOWN_BYTES;
    while (bytes / 4 < (size_t)net->size * sizeof(uint64_t) + DECISION_HEAD_BYTES)
        bytes *= 2;
    return bytes;
}

int32_t ronde__link_open(struct link *link, struct net *net)
{
    size_t ranks = (size_t)net->local_size;
    size_t up = ronde__ring_bytes(UP_BYTES, 1);
    size_t down = ronde__ring_bytes(down_bytes(net), (uint32_t)ranks);
    *link = (struct link){0};
    struct ring **rings = calloc(ranks, sizeof(struct ring *));
    int32_t status = ronde__region_open(&link->region, net,
                                        sizeof(struct link_fatal) +
                                            ranks * (sizeof(struct link_rank) + up) + down,
                                        REGION_COMMITTED);
    if (!status && !rings) {
        ronde__region_close(&link->region, net);
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu rings", ranks);
    }
    if (status) {
        free(rings);
        return status;
    }
    char *at = link->region.base;
    link->fatal = (struct link_fatal *)(void *)at;
    at += sizeof(struct link_fatal);
    link->of = (struct link_rank *)(void *)at;
    at += ranks * sizeof(struct link_rank);
    link->up = rings;
    for (size_t rank = 0; rank < ranks; rank++, at += up)
        link->up[rank] = (struct ring *)(void *)at;
    link->down = (struct ring *)(void *)at;
    for (size_t rank = 0; rank < ranks && net->local_rank == 0; rank++)
        ronde__ring_place(link->up[rank], UP_BYTES, 1);
    if (net->local_rank == 0)
        ronde__ring_place(link->down, down_bytes(net), (uint32_t)ranks);
    /* Nobody looks at a ring before it is placed. */
    char here = 0, *all = calloc((size_t)net->size, 1);
    status = all ? ronde__net_allgather(net, &here, 1, all)
                 : ronde__fail(RONDE_ERR_MEMORY, "no memory for %d ranks", net->size);
    free(all);
    if (status)
        ronde__link_close(link, net);
    return status;
}

void ronde__link_close(struct link *link, const struct net *net)
{
    free(link->up);
    ronde__region_close(&link->region, net);
}

void ronde__link_tell_fatal(struct link *link, int32_t status, const char *text)
{
    struct link_fatal *fatal = link->fatal;
    uint32_t none = FATAL_NONE;
    if (!atomic_compare_exchange_strong(&fatal->state, &none, FATAL_BEING_WRITTEN))
        return;
    fatal->status = status;
    snprintf(fatal->text, sizeof(fatal->text), "%s", text);
    /* pairs with the acquire in ronde__link_fatal */
    atomic_store_explicit(&fatal->state, FATAL_WRITTEN, memory_order_release);
}

int32_t ronde__link_fatal(const struct link *link)
{
    const struct link_fatal *fatal = link->fatal;
    if (atomic_load_explicit(&fatal->state, memory_order_acquire) != FATAL_WRITTEN)
        return RONDE_OK;
    return ronde__fail_text(fatal->status, fatal->text);
}

int32_t ronde__link_trouble(const struct link *link, struct communicator *communicator)
{
    int32_t status = ronde__link_fatal(link);
    return status ? status : ronde__communicator_look_for_peers(communicator);
}
