/* MPI's variant: what a program without Ronde would call. */
#include <limits.h>
#include <mpi.h>

#include "options.h"
#include "work.h"

static MPI_Datatype type_of(int32_t dtype)
{
    switch ((enum ronde_dtype)dtype) {
    case RONDE_BOOL: return MPI_C_BOOL;
    case RONDE_UINT8: return MPI_UINT8_T;
    case RONDE_INT8: return MPI_INT8_T;
    case RONDE_UINT16: return MPI_UINT16_T;
    case RONDE_INT16: return MPI_INT16_T;
    case RONDE_UINT32: return MPI_UINT32_T;
    case RONDE_INT32: return MPI_INT32_T;
    case RONDE_UINT64: return MPI_UINT64_T;
    case RONDE_INT64: return MPI_INT64_T;
    case RONDE_FLOAT32: return MPI_FLOAT;
    case RONDE_FLOAT64: return MPI_DOUBLE;
    case RONDE_FLOAT16: return MPI_UINT16_T; /* may be moved, not added */
    case RONDE_BFLOAT16: return MPI_UINT16_T;
    }
    return MPI_DATATYPE_NULL;
}

static MPI_Op op_of(int32_t dtype, int32_t op)
{
    int is_bool = dtype == RONDE_BOOL;
    switch ((enum ronde_op)op) {
    case RONDE_SUM: return is_bool ? MPI_LOR : MPI_SUM;
    case RONDE_AVERAGE: return is_bool ? MPI_LAND : MPI_SUM;
    case RONDE_MIN: return is_bool ? MPI_LAND : MPI_MIN;
    case RONDE_MAX: return is_bool ? MPI_LOR : MPI_MAX;
    case RONDE_PRODUCT: return is_bool ? MPI_LAND : MPI_PROD;
    case RONDE_LOGICAL_AND: return MPI_LAND;
    case RONDE_LOGICAL_OR: return MPI_LOR;
    case RONDE_BITWISE_AND: return MPI_BAND;
    case RONDE_BITWISE_OR: return MPI_BOR;
    case RONDE_ADASUM:
    case RONDE_WEIGHTED_AVERAGE: break;
    }
    return MPI_OP_NULL;
}

const char *mpi_refuses(const struct work *w, size_t largest_count)
{
    int reduces = w->collective == ALLREDUCE || w->collective == STEPS;
    int floating = w->dtype == RONDE_FLOAT32 || w->dtype == RONDE_FLOAT64;
    if (largest_count > INT_MAX)
        return "takes at most 2147483647 elements a call: give a smaller -e or another --impl";
    if (reduces && (w->dtype == RONDE_FLOAT16 || w->dtype == RONDE_BFLOAT16))
        return "cannot reduce float16 or bfloat16: give another -d or --impl";
    if (reduces && w->op == RONDE_AVERAGE && !floating && w->dtype != RONDE_BOOL)
        return "has no average, and is given one here for float32 and float64 only: give another "
               "-o, -d or --impl";
    return NULL;
}

/* The pass that a caller of MPI who wants an average makes. */
static void scale(const struct work *w, char *memory, size_t count)
{
    if (w->dtype == RONDE_FLOAT32) {
        float *at = (float *)(void *)memory, factor = 1.0f / (float)w->ranks;
        for (size_t i = 0; i < count; i++)
            at[i] *= factor;
    } else if (w->dtype == RONDE_FLOAT64) {
        double *at = (double *)(void *)memory, factor = 1.0 / w->ranks;
        for (size_t i = 0; i < count; i++)
            at[i] *= factor;
    }
}

static int run_piece(const struct work *w, const struct variant *v, const struct piece *piece)
{
    MPI_Datatype type = type_of(w->dtype);
    char *in = v->in + piece->offset_bytes, *out = v->out + piece->offset_bytes;
    const void *from = w->in_place ? MPI_IN_PLACE : (const void *)in;
    int count = (int)piece->count, status;
    switch (w->collective) {
    case BROADCAST: return MPI_Bcast(out, count, type, w->root, MPI_COMM_WORLD);
    case ALLGATHER:
        return MPI_Allgather(from, w->in_place ? 0 : count, type, out, count, type, MPI_COMM_WORLD);
    default: break;
    }
    status = MPI_Allreduce(from, out, count, type, op_of(w->dtype, w->op), MPI_COMM_WORLD);
    if (w->op == RONDE_AVERAGE)
        scale(w, out, piece->count);
    return status;
}

void mpi_run(const struct work *w, const struct variant *v)
{
    for (size_t i = 0; i < v->pieces->number; i++)
        if (run_piece(w, v, &v->pieces->at[i]))
            die("MPI refused %s", v->pieces->at[i].name);
}
