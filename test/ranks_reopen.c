/* ronde-test: np=1,2,3 np=4/2 mpich=2 timeout=60 */
/* Contexts come and go beside each other in one process. (The context given by ranks.c stays open:
 * without it the last to close would finalise MPI. mpi_caller.c opens again after the last.) */
#include <pthread.h>

#include "trial.h"

static int32_t open_another(struct trial *trial, struct trial *other, const char *settings)
{
    ronde_options options;
    ronde_options_init(&options, sizeof options);
    options.settings = settings;
    *other = *trial;
    other->context = NULL;
    other->failures = 0;
    return EXPECT_STATUS(trial, RONDE_OK, ronde_open(&options, &other->context));
}

static void close_another(struct trial *trial, struct trial *other)
{
    EXPECT_STATUS(other, RONDE_OK, ronde_close(&other->context));
    EXPECT(other, !other->context, "the pointer to a closed context is left");
    trial->failures += other->failures;
}

/* One tensor of each kind, named and direct. */
static void use(struct trial *trial, int number)
{
    int32_t in = trial->rank + number, sum = 0, first = -1, all[64];
    char name[32];
    snprintf(name, sizeof name, "use %d", number % 3);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, name, &in, &sum, 1, RONDE_INT32, RONDE_SUM,
                                  NULL));
    EXPECT(trial, sum == trial->size * (trial->size - 1) / 2 + trial->size * number, "sum %d",
           (int)sum);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, name, &in, &first, 1, RONDE_INT32, 0, NULL));
    EXPECT(trial, first == number, "first %d", (int)first);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allgather(trial->context, &in, 1, 1, RONDE_INT32, all, NULL, NULL));
    EXPECT(trial, all[trial->size - 1] == trial->size - 1 + number, "last %d",
           (int)all[trial->size - 1]);
}

static void a_context_opens_and_closes_five_times(struct trial *trial)
{
    for (int i = 0; i < 5; i++) {
        struct trial other;
        void *memory = NULL;
        if (open_another(trial, &other, i % 2 ? "slots=2;slice_bytes=8K" : NULL) != RONDE_OK)
            continue;
        EXPECT(trial,
               ronde_rank(other.context) == trial->rank && ronde_size(other.context) == trial->size,
               "rank %d of %d", (int)ronde_rank(other.context), (int)ronde_size(other.context));
        EXPECT_STATUS(&other, RONDE_OK, ronde_malloc(other.context, 100000, &memory));
        use(&other, 10 * i);
        use(trial, 10 * i + 1); /* the first is not disturbed */
        if (i % 2)              /* else closing frees it */
            EXPECT_STATUS(&other, RONDE_OK, ronde_free(other.context, memory));
        close_another(trial, &other);
    }
}

static void nothing_is_used_between_open_and_close(struct trial *trial)
{
    struct trial other;
    if (open_another(trial, &other, NULL) == RONDE_OK)
        close_another(trial, &other);
}

static void *use_often(void *trial)
{
    for (int i = 0; i < 200; i++)
        use(trial, i);
    return NULL;
}

static void two_contexts_work_at_once_from_two_threads(struct trial *trial)
{
    struct trial other;
    pthread_t thread;
    if (open_another(trial, &other, NULL) != RONDE_OK)
        return;
    pthread_create(&thread, NULL, use_often, &other);
    use_often(trial);
    pthread_join(thread, NULL);
    close_another(trial, &other);
}

