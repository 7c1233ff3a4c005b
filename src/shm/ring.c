/* Records are a length word and data, rounded to 8 bytes and contiguous: where one does not fit
 * before the end, a skip word sends the reader to the start. */
#include "shm/ring.h"

#include <string.h>

enum { WORD = 8 };
#define SKIP UINT64_MAX

static size_t rounded(size_t bytes)
{
    return (bytes + WORD - 1) / WORD * WORD;
}

static char *data_of(struct ring *ring)
{
    return (char *)&ring->tail[ring->readers];
}

size_t ronde__ring_bytes(uint32_t data_bytes, uint32_t readers)
{
    return sizeof(struct ring) + readers * sizeof(struct ring_tail) + data_bytes;
}

void ronde__ring_place(struct ring *ring, uint32_t data_bytes, uint32_t readers)
{
    ring->bytes = data_bytes;
    ring->readers = readers;
    ring->limit = data_bytes;
}

/* Room for the writer up to where the slowest reader stands, plus a turn. */
static int has_room(struct ring *ring, uint64_t end)
{
    if (end <= ring->limit)
        return 1;
    uint64_t slowest = UINT64_MAX;
    for (uint32_t reader = 0; reader < ring->readers; reader++) {
        /* pairs with the release in ronde__ring_pass: the reader is through with the bytes */
        uint64_t at = atomic_load_explicit(&ring->tail[reader].at, memory_order_acquire);
        slowest = at < slowest ? at : slowest;
    }
    ring->limit = slowest + ring->bytes;
    return end <= ring->limit;
}

int ronde__ring_put(struct ring *ring, const void *record, size_t bytes)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t need = WORD + rounded(bytes);
    uint64_t before_end = ring->bytes - head % ring->bytes;
    uint64_t skip = need > before_end ? before_end : 0;
    if (!has_room(ring, head + skip + need))
        return 0;
    char *data = data_of(ring);
    uint64_t word = SKIP;
    if (skip)
        memcpy(data + head % ring->bytes, &word, WORD);
    char *place = data + (head + skip) % ring->bytes;
    word = bytes;
    memcpy(place, &word, WORD);
    memcpy(place + WORD, record, bytes);
    atomic_store_explicit(&ring->head, head + skip + need, memory_order_release);
    return 1;
}

const void *ronde__ring_peek(struct ring *ring, uint32_t reader, size_t *bytes)
{
    uint64_t at = atomic_load_explicit(&ring->tail[reader].at, memory_order_relaxed);
    /* pairs with the release in ronde__ring_put */
    if (at == atomic_load_explicit(&ring->head, memory_order_acquire))
        return NULL;
    const char *data = data_of(ring);
    uint64_t word;
    memcpy(&word, data + at % ring->bytes, WORD);
    if (word == SKIP) {
        at += ring->bytes - at % ring->bytes;
        atomic_store_explicit(&ring->tail[reader].at, at, memory_order_release);
        memcpy(&word, data, WORD);
    }
    *bytes = (size_t)word;
    return data + at % ring->bytes + WORD;
}

void ronde__ring_pass(struct ring *ring, uint32_t reader)
{
    uint64_t at = atomic_load_explicit(&ring->tail[reader].at, memory_order_relaxed);
    uint64_t word;
    memcpy(&word, data_of(ring) + at % ring->bytes, WORD);
    atomic_store_explicit(&ring->tail[reader].at, at + WORD + rounded((size_t)word),
                          memory_order_release);
}
