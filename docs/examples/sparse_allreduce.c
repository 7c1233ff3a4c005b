/* Adds up the few rows of a large table that each rank has a gradient for. */
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
    enum { ROW = 2 };
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    /* Row 0 is everybody's, row 7 is rank 0's, row 3 rank 1's. */
    const int64_t indices[2] = {rank == 0 ? 7 : 3, 0};
    const float values[2 * ROW] = {1, 2, 10, (float)rank};
    uint64_t handle;
    must(ronde_sparse_allreduce_async(ronde, "embedding", indices, values, 2, ROW, RONDE_FLOAT32,
                                      RONDE_SUM, NULL, &handle));
    while (ronde_poll(ronde, handle) == RONDE_PENDING)
        sched_yield(); /* or something useful */
    int64_t *all_indices;
    void *all_values;
    size_t rows;
    must(ronde_take_sparse(ronde, handle, &all_indices, &all_values, &rows));
    must(ronde_wait(ronde, handle));
    for (size_t i = 0; i < rows; i++)
        printf("rank %d: row %d: %g %g\n", rank, (int)all_indices[i],
               ((float *)all_values)[ROW * i], ((float *)all_values)[ROW * i + 1]);
    must(ronde_free(ronde, all_indices));
    must(ronde_free(ronde, all_values));
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: row 0: 20 1
 * rank 0: row 3: 1 2
 * rank 0: row 7: 1 2
 * rank 1: row 0: 20 1
 * rank 1: row 3: 1 2
 * rank 1: row 7: 1 2 */
