/* The kernels against one-element-at-a-time reductions, on every instruction set this CPU has. With
 * the argument `digest` it prints a number made of all results, which is the same on every machine
 * (test/sh_neon.sh). */
#include "reduce/reduce.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/dtype.h"
#include "check.h"
#include "reference.h"

enum { GUARD = 64, MOST_COUNT = 4097, MOST_BYTES = GUARD + 64 + MOST_COUNT * 8 + GUARD };

static uint64_t state = 88172645463325252ull;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* ---- data ------------------------------------------------------------------------------------ */

/* NUMBERS are small and whole, BITS are whatever random bits mean, EDGES are the awkward ones. */
enum flavour { NUMBERS, BITS, EDGES, FLAVOURS };

static const double edges[] = {
    0.0,      -0.0,      1,        -1,       INFINITY,   -INFINITY,       0x1p-24,
    -0x1p-24, 0x1.8p-25, 0x1p-126, 0x1p-149, -0x1p-133,  0x1p-1022,       0x1p-1074,
    65504,    65520,     -65519,   2049,     0x1.fep127, -0x1.fffffep127, 0x1.fffffffffffffp1023};

static void store_number(int32_t dtype, char *p, double value)
{
    if (dtype == RONDE_FLOAT64)
        memcpy(p, &value, 8);
    else if (ronde__dtype_is_float(dtype))
        store_float(dtype, p, (float)value);
    else
        store_integer(dtype, p, (uint64_t)(int64_t)value);
}

static void fill_one(int32_t dtype, char *p, enum flavour flavour)
{
    uint64_t bits = random_bits();
    size_t bytes = ronde_dtype_bytes(dtype);
    if (flavour == NUMBERS)
        store_number(dtype, p, (double)(bits >> 60) - 6);
    else if (flavour == BITS || bits % 16 == 0)
        memcpy(p, &bits, bytes); /* among floats: NaNs of many kinds */
    else if (ronde__dtype_is_float(dtype))
        store_number(dtype, p, edges[bits / 16 % (sizeof edges / sizeof *edges)]);
    else
        store_integer(dtype, p, (bits & 16 ? 0 : 1ull << (8 * bytes - 1)) - (bits >> 5 & 1));
}

static void fill(int32_t dtype, char *p, size_t count, enum flavour flavour)
{
    for (size_t i = 0; i < count; i++)
        fill_one(dtype, p + i * ronde_dtype_bytes(dtype), flavour);
}

/* ---- what is expected ------------------------------------------------------------------------ */

/* reference.h does the arithmetic ops with one scale. The other ops, weights and a total are here,
 * each in two steps: the sources scaled and combined, then divided and scaled by its means. */

static double factor(const struct reduction *r, const double *weights, int s)
{
    return r->prescale * (weights ? weights[s] : 1);
}

static double divisor_of(const struct reduction *r)
{
    return r->divisor * r->total;
}

static struct reduction only_combining(const struct reduction *r)
{
    return (struct reduction){r->dtype, r->op, 1, 1, 1, 1, RONDE_BOOL};
}

static void expect_double(const struct reduction *r, const double *weights, char *out,
                          const char *const *x, int n)
{
    struct reduction combine = only_combining(r);
    double scaled[MOST_SOURCES] = {0};
    uint64_t nan = 0x7ff8000000000000;
    for (int s = 0; s < n; s++) {
        memcpy(&scaled[s], x[s], 8);
        scaled[s] *= factor(r, weights, s);
    }
    double value = reference_double(&combine, scaled, n) / divisor_of(r) * r->postscale;
    memcpy(out, value != value ? (void *)&nan : (void *)&value, 8);
}

static void expect_float(const struct reduction *r, const double *weights, char *out,
                         const char *const *x, int n)
{
    struct reduction combine = only_combining(r);
    float scaled[MOST_SOURCES] = {0};
    for (int s = 0; s < n; s++)
        scaled[s] = (float)((double)load_float(r->dtype, x[s]) * (float)factor(r, weights, s));
    float value = (float)((double)reference_float(&combine, scaled, n) / (float)divisor_of(r));
    store_float(r->dtype, out, (float)((double)value * (float)r->postscale));
}

static uint64_t scaled_integer(const struct reduction *r, const char *x, double scale)
{
    uint64_t value = load_integer(r->dtype, x);
    if (r->dtype == RONDE_BOOL)
        return (value != 0) * scale != 0;
    return scale == 1 ? value
                      : integer_of_double(integer_as_double(value, r->dtype) * scale, r->dtype);
}

static uint64_t combined(const struct reduction *r, uint64_t a, uint64_t b)
{
    struct reduction combine = only_combining(r);
    switch (r->op) {
    case RONDE_LOGICAL_AND: return a && b;
    case RONDE_LOGICAL_OR: return a || b;
    case RONDE_BITWISE_AND: return a & b;
    case RONDE_BITWISE_OR: return a | b;
    default: break;
    }
    if (r->dtype == RONDE_BOOL)
        return reference_bool(&combine, (const uint8_t[]){(uint8_t)a, (uint8_t)b}, 2);
    return reference_integer(&combine, (const uint64_t[]){a, b}, 2);
}

