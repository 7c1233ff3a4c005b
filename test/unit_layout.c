/* Where every element of a fused bin goes: its block depends on its own tensor only. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fusion/layout.h"

enum { MOST_TENSORS = 40, MOST_BLOCKS = 17, MOST_ELEMENTS = 4096, ELEMENT_BYTES = 4 };

static char in_memory[MOST_ELEMENTS * ELEMENT_BYTES], out_memory[MOST_ELEMENTS * ELEMENT_BYTES];
static struct piece tensors[MOST_TENSORS];
static size_t tensor_from[MOST_TENSORS]; /* first element of each in the memories */
static struct piece pieces[MOST_TENSORS * MOST_BLOCKS];
static size_t block_from[MOST_BLOCKS + 1];
static int seen[MOST_ELEMENTS];

static uint64_t seed = 1;

static size_t random_below(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % n);
}

/* Lays the tensors one after the other into the memories. Returns all elements. */
static size_t place(const size_t *counts, int32_t n)
{
    size_t at = 0;
    for (int32_t t = 0; t < n; t++) {
        tensor_from[t] = at;
        tensors[t].in = in_memory + at * ELEMENT_BYTES;
        tensors[t].out = out_memory + at * ELEMENT_BYTES;
        tensors[t].count = counts[t];
        at += counts[t];
    }
    return at;
}

/* The block of element `index` of a tensor, counted out by the definition. */
static int32_t block_of(size_t count, int32_t blocks, size_t index)
{
    for (int32_t block = 0;; block++) {
        size_t length = count / (size_t)blocks + ((size_t)block < count % (size_t)blocks);
        if (index < length)
            return block;
        index -= length;
    }
}

static int32_t tensor_at(size_t element, int32_t n)
{
    int32_t t = 0;
    while (t < n && !(element >= tensor_from[t] && element - tensor_from[t] < tensors[t].count))
        t++;
    return t;
}

/* Marks the piece's elements as seen; says what is wrong, or NULL. */
static const char *visit(const struct piece *piece, int32_t n, int32_t blocks, int32_t block)
{
    size_t element = (size_t)(piece->in - in_memory) / ELEMENT_BYTES;
    int32_t t = tensor_at(element, n);
    if (!piece->count)
        return "an empty piece";
    if (piece->out - out_memory != piece->in - in_memory)
        return "in and out apart";
    for (size_t i = 0; i < piece->count; i++, element++) {
        if (tensor_at(element, n) != t)
            return "a piece across tensors";
        if (seen[element]++)
            return "an element twice";
        if (block_of(tensors[t].count, blocks, element - tensor_from[t]) != block)
            return "an element in another block";
    }
    return NULL;
}

static const char *visit_round(const struct layout *layout, int32_t round)
{
    size_t at = 0;
    int32_t block = 0;
    int32_t count = ronde__layout_round(layout, tensors, ELEMENT_BYTES, round, pieces, block_from);
    if (block_from[0] != 0)
        return "block 0 not at 0";
    for (int32_t i = 0; i < count; i++) {
        while (block < layout->blocks && at >= block_from[block + 1])
            block++;
        if (block == layout->blocks || at + pieces[i].count > block_from[block + 1])
            return "a piece across blocks";
        const char *wrong = visit(&pieces[i], layout->tensors, layout->blocks, block);
        if (wrong)
            return wrong;
        at += pieces[i].count;
    }
    if (at != block_from[layout->blocks])
        return "the end is not where the pieces end";
    if (!at)
        return "an empty round";
    return at <= layout->capacity ? NULL : "more than the buffer holds";
}

/* Runs all rounds of tensors[0..n); says what is wrong, or NULL. */
static const char *visit_all(int32_t n, int32_t blocks, size_t capacity, size_t elements)
{
    struct layout layout = ronde__layout(tensors, n, blocks, capacity);
    memset(seen, 0, sizeof(seen));
    if (elements <= capacity && layout.rounds != (elements > 0))
        return "rounds for what fits";
    for (int32_t round = 0; round < layout.rounds; round++) {
        const char *wrong = visit_round(&layout, round);
        if (wrong)
            return wrong;
    }
    for (size_t i = 0; i < elements; i++)
        if (!seen[i])
            return "an element never";
    return NULL;
}

static void parts_follow_each_other_and_cover_the_tensor(void)
{
    for (size_t count = 0; count < 60; count++) {
        for (int32_t blocks = 1; blocks < 20; blocks++) {
            size_t at = 0, from, length;
            for (int32_t block = 0; block < blocks; block++) {
                ronde__layout_part(count, blocks, block, &from, &length);
                CHECK(from == at);
                CHECK(length == count / (size_t)blocks + ((size_t)block < count % (size_t)blocks));
                at += length;
            }
            CHECK(at == count);
        }
    }
}

static void parts_of_huge_tensors_do_not_wrap(void)
{
    size_t from, length;
    ronde__layout_part(SIZE_MAX, 7, 6, &from, &length);
    CHECK(from + length == SIZE_MAX);
    ronde__layout_part((size_t)5 << 40, 3, 1, &from, &length);
    CHECK(from == ((size_t)5 << 40) / 3 + 1 && length == ((size_t)5 << 40) / 3 + 1);
}

