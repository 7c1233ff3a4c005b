/* A program that has MPI already gives Ronde a communicator of its own. */
#include <ronde_mpi.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int32_t status)
{
    if (status < 0) {
        fprintf(stderr, "%s\n", ronde_last_error());
        exit(1);
    }
}

int main(int argc, char **argv)
{
    int level, world_rank;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level); /* see "Threads" */
    MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
    MPI_Comm half;
    MPI_Comm_split(MPI_COMM_WORLD, world_rank / 2, 0, &half);

    ronde_context *ronde = NULL;
    must(ronde_open_mpi(half, NULL, &ronde)); /* duplicates it */
    int32_t sum;
    must(ronde_allreduce(ronde, "sum", &world_rank, &sum, 1, RONDE_INT32, RONDE_SUM, NULL));
    printf("rank %d of MPI: rank %d of %d, sum %d\n", world_rank, ronde_rank(ronde),
           ronde_size(ronde), sum);
    must(ronde_close(&ronde));

    MPI_Comm_free(&half);
    MPI_Finalize(); /* whoever initialised MPI finalises it */
    return 0;
}

/* prints (mpirun -np 4):
 * rank 0 of MPI: rank 0 of 2, sum 1
 * rank 1 of MPI: rank 1 of 2, sum 1
 * rank 2 of MPI: rank 0 of 2, sum 5
 * rank 3 of MPI: rank 1 of 2, sum 5 */
