/* Reductions one element at a time, in the plainest C, to compare the kernels with. Shares nothing
 * with them: halves convert by powers of two in double, integers are 64 bits wide and cut. */
#ifndef RONDE_TEST_REFERENCE_H
#define RONDE_TEST_REFERENCE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/dtype.h"
#include "reduce/reduce.h"

static inline float float_of_half(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                  : exponent     ? ldexpf((float)(1024 + mantissa), exponent - 25)
                                 : ldexpf((float)mantissa, -24);
    return h & 0x8000 ? -value : value;
}

static inline uint16_t half_of_float(float value)
{
    double magnitude = fabs((double)value);
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (value != value)
        return 0x7e00;
    if (magnitude >= 65520)
        return sign | 0x7c00;
    int exponent = magnitude < 0x1p-14 ? -14 : ilogb(magnitude);
    int units = (int)nearbyint(ldexp(magnitude, 10 - exponent));
    return sign | (uint16_t)(units + (exponent + 14) * 1024);
}

static inline float float_of_bfloat(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* The nearer of the two neighbours, infinity being worth 2^128. */
static inline uint16_t bfloat_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (value != value)
        return 0x7fc0;
    if (isinf(value))
        return (uint16_t)(bits >> 16);
    uint16_t low = (uint16_t)(bits >> 16), high = (uint16_t)(low + 1);
    double to = (high & 0x7fff) == 0x7f80 ? 0x1p128 : fabs((double)float_of_bfloat(high));
    double below = fabs((double)value) - fabs((double)float_of_bfloat(low));
    double above = to - fabs((double)value);
    return below < above || (below == above && !(low & 1)) ? low : high;
}

static inline double least(double a, double b)
{
    if (a != a || b != b)
        return NAN;
    return a < b || (a == b && signbit(a)) ? a : b;
}

static inline double combine_doubles(double a, double b, int op)
{
    return op == RONDE_SUM       ? a + b
           : op == RONDE_PRODUCT ? a * b
           : op == RONDE_MIN     ? least(a, b)
                                 : -least(-a, -b);
}

/* Sums and products of two floats in double, rounded to float, are float's own (53 >= 2 * 24 + 2);
 * so are quotients. volatile: a product rounds before it is added. */
static inline float reference_float(const struct reduction *r, const float *x, int n)
{
    float sum = (float)((double)x[0] * (float)r->prescale);
    for (int s = 1; s < n; s++) {
        volatile float next = (float)((double)x[s] * (float)r->prescale);
        sum = (float)combine_doubles(sum, next, r->op);
    }
    sum = (float)((double)sum / (float)r->divisor);
    return (float)((double)sum * (float)r->postscale);
}

static inline double reference_double(const struct reduction *r, const double *x, int n)
{
    volatile double sum = x[0] * r->prescale;
    for (int s = 1; s < n; s++) {
        volatile double next = x[s] * r->prescale;
        sum = combine_doubles(sum, next, r->op);
    }
    sum = sum / r->divisor;
    return sum * r->postscale;
}

static inline int is_signed(int32_t dtype)
{
    return dtype == RONDE_INT8 || dtype == RONDE_INT16 || dtype == RONDE_INT32 ||
           dtype == RONDE_INT64;
}

/* The value that is left in the type's bits, in 64. */
static inline uint64_t cut(uint64_t value, int32_t dtype)
{
    int unused = 64 - 8 * (int)ronde_dtype_bytes(dtype);
    uint64_t kept = value << unused >> unused, sign = 1ull << (63 - unused);
    return is_signed(dtype) && (kept & sign) ? kept | ~(2 * sign - 1) : kept;
}

static inline double integer_as_double(uint64_t value, int32_t dtype)
{
    return is_signed(dtype) ? (double)(int64_t)value : (double)value;
}

static inline uint64_t integer_of_double(double value, int32_t dtype)
{
    int bits = 8 * (int)ronde_dtype_bytes(dtype) - is_signed(dtype);
    if (value != value)
        return 0;
    if (value >= ldexp(1, bits))
        return bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    if (is_signed(dtype))
        return value <= -ldexp(1, bits) ? -(1ull << bits) : (uint64_t)(int64_t)value;
    return value <= 0 ? 0 : (uint64_t)value;
}

static inline int is_less(uint64_t a, uint64_t b, int32_t dtype)
{
    return is_signed(dtype) ? (int64_t)a < (int64_t)b : a < b;
}

static inline uint64_t prescaled(const struct reduction *r, uint64_t x)
{
    if (r->prescale == 1)
        return x;
    return integer_of_double(integer_as_double(x, r->dtype) * r->prescale, r->dtype);
}

