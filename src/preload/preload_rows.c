/* Measured on two CPUs with 2 and 4 ranks against Open MPI 4.1.4, with and without its single copy
 * (CMA), and MPICH 4.0.2, which has it always (docs/drop-in.md). With more ranks than 8 nothing is
 * known, so they are passed on. What is missing here was slower, or no faster:
 *
 *   small reduce, bcast    MPI's senders leave before the others come; here all meet
 *   small allgather, ...   all ranks must first agree, which costs as much as the call itself
 *   large moves            a rank that reads another's memory copies once, the slots copy twice.
 *                          It is otherwise where several ranks read one (bcast, allgather in Open
 *                          MPI)
 *
 * Gains are rough, and on the low side: they only say when opening a communicator has paid. */
#include "preload/preload.h"

int ronde__preload_row(enum preload_kind kind, int ranks, size_t bytes, double *gain_ns)
{
    /* Bytes are those of the whole vector (of all ranks' parts together, for what each gathers,
     * scatters or exchanges), both ends included. */
    enum { KIB = 1 << 10, MIB = 1 << 20 };
    static const struct {
        enum preload_kind kind;
        int least_ranks, most_ranks;
        size_t least, most;
        double gain_ns, gain_per_byte;
    } rows[] = {
        {PRELOAD_ALLREDUCE, 2, 8, 1, SIZE_MAX, 300, 0.1},
        {PRELOAD_REDUCE, 2, 8, 8 * KIB, 16 * KIB, 1000, 0},
        {PRELOAD_ALLGATHER, 2, 8, 8 * KIB, 64 * KIB, 1000, 0},
        {PRELOAD_ALLTOALL, 2, 2, 8 * KIB, 16 * KIB, 1000, 0},
        {PRELOAD_BARRIER, 2, 8, 0, 0, 300, 0},
#if defined MPICH
        {PRELOAD_REDUCE_SCATTER, 2, 8, 4 * KIB, 256 * KIB, 1000, 0},
        {PRELOAD_REDUCE, 2, 8, 16 * KIB, SIZE_MAX, 3000, 0.1},
#else
        {PRELOAD_REDUCE_SCATTER, 2, 8, 4 * KIB, SIZE_MAX, 1000, 0.1},
        {PRELOAD_BROADCAST, 3, 8, 1 * MIB, SIZE_MAX, 0, 0.05},
        {PRELOAD_ALLGATHER, 3, 8, 64 * KIB, SIZE_MAX, 0, 0.05},
#endif
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].kind == kind && ranks >= rows[i].least_ranks && ranks <= rows[i].most_ranks &&
            bytes >= rows[i].least && bytes <= rows[i].most) {
            *gain_ns = rows[i].gain_ns + rows[i].gain_per_byte * (double)bytes;
            return 1;
        }
    return 0;
}
