/* Puts the rows of all ranks one after the other, on every rank. */
#include <ronde.h>
#include <sched.h>
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
    enum { MOST_ROWS = 64, ROW = 2 };
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    /* Rank r has r + 1 rows of two elements. */
    size_t rows = (size_t)rank + 1;
    int32_t mine[MOST_ROWS * ROW] = {0}, all[MOST_ROWS * ROW];
    for (size_t i = 0; i < rows * ROW; i++)
        mine[i] = 10 * rank + (int32_t)i;

    /* With room of our own for all rows; rows_by_rank tells whose they are. */
    size_t rows_by_rank[MOST_ROWS];
    must(ronde_allgather(ronde, "rows", mine, rows, ROW, RONDE_INT32, all, MOST_ROWS, rows_by_rank,
                         NULL));
    printf("rank %d: %zu and %zu rows, the last is %d %d\n", rank, rows_by_rank[0], rows_by_rank[1],
           all[2 * ROW], all[2 * ROW + 1]);

    /* Without knowing how many there will be: the library makes the result. */
    uint64_t handle;
    must(ronde_allgather_async(ronde, "rows", mine, rows, ROW, RONDE_INT32, NULL, 0, NULL, NULL,
                               &handle));
    while (ronde_poll(ronde, handle) == RONDE_PENDING)
        sched_yield(); /* or something useful */
    void *made;
    size_t made_rows;
    must(ronde_take(ronde, handle, &made, &made_rows));
    must(ronde_wait(ronde, handle));
    printf("rank %d: took %zu rows, the first is %d %d\n", rank, made_rows, ((int32_t *)made)[0],
           ((int32_t *)made)[1]);
    must(ronde_free(ronde, made));
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 and 2 rows, the last is 12 13
 * rank 0: took 3 rows, the first is 0 1
 * rank 1: 1 and 2 rows, the last is 12 13
 * rank 1: took 3 rows, the first is 0 1 */
