/* Scales and divisors of integers and bool, one element at a time: nobody trains in integers. The
 * divisions are the type's own, so they are exact; the scales are double's, with a meaning given to
 * every value that does not fit the type. */
#include <stdint.h>

#include "reduce/kernels.h"

/* HIGHEST as double is a value of the type for up to 32 bits, and one above for 64: hence >=. */
#define SCALE(T, LOWEST, HIGHEST) \
    static void T##_scale(void *elements, size_t count, double divisor, double scale) \
    { \
        T##_type *x = elements; \
        for (size_t i = 0; i < count; i++) { \
            double y = (double)x[i] / divisor * scale; \
            if (y >= (double)(HIGHEST)) \
                x[i] = HIGHEST; \
            else if (y > (double)(LOWEST)) \
                x[i] = (T##_type)y; \
            else \
                x[i] = y != y ? 0 : LOWEST; \
        } \
    }

/* In a type that holds every divisor and keeps the dividend's sign. */
#define DIVIDE(T, wide) \
    static void T##_divide(void *elements, size_t count, uint32_t divisor) \
    { \
        T##_type *x = elements; \
        for (size_t i = 0; i < count; i++) \
            x[i] = (T##_type)((wide)x[i] / (wide)divisor); \
    }

#define INTEGER(T, type, wide, LOWEST, HIGHEST) \
    typedef type T##_type; \
    SCALE(T, LOWEST, HIGHEST) \
    DIVIDE(T, wide)

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

static const struct {
    void (*scale)(void *elements, size_t count, double divisor, double scale);
    void (*divide)(void *elements, size_t count, uint32_t divisor);
} functions[RONDE__DTYPES] = {
    [RONDE_BOOL] = {b8_scale, NULL},         [RONDE_UINT8] = {u8_scale, u8_divide},
    [RONDE_INT8] = {s8_scale, s8_divide},    [RONDE_UINT16] = {u16_scale, u16_divide},
    [RONDE_INT16] = {s16_scale, s16_divide}, [RONDE_UINT32] = {u32_scale, u32_divide},
    [RONDE_INT32] = {s32_scale, s32_divide}, [RONDE_UINT64] = {u64_scale, u64_divide},
    [RONDE_INT64] = {s64_scale, s64_divide},
};

void ronde__integers_scale(int32_t dtype, void *elements, size_t count, uint32_t divisor,
                           double scale)
{
    functions[dtype].scale(elements, count, divisor, scale);
}

void ronde__integers_divide(int32_t dtype, void *elements, size_t count, uint32_t divisor)
{
    functions[dtype].divide(elements, count, divisor);
}
