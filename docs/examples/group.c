/* Operations that complete together or not at all. */
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
    float weights[2] = {1, (float)rank}, bias = 3;
    uint64_t handles[2];
    ronde_call call;
    ronde_call_init(&call, sizeof call);

    must(ronde_group_begin(ronde, &call.group));
    must(ronde_allreduce_async(ronde, "weights", weights, weights, 2, RONDE_FLOAT32, RONDE_SUM,
                               &call, &handles[0]));
    must(ronde_allreduce_async(ronde, "bias", &bias, &bias, 1, RONDE_FLOAT32, RONDE_SUM, &call,
                               &handles[1]));
    must(ronde_group_end(ronde, call.group)); /* not before this is anything queued */
    must(ronde_wait(ronde, handles[0]));
    must(ronde_wait(ronde, handles[1]));
    printf("rank %d: %g %g %g\n", rank, weights[0], weights[1], bias);

    /* A member that is refused refuses them all, and nothing was queued. */
    must(ronde_group_begin(ronde, &call.group));
    must(ronde_allreduce_async(ronde, "weights", weights, weights, 2, RONDE_FLOAT32, RONDE_SUM,
                               &call, &handles[0]));
    ronde_allreduce_async(ronde, "bias", NULL, &bias, 1, RONDE_FLOAT32, RONDE_SUM, &call,
                          &handles[1]);
    if (ronde_group_end(ronde, call.group) < 0)
        printf("rank %d: refused\n", rank); /* ronde_last_error() lists every refusal */
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 2 1 6
 * rank 0: refused
 * rank 1: 2 1 6
 * rank 1: refused */
