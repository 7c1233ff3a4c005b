/* Any order: one rank submits forwards, the other backwards; then poll and wait. */
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
    enum { TENSORS = 4 };
    static const char *const names[TENSORS] = {"a", "b", "c", "d"};
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    double tensor[TENSORS];
    uint64_t handles[TENSORS];
    for (int i = 0; i < TENSORS; i++) {
        int t = rank % 2 ? TENSORS - 1 - i : i;
        tensor[t] = 10 * t + rank;
        must(ronde_allreduce_async(ronde, names[t], &tensor[t], &tensor[t], 1, RONDE_FLOAT64,
                                   RONDE_SUM, NULL, &handles[t]));
    }
    int32_t status;
    while ((status = ronde_wait_for(ronde, handles[0], 0.001)) == RONDE_PENDING)
        ; /* a millisecond is up: do something else */
    must(status);
    for (int t = 1; t < TENSORS; t++)
        must(ronde_wait(ronde, handles[t]));
    printf("rank %d: %g %g %g %g\n", rank, tensor[0], tensor[1], tensor[2], tensor[3]);

    status = ronde_wait(ronde, handles[0]);
    printf("rank %d: waiting twice: %s\n", rank, ronde_status_name(status));
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 21 41 61
 * rank 0: waiting twice: handle
 * rank 1: 1 21 41 61
 * rank 1: waiting twice: handle */
