/* Values for reductions, and what must come out of them, exactly.
 *
 * A sample depends on (rank, index modulo 251): 251 is prime, so data that are moved by a slice, a
 * block or a piece do not fit by accident. All results are exact in any order of combination:
 * integers wrap (sums and products are those modulo 2^bits), floats are small integers, or
 * powers of two where they are multiplied. */
#ifndef RONDE_TEST_SAMPLES_H
#define RONDE_TEST_SAMPLES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "ronde.h"
#include "trial.h"

enum { SAMPLE_PERIOD = 251 };

/* What is reduced, as far as its value depends on it. */
struct sampling {
    int32_t dtype, op;
    double prescale, postscale; /* integers: whole numbers from 1 to 2; floats: powers of two */
};

static inline int is_float(int32_t dtype)
{
    return dtype >= RONDE_FLOAT16;
}

static inline int is_logical(int32_t op)
{
    return op == RONDE_LOGICAL_AND || op == RONDE_LOGICAL_OR;
}

static inline int is_bitwise(int32_t op)
{
    return op == RONDE_BITWISE_AND || op == RONDE_BITWISE_OR;
}

/* 1 where the library reduces this dtype by this op, of those up to RONDE_BITWISE_OR. */
static inline int op_suits(int32_t op, int32_t dtype)
{
    return !is_float(dtype) || !(is_logical(op) || is_bitwise(op));
}

static inline int is_signed_integer(int32_t dtype)
{
    return dtype == RONDE_INT8 || dtype == RONDE_INT16 || dtype == RONDE_INT32 ||
           dtype == RONDE_INT64;
}

/* ---- storing one element --------------------------------------------------------------------- */

/* binary16 nearest to `value`, ties to even. The power of two of its last bit is found first, then
 * the value is rounded to a multiple of it. */
static inline uint16_t half_bits(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    int exponent;
    double size = fabs(value), whole;
    if (isnan(value))
        return 0x7e00;
    if (isinf(value) || size >= 65520.0)
        return sign | 0x7c00;
    frexp(size, &exponent); /* size = [0.5, 1) * 2^exponent */
    if (size == 0 || exponent < -13)
        exponent = -13;
    whole = ldexp(size, 11 - exponent) + 0x1p52 - 0x1p52; /* 0 .. 2048, whole, ties to even */
    return (uint16_t)(sign + ((exponent + 13) << 10) + (int)whole);
}

