#include "shape.h"

#include "fusion/layout.h"

struct shape shape_of(enum algorithm algorithm, int nodes, int lanes, size_t elements,
                      size_t element_bytes, size_t capacity)
{
    int32_t blocks = ronde__algorithms[algorithm].blocks(nodes);
    size_t n = (size_t)blocks, share = capacity / n;
    struct shape shape = {.algorithm = algorithm,
                          .nodes = nodes,
                          .lanes = lanes,
                          .blocks = blocks,
                          .longer = (int32_t)(elements % n),
                          .runs = 1,
                          .elements = elements / n,
                          .element_bytes = element_bytes};
    if (elements > capacity) {
        size_t before = (shape.elements + (shape.longer > 0) - 1) / share;
        shape.runs += (int32_t)before;
        shape.full = share;
        shape.elements -= before * share;
    }
    return shape;
}

size_t shape_lane(const struct shape *shape, size_t elements, int lane)
{
    size_t from, length;
    ronde__layout_part(elements, shape->lanes, lane, &from, &length);
    return length * shape->element_bytes;
}

size_t shape_bytes(const struct shape *shape, int is_last, int32_t block, int lane)
{
    size_t elements = is_last ? shape->elements + (block < shape->longer) : shape->full;
    return shape_lane(shape, elements, lane);
}
