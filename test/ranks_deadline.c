/* ronde-test: np=2,3,4 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* A call's own deadline: where a rank has not come by then, the operation is an error, naming that
 * rank, on all that have; and all goes on. */
#include <math.h>

#include "trial.h"

/* A deadline is kept when it is not told before, nor much later on a busy machine. */
static void wait_for_deadline(struct trial *trial, uint64_t handle, double since, double deadline)
{
    EXPECT_STATUS(trial, RONDE_ERR_STALLED, ronde_wait_for(trial->context, handle, 30));
    double seconds = now() - since;
    EXPECT(trial, seconds > deadline - 0.02 && seconds < deadline + 8,
           "told after %.2f s, not %.2f s", seconds, deadline);
}

/* A sum of one int32, which ends at this deadline (0: none). */
static uint64_t submit(struct trial *trial, const char *name, int32_t *data, double deadline)
{
    uint64_t handle = 0;
    ronde_call call = call_in(0);
    call.deadline = deadline;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, name, data, data, 1, RONDE_INT32, RONDE_SUM,
                                        &call, &handle));
    return handle;
}

static void the_name_works(struct trial *trial, const char *name)
{
    int32_t data = 1;
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, submit(trial, name, &data, 0)));
    EXPECT(trial, data == trial->size, "the sum is %d", (int)data);
}

/* The missing rank comes after the others have been told, and stalls in turn; all within its own
 * deadline. Twice: a cached name stalls like a new one. */
static void the_missing_rank_is_named(struct trial *trial, int missing, const char *name)
{
    char number[32];
    snprintf(number, sizeof number, "%d", missing);
    for (int round = 0; round < 2; round++) {
        int32_t data = 1;
        meet(trial, "between"); /* by name: behind the errors before */
        double start = now();
        if (trial->rank != missing) {
            wait_for_deadline(trial, submit(trial, name, &data, 0.4), start, 0.4);
            EXPECT_ERROR(trial, name, number, "rank");
        }
        meet(trial, "between"); /* by name: behind the errors before */
        start = now();
        if (trial->rank == missing) {
            wait_for_deadline(trial, submit(trial, name, &data, 0.2), start, 0.2);
            EXPECT_ERROR(trial, name, "rank");
        }
        meet(trial, "told"); /* by name: behind the errors, so all know of them */
        EXPECT(trial, data == 1, "a result was written");
        the_name_works(trial, name);
    }
}

/* The rank with a deadline, first or last of those that come, is late itself; the others have none,
 * or a longer one. */
static void the_deadline_of_one_rank_is_enough(struct trial *trial, int missing, int hasty)
{
    int32_t data = 1;
    meet(trial, "between"); /* by name: behind the errors before */
    double start = now();
    if (trial->rank == hasty)
        nap(0.1);
    if (trial->rank != missing)
        wait_for_deadline(trial,
                          submit(trial, "one deadline", &data,
                                 trial->rank == hasty ? 0.3 : trial->rank % 2 * 25.0),
                          start, 0.3);
    meet(trial, "told of one deadline");
    the_name_works(trial, "one deadline");
}

static void who_comes_in_time_is_no_error(struct trial *trial)
{
    int32_t data = 1;
    if (trial->rank == trial->size - 1)
        nap(0.4);
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, submit(trial, "in time", &data, 25)));
    EXPECT(trial, data == trial->size, "the sum is %d", (int)data);
}

/* Other tensors of the moment, which have all they need or more time, are not harmed. */
static void only_what_is_due_fails(struct trial *trial)
{
    enum { N = 12 };
    int32_t data[N];
    uint64_t handles[N] = {0};
    int missing = trial->size - 1;
    char name[16];
    meet(trial, "between"); /* by name: behind the errors before */
    double start = now();
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "moment %d", i);
        data[i] = i;
        if (i % 3 == 0 || trial->rank != missing) /* the last lacks two of three */
            handles[i] = submit(trial, name, &data[i], i % 3 == 1 ? 0.3 : 0);
    }
    for (int i = 1; i < N && trial->rank != missing; i += 3)
        wait_for_deadline(trial, handles[i], start, 0.3);
    for (int i = 2; i < N && trial->rank != missing; i += 3)
        EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, handles[i]));
    meet(trial, "between"); /* by name: behind the errors before */
    for (int i = 2; i < N && trial->rank == missing; i += 3) {
        snprintf(name, sizeof name, "moment %d", i);
        handles[i] = submit(trial, name, &data[i], 0);
    }
    for (int i = 0; i < N; i++) {
        if (i % 3 == 1)
            continue;
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        EXPECT(trial, data[i] == i * trial->size, "tensor %d is %d", i, (int)data[i]);
    }
}