static inline uint16_t bfloat_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static inline double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double size = exponent == 31  ? ((bits & 1023) ? (double)NAN : (double)INFINITY)
                  : exponent == 0 ? ldexp(bits & 1023, -24)
                                  : ldexp((bits & 1023) + 1024, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

static inline double float_value(const unsigned char *data, int32_t dtype, size_t index)
{
    const unsigned char *at = data + index * ronde_dtype_bytes(dtype);
    uint16_t bits;
    uint32_t wide;
    float single;
    double value;
    switch (dtype) {
    case RONDE_FLOAT16: memcpy(&bits, at, 2); return half_value(bits);
    case RONDE_BFLOAT16:
        memcpy(&bits, at, 2);
        wide = (uint32_t)bits << 16;
        memcpy(&single, &wide, 4);
        return (double)single;
    case RONDE_FLOAT32: memcpy(&single, at, 4); return (double)single;
    default: memcpy(&value, at, 8); return value;
    }
}

static inline void store_float(unsigned char *data, int32_t dtype, size_t index, double value)
{
    unsigned char *at = data + index * ronde_dtype_bytes(dtype);
    float single = (float)value;
    uint16_t half = dtype == RONDE_FLOAT16 ? half_bits(value) : bfloat_bits(single);
    if (dtype == RONDE_FLOAT64)
        memcpy(at, &value, 8);
    else if (dtype == RONDE_FLOAT32)
        memcpy(at, &single, 4);
    else
        memcpy(at, &half, 2);
}

/* The low bytes, as this machine (little-endian, like all that the library knows) stores them. */
static inline void store_integer(unsigned char *data, int32_t dtype, size_t index, uint64_t value)
{
    size_t bytes = ronde_dtype_bytes(dtype);
    memcpy(data + index * bytes, &value, bytes);
}

/* The value that an integer of this dtype keeps of `value`, extended to 64 bits by its sign. */
static inline uint64_t narrowed(uint64_t value, int32_t dtype)
{
    unsigned drop = 64 - 8 * (unsigned)ronde_dtype_bytes(dtype);
    value <<= drop;
    return is_signed_integer(dtype) ? (uint64_t)((int64_t)value >> drop) : value >> drop;
}

/* ---- samples --------------------------------------------------------------------------------- */

static inline int is_or_of_bools(int32_t op)
{
    return op == RONDE_SUM || op == RONDE_MAX || op == RONDE_LOGICAL_OR || op == RONDE_BITWISE_OR;
}

static inline uint64_t integer_sample(const struct sampling *what, int rank, size_t index)
{
    uint64_t random = mix((uint64_t)rank * SAMPLE_PERIOD + index % SAMPLE_PERIOD);
    uint64_t other = mix(random), third = mix(other), any = narrowed(other, what->dtype);
    int is_scaled = what->prescale != 1 || what->postscale != 1;
    if (what->dtype == RONDE_BOOL) /* rarely what decides the result */
        return is_or_of_bools(what->op) ? random % 8 == 0 : random % 8 != 0;
    if (is_logical(what->op)) /* true is any value but 0 */
        return (random % 8 == 0) == (what->op == RONDE_LOGICAL_OR) ? (any ? any : 2) : 0;
    if (is_bitwise(what->op))
        return narrowed(what->op == RONDE_BITWISE_AND ? random | other | third
                                                      : random & other & third,
                        what->dtype);
    if (what->op != RONDE_AVERAGE && !is_scaled)
        return narrowed(random, what->dtype); /* any value: sums and products wrap */
    if (is_signed_integer(what->dtype))
        return is_scaled ? random % 7 - 3 : random % 31 - 15;
    return is_scaled ? random % 5 : random % 29; /* 8 * 28 < 256 */
}

static inline double float_sample(const struct sampling *what, int rank, size_t index)
{
    static const double factors[] = {1, 2, -1, 0.5, -2, 1, -0.5};
    uint64_t random = mix((uint64_t)rank * SAMPLE_PERIOD + index % SAMPLE_PERIOD);
    return what->op == RONDE_PRODUCT ? factors[random % 7] : (double)(int)(random % 31) - 15;
}

/* b more into what was a; both as 64 bits. */
static inline uint64_t integers_combined(int32_t op, int is_signed, uint64_t a, uint64_t b)
{
    int is_less = is_signed ? (int64_t)b < (int64_t)a : b < a;
    switch (op) {
    case RONDE_MIN: return is_less ? b : a;
    case RONDE_MAX: return is_less ? a : b;
    case RONDE_PRODUCT: return a * b;
    case RONDE_LOGICAL_AND: return a && b;
    case RONDE_LOGICAL_OR: return a || b;
    case RONDE_BITWISE_AND: return a & b;
    case RONDE_BITWISE_OR: return a | b;
    default: return a + b;
    }
}

/* `divisor` is what an average divides by. */
static inline uint64_t integer_result(const struct sampling *what, const struct members *members,
                                      int divisor, size_t index)
{
    uint64_t result = 0;
    int is_signed = is_signed_integer(what->dtype);
    for (int i = 0; i < members->n; i++) {
        uint64_t one = integer_sample(what, members->ranks[i], index);
        if (what->prescale != 1)
            one = (uint64_t)(int64_t)((double)(int64_t)one * what->prescale);
        one = is_logical(what->op) ? one != 0 : one;
        result = i == 0 ? one : integers_combined(what->op, is_signed, result, one);
    }
    result = narrowed(result, what->dtype);
    divisor = what->op == RONDE_AVERAGE ? divisor : 1;
    if (what->postscale !=
        1) /* small then; truncated once, after both the division and the scale */
        return (uint64_t)(int64_t)((double)(int64_t)result / divisor * what->postscale);
    if (divisor != 1)
        result = is_signed ? (uint64_t)((int64_t)result / divisor) : result / (uint64_t)divisor;
    return result;
}

/* numpy's way: sum and max are or, the others and. */
static inline uint64_t bool_result(const struct sampling *what, const struct members *members,
                                   size_t index)
{
    uint64_t any = 0, all = 1;
    for (int i = 0; i < members->n; i++) {
        any |= integer_sample(what, members->ranks[i], index);
        all &= integer_sample(what, members->ranks[i], index);
    }
    return is_or_of_bools(what->op) ? any : all;
}

static inline double float_result_of(const struct sampling *what, const struct members *members,
                                     int divisor, size_t index)
{
    double result = 0;
    for (int i = 0; i < members->n; i++) {
        double one = float_sample(what, members->ranks[i], index) * what->prescale;
        if (i == 0)
            result = one;
        else if (what->op == RONDE_PRODUCT)
            result *= one;
        else if (what->op == RONDE_MIN || what->op == RONDE_MAX)
            result = (one < result) == (what->op == RONDE_MIN) ? one : result;
        else
            result += one;
    }
    /* The one step that may round, in the precision in which the library computes. */
    if (what->op == RONDE_AVERAGE)
        result = what->dtype == RONDE_FLOAT64 ? result / divisor
                                              : (double)((float)result / (float)divisor);
    result = result * what->postscale;
    int picks = what->op == RONDE_MIN || what->op == RONDE_MAX;
    return picks ? result : result + 0.0; /* 0 / n of a sum that cancels is +0 */
}

static inline double float_result(const struct sampling *what, int ranks, size_t index)
{
    struct members members = members_first(ranks);
    return float_result_of(what, &members, ranks, index);
}

static inline void repeat_period(unsigned char *data, size_t bytes, size_t done)
{
    for (; done < bytes; done *= 2)
        memcpy(data + done, data, done < bytes - done ? done : bytes - done);
}

/* Writes `count` samples of a rank. */
static inline void sample_fill(unsigned char *data, const struct sampling *what, int rank,
                               size_t count)
{
    size_t first = count < SAMPLE_PERIOD ? count : SAMPLE_PERIOD,
           bytes = ronde_dtype_bytes(what->dtype);
    for (size_t i = 0; i < first; i++) {
        if (is_float(what->dtype))
            store_float(data, what->dtype, i, float_sample(what, rank, i));
        else
            store_integer(data, what->dtype, i, integer_sample(what, rank, i));
    }
    repeat_period(data, count * bytes, first * bytes);
}

/* Writes one period (or less) of results of these ranks; returns its bytes. */
static inline size_t sample_results_of(unsigned char *data, const struct sampling *what,
                                       const struct members *members, int divisor, size_t count)
{
    size_t first = count < SAMPLE_PERIOD ? count : SAMPLE_PERIOD;
    for (size_t i = 0; i < first; i++) {
        if (is_float(what->dtype))
            store_float(data, what->dtype, i, float_result_of(what, members, divisor, i));
        else
            store_integer(data, what->dtype, i,
                          what->dtype == RONDE_BOOL ? bool_result(what, members, i)
                                                    : integer_result(what, members, divisor, i));
    }
    return first * ronde_dtype_bytes(what->dtype);
}

/* Those of the ranks 0 to ranks - 1. */
static inline size_t sample_results(unsigned char *data, const struct sampling *what, int ranks,
                                    size_t count)
{
    struct members members = members_first(ranks);
    return sample_results_of(data, what, &members, ranks, count);
}

/* The first element of `data` that is not `period` repeated, or `count`. */
static inline size_t first_difference(const unsigned char *data, size_t count, size_t element_bytes,
                                      const unsigned char *period, size_t period_bytes)
{
    size_t bytes = count * element_bytes;
    for (size_t at = 0; at < bytes; at += period_bytes) {
        size_t n = period_bytes < bytes - at ? period_bytes : bytes - at, i = 0;
        if (memcmp(data + at, period, n) == 0)
            continue;
        while (data[at + i] == period[i])
            i++;
        return (at + i) / element_bytes;
    }
    return count;
}

/* The same for a part of what repeats, which begins with its element `first`. */
static inline size_t first_difference_from(const unsigned char *data, size_t first, size_t count,
                                           size_t element_bytes, const unsigned char *period,
                                           size_t period_bytes)
{
    size_t elements = period_bytes / element_bytes;
    for (size_t i = 0; i < count; i++)
        if (memcmp(data + i * element_bytes, period + (first + i) % elements * element_bytes,
                   element_bytes) != 0)
            return i;
    return count;
}

/* Values of either sign over many powers of two, so that nearly every sum of them rounds. */
static inline void rough_fill(unsigned char *data, int32_t dtype, int rank, uint64_t seed,
                              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t random = mix((seed * 64 + (uint64_t)rank) << 32 | i);
        double value = (double)(int64_t)(random & 0xffffffff) / 0x1p31 - 1; /* [-1, 1) */
        store_float(data, dtype, i, value / (double)(1 << (random >> 32) % 10));
    }
}

#endif
