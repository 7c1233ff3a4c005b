/* Open MPI's Fortran symbols call PMPI_, so they are taken here, under all the names that compilers
 * give them. MPI_IN_PLACE and MPI_BOTTOM of Fortran are variables, known by their addresses; where
 * these, or the original, cannot be found, all is passed on. The module mpi_f08 has symbols of its
 * own and is left to MPI. MPICH's Fortran symbols call the C ones. */
#include "preload/preload.h"

#if defined OPEN_MPI

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(sizeof(MPI_Fint) == sizeof(int), "counts are passed as they are");

static struct {
    void *in_place, *bottom;
} fortran;

static void find_variables(void)
{
    fortran.in_place = dlsym(RTLD_DEFAULT, "mpi_fortran_in_place_");
    fortran.bottom = dlsym(RTLD_DEFAULT, "mpi_fortran_bottom_");
}

static int knows_variables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_variables);
    return fortran.in_place && fortran.bottom;
}

/* A buffer as C has it. */
static void *c_buffer(void *buffer)
{
    return buffer == fortran.in_place ? MPI_IN_PLACE
           : buffer == fortran.bottom ? MPI_BOTTOM
                                      : buffer;
}

/* MPI's own symbol, which has parameters of the same kind. */
static void *original(const char *name)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);
    if (!symbol) {
        fprintf(stderr, "ronde-mpi: this MPI has no %s\n", name);
        abort();
    }
    return symbol;
}

