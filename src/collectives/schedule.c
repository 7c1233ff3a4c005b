/* The table of algorithms, and how a schedule is made from a row of it. */
#include "collectives/schedule.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "collectives/schedule_algorithms.h"

const struct algorithm_entry ronde__algorithms[RONDE__ALGORITHMS] = {
    [ALGORITHM_RING] = {"ring", "large tensors: least bytes on the wire, 2(p-1) rounds", 1, INT_MAX,
                        SIZE_MAX, ronde__ring_blocks, ronde__ring_most_steps, ronde__ring_write},
    [ALGORITHM_DOUBLING] = {"doubling", "small tensors: about lg p rounds of the whole tensor", 1,
                            INT_MAX, SIZE_MAX, ronde__doubling_blocks, ronde__doubling_most_steps,
                            ronde__doubling_write},
    [ALGORITHM_CIRCULANT] = {"circulant", "middle sizes: least bytes in 2 ceil(lg p) rounds", 1,
                             INT_MAX, SIZE_MAX, ronde__circulant_blocks,
                             ronde__circulant_most_steps, ronde__circulant_write},
    [ALGORITHM_SPREAD] = {"spread", "few nodes: least bytes in 2 rounds, 2(p-1) messages", 1, 16,
                          SIZE_MAX, ronde__spread_blocks, ronde__spread_most_steps,
                          ronde__spread_write},
    [ALGORITHM_FLOOD] = {"flood", "few nodes, small tensors: 1 round, p-1 messages", 1, 16,
                         64 << 10, ronde__flood_blocks, ronde__flood_most_steps,
                         ronde__flood_write},
    [ALGORITHM_BINOMIAL] = {"binomial", "broadcast: ceil(lg p) rounds", 0, INT_MAX, SIZE_MAX,
                            ronde__binomial_blocks, ronde__binomial_most_steps,
                            ronde__binomial_write},
    [ALGORITHM_RING_GATHER] = {"ring_gather", "allgather: least bytes on the wire, p-1 rounds", 0,
                               INT_MAX, SIZE_MAX, ronde__ring_blocks,
                               ronde__ring_gather_most_steps, ronde__ring_gather_write},
};

struct schedule *ronde__schedule(enum algorithm algorithm, int p, int me, int root)
{
    assert(p >= 1 && me >= 0 && me < p && root >= 0 && root < p);
    const struct algorithm_entry *entry = &ronde__algorithms[algorithm];
    size_t most = (size_t)entry->most_steps(p);
    struct schedule *schedule = malloc(sizeof(*schedule) + most * sizeof(schedule->step[0]));
    if (!schedule)
        return NULL;
    schedule->blocks = entry->blocks(p);
    schedule->steps = entry->write(schedule->step, p, me, root);
    assert((size_t)schedule->steps <= most);
    return schedule;
}
