/* Ronde: named asynchronous collectives over MPI.
 *
 * Conventions
 *   Every function that can fail returns an int32_t status: 0 is success, a negative value is an
 *   error (enum ronde_status), a positive value is a state. The text of the calling thread's last
 *   error is ronde_last_error(). Out-parameters are written on success only.
 *   Counts are elements, never bytes, unless the name says _bytes.
 *   "Collective" means that every rank of the context must make the call; "local" that it need not.
 *   All functions may be called from any thread unless their comment says otherwise.
 *   A context belongs to the process that opened it; in a forked child its use is RONDE_ERR_CLOSED.
 */
#ifndef RONDE_H
#define RONDE_H

#include <stddef.h>
#include <stdint.h>

#define RONDE_VERSION_MAJOR 0
#define RONDE_VERSION_MINOR 1
#define RONDE_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* One membership in one job: ranks, their network, the node's shared segment, the coordinator.
 * Several may be open at once in one process. */
typedef struct ronde_context ronde_context;

enum ronde_status {
    RONDE_OK = 0,
    RONDE_PENDING = 1,          /* the operation is not finished yet */
    RONDE_ERR_ARGUMENT = -1,    /* null pointer, bad dtype, op, root, shape, option or setting */
    RONDE_ERR_OVERFLOW = -2,    /* count x element size exceeds size_t */
    RONDE_ERR_MEMORY = -3,      /* out of memory, or out of room in shared memory */
    RONDE_ERR_CLOSED = -4,      /* the context is not open, or is closing */
    RONDE_ERR_HANDLE = -5,      /* stale or unknown handle, or one that another thread waits on */
    RONDE_ERR_DUPLICATE = -6,   /* a named operation with this name is already outstanding here */
    RONDE_ERR_MISMATCH = -7,    /* ranks disagree about dtype, shape, op, root or scale */
    RONDE_ERR_TRUNCATED = -8,   /* the caller's output is too small for the gathered rows */
    RONDE_ERR_THREADS = -9,     /* the MPI thread level is too low for this use */
    RONDE_ERR_MPI = -10,        /* MPI returned an error */
    RONDE_ERR_SYSTEM = -11,     /* the operating system refused something */
    RONDE_ERR_PEER = -12,       /* a rank was lost */
    RONDE_ERR_STALLED = -13,    /* some ranks did not submit the tensor in time */
    RONDE_ERR_PROCESS_SET = -14 /* unknown process set, or the caller is not a member */
};

enum ronde_dtype {
    RONDE_BOOL = 0, /* one byte, 0 or 1: sum is or, product and average are and */
    RONDE_UINT8 = 1,
    RONDE_INT8 = 2,
    RONDE_UINT16 = 3,
    RONDE_INT16 = 4,
    RONDE_UINT32 = 5,
    RONDE_INT32 = 6,
    RONDE_UINT64 = 7,
    RONDE_INT64 = 8,
    RONDE_FLOAT16 = 9, /* IEEE binary16 */
    RONDE_BFLOAT16 = 10,
    RONDE_FLOAT32 = 11,
    RONDE_FLOAT64 = 12
};

/* Integers wrap. Integer average truncates towards zero. Min and max propagate NaN. float16 and
 * bfloat16 are accumulated in float32 and rounded once where the data meet on a node. */
enum ronde_op {
    RONDE_SUM = 0,
    RONDE_AVERAGE = 1, /* the sum divided by the number of contributing ranks */
    RONDE_MIN = 2,
    RONDE_MAX = 3,
    RONDE_PRODUCT = 4,
    RONDE_LOGICAL_AND = 5, /* of integers and bool: 1 where all (any) are not 0, else 0 */
    RONDE_LOGICAL_OR = 6,
    RONDE_BITWISE_AND = 7, /* of integers and bool */
    RONDE_BITWISE_OR = 8,
    /* of floats, not sparse: the adaptive sum of Maleki et al., arXiv:2006.02924 */
    RONDE_ADASUM = 9,
    /* the sum of weight x contribution, by the sum of the weights (each 0 or more; the sum above 0, and
     * finite in the type of the floats, or it is RONDE_ERR_MISMATCH); not of bool, not sparse */
    RONDE_WEIGHTED_AVERAGE = 10
};