/* Gives a function the other names that Fortran compilers use, and finds the original once. */
#define NAMES(lower, UPPER, parameters) \
    void lower##_ parameters; \
    void lower##__ parameters __attribute__((alias(#lower "_"))); \
    void lower parameters __attribute__((alias(#lower "_"))); \
    void UPPER parameters __attribute__((alias(#lower "_"))); \
    typedef void lower##_function parameters; \
    static lower##_function *lower##_original(void) \
    { \
        static _Atomic(void *) found; \
        void *symbol = atomic_load_explicit(&found, memory_order_relaxed); \
        if (!symbol) { \
            symbol = original("p" #lower "_"); \
            atomic_store_explicit(&found, symbol, memory_order_relaxed); \
        } \
        return (lower##_function *)symbol; \
    } \
    void lower##_ parameters

/* Where nothing is taken no handle is looked at: it may be another MPI's. */
static int takes(void)
{
    const struct preload_process *process = ronde__preload_process();
    return process && process->takes;
}

#define COMM(handle) (takes() ? PMPI_Comm_f2c(*(handle)) : MPI_COMM_NULL)
#define TYPE(handle) (takes() ? PMPI_Type_f2c(*(handle)) : MPI_DATATYPE_NULL)
#define OP(handle) (takes() ? PMPI_Op_f2c(*(handle)) : MPI_OP_NULL)

static void succeed(MPI_Fint *error)
{
    if (error)
        *error = MPI_SUCCESS;
}

NAMES(mpi_allreduce, MPI_ALLREDUCE,
      (void *in, void *out, MPI_Fint *count, MPI_Fint *type, MPI_Fint *op, MPI_Fint *comm,
       MPI_Fint *error))
{
    if (knows_variables() && ronde__preload_allreduce(c_buffer(in), c_buffer(out), *count,
                                                      TYPE(type), OP(op), COMM(comm)))
        succeed(error);
    else
        mpi_allreduce_original()(in, out, count, type, op, comm, error);
}

NAMES(mpi_reduce, MPI_REDUCE,
      (void *in, void *out, MPI_Fint *count, MPI_Fint *type, MPI_Fint *op, MPI_Fint *root,
       MPI_Fint *comm, MPI_Fint *error))
{
    if (knows_variables() && ronde__preload_reduce(c_buffer(in), c_buffer(out), *count, TYPE(type),
                                                   OP(op), *root, COMM(comm)))
        succeed(error);
    else
        mpi_reduce_original()(in, out, count, type, op, root, comm, error);
}

NAMES(mpi_reduce_scatter, MPI_REDUCE_SCATTER,
      (void *in, void *out, MPI_Fint *counts, MPI_Fint *type, MPI_Fint *op, MPI_Fint *comm,
       MPI_Fint *error))
{
    if (knows_variables() && ronde__preload_reduce_scatter(c_buffer(in), c_buffer(out), counts, 0,
                                                           TYPE(type), OP(op), COMM(comm)))
        succeed(error);
    else
        mpi_reduce_scatter_original()(in, out, counts, type, op, comm, error);
}

NAMES(mpi_reduce_scatter_block, MPI_REDUCE_SCATTER_BLOCK,
      (void *in, void *out, MPI_Fint *count, MPI_Fint *type, MPI_Fint *op, MPI_Fint *comm,
       MPI_Fint *error))
{
    if (knows_variables() && ronde__preload_reduce_scatter(c_buffer(in), c_buffer(out), NULL,
                                                           *count, TYPE(type), OP(op), COMM(comm)))
        succeed(error);
    else
        mpi_reduce_scatter_block_original()(in, out, count, type, op, comm, error);
}

NAMES(mpi_bcast, MPI_BCAST,
      (void *buffer, MPI_Fint *count, MPI_Fint *type, MPI_Fint *root, MPI_Fint *comm,
       MPI_Fint *error))
{
    if (knows_variables() &&
        ronde__preload_broadcast(c_buffer(buffer), *count, TYPE(type), *root, COMM(comm)))
        succeed(error);
    else
        mpi_bcast_original()(buffer, count, type, root, comm, error);
}

NAMES(mpi_allgather, MPI_ALLGATHER,
      (void *in, MPI_Fint *in_count, MPI_Fint *in_type, void *out, MPI_Fint *out_count,
       MPI_Fint *out_type, MPI_Fint *comm, MPI_Fint *error))
{
    int knows = knows_variables();
    const struct preload_side from = {c_buffer(in), *in_count, NULL, NULL, TYPE(in_type)};
    const struct preload_side to = {c_buffer(out), *out_count, NULL, NULL, TYPE(out_type)};
    if (knows && ronde__preload_allgather(&from, &to, COMM(comm)))
        succeed(error);
    else
        mpi_allgather_original()(in, in_count, in_type, out, out_count, out_type, comm, error);
}

NAMES(mpi_allgatherv, MPI_ALLGATHERV,
      (void *in, MPI_Fint *in_count, MPI_Fint *in_type, void *out, MPI_Fint *out_counts,
       MPI_Fint *out_at, MPI_Fint *out_type, MPI_Fint *comm, MPI_Fint *error))
{
    int knows = knows_variables();
    const struct preload_side from = {c_buffer(in), *in_count, NULL, NULL, TYPE(in_type)};
    const struct preload_side to = {c_buffer(out), 0, out_counts, out_at, TYPE(out_type)};
    if (knows && ronde__preload_allgather(&from, &to, COMM(comm)))
        succeed(error);
    else
        mpi_allgatherv_original()(in, in_count, in_type, out, out_counts, out_at, out_type, comm,
                                  error);
}

NAMES(mpi_alltoall, MPI_ALLTOALL,
      (void *in, MPI_Fint *in_count, MPI_Fint *in_type, void *out, MPI_Fint *out_count,
       MPI_Fint *out_type, MPI_Fint *comm, MPI_Fint *error))
{
    int knows = knows_variables();
    const struct preload_side from = {c_buffer(in), *in_count, NULL, NULL, TYPE(in_type)};
    const struct preload_side to = {c_buffer(out), *out_count, NULL, NULL, TYPE(out_type)};
    if (knows && ronde__preload_alltoall(&from, &to, COMM(comm)))
        succeed(error);
    else
        mpi_alltoall_original()(in, in_count, in_type, out, out_count, out_type, comm, error);
}

NAMES(mpi_alltoallv, MPI_ALLTOALLV,
      (void *in, MPI_Fint *in_counts, MPI_Fint *in_at, MPI_Fint *in_type, void *out,
       MPI_Fint *out_counts, MPI_Fint *out_at, MPI_Fint *out_type, MPI_Fint *comm, MPI_Fint *error))
{
    int knows = knows_variables();
    const struct preload_side from = {c_buffer(in), 0, in_counts, in_at, TYPE(in_type)};
    const struct preload_side to = {c_buffer(out), 0, out_counts, out_at, TYPE(out_type)};
    if (knows && ronde__preload_alltoall(&from, &to, COMM(comm)))
        succeed(error);
    else
        mpi_alltoallv_original()(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type,
                                 comm, error);
}

NAMES(mpi_barrier, MPI_BARRIER, (MPI_Fint * comm, MPI_Fint *error))
{
    if (ronde__preload_barrier(COMM(comm)))
        succeed(error);
    else
        mpi_barrier_original()(comm, error);
}

NAMES(mpi_finalize, MPI_FINALIZE, (MPI_Fint * error))
{
    ronde__preload_finish();
    mpi_finalize_original()(error);
}

#endif
