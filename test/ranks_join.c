/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: threads=4/4,3/2 settings=cache_capacity=3 timeout=60 */
/* Ranks that have no more data join: they contribute nothing to whatever the others do, of every
 * kind and op, cached or new, until all have joined; all learn who was last. */
#include "samples.h"
#include "trial.h"

/* Collective. The ranks whose bits are set join; the others do what `use` says first. */
static void while_absent(struct trial *trial, unsigned absent,
                         void (*use)(struct trial *, const struct members *present))
{
    struct members present = {0, {0}};
    uint64_t handle = 0;
    int32_t last = -7;
    for (int rank = 0; rank < trial->size; rank++)
        if (!(absent >> rank & 1))
            present.ranks[present.n++] = rank;
    if (!(absent >> trial->rank & 1)) {
        if (use)
            use(trial, &present);
        /* Over when the absent have joined: so who is here will be last. */
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "present", NULL));
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_join_async(trial->context, &last, NULL, &handle));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    EXPECT(trial, members_place(&present, last) >= 0, "rank %d was the last of %d to join",
           (int)last, present.n);
    same_everywhere(trial, &last, sizeof last, "the last rank to join");
    meet(trial, "after joining");
}

/* Each alone, all but one, and every other one. */
static void with_all_kinds_of_absence(struct trial *trial,
                                      void (*use)(struct trial *, const struct members *present))
{
    unsigned all = (1u << trial->size) - 1;
    for (int rank = 0; rank < trial->size && trial->size > 1; rank += trial->size > 4 ? 3 : 1) {
        while_absent(trial, 1u << rank, use);
        while_absent(trial, all & ~(1u << rank), use);
    }
    while_absent(trial, all & 0xaa, use);
    while_absent(trial, 0, use);
}

/* ---- reductions ------------------------------------------------------------------------------ */

struct job {
    struct sampling what;
    int32_t divide;
    uint64_t handle;
    unsigned char data[8 * 100];
};

enum { COUNT = 100, MOST_JOBS = 13 * 12 };

/* Every op of every dtype, averages of either divisor, and prescales of the sign that turns a
 * maximum's identity around. */
static size_t jobs_make(struct job *jobs)
{
    size_t n = 0;
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        int has_sign = is_float(dtype) || is_signed_integer(dtype);
        for (int32_t op = RONDE_SUM; op <= RONDE_BITWISE_OR; op++) {
            struct job job = {.what = {dtype, op, 1, 1}};
            if (op_suits(op, dtype))
                jobs[n++] = job;
            job.divide = RONDE_DIVIDE_SIZE;
            if (op == RONDE_AVERAGE && dtype != RONDE_BOOL)
                jobs[n++] = job;
            job.what.prescale = -1;
            job.divide = RONDE_DIVIDE_CONTRIBUTORS;
            if (has_sign && (op == RONDE_MIN || op == RONDE_MAX))
                jobs[n++] = job;
        }
    }
    return n;
}

static void every_op_ignores_who_is_absent(struct trial *trial, const struct members *present)
{
    struct job *jobs = calloc(MOST_JOBS, sizeof *jobs);
    size_t n = jobs_make(jobs), order[MOST_JOBS];
    uint64_t dice = (uint64_t)trial->rank + 1000 * (uint64_t)present->n;
    dice_order(&dice, order, n);
    for (size_t k = 0; k < n; k++) {
        struct job *job = &jobs[order[k]];
        char name[32];
        ronde_call call = call_in(0);
        call.prescale = job->what.prescale;
        call.divide = job->divide;
        snprintf(name, sizeof name, "job %zu", order[k]);
        sample_fill(job->data, &job->what, trial->rank, COUNT);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, job->data, job->data, COUNT,
                                            job->what.dtype, job->what.op, &call, &job->handle));
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char wanted[8 * COUNT];
        int divisor = jobs[i].divide == RONDE_DIVIDE_SIZE ? trial->size : present->n;
        size_t bytes = sample_results_of(wanted, &jobs[i].what, present, divisor, COUNT);
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, jobs[i].handle));
        EXPECT(trial, !memcmp(jobs[i].data, wanted, bytes),
               "%s of %s, prescale %g, divisor %d, of %d ranks is wrong",
               ronde_op_name(jobs[i].what.op), ronde_dtype_name(jobs[i].what.dtype),
               jobs[i].what.prescale, divisor, present->n);
    }
    free(jobs);
}

/* ---- the other kinds ------------------------------------------------------------------------- */

/* Rows of this rank, one row of 3 for each unit of its number and one more. */
static size_t rows_fill(int rank, int32_t *rows)
{
    size_t n = (size_t)rank + 1;
    for (size_t i = 0; i < 3 * n; i++)
        rows[i] = 1000 * rank + (int32_t)i;
    return n;
}