/* ---- opening and closing --------------------------------------------------------------------- */

/* How to open a context. Fill with ronde_options_init, then change what differs. */
typedef struct ronde_options {
    uint32_t size;        /* sizeof(struct ronde_options) as the caller was compiled */
    int32_t communicator; /* Fortran handle of the caller's communicator; see has_communicator */
    int32_t has_communicator; /* 0: use all ranks of the job, initialising MPI if nobody has yet */
    const char *settings; /* NULL, or "fusion_threshold=8M;log=info": overrides the environment */
} ronde_options;

/* Local. Writes the defaults for a structure of the given size (pass sizeof(ronde_options)). */
void ronde_options_init(ronde_options *options, size_t size);

/* Collective, blocking. Opens a context over all ranks of the job, or over the communicator in
 * `options` (NULL: defaults), which is duplicated and never freed by Ronde. MPI is initialised only
 * if it was not, and then finalised when the process exits normally with every context closed (MPI
 * cannot be initialised twice, and a context may be opened again). Call from the thread that
 * initialised MPI. Over several nodes SIGPIPE is ignored while a context is open, where it would end
 * the process: MPI may be writing to a rank that is lost. On an error *context is left alone. */
int32_t ronde_open(const ronde_options *options, ronde_context **context);

/* Collective, blocking. Waits for this rank's outstanding operations (their handles become stale) and
 * for all ranks to close - so also for one that is blocked in an operation, until that ends -,
 * releases everything, and sets *context to NULL. No other thread may be using the context. Where the context has failed, or a rank is lost, it waits for nobody and
 * returns that error; the context is closed all the same. */
int32_t ronde_close(ronde_context **context);

/* Local. Rank and number of ranks; within the node; and among the nodes (cross_rank is the index of
 * this rank's node, cross_size the number of nodes). -1 where context is NULL. */
int32_t ronde_rank(const ronde_context *context);
int32_t ronde_size(const ronde_context *context);
int32_t ronde_local_rank(const ronde_context *context);
int32_t ronde_local_size(const ronde_context *context);
int32_t ronde_cross_rank(const ronde_context *context);
int32_t ronde_cross_size(const ronde_context *context);
/* 1 where every node has the same number of ranks, else 0; -1 where context is NULL. */
int32_t ronde_is_homogeneous(const ronde_context *context);

/* ---- memory in the node's shared segment ----------------------------------------------------- */

/* Local. Memory that every rank of the node can reach: operations on it are zero-copy inside the
 * node. 64-byte aligned, contents undefined. Usable like malloc'd memory by this process; freed by
 * ronde_free or by ronde_close. RONDE_ERR_MEMORY where shared memory is full. */
int32_t ronde_malloc(ronde_context *context, size_t bytes, void **memory);
/* Local. Releases what ronde_malloc, ronde_take or ronde_take_sparse returned. NULL is fine; what is
 * free already, or is none of these, is RONDE_ERR_ARGUMENT. No outstanding operation may use it. */
int32_t ronde_free(ronde_context *context, void *memory);

/* ---- named operations ------------------------------------------------------------------------ */

/* What an average divides by while some ranks have joined. */
enum ronde_divide {
    RONDE_DIVIDE_CONTRIBUTORS = 0, /* the ranks that contributed */
    RONDE_DIVIDE_SIZE = 1          /* all ranks of the process set, as Horovod does */
};

/* How sums of float32 cross the network. */
enum ronde_wire {
    RONDE_WIRE_AS_IS = 0,
    RONDE_WIRE_FLOAT16 = 1, /* half the bytes, 11 bits of precision; above 65504 it is infinite */
    RONDE_WIRE_BFLOAT16 = 2 /* half the bytes, 8 bits of precision, the range of float32 */
};

