/* Memory in the node's shared segment: operations on it copy nothing inside the node. */
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
    enum { COUNT = 1 << 20 };
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    void *memory;
    must(ronde_malloc(ronde, COUNT * sizeof(float), &memory));
    float *gradient = memory;
    for (int i = 0; i < COUNT; i++)
        gradient[i] = (float)(i % 7 + rank);
    must(ronde_allreduce(ronde, "gradient", gradient, gradient, COUNT, RONDE_FLOAT32, RONDE_SUM,
                         NULL));
    printf("rank %d: %g ... %g\n", rank, gradient[0], gradient[COUNT - 1]);
    must(ronde_free(ronde, memory)); /* or leave it to ronde_close */
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 ... 7
 * rank 1: 1 ... 7 */