/* Every kind of operation, at once; rank 0 does none of them. */
static void every_kind_has_a_deadline(struct trial *trial)
{
    enum { KINDS = 12 };
    ronde_context *c = trial->context;
    ronde_call call = call_in(0);
    int32_t in[64] = {0}, out[KINDS][64];
    int64_t index = 1;
    uint64_t h[KINDS];
    call.deadline = 0.3;
    meet(trial, "between"); /* by name: behind the errors before */
    if (trial->rank) {
        double start = now();
        const int32_t statuses[] = {
            ronde_allreduce_async(c, "due", in, out[0], 4, RONDE_INT32, RONDE_MAX, &call, &h[0]),
            ronde_broadcast_async(c, "due", in, out[1], 4, RONDE_INT32, 1, &call, &h[1]),
            ronde_allgather_async(c, "due", in, 1, 1, RONDE_INT32, out[2], 64, NULL, &call, &h[2]),
            ronde_reduce_async(c, "due", in, out[3], 4, RONDE_INT32, RONDE_SUM, 1, &call, &h[3]),
            ronde_reducescatter_async(c, "due", in, 8, 1, RONDE_INT32, RONDE_SUM, out[4], 8, &call,
                                      &h[4]),
            ronde_alltoall_async(c, "due", in, NULL, (size_t)trial->size, 1, RONDE_INT32, out[5],
                                 64, NULL, &call, &h[5]),
            ronde_gather_async(c, "due", in, 1, 1, RONDE_INT32, out[6], 64, NULL, 1, &call, &h[6]),
            ronde_scatter_async(c, "due", in, NULL, 8, 1, RONDE_INT32, out[7], 8, NULL, 1, &call,
                                &h[7]),
            ronde_send_async(c, "due", in, 4, RONDE_INT32, 0, &call, &h[8]),
            ronde_recv_async(c, "due", out[9], 4, RONDE_INT32, 0, &call, &h[9]),
            ronde_barrier_async(c, "due", &call, &h[10]),
            ronde_sparse_allreduce_async(c, "due", &index, in, 1, 1, RONDE_INT32, RONDE_SUM, &call,
                                         &h[11]),
        };
        for (int i = 0; i < KINDS; i++) {
            EXPECT(trial, statuses[i] == RONDE_OK, "kind %d: %s", i,
                   ronde_status_name(statuses[i]));
            wait_for_deadline(trial, h[i], start, 0.3);
            EXPECT_ERROR(trial, "due", "0", "rank");
        }
    }
    meet(trial, "between"); /* by name: behind the errors before */
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(c, "due", NULL));
    the_name_works(trial, "due");
}

/* The one member that is due takes its group with it. */
static void a_group_stalls_as_one(struct trial *trial)
{
    int32_t data[3] = {1, 1, 1};
    uint64_t handles[3], group = 0;
    static const char *const names[] = {"group 0", "group 1", "group 2"};
    meet(trial, "between"); /* by name: behind the errors before */
    double start = now();
    if (trial->rank != trial->size - 1) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_begin(trial->context, &group));
        for (int i = 0; i < 3; i++) {
            ronde_call call = call_in(0);
            call.group = group;
            call.deadline = i == 1 ? 0.3 : 0;
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, names[i], &data[i], &data[i], 1,
                                                RONDE_INT32, RONDE_SUM, &call, &handles[i]));
        }
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
        for (int i = 0; i < 3; i++)
            wait_for_deadline(trial, handles[i], start, 0.3);
    }
    meet(trial, "between"); /* by name: behind the errors before */
    for (int i = 0; i < 3; i++)
        the_name_works(trial, names[i]);
}

/* In a set of the first two; the other ranks know of nothing. */
static void a_set_has_deadlines_too(struct trial *trial)
{
    static const int32_t ranks[] = {0, 1};
    ronde_call call = call_in(0);
    int32_t data = 1;
    uint64_t handle = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_process_set_add(trial->context, ranks, 2, &call.process_set));
    double start = now();
    call.deadline = 0.3;
    if (trial->rank == 1) {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, "in a set", &data, &data, 1,
                                            RONDE_INT32, RONDE_SUM, &call, &handle));
        wait_for_deadline(trial, handle, start, 0.3);
        EXPECT_ERROR(trial, "in a set", "0", "rank");
    }
    meet(trial, "between"); /* by name: behind the errors before */
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, call.process_set));
}

/* One rank errs alone, and nobody else notices. */
static void deadlines_that_make_no_sense_fail_at_once(struct trial *trial)
{
    const double deadlines[] = {-1, -1e-9, (double)NAN};
    int32_t data = 0;
    uint64_t handle = 4711;
    for (int i = 0; i < 3 && trial->rank == 0; i++) {
        ronde_call call = call_in(0);
        call.deadline = deadlines[i];
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_allreduce_async(trial->context, "nonsense", &data, &data, 1,
                                            RONDE_INT32, RONDE_SUM, &call, &handle));
        EXPECT_ERROR(trial, "deadline");
    }
    EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    meet(trial, "after nonsense");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    the_missing_rank_is_named(&trial, 0, "without the first");
    the_missing_rank_is_named(&trial, trial.size - 1, "without the last");
    the_deadline_of_one_rank_is_enough(&trial, trial.size - 1, 0);
    the_deadline_of_one_rank_is_enough(&trial, 0, trial.size - 1);
    who_comes_in_time_is_no_error(&trial);
    only_what_is_due_fails(&trial);
    every_kind_has_a_deadline(&trial);
    a_group_stalls_as_one(&trial);
    a_set_has_deadlines_too(&trial);
    deadlines_that_make_no_sense_fail_at_once(&trial);
    return trial_end(&trial);
}