/* Two contexts, one thread, operations of both outstanding and waited for crosswise. */
static void operations_of_two_contexts_interleave(struct trial *trial)
{
    struct trial other;
    int32_t in = 1, sums[2][20];
    uint64_t handles[2][20];
    char name[32];
    if (open_another(trial, &other, NULL) != RONDE_OK)
        return;
    for (int i = 0; i < 20; i++) {
        for (int which = 0; which < 2; which++) {
            struct trial *one = (which + trial->rank) % 2 ? &other : trial;
            snprintf(name, sizeof name, "interleaved %d", i);
            EXPECT_STATUS(one, RONDE_OK,
                          ronde_allreduce_async(one->context, name, &in, &sums[one == trial][i], 1,
                                                RONDE_INT32, RONDE_SUM, NULL,
                                                &handles[one == trial][i]));
        }
    }
    for (int i = 19; i >= 0; i--) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[1][i]));
        EXPECT_STATUS(&other, RONDE_OK, ronde_wait(other.context, handles[0][i]));
        EXPECT(trial, sums[0][i] == trial->size && sums[1][i] == trial->size, "sums %d, %d",
               (int)sums[0][i], (int)sums[1][i]);
    }
    close_another(trial, &other);
}

/* One rank is late, so the others' operations are outstanding when they close. */
static void closing_waits_for_what_is_outstanding(struct trial *trial)
{
    enum { OUTSTANDING = 20, COUNT = 30000 };
    struct trial other;
    int32_t *in = malloc(COUNT * sizeof *in), *out = calloc(OUTSTANDING * COUNT, sizeof *out);
    uint64_t handle = 0;
    char name[32];
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
        in[i] = trial->rank + i;
    if (open_another(trial, &other, NULL) == RONDE_OK) {
        if (trial->rank == trial->size - 1)
            nap(0.3);
        for (int i = 0; i < OUTSTANDING; i++) {
            int number = (i + trial->rank) % OUTSTANDING;
            snprintf(name, sizeof name, "left %d", number);
            EXPECT_STATUS(&other, RONDE_OK,
                          ronde_allreduce_async(other.context, name, in, out + number * COUNT,
                                                COUNT, RONDE_INT32, RONDE_SUM, NULL, &handle));
        }
        close_another(trial, &other);
        for (int i = 0; i < OUTSTANDING * COUNT; i++)
            wrong += out[i] != trial->size * (trial->size - 1) / 2 + trial->size * (i % COUNT);
        EXPECT(trial, !wrong, "%d elements are wrong after closing", wrong);
    }
    free(in);
    free(out);
    meet(trial, "after closing");
}

/* Two bins that come whole a third time are planned anew as one; closing came with them, and is
 * decided after them all the same. */
static void closing_waits_for_bins_that_grow(struct trial *trial)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    static const int32_t one = 1;
    for (int times = 0; times < 6; times++) {
        struct trial other;
        int32_t out[4] = {0};
        uint64_t handles[4];
        if (open_another(trial, &other, NULL) != RONDE_OK)
            return;
        for (int step = 0; step < 4 + times + 1; step++) {
            for (int i = 0; i < 4; i++) {
                EXPECT_STATUS(&other, RONDE_OK,
                              ronde_allreduce_async(other.context, names[i], &one, &out[i], 1,
                                                    RONDE_INT32, RONDE_SUM, NULL, &handles[i]));
                if (step < 4 && i % 2) { /* in two goes */
                    EXPECT_STATUS(&other, RONDE_OK, ronde_wait(other.context, handles[i - 1]));
                    EXPECT_STATUS(&other, RONDE_OK, ronde_wait(other.context, handles[i]));
                }
            }
            for (int i = 0; i < 4 && step >= 4 && step < 4 + times; i++)
                EXPECT_STATUS(&other, RONDE_OK, ronde_wait(other.context, handles[i]));
        }
        close_another(trial, &other);
        for (int i = 0; i < 4; i++)
            EXPECT(trial, out[i] == trial->size, "after closing '%s' is %d", names[i], (int)out[i]);
    }
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    if (ranks_are_threads()) {
        printf("only ranks that are processes can open contexts\n");
        return 77;
    }
    a_context_opens_and_closes_five_times(&trial);
    nothing_is_used_between_open_and_close(&trial);
    operations_of_two_contexts_interleave(&trial);
    two_contexts_work_at_once_from_two_threads(&trial);
    closing_waits_for_what_is_outstanding(&trial);
    closing_waits_for_bins_that_grow(&trial);
    return trial_end(&trial);
}
