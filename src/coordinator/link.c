#include "coordinator/link.h"

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

static struct ring *ring_at(char *memory, size_t rank)
{
    return (struct ring *)(void *)(memory + rank * ronde__ring_bytes(UP_BYTES, 1));
}

size_t ronde__link_bytes(const struct net *net)
{
    size_t ranks = (size_t)net->local_size;
    return ranks * ronde__ring_bytes(UP_BYTES, 1) +
           ronde__ring_bytes(down_bytes(net), (uint32_t)ranks);
}

void ronde__link_place(char *memory, const struct net *net)
{
    size_t ranks = (size_t)net->local_size;
    for (size_t rank = 0; rank < ranks; rank++)
        ronde__ring_place(ring_at(memory, rank), UP_BYTES, 1);
    ronde__ring_place(ring_at(memory, ranks), down_bytes(net), (uint32_t)ranks);
}

int32_t ronde__link_open(struct link *link, char *memory, const struct net *net)
{
    size_t ranks = (size_t)net->local_size;
    *link = (struct link){.up = calloc(ranks, sizeof(struct ring *))};
    if (!link->up)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu rings", ranks);
    for (size_t rank = 0; rank < ranks; rank++)
        link->up[rank] = ring_at(memory, rank);
    link->down = ring_at(memory, ranks);
    return RONDE_OK;
}

void ronde__link_close(struct link *link)
{
    free(link->up);
}