/* What a call may say beyond its arguments; NULL means the defaults. */
typedef struct ronde_call {
    uint32_t size;       /* sizeof(struct ronde_call) as the caller was compiled */
    int32_t process_set; /* 0: all ranks */
    double prescale;     /* each contribution is multiplied by this before the reduction */
    double postscale;    /* the result is multiplied by this */
    const size_t *shape; /* NULL: one dimension, `count`, or two, rows and row_count. Must multiply
                              to the count. Checked across ranks, not otherwise used. Read before
                              the call returns. */
    int32_t dimensions;  /* number of entries in shape, at most 16 */
    int32_t divide;      /* enum ronde_divide, of an average; the same on all ranks */
    double weight;       /* of this rank's contribution to a weighted average; 1 */
    double deadline;     /* seconds after which the operation fails everywhere if some rank has not
                              submitted it (RONDE_ERR_STALLED, naming the rank), looked at every 0.05 s;
                              0: stall_abort's */
    uint64_t group;      /* what ronde_group_begin gave; 0: none */
    int32_t wire;        /* enum ronde_wire, of an allreduce, reduce or reducescatter of float32 but
                              Adasum; the same on all ranks. Each node's sum is rounded to it to be
                              sent, and their sum again (docs/operations.md); inside a node nothing is. */
    int32_t reserved;    /* 0 */
} ronde_call;

/* Local. Writes the defaults for a structure of the given size (pass sizeof(ronde_call)). */
void ronde_call_init(ronde_call *call, size_t size);

/* Asynchronous operations. Ranks may submit in any order, from any thread; operations match by kind
 * and name (1 to 1000 bytes, not beginning with a kind and #, as in allreduce#1) within the process
 * set, whose members are the ranks meant below; a root is a global rank and a member. name NULL:
 * matched by a counter per kind, which advances also when the call fails, and begins anew on all ranks
 * when all have joined. The memory belongs to
 * the library until the handle is done. A submission never completes the operation itself. Two
 * outstanding operations of one kind and name are an error on this rank alone. Disagreement
 * between ranks is RONDE_ERR_MISMATCH from ronde_wait on every rank; the context stays usable.
 * Results are bitwise equal on all ranks and from run to run, whatever was fused with what. `in`
 * equal to `out` works in place; otherwise they may not overlap. Either may be NULL only where
 * it holds no element. */

/* Every rank's `count` elements, combined by op, to every rank. */
int32_t ronde_allreduce_async(ronde_context *context, const char *name, const void *in, void *out,
                              size_t count, int32_t dtype, int32_t op, const ronde_call *call,
                              uint64_t *handle);

/* The root's `count` elements, copied from its `in` to every rank's `out` (the root's own included;
 * on other ranks `in` is not read and may be NULL). root: a global rank. */
int32_t ronde_broadcast_async(ronde_context *context, const char *name, const void *in, void *out,
                              size_t count, int32_t dtype, int32_t root, const ronde_call *call,
                              uint64_t *handle);

/* Rows of all ranks one after the other in rank order. A row is row_count elements, equal on all
 * ranks; `rows` may differ by rank. `out` has room for out_rows rows; rows_by_rank (NULL, or an
 * array of one entry per rank of the set) receives each rank's rows. With out NULL and out_rows 0 the
 * library allocates the result: ronde_take fetches it. Where out is too small the others get
 * their result and this rank RONDE_ERR_TRUNCATED. In place: `in` is the address of this rank's
 * rows in `out`. call->shape, where given, describes `in`: first entry `rows`, the others
 * multiply to row_count. */
int32_t ronde_allgather_async(ronde_context *context, const char *name, const void *in, size_t rows,
                              size_t row_count, int32_t dtype, void *out, size_t out_rows,
                              size_t *rows_by_rank, const ronde_call *call, uint64_t *handle);

