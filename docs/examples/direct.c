/* Without names and negotiation: all ranks make the same calls in the same order. */
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

    double sum = rank + 1;
    int32_t from_one = rank, both[2];
    must(ronde_direct_allreduce(ronde, &sum, &sum, 1, RONDE_FLOAT64, RONDE_SUM, NULL));
    must(ronde_direct_broadcast(ronde, &from_one, &from_one, 1, RONDE_INT32, 1, NULL));
    must(ronde_direct_allgather(ronde, &rank, 1, 1, RONDE_INT32, both, NULL, NULL));
    printf("rank %d: %g, %d, %d %d\n", rank, sum, from_one, both[0], both[1]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 3, 1, 0 1
 * rank 1: 3, 1, 0 1 */
