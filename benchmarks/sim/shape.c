#include "shape.h"

#include "fusion/layout.h"

struct shape shape_of(enum algorithm algorithm, int nodes, int lanes, size_t elements,
                      size_t element_bytes)
{
    int32_t blocks = ronde__algorithms[algorithm].blocks(nodes);
    return (struct shape){.algorithm = algorithm,
                          .nodes = nodes,
                          .lanes = lanes,
                          .blocks = blocks,
                          .longer = (int32_t)(elements % (size_t)blocks),
                          .elements = elements / (size_t)blocks,
                          .element_bytes = element_bytes};
}

size_t shape_bytes(const struct shape *shape, int is_longer, int lane)
{
    size_t from, length;
    ronde__layout_part(shape->elements + (is_longer != 0), shape->lanes, lane, &from, &length);
    return length * shape->element_bytes;
}