/* Every rank's `count` elements, combined by op, to the root alone (out is not looked at elsewhere
 * and may be NULL). The same bits as an allreduce. root: a global rank. */
int32_t ronde_reduce_async(ronde_context *context, const char *name, const void *in, void *out,
                           size_t count, int32_t dtype, int32_t op, int32_t root,
                           const ronde_call *call, uint64_t *handle);

/* Every rank's rows x row_count elements, combined by op; each rank gets its share of the rows, in
 * order of rank: ronde_share_rows(rows, ranks, rank) of them. `out` has room for that share (out_rows
 * rows or more), or is NULL (out_rows 0): the library makes it, ronde_take. In place: `in` is the
 * address of `out`, and the share is written to its beginning. */
int32_t ronde_reducescatter_async(ronde_context *context, const char *name, const void *in,
                                  size_t rows, size_t row_count, int32_t dtype, int32_t op,
                                  void *out, size_t out_rows, const ronde_call *call,
                                  uint64_t *handle);
/* Pure. rows / ranks, and one more for the first rows % ranks ranks; 0 for a rank that is none. */
size_t ronde_share_rows(size_t rows, int32_t ranks, int32_t rank);

/* Rows from each rank to each: the first splits[0] rows of `in` go to the set's rank 0, the next
 * splits[1] to rank 1, ...; splits add up to rows (NULL: even, and rows must divide; where some pass
 * NULL, all must). `out` receives rows by rank of origin, one after the other; received (NULL, or an
 * array of one entry per rank) their numbers. Room and `out` NULL as in an allgather. In and out do
 * not overlap. */
int32_t ronde_alltoall_async(ronde_context *context, const char *name, const void *in,
                             const size_t *splits, size_t rows, size_t row_count, int32_t dtype,
                             void *out, size_t out_rows, size_t *received, const ronde_call *call,
                             uint64_t *handle);

/* As an allgather, but to the root alone: elsewhere out, out_rows and rows_by_rank are not looked
 * at. root: a global rank. */
int32_t ronde_gather_async(ronde_context *context, const char *name, const void *in, size_t rows,
                           size_t row_count, int32_t dtype, void *out, size_t out_rows,
                           size_t *rows_by_rank, int32_t root, const ronde_call *call,
                           uint64_t *handle);

/* The root's rows, rows_by_rank[r] of them to rank r of the set in order (NULL: shares as of
 * ronde_share_rows). On other ranks in, rows and rows_by_rank are not looked at. *received (or NULL)
 * is the number of rows that came; room and `out` NULL as in an allgather. */
int32_t ronde_scatter_async(ronde_context *context, const char *name, const void *in,
                            const size_t *rows_by_rank, size_t rows, size_t row_count,
                            int32_t dtype, void *out, size_t out_rows, size_t *received,
                            int32_t root, const ronde_call *call, uint64_t *handle);

/* One rank's `count` elements to another: they meet by name, sender and receiver
 * (name NULL: by a counter per pair and direction). to, from: global
 * ranks of the set, this one included. Neither waits for a third rank's data; a pair's messages are
 * moved in the order in which they are agreed. Not in a group; prescale and postscale are not used. */
int32_t ronde_send_async(ronde_context *context, const char *name, const void *in, size_t count,
                         int32_t dtype, int32_t to, const ronde_call *call, uint64_t *handle);
int32_t ronde_recv_async(ronde_context *context, const char *name, void *out, size_t count,
                         int32_t dtype, int32_t from, const ronde_call *call, uint64_t *handle);

/* Done when all ranks of the set have submitted it. Several may be outstanding, and others beside. */
int32_t ronde_barrier_async(ronde_context *context, const char *name, const ronde_call *call,
                            uint64_t *handle);

