/* What a schedule is run on: blocks of two lengths, each cut into a part per lane. */
#ifndef RONDE_SIM_SHAPE_H
#define RONDE_SIM_SHAPE_H

#include "collectives/schedule.h"
#include "model.h"

/* The first `longer` blocks have `elements` + 1 elements, the others `elements`. */
struct shape {
    enum algorithm algorithm;
    int nodes, lanes;
    int32_t blocks, longer;
    size_t elements, element_bytes;
};

/* `elements` elements in as many blocks as the algorithm has (fusion/layout.h). */
struct shape shape_of(enum algorithm algorithm, int nodes, int lanes, size_t elements,
                      size_t element_bytes);
/* A lane's bytes of a block that is, or is not, one of the longer ones. */
size_t shape_bytes(const struct shape *shape, int is_longer, int lane);

#endif
