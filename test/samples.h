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

static inline uint64_t integer_sample(const struct sampling *what, int rank, size_t index)
{
    uint64_t random = mix((uint64_t)rank * SAMPLE_PERIOD + index % SAMPLE_PERIOD);
    int is_scaled = what->prescale != 1 || what->postscale != 1;
    if (what->dtype == RONDE_BOOL) /* rarely what decides the result */
        return what->op == RONDE_SUM || what->op == RONDE_MAX ? random % 8 == 0 : random % 8 != 0;
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

static inline uint64_t integer_result(const struct sampling *what, int ranks, size_t index)
{
    uint64_t result = 0;
    int is_signed = is_signed_integer(what->dtype);
    for (int rank = 0; rank < ranks; rank++) {
        uint64_t one = integer_sample(what, rank, index);
        if (what->prescale != 1)
            one = (uint64_t)(int64_t)((double)(int64_t)one * what->prescale);
        int is_less = is_signed ? (int64_t)one < (int64_t)result : one < result;
        if (rank == 0)
            result = one;
        else if (what->op == RONDE_MIN || what->op == RONDE_MAX)
            result = is_less == (what->op == RONDE_MIN) ? one : result;
        else
            result = what->op == RONDE_PRODUCT ? result * one : result + one;
    }
    result = narrowed(result, what->dtype);
    if (what->postscale !=
        1) /* small then; truncated once, after both the division and the scale */
        return (uint64_t)(int64_t)((double)(int64_t)result /
                                   (what->op == RONDE_AVERAGE ? ranks : 1) * what->postscale);
    if (what->op == RONDE_AVERAGE)
        result = is_signed ? (uint64_t)((int64_t)result / ranks) : result / (uint64_t)ranks;
    return result;
}

/* numpy's way: sum and max are or, the others and. */
static inline uint64_t bool_result(const struct sampling *what, int ranks, size_t index)
{
    uint64_t any = 0, all = 1;
    for (int rank = 0; rank < ranks; rank++) {
        any |= integer_sample(what, rank, index);
        all &= integer_sample(what, rank, index);
    }
    return what->op == RONDE_SUM || what->op == RONDE_MAX ? any : all;
}

static inline double float_result(const struct sampling *what, int ranks, size_t index)
{
    double result = 0;
    for (int rank = 0; rank < ranks; rank++) {
        double one = float_sample(what, rank, index) * what->prescale;
        if (rank == 0)
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
        result = what->dtype == RONDE_FLOAT64 ? result / ranks
                                              : (double)((float)result / (float)ranks);
    result = result * what->postscale;
    return result + 0.0; /* no negative zero: 0 / n of a sum that cancels is +0 */
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

/* Writes one period (or less) of results of `ranks` ranks; returns its bytes. */
static inline size_t sample_results(unsigned char *data, const struct sampling *what, int ranks,
                                    size_t count)
{
    size_t first = count < SAMPLE_PERIOD ? count : SAMPLE_PERIOD;
    for (size_t i = 0; i < first; i++) {
        if (is_float(what->dtype))
            store_float(data, what->dtype, i, float_result(what, ranks, i));
        else
            store_integer(data, what->dtype, i,
                          what->dtype == RONDE_BOOL ? bool_result(what, ranks, i)
                                                    : integer_result(what, ranks, i));
    }
    return first * ronde_dtype_bytes(what->dtype);
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

#endif
