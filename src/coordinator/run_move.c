/* Running what moves rows: allgather, gather, scatter, all-to-all, sparse allreduce. One at a time. */
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "base/status.h"
#include "coordinator/coordinator.h"
#include "fusion/layout.h"
#include "reduce/sparse.h"

static struct short_name name_of(const struct request *r)
{
    return ronde__short_name(r->tensor ? r->tensor->name : "a joined rank's part", NAME_ROOM);
}

static size_t row_bytes(const struct request *r)
{
    return ronde__signature_row_count(&r->signature) * ronde_dtype_bytes(r->signature.dtype);
}

static int overlap(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_bytes && y < x + a_bytes;
}

static int32_t too_much(const struct request *r)
{
    return ronde__fail(RONDE_ERR_OVERFLOW, "the rows of '%s' exceed the address space",
                       name_of(r).text);
}

/* Rows as bytes, and their sum. */
static int32_t add_rows(const struct request *r, uint64_t rows, size_t *bytes, size_t *total)
{
    if (__builtin_mul_overflow(rows, row_bytes(r), bytes) ||
        __builtin_add_overflow(*total, *bytes, total) || *total > PTRDIFF_MAX)
        return too_much(r);
    return RONDE_OK;
}

/* Where `bytes` of result go: the caller's output if they fit, else memory of ours. */
static int32_t place_out(struct set *set, struct request *r, size_t bytes, char **out)
{
    int fits = !r->allocate && r->made_rows <= r->out_rows;
    *out = r->out;
    if (fits || !bytes)
        return RONDE_OK;
    set->job.out = malloc(bytes);
    *out = set->job.out;
    return *out ? RONDE_OK
                : ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu bytes of '%s'", bytes,
                              name_of(r).text);
}

/* The input, or a copy where the output will be written over it, but not in its own place. */
static int32_t place_in(struct set *set, const struct request *r, size_t mine, const char *out,
                        size_t bytes, size_t own_at, const char **in)
{
    *in = r->in;
    if (!mine || !out || !overlap(*in, mine, out, bytes) || *in == out + own_at)
        return RONDE_OK;
    set->job.copy = malloc(mine);
    if (!set->job.copy)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to copy %zu bytes of '%s'", mine,
                           name_of(r).text);
    memcpy(set->job.copy, *in, mine);
    *in = set->job.copy;
    return RONDE_OK;
}

/* ---- allgather ------------------------------------------------------------------------------- */

static int32_t measure(struct set *set, struct request *r, size_t *total, size_t *before)
{
    int32_t status = RONDE_OK;
    *total = 0;
    r->made_rows = 0;
    for (int rank = 0; rank < set->net->size && !status; rank++) {
        if (rank == set->net->rank)
            *before = *total;
        status = add_rows(r, r->all_rows[rank], &set->job.bytes_of[rank], total);
        r->made_rows += (size_t)r->all_rows[rank];
    }
    return status;
}

