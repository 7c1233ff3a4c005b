/* Merging rows by index against a search for every index's rows. */
#include "reduce/sparse.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "check.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define REFUSES_MEMORY 0 /* the sanitizer ends the program instead */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define REFUSES_MEMORY 0
#endif
#endif
#ifndef REFUSES_MEMORY
#define REFUSES_MEMORY 1
#endif

enum { MOST_ROWS = 400, MOST_ROW_COUNT = 33, MOST_BYTES = MOST_ROWS * MOST_ROW_COUNT * 8 };

static uint64_t state = 88172645463325252ull;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static struct {
    int64_t indices[MOST_ROWS];
    _Alignas(8) unsigned char values[MOST_BYTES], expected[MOST_BYTES];
} memory;

/* Any bits at all: sums of floats depend on their order. */
static void fill_values(void)
{
    for (size_t i = 0; i < MOST_BYTES; i++)
        memory.values[i] = (unsigned char)random_bits();
}

/* ---- the search ------------------------------------------------------------------------------ */

/* The smallest index above `*index`, or of all where `is_first`; 0 where there is none. */
static int find_next(int64_t *index, int is_first, size_t rows)
{
    int64_t after = *index;
    int found = 0;
    for (size_t i = 0; i < rows; i++)
        if ((is_first || memory.indices[i] > after) && (!found || memory.indices[i] < *index)) {
            *index = memory.indices[i];
            found = 1;
        }
    return found;
}

static void reduce_rows_of(const struct reduction *reduction, int64_t index, size_t rows,
                           size_t row_count, unsigned char *to)
{
    const void *sources[MOST_ROWS];
    int n = 0;
    for (size_t i = 0; i < rows; i++)
        if (memory.indices[i] == index)
            sources[n++] = memory.values + i * row_count * ronde_dtype_bytes(reduction->dtype);
    ronde__reduce(reduction, to, sources, n, row_count);
}

static void check_merge(const struct reduction *reduction, size_t rows, size_t row_count)
{
    int64_t *indices, index = 0;
    void *values;
    size_t merged, made = 0, bytes = row_count * ronde_dtype_bytes(reduction->dtype);
    CHECK(!ronde__sparse_merge(reduction, memory.indices, memory.values, rows, row_count, &indices,
                               &values, &merged));
    int wrong = 0;
    for (; find_next(&index, made == 0, rows); made++) {
        reduce_rows_of(reduction, index, rows, row_count, memory.expected + made * bytes);
        wrong |= made >= merged || indices[made] != index;
    }
    size_t size = made * bytes;
    wrong |= made != merged || !values != !size;
    wrong |= !wrong && size && memcmp(values, memory.expected, size);
    free(indices);
    free(values);
    CHECK_SAYING(!wrong, "%s %s, %zu rows of %zu elements: %zu instead of %zu",
                 ronde_dtype_name(reduction->dtype), ronde_op_name(reduction->op), rows, row_count,
                 merged, made);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void every_dtype_and_op_merges(void)
{
    static const size_t row_counts[] = {0, 1, 2, 17, 33};
    fill_values();
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++)
        for (int32_t op = 0; op < RONDE__OPS; op++)
            for (size_t c = 0; c < sizeof row_counts / sizeof *row_counts; c++) {
                if (!ronde__op_fits(op, dtype))
                    continue;
                struct reduction whole = ronde__reduction(dtype, op, 1.5, 0.5, 3);
                for (size_t i = 0; i < 40; i++)
                    memory.indices[i] = (int64_t)(random_bits() % 13) - 6;
                check_merge(&whole, 40, row_counts[c]);
            }
}

/* `spread` different indices: from all equal to hardly any duplicate. */
static void any_number_of_rows_and_duplicates_merges(void)
{
    struct reduction sum = ronde__reduction(RONDE_BFLOAT16, RONDE_SUM, 1, 1, 1);
    fill_values();
    for (size_t rows = 0; rows <= MOST_ROWS; rows += 1 + rows / 8)
        for (uint64_t spread = 1; spread < 4 * MOST_ROWS; spread *= 5) {
            for (size_t i = 0; i < rows; i++)
                memory.indices[i] = (int64_t)(random_bits() % spread * 1000);
            check_merge(&sum, rows, 3);
        }
}

static void sorted_and_reversed_rows_merge(void)
{
    struct reduction sum = ronde__reduction(RONDE_FLOAT32, RONDE_SUM, 1, 1, 1);
    fill_values();
    for (int shape = 0; shape < 4; shape++) {
        for (int i = 0; i < 100; i++)
            memory.indices[i] = (shape & 1 ? 100 - i : i) / (shape & 2 ? 3 : 1);
        check_merge(&sum, 100, 5);
    }
}

