#include "base/dtype.h"

#include "base/status.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[RONDE__DTYPES] = {
    [RONDE_BOOL] = {"bool", 1},         [RONDE_UINT8] = {"uint8", 1},
    [RONDE_INT8] = {"int8", 1},         [RONDE_UINT16] = {"uint16", 2},
    [RONDE_INT16] = {"int16", 2},       [RONDE_UINT32] = {"uint32", 4},
    [RONDE_INT32] = {"int32", 4},       [RONDE_UINT64] = {"uint64", 8},
    [RONDE_INT64] = {"int64", 8},       [RONDE_FLOAT16] = {"float16", 2},
    [RONDE_BFLOAT16] = {"bfloat16", 2}, [RONDE_FLOAT32] = {"float32", 4},
    [RONDE_FLOAT64] = {"float64", 8},
};

enum { BOOLS = 1, INTEGERS = 2, FLOATS = 4, NUMBERS = INTEGERS | FLOATS, ALL = NUMBERS | BOOLS };

static const struct {
    const char *name;
    int fits;
} ops[RONDE__OPS] = {
    [RONDE_SUM] = {"sum", ALL},
    [RONDE_AVERAGE] = {"average", ALL},
    [RONDE_MIN] = {"min", ALL},
    [RONDE_MAX] = {"max", ALL},
    [RONDE_PRODUCT] = {"product", ALL},
    [RONDE_LOGICAL_AND] = {"logical_and", INTEGERS | BOOLS},
    [RONDE_LOGICAL_OR] = {"logical_or", INTEGERS | BOOLS},
    [RONDE_BITWISE_AND] = {"bitwise_and", INTEGERS | BOOLS},
    [RONDE_BITWISE_OR] = {"bitwise_or", INTEGERS | BOOLS},
    [RONDE_ADASUM] = {"adasum", FLOATS},
    [RONDE_WEIGHTED_AVERAGE] = {"weighted_average", NUMBERS},
};

int ronde__dtype_is_valid(int32_t dtype)
{
    return dtype >= 0 && dtype < RONDE__DTYPES;
}

int ronde__dtype_is_float(int32_t dtype)
{
    return dtype >= RONDE_FLOAT16 && dtype <= RONDE_FLOAT64;
}

int ronde__op_is_valid(int32_t op)
{
    return op >= 0 && op < RONDE__OPS;
}

int ronde__op_fits(int32_t op, int32_t dtype)
{
    if (!ronde__op_is_valid(op) || !ronde__dtype_is_valid(dtype))
        return 0;
    int kind = dtype == RONDE_BOOL ? BOOLS : ronde__dtype_is_float(dtype) ? FLOATS : INTEGERS;
    return (ops[op].fits & kind) != 0;
}

const char *ronde_dtype_name(int32_t dtype)
{
    return ronde__dtype_is_valid(dtype) ? dtypes[dtype].name : NULL;
}

size_t ronde_dtype_bytes(int32_t dtype)
{
    return ronde__dtype_is_valid(dtype) ? dtypes[dtype].bytes : 0;
}

const char *ronde_op_name(int32_t op)
{
    return ronde__op_is_valid(op) ? ops[op].name : NULL;
}

int32_t ronde__bytes_of(size_t count, int32_t dtype, size_t *bytes)
{
    size_t one = dtypes[dtype].bytes;
    if (count > (size_t)PTRDIFF_MAX / one)
        return ronde__fail(RONDE_ERR_OVERFLOW, "%zu elements of %s exceed the address space", count,
                           dtypes[dtype].name);
    *bytes = count * one;
    return RONDE_OK;
}