/* "I have no more data": until all ranks of the set have joined, this rank counts as contributing
 * nothing to every operation that the others submit: an empty contribution to an allgather, gather or
 * all-to-all, nothing at all to a reduction (an average divides as call->divide says). Operations
 * whose root has joined, and sends to or receives from it, fail with RONDE_ERR_MISMATCH. Done when all
 * have joined; *last_rank (or NULL) is the global rank that did so last, the same everywhere. What this
 * rank submitted before takes part; submitting in the set meanwhile is RONDE_ERR_ARGUMENT. There is no
 * deadline of a join, and stall_abort does not end it: the others may have more data for hours. */
int32_t ronde_join_async(ronde_context *context, int32_t *last_rank, const ronde_call *call,
                         uint64_t *handle);

/* Rows of a sparse tensor: row i of `values` (row_count elements) belongs at indices[i]. All ranks get
 * all rows, those of one index combined by op in order of rank, sorted by index: ronde_take_sparse
 * fetches them. rows may differ by rank. op: any but Adasum and the weighted average; an average
 * divides by the ranks that contributed (call->divide). */
int32_t ronde_sparse_allreduce_async(ronde_context *context, const char *name,
                                     const int64_t *indices, const void *values, size_t rows,
                                     size_t row_count, int32_t dtype, int32_t op,
                                     const ronde_call *call, uint64_t *handle);

/* ---- groups ---------------------------------------------------------------------------------- */

/* Local. Operations that complete together or not at all: begin, submit with call->group set to what
 * begin gave (asynchronous forms of allreduce, broadcast, allgather, reduce, reducescatter, alltoall,
 * gather, scatter and sparse allreduce, of one process set, by one thread), then end. Nothing is
 * queued before the end. If any submission was refused (a blocking one always is), the end refuses the
 * whole group with the text of every refusal, and all handles of the group are stale. The other ranks must submit the same
 * group; where one of its tensors fails on any rank, the whole group fails on all of them, with that
 * tensor's error. (What a rank submits of it after that, outside a group or in another, is a new
 * attempt, which waits for the others.) */
int32_t ronde_group_begin(ronde_context *context, uint64_t *group);
int32_t ronde_group_end(ronde_context *context, uint64_t group);
/* Instead of the end: forgets the group; its handles are stale. */
int32_t ronde_group_cancel(ronde_context *context, uint64_t group);

/* ---- handles --------------------------------------------------------------------------------- */

/* Local, does not block. RONDE_OK: done; RONDE_PENDING; or the operation's error. The handle
 * stays valid. */
int32_t ronde_poll(ronde_context *context, uint64_t handle);
/* Blocks until the operation is done, frees the handle, returns the operation's status. A second
 * wait is RONDE_ERR_HANDLE. */
int32_t ronde_wait(ronde_context *context, uint64_t handle);
/* The same, for at most `seconds`; then RONDE_PENDING, and the handle stays valid. */
int32_t ronde_wait_for(ronde_context *context, uint64_t handle, double seconds);
/* Waits until the operation is done, and hands over the result that the library allocated where `out`
 * was NULL: its address and rows. Call before ronde_wait, which frees the handle; release with
 * ronde_free, or leave it to ronde_close. */
int32_t ronde_take(ronde_context *context, uint64_t handle, void **memory, size_t *rows);
/* The same for a sparse allreduce; where there are no rows both are NULL. Release both. */
int32_t ronde_take_sparse(ronde_context *context, uint64_t handle, int64_t **indices, void **values,
                          size_t *rows);

/* Blocking forms: submit and wait. (Where the library would make the result, `out` NULL, there may be
 * no rows: nobody could take it. Rows are RONDE_ERR_TRUNCATED, or, of a reducescatter, whose rows are
 * known before, RONDE_ERR_ARGUMENT. A sparse allreduce has no blocking form.) */
int32_t ronde_allreduce(ronde_context *context, const char *name, const void *in, void *out,
                        size_t count, int32_t dtype, int32_t op, const ronde_call *call);
int32_t ronde_broadcast(ronde_context *context, const char *name, const void *in, void *out,
                        size_t count, int32_t dtype, int32_t root, const ronde_call *call);
