/* Several threads of a process submit and wait, each for its own tensors. */
#include <pthread.h>
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

struct work {
    ronde_context *ronde;
    const char *name;
    double value;
};

static void *add_up(void *of)
{
    struct work *work = of;
    must(ronde_allreduce(work->ronde, work->name, &work->value, &work->value, 1, RONDE_FLOAT64,
                         RONDE_SUM, NULL));
    return NULL;
}

int main(void)
{
    ronde_context *ronde = NULL;
    must(ronde_open(NULL, &ronde));
    int rank = ronde_rank(ronde);

    /* Which thread comes first does not matter, nor that it is another one elsewhere. */
    struct work works[2] = {{ronde, "left", rank}, {ronde, "right", 10 + rank}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, add_up, &works[i]))
            exit(1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("rank %d: %g %g\n", rank, works[0].value, works[1].value);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * rank 0: 1 21
 * rank 1: 1 21 */
