/* Deals the rows of one rank's table out to all, and collects what they make of them. */
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
    enum { ROWS = 5, ROOT = 0 };
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    /* NULL for rows_by_rank: equal shares, the first ranks get the rest. */
    double table[ROWS] = {0}, mine[ROWS];
    size_t rows;
    if (rank == ROOT)
        for (int i = 0; i < ROWS; i++)
            table[i] = i + 1;
    must(ronde_scatter(ronde, "work", table, NULL, ROWS, 1, RONDE_FLOAT64, mine, ROWS, &rows, ROOT,
                       NULL));
    for (size_t i = 0; i < rows; i++)
        mine[i] *= mine[i];

    must(ronde_gather(ronde, "squares", mine, rows, 1, RONDE_FLOAT64, table, ROWS, NULL, ROOT,
                      NULL));
    printf("rank %d: had %zu rows\n", rank, rows);
    if (rank == ROOT)
        printf("rank %d: %g %g %g %g %g\n", rank, table[0], table[1], table[2], table[3], table[4]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: had 3 rows
 * rank 0: 1 4 9 16 25
 * rank 1: had 2 rows */

/* prints (mpirun -np 4):
 * rank 0: had 2 rows
 * rank 0: 1 4 9 16 25
 * rank 1: had 1 rows
 * rank 2: had 1 rows
 * rank 3: had 1 rows */
