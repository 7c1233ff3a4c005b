/* MPI's predefined types are known by kind and size. Which ops MPI allows on which, says MPI 4.0,
 * 6.9.2: what it does not allow is passed on, so that it complains itself. */
#include <stddef.h>

#include "base/dtype.h"
#include "preload/preload.h"

enum { ARITHMETIC = 1, LOGICAL = 2, BITWISE = 4 };
enum shape { SIGNED, UNSIGNED, FLOAT, OTHER };

struct type {
    MPI_Datatype type;
    enum shape shape;
    int allowed;
    int bytes;     /* 0: this MPI lacks it */
    int32_t dtype; /* -1: no reduction */
};

enum { C_INTEGER = ARITHMETIC | LOGICAL | BITWISE, F_INTEGER = ARITHMETIC | BITWISE };

/* The most used first. Logicals of Fortran, whose true is not 1 everywhere, char, complex, pairs,
 * half and long double are not here. */
static struct type types[] = {
    {MPI_DOUBLE, FLOAT, ARITHMETIC, 0, -1},
    {MPI_FLOAT, FLOAT, ARITHMETIC, 0, -1},
    {MPI_INT, SIGNED, C_INTEGER, 0, -1},
    {MPI_BYTE, UNSIGNED, BITWISE, 0, -1},
    {MPI_LONG, SIGNED, C_INTEGER, 0, -1},
    {MPI_UNSIGNED_LONG, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_DOUBLE_PRECISION, FLOAT, ARITHMETIC, 0, -1},
    {MPI_REAL, FLOAT, ARITHMETIC, 0, -1},
    {MPI_INTEGER, SIGNED, F_INTEGER, 0, -1},
    {MPI_REAL8, FLOAT, ARITHMETIC, 0, -1},
    {MPI_REAL4, FLOAT, ARITHMETIC, 0, -1},
    {MPI_INT64_T, SIGNED, C_INTEGER, 0, -1},
    {MPI_UINT64_T, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_INT32_T, SIGNED, C_INTEGER, 0, -1},
    {MPI_UINT32_T, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_LONG_LONG_INT, SIGNED, C_INTEGER, 0, -1},
    {MPI_UNSIGNED_LONG_LONG, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_UNSIGNED, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_SHORT, SIGNED, C_INTEGER, 0, -1},
    {MPI_UNSIGNED_SHORT, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_INT16_T, SIGNED, C_INTEGER, 0, -1},
    {MPI_UINT16_T, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_SIGNED_CHAR, SIGNED, C_INTEGER, 0, -1},
    {MPI_UNSIGNED_CHAR, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_INT8_T, SIGNED, C_INTEGER, 0, -1},
    {MPI_UINT8_T, UNSIGNED, C_INTEGER, 0, -1},
    {MPI_C_BOOL, UNSIGNED, LOGICAL, 0, -1},
    {MPI_INTEGER8, SIGNED, F_INTEGER, 0, -1},
    {MPI_INTEGER4, SIGNED, F_INTEGER, 0, -1},
    {MPI_INTEGER2, SIGNED, F_INTEGER, 0, -1},
    {MPI_INTEGER1, SIGNED, F_INTEGER, 0, -1},
    {MPI_AINT, SIGNED, F_INTEGER, 0, -1},
    {MPI_OFFSET, SIGNED, F_INTEGER, 0, -1},
    {MPI_COUNT, SIGNED, F_INTEGER, 0, -1},
    {MPI_CHAR, OTHER, 0, 0, -1},
    {MPI_CHARACTER, OTHER, 0, 0, -1},
    {MPI_LOGICAL, OTHER, 0, 0, -1},
};

enum { TYPES = sizeof(types) / sizeof(types[0]) };

static int32_t dtype_of(enum shape shape, int bytes)
{
    static const int32_t signs[] = {-1, RONDE_INT8, RONDE_INT16, -1,         RONDE_INT32,
                                    -1, -1,         -1,          RONDE_INT64};
    static const int32_t unsigns[] = {-1, RONDE_UINT8, RONDE_UINT16, -1,          RONDE_UINT32,
                                      -1, -1,          -1,           RONDE_UINT64};
    if (bytes < 1 || bytes > 8)
        return -1;
    switch (shape) {
    case SIGNED: return signs[bytes];
    case UNSIGNED: return unsigns[bytes];
    case FLOAT: return bytes == 4 ? RONDE_FLOAT32 : bytes == 8 ? RONDE_FLOAT64 : -1;
    case OTHER: break;
    }
    return -1;
}

