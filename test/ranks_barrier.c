/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: threads=4/2,3/2 settings=progress=caller timeout=60 */
/* Barriers: nobody leaves before all have entered, with operations outstanding and several at
 * once. Ranks compare the clock that all processes of a machine share. */
#include "trial.h"

/* Collective. All entered before any of them left. */
static void nobody_left_early(struct trial *trial, double entered, double left, const char *what)
{
    double mine[2] = {entered, left}, all[2 * 64], last_entry = entered, first_exit = left;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allgather(trial->context, mine, 1, 2, RONDE_FLOAT64, all, NULL,
                                         NULL));
    for (int rank = 0; rank < trial->size; rank++) {
        last_entry = all[2 * rank] > last_entry ? all[2 * rank] : last_entry;
        first_exit = all[2 * rank + 1] < first_exit ? all[2 * rank + 1] : first_exit;
    }
    EXPECT(trial, last_entry <= first_exit, "%s: a rank left %.6f s before another entered", what,
           last_entry - first_exit);
}

static void nobody_leaves_before_all_have_entered(struct trial *trial)
{
    uint64_t dice = (uint64_t)trial->rank * 11 + 3;
    for (int i = 0; i < 60; i++) {
        if (i < trial->size ? i == trial->rank : dice_below(&dice, 4) == 0)
            nap(5e-3);
        double entered = now();
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, i % 3 ? "gate" : NULL, NULL));
        nobody_left_early(trial, entered, now(), "blocking");
    }
}

/* Entered by polling. */
static void a_barrier_is_pending_until_the_last_enters(struct trial *trial)
{
    uint64_t handle = 0;
    if (trial->rank == trial->size - 1)
        nap(0.1);
    double entered = now();
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier_async(trial->context, "polled", NULL, &handle));
    EXPECT_STATUS(trial, RONDE_OK, until_done(trial, handle));
    double left = now();
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    nobody_left_early(trial, entered, left, "polled");
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(trial->context, handle));
}

/* Rank 0 withholds its part of other operations until the barrier is over. */
static void a_barrier_does_not_wait_for_operations(struct trial *trial)
{
    enum { N = 6 };
    int32_t data[N], first = trial->rank, all[64];
    uint64_t handles[N + 2];
    char name[32];
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < N + 2 && (trial->rank == 0) == turn; i++) {
            int32_t status;
            snprintf(name, sizeof name, "outstanding %d", i);
            if (i == N)
                status = ronde_broadcast_async(trial->context, name, &first, &first, 1, RONDE_INT32,
                                               trial->size - 1, NULL, &handles[i]);
            else if (i == N + 1)
                status = ronde_allgather_async(trial->context, name, &trial->rank, 1, 1,
                                               RONDE_INT32, all, 64, NULL, NULL, &handles[i]);
            else {
                data[i] = i + trial->rank;
                status = ronde_allreduce_async(trial->context, name, &data[i], &data[i], 1,
                                               RONDE_INT32, RONDE_MAX, NULL, &handles[i]);
            }
            EXPECT_STATUS(trial, RONDE_OK, status);
        }
        if (turn == 0)
            EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "between", NULL));
        for (int i = 0; i < N + 2 && turn == 0 && trial->rank && trial->size > 1; i++)
            EXPECT_STATUS(trial, RONDE_PENDING, ronde_wait_for(trial->context, handles[i], 0));
        meet_directly(trial); /* rank 0 goes on when all have looked */
    }
    for (int i = 0; i < N + 2; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
    for (int i = 0; i < N; i++)
        EXPECT(trial, data[i] == i + trial->size - 1, "tensor %d is %d", i, (int)data[i]);
    EXPECT(trial, first == trial->size - 1 && all[trial->size - 1] == first, "%d came, and %d",
           (int)first, (int)all[trial->size - 1]);
}

/* Each rank enters them in an order of its own, and leaves them in another. */
static void several_barriers_at_once(struct trial *trial)
{
    enum { N = 12 };
    uint64_t dice = (uint64_t)trial->rank + 40, handles[N];
    double entered[N], left[N];
    char name[32];
    for (int round = 0; round < 4; round++) {
        size_t order[N];
        dice_order(&dice, order, N);
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "gate %zu", order[i]);
            if (dice_below(&dice, 3 * N) == 0)
                nap(2e-3);
            entered[order[i]] = now();
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_barrier_async(trial->context, name, NULL, &handles[order[i]]));
        }
        dice_order(&dice, order, N);
        for (int i = 0; i < N; i++) {
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[order[i]]));
            left[order[i]] = now();
        }
        for (int i = 0; i < N; i++)
            nobody_left_early(trial, entered[i], left[i], "one of several");
    }
}

/* A name is a barrier's alone; twice at once it is an error here, and nowhere else. */
static void a_name_is_entered_once_at_a_time(struct trial *trial)
{
    uint64_t handle = 0, other = 4711;
    int32_t sum = 1;
    if (trial->size == 1)
        return;
    if (trial->rank == 0) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier_async(trial->context, "twice", NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_DUPLICATE,
                      ronde_barrier_async(trial->context, "twice", NULL, &other));
        EXPECT_ERROR(trial, "twice");
        EXPECT(trial, other == 4711, "a failing call wrote its handle");
    }
    EXPECT_STATUS(trial, RONDE_OK, /* the same name, of another kind */
                  ronde_allreduce(trial->context, "twice", &sum, &sum, 1, RONDE_INT32, RONDE_SUM,
                                  NULL));
    EXPECT(trial, sum == trial->size, "sum %d", (int)sum);
    if (trial->rank)
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier_async(trial->context, "twice", NULL, &handle));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
}

static void bad_arguments_fail_at_once(struct trial *trial)
{
    uint64_t handle = 4711;
    ronde_call call = call_in(0), unknown = call_in(4711);
    char too_long[1002];
    memset(too_long, 'x', sizeof too_long);
    too_long[1001] = 0;
    call.size = 0;
    if (trial->rank == 0) {
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_barrier_async(trial->context, "", NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_barrier_async(trial->context, too_long, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_barrier_async(trial->context, "x", NULL, NULL));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_barrier_async(trial->context, "x", &call, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET,
                      ronde_barrier_async(trial->context, "x", &unknown, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_CLOSED, ronde_barrier_async(NULL, "x", NULL, &handle));
        EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "after errors", NULL));
}

/* Repeated barriers are known by number, as other tensors are. */
static void a_repeated_barrier_is_cached(struct trial *trial)
{
    ronde_counters before, after;
    for (int i = 0; i < 3; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "cached", NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &before, sizeof before));
    for (int i = 0; i < 20; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "cached", NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &after, sizeof after));
    EXPECT(trial, after.operations - before.operations == 20, "%llu operations of 20",
           (unsigned long long)(after.operations - before.operations));
    EXPECT(trial, after.announcements - before.announcements == after.cached - before.cached,
           "a name was told again");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    nobody_leaves_before_all_have_entered(&trial);
    a_barrier_is_pending_until_the_last_enters(&trial);
    a_barrier_does_not_wait_for_operations(&trial);
    several_barriers_at_once(&trial);
    a_name_is_entered_once_at_a_time(&trial);
    bad_arguments_fail_at_once(&trial);
    a_repeated_barrier_is_cached(&trial);
    return trial_end(&trial);
}
