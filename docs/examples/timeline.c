/* Records what happens between two points in a file per rank. */
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

    float gradient[256] = {0};
    must(ronde_timeline_start(ronde, "step")); /* step.0.json, step.1.json, ... */
    for (int step = 0; step < 3; step++)
        must(ronde_allreduce(ronde, "gradient", gradient, gradient, 256, RONDE_FLOAT32,
                             RONDE_AVERAGE, NULL));
    must(ronde_timeline_stop(ronde));

    char path[64];
    snprintf(path, sizeof path, "step.%d.json", rank);
    FILE *file = fopen(path, "r");
    printf("rank %d: %s is %s\n", rank, path, file ? "there" : "missing");
    if (file)
        fclose(file);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: step.0.json is there
 * rank 1: step.1.json is there */
