/* Combines one array per rank, and gives the result to one rank. */
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
    enum { ROOT = 1 };
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    int64_t correct[2] = {rank + 5, 100}; /* what this rank counted */
    int64_t total[2];
    must(ronde_reduce(ronde, "correct", correct, rank == ROOT ? total : NULL, 2, RONDE_INT64,
                      RONDE_SUM, ROOT, NULL));
    if (rank == ROOT)
        printf("rank %d: %d of %d\n", rank, (int)total[0], (int)total[1]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 1: 11 of 200 */

/* prints (mpirun -np 4):
 * rank 1: 26 of 400 */
