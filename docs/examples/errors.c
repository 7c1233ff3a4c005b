/* Ranks disagree: everybody learns it, and the context stays usable. */
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

    double values[4] = {0};
    size_t count = rank == 1 ? 3 : 4; /* a mistake */
    int32_t status = ronde_allreduce(ronde, "values", values, values, count, RONDE_FLOAT64,
                                     RONDE_SUM, NULL);
    printf("rank %d: %s\n", rank, ronde_status_name(status));
    if (status < 0)
        fprintf(stderr, "%s\n", ronde_last_error());

    status = ronde_allreduce(ronde, "values", NULL, values, 4, RONDE_FLOAT64, RONDE_SUM, NULL);
    printf("rank %d: %s, on this rank alone\n", rank, ronde_status_name(status));

    values[0] = 1;
    must(ronde_allreduce(ronde, "values", values, values, 4, RONDE_FLOAT64, RONDE_SUM, NULL));
    printf("rank %d: %g\n", rank, values[0]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: mismatch
 * rank 0: argument, on this rank alone
 * rank 0: 2
 * rank 1: mismatch
 * rank 1: argument, on this rank alone
 * rank 1: 2 */
