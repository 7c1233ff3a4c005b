/* What ranks put into an operation of the stress test, and what must come out, bit for bit. */
#ifndef RONDE_TEST_STRESS_DATA_H
#define RONDE_TEST_STRESS_DATA_H

#include "plan.h"

/* ---- what is moved --------------------------------------------------------------------------- */

enum { PATTERN_WORDS = 127, PATTERN_BYTES = 8 * PATTERN_WORDS };

/* The bytes of one rank in one operation, over and over; 127 is prime. */
static inline void pattern_make(const struct operation *op, int rank, unsigned char *pattern)
{
    for (size_t i = 0; i < PATTERN_WORDS; i++) {
        uint64_t word = mix((uint64_t)salted(op, rank) * 128 + i);
        if (op->dtype == RONDE_BOOL)
            word &= UINT64_C(0x0101010101010101);
        memcpy(pattern + 8 * i, &word, 8);
    }
}

static inline void pattern_fill(const struct operation *op, int rank, unsigned char *data,
                                size_t bytes)
{
    unsigned char pattern[PATTERN_BYTES];
    size_t first = bytes < PATTERN_BYTES ? bytes : PATTERN_BYTES;
    pattern_make(op, rank, pattern);
    if (first)
        memcpy(data, pattern, first);
    repeat_period(data, bytes, first);
}

/* 1 where the bytes are those of the rank from `from` on. */
static inline int pattern_is(const struct operation *op, int rank, size_t from,
                             const unsigned char *data, size_t bytes)
{
    unsigned char pattern[PATTERN_BYTES];
    pattern_make(op, rank, pattern);
    for (size_t at = 0; at < bytes;) {
        size_t place = (from + at) % PATTERN_BYTES, n = PATTERN_BYTES - place;
        n = n < bytes - at ? n : bytes - at;
        if (memcmp(data + at, pattern + place, n) != 0)
            return 0;
        at += n;
    }
    return 1;
}

/* ---- what is reduced ------------------------------------------------------------------------- */

/* Small numbers for a weighted average; for Adasum vectors that are equal, or of which each has its
 * own elements: then the adaptive sum is the vector, or the sum, without rounding. */
static inline struct sampling sampling_of(const struct operation *op)
{
    struct sampling what = {op->dtype, op->op, op->prescale, op->postscale};
    what.op = op->op == RONDE_WEIGHTED_AVERAGE ? RONDE_AVERAGE
              : op->op == RONDE_ADASUM         ? RONDE_SUM
                                               : op->op;
    return what;
}

static inline int is_orthogonal(const struct operation *op)
{
    return op->number % 2;
}

static inline double adasum_sample(const struct operation *op, int rank, size_t index)
{
    struct sampling what = sampling_of(op);
    if (is_orthogonal(op) && index % SAMPLE_PERIOD % MOST_RANKS != (size_t)rank)
        return 0;
    return float_sample(&what, salted(op, 0), index);
}

static inline void reduction_fill(const struct operation *op, int rank, unsigned char *data,
                                  size_t count)
{
    struct sampling what = sampling_of(op);
    size_t first = count < SAMPLE_PERIOD ? count : SAMPLE_PERIOD;
    size_t bytes = ronde_dtype_bytes(op->dtype);
    if (op->op != RONDE_ADASUM) {
        sample_fill(data, &what, salted(op, rank), count);
        return;
    }
    for (size_t i = 0; i < first; i++)
        store_float(data, op->dtype, i, adasum_sample(op, rank, i));
    repeat_period(data, count * bytes, first * bytes);
}

static inline void adasum_result(const struct operation *op, unsigned char *data, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double sum = is_orthogonal(op) ? 0 : adasum_sample(op, 0, i);
        for (int k = 0; k < op->present.n && is_orthogonal(op); k++)
            sum += adasum_sample(op, op->present.ranks[k], i);
        store_float(data, op->dtype, i, sum);
    }
}

static inline void weighted_result(const struct operation *op, unsigned char *data, size_t count)
{
    struct sampling what = sampling_of(op);
    for (size_t i = 0; i < count; i++) {
        double sum = 0, whole = 0;
        for (int k = 0; k < op->present.n; k++) {
            int rank = op->present.ranks[k], salt = salted(op, rank);
            double one = is_float(op->dtype) ? float_sample(&what, salt, i)
                                             : (double)(int64_t)integer_sample(&what, salt, i);
            sum += weight_of(op, rank) * one;
            whole += weight_of(op, rank);
        }
        if (is_float(op->dtype))
            store_float(data, op->dtype, i, sum / whole + 0.0);
        else
            store_integer(data, op->dtype, i, (uint64_t)(int64_t)(sum / whole));
    }
}

