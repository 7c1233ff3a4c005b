/* Runs a schedule over the network: a state machine that never blocks. One thread at a time. */
#ifndef RONDE_COLLECTIVES_EXECUTOR_H
#define RONDE_COLLECTIVES_EXECUTOR_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/schedule.h"
#include "collectives/trace.h"
#include "net/net.h"
#include "reduce/reduce.h"

/* Where a block lies: elements [offset, offset + count) of the data, in one to several ranges. The
 * peers agree on each block's length; their ranges and offsets may differ.
 * Ranges of block b are ranges[first_range[b]] .. ranges[first_range[b + 1]). */
struct block_range {
    size_t offset, count;
};

struct block_map {
    const int32_t *first_range; /* [blocks + 1] */
    const struct block_range *ranges;
};

struct executor;

enum { EXECUTOR_RUNS = 4 }; /* that have not ended */

/* peers[i] is the net rank of schedule peer i. `data` is worked on in place; it and the maps stay
 * the caller's and unchanged until the run has ended, the schedule and peers until the executor is
 * closed. `reduction` is the middle of one (NULL where the schedule reduces nothing), copied
 * nowhere; bytes: of one element. This gives the first run. RONDE_ERR_MEMORY. */
int32_t ronde__executor_open(struct executor **executor, struct net *net,
                             const struct schedule *schedule, const int *peers, int tag, void *data,
                             size_t element_bytes, const struct block_map *blocks,
                             const struct reduction *reduction);
/* One more run, with other data and blocks; it begins while those before are still under way, and
 * overlaps with them, so their memory must not. At most EXECUTOR_RUNS at a time, and in the same
 * order on all peers. */
int32_t ronde__executor_add(struct executor *executor, void *data, size_t element_bytes,
                            const struct block_map *blocks, const struct reduction *reduction);
/* How many runs have ended, of all that were given. They end in their order. */
uint64_t ronde__executor_ended(const struct executor *executor);
/* From here each step is recorded as a SEND or RECV, from its first message's start to its last
 * one's end, reducing included. `trace` stays the caller's until the executor is closed. */
void ronde__executor_trace(struct executor *executor, const struct trace *trace);
/* RONDE__IDLE, RONDE__MOVED, RONDE__DONE (base/bell.h) where all runs have ended, or an error. */
int32_t ronde__executor_step(struct executor *executor);
/* Done or failed executors only. NULL is fine. After a failure the network may still write into
 * what it was given to receive into: `data` must then outlive the network, and those of the
 * executor's own slots that a message is still on its way into, at most a few MiB, are lost instead
 * of freed. */
void ronde__executor_close(struct executor *executor);

#endif
