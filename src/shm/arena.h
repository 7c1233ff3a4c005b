/* ronde_malloc's memory: each rank of a node allocates from its own part of one sparse region that
 * all of them map, so a tensor is named to the others by (local rank, offset). Allocation is local.
 * First fit over blocks in address order; a lock of its own, as every allocator's. */
#ifndef RONDE_SHM_ARENA_H
#define RONDE_SHM_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct arena;

/* Collective. bytes: address space per rank, 0 for as much as shared memory has. */
int32_t ronde__arena_open(struct arena **arena, struct net *net, size_t bytes);
/* As ronde__region_close. */
void ronde__arena_close(struct arena *arena, const struct net *net);

int32_t ronde__arena_take(struct arena *arena, size_t bytes, void **memory);
/* RONDE_ERR_ARGUMENT where `memory` is not the start of a block in use. */
int32_t ronde__arena_give(struct arena *arena, void *memory);

enum { ARENA_NOWHERE = -1 };
/* The offset of [memory, memory + bytes) in this rank's part, or ARENA_NOWHERE. */
int64_t ronde__arena_offset(const struct arena *arena, const void *memory, size_t bytes);
/* The address here of an offset in a local rank's part. */
char *ronde__arena_at(const struct arena *arena, int local_rank, int64_t offset);

#endif
