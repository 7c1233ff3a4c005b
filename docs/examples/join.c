/* Ranks with different numbers of batches: who has no more joins. */
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
    int rank = ronde_rank(ronde), batches = 2 * rank + 1; /* rank 0 has one, rank 1 three */

    for (int batch = 0; batch < batches; batch++) {
        float gradient = (float)(rank + 1);
        must(ronde_allreduce(ronde, "gradient", &gradient, &gradient, 1, RONDE_FLOAT32,
                             RONDE_AVERAGE, NULL));
        printf("rank %d: batch %d: %g\n", rank, batch, gradient);
    }
    int32_t last;
    must(ronde_join(ronde, &last, NULL));
    printf("rank %d: rank %d joined last\n", rank, last);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: batch 0: 1.5
 * rank 1: batch 0: 1.5
 * rank 1: batch 1: 2
 * rank 1: batch 2: 2
 * rank 0: rank 1 joined last
 * rank 1: rank 1 joined last */