static inline uint64_t reference_integer(const struct reduction *r, const uint64_t *x, int n)
{
    uint64_t sum = prescaled(r, x[0]);
    for (int s = 1; s < n; s++) {
        uint64_t next = prescaled(r, x[s]);
        if (r->op == RONDE_SUM)
            sum = cut(sum + next, r->dtype);
        else if (r->op == RONDE_PRODUCT)
            sum = cut(sum * next, r->dtype);
        else if (is_less(next, sum, r->dtype) == (r->op == RONDE_MIN))
            sum = next;
    }
    if (r->postscale != 1)
        return integer_of_double(integer_as_double(sum, r->dtype) / r->divisor * r->postscale,
                                 r->dtype);
    if (is_signed(r->dtype))
        return (uint64_t)((int64_t)sum / (int64_t)r->divisor);
    return sum / r->divisor;
}

static inline uint8_t reference_bool(const struct reduction *r, const uint8_t *x, int n)
{
    int any = 0, all = 1;
    for (int s = 0; s < n; s++) {
        int one = (x[s] != 0) * r->prescale != 0;
        any |= one;
        all &= one;
    }
    return (r->op == RONDE_SUM || r->op == RONDE_MAX ? any : all) * r->postscale != 0;
}

enum { MOST_SOURCES = 16 };

static inline void store_float(int32_t dtype, char *out, float value)
{
    uint16_t half = dtype == RONDE_FLOAT16 ? half_of_float(value) : bfloat_of_float(value);
    uint32_t nan = 0x7fc00000;
    if (dtype == RONDE_FLOAT32)
        memcpy(out, value != value ? (void *)&nan : (void *)&value, 4);
    else
        memcpy(out, &half, 2);
}

static inline float load_float(int32_t dtype, const char *p)
{
    float value;
    uint16_t half;
    memcpy(&half, p, 2);
    if (dtype == RONDE_FLOAT32)
        memcpy(&value, p, 4);
    else
        value = dtype == RONDE_FLOAT16 ? float_of_half(half) : float_of_bfloat(half);
    return value;
}

/* One element of little-endian or any other memory: by the type's own width. */
static inline uint64_t load_integer(int32_t dtype, const char *p)
{
    uint8_t b;
    uint16_t h;
    uint32_t w;
    uint64_t d;
    switch (ronde_dtype_bytes(dtype)) {
    case 1: memcpy(&b, p, 1); return cut(b, dtype);
    case 2: memcpy(&h, p, 2); return cut(h, dtype);
    case 4: memcpy(&w, p, 4); return cut(w, dtype);
    default: memcpy(&d, p, 8); return d;
    }
}

static inline void store_integer(int32_t dtype, char *p, uint64_t value)
{
    uint8_t b = (uint8_t)value;
    uint16_t h = (uint16_t)value;
    uint32_t w = (uint32_t)value;
    switch (ronde_dtype_bytes(dtype)) {
    case 1: memcpy(p, &b, 1); break;
    case 2: memcpy(p, &h, 2); break;
    case 4: memcpy(p, &w, 4); break;
    default: memcpy(p, &value, 8);
    }
}

static inline void reference_element(const struct reduction *r, char *out, const char *const *x,
                                     int n)
{
    float floats[MOST_SOURCES] = {0};
    double doubles[MOST_SOURCES] = {0};
    uint64_t integers[MOST_SOURCES] = {0};
    uint8_t bools[MOST_SOURCES] = {0};
    uint64_t nan = 0x7ff8000000000000;
    if (r->dtype == RONDE_FLOAT64) {
        for (int s = 0; s < n; s++)
            memcpy(&doubles[s], x[s], 8);
        double value = reference_double(r, doubles, n);
        memcpy(out, value != value ? (void *)&nan : (void *)&value, 8);
    } else if (ronde__dtype_is_float(r->dtype)) {
        for (int s = 0; s < n; s++)
            floats[s] = load_float(r->dtype, x[s]);
        store_float(r->dtype, out, reference_float(r, floats, n));
    } else if (r->dtype == RONDE_BOOL) {
        for (int s = 0; s < n; s++)
            memcpy(&bools[s], x[s], 1);
        *out = (char)reference_bool(r, bools, n);
    } else {
        for (int s = 0; s < n; s++)
            integers[s] = load_integer(r->dtype, x[s]);
        store_integer(r->dtype, out, reference_integer(r, integers, n));
    }
}

/* A copy keeps every bit, a NaN's too. */
static inline void reference_reduce(const struct reduction *r, char *out,
                                    const char *const *sources, int n, size_t count)
{
    size_t bytes = ronde_dtype_bytes(r->dtype);
    int copies = n == 1 && ronde__reduction_is_copy(r);
    for (size_t i = 0; i < count * bytes; i += bytes) {
        const char *x[MOST_SOURCES];
        for (int s = 0; s < n; s++)
            x[s] = sources[s] + i;
        if (copies)
            memcpy(out + i, x[0], bytes);
        else
            reference_element(r, out + i, x, n);
    }
}

#endif
