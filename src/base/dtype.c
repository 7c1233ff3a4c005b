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

static const char *const ops[RONDE__OPS] = {
    [RONDE_SUM] = "sum", [RONDE_AVERAGE] = "average", [RONDE_MIN] = "min",
    [RONDE_MAX] = "max", [RONDE_PRODUCT] = "product",
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
    return ronde__op_is_valid(op) ? ops[op] : NULL;
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
