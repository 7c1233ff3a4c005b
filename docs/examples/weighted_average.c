/* Averages gradients of batches of different sizes as one large batch would. */
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

    float gradient = rank == 0 ? 1 : 5; /* the mean over this rank's samples */
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.weight = rank == 0 ? 3 : 1; /* their number */
    must(ronde_allreduce(ronde, "gradient", &gradient, &gradient, 1, RONDE_FLOAT32,
                         RONDE_WEIGHTED_AVERAGE, &call));
    printf("rank %d: %g\n", rank, gradient); /* (3 * 1 + 1 * 5) / 4 */
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 2
 * rank 1: 2 */