static void the_absent_give_no_rows(struct trial *trial, const struct members *present)
{
    int32_t mine[64], all[3 * 64], wanted[3 * 64], root = present->ranks[present->n - 1];
    size_t rows = rows_fill(trial->rank, mine), total = 0, by_rank[64], splits[64], came = 0;
    for (int i = 0; i < present->n; i++)
        total += rows_fill(present->ranks[i], wanted + 3 * total);
    for (int turn = 0; turn < 2; turn++) {
        memset(by_rank, 0xee, sizeof by_rank);
        EXPECT_STATUS(trial, RONDE_OK,
                      turn ? ronde_gather(trial->context, "rows", mine, rows, 3, RONDE_INT32, all,
                                          64, by_rank, root, NULL)
                           : ronde_allgather(trial->context, "rows", mine, rows, 3, RONDE_INT32,
                                             all, 64, by_rank, NULL));
        for (int rank = 0; rank < trial->size && (!turn || trial->rank == root); rank++)
            EXPECT(trial,
                   by_rank[rank] == (members_place(present, rank) < 0 ? 0 : (size_t)rank + 1),
                   "%zu rows of rank %d", by_rank[rank], rank);
        EXPECT(trial, (turn && trial->rank != root) || !memcmp(all, wanted, 12 * total),
               "turn %d: wrong rows of %d ranks", turn, present->n);
    }
    for (int rank = 0; rank < trial->size; rank++) /* a row to each; what the absent get is lost */
        splits[rank] = 1;
    for (int turn = 0; turn < 2; turn++) {
        for (int rank = 0; rank < trial->size; rank++)
            mine[rank] = 100 * trial->rank + rank;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_alltoall(trial->context, "to each", mine, turn ? splits : NULL,
                                     (size_t)trial->size, 1, RONDE_INT32, all, 64, by_rank, NULL));
        came = 0;
        for (int rank = 0; rank < trial->size; rank++) {
            int is_here = members_place(present, rank) >= 0;
            EXPECT(trial, by_rank[rank] == (size_t)is_here, "%zu rows came from rank %d",
                   by_rank[rank], rank);
            if (is_here)
                EXPECT(trial, all[came] == 100 * rank + trial->rank, "%d from rank %d",
                       (int)all[came], rank);
            came += (size_t)is_here;
        }
    }
}

static void who_is_here_reduces_and_spreads(struct trial *trial, const struct members *present)
{
    int32_t in[24], out[24], sum[24], root = present->ranks[present->n / 2];
    size_t share = ronde_share_rows(24, trial->size, trial->rank), first = 0, received = 0;
    for (int rank = 0; rank < trial->rank; rank++)
        first += ronde_share_rows(24, trial->size, rank);
    memset(sum, 0, sizeof sum);
    for (int i = 0; i < 24; i++) {
        in[i] = ranks_value(trial->rank, (size_t)i);
        for (int k = 0; k < present->n; k++)
            sum[i] += ranks_value(present->ranks[k], (size_t)i);
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter(trial->context, "spread", in, 24, 1, RONDE_INT32, RONDE_SUM,
                                      out, share, NULL));
    EXPECT(trial, !memcmp(out, sum + first, 4 * share), "a share of %d ranks is wrong", present->n);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce(trial->context, "spread", in, out, 24, RONDE_INT32, RONDE_SUM, root,
                               NULL));
    EXPECT(trial, trial->rank != root || !memcmp(out, sum, sizeof sum),
           "a sum of %d ranks at a root is wrong", present->n);
    memcpy(out, in, sizeof in);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, "spread", out, out, 24, RONDE_INT32, root, NULL));
    EXPECT(trial, out[5] == ranks_value(root, 5), "%d came from rank %d", (int)out[5], (int)root);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_scatter(trial->context, "spread", in, NULL, 24, 1, RONDE_INT32, out, 24,
                                &received, root, NULL));
    EXPECT(trial, received == share && (!share || out[0] == ranks_value(root, first)),
           "%zu rows came from rank %d", received, (int)root);
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "spread", NULL));
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* What needs a rank that has joined is an error for all who asked, and all else goes on. */
static void an_absent_root_is_an_error(struct trial *trial, const struct members *present)
{
    int32_t data[8] = {0}, out[64] = {0}, absent = 0;
    ronde_context *context = trial->context;
    while (members_place(present, absent) >= 0)
        absent++;
    if (absent == trial->size)
        return;
    const int32_t statuses[] = {
        ronde_broadcast(context, "lost", data, data, 8, RONDE_INT32, absent, NULL),
        ronde_reduce(context, "lost", data, out, 8, RONDE_INT32, RONDE_SUM, absent, NULL),
        ronde_gather(context, "lost", data, 1, 1, RONDE_INT32, out, 64, NULL, absent, NULL),
        ronde_scatter(context, "lost", data, NULL, 8, 1, RONDE_INT32, out, 64, NULL, absent, NULL),
        ronde_send(context, "lost", data, 1, RONDE_INT32, absent, NULL),
        ronde_recv(context, "lost", out, 1, RONDE_INT32, absent, NULL),
    };
    EXPECT_ERROR(trial, "lost", "join");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        EXPECT(trial, statuses[i] == RONDE_ERR_MISMATCH, "call %zu with an absent root: %s", i,
               ronde_status_name(statuses[i]));
    data[0] = 1;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(context, "lost", data, out, 8, RONDE_INT32, RONDE_SUM, NULL));
    EXPECT(trial, out[0] == present->n, "sum %d of %d ranks", (int)out[0], present->n);
}