static void the_ends_of_the_indices_are_in_order(void)
{
    static const int64_t indices[] = {5, INT64_MAX, -1, INT64_MIN, 0, INT64_MIN, INT64_MAX, -1};
    static const int64_t sorted[] = {INT64_MIN, -1, 0, 5, INT64_MAX};
    static const int32_t values[] = {1, 2, 4, 8, 16, 32, 64, 128}, sums[] = {40, 132, 16, 1, 66};
    struct reduction sum = ronde__reduction(RONDE_INT32, RONDE_SUM, 1, 1, 1);
    int64_t *merged_indices;
    void *merged;
    size_t rows;
    CHECK(!ronde__sparse_merge(&sum, indices, values, 8, 1, &merged_indices, &merged, &rows));
    int right = rows == 5 && !memcmp(merged_indices, sorted, sizeof sorted) &&
                !memcmp(merged, sums, sizeof sums);
    free(merged_indices);
    free(merged);
    CHECK(right);
}

/* Large and small float32 whose sum tells their order. */
static void rows_are_added_in_the_order_in_which_they_come(void)
{
    static const int64_t indices[] = {7, 3, 7, 3, 7, 3};
    static const float values[] = {1e8f, 1, -1e8f, 1e8f, 1, -1e8f};
    struct reduction sum = ronde__reduction(RONDE_FLOAT32, RONDE_SUM, 1, 1, 1);
    int64_t *merged_indices;
    void *merged;
    size_t rows;
    CHECK(!ronde__sparse_merge(&sum, indices, values, 6, 1, &merged_indices, &merged, &rows));
    float of_3 = ((float *)merged)[0], of_7 = ((float *)merged)[1];
    free(merged_indices);
    free(merged);
    CHECK(rows == 2 && of_3 == 0 && of_7 == 1);
}

static void averages_divide_single_rows_too(void)
{
    static const int64_t indices[] = {1, 0, 1};
    static const double values[] = {3, 5, 5};
    struct reduction average = ronde__reduction(RONDE_FLOAT64, RONDE_AVERAGE, 1, 1, 2);
    int64_t *merged_indices;
    void *merged;
    size_t rows;
    CHECK(!ronde__sparse_merge(&average, indices, values, 3, 1, &merged_indices, &merged, &rows));
    double of_0 = ((double *)merged)[0], of_1 = ((double *)merged)[1];
    free(merged_indices);
    free(merged);
    CHECK(rows == 2 && of_0 == 2.5 && of_1 == 4);
}

static void nothing_makes_nothing(void)
{
    struct reduction sum = ronde__reduction(RONDE_INT8, RONDE_SUM, 1, 1, 1);
    int64_t *indices = memory.indices;
    void *values = memory.values;
    size_t rows = 5;
    CHECK(!ronde__sparse_merge(&sum, NULL, NULL, 0, 4, &indices, &values, &rows));
    CHECK(!indices && !values && !rows);
    values = memory.values;
    CHECK(
        !ronde__sparse_merge(&sum, (const int64_t[]){4, 4}, NULL, 2, 0, &indices, &values, &rows));
    int right = rows == 1 && indices && indices[0] == 4 && !values;
    free(indices);
    CHECK(right);
}

static void what_memory_cannot_hold_is_refused(void)
{
    struct reduction sum = ronde__reduction(RONDE_FLOAT64, RONDE_SUM, 1, 1, 1);
    int64_t *indices = NULL;
    void *values = NULL;
    size_t rows = 5;
    CHECK(ronde__sparse_merge(&sum, memory.indices, memory.values, SIZE_MAX / 4, 1, &indices,
                              &values, &rows) == RONDE_ERR_OVERFLOW);
    CHECK(ronde__sparse_merge(&sum, memory.indices, memory.values, 2, SIZE_MAX / 8, &indices,
                              &values, &rows) == RONDE_ERR_OVERFLOW);
    CHECK(ronde__sparse_merge(&sum, memory.indices, memory.values, 1 << 20, (size_t)1 << 42,
                              &indices, &values, &rows) == RONDE_ERR_OVERFLOW);
    if (REFUSES_MEMORY)
        CHECK(ronde__sparse_merge(&sum, memory.indices, memory.values, PTRDIFF_MAX / 64, 1,
                                  &indices, &values, &rows) == RONDE_ERR_MEMORY);
    CHECK(!indices && !values && rows == 5);
}

int main(void)
{
    RUN(every_dtype_and_op_merges);
    RUN(any_number_of_rows_and_duplicates_merges);
    RUN(sorted_and_reversed_rows_merge);
    RUN(the_ends_of_the_indices_are_in_order);
    RUN(rows_are_added_in_the_order_in_which_they_come);
    RUN(averages_divide_single_rows_too);
    RUN(nothing_makes_nothing);
    RUN(what_memory_cannot_hold_is_refused);
    return check_result();
}
