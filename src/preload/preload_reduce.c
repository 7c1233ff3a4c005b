/* Reductions and the barrier. MPI asks for the same count, type and op on all ranks, so these
 * alone decide. */
#include <string.h>

#include "base/dtype.h"
#include "preload/preload.h"

/* What MPI itself may complain of, or what has no bytes. MPICH refuses equal buffers; Open MPI
 * takes them as in place, and so do we. */
static int is_for_mpi(const void *in, const void *out)
{
#if defined MPICH
    if (in == out)
        return 1;
#endif
    return !in || !out || out == MPI_IN_PLACE;
}

static void start(struct preload *preload, const struct piece *pieces, int n, size_t count,
                  const struct reduction *reduction)
{
    struct node_work work = {.pieces = pieces,
                             .piece_count = n,
                             .count = count,
                             .element_bytes = ronde_dtype_bytes(reduction->dtype),
                             .reduction = reduction};
    ronde__node_start_allreduce(&preload->node, &work);
    ronde__preload_run(preload);
}

/* What this type and op mean; NULL: nothing here. */
static const struct preload_known *look_up(struct preload *preload, MPI_Datatype type, MPI_Op op)
{
    struct preload_known *known = &preload->known;
    if (!known->is_known || known->type != type || known->op != op) {
        *known = (struct preload_known){.type = type, .op = op, .is_known = 1};
        known->understood = ronde__preload_reduction(type, op, &known->reduction);
        if (known->understood)
            known->element_bytes = ronde_dtype_bytes(known->reduction.dtype);
    }
    if (known->understood) { /* for ronde__preload_passes */
        preload->plain_type = type;
        preload->plain_bytes = known->element_bytes;
    }
    return known->understood ? known : NULL;
}

/* The reduction, where so many elements of it are to be taken. */
static const struct reduction *choose(struct preload *preload, enum preload_kind kind, size_t count,
                                      MPI_Datatype type, MPI_Op op)
{
    const struct preload_known *known = look_up(preload, type, op);
    if (!known || !count || !ronde__preload_covers(preload, kind, count * known->element_bytes))
        return NULL;
    return &known->reduction;
}

int ronde__preload_allreduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op,
                             MPI_Comm comm)
{
    struct preload *preload = ronde__preload_of(comm);
    if (!preload || count <= 0 || is_for_mpi(in, out))
        return ronde__preload_note(PRELOAD_ALLREDUCE, 0);
    const struct reduction *reduction = choose(preload, PRELOAD_ALLREDUCE, (size_t)count, type, op);
    if (!reduction)
        return ronde__preload_note(PRELOAD_ALLREDUCE, 0);
    const struct piece piece = {in == MPI_IN_PLACE ? out : in, out, (size_t)count};
    start(preload, &piece, 1, (size_t)count, reduction);
    return ronde__preload_note(PRELOAD_ALLREDUCE, 1);
}

int ronde__preload_reduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op,
                          int root, MPI_Comm comm)
{
    struct preload *preload = ronde__preload_of(comm);
    if (!preload || count <= 0 || root < 0 || root >= preload->net.size)
        return ronde__preload_note(PRELOAD_REDUCE, 0);
    int is_root = preload->net.rank == root;
    if (is_root ? is_for_mpi(in, out) : !in || in == MPI_IN_PLACE)
        return ronde__preload_note(PRELOAD_REDUCE, 0);
    const struct reduction *reduction = choose(preload, PRELOAD_REDUCE, (size_t)count, type, op);
    if (!reduction)
        return ronde__preload_note(PRELOAD_REDUCE, 0);
    const struct piece piece = {in == MPI_IN_PLACE ? out : in, is_root ? out : NULL, (size_t)count};
    start(preload, &piece, 1, (size_t)count, reduction);
    return ronde__preload_note(PRELOAD_REDUCE, 1);
}

/* An allreduce of which each rank wants its own piece. In place the piece is reduced where it lies,
 * and then moved to the beginning: what is left behind it MPI does not say. */
int ronde__preload_reduce_scatter(const void *in, void *out, const int *counts, int count,
                                  MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    struct preload *preload = ronde__preload_of(comm);
    size_t total = 0;
    if (!preload || (!counts && count < 0) || is_for_mpi(in, out))
        return ronde__preload_note(PRELOAD_REDUCE_SCATTER, 0);
    for (int rank = 0; rank < preload->net.size; rank++) {
        if (counts && counts[rank] < 0)
            return ronde__preload_note(PRELOAD_REDUCE_SCATTER, 0);
        total += (size_t)(counts ? counts[rank] : count);
    }
    const struct reduction *reduction = choose(preload, PRELOAD_REDUCE_SCATTER, total, type, op);
    if (!reduction)
        return ronde__preload_note(PRELOAD_REDUCE_SCATTER, 0);
    size_t size = ronde_dtype_bytes(reduction->dtype), at = 0;
    int in_place = in == MPI_IN_PLACE, me = preload->net.rank;
    const char *source = in_place ? out : in;
    for (int rank = 0; rank < preload->net.size; rank++) {
        size_t elements = (size_t)(counts ? counts[rank] : count);
        preload->pieces[rank] = (struct piece){source + at * size, NULL, elements};
        at += elements;
    }
    struct piece *mine = &preload->pieces[me];
    mine->out = in_place ? (char *)out + (mine->in - source) : out;
    start(preload, preload->pieces, preload->net.size, total, reduction);
    if (in_place)
        memmove(out, mine->out, mine->count * size);
    return ronde__preload_note(PRELOAD_REDUCE_SCATTER, 1);
}

int ronde__preload_barrier(MPI_Comm comm)
{
    struct preload *preload = ronde__preload_of(comm);
    if (!preload || !ronde__preload_covers(preload, PRELOAD_BARRIER, 0))
        return ronde__preload_note(PRELOAD_BARRIER, 0);
    ronde__node_start_barrier(&preload->node);
    ronde__preload_run(preload);
    return ronde__preload_note(PRELOAD_BARRIER, 1);
}