void ronde__preload_learn_types(void)
{
    for (struct type *row = types; row < types + TYPES; row++) {
        int bytes = 0;
        if (row->type == MPI_DATATYPE_NULL || PMPI_Type_size(row->type, &bytes) != MPI_SUCCESS)
            bytes = 0;
        row->bytes = bytes > 0 ? bytes : 0;
        row->dtype = dtype_of(row->shape, row->bytes);
    }
}

static const struct type *find(MPI_Datatype type)
{
    for (const struct type *row = types; row < types + TYPES; row++)
        if (row->type == type && row->bytes)
            return row;
    return NULL;
}

/* What an MPI computes otherwise than others do stays as it is with that MPI. */
static int differs(const struct type *type, MPI_Op op)
{
#if defined MPICH /* 4.0.2 compares unsigned integers as if they had signs */
    return type->shape == UNSIGNED && (op == MPI_MIN || op == MPI_MAX);
#else /* 4.1.4 saturates sums of narrow integers where the CPU has AVX, and wraps where not; it
         compares MPI_UNSIGNED_LONG as if it had a sign, and MPI_OFFSET as if it had none */
    int is_compared = op == MPI_MIN || op == MPI_MAX;
    int is_mistaken = type->type == MPI_UNSIGNED_LONG || type->type == MPI_OFFSET;
    int saturates = type->shape != FLOAT && type->bytes <= 2 && op == MPI_SUM;
    return saturates || (is_mistaken && is_compared);
#endif
}

int ronde__preload_reduction(MPI_Datatype type, MPI_Op op, struct reduction *reduction)
{
    const struct {
        MPI_Op op;
        int needs;
        int32_t ours;
    } ops[] = {
        {MPI_SUM, ARITHMETIC, RONDE_SUM},       {MPI_MAX, ARITHMETIC, RONDE_MAX},
        {MPI_MIN, ARITHMETIC, RONDE_MIN},       {MPI_PROD, ARITHMETIC, RONDE_PRODUCT},
        {MPI_LAND, LOGICAL, RONDE_LOGICAL_AND}, {MPI_LOR, LOGICAL, RONDE_LOGICAL_OR},
        {MPI_BAND, BITWISE, RONDE_BITWISE_AND}, {MPI_BOR, BITWISE, RONDE_BITWISE_OR},
    };
    const struct type *row = find(type);
    if (!row || row->dtype < 0 || differs(row, op))
        return 0;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (ops[i].op == op && row->allowed & ops[i].needs) {
            *reduction = (struct reduction){row->dtype, ops[i].ours, 1, 1, 1, 1, RONDE_BOOL};
            return 1;
        }
    return 0;
}

/* Predefined, and as long in memory as its data: then it is a run of bytes. Pairs with holes are
 * not; of derived types only their size is known. */
static size_t bytes_of(MPI_Datatype type, int *plain)
{
    const struct type *row = find(type);
    *plain = row != NULL;
    if (row)
        return (size_t)row->bytes;
    int bytes = 0, integers, addresses, kinds, combiner;
    MPI_Aint lower, extent;
    if (type == MPI_DATATYPE_NULL || type == (MPI_Datatype)0 ||
        PMPI_Type_size(type, &bytes) != MPI_SUCCESS || bytes <= 0 ||
        PMPI_Type_get_extent(type, &lower, &extent) != MPI_SUCCESS ||
        PMPI_Type_get_envelope(type, &integers, &addresses, &kinds, &combiner) != MPI_SUCCESS)
        return 0;
    *plain = combiner == MPI_COMBINER_NAMED && lower == 0 && extent == bytes;
    return (size_t)bytes;
}

/* Of a predefined one the handle means the same for ever. */
size_t ronde__preload_type_bytes(struct preload *preload, MPI_Datatype type, int *plain)
{
    *plain = 1;
    if (preload->plain_bytes && preload->plain_type == type)
        return preload->plain_bytes;
    size_t bytes = bytes_of(type, plain);
    if (*plain && bytes) {
        preload->plain_type = type;
        preload->plain_bytes = bytes;
    }
    return bytes;
}
