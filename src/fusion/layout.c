#include "fusion/layout.h"

void ronde__layout_part(size_t count, int32_t blocks, int32_t block, size_t *from, size_t *length)
{
    size_t whole = count / (size_t)blocks, longer = count % (size_t)blocks, b = (size_t)block;
    *from = whole * b + (b < longer ? b : longer);
    *length = whole + (b < longer);
}

/* A round that is not the only one takes so many elements of each block. */
static size_t share(const struct layout *layout)
{
    return layout->rounds > 1 ? layout->capacity / (size_t)layout->blocks : SIZE_MAX;
}

/* Block 0 is the longest: it has the longer part of every tensor. What fits as a whole is one
 * round, however uneven its blocks are: many tensors of one element all lie in block 0. */
struct layout ronde__layout(const struct piece *tensors, int32_t n, int32_t blocks, size_t capacity)
{
    struct layout layout = {.blocks = blocks, .tensors = n, .capacity = capacity};
    size_t total = 0, longest = 0, from, length;
    for (int32_t t = 0; t < n; t++) {
        ronde__layout_part(tensors[t].count, blocks, 0, &from, &length);
        total += tensors[t].count;
        longest += length;
    }
    size_t a_round = total <= capacity ? longest : capacity / (size_t)blocks;
    if (longest)
        layout.rounds = (int32_t)((longest - 1) / a_round + 1);
    return layout;
}

/* `length` elements of a tensor from element `from`. A side that is NULL stays NULL. */
static struct piece cut(const struct piece *tensor, size_t element_bytes, size_t from,
                        size_t length)
{
    size_t offset = from * element_bytes;
    return (struct piece){.in = tensor->in ? tensor->in + offset : NULL,
                          .out = tensor->out ? tensor->out + offset : NULL,
                          .count = length};
}

/* A block as a sequence is part `block` of tensor 0, of tensor 1, ... This writes the pieces of its
 * elements [first, end) and adds their count to *elements; returns their number. */
static int32_t cut_block(const struct layout *layout, const struct piece *tensors, int32_t block,
                         size_t element_bytes, size_t first, size_t end, struct piece *pieces,
                         size_t *elements)
{
    int32_t n = 0;
    size_t at = 0; /* where the part of tensor t begins in the sequence */
    for (int32_t t = 0; t < layout->tensors && at < end; t++) {
        size_t from, length;
        ronde__layout_part(tensors[t].count, layout->blocks, block, &from, &length);
        size_t skip = first > at ? first - at : 0;
        size_t stop = end - at < length ? end - at : length;
        if (skip < stop) {
            pieces[n++] = cut(&tensors[t], element_bytes, from + skip, stop - skip);
            *elements += stop - skip;
        }
        at += length;
    }
    return n;
}

int32_t ronde__layout_round(const struct layout *layout, const struct piece *tensors,
                            size_t element_bytes, int32_t round, struct piece *pieces,
                            size_t *block_from)
{
    size_t length = share(layout), first = (size_t)round * length, elements = 0;
    size_t end = length < SIZE_MAX - first ? first + length : SIZE_MAX;
    int32_t n = 0;
    for (int32_t block = 0; block < layout->blocks; block++) {
        block_from[block] = elements;
        n += cut_block(layout, tensors, block, element_bytes, first, end, pieces + n, &elements);
    }
    block_from[layout->blocks] = elements;
    return n;
}