int32_t ronde_allgather(ronde_context *context, const char *name, const void *in, size_t rows,
                        size_t row_count, int32_t dtype, void *out, size_t out_rows,
                        size_t *rows_by_rank, const ronde_call *call);

int32_t ronde_reduce(ronde_context *context, const char *name, const void *in, void *out,
                     size_t count, int32_t dtype, int32_t op, int32_t root, const ronde_call *call);
int32_t ronde_reducescatter(ronde_context *context, const char *name, const void *in, size_t rows,
                            size_t row_count, int32_t dtype, int32_t op, void *out, size_t out_rows,
                            const ronde_call *call);
int32_t ronde_alltoall(ronde_context *context, const char *name, const void *in,
                       const size_t *splits, size_t rows, size_t row_count, int32_t dtype,
                       void *out, size_t out_rows, size_t *received, const ronde_call *call);
int32_t ronde_gather(ronde_context *context, const char *name, const void *in, size_t rows,
                     size_t row_count, int32_t dtype, void *out, size_t out_rows,
                     size_t *rows_by_rank, int32_t root, const ronde_call *call);
int32_t ronde_scatter(ronde_context *context, const char *name, const void *in,
                      const size_t *rows_by_rank, size_t rows, size_t row_count, int32_t dtype,
                      void *out, size_t out_rows, size_t *received, int32_t root,
                      const ronde_call *call);
int32_t ronde_send(ronde_context *context, const char *name, const void *in, size_t count,
                   int32_t dtype, int32_t to, const ronde_call *call);
int32_t ronde_recv(ronde_context *context, const char *name, void *out, size_t count, int32_t dtype,
                   int32_t from, const ronde_call *call);
int32_t ronde_barrier(ronde_context *context, const char *name, const ronde_call *call);
int32_t ronde_join(ronde_context *context, int32_t *last_rank, const ronde_call *call);

/* ---- process sets ---------------------------------------------------------------------------- */

/* A process set is some of the ranks, in which operations are matched and run of their own: sets
 * progress independently. Set 0 is all ranks. The setting process_sets makes sets at opening, numbered
 * from 1; these calls make more, and numbers are the same on all ranks and never used again. All four
 * are collective over all ranks of the context, members or not, blocking, one at a time.
 * RONDE_ERR_MISMATCH everywhere where ranks disagree; RONDE_ERR_MEMORY where there are 500 sets. */

/* The n distinct global ranks of `ranks`, in any order, the same on all ranks. */
int32_t ronde_process_set_add(ronde_context *context, const int32_t *ranks, int32_t n,
                              int32_t *process_set);
/* One set per colour (0 or more), of the ranks that pass it; *process_set is that of this rank's
 * colour, or -1 where that is negative. */
int32_t ronde_process_set_split(ronde_context *context, int32_t colour, int32_t *process_set);
/* The sets of the ranks of each caller's communicator (its Fortran handle; MPI_COMM_NULL's: none, then
 * *process_set is -1). Its ranks must be ranks of the context, and know the same communicator. */
int32_t ronde_process_set_from_communicator(ronde_context *context, int32_t communicator,
                                            int32_t *process_set);
/* Waits for this rank's operations in the set, and for all ranks; then the number is unknown. Set 0 is
 * RONDE_ERR_PROCESS_SET. */
int32_t ronde_process_set_remove(ronde_context *context, int32_t process_set);

/* Local. The caller's rank in the set (-1: no member), its size (-1: no such set); its global ranks in
 * order, as far as `room` allows, and how many there are. */
int32_t ronde_process_set_rank(ronde_context *context, int32_t process_set);
int32_t ronde_process_set_size(ronde_context *context, int32_t process_set);
int32_t ronde_process_set_ranks(ronde_context *context, int32_t process_set, int32_t *ranks,
                                int32_t room, int32_t *n);

/* ---- direct operations ----------------------------------------------------------------------- */