static inline int divisor_of(const struct operation *op)
{
    return op->divide == RONDE_DIVIDE_SIZE ? op->set->members.n : op->present.n;
}

/* One period of the result. */
static inline size_t reduction_result(const struct operation *op, unsigned char *data, size_t count)
{
    struct sampling what = sampling_of(op);
    struct members members = salted_members(op);
    count = count < SAMPLE_PERIOD ? count : SAMPLE_PERIOD;
    if (op->op == RONDE_ADASUM)
        adasum_result(op, data, count);
    else if (op->op == RONDE_WEIGHTED_AVERAGE)
        weighted_result(op, data, count);
    else
        sample_results_of(data, &what, &members, divisor_of(op), count);
    return count * ronde_dtype_bytes(op->dtype);
}

/* 1 where `data` is the elements [first, first + count) of the result, which has `all`. */
static inline int reduction_is(const struct operation *op, size_t first, size_t all,
                               const unsigned char *data, size_t count)
{
    unsigned char period[8 * SAMPLE_PERIOD];
    size_t bytes = reduction_result(op, period, all), element = ronde_dtype_bytes(op->dtype);
    if (!count)
        return 1;
    if (first == 0)
        return first_difference(data, count, element, period, bytes) == count;
    return first_difference_from(data, first, count, element, period, bytes) == count;
}

/* ---- sparse tensors -------------------------------------------------------------------------- */

/* Rows fall into slots, which are indices apart from each other. A rank's rows are of different
 * slots, or, where the result allows it, of each slot two. */
static inline int has_twins(const struct operation *op)
{
    return op->op == RONDE_SUM && op->prescale == 1 && op->postscale == 1;
}

static inline size_t slots_of(const struct operation *op)
{
    return op->count + (size_t)op->number % 5 + 1;
}

static inline size_t slot_of(const struct operation *op, int rank, size_t row)
{
    return ((has_twins(op) ? row / 2 : row) * 3 + (size_t)rank * 5) % slots_of(op);
}

/* 3 may divide the number of slots: then fewer rows than count are of different slots. */
static inline size_t sparse_rows(const struct operation *op, int rank)
{
    size_t rows = rows_of(op, rank), most = slots_of(op) / (slots_of(op) % 3 ? 1 : 3);
    most *= has_twins(op) ? 2 : 1;
    return rows < most ? rows : most;
}

static inline int64_t index_of(const struct operation *op, size_t slot)
{
    return (int64_t)slot * (op->number % 3 ? 7 : INT64_C(1000000007)) + op->number % 100;
}

static inline int twin(const struct operation *op, int rank, size_t row)
{
    return salted(op, rank) + (has_twins(op) ? MOST_RANKS * (int)(row % 2) : 0);
}

static inline void sparse_fill(const struct operation *op, int rank, int64_t *indices,
                               unsigned char *values)
{
    struct sampling what = sampling_of(op);
    size_t n = op->row_count;
    for (size_t row = 0; row < sparse_rows(op, rank); row++) {
        size_t slot = slot_of(op, rank, row);
        int salt = twin(op, rank, row);
        indices[row] = index_of(op, slot);
        for (size_t i = 0; i < n; i++)
            if (is_float(op->dtype))
                store_float(values, op->dtype, row * n + i,
                            float_sample(&what, salt, slot * n + i));
            else
                store_integer(values, op->dtype, row * n + i,
                              integer_sample(&what, salt, slot * n + i));
    }
}

/* The rows of one slot, as ranks that would contribute them. */
static inline struct members slot_members(const struct operation *op, size_t slot)
{
    struct members members = {0, {0}};
    for (int k = 0; k < op->present.n; k++)
        for (size_t row = 0; row < sparse_rows(op, op->present.ranks[k]); row++)
            if (slot_of(op, op->present.ranks[k], row) == slot)
                members.ranks[members.n++] = twin(op, op->present.ranks[k], row);
    return members;
}

static inline int sparse_is(const struct operation *op, const int64_t *indices,
                            const unsigned char *values, size_t rows)
{
    struct sampling what = sampling_of(op);
    size_t found = 0, n = op->row_count, element = ronde_dtype_bytes(op->dtype);
    for (size_t slot = 0; slot < slots_of(op); slot++) {
        struct members members = slot_members(op, slot);
        unsigned char period[8 * SAMPLE_PERIOD];
        if (!members.n)
            continue;
        if (found == rows || indices[found] != index_of(op, slot))
            return 0;
        sample_results_of(period, &what, &members, divisor_of(op), SAMPLE_PERIOD);
        if (first_difference_from(values + found * n * element, slot * n, n, element, period,
                                  SAMPLE_PERIOD * element) != n)
            return 0;
        found++;
    }
    return found == rows;
}

#endif