static void expect_integer(const struct reduction *r, const double *weights, char *out,
                           const char *const *x, int n)
{
    int is_logical = r->op == RONDE_LOGICAL_AND || r->op == RONDE_LOGICAL_OR;
    uint64_t value = scaled_integer(r, x[0], factor(r, weights, 0));
    value = is_logical ? value != 0 : value;
    for (int s = 1; s < n; s++)
        value = combined(r, value, scaled_integer(r, x[s], factor(r, weights, s)));
    double scaled = integer_as_double(value, r->dtype) / divisor_of(r) * r->postscale;
    if (r->dtype == RONDE_BOOL)
        value = scaled != 0;
    else if (r->postscale != 1 || r->total != 1)
        value = integer_of_double(scaled, r->dtype);
    store_integer(r->dtype, out, value);
}

static void expect_weighted_integer(const struct reduction *r, const double *weights, char *out,
                                    const char *const *x, int n)
{
    double sum = 0;
    for (int s = 0; s < n; s++)
        sum += integer_as_double(load_integer(r->dtype, x[s]), r->dtype) * factor(r, weights, s);
    store_integer(r->dtype, out, integer_of_double(sum / divisor_of(r) * r->postscale, r->dtype));
}

static void expect(const struct reduction *r, const double *weights, char *out,
                   const char *const *sources, int n, size_t count)
{
    size_t bytes = ronde_dtype_bytes(r->dtype);
    if (r->op < RONDE_LOGICAL_AND && !weights && r->total == 1) {
        reference_reduce(r, out, sources, n, count);
        return;
    }
    for (size_t i = 0; i < count * bytes; i += bytes) {
        const char *x[MOST_SOURCES];
        for (int s = 0; s < n; s++)
            x[s] = sources[s] + i;
        if (r->dtype == RONDE_FLOAT64)
            expect_double(r, weights, out + i, x, n);
        else if (ronde__dtype_is_float(r->dtype))
            expect_float(r, weights, out + i, x, n);
        else if (weights && r->op == RONDE_SUM && r->dtype != RONDE_BOOL)
            expect_weighted_integer(r, weights, out + i, x, n);
        else
            expect_integer(r, weights, out + i, x, n);
    }
}

/* ---- the digest ------------------------------------------------------------------------------ */

static uint64_t digest = 1;

static void digest_add(const void *results, size_t bytes)
{
    const unsigned char *p = results;
    for (size_t i = 0; i < bytes; i++)
        digest = (digest ^ p[i]) * 0x100000001b3; /* FNV-1a */
}

/* ---- one case -------------------------------------------------------------------------------- */

/* Memory that each run starts from; `sources` lie at their own odd places in it. */
static struct {
    _Alignas(64) char source[MOST_SOURCES][MOST_BYTES], used[MOST_SOURCES][MOST_BYTES];
    char expected[MOST_COUNT * 8], dst[MOST_BYTES];
} memory;

static size_t place_of(int s, int32_t dtype)
{
    return GUARD + (size_t)(s % 3) * ronde_dtype_bytes(dtype);
}

static int all_are(const char *p, size_t bytes, char value)
{
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != value)
            return 0;
    return 1;
}

/* Into source `target`, or separate where that is -1. 0 where result and guards are right. */
static int run_differs(const struct reduction *reduction, const double *weights, int n,
                       size_t count, int target)
{
    const void *sources[MOST_SOURCES];
    size_t bytes = count * ronde_dtype_bytes(reduction->dtype);
    size_t place = place_of(target < 0 ? 1 : target, reduction->dtype);
    char *buffer = target < 0 ? memory.dst : memory.used[target];
    for (int s = 0; s < n; s++)
        sources[s] = (s == target ? memory.used : memory.source)[s] + place_of(s, reduction->dtype);
    memset(buffer, 0x5a, place + bytes + GUARD);
    if (target >= 0)
        memcpy(buffer + place, memory.source[target] + place, bytes);
    if (weights)
        ronde__reduce_weighted(reduction, buffer + place, sources, weights, n, count);
    else
        ronde__reduce(reduction, buffer + place, sources, n, count);
    return memcmp(buffer + place, memory.expected, bytes) != 0 || !all_are(buffer, place, 0x5a) ||
           !all_are(buffer + place + bytes, GUARD, 0x5a);
}

static void check_weighted(const struct reduction *reduction, const double *weights, int n,
                           size_t count)
{
    const char *sources[MOST_SOURCES];
    for (int s = 0; s < n; s++)
        sources[s] = memory.source[s] + place_of(s, reduction->dtype);
    expect(reduction, weights, memory.expected, sources, n, count);
    digest_add(memory.expected, count * ronde_dtype_bytes(reduction->dtype)); /* so are results */
    for (int simd = RONDE__SIMD_PORTABLE; simd <= RONDE__SIMD_NEON; simd++) {
        if (ronde__reduce_choose(simd))
            continue;
        int step = count > 1000 ? n : 1; /* the largest: separate, and the last in place */
        for (int target = -1; target < n; target += step)
            CHECK_SAYING(
                !run_differs(reduction, weights, n, count, target),
                "%s %s, %d sources, %zu elements into %d, divisors %u and %g, scales %g and %g, "
                "first weight %g: %s",
                ronde_dtype_name(reduction->dtype), ronde_op_name(reduction->op), n, count, target,
                reduction->divisor, reduction->total, reduction->prescale, reduction->postscale,
                weights ? weights[0] : 1, ronde__simd_name(simd));
    }
}

