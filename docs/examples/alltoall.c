/* Sends some rows to each rank, and receives some from each. */
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

    /* Three rows of one element: one for rank 0, two for rank 1. */
    int32_t mine[3] = {10 * rank, 10 * rank + 1, 10 * rank + 2};
    const size_t splits[2] = {1, 2};
    int32_t received[4];
    size_t rows_from[2];
    must(ronde_alltoall(ronde, "tokens", mine, splits, 3, 1, RONDE_INT32, received, 4, rows_from,
                        NULL));
    printf("rank %d: %zu and %zu rows:", rank, rows_from[0], rows_from[1]);
    for (size_t i = 0; i < rows_from[0] + rows_from[1]; i++)
        printf(" %d", received[i]);
    printf("\n");
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 and 1 rows: 0 10
 * rank 1: 2 and 2 rows: 1 2 11 12 */
