/* Adasum: what is orthogonal is added, what is parallel is averaged. */
#include <ronde.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int32_t status)
{
    if (status < 0) {
        fprintf(stderr, "%s\n", ronde_last_error());
        exit(1);
    }
}

int main(void)
{
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    float orthogonal[2] = {rank == 0 ? 1 : 0, rank == 0 ? 0 : 2};
    float parallel[2] = {3, 4};
    must(ronde_allreduce(ronde, "orthogonal", orthogonal, orthogonal, 2, RONDE_FLOAT32,
                         RONDE_ADASUM, NULL));
    must(ronde_allreduce(ronde, "parallel", parallel, parallel, 2, RONDE_FLOAT32, RONDE_ADASUM,
                         NULL));
    printf("rank %d: %g %g, %g %g\n", rank, orthogonal[0], orthogonal[1], parallel[0], parallel[1]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 2, 3 4
 * rank 1: 1 2, 3 4 */