static void check_case(const struct reduction *reduction, int n, size_t count)
{
    check_weighted(reduction, NULL, n, count);
}

/* Adasum and the weighted average have no kernel of their own. */
static int has_kernel(int32_t op, int32_t dtype)
{
    return ronde__op_fits(op, dtype) && op < RONDE_ADASUM;
}

static void fill_sources(int32_t dtype, size_t count, enum flavour flavour)
{
    for (int s = 0; s < MOST_SOURCES; s++)
        fill(dtype, memory.source[s] + place_of(s, dtype), count, flavour);
}

static const int numbers_of_sources[] = {1, 2, 3, 4, 5, 8, 13};
enum { NUMBERS_OF_SOURCES = sizeof numbers_of_sources / sizeof *numbers_of_sources };

static void every_op_equals_its_reference(void)
{
    static const size_t counts[] = {0, 1, 7, 63, 64, 65, 1000, MOST_COUNT};
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++)
        for (enum flavour flavour = NUMBERS; flavour < FLAVOURS; flavour++) {
            fill_sources(dtype, MOST_COUNT, flavour);
            for (int32_t op = 0; op < RONDE__OPS; op++)
                for (int i = 0; i < NUMBERS_OF_SOURCES; i++)
                    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                        if (!has_kernel(op, dtype) ||
                            (counts[c] == MOST_COUNT && flavour == NUMBERS))
                            continue;
                        int n = numbers_of_sources[i];
                        struct reduction whole = ronde__reduction(dtype, op, 1, 1, (uint32_t)n);
                        check_case(&whole, n, counts[c]);
                    }
        }
}

/* Past the widest unrolled step, with every number of elements left over. */
static void every_length_equals_its_reference(void)
{
    static const int32_t ops[] = {RONDE_SUM, RONDE_AVERAGE, RONDE_MAX};
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++) {
        size_t most = 4 * 64 / ronde_dtype_bytes(dtype) + 70;
        fill_sources(dtype, most, EDGES);
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
            for (size_t count = 1; count <= most; count++) {
                struct reduction whole = ronde__reduction(dtype, ops[i], 1, 1, 3);
                check_case(&whole, 3, count);
            }
    }
}

static void scales_and_divisors_equal_their_reference(void)
{
    static const double scales[][2] = {{0.5, 1},   {1, 3},          {1, -0.3}, {1.7, 0.1},   {0, 1},
                                       {-1, 1e30}, {1e300, 1e-300}, {NAN, 1},  {1, INFINITY}};
    static const size_t counts[] = {1, 65, 600};
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++)
        for (enum flavour flavour = NUMBERS; flavour < FLAVOURS; flavour++) {
            fill_sources(dtype, 600, flavour);
            for (int32_t op = 0; op < RONDE__OPS; op++)
                for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
                    for (int n = 1; n <= 5; n += 2)
                        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                            if (!has_kernel(op, dtype))
                                continue;
                            struct reduction whole = ronde__reduction(dtype, op, scales[i][0],
                                                                      scales[i][1], (uint32_t)n);
                            check_case(&whole, n, counts[c]);
                        }
        }
}

/* Of each: weights, prescale, postscale, total. The totals are no sums of the weights: who calls
 * may have its reasons. */
static const struct weighing {
    double weights[5], prescale, postscale, total;
} weighings[] = {
    {{1, 1, 1, 1, 1}, 1, 1, 5},          {{2, 0.5, 4, 1, 8}, 1, 1, 16},
    {{0.3, 1.7, 2, 0, 0.1}, 1, 1, 4.1},  {{-1.5, 2, 3, 1, 1}, 0.7, 3, 5.5},
    {{1e300, 0, 1, 1, -1e300}, 1, 1, 1}, {{NAN, 1, INFINITY, 1, 0}, 1, 0.5, 0},
    {{100, 0.01, 7, 3, 1}, -1, 1, -0.5}, {{1, 2, 3, 4, 5}, 1, 1e-3, 0x1p-140},
};
enum { WEIGHINGS = sizeof weighings / sizeof *weighings };

static void weighted_reductions_equal_their_reference(void)
{
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++)
        for (enum flavour flavour = NUMBERS; flavour < FLAVOURS; flavour++) {
            fill_sources(dtype, 333, flavour);
            for (int32_t op = 0; op < RONDE__OPS; op++)
                for (const struct weighing *w = weighings; w < weighings + WEIGHINGS; w++)
                    for (int n = 1; n <= 5; n += 2) {
                        if (!has_kernel(op, dtype))
                            continue;
                        struct reduction whole = ronde__reduction(dtype, op, w->prescale,
                                                                  w->postscale, (uint32_t)n);
                        whole.total = w->total;
                        check_weighted(&whole, w->weights, n, 333);
                        check_weighted(&whole, w->weights, n, 1);
                        check_weighted(&whole, NULL, n, 65);
                    }
        }
}