static int32_t start_gather(struct set *set, struct request *r)
{
    size_t total, before = 0;
    char *out;
    const char *in;
    int32_t status = measure(set, r, &total, &before);
    if (status || !total)
        return status ? status : RONDE__DONE;
    status = place_out(set, r, total, &out);
    if (!status)
        status = place_in(set, r, set->job.bytes_of[set->net->rank], out, total, before, &in);
    if (!status)
        status = ronde__communicator_start_gather(&set->communicator, in, out, set->job.bytes_of);
    return status ? status : RONDE__MOVED;
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static int32_t start_exchange(struct set *set)
{
    int32_t status = ronde__communicator_start_exchange(&set->communicator, set->job.sends,
                                                        set->job.receives, set->job.local_bytes);
    return status ? status : RONDE__MOVED;
}

static void clear_exchange(struct set *set)
{
    size_t local = (size_t)set->net->local_size;
    memset(set->job.sends, 0, (size_t)set->net->size * sizeof(struct run));
    memset(set->job.receives, 0, (size_t)set->net->size * sizeof(struct run));
    memset(set->job.local_bytes, 0, local * local * sizeof(size_t));
}

/* What local rank `from` sends to local rank `to`. */
static size_t *local_bytes(struct set *set, int from, int to)
{
    return &set->job.local_bytes[(size_t)from * (size_t)set->net->local_size + (size_t)to];
}

/* The local rank of a rank of this node, or -1. */
static int local_rank(const struct set *set, int rank)
{
    return set->net->node_of[rank] == set->net->node ? set->net->local_rank_of[rank] : -1;
}

/* Everybody's rows to or from the root, one after the other in order of rank in its memory. */
static int32_t exchange_with_root(struct set *set, struct request *r, int gathers, char *roots,
                                  char *others)
{
    int root = ronde__set_rank_of(set, r->signature.root), me = set->net->rank;
    struct run *at_root = gathers ? set->job.receives : set->job.sends;
    struct run *at_other = gathers ? set->job.sends : set->job.receives;
    size_t at = 0;
    clear_exchange(set);
    for (int rank = 0; rank < set->net->size; rank++) {
        size_t bytes = set->job.bytes_of[rank];
        int a = local_rank(set, rank), b = local_rank(set, root);
        if (a >= 0 && b >= 0)
            *local_bytes(set, gathers ? a : b, gathers ? b : a) = bytes;
        if (me == root)
            at_root[rank] = (struct run){roots ? roots + at : NULL, bytes};
        at += bytes;
    }
    at_other[root] = (struct run){others, set->job.bytes_of[me]};
    return start_exchange(set);
}

static int32_t start_gather_to_root(struct set *set, struct request *r)
{
    size_t total, before = 0;
    char *out = NULL;
    const char *in = r->in;
    int32_t status = measure(set, r, &total, &before);
    if (status || !total)
        return status ? status : RONDE__DONE;
    if (set->c->net->rank == r->signature.root) {
        status = place_out(set, r, total, &out);
        if (!status)
            status = place_in(set, r, set->job.bytes_of[set->net->rank], out, total, before, &in);
    }
    return status ? status : exchange_with_root(set, r, 1, out, (char *)(uintptr_t)in);
}

static int32_t start_scatter(struct set *set, struct request *r)
{
    size_t total, before = 0, mine;
    char *out;
    const char *in = r->in;
    int32_t status = measure(set, r, &total, &before);
    r->made_rows = (size_t)r->all_rows[set->net->rank];
    if (status || !total)
        return status ? status : RONDE__DONE;
    mine = set->job.bytes_of[set->net->rank];
    status = place_out(set, r, mine, &out);
    if (!status && set->c->net->rank == r->signature.root) {
        /* The whole input is read while the root's own share is written. */
        status = place_in(set, r, total, out, mine, SIZE_MAX, &in);
    }
    return status ? status : exchange_with_root(set, r, 0, (char *)(uintptr_t)in, out);
}

/* ---- all-to-all ------------------------------------------------------------------------------ */

/* splits[from * size + to], of all ranks. */
static uint64_t split(const struct set *set, int from, int to)
{
    return set->job.splits[(size_t)from * (size_t)set->net->size + (size_t)to];
}

static int32_t fill_all_to_all(struct set *set, struct request *r)
{
    const struct net *net = set->net;
    size_t sent = 0, received = 0;
    int32_t status = RONDE_OK;
    clear_exchange(set);
    r->made_rows = 0;
    for (int rank = 0; rank < net->size && !status; rank++) {
        status = add_rows(r, split(set, net->rank, rank), &set->job.sends[rank].bytes, &sent);
        if (!status)
            status = add_rows(r, split(set, rank, net->rank), &set->job.receives[rank].bytes,
                              &received);
        r->made_rows += (size_t)split(set, rank, net->rank);
        if (r->received && !r->ghost)
            r->received[rank] = (size_t)split(set, rank, net->rank);
    }
    for (int a = 0; a < net->local_size; a++)
        for (int b = 0; b < net->local_size; b++)
            *local_bytes(set, a, b) = (size_t)split(set, ronde__net_rank_at(net, net->node, a),
                                                    ronde__net_rank_at(net, net->node, b)) *
                                      row_bytes(r);
    char *out = NULL;
    const char *in = r->in;
    if (!status)
        status = place_out(set, r, received, &out);
    if (!status)
        status = place_in(set, r, sent, out, received, SIZE_MAX, &in);
    for (int rank = 0; rank < net->size && !status; rank++) {
        set->job.sends[rank].data = (char *)(uintptr_t)in;
        set->job.receives[rank].data = out;
        in = in ? in + set->job.sends[rank].bytes : NULL;
        out = out ? out + set->job.receives[rank].bytes : NULL;
    }
    return status;
}

static int is_all_zero(const struct set *set)
{
    size_t n = (size_t)set->net->size;
    for (size_t i = 0; i < n * n; i++)
        if (set->job.splits[i])
            return 0;
    return 1;
}

static int32_t run_all_to_all(struct set *set, struct request *r)
{
    set->job.next = NULL;
    int32_t status = fill_all_to_all(set, r);
    if (status)
        return status;
    return is_all_zero(set) ? RONDE__DONE : start_exchange(set);
}

/* First everybody's splits to everybody. */
static int32_t start_all_to_all(struct set *set, struct request *r)
{
    size_t n = (size_t)set->net->size, me = (size_t)set->net->rank;
    set->job.splits = calloc(n * n, sizeof(*set->job.splits));
    if (!set->job.splits)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the splits of %zu ranks", n);
    uint64_t *mine = set->job.splits + me * n;
    for (size_t rank = 0; rank < n; rank++) {
        mine[rank] = r->splits ? r->splits[rank] : 0;
        set->job.bytes_of[rank] = n * sizeof(*mine);
    }
    set->job.next = run_all_to_all;
    int32_t status = ronde__communicator_start_gather(&set->communicator, mine, set->job.splits,
                                                      set->job.bytes_of);
    return status ? status : RONDE__MOVED;
}

/* ---- sparse allreduce ------------------------------------------------------------------------ */

static int32_t merge(struct set *set, struct request *r)
{
    const struct signature *s = &r->signature;
    uint32_t n = (uint32_t)set->net->size;
    for (int rank = 0; rank < set->net->size && r->present && !(s->flags & SIGNATURE_DIVIDE_SIZE);
         rank++)
        n -= !r->present[rank];
    set->job.next = NULL;
    if (r->ghost)
        return RONDE__DONE;
    struct reduction whole = ronde__reduction(s->dtype, s->op, s->prescale, s->postscale, n);
    size_t rows = r->made_rows;
    int32_t status = ronde__sparse_merge(&whole, set->job.copy, set->job.out, rows,
                                         ronde__signature_row_count(s), &r->made_indices, &r->made,
                                         &r->made_rows);
    return status ? status : RONDE__DONE;
}

static int32_t gather_values(struct set *set, struct request *r)
{
    size_t total, before = 0;
    set->job.next = merge;
    int32_t status = measure(set, r, &total, &before);
    if (status)
        return status;
    set->job.out = malloc(total + 1);
    if (!set->job.out)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu bytes of '%s'", total,
                           name_of(r).text);
    if (!total)
        return merge(set, r);
    status = ronde__communicator_start_gather(&set->communicator, r->in, set->job.out,
                                              set->job.bytes_of);
    return status ? status : RONDE__MOVED;
}

