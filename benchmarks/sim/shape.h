/* What a schedule is run on: blocks of two lengths, each cut into a part per lane, in runs of which
 * all but the last are alike. */
#ifndef RONDE_SIM_SHAPE_H
#define RONDE_SIM_SHAPE_H

#include "collectives/schedule.h"
#include "model.h"

/* Of the last run the first `longer` blocks have `elements` + 1 elements, the others `elements`; of
 * those before, where there are any, all blocks have `full`. */
struct shape {
    enum algorithm algorithm;
    int nodes, lanes;
    int32_t blocks, longer, runs;
    size_t elements, element_bytes, full;
};

/* `elements` elements in as many blocks as the algorithm has, in one run, or where they are more
 * than `capacity` (one a block at least) in several (fusion/layout.h). */
struct shape shape_of(enum algorithm algorithm, int nodes, int lanes, size_t elements,
                      size_t element_bytes, size_t capacity);
/* A lane's bytes of `elements` elements of a node. */
size_t shape_lane(const struct shape *shape, size_t elements, int lane);
/* The same of a block. */
size_t shape_bytes(const struct shape *shape, int is_last, int32_t block, int lane);

#endif
