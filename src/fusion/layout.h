/* How a bin that crosses the network is laid out: chunk-major. Every tensor is cut into `blocks`
 * parts of its own, and the buffer holds part 0 of every tensor, then part 1 of every tensor, ...
 * So the block an element belongs to - and with it the order in which a ring adds it up -
 * depends on its own tensor's length, its index and the number of blocks only, never on what it
 * was fused with. A bin larger than the buffer runs in rounds; each round takes the next run of
 * elements of every block. Pure functions of sizes. */
#ifndef RONDE_FUSION_LAYOUT_H
#define RONDE_FUSION_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/piece.h"

/* Part `block` of `blocks` of a tensor of `count` elements: [*from, *from + *length). The first
 * count % blocks parts are one longer. */
void ronde__layout_part(size_t count, int32_t blocks, int32_t block, size_t *from, size_t *length);

struct layout {
    int32_t blocks;
    int32_t rounds;
    int32_t tensors;
    size_t capacity; /* elements of a round's buffer */
};

/* The layout of tensors[0..n) in a buffer of `capacity` elements, at least `blocks`. */
struct layout ronde__layout(const struct piece *tensors, int32_t n, int32_t blocks,
                            size_t capacity);

/* The pieces of one round, in buffer order, written to `pieces` (room for blocks x tensors);
 * returns their number. block_from[0..blocks] receives where each block begins in the round's
 * buffer, and the end. */
int32_t ronde__layout_round(const struct layout *layout, const struct piece *tensors,
                            size_t element_bytes, int32_t round, struct piece *pieces,
                            size_t *block_from);

#endif