static void weighted_averages_divide_by_their_total(void)
{
    static const uint8_t bytes[] = {200, 100, 250};
    static const float floats[] = {200, 100, 250};
    static const double weights[] = {3, 0, 5};
    struct reduction of_bytes = ronde__reduction_weighted(RONDE_UINT8, 1, 1, 8);
    struct reduction of_floats = ronde__reduction_weighted(RONDE_FLOAT32, 0.5, 4, 8);
    uint8_t byte;
    float number;
    ronde__reduce_weighted(&of_bytes, &byte, (const void *const[]){&bytes[0], &bytes[1], &bytes[2]},
                           weights, 3, 1);
    ronde__reduce_weighted(&of_floats, &number,
                           (const void *const[]){&floats[0], &floats[1], &floats[2]}, weights, 3,
                           1);
    CHECK(byte == 231 && number == 462.5f);
}

/* For floats, bit by bit. */
static void equal_weights_make_an_average(void)
{
    static char average[600 * 8], weighted[600 * 8];
    static const double ones[] = {1, 1, 1, 1, 1}, twos[] = {2, 2, 2, 2, 2};
    for (int32_t dtype = RONDE_FLOAT16; dtype < RONDE__DTYPES; dtype++)
        for (int n = 1; n <= 5; n++) {
            const void *sources[5];
            fill_sources(dtype, 600, NUMBERS);
            for (int s = 0; s < n; s++)
                sources[s] = memory.source[s] + place_of(s, dtype);
            struct reduction one = ronde__reduction(dtype, RONDE_AVERAGE, 1, 1, (uint32_t)n);
            struct reduction by_n = ronde__reduction_weighted(dtype, 1, 1, n);
            struct reduction by_twice_n = ronde__reduction_weighted(dtype, 1, 1, 2 * n);
            ronde__reduce(&one, average, sources, n, 600);
            ronde__reduce_weighted(&by_n, weighted, sources, ones, n, 600);
            CHECK(memcmp(average, weighted, 600 * ronde_dtype_bytes(dtype)) == 0);
            ronde__reduce_weighted(&by_twice_n, weighted, sources, twos, n, 600);
            CHECK(memcmp(average, weighted, 600 * ronde_dtype_bytes(dtype)) == 0);
        }
}

static void large_divisors_equal_their_reference(void)
{
    static const uint32_t divisors[] = {1,   2,    3,     7,          64,        255,
                                        256, 1000, 65537, 0x80000000, UINT32_MAX};
    for (int32_t dtype = RONDE_UINT8; dtype < RONDE__DTYPES; dtype++) {
        fill_sources(dtype, 300, dtype % 2 ? BITS : EDGES);
        for (size_t i = 0; i < sizeof divisors / sizeof *divisors; i++)
            for (int n = 1; n <= 2; n++) {
                struct reduction whole = {dtype, RONDE_SUM, divisors[i], 1, 1, 1, RONDE_BOOL};
                check_case(&whole, n, 300);
            }
    }
}

/* ---- halves ---------------------------------------------------------------------------------- */

static uint16_t every[1 << 16], other[1 << 16], result[1 << 16];

static void run_on_every(const struct reduction *reduction, int simd)
{
    ronde__reduce_choose(simd);
    ronde__reduce(reduction, result, (const void *const[]){every, other}, 2, 1 << 16);
}

/* min(x, x) loads and stores without changing anything but the NaNs. */
static void every_half_comes_back(void)
{
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_BFLOAT16; dtype++)
        for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
            struct reduction min = ronde__reduction(dtype, RONDE_MIN, 1, 1, 2);
            unsigned infinity = dtype == RONDE_FLOAT16 ? 0x7c00 : 0x7f80;
            unsigned nan = dtype == RONDE_FLOAT16 ? 0x7e00 : 0x7fc0;
            if (ronde__reduce_choose(simd))
                continue;
            for (unsigned i = 0; i < 1 << 16; i++)
                every[i] = other[i] = (uint16_t)i;
            run_on_every(&min, simd);
            for (unsigned i = 0; i < 1 << 16; i++)
                CHECK_SAYING(result[i] == ((i & 0x7fff) > infinity ? nan : i),
                             "%s %04x became %04x with %s", ronde_dtype_name(dtype), i, result[i],
                             ronde__simd_name(simd));
        }
}

/* Every value, times and plus values of every size: every kind of rounding. */
static void every_half_rounds_once_to_the_nearest_even(void)
{
    static const double factors[] = {1, 0.3330078125, 0x1p-10, -0x1.004p-14, 0x1.ffcp-24, 48};
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_BFLOAT16; dtype++)
        for (size_t f = 0; f < sizeof factors / sizeof *factors; f++)
            for (int32_t op = RONDE_SUM; op <= RONDE_PRODUCT; op += RONDE_PRODUCT) {
                static uint16_t expected[1 << 16];
                struct reduction whole = ronde__reduction(dtype, op, 1, 1, 2);
                for (unsigned i = 0; i < 1 << 16; i++) {
                    every[i] = (uint16_t)i;
                    store_float(dtype, (char *)&other[i], (float)factors[f]);
                    if (f == 0 && op == RONDE_SUM)
                        other[i] = (uint16_t)random_bits();
                }
                reference_reduce(&whole, (char *)expected,
                                 (const char *const[]){(char *)every, (char *)other}, 2, 1 << 16);
                digest_add(expected, sizeof expected);
                for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
                    if (ronde__reduce_choose(simd))
                        continue;
                    run_on_every(&whole, simd);
                    CHECK_SAYING(memcmp(result, expected, sizeof result) == 0, "%s %s with %g: %s",
                                 ronde_dtype_name(dtype), ronde_op_name(op), factors[f],
                                 ronde__simd_name(simd));
                }
            }
}

