/* The identity of every op and dtype, as the bits of one element. */
#include <stdint.h>
#include <string.h>

#include "base/dtype.h"
#include "reduce/reduce.h"

/* Of floats: -0.0, 1 and infinity. */
static const struct {
    uint64_t zero, one, infinity;
} floats[RONDE__DTYPES] = {
    [RONDE_FLOAT16] = {0x8000, 0x3c00, 0x7c00},
    [RONDE_BFLOAT16] = {0x8000, 0x3f80, 0x7f80},
    [RONDE_FLOAT32] = {0x80000000, 0x3f800000, 0x7f800000},
    [RONDE_FLOAT64] = {0x8000000000000000, 0x3ff0000000000000, 0x7ff0000000000000},
};

static int is_signed(int32_t dtype)
{
    return dtype == RONDE_INT8 || dtype == RONDE_INT16 || dtype == RONDE_INT32 ||
           dtype == RONDE_INT64;
}

static uint64_t float_identity(int32_t op, int32_t dtype)
{
    if (op == RONDE_PRODUCT)
        return floats[dtype].one;
    if (op == RONDE_MIN)
        return floats[dtype].infinity;
    if (op == RONDE_MAX)
        return floats[dtype].infinity | floats[dtype].zero;
    return floats[dtype].zero;
}

static uint64_t integer_identity(int32_t op, int32_t dtype)
{
    uint64_t sign = 1ull << (8 * ronde_dtype_bytes(dtype) - 1), ones = 2 * sign - 1;
    if (op == RONDE_PRODUCT || op == RONDE_LOGICAL_AND)
        return 1;
    if (op == RONDE_MIN)
        return is_signed(dtype) ? sign - 1 : ones;
    if (op == RONDE_MAX)
        return is_signed(dtype) ? sign : 0;
    return op == RONDE_BITWISE_AND ? ones : 0;
}

/* The ops that are `and` for bool: see ronde__reduction about its average. */
static uint64_t bool_identity(int32_t op)
{
    return op == RONDE_PRODUCT || op == RONDE_MIN || op == RONDE_LOGICAL_AND ||
           op == RONDE_BITWISE_AND;
}

static void put(void *element, uint64_t bits, size_t bytes)
{
    switch (bytes) {
    case 1: memcpy(element, &(uint8_t){(uint8_t)bits}, 1); break;
    case 2: memcpy(element, &(uint16_t){(uint16_t)bits}, 2); break;
    case 4: memcpy(element, &(uint32_t){(uint32_t)bits}, 4); break;
    default: memcpy(element, &bits, 8);
    }
}

/* One element, then twice as much each time, from a beginning that stays in the cache. */
void ronde__reduce_identity(const struct reduction *reduction, void *dst, size_t count)
{
    enum { MOST = 4096 };
    int32_t op = reduction->op;
    int32_t dtype = reduction->to == RONDE_BOOL ? reduction->dtype : reduction->to;
    size_t one = ronde_dtype_bytes(dtype), bytes = count * one;
    if (count == 0)
        return;
    put(dst,
        dtype == RONDE_BOOL            ? bool_identity(op)
        : ronde__dtype_is_float(dtype) ? float_identity(op, dtype)
                                       : integer_identity(op, dtype),
        one);
    for (size_t filled = one, now; filled < bytes; filled += now) {
        now = filled < MOST ? filled : MOST;
        now = now < bytes - filled ? now : bytes - filled;
        memcpy((char *)dst + filled, dst, now);
    }
}
