/* Goes on when everybody has come this far; an asynchronous barrier leaves time for work. */
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

    uint64_t written, sum_done;
    int32_t sum;
    must(ronde_barrier_async(ronde, "checkpoint written", NULL, &written));
    must(ronde_allreduce_async(ronde, "ranks", &rank, &sum, 1, RONDE_INT32, RONDE_SUM, NULL,
                               &sum_done)); /* outstanding beside it */
    must(ronde_wait(ronde, sum_done));
    must(ronde_wait(ronde, written));
    must(ronde_barrier(ronde, NULL, NULL)); /* blocking, unnamed */
    printf("rank %d: all are here, %d\n", rank, sum);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: all are here, 1
 * rank 1: all are here, 1 */