/* 64 ones and small fractions: rounding at each step would lose them all. */
static void halves_are_rounded_once_for_all_sources(void)
{
    enum { N = 64 };
    static uint16_t values[N];
    const void *sources[N];
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_BFLOAT16; dtype++) {
        double small = dtype == RONDE_FLOAT16 ? 0x1p-12 : 0x1p-9;
        struct reduction sum = ronde__reduction(dtype, RONDE_SUM, 1, 1, N);
        uint16_t one;
        for (int s = 0; s < N; s++) {
            store_float(dtype, (char *)&values[s], s ? (float)small : 1.0f);
            sources[s] = &values[s];
        }
        ronde__reduce(&sum, &one, sources, N, 1);
        float expected = (float)(1 + (N - 1) * small);
        CHECK(fabsf(load_float(dtype, (char *)&one) - expected) <= small * 4);
    }
}

/* ---- meaning --------------------------------------------------------------------------------- */

static void nans_and_zeros_do_not_show_the_order(void)
{
    static const uint32_t bits[] = {0x7fc00001, 0xffc00002, 0x7f800003, 0x00000000,
                                    0x80000000, 0x7f800000, 0xff800000, 0x3f800000};
    for (int32_t op = RONDE_SUM; op <= RONDE_PRODUCT; op++)
        for (int a = 0; a < 8; a++)
            for (int b = 0; b < 8; b++) {
                struct reduction whole = ronde__reduction(RONDE_FLOAT32, op, 1, 1, 2);
                uint32_t one, two;
                ronde__reduce(&whole, &one, (const void *const[]){&bits[a], &bits[b]}, 2, 1);
                ronde__reduce(&whole, &two, (const void *const[]){&bits[b], &bits[a]}, 2, 1);
                CHECK_SAYING(one == two, "%s of %08x and %08x: %08x or %08x", ronde_op_name(op),
                             bits[a], bits[b], one, two);
                if (a < 3 || b < 3)
                    CHECK(one == 0x7fc00000);
            }
}

static int is_either(int32_t op)
{
    return op == RONDE_SUM || op == RONDE_MAX || op == RONDE_LOGICAL_OR || op == RONDE_BITWISE_OR;
}

static void bools_are_zero_or_one(void)
{
    static const uint8_t a[] = {0, 0, 2, 255, 1, 0, 128}, b[] = {0, 4, 0, 1, 1, 128, 7};
    static const uint8_t either[] = {0, 1, 1, 1, 1, 1, 1}, both[] = {0, 0, 0, 1, 1, 0, 1};
    uint8_t out[7];
    for (int32_t op = 0; op < RONDE__OPS; op++) {
        if (!has_kernel(op, RONDE_BOOL))
            continue;
        struct reduction whole = ronde__reduction(RONDE_BOOL, op, 1, 1, 2);
        ronde__reduce(&whole, out, (const void *const[]){a, b}, 2, 7);
        CHECK(memcmp(out, is_either(op) ? either : both, 7) == 0);
        ronde__reduce(&whole, out, (const void *const[]){b}, 1, 7);
        CHECK(all_are((char *)out + 1, 1, 1) && all_are((char *)out, 1, 0) && out[5] == 1);
    }
}

static void logical_results_are_zero_or_one_and_bitwise_ones_are_bits(void)
{
    static const int32_t a[] = {0, 6, -1, 0, 256}, b[] = {0, 3, 5, 7, 512};
    static const int32_t expected[][5] = {{0, 1, 1, 0, 1},
                                          {0, 1, 1, 1, 1},
                                          {0, 2, 5, 0, 0},
                                          {0, 7, -1, 7, 768}};
    for (int32_t op = RONDE_LOGICAL_AND; op <= RONDE_BITWISE_OR; op++) {
        int32_t out[5];
        struct reduction whole = ronde__reduction(RONDE_INT32, op, 1, 1, 2);
        ronde__reduce(&whole, out, (const void *const[]){a, b}, 2, 5);
        CHECK_SAYING(memcmp(out, expected[op - RONDE_LOGICAL_AND], sizeof out) == 0, "%s",
                     ronde_op_name(op));
        ronde__reduce(&whole, out, (const void *const[]){a}, 1, 5);
        CHECK(out[1] == (op <= RONDE_LOGICAL_OR ? 1 : 6));
    }
}

static void ops_fit_the_dtypes_that_they_mean_something_for(void)
{
    for (int32_t op = 0; op < RONDE__OPS; op++)
        for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++) {
            int is_bits = op >= RONDE_LOGICAL_AND && op <= RONDE_BITWISE_OR;
            int fits = op == RONDE_ADASUM             ? dtype >= RONDE_FLOAT16
                       : op == RONDE_WEIGHTED_AVERAGE ? dtype != RONDE_BOOL
                                                      : !is_bits || dtype < RONDE_FLOAT16;
            CHECK_SAYING(ronde__op_fits(op, dtype) == fits, "%s of %s", ronde_op_name(op),
                         ronde_dtype_name(dtype));
            if (fits && op >= RONDE_ADASUM)
                CHECK(ronde__reduction(dtype, op, 1, 1, 4).op == RONDE_SUM);
        }
    CHECK(!ronde__op_fits(-1, RONDE_INT8) && !ronde__op_fits(RONDE__OPS, RONDE_INT8));
    CHECK(!ronde__op_fits(RONDE_SUM, -1) && !ronde__op_fits(RONDE_SUM, RONDE__DTYPES));
    CHECK(!strcmp(ronde_op_name(RONDE_LOGICAL_AND), "logical_and"));
    CHECK(!strcmp(ronde_op_name(RONDE_WEIGHTED_AVERAGE), "weighted_average"));
}

