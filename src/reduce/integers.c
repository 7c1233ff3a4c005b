/* Scales, weights and divisors of integers and bool, one element at a time: nobody trains in
 * integers. The divisions are the type's own, so they are exact; the scales are double's, with a
 * meaning given to every value that does not fit the type: it saturates, and NaN becomes 0.
 *
 * A weighted sum is summed in double too, and cut to the type once: 200 * 3 does not fit an uint8,
 * but the average of which it is a part does. */
#include <stdint.h>
#include <string.h>

#include "reduce/kernels.h"

/* Elements lie where they lie: small ones travel in a cache line, after 12 bytes of something else. */

/* HIGHEST as double is a value of the type for up to 32 bits, and one above for 64: hence >=. */
#define CUT(T, LOWEST, HIGHEST) \
    static T##_type T##_cut(double y) \
    { \
        if (y >= (double)(HIGHEST)) \
            return HIGHEST; \
        if (y > (double)(LOWEST)) \
            return (T##_type)y; \
        return y != y ? 0 : LOWEST; \
    }

#define SCALE(T) \
    static void T##_scale(void *elements, size_t count, double divisor, double scale) \
    { \
        T##_at *x = elements; \
        for (size_t i = 0; i < count; i++) \
            x[i] = T##_cut((double)x[i] / divisor * scale); \
    }

/* In a type that holds every divisor and keeps the dividend's sign. */
#define DIVIDE(T, wide) \
    static void T##_divide(void *elements, size_t count, uint32_t divisor) \
    { \
        T##_at *x = elements; \
        for (size_t i = 0; i < count; i++) \
            x[i] = (T##_type)((wide)x[i] / (wide)divisor); \
    }

/* A weighted sum's beginning and end. */
#define WEIGH(T) \
    static void T##_add(double *sums, const void *elements, size_t count, double weight) \
    { \
        const T##_at *x = elements; \
        for (size_t i = 0; i < count; i++) \
            sums[i] += (double)x[i] * weight; \
    } \
    static void T##_settle(void *elements, const double *sums, size_t count, double divisor, \
                           double scale) \
    { \
        T##_at *x = elements; \
        for (size_t i = 0; i < count; i++) \
            x[i] = T##_cut(sums[i] / divisor * scale); \
    }

#define INTEGER(T, type, wide, LOWEST, HIGHEST) \
    typedef type T##_type; \
    typedef type T##_at __attribute__((aligned(1))); \
    CUT(T, LOWEST, HIGHEST) \
    SCALE(T) \
    DIVIDE(T, wide) \
    WEIGH(T)

INTEGER(u8, uint8_t, uint32_t, 0, UINT8_MAX)
INTEGER(s8, int8_t, int64_t, INT8_MIN, INT8_MAX)
INTEGER(u16, uint16_t, uint32_t, 0, UINT16_MAX)
INTEGER(s16, int16_t, int64_t, INT16_MIN, INT16_MAX)
INTEGER(u32, uint32_t, uint32_t, 0, UINT32_MAX)
INTEGER(s32, int32_t, int64_t, INT32_MIN, INT32_MAX)
INTEGER(u64, uint64_t, uint64_t, 0, UINT64_MAX)
INTEGER(s64, int64_t, int64_t, INT64_MIN, INT64_MAX)

static void b8_scale(void *elements, size_t count, double divisor, double scale)
{
    uint8_t *x = elements;
    for (size_t i = 0; i < count; i++)
        x[i] = (x[i] ? 1.0 : 0.0) / divisor * scale != 0;
}

/* A bool is divided by nothing (its average is a product), and weighted as it is scaled. */
static const struct {
    void (*scale)(void *elements, size_t count, double divisor, double scale);
    void (*divide)(void *elements, size_t count, uint32_t divisor);
    void (*add)(double *sums, const void *elements, size_t count, double weight);
    void (*settle)(void *elements, const double *sums, size_t count, double divisor, double scale);
} functions[RONDE__DTYPES] = {
    [RONDE_BOOL] = {b8_scale, NULL, NULL, NULL},
    [RONDE_UINT8] = {u8_scale, u8_divide, u8_add, u8_settle},
    [RONDE_INT8] = {s8_scale, s8_divide, s8_add, s8_settle},
    [RONDE_UINT16] = {u16_scale, u16_divide, u16_add, u16_settle},
    [RONDE_INT16] = {s16_scale, s16_divide, s16_add, s16_settle},
    [RONDE_UINT32] = {u32_scale, u32_divide, u32_add, u32_settle},
    [RONDE_INT32] = {s32_scale, s32_divide, s32_add, s32_settle},
    [RONDE_UINT64] = {u64_scale, u64_divide, u64_add, u64_settle},
    [RONDE_INT64] = {s64_scale, s64_divide, s64_add, s64_settle},
};

enum { BLOCK_BYTES = 2048 }; /* two of them and a source's share fit any first-level cache */

/* dst = finished and scaled integers, block by block through the plain kernel. */
static void reduce_scaled(const struct reduction *reduction, kernel_function *combine, char *dst,
                          const void *const *sources, const double *weights, int n, size_t count)
{
    static const struct recipe none;
    _Alignas(64) char sum[BLOCK_BYTES], next[BLOCK_BYTES];
    int32_t dtype = reduction->dtype;
    int makes_bits = dtype == RONDE_BOOL || op_is_logical(reduction->op); /* even of one source */
    size_t one = ronde_dtype_bytes(dtype), most = BLOCK_BYTES / one;
    for (size_t at = 0; at < count; at += most) {
        size_t now = count - at < most ? count - at : most;
        for (int s = 0; s < n; s++) {
            char *to = s == 0 ? sum : next;
            double factor = reduction->prescale * (weights ? weights[s] : 1);
            memcpy(to, (const char *)sources[s] + at * one, now * one);
            if (factor != 1)
                functions[dtype].scale(to, now, 1, factor);
            if (s > 0 || makes_bits)
                combine(&none, sum, (const void *const[]){sum, next}, s == 0 ? 1 : 2, now);
        }
        if (reduction->postscale != 1 || reduction->total != 1)
            functions[dtype].scale(sum, now, divisor_of(reduction), reduction->postscale);
        else if (reduction->divisor > 1)
            functions[dtype].divide(sum, now, reduction->divisor);
        memcpy(dst + at * one, sum, now * one);
    }
}

static void reduce_weighted_sum(const struct reduction *reduction, char *dst,
                                const void *const *sources, const double *weights, int n,
                                size_t count)
{
    enum { MOST = BLOCK_BYTES / sizeof(double) };
    int32_t dtype = reduction->dtype;
    size_t one = ronde_dtype_bytes(dtype);
    for (size_t at = 0; at < count; at += MOST) {
        double sums[MOST] = {0};
        size_t now = count - at < MOST ? count - at : MOST;
        for (int s = 0; s < n; s++)
            functions[dtype].add(sums, (const char *)sources[s] + at * one, now,
                                 reduction->prescale * weights[s]);
        functions[dtype].settle(dst + at * one, sums, now, divisor_of(reduction),
                                reduction->postscale);
    }
}

void ronde__integers_reduce(const struct reduction *reduction, kernel_function *combine, char *dst,
                            const void *const *sources, const double *weights, int n, size_t count)
{
    if (weights && reduction->op == RONDE_SUM && reduction->dtype != RONDE_BOOL)
        reduce_weighted_sum(reduction, dst, sources, weights, n, count);
    else
        reduce_scaled(reduction, combine, dst, sources, weights, n, count);
}