/* Blocking, collective over all ranks of the context, without negotiation: every rank makes the
 * same direct calls with the same arguments in the same order, one at a time, as MPI and NCCL ask.
 * A disagreement is undefined. They may run beside named operations; same memory rules, same bits.
 * call->shape is not looked at. op: any but Adasum and the weighted average. */
int32_t ronde_direct_allreduce(ronde_context *context, const void *in, void *out, size_t count,
                               int32_t dtype, int32_t op, const ronde_call *call);
int32_t ronde_direct_broadcast(ronde_context *context, const void *in, void *out, size_t count,
                               int32_t dtype, int32_t root, const ronde_call *call);
/* rows_by_rank: every rank's rows, the same array on all ranks; NULL where all have `rows`. */
int32_t ronde_direct_allgather(ronde_context *context, const void *in, size_t rows,
                               size_t row_count, int32_t dtype, void *out,
                               const size_t *rows_by_rank, const ronde_call *call);

/* ---- the timeline ---------------------------------------------------------------------------- */

/* Local. Records what this rank does from now on in the file PATH.RANK.json, in the format of Chrome
 * and Perfetto, valid at all times; ronde-trace reads the files of all ranks. The setting `timeline`
 * does so from the opening. RONDE_ERR_ARGUMENT where one is being recorded, RONDE_ERR_SYSTEM where the
 * file cannot be written. */
int32_t ronde_timeline_start(ronde_context *context, const char *path);
/* Local. Writes what is recorded, and ends it. */
int32_t ronde_timeline_stop(ronde_context *context);

/* ---- telling what happened ------------------------------------------------------------------- */

/* The text of this thread's last failed call: one line that says what was wrong with which
 * values and what to do; where ranks disagree it names the tensor (of more than 83 bytes the first and
 * last 40), the ranks and both values. At most 1023 bytes; "" where none failed. Valid until this
 * thread's next failing call. */
const char *ronde_last_error(void);
/* Local. For libraries on top of this one: `text` (one line) becomes the thread's last error. Returns
 * status. */
int32_t ronde_fail(int32_t status, const char *text);
/* A fixed short name of a status, such as "mismatch". */
const char *ronde_status_name(int32_t status);
/* "float32", or NULL for no dtype. */
const char *ronde_dtype_name(int32_t dtype);
/* Bytes of one element; 0 for no dtype. */
size_t ronde_dtype_bytes(int32_t dtype);
/* "sum", or NULL for no op. */
const char *ronde_op_name(int32_t op);
/* "0.1.0". */
const char *ronde_version(void);

/* What a context has done since it was opened. */
typedef struct ronde_counters {
    uint32_t size;              /* sizeof(struct ronde_counters) as the caller was compiled */
    uint32_t reserved;          /* 0 */
    uint64_t operations;        /* named operations completed on this rank */
    uint64_t bins;              /* times that a group of fused tensors was run */
    uint64_t announcements;     /* requests told to the node's leader, through shared memory */
    uint64_t cached;            /* of these, told by number instead of by name */
    uint64_t messages_sent;     /* over the network */
    uint64_t bytes_sent;        /* over the network */
    uint64_t thread_wakeups;    /* times that the coordinator thread woke */
    uint64_t thread_cpu_us;     /* CPU time of the coordinator thread */
    uint64_t direct_operations; /* direct operations completed on this rank */
    uint64_t batches;           /* bins that were announced whole, by one number, on this rank */
    uint64_t negotiated;        /* bins that had to be agreed on tensor by tensor */
} ronde_counters;

/* Local. Fills the first `size` bytes of *counters (pass sizeof(ronde_counters)). */
int32_t ronde_counters_read(ronde_context *context, ronde_counters *counters, size_t size);

/* Local. The settings, what they mean and where each value came from, the topology and the CPU, as
 * text of at most `bytes` bytes with its terminating zero; *needed receives the full length plus
 * one. context NULL: what a context opened now would see. */
int32_t ronde_describe(ronde_context *context, char *text, size_t bytes, size_t *needed);

#ifdef __cplusplus
}
#endif

#endif