/* ---- identities ------------------------------------------------------------------------------ */

/* What is left of one element: a bool and a logical op's operand become 0 or 1, a NaN canonical. */
static void left_alone(int32_t op, int32_t dtype, char *out, const char *x)
{
    int is_logical = op == RONDE_LOGICAL_AND || op == RONDE_LOGICAL_OR;
    double value;
    memcpy(out, x, ronde_dtype_bytes(dtype));
    if (dtype == RONDE_FLOAT64) {
        memcpy(&value, x, 8);
        if (value != value)
            memcpy(out, &(uint64_t){0x7ff8000000000000}, 8);
    } else if (ronde__dtype_is_float(dtype)) {
        store_float(dtype, out, load_float(dtype, x));
    } else if (dtype == RONDE_BOOL || is_logical) {
        store_integer(dtype, out, load_integer(dtype, x) != 0);
    }
}

static void check_identity(int32_t op, int32_t dtype)
{
    enum { COUNT = 700 };
    static char identity[COUNT * 8], expected[COUNT * 8], out[COUNT * 8];
    struct reduction whole = ronde__reduction(dtype, op, 3, 5, 7);
    struct reduction middle = ronde__reduction_middle(&whole, whole.dtype);
    size_t one = ronde_dtype_bytes(dtype), bytes = COUNT * one;
    const char *data = memory.source[0] + place_of(0, dtype);
    memset(identity, 0x5a, sizeof identity);
    ronde__reduce_identity(&whole, identity, COUNT - 1);
    CHECK(all_are(identity + bytes - one, sizeof identity - bytes + one, 0x5a));
    ronde__reduce_identity(&whole, identity, 0);
    ronde__reduce_identity(&middle, identity + bytes - one, 1);
    for (size_t i = 0; i < bytes; i += one)
        left_alone(middle.op, dtype, expected + i, data + i);
    ronde__reduce(&middle, out, (const void *const[]){identity, data}, 2, COUNT);
    CHECK_SAYING(memcmp(out, expected, bytes) == 0, "before %s of %s", ronde_op_name(op),
                 ronde_dtype_name(dtype));
    ronde__reduce(&middle, out, (const void *const[]){data, identity}, 2, COUNT);
    CHECK_SAYING(memcmp(out, expected, bytes) == 0, "after %s of %s", ronde_op_name(op),
                 ronde_dtype_name(dtype));
}

static void identities_change_nothing(void)
{
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++)
        for (enum flavour flavour = NUMBERS; flavour < FLAVOURS; flavour++) {
            fill_sources(dtype, 700, flavour);
            for (int32_t op = 0; op < RONDE__OPS; op++)
                for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++)
                    if (ronde__op_fits(op, dtype) && !ronde__reduce_choose(simd))
                        check_identity(op, dtype);
        }
}

static void long_identities_are_the_same_everywhere(void)
{
    enum { COUNT = 5003 };
    static double minimum[COUNT + 1];
    struct reduction whole = ronde__reduction(RONDE_FLOAT64, RONDE_MIN, 1, 1, 2);
    ronde__reduce_identity(&whole, minimum, COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK(minimum[i] == (double)INFINITY);
    CHECK(minimum[COUNT] == 0);
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Sources 0..1 and 2..4 started apart, joined, finished: what one pass does. Floats are whole
 * numbers here, so that their order does not matter. */
static void check_halves(const struct reduction *whole, const double *weights, size_t count)
{
    static char first[600 * 8], second[600 * 8];
    const void *sources[5];
    const char *places[5];
    struct reduction start = ronde__reduction_start(whole, whole->dtype);
    struct reduction middle = ronde__reduction_middle(whole, whole->dtype);
    struct reduction finish = ronde__reduction_finish(whole, whole->dtype);
    for (int s = 0; s < 5; s++)
        sources[s] = places[s] = memory.source[s] + place_of(s, whole->dtype);
    expect(whole, weights, memory.expected, places, 5, count);
    ronde__reduce_weighted(&start, first, sources, weights, 2, count);
    ronde__reduce_weighted(&start, second, sources + 2, weights ? weights + 2 : NULL, 3, count);
    ronde__reduce(&middle, first, (const void *const[]){first, second}, 2, count);
    ronde__reduce(&finish, first, (const void *const[]){first}, 1, count);
    CHECK_SAYING(memcmp(first, memory.expected, count * ronde_dtype_bytes(whole->dtype)) == 0,
                 "%s %s, scales %g and %g", ronde_dtype_name(whole->dtype),
                 ronde_op_name(whole->op), whole->prescale, whole->postscale);
}

static void start_middle_and_finish_make_a_whole(void)
{
    static const double scales[][2] = {{1, 1}, {2, 1}, {1, 0.5}, {0.5, 4}, {0, 1}, {1, 0}};
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++) {
        int whole_numbers = ronde__dtype_is_float(dtype);
        fill_sources(dtype, 600, whole_numbers ? NUMBERS : BITS);
        for (int32_t op = 0; op < RONDE__OPS; op++)
            for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
                if (whole_numbers && op == RONDE_PRODUCT && ronde_dtype_bytes(dtype) == 2)
                    continue; /* their products of five are rounded between the parts */
                if (!has_kernel(op, dtype))
                    continue;
                struct reduction whole = ronde__reduction(dtype, op, scales[i][0], scales[i][1], 5);
                check_halves(&whole, NULL, 600);
            }
    }
}

