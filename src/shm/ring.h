/* A ring of records in shared memory: one writer, one or more readers who each see every record, in
 * order. Neither ever blocks: a full ring refuses, an empty one has nothing. */
#ifndef RONDE_SHM_RING_H
#define RONDE_SHM_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_LINE = 128 };

struct ring_tail {
    _Alignas(RING_LINE) _Atomic uint64_t at; /* everything before was read */
};

struct ring {
    _Alignas(RING_LINE) _Atomic uint64_t head; /* everything before is written */
    _Alignas(RING_LINE) uint64_t limit;        /* the writer's: room known to be free up to here */
    uint32_t bytes;                            /* of data, a power of two */
    uint32_t readers;
    struct ring_tail tail[];
};

/* Bytes of a ring; `data_bytes` is a power of two. */
size_t ronde__ring_bytes(uint32_t data_bytes, uint32_t readers);
/* Prepares it in zeroed memory, 128-byte aligned; by one rank, before the others use it. */
void ronde__ring_place(struct ring *ring, uint32_t data_bytes, uint32_t readers);

/* Writes one record whole, of at most half the ring; 0 where there is no room now. Ringing bells
 * is the caller's. */
int ronde__ring_put(struct ring *ring, const void *record, size_t bytes);
/* The next record of a reader, in place, or NULL; ronde__ring_pass gives its room back. */
const void *ronde__ring_peek(struct ring *ring, uint32_t reader, size_t *bytes);
void ronde__ring_pass(struct ring *ring, uint32_t reader);

#endif
