#include "shm/arena.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/status.h"
#include "shm/region.h"

enum {
    ALIGNMENT = 64,        /* a cache line, and the widest vector */
    COMMIT_STEP = 2 << 20, /* pages are taken from the system in runs of this many bytes */
};

/* In address order; neighbours that are free are merged. */
struct block {
    size_t from, bytes;
    int used;
    struct block *next;
};

struct arena {
    struct region region;
    size_t part_bytes; /* per local rank */
    char *mine;
    pthread_mutex_t lock; /* guards what follows */
    struct block *blocks;
    size_t committed;
};

static size_t part_bytes(const struct net *net, size_t wanted)
{
    const size_t most = (size_t)1 << 40; /* 47 bits of address space hold 64 ranks of it twice */
    size_t bytes = wanted ? wanted : ronde__region_capacity();
    if (!wanted && net->one_process)
        bytes = (size_t)1 << 30; /* anonymous memory: nothing to measure */
    bytes = bytes > most ? most : bytes;
    bytes = bytes < COMMIT_STEP ? COMMIT_STEP : bytes;
    return bytes / COMMIT_STEP * COMMIT_STEP;
}

int32_t ronde__arena_open(struct arena **arena, struct net *net, size_t bytes)
{
    struct arena *a = calloc(1, sizeof(*a));
    struct block *all = calloc(1, sizeof(*all));
    size_t part = part_bytes(net, bytes);
    /* Every rank must reach the collective call, so memory is looked at after it. */
    int32_t status = RONDE_ERR_MEMORY;
    struct region region;
    status = ronde__region_open(&region, net, part * (size_t)net->local_size, REGION_SPARSE);
    if (status)
        goto free_memory;
    if (!a || !all) {
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory for the arena's bookkeeping");
        goto close_region;
    }
    a->region = region;
    a->part_bytes = region.bytes / (size_t)net->local_size;
    a->mine = region.base + (size_t)net->local_rank * a->part_bytes;
    *all = (struct block){.bytes = a->part_bytes};
    a->blocks = all;
    pthread_mutex_init(&a->lock, NULL);
    *arena = a;
    return RONDE_OK;

close_region:
    ronde__region_close(&region, net);
free_memory:
    free(all);
    free(a);
    return status;
}

void ronde__arena_close(struct arena *arena, const struct net *net)
{
    if (!arena)
        return;
    while (arena->blocks) {
        struct block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    pthread_mutex_destroy(&arena->lock);
    ronde__region_close(&arena->region, net);
    free(arena);
}

/* Pages for everything below `end`. */
static int32_t commit_to(struct arena *arena, size_t end)
{
    if (end <= arena->committed)
        return RONDE_OK;
    end = (end + COMMIT_STEP - 1) / COMMIT_STEP * COMMIT_STEP;
    end = end > arena->part_bytes ? arena->part_bytes : end;
    size_t start = (size_t)(arena->mine - arena->region.base);
    int32_t status = ronde__region_commit(&arena->region, start + arena->committed,
                                          end - arena->committed);
    if (!status)
        arena->committed = end;
    return status;
}

static int32_t take_locked(struct arena *arena, size_t bytes, void **memory)
{
    struct block *block = arena->blocks;
    while (block && (block->used || block->bytes < bytes))
        block = block->next;
    if (!block)
        return ronde__fail(RONDE_ERR_MEMORY,
                           "no %zu bytes left in the arena of %zu: free some or raise arena_bytes",
                           bytes, arena->part_bytes);
    int32_t status = commit_to(arena, block->from + bytes);
    if (status)
        return status;
    if (block->bytes > bytes) {
        struct block *rest = malloc(sizeof(*rest));
        if (!rest)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for the arena's bookkeeping");
        *rest = (struct block){block->from + bytes, block->bytes - bytes, 0, block->next};
        block->next = rest;
        block->bytes = bytes;
    }
    block->used = 1;
    *memory = arena->mine + block->from;
    return RONDE_OK;
}

int32_t ronde__arena_take(struct arena *arena, size_t bytes, void **memory)
{
    if (bytes > arena->part_bytes)
        return ronde__fail(RONDE_ERR_MEMORY, "%zu bytes exceed the arena of %zu: raise arena_bytes",
                           bytes, arena->part_bytes);
    bytes = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    pthread_mutex_lock(&arena->lock);
    int32_t status = take_locked(arena, bytes, memory);
    pthread_mutex_unlock(&arena->lock);
    return status;
}

static void merge_with_next(struct block *block)
{
    struct block *next = block->next;
    if (!next || next->used || block->used)
        return;
    block->bytes += next->bytes;
    block->next = next->next;
    free(next);
}

int32_t ronde__arena_give(struct arena *arena, void *memory)
{
    size_t from = (size_t)((char *)memory - arena->mine);
    pthread_mutex_lock(&arena->lock);
    struct block *before = NULL, *block = arena->blocks;
    while (block && block->from != from) {
        before = block;
        block = block->next;
    }
    int found = block && block->used;
    if (found) {
        block->used = 0;
        merge_with_next(block);
        if (before)
            merge_with_next(before);
    }
    pthread_mutex_unlock(&arena->lock);
    return found ? RONDE_OK
                 : ronde__fail(RONDE_ERR_ARGUMENT, "free of %p, which ronde_malloc did not return",
                               memory);
}

int64_t ronde__arena_offset(const struct arena *arena, const void *memory, size_t bytes)
{
    uintptr_t offset = (uintptr_t)memory - (uintptr_t)arena->mine;
    if (offset >= arena->part_bytes || bytes > arena->part_bytes - offset)
        return ARENA_NOWHERE;
    return (int64_t)offset;
}

char *ronde__arena_at(const struct arena *arena, int local_rank, int64_t offset)
{
    return arena->region.base + (size_t)local_rank * arena->part_bytes + offset;
}
