/* Copies the root's array to every rank: parameters at the start of a training run. */
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
    enum { LAYERS = 2, WEIGHTS = 3, ROOT = 0 };
    static const char *const names[LAYERS] = {"layer0", "layer1"};
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    float weights[LAYERS][WEIGHTS] = {{0}};
    uint64_t handles[LAYERS];
    if (rank == ROOT)
        for (int i = 0; i < LAYERS * WEIGHTS; i++)
            weights[i / WEIGHTS][i % WEIGHTS] = (float)i;
    for (int i = 0; i < LAYERS; i++) /* all at once: small ones travel together */
        must(ronde_broadcast_async(ronde, names[i], weights[i], weights[i], WEIGHTS, RONDE_FLOAT32,
                                   ROOT, NULL, &handles[i]));
    for (int i = 0; i < LAYERS; i++)
        must(ronde_wait(ronde, handles[i]));

    printf("rank %d: %g %g %g, %g %g %g\n", rank, weights[0][0], weights[0][1], weights[0][2],
           weights[1][0], weights[1][1], weights[1][2]);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 0 1 2, 3 4 5
 * rank 1: 0 1 2, 3 4 5 */
