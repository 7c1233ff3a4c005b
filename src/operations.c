/* The named operations, each as what it demands. */
#include "calls.h"

static struct demand allreduce(const char *name, const void *in, void *out, size_t count,
                               int32_t dtype, int32_t op, const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_ALLREDUCE,
                           .in = in,
                           .out = out,
                           .count = count,
                           .dtype = dtype,
                           .op = op,
                           .call = call};
}

int32_t ronde_allreduce_async(ronde_context *context, const char *name, const void *in, void *out,
                              size_t count, int32_t dtype, int32_t op, const ronde_call *call,
                              uint64_t *handle)
{
    struct demand demand = allreduce(name, in, out, count, dtype, op, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_allreduce(ronde_context *context, const char *name, const void *in, void *out,
                        size_t count, int32_t dtype, int32_t op, const ronde_call *call)
{
    struct demand demand = allreduce(name, in, out, count, dtype, op, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand broadcast(const char *name, const void *in, void *out, size_t count,
                               int32_t dtype, int32_t root, const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_BROADCAST,
                           .in = in,
                           .out = out,
                           .count = count,
                           .dtype = dtype,
                           .root = root,
                           .call = call};
}

int32_t ronde_broadcast_async(ronde_context *context, const char *name, const void *in, void *out,
                              size_t count, int32_t dtype, int32_t root, const ronde_call *call,
                              uint64_t *handle)
{
    struct demand demand = broadcast(name, in, out, count, dtype, root, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_broadcast(ronde_context *context, const char *name, const void *in, void *out,
                        size_t count, int32_t dtype, int32_t root, const ronde_call *call)
{
    struct demand demand = broadcast(name, in, out, count, dtype, root, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand allgather(const char *name, const void *in, size_t rows, size_t row_count,
                               int32_t dtype, void *out, size_t out_rows, size_t *rows_by_rank,
                               const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_ALLGATHER,
                           .in = in,
                           .rows = rows,
                           .row_count = row_count,
                           .dtype = dtype,
                           .out = out,
                           .out_rows = out_rows,
                           .rows_by_rank = rows_by_rank,
                           .call = call};
}

int32_t ronde_allgather_async(ronde_context *context, const char *name, const void *in, size_t rows,
                              size_t row_count, int32_t dtype, void *out, size_t out_rows,
                              size_t *rows_by_rank, const ronde_call *call, uint64_t *handle)
{
    struct demand demand = allgather(name, in, rows, row_count, dtype, out, out_rows, rows_by_rank,
                                     call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_allgather(ronde_context *context, const char *name, const void *in, size_t rows,
                        size_t row_count, int32_t dtype, void *out, size_t out_rows,
                        size_t *rows_by_rank, const ronde_call *call)
{
    struct demand demand = allgather(name, in, rows, row_count, dtype, out, out_rows, rows_by_rank,
                                     call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand reduce(const char *name, const void *in, void *out, size_t count,
                            int32_t dtype, int32_t op, int32_t root, const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_REDUCE,
                           .in = in,
                           .out = out,
                           .count = count,
                           .dtype = dtype,
                           .op = op,
                           .root = root,
                           .call = call};
}

int32_t ronde_reduce_async(ronde_context *context, const char *name, const void *in, void *out,
                           size_t count, int32_t dtype, int32_t op, int32_t root,
                           const ronde_call *call, uint64_t *handle)
{
    struct demand demand = reduce(name, in, out, count, dtype, op, root, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_reduce(ronde_context *context, const char *name, const void *in, void *out,
                     size_t count, int32_t dtype, int32_t op, int32_t root, const ronde_call *call)
{
    struct demand demand = reduce(name, in, out, count, dtype, op, root, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand reducescatter(const char *name, const void *in, size_t rows, size_t row_count,
                                   int32_t dtype, int32_t op, void *out, size_t out_rows,
                                   const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_REDUCESCATTER,
                           .in = in,
                           .rows = rows,
                           .row_count = row_count,
                           .dtype = dtype,
                           .op = op,
                           .out = out,
                           .out_rows = out_rows,
                           .call = call};
}

int32_t ronde_reducescatter_async(ronde_context *context, const char *name, const void *in,
                                  size_t rows, size_t row_count, int32_t dtype, int32_t op,
                                  void *out, size_t out_rows, const ronde_call *call,
                                  uint64_t *handle)
{
    struct demand demand = reducescatter(name, in, rows, row_count, dtype, op, out, out_rows, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_reducescatter(ronde_context *context, const char *name, const void *in, size_t rows,
                            size_t row_count, int32_t dtype, int32_t op, void *out, size_t out_rows,
                            const ronde_call *call)
{
    struct demand demand = reducescatter(name, in, rows, row_count, dtype, op, out, out_rows, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand alltoall(const char *name, const void *in, const size_t *splits, size_t rows,
                              size_t row_count, int32_t dtype, void *out, size_t out_rows,
                              size_t *received, const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_ALLTOALL,
                           .in = in,
                           .splits = splits,
                           .rows = rows,
                           .row_count = row_count,
                           .dtype = dtype,
                           .out = out,
                           .out_rows = out_rows,
                           .received = received,
                           .call = call};
}

int32_t ronde_alltoall_async(ronde_context *context, const char *name, const void *in,
                             const size_t *splits, size_t rows, size_t row_count, int32_t dtype,
                             void *out, size_t out_rows, size_t *received, const ronde_call *call,
                             uint64_t *handle)
{
    struct demand demand = alltoall(name, in, splits, rows, row_count, dtype, out, out_rows,
                                    received, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_alltoall(ronde_context *context, const char *name, const void *in,
                       const size_t *splits, size_t rows, size_t row_count, int32_t dtype,
                       void *out, size_t out_rows, size_t *received, const ronde_call *call)
{
    struct demand demand = alltoall(name, in, splits, rows, row_count, dtype, out, out_rows,
                                    received, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand gather(const char *name, const void *in, size_t rows, size_t row_count,
                            int32_t dtype, void *out, size_t out_rows, size_t *rows_by_rank,
                            int32_t root, const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_GATHER,
                           .in = in,
                           .rows = rows,
                           .row_count = row_count,
                           .dtype = dtype,
                           .out = out,
                           .out_rows = out_rows,
                           .rows_by_rank = rows_by_rank,
                           .root = root,
                           .call = call};
}

int32_t ronde_gather_async(ronde_context *context, const char *name, const void *in, size_t rows,
                           size_t row_count, int32_t dtype, void *out, size_t out_rows,
                           size_t *rows_by_rank, int32_t root, const ronde_call *call,
                           uint64_t *handle)
{
    struct demand demand = gather(name, in, rows, row_count, dtype, out, out_rows, rows_by_rank,
                                  root, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_gather(ronde_context *context, const char *name, const void *in, size_t rows,
                     size_t row_count, int32_t dtype, void *out, size_t out_rows,
                     size_t *rows_by_rank, int32_t root, const ronde_call *call)
{
    struct demand demand = gather(name, in, rows, row_count, dtype, out, out_rows, rows_by_rank,
                                  root, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand scatter(const char *name, const void *in, const size_t *rows_by_rank,
                             size_t rows, size_t row_count, int32_t dtype, void *out,
                             size_t out_rows, size_t *received, int32_t root,
                             const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_SCATTER,
                           .in = in,
                           .splits = rows_by_rank,
                           .rows = rows,
                           .row_count = row_count,
                           .dtype = dtype,
                           .out = out,
                           .out_rows = out_rows,
                           .received = received,
                           .root = root,
                           .call = call};
}

int32_t ronde_scatter_async(ronde_context *context, const char *name, const void *in,
                            const size_t *rows_by_rank, size_t rows, size_t row_count,
                            int32_t dtype, void *out, size_t out_rows, size_t *received,
                            int32_t root, const ronde_call *call, uint64_t *handle)
{
    struct demand demand = scatter(name, in, rows_by_rank, rows, row_count, dtype, out, out_rows,
                                   received, root, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_scatter(ronde_context *context, const char *name, const void *in,
                      const size_t *rows_by_rank, size_t rows, size_t row_count, int32_t dtype,
                      void *out, size_t out_rows, size_t *received, int32_t root,
                      const ronde_call *call)
{
    struct demand demand = scatter(name, in, rows_by_rank, rows, row_count, dtype, out, out_rows,
                                   received, root, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand send(const char *name, const void *in, size_t count, int32_t dtype, int32_t to,
                          const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_SEND,
                           .in = in,
                           .count = count,
                           .dtype = dtype,
                           .root = to,
                           .call = call};
}

int32_t ronde_send_async(ronde_context *context, const char *name, const void *in, size_t count,
                         int32_t dtype, int32_t to, const ronde_call *call, uint64_t *handle)
{
    struct demand demand = send(name, in, count, dtype, to, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_send(ronde_context *context, const char *name, const void *in, size_t count,
                   int32_t dtype, int32_t to, const ronde_call *call)
{
    struct demand demand = send(name, in, count, dtype, to, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand recv(const char *name, void *out, size_t count, int32_t dtype, int32_t from,
                          const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_RECV,
                           .out = out,
                           .count = count,
                           .dtype = dtype,
                           .root = from,
                           .call = call};
}

int32_t ronde_recv_async(ronde_context *context, const char *name, void *out, size_t count,
                         int32_t dtype, int32_t from, const ronde_call *call, uint64_t *handle)
{
    struct demand demand = recv(name, out, count, dtype, from, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_recv(ronde_context *context, const char *name, void *out, size_t count, int32_t dtype,
                   int32_t from, const ronde_call *call)
{
    struct demand demand = recv(name, out, count, dtype, from, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand barrier(const char *name, const ronde_call *call)
{
    return (struct demand){.name = name, .kind = KIND_BARRIER, .call = call};
}

int32_t ronde_barrier_async(ronde_context *context, const char *name, const ronde_call *call,
                            uint64_t *handle)
{
    struct demand demand = barrier(name, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_barrier(ronde_context *context, const char *name, const ronde_call *call)
{
    struct demand demand = barrier(name, call);
    return ronde__call_and_wait(context, &demand);
}

static struct demand sparse_allreduce(const char *name, const int64_t *indices, const void *values,
                                      size_t rows, size_t row_count, int32_t dtype, int32_t op,
                                      const ronde_call *call)
{
    return (struct demand){.name = name,
                           .kind = KIND_SPARSE,
                           .indices = indices,
                           .in = values,
                           .rows = rows,
                           .row_count = row_count,
                           .dtype = dtype,
                           .op = op,
                           .call = call};
}

int32_t ronde_sparse_allreduce_async(ronde_context *context, const char *name,
                                     const int64_t *indices, const void *values, size_t rows,
                                     size_t row_count, int32_t dtype, int32_t op,
                                     const ronde_call *call, uint64_t *handle)
{
    struct demand demand = sparse_allreduce(name, indices, values, rows, row_count, dtype, op,
                                            call);
    return ronde__call_async(context, &demand, handle);
}

static struct demand join(int32_t *last_rank, const ronde_call *call)
{
    return (struct demand){.kind = KIND_JOIN,
                           .name = COORDINATOR_JOIN,
                           .last_rank = last_rank,
                           .call = call};
}

int32_t ronde_join_async(ronde_context *context, int32_t *last_rank, const ronde_call *call,
                         uint64_t *handle)
{
    struct demand demand = join(last_rank, call);
    return ronde__call_async(context, &demand, handle);
}

int32_t ronde_join(ronde_context *context, int32_t *last_rank, const ronde_call *call)
{
    struct demand demand = join(last_rank, call);
    return ronde__call_and_wait(context, &demand);
}