/* Those who are here disagree: they learn it, and nobody else. */
static void who_is_here_may_disagree(struct trial *trial, const struct members *present)
{
    float data[60] = {0};
    size_t count = trial->rank == present->ranks[0] ? 43 : 57;
    if (present->n < 2)
        return;
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_allreduce(trial->context, "odd", data, data, count, RONDE_FLOAT32,
                                  RONDE_SUM, NULL));
    EXPECT_ERROR(trial, "odd", "43", "57");
}

static void who_has_joined_submits_nothing(struct trial *trial)
{
    int32_t data = 1, last = -7;
    uint64_t handle = 4711, joined = 0;
    int is_early = trial->rank != 0;
    if (is_early) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_join_async(trial->context, &last, NULL, &joined));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_allreduce_async(trial->context, "too late", &data, &data, 1,
                                            RONDE_INT32, RONDE_SUM, NULL, &handle));
        EXPECT_ERROR(trial, "join");
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_barrier(trial->context, "too late", NULL));
        EXPECT(trial, ronde_join_async(trial->context, &last, NULL, &handle) < 0 && handle == 4711,
               "joined twice");
        EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, joined));
    }
    meet_directly(trial);
    if (!is_early) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "present", NULL));
        EXPECT_STATUS(trial, RONDE_OK, ronde_join_async(trial->context, &last, NULL, &joined));
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, joined));
    EXPECT(trial, last == 0, "rank %d was last", (int)last);
    EXPECT_STATUS(trial, RONDE_OK, /* all may again */
                  ronde_allreduce(trial->context, "too late", &data, &data, 1, RONDE_INT32,
                                  RONDE_SUM, NULL));
    EXPECT(trial, data == trial->size, "sum %d", (int)data);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int steps_of(int rank, int size, int is_reversed)
{
    return 2 + 3 * (is_reversed ? size - 1 - rank : rank);
}

/* Every rank has another number of steps. A step's tensors are those of who has not run out. */
static void uneven_numbers_of_steps_end_together(struct trial *trial, int is_reversed)
{
    int steps = steps_of(trial->rank, trial->size, is_reversed);
    int32_t last = -7, wanted = is_reversed ? 0 : trial->size - 1;
    for (int step = 0; step < steps; step++) {
        int32_t data[3] = {trial->rank + step, 6 * (trial->rank + step), -trial->rank - 1};
        int32_t sums[3] = {0, 0, INT32_MIN}, n = 0;
        uint64_t handles[3];
        char name[16];
        for (int rank = 0; rank < trial->size; rank++)
            if (steps_of(rank, trial->size, is_reversed) > step) {
                n++;
                sums[0] += rank + step;
                sums[1] += 6 * (rank + step);
                sums[2] = sums[2] > -rank - 1 ? sums[2] : -rank - 1;
            }
        sums[1] /= n;
        for (int k = 0; k < 3; k++) {
            int i = (k + trial->rank + step) % 3;
            const int32_t ops[] = {RONDE_SUM, RONDE_AVERAGE, RONDE_MAX};
            snprintf(name, sizeof name, "step %d", i);
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, name, &data[i], &data[i], 1,
                                                RONDE_INT32, ops[i], NULL, &handles[i]));
        }
        for (int i = 0; i < 3; i++) {
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
            EXPECT(trial, data[i] == sums[i], "step %d of %d: tensor %d is %d, not %d", step, steps,
                   i, (int)data[i], (int)sums[i]);
        }
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
    EXPECT(trial, last == wanted, "rank %d was last, not %d", (int)last, (int)wanted);
    meet(trial, "after the steps");
}

/* ---- what was submitted before --------------------------------------------------------------- */

static uint64_t submit(struct trial *trial, const char *name, int32_t *data, uint64_t group)
{
    ronde_call call = call_in(0);
    uint64_t handle = 0;
    call.group = group;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, name, data, data, 1, RONDE_INT32, RONDE_SUM,
                                        &call, &handle));
    return handle;
}

