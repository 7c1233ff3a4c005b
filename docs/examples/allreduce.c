/* Combines one array per rank, element by element, and gives the result to all. */
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

    /* In place, asynchronous: the memory is the library's until the wait. */
    float gradient[3] = {(float)rank, 10, (float)rank + 20};
    uint64_t handle;
    must(ronde_allreduce_async(ronde, "gradient", gradient, gradient, 3, RONDE_FLOAT32,
                               RONDE_AVERAGE, NULL, &handle));

    /* Blocking, from one array to another, meanwhile. */
    int32_t mine[2] = {rank, -rank}, largest[2];
    must(ronde_allreduce(ronde, "largest", mine, largest, 2, RONDE_INT32, RONDE_MAX, NULL));
    must(ronde_wait(ronde, handle));

    /* Scaled before and after: the sum of the halves, times 100. */
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.prescale = 0.5;
    call.postscale = 100;
    double share = rank + 1, scaled;
    must(ronde_allreduce(ronde, "share", &share, &scaled, 1, RONDE_FLOAT64, RONDE_SUM, &call));

    printf("rank %d: gradient %g %g %g, largest %d %d, scaled %g\n", rank, gradient[0], gradient[1],
           gradient[2], largest[0], largest[1], scaled);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: gradient 0.5 10 20.5, largest 1 0, scaled 150
 * rank 1: gradient 0.5 10 20.5, largest 1 0, scaled 150 */

/* prints (mpirun -np 4):
 * rank 0: gradient 1.5 10 21.5, largest 3 0, scaled 500
 * rank 1: gradient 1.5 10 21.5, largest 3 0, scaled 500
 * rank 2: gradient 1.5 10 21.5, largest 3 0, scaled 500
 * rank 3: gradient 1.5 10 21.5, largest 3 0, scaled 500 */
