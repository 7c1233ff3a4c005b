/* Measured on two CPUs by benchmarks/drop-in.sh, all three of its loops, with 2, 3, 4 and 8 ranks
 * against Open MPI 4.1.4, with and without its single copy (CMA), and with 2 against MPICH 4.0.2,
 * which has it always (docs/drop-in.md). With more ranks than 8 nothing is known: they are passed
 * on. What is missing here was slower somewhere, or no faster:
 *
 *   small reduce, bcast    MPI's senders leave before the others come; here all meet. Above 4 KiB
 *                          they wait for each other in Open MPI too, and in MPICH the copies decide
 *   small allgather, ...   all ranks must first agree, which costs as much as the call itself
 *   large moves            a rank that reads another's memory copies once, the slots copy twice.
 *                          It is otherwise where several ranks read one (bcast, allgather in Open
 *                          MPI)
 *
 * Gains are rough, and on the low side: they only say when opening a communicator has paid. */
#include "preload/preload.h"

/* Bytes are those of the whole vector (of all ranks' parts together, for what each gathers,
 * scatters or exchanges), both ends included. */
enum { KIB = 1 << 10, MIB = 1 << 20 };
static const struct row {
    enum preload_kind kind;
    int least_ranks, most_ranks;
    size_t least, most;
    double gain_ns, gain_per_byte;
} rows[] = {
    {PRELOAD_ALLREDUCE, 2, 2, 1, SIZE_MAX, 200, 0.1},
    {PRELOAD_ALLREDUCE, 3, 8, 1, SIZE_MAX, 500, 0.1},
    {PRELOAD_BARRIER, 2, 2, 0, 0, 200, 0},
    {PRELOAD_BARRIER, 3, 8, 0, 0, 500, 0},
#if defined MPICH
    {PRELOAD_REDUCE_SCATTER, 2, 8, 1, 256 * KIB, 700, 0.1},
    {PRELOAD_REDUCE, 2, 8, 4 * KIB, SIZE_MAX, 3000, 0.1},
    {PRELOAD_ALLGATHER, 2, 8, 512, 256 * KIB, 300, 0.05},
    {PRELOAD_ALLTOALL, 2, 2, 512, 32 * KIB, 300, 0.05},
#else
    {PRELOAD_REDUCE_SCATTER, 2, 8, 1, SIZE_MAX, 200, 0.1},
    {PRELOAD_REDUCE, 2, 8, 4 * KIB, 16 * KIB, 1000, 0},
    {PRELOAD_REDUCE, 2, 2, 4 * MIB, SIZE_MAX, 0, 0.05},
    {PRELOAD_REDUCE, 3, 8, 16 * KIB, SIZE_MAX, 3000, 0.02},
    {PRELOAD_BROADCAST, 2, 2, 4 * KIB, 8 * KIB, 500, 0},
    {PRELOAD_BROADCAST, 3, 8, 4 * KIB, SIZE_MAX, 3000, 0.02},
    {PRELOAD_ALLGATHER, 2, 8, 2 * KIB, 32 * KIB, 500, 0},
    {PRELOAD_ALLGATHER, 3, 8, 32 * KIB, SIZE_MAX, 3000, 0.02},
    {PRELOAD_ALLTOALL, 2, 8, 8 * KIB, 16 * KIB, 1000, 0},
    {PRELOAD_ALLTOALL, 2, 2, 4 * KIB, 8 * KIB, 200, 0},
    {PRELOAD_ALLTOALL, 3, 8, 16 * KIB, 64 * KIB, 3000, 0},
#endif
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static int is_about(const struct row *row, enum preload_kind kind, int ranks)
{
    return row->kind == kind && ranks >= row->least_ranks && ranks <= row->most_ranks;
}

int ronde__preload_row(enum preload_kind kind, int ranks, size_t bytes, double *gain_ns)
{
    for (const struct row *row = rows; row < rows + ROWS; row++)
        if (is_about(row, kind, ranks) && bytes >= row->least && bytes <= row->most) {
            *gain_ns = row->gain_ns + row->gain_per_byte * (double)bytes;
            return 1;
        }
    return 0;
}

struct preload_span ronde__preload_span(enum preload_kind kind, int ranks)
{
    struct preload_span span = {SIZE_MAX, 0};
    for (const struct row *row = rows; row < rows + ROWS; row++)
        if (is_about(row, kind, ranks)) {
            span.least = row->least < span.least ? row->least : span.least;
            span.most = row->most > span.most ? row->most : span.most;
        }
    return span;
}
