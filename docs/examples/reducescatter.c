/* Combines one array per rank, and gives each rank its share of the rows. */
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
    enum { ROWS = 5, ROW = 2 };
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde), size = ronde_size(ronde);

    float gradient[ROWS * ROW], share[ROWS * ROW];
    for (int i = 0; i < ROWS * ROW; i++)
        gradient[i] = (float)(i + rank);
    must(ronde_reducescatter(ronde, "gradient", gradient, ROWS, ROW, RONDE_FLOAT32, RONDE_SUM,
                             share, ROWS, NULL));

    size_t rows = ronde_share_rows(ROWS, size, rank); /* 3 and 2 of 5 */
    printf("rank %d: %zu rows from %g %g to %g %g\n", rank, rows, share[0], share[1],
           share[(rows - 1) * ROW], share[(rows - 1) * ROW + 1]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 3 rows from 1 3 to 9 11
 * rank 1: 2 rows from 13 15 to 17 19 */

/* prints (mpirun -np 4):
 * rank 0: 2 rows from 6 10 to 14 18
 * rank 1: 1 rows from 22 26 to 22 26
 * rank 2: 1 rows from 30 34 to 30 34
 * rank 3: 1 rows from 38 42 to 38 42 */