/* Where the weighted sums fit the type. */
static void weighted_parts_make_a_whole(void)
{
    static const double weights[] = {3, 1, 0, 2, 5};
    for (int32_t dtype = RONDE_INT16; dtype < RONDE__DTYPES; dtype++) {
        if (dtype == RONDE_UINT32 || dtype == RONDE_UINT64)
            continue; /* their -6 is large */
        struct reduction average = ronde__reduction_weighted(dtype, 2, 0.5, 11);
        struct reduction sum = ronde__reduction_weighted(dtype, 1, 3, 1);
        fill_sources(dtype, 600, NUMBERS);
        check_halves(&average, weights, 600);
        check_halves(&sum, weights, 600);
    }
}

/* What travels as a half: float32 sums rounded once at the start, halves finished as float32. */
static void check_between(const struct reduction *whole, int32_t between, size_t count)
{
    static char halves[(MOST_COUNT + 1) * 2], out[(MOST_COUNT + 1) * 4], wide[MOST_COUNT * 4];
    static char expected[MOST_COUNT * 4];
    struct reduction start = ronde__reduction_start(whole, between);
    struct reduction finish = ronde__reduction_finish(whole, between), as_float = finish;
    struct reduction sum = ronde__reduction_start(whole, RONDE_FLOAT32);
    const char *places[3];
    for (int s = 0; s < 3; s++)
        places[s] = memory.source[s] + place_of(s, RONDE_FLOAT32);
    reference_reduce(&sum, wide, places, 3, count);
    for (size_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, wide + 4 * i, 4);
        store_float(between, expected + 2 * i, value);
    }
    memset(halves, 0x5a, sizeof halves);
    ronde__reduce(&start, halves, (const void *const *)places, 3, count);
    CHECK_SAYING(memcmp(halves, expected, 2 * count) == 0, "%zu of %s to %s", count,
                 ronde_op_name(whole->op), ronde_dtype_name(between));
    CHECK(halves[2 * count] == 0x5a);
    digest_add(halves, 2 * count);
    for (size_t i = 0; i < count; i++) {
        float value = load_float(between, halves + 2 * i);
        memcpy(wide + 4 * i, &value, 4);
    }
    as_float.dtype = RONDE_FLOAT32;
    reference_reduce(&as_float, expected, (const char *const[]){wide}, 1, count);
    memset(out, 0x5a, sizeof out);
    ronde__reduce(&finish, out, (const void *const[]){halves}, 1, count);
    CHECK_SAYING(memcmp(out, expected, 4 * count) == 0, "%zu of %s from %s", count,
                 ronde_op_name(whole->op), ronde_dtype_name(between));
    CHECK(out[4 * count] == 0x5a);
    digest_add(out, 4 * count);
}

static void float32_travels_as_halves_rounded_once(void)
{
    static const size_t counts[] = {0, 1, 7, 8, 31, 64, 1023, 1024, 1025, 2049, MOST_COUNT};
    for (int i = 0; i < 4 * FLAVOURS; i++) {
        int32_t between = i % 2 ? RONDE_FLOAT16 : RONDE_BFLOAT16;
        fill_sources(RONDE_FLOAT32, MOST_COUNT, (enum flavour)(i / 4));
        for (int32_t op = RONDE_SUM; op <= RONDE_PRODUCT; op++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
                    double scale = i / 2 % 2 ? 0.75 : 1;
                    struct reduction whole = ronde__reduction(RONDE_FLOAT32, op, scale, scale, 3);
                    if (!ronde__reduce_choose(simd))
                        check_between(&whole, between, counts[c]);
                }
    }
}

