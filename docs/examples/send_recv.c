/* Passes a message around the ring of ranks. */
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
    int rank = ronde_rank(ronde), size = ronde_size(ronde);
    int right = (rank + 1) % size, left = (rank + size - 1) % size;

    /* Sender, receiver and name match; so one name serves the whole ring. */
    float to_right[2] = {(float)rank, 0.5f}, from_left[2];
    uint64_t sent, received;
    must(ronde_send_async(ronde, "activation", to_right, 2, RONDE_FLOAT32, right, NULL, &sent));
    must(ronde_recv_async(ronde, "activation", from_left, 2, RONDE_FLOAT32, left, NULL, &received));
    must(ronde_wait(ronde, received));
    must(ronde_wait(ronde, sent));
    printf("rank %d: %g %g\n", rank, from_left[0], from_left[1]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 0.5
 * rank 1: 0 0.5 */

/* prints (mpirun -np 4):
 * rank 0: 3 0.5
 * rank 1: 0 0.5
 * rank 2: 1 0.5
 * rank 3: 2 0.5 */
