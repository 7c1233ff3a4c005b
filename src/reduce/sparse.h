/* Rows of a larger tensor with the index that each has in it, merged. */
#ifndef RONDE_REDUCE_SPARSE_H
#define RONDE_REDUCE_SPARSE_H

#include "reduce/reduce.h"

/* Makes one row of all `rows` rows of row_count elements that have the same index: the reduction of
 * them in the order in which they come, scales and divisor included, in one pass (halves are
 * rounded once). The result is sorted by index, without duplicates. An index without duplicates is
 * scaled and divided like the others. The caller frees both arrays; each is NULL where it holds
 * nothing. RONDE_ERR_MEMORY, RONDE_ERR_OVERFLOW. Cost: O(rows log rows) comparisons (O(rows) where
 * they come in order), each value read once. */
int32_t ronde__sparse_merge(const struct reduction *reduction, const int64_t *indices,
                            const void *values, size_t rows, size_t row_count,
                            int64_t **merged_indices, void **merged_values, size_t *merged_rows);

#endif
