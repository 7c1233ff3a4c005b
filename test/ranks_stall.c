/* ronde-test: np=2,3 np=4/2,3/2 threads=2/2,3/2,4/2 mpich=2 settings=stall_abort=1 timeout=60 */
/* A tensor that one rank never submits is an error after stall_abort, which names that rank and
 * what it has pending instead; then all goes on. (sh_stall.sh looks at the report before that.) */
#include "trial.h"

/* Submits a sum of one int32; the operations of this test move nothing that matters. */
static uint64_t submit(struct trial *trial, const char *name, int32_t *data)
{
    uint64_t handle = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, name, data, data, 1, RONDE_INT32, RONDE_SUM,
                                        NULL, &handle));
    return handle;
}

/* Waits for what must stall, and is told so neither at once nor late. */
static void wait_for_stall(struct trial *trial, uint64_t handle, double since)
{
    EXPECT_STATUS(trial, RONDE_ERR_STALLED, ronde_wait_for(trial->context, handle, 30));
    double seconds = now() - since;
    EXPECT(trial, seconds > 0.9 && seconds < 10, "told after %.2f s", seconds);
}

/* The last rank, alone and a little later, has tensors of other names pending, which stall as well;
 * "lonelx" is the most like. */
static void the_missing_rank_and_its_near_miss_are_named(struct trial *trial)
{
    enum { OTHERS = 9 };
    int32_t data[OTHERS + 1] = {0};
    uint64_t handles[OTHERS + 1];
    int missing = trial->size - 1;
    char name[32], rank_name[32];
    snprintf(rank_name, sizeof rank_name, "%d", missing);
    meet_directly(trial);
    if (trial->rank == missing)
        nap(0.15);
    double start = now();
    if (trial->rank == missing) {
        for (int i = 0; i <= OTHERS; i++) {
            snprintf(name, sizeof name, "zebra %d", i);
            handles[i] = submit(trial, i == OTHERS / 2 ? "lonelx" : name, &data[i]);
        }
        for (int i = 0; i <= OTHERS; i++)
            wait_for_stall(trial, handles[i], start);
    } else {
        handles[0] = submit(trial, "lonely", &data[0]);
        EXPECT_STATUS(trial, RONDE_PENDING, ronde_wait_for(trial->context, handles[0], 0.1));
        wait_for_stall(trial, handles[0], start);
        const char *text = ronde_last_error();
        EXPECT(trial, strstr(text, "lonely") && strstr(text, rank_name) && strstr(text, "lonelx"),
               "\"%s\" does not name lonely, rank %d and lonelx", text, missing);
    }
    meet_directly(trial);
    meet(trial, "after the stall");
}

/* It is no error: the last rank may have more data. (sh_stall.sh looks at the report.) */
static void a_join_waits_for_ever(struct trial *trial)
{
    int32_t last = -1;
    if (trial->rank == trial->size - 1)
        nap(1.5);
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
    EXPECT(trial, last == trial->size - 1, "the last to join is rank %d", (int)last);
}

static void the_name_can_be_used_again(struct trial *trial)
{
    int32_t data = 1;
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, submit(trial, "lonely", &data)));
    EXPECT(trial, data == trial->size, "sum is %d", (int)data);
}

/* A cached name stalls like a new one. */
static void a_cached_tensor_stalls_too(struct trial *trial)
{
    int32_t data = 1;
    for (int i = 0; i < 3; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, submit(trial, "known", &data)));
    if (trial->rank != 0) {
        double start = now();
        wait_for_stall(trial, submit(trial, "known", &data), start);
        EXPECT(trial, strstr(ronde_last_error(), "known") && strstr(ronde_last_error(), "0"),
               "\"%s\" does not name known and rank 0", ronde_last_error());
    }
    meet_directly(trial);
    data = 1;
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, submit(trial, "known", &data)));
    EXPECT(trial, data == trial->size, "sum is %d", (int)data);
}

static void a_rank_that_is_late_is_no_error(struct trial *trial)
{
    int32_t data = 1;
    if (trial->rank == trial->size - 1)
        nap(0.5);
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, submit(trial, "late", &data)));
    EXPECT(trial, data == trial->size, "sum is %d", (int)data);
}

/* Rank 0's call fails, and still counts: the next unnamed ones of all ranks match each other. The
 * others' operation of the failed number has no partner, which only stalling ends. */
static void the_unnamed_counter_advances_when_a_call_fails(struct trial *trial)
{
    int32_t failed = 0, sum = trial->rank + 1, from = trial->rank, all[64];
    uint64_t alone[3] = {0, 0, 0}, bad = 0, next = 0;
    ronde_context *context = trial->context;
    double start = now();
    if (trial->rank == 0) {
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_allreduce_async(context, NULL, &failed, &failed, 1, 99, RONDE_SUM, NULL,
                                            &bad));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_broadcast_async(context, NULL, &failed, &failed, 1, RONDE_INT32, -5,
                                            NULL, &bad));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_allgather_async(context, NULL, NULL, 1, 1, RONDE_INT32, all, 64, NULL,
                                            NULL, &bad));
    } else {
        alone[0] = submit(trial, NULL, &failed);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_broadcast_async(context, NULL, &failed, &failed, 1, RONDE_INT32, 0,
                                            NULL, &alone[1]));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allgather_async(context, NULL, &from, 1, 1, RONDE_INT32, all, 64, NULL,
                                            NULL, &alone[2]));
    }
    next = submit(trial, NULL, &sum);
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(context, next));
    EXPECT(trial, sum == trial->size * (trial->size + 1) / 2, "sum is %d", (int)sum);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(context, NULL, &from, &from, 1, RONDE_INT32, 1, NULL));
    EXPECT(trial, from == 1, "%d from rank 1", (int)from);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather(context, NULL, &trial->rank, 1, 1, RONDE_INT32, all, 64, NULL,
                                  NULL));
    EXPECT(trial, all[0] == 0 && all[trial->size - 1] == trial->size - 1, "last row is %d",
           (int)all[trial->size - 1]);
    for (int i = 0; i < 3 && trial->rank != 0; i++)
        wait_for_stall(trial, alone[i], start);
    meet_directly(trial);
    meet(trial, "after the unnamed");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    the_missing_rank_and_its_near_miss_are_named(&trial);
    a_join_waits_for_ever(&trial);
    the_name_can_be_used_again(&trial);
    a_cached_tensor_stalls_too(&trial);
    a_rank_that_is_late_is_no_error(&trial);
    the_unnamed_counter_advances_when_a_call_fails(&trial);
    return trial_end(&trial);
}
