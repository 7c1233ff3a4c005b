/* The C symbols that a program finds before MPI's. */
#include "preload/preload.h"

int MPI_Allreduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    if (ronde__preload_passes(PRELOAD_ALLREDUCE, count, type, comm))
        return PMPI_Allreduce(in, out, count, type, op, comm);
    if (ronde__preload_allreduce(in, out, count, type, op, comm))
        return MPI_SUCCESS;
    return PMPI_Allreduce(in, out, count, type, op, comm);
}

int MPI_Reduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op, int root,
               MPI_Comm comm)
{
    if (ronde__preload_passes(PRELOAD_REDUCE, count, type, comm))
        return PMPI_Reduce(in, out, count, type, op, root, comm);
    if (ronde__preload_reduce(in, out, count, type, op, root, comm))
        return MPI_SUCCESS;
    return PMPI_Reduce(in, out, count, type, op, root, comm);
}

int MPI_Reduce_scatter(const void *in, void *out, const int counts[], MPI_Datatype type, MPI_Op op,
                       MPI_Comm comm)
{
    if (counts && ronde__preload_reduce_scatter(in, out, counts, 0, type, op, comm))
        return MPI_SUCCESS;
    return PMPI_Reduce_scatter(in, out, counts, type, op, comm);
}

int MPI_Reduce_scatter_block(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op,
                             MPI_Comm comm)
{
    if (ronde__preload_passes(PRELOAD_REDUCE_SCATTER, count, type, comm))
        return PMPI_Reduce_scatter_block(in, out, count, type, op, comm);
    if (ronde__preload_reduce_scatter(in, out, NULL, count, type, op, comm))
        return MPI_SUCCESS;
    return PMPI_Reduce_scatter_block(in, out, count, type, op, comm);
}

int MPI_Bcast(void *buffer, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
    if (ronde__preload_passes(PRELOAD_BROADCAST, count, type, comm))
        return PMPI_Bcast(buffer, count, type, root, comm);
    if (ronde__preload_broadcast(buffer, count, type, root, comm))
        return MPI_SUCCESS;
    return PMPI_Bcast(buffer, count, type, root, comm);
}

int MPI_Allgather(const void *in, int in_count, MPI_Datatype in_type, void *out, int out_count,
                  MPI_Datatype out_type, MPI_Comm comm)
{
    if (ronde__preload_passes(PRELOAD_ALLGATHER, out_count, out_type, comm))
        return PMPI_Allgather(in, in_count, in_type, out, out_count, out_type, comm);
    const struct preload_side from = {in, in_count, NULL, NULL, in_type};
    const struct preload_side to = {out, out_count, NULL, NULL, out_type};
    if (ronde__preload_allgather(&from, &to, comm))
        return MPI_SUCCESS;
    return PMPI_Allgather(in, in_count, in_type, out, out_count, out_type, comm);
}

int MPI_Allgatherv(const void *in, int in_count, MPI_Datatype in_type, void *out,
                   const int out_counts[], const int displacements[], MPI_Datatype out_type,
                   MPI_Comm comm)
{
    const struct preload_side from = {in, in_count, NULL, NULL, in_type};
    const struct preload_side to = {out, 0, out_counts, displacements, out_type};
    if (out_counts && displacements && ronde__preload_allgather(&from, &to, comm))
        return MPI_SUCCESS;
    return PMPI_Allgatherv(in, in_count, in_type, out, out_counts, displacements, out_type, comm);
}

int MPI_Alltoall(const void *in, int in_count, MPI_Datatype in_type, void *out, int out_count,
                 MPI_Datatype out_type, MPI_Comm comm)
{
    if (ronde__preload_passes(PRELOAD_ALLTOALL, out_count, out_type, comm))
        return PMPI_Alltoall(in, in_count, in_type, out, out_count, out_type, comm);
    const struct preload_side from = {in, in_count, NULL, NULL, in_type};
    const struct preload_side to = {out, out_count, NULL, NULL, out_type};
    if (ronde__preload_alltoall(&from, &to, comm))
        return MPI_SUCCESS;
    return PMPI_Alltoall(in, in_count, in_type, out, out_count, out_type, comm);
}

int MPI_Alltoallv(const void *in, const int in_counts[], const int in_at[], MPI_Datatype in_type,
                  void *out, const int out_counts[], const int out_at[], MPI_Datatype out_type,
                  MPI_Comm comm)
{
    const struct preload_side from = {in, 0, in_counts, in_at, in_type};
    const struct preload_side to = {out, 0, out_counts, out_at, out_type};
    int is_whole = out_counts && out_at && (in == MPI_IN_PLACE || (in_counts && in_at));
    if (is_whole && ronde__preload_alltoall(&from, &to, comm))
        return MPI_SUCCESS;
    return PMPI_Alltoallv(in, in_counts, in_at, in_type, out, out_counts, out_at, out_type, comm);
}

int MPI_Barrier(MPI_Comm comm)
{
    if (ronde__preload_barrier(comm))
        return MPI_SUCCESS;
    return PMPI_Barrier(comm);
}

int MPI_Finalize(void)
{
    ronde__preload_finish();
    return PMPI_Finalize();
}