static void only_an_empty_reduction_of_numbers_is_a_copy(void)
{
    struct reduction sum = ronde__reduction(RONDE_FLOAT32, RONDE_SUM, 1, 1, 4);
    struct reduction average = ronde__reduction(RONDE_FLOAT32, RONDE_AVERAGE, 1, 1, 4);
    struct reduction scaled = ronde__reduction(RONDE_INT32, RONDE_SUM, 1, 2, 4);
    struct reduction any = ronde__reduction(RONDE_BOOL, RONDE_SUM, 1, 1, 4);
    struct reduction all = ronde__reduction(RONDE_INT32, RONDE_LOGICAL_AND, 1, 1, 4);
    struct reduction common = ronde__reduction(RONDE_INT32, RONDE_BITWISE_AND, 1, 1, 4);
    struct reduction weighted = ronde__reduction_weighted(RONDE_FLOAT32, 1, 1, 2);
    struct reduction start = ronde__reduction_start(&average, average.dtype);
    struct reduction finish = ronde__reduction_finish(&average, average.dtype);
    CHECK(ronde__reduction_is_copy(&sum) && !ronde__reduction_is_copy(&average));
    CHECK(!ronde__reduction_is_copy(&scaled) && !ronde__reduction_is_copy(&any));
    CHECK(ronde__reduction_is_copy(&start) && !ronde__reduction_is_copy(&finish));
    CHECK(!ronde__reduction_is_copy(&all) && ronde__reduction_is_copy(&common));
    CHECK(!ronde__reduction_is_copy(&weighted));
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* For the address sanitizer: blocks with no byte to spare on either side. */
static void nothing_outside_the_elements_is_touched(void)
{
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++)
        for (size_t count = 1; count < 140; count++)
            for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
                size_t bytes = count * ronde_dtype_bytes(dtype);
                struct reduction whole = ronde__reduction(dtype, RONDE_AVERAGE, 1, 1, 2);
                struct reduction bits = ronde__reduction(dtype, RONDE_LOGICAL_OR, 1, 1, 2);
                char *a = calloc(1, bytes), *b = calloc(1, bytes);
                if (a && b && !ronde__reduce_choose(simd)) {
                    const void *sources[] = {a, b};
                    ronde__reduce(&whole, b, sources, 2, count);
                    ronde__reduce_weighted(&whole, b, sources, (const double[]){3, 4}, 2, count);
                    if (!ronde__dtype_is_float(dtype))
                        ronde__reduce(&bits, b, sources, 2, count);
                }
                int wrong = !a || !b || !all_are(b, bytes, 0);
                free(a);
                free(b);
                CHECK(!wrong);
            }
}

static void check_copy(size_t to, size_t from, size_t bytes)
{
    memset(memory.dst, 0x5a, to + bytes + 64);
    ronde__copy_streaming(memory.dst + to, memory.source[0] + from, bytes);
    CHECK_SAYING(memcmp(memory.dst + to, memory.source[0] + from, bytes) == 0 &&
                     all_are(memory.dst, to, 0x5a) && all_are(memory.dst + to + bytes, 64, 0x5a),
                 "%zu bytes from %zu to %zu", bytes, from, to);
}

static void streaming_copies_any_bytes_from_anywhere_to_anywhere(void)
{
    static const size_t places[] = {0, 1, 31, 63, 64};
    fill(RONDE_UINT8, memory.source[0], MOST_BYTES, BITS);
    for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
        if (ronde__reduce_choose(simd))
            continue;
        for (int i = 0; i < 25; i++) {
            for (size_t bytes = 0; bytes < 300; bytes++)
                check_copy(places[i / 5], places[i % 5], bytes);
            check_copy(places[i / 5], places[i % 5], 30011);
        }
    }
}

static void choosing_knows_what_the_cpu_has(void)
{
    int best = ronde__cpu_simd();
    for (int simd = 0; simd <= best; simd++)
        if (best != RONDE__SIMD_NEON || simd == 0) {
            CHECK(ronde__reduce_choose(simd) == RONDE_OK);
            CHECK(best == RONDE__SIMD_NEON || ronde__reduce_simd() == simd);
        }
    CHECK(ronde__reduce_choose(99) == RONDE_ERR_ARGUMENT);
    CHECK(ronde__reduce_choose(-2) == RONDE_ERR_ARGUMENT);
    CHECK(ronde__reduce_choose(best == RONDE__SIMD_NEON ? RONDE__SIMD_AVX2 : RONDE__SIMD_NEON) ==
          RONDE_ERR_ARGUMENT);
    CHECK(ronde__reduce_choose(-1) == RONDE_OK && ronde__reduce_simd() == best);
}

int main(int argc, char **argv)
{
    RUN(choosing_knows_what_the_cpu_has);
    RUN(every_op_equals_its_reference);
    RUN(every_length_equals_its_reference);
    RUN(scales_and_divisors_equal_their_reference);
    RUN(weighted_reductions_equal_their_reference);
    RUN(weighted_averages_divide_by_their_total);
    RUN(equal_weights_make_an_average);
    RUN(large_divisors_equal_their_reference);
    RUN(every_half_comes_back);
    RUN(every_half_rounds_once_to_the_nearest_even);
    RUN(halves_are_rounded_once_for_all_sources);
    RUN(nans_and_zeros_do_not_show_the_order);
    RUN(bools_are_zero_or_one);
    RUN(logical_results_are_zero_or_one_and_bitwise_ones_are_bits);
    RUN(ops_fit_the_dtypes_that_they_mean_something_for);
    RUN(identities_change_nothing);
    RUN(long_identities_are_the_same_everywhere);
    RUN(start_middle_and_finish_make_a_whole);
    RUN(weighted_parts_make_a_whole);
    RUN(float32_travels_as_halves_rounded_once);
    RUN(only_an_empty_reduction_of_numbers_is_a_copy);
    RUN(nothing_outside_the_elements_is_touched);
    RUN(streaming_copies_any_bytes_from_anywhere_to_anywhere);
    if (argc > 1 && strcmp(argv[1], "digest") == 0)
        printf("%016" PRIx64 "\n", digest);
    return check_result();
}
