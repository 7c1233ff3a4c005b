/* Averages a gradient over nodes that are joined by a slow network with half the bytes. */
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

    float gradient[3] = {1, 0.5f, rank == 0 ? -2 : 6};
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.wire = RONDE_WIRE_BFLOAT16;
    must(ronde_allreduce(ronde, "gradient", gradient, gradient, 3, RONDE_FLOAT32, RONDE_AVERAGE,
                         &call));
    printf("rank %d: %g %g %g\n", rank, gradient[0], gradient[1], gradient[2]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 0.5 2
 * rank 1: 1 0.5 2 */
