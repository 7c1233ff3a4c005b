/* An operation that a rank never submits fails when its deadline has passed. */
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

    if (rank == 0) { /* and rank 1 does not */
        double value = 1;
        ronde_call call;
        ronde_call_init(&call, sizeof call);
        call.deadline = 0.3;
        int32_t status = ronde_allreduce(ronde, "forgotten", &value, &value, 1, RONDE_FLOAT64,
                                         RONDE_SUM, &call);
        printf("rank %d: %s\n", rank, ronde_status_name(status));
        fprintf(stderr, "%s\n", ronde_last_error()); /* names rank 1 */
    }
    must(ronde_barrier(ronde, "the rest goes on", NULL));
    printf("rank %d: goes on\n", rank);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: stalled
 * rank 0: goes on
 * rank 1: goes on */
