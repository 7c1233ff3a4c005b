/* Sorts (index, row) by index with a merge sort from the bottom, which keeps the order of equals;
 * then every run of equals is one reduction with that many sources. */
#include "reduce/sparse.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "base/status.h"

struct entry {
    int64_t index;
    size_t row;
};

struct rows {
    struct entry *sorted, *spare;
    size_t count, row_bytes;
};

/* ---- sorting --------------------------------------------------------------------------------- */

/* The sorted runs [0, middle) and [middle, count) as one. Of equals the first run's come first. */
static void merge(struct entry *to, const struct entry *from, size_t middle, size_t count)
{
    size_t a = 0, b = middle;
    if (middle >= count || from[middle - 1].index <= from[middle].index) {
        memcpy(to, from, count * sizeof *to);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int first = b == count || (a < middle && from[a].index <= from[b].index);
        to[i] = first ? from[a++] : from[b++];
    }
}

static int is_sorted(const struct rows *r)
{
    for (size_t i = 1; i < r->count; i++)
        if (r->sorted[i - 1].index > r->sorted[i].index)
            return 0;
    return 1;
}

static void sort(struct rows *r)
{
    if (is_sorted(r))
        return;
    for (size_t run = 1; run < r->count; run *= 2) {
        for (size_t at = 0; at < r->count; at += 2 * run) {
            size_t left = r->count - at, now = left < 2 * run ? left : 2 * run;
            merge(r->spare + at, r->sorted + at, run, now);
        }
        struct entry *swapped = r->sorted;
        r->sorted = r->spare;
        r->spare = swapped;
    }
}

/* ---- runs of equals -------------------------------------------------------------------------- */

/* How many entries from `at` on have its index. */
static size_t run_at(const struct rows *r, size_t at)
{
    size_t end = at + 1;
    while (end < r->count && r->sorted[end].index == r->sorted[at].index)
        end++;
    return end - at;
}

static void count_runs(const struct rows *r, size_t *runs, size_t *longest)
{
    *runs = *longest = 0;
    for (size_t at = 0, run; at < r->count; at += run) {
        run = run_at(r, at);
        *longest = run > *longest ? run : *longest;
        *runs += 1;
    }
}

static void reduce_runs(const struct reduction *reduction, const struct rows *r, const char *values,
                        const void **sources, int64_t *indices, char *merged, size_t row_count)
{
    size_t made = 0;
    for (size_t at = 0, run; at < r->count; at += run, made++) {
        run = run_at(r, at);
        indices[made] = r->sorted[at].index;
        if (!r->row_bytes)
            continue;
        for (size_t i = 0; i < run; i++)
            sources[i] = values + r->sorted[at + i].row * r->row_bytes;
        ronde__reduce(reduction, merged + made * r->row_bytes, sources, (int)run, row_count);
    }
}

/* ---- merging --------------------------------------------------------------------------------- */

static int32_t measure(struct rows *r, int32_t dtype, size_t row_count)
{
    int32_t status = ronde__bytes_of(row_count, dtype, &r->row_bytes);
    if (status)
        return status;
    size_t widest = r->row_bytes > 2 * sizeof(struct entry) ? r->row_bytes
                                                            : 2 * sizeof(struct entry);
    if (r->count > (size_t)PTRDIFF_MAX / widest)
        return ronde__fail(RONDE_ERR_OVERFLOW,
                           "%zu rows of %zu elements of %s exceed the address space", r->count,
                           row_count, ronde_dtype_name(dtype));
    return RONDE_OK;
}

static int32_t merge_sorted(const struct reduction *reduction, const struct rows *r,
                            const void *values, size_t row_count, int64_t **merged_indices,
                            void **merged_values, size_t *merged_rows)
{
    size_t runs, longest;
    count_runs(r, &runs, &longest);
    if (longest > INT_MAX)
        return ronde__fail(RONDE_ERR_OVERFLOW, "%zu rows have one index, at most %d may", longest,
                           INT_MAX);
    size_t bytes = runs * r->row_bytes;
    const void **sources = malloc(longest * sizeof *sources);
    int64_t *indices = malloc(runs * sizeof *indices);
    char *merged = bytes ? malloc(bytes) : NULL;
    if (!sources || !indices || (bytes && !merged)) {
        free(sources);
        free(indices);
        free(merged);
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu merged rows of %zu bytes", runs,
                           r->row_bytes);
    }
    reduce_runs(reduction, r, values, sources, indices, merged, row_count);
    free(sources);
    *merged_indices = indices;
    *merged_values = merged;
    *merged_rows = runs;
    return RONDE_OK;
}

int32_t ronde__sparse_merge(const struct reduction *reduction, const int64_t *indices,
                            const void *values, size_t rows, size_t row_count,
                            int64_t **merged_indices, void **merged_values, size_t *merged_rows)
{
    struct rows r = {.count = rows};
    int32_t status = measure(&r, reduction->dtype, row_count);
    if (status)
        return status;
    if (!rows) {
        *merged_indices = NULL;
        *merged_values = NULL;
        *merged_rows = 0;
        return RONDE_OK;
    }
    struct entry *entries = malloc(2 * rows * sizeof *entries);
    if (!entries)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to sort %zu rows", rows);
    r.sorted = entries;
    r.spare = entries + rows;
    for (size_t i = 0; i < rows; i++)
        entries[i] = (struct entry){indices[i], i};
    sort(&r);
    status = merge_sorted(reduction, &r, values, row_count, merged_indices, merged_values,
                          merged_rows);
    free(entries);
    return status;
}
