/* What the ranks of a node share for one communicator: who has arrived where, and slots for data.
 *
 * Everything counts upwards for ever; nothing is reset. Operations are numbered on each
 * communicator from 1, alike on all its ranks.
 *
 *   arrival    operation k was started by this rank, so all before k are finished here. It lies in
 *              a small slot together with the data of a small operation; two alternate. Slot
 *              k % 2 may be written once all have arrived at k - 1: then nobody reads what k - 2
 *              left there.
 *   in, reduced, out   slices of large operations that this rank has copied in, reduced, copied
 * out.
 *   slices     slot s % slots holds slice s of this rank: what the others shall reduce, and at the
 *              place of this rank's own share, its result. It may be overwritten once everybody's
 *              `out` has passed s.
 *   board      where this rank's tensors lie in the arena, for the operation of that parity. */
#ifndef RONDE_SHM_SLOTS_H
#define RONDE_SHM_SLOTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bell.h"

enum {
    SLOTS_LINE = 128,             /* two cache lines: the hardware fetches them in pairs */
    SLOTS_SMALL_BYTES = 16 << 10, /* all-read-all up to here; crossover with slices, see docs */
    SLOTS_BOARD_PIECES = 2048     /* zero-copy up to so many pieces */
};

struct arrival {
    _Alignas(SLOTS_LINE) _Atomic uint64_t operation;
    uint32_t word;                  /* what the kind of operation wants to say */
    char tiny[SLOTS_LINE / 2 - 12]; /* data that fits the same line */
    _Alignas(64) char data[SLOTS_SMALL_BYTES];
};

struct board_entry {
    int64_t in;  /* offset in the rank's arena */
    int64_t out; /* as well, ARENA_NOWHERE where not wanted; of an exchange: how long `in` is */
};

struct rank_slots {
    struct arrival arrival[2];
    _Alignas(SLOTS_LINE) _Atomic uint64_t in;
    _Alignas(SLOTS_LINE) _Atomic uint64_t reduced;
    _Alignas(SLOTS_LINE) _Atomic uint64_t out;
    _Alignas(SLOTS_LINE) struct board_entry board[2][SLOTS_BOARD_PIECES];
};

/* The shared memory of one communicator on one node. */
struct slots {
    int ranks;
    size_t slice_bytes;
    size_t count; /* slices in flight per rank */
    size_t wire_bytes;
    struct rank_slots *of;     /* [ranks] */
    struct bell *const *bells; /* [ranks], wherever they live */
    char *slices;              /* [ranks][count][slice_bytes] */
    char *wire;                /* the node's buffer for what crosses the network */
};

/* Bytes that ronde__slots_place needs for these sizes. */
size_t ronde__slots_bytes(int ranks, size_t slice_bytes, size_t count, size_t wire_bytes);
/* Lays them out in zeroed memory, 128-byte aligned. bells: one per rank, to be rung whenever what
 * that rank may wait for has come; the list stays the caller's. */
void ronde__slots_place(struct slots *slots, char *memory, int ranks, size_t slice_bytes,
                        size_t count, size_t wire_bytes, struct bell *const *bells);

static inline char *ronde__slots_slice(const struct slots *slots, int rank, uint64_t slice)
{
    return slots->slices +
           ((size_t)rank * slots->count + slice % slots->count) * slots->slice_bytes;
}

#endif