static int32_t start_sparse(struct set *set, struct request *r)
{
    size_t total, before = 0;
    int32_t status = measure(set, r, &total, &before);
    if (status || !r->made_rows)
        return status ? status : RONDE__DONE;
    if (r->made_rows > PTRDIFF_MAX / sizeof(int64_t))
        return too_much(r);
    for (int rank = 0; rank < set->net->size; rank++)
        set->job.bytes_of[rank] = (size_t)r->all_rows[rank] * sizeof(int64_t);
    set->job.copy = malloc(r->made_rows * sizeof(int64_t));
    if (!set->job.copy)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu indices of '%s'", r->made_rows,
                           name_of(r).text);
    set->job.next = gather_values;
    status = ronde__communicator_start_gather(&set->communicator, r->indices, set->job.copy,
                                              set->job.bytes_of);
    return status ? status : RONDE__MOVED;
}

/* ---- starting and ending --------------------------------------------------------------------- */

int32_t ronde__set_start_move(struct set *set, struct request *r)
{
    switch ((enum kind)r->signature.kind) {
    case KIND_ALLGATHER: return start_gather(set, r);
    case KIND_GATHER: return start_gather_to_root(set, r);
    case KIND_SCATTER: return start_scatter(set, r);
    case KIND_ALLTOALL: return start_all_to_all(set, r);
    case KIND_SPARSE: return start_sparse(set, r);
    case KIND_ALLREDUCE:
    case KIND_BROADCAST:
    case KIND_REDUCE:
    case KIND_REDUCESCATTER:
    case KIND_BARRIER:
    case KIND_JOIN:
    case KIND_SEND:
    case KIND_RECV: break;
    }
    return ronde__fail(RONDE_ERR_SYSTEM, "told to run an operation of unknown kind %d",
                       r->signature.kind);
}

/* Does this rank get rows? */
static int receives(const struct set *set, const struct request *r)
{
    return r->signature.kind != KIND_GATHER || set->c->net->rank == r->signature.root;
}

static void tell_rows(const struct set *set, struct request *r)
{
    int lists = r->signature.kind == KIND_ALLGATHER || r->signature.kind == KIND_GATHER;
    for (int rank = 0; rank < set->net->size && r->rows_by_rank && lists; rank++)
        r->rows_by_rank[rank] = (size_t)r->all_rows[rank];
    if (r->received && r->signature.kind == KIND_SCATTER)
        *r->received = r->made_rows;
}

int32_t ronde__set_finish_move(struct set *set, struct request *r)
{
    struct job *job = &set->job;
    void *out = job->out;
    int keeps = r->allocate && !r->ghost && r->signature.kind != KIND_SPARSE && receives(set, r);
    free(job->copy);
    free(job->splits);
    job->copy = job->out = NULL;
    job->splits = NULL;
    if (keeps)
        r->made = out;
    else
        free(out);
    if (r->ghost || r->signature.kind == KIND_SPARSE || !receives(set, r))
        return RONDE_OK;
    if (!r->allocate && r->made_rows > r->out_rows)
        return ronde__fail(RONDE_ERR_TRUNCATED,
                           "%s '%s' has %zu rows in all, but the output has room for %zu: give it "
                           "more",
                           ronde__kind_name((enum kind)r->signature.kind), name_of(r).text,
                           r->made_rows, r->out_rows);
    tell_rows(set, r);
    return RONDE_OK;
}