/* Rank 0 submits a tensor and a group, and joins; they take part when the others come to them. The
 * next of that name have nothing of rank 0. */
static void what_was_submitted_before_takes_part(struct trial *trial)
{
    int32_t data[3], last = -7, is_early = trial->rank == 0;
    uint64_t handles[3], joined = 0;
    for (int round = 0; round < 2; round++) {
        uint64_t group = 0;
        if (is_early && round)
            break;
        for (int i = 0; i < 3; i++)
            data[i] = trial->rank + 1 + i;
        if (!is_early && round == 0)
            meet_directly(trial); /* rank 0 has joined */
        handles[0] = submit(trial, "earlier", &data[0], 0);
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_begin(trial->context, &group));
        handles[1] = submit(trial, "in a group", &data[1], group);
        handles[2] = submit(trial, "in it too", &data[2], group);
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
        if (is_early) {
            EXPECT_STATUS(trial, RONDE_OK, ronde_join_async(trial->context, &last, NULL, &joined));
            meet_directly(trial);
        }
        for (int i = 0; i < 3; i++) {
            int32_t n = trial->size - round, sum = trial->size * (trial->size + 1) / 2 - round;
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
            EXPECT(trial, data[i] == sum + n * i, "round %d: tensor %d is %d", round, i,
                   (int)data[i]);
        }
    }
    if (!is_early)
        EXPECT_STATUS(trial, RONDE_OK, ronde_join_async(trial->context, &last, NULL, &joined));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, joined));
    EXPECT(trial, trial->size == 1 || last != 0, "rank 0 was last");
    meet(trial, "after earlier ones");
}

/* Without anything between, many times, in turn with tensors. */
static void joining_again_and_again_works(struct trial *trial)
{
    for (int i = 0; i < 10; i++)
        while_absent(trial, 0, NULL);
    for (int i = 0; i < 20; i++) {
        int32_t last = -7;
        EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, i % 2 ? &last : NULL, NULL));
        EXPECT(trial, i % 2 == 0 || (last >= 0 && last < trial->size), "rank %d was last",
               (int)last);
    }
}

/* Rank r does r unnamed steps before it joins, so all have drawn different numbers by then. */
static void unnamed_operations_meet_again_after_a_join(struct trial *trial)
{
    int32_t data[2], back = 0;
    size_t rows[64];
    int next = (trial->rank + 1) % trial->size,
        before = (trial->rank + trial->size - 1) % trial->size;
    for (int step = 0; step < trial->rank; step++) {
        data[0] = data[1] = 1;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, NULL, data, data, 2, RONDE_INT32, RONDE_SUM,
                                      NULL));
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, NULL, NULL));
    for (int32_t round = 0; round < 2; round++) {
        int32_t mine = trial->rank + round, all[64];
        uint64_t sent, received;
        data[0] = data[1] = mine;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, NULL, data, data, 2, RONDE_INT32, RONDE_SUM,
                                      NULL));
        EXPECT(trial, data[0] == trial->size * (trial->size - 1) / 2 + round * trial->size,
               "the sum is %d", (int)data[0]);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allgather(trial->context, NULL, &mine, 1, 1, RONDE_INT32, all, 64, rows,
                                      NULL));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_send_async(trial->context, NULL, &mine, 1, RONDE_INT32, next, NULL,
                                       &sent));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_recv_async(trial->context, NULL, &back, 1, RONDE_INT32, before, NULL,
                                       &received));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, sent));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, received));
        EXPECT(trial, back == before + round, "%d came from rank %d", (int)back, before);
    }
}

static void a_join_has_no_deadline(struct trial *trial)
{
    ronde_call call = call_in(0);
    call.deadline = 1;
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_join(trial->context, NULL, &call));
    EXPECT(trial, strstr(ronde_last_error(), "a join has no deadline"), "\"%s\"",
           ronde_last_error());
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    for (int i = 0; i < 2; i++) { /* the second time names are cached */
        with_all_kinds_of_absence(&trial, every_op_ignores_who_is_absent);
        with_all_kinds_of_absence(&trial, the_absent_give_no_rows);
        with_all_kinds_of_absence(&trial, who_is_here_reduces_and_spreads);
        with_all_kinds_of_absence(&trial, an_absent_root_is_an_error);
        with_all_kinds_of_absence(&trial, who_is_here_may_disagree);
    }
    who_has_joined_submits_nothing(&trial);
    uneven_numbers_of_steps_end_together(&trial, 0);
    uneven_numbers_of_steps_end_together(&trial, 1);
    what_was_submitted_before_takes_part(&trial);
    joining_again_and_again_works(&trial);
    unnamed_operations_meet_again_after_a_join(&trial);
    a_join_has_no_deadline(&trial);
    return trial_end(&trial);
}