static void every_element_appears_once_and_in_its_own_block(void)
{
    for (int trial = 0; trial < 3000; trial++) {
        size_t counts[MOST_TENSORS], most = random_below(4) ? 100 : 3;
        int32_t n = (int32_t)random_below(MOST_TENSORS + 1);
        int32_t blocks = (int32_t)random_below(MOST_BLOCKS) + 1;
        for (int32_t t = 0; t < n; t++)
            counts[t] = random_below(most + 1);
        size_t elements = place(counts, n);
        size_t capacity = (size_t)blocks + random_below(random_below(3) ? 100 : 4096);
        const char *wrong = visit_all(n, blocks, capacity, elements);
        CHECK_SAYING(!wrong, "trial %d: %s (%d tensors, %d blocks, capacity %zu, %zu elements)",
                     trial, wrong, n, blocks, capacity, elements);
    }
}

static void counts_around_the_number_of_blocks_are_laid_out(void)
{
    for (int32_t blocks = 1; blocks <= MOST_BLOCKS; blocks++) {
        size_t p = (size_t)blocks;
        size_t counts[] = {0, 1, p - 1, p, p + 1, 2 * p - 1, 2 * p, 0, 1};
        int32_t n = sizeof(counts) / sizeof(counts[0]);
        size_t elements = place(counts, n);
        for (size_t capacity = p; capacity <= elements + 1; capacity++) {
            const char *wrong = visit_all(n, blocks, capacity, elements);
            CHECK_SAYING(!wrong, "%s: %d blocks, capacity %zu", wrong, blocks, capacity);
        }
    }
}

static void many_tensors_of_one_element_that_fit_take_one_round(void)
{
    size_t counts[MOST_TENSORS];
    for (int t = 0; t < MOST_TENSORS; t++)
        counts[t] = 1;
    size_t elements = place(counts, MOST_TENSORS);
    CHECK(ronde__layout(tensors, MOST_TENSORS, 8, MOST_TENSORS).rounds == 1);
    const char *wrong = visit_all(MOST_TENSORS, 8, MOST_TENSORS, elements);
    CHECK_SAYING(!wrong, "%s", wrong);
}

static void nothing_takes_no_round(void)
{
    size_t counts[] = {0, 0, 0};
    place(counts, 3);
    CHECK(ronde__layout(tensors, 3, 4, 4).rounds == 0);
    CHECK(ronde__layout(NULL, 0, 4, 4).rounds == 0);
}

static void pieces_are_in_the_order_of_blocks_then_tensors(void)
{
    size_t counts[] = {5, 2, 3}; /* in 2 blocks: 3+2, 1+1, 2+1 */
    place(counts, 3);
    struct layout layout = ronde__layout(tensors, 3, 2, 100);
    CHECK(layout.rounds == 1);
    CHECK(ronde__layout_round(&layout, tensors, ELEMENT_BYTES, 0, pieces, block_from) == 6);
    static const size_t element[] = {0, 5, 7, 3, 6, 9}, length[] = {3, 1, 2, 2, 1, 1};
    for (int i = 0; i < 6; i++) {
        CHECK(pieces[i].in == in_memory + element[i] * ELEMENT_BYTES);
        CHECK(pieces[i].out == out_memory + element[i] * ELEMENT_BYTES);
        CHECK(pieces[i].count == length[i]);
    }
    CHECK(block_from[0] == 0 && block_from[1] == 6 && block_from[2] == 10);
}

static void rounds_take_the_next_elements_of_every_block(void)
{
    size_t counts[] = {5, 2, 3}; /* block 0: 6 elements, block 1: 4 */
    place(counts, 3);
    struct layout layout = ronde__layout(tensors, 3, 2, 5); /* 2 of each block a round */
    static const size_t ends[3][2] = {{2, 4}, {2, 4}, {2, 2}};
    CHECK(layout.rounds == 3);
    for (int32_t round = 0; round < 3; round++) {
        ronde__layout_round(&layout, tensors, ELEMENT_BYTES, round, pieces, block_from);
        CHECK(block_from[1] == ends[round][0] && block_from[2] == ends[round][1]);
    }
}

static void a_side_that_is_null_stays_null(void)
{
    struct piece one = {.in = NULL, .out = out_memory, .count = 10};
    struct layout layout = ronde__layout(&one, 1, 3, 3);
    for (int32_t round = 0; round < layout.rounds; round++) {
        int32_t n = ronde__layout_round(&layout, &one, 8, round, pieces, block_from);
        for (int32_t i = 0; i < n; i++)
            CHECK(!pieces[i].in && pieces[i].out >= out_memory);
    }
    one = (struct piece){.in = in_memory, .out = NULL, .count = 10};
    CHECK(ronde__layout_round(&layout, &one, 8, 1, pieces, block_from) == 3);
    CHECK(!pieces[2].out && pieces[2].in == in_memory + (4 + 3 + 1) * 8);
}

int main(void)
{
    RUN(parts_follow_each_other_and_cover_the_tensor);
    RUN(parts_of_huge_tensors_do_not_wrap);
    RUN(every_element_appears_once_and_in_its_own_block);
    RUN(counts_around_the_number_of_blocks_are_laid_out);
    RUN(many_tensors_of_one_element_that_fit_take_one_round);
    RUN(nothing_takes_no_round);
    RUN(pieces_are_in_the_order_of_blocks_then_tensors);
    RUN(rounds_take_the_next_elements_of_every_block);
    RUN(a_side_that_is_null_stays_null);
    return check_result();
}
