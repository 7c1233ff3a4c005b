/* Even and odd ranks work apart: each set matches and runs operations of its own. */
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

    ronde_call call;
    ronde_call_init(&call, sizeof call);
    must(ronde_process_set_split(ronde, rank % 2, &call.process_set)); /* as MPI_Comm_split */
    int32_t sum;
    must(ronde_allreduce(ronde, "sum", &rank, &sum, 1, RONDE_INT32, RONDE_SUM, &call));
    printf("rank %d: rank %d of %d in its set, sum %d\n", rank,
           ronde_process_set_rank(ronde, call.process_set),
           ronde_process_set_size(ronde, call.process_set), sum);

    /* The same list on all ranks, members or not. The root is a global rank. */
    const int32_t outer[2] = {0, 3};
    must(ronde_process_set_add(ronde, outer, 2, &call.process_set));
    if (ronde_process_set_rank(ronde, call.process_set) >= 0) {
        int32_t from_three = rank;
        must(ronde_broadcast(ronde, "from", &from_three, &from_three, 1, RONDE_INT32, 3, &call));
        printf("rank %d: from rank %d\n", rank, from_three);
    }
    must(ronde_process_set_remove(ronde, call.process_set));
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 4):
 * rank 0: rank 0 of 2 in its set, sum 2
 * rank 1: rank 0 of 2 in its set, sum 4
 * rank 2: rank 1 of 2 in its set, sum 2
 * rank 3: rank 1 of 2 in its set, sum 4
 * rank 0: from rank 3
 * rank 3: from rank 3 */
