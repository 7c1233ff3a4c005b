/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: np=4/2 threads=4/2,3/2 settings=wire_buffer_bytes=64K timeout=60 */
/* Reduce: every dtype, op and root. The root alone gets the result, whose bits an allreduce has. */
#include "samples.h"
#include "trial.h"

/* One reduce and its memory. */
struct job {
    struct sampling what;
    size_t count;
    int32_t root;
    int in_place, in_arena, is_null; /* is_null: off the root, out is NULL */
    struct memory in, out;
    uint64_t handle;
};

static void job_open(struct trial *trial, struct job *job)
{
    size_t element = ronde_dtype_bytes(job->what.dtype), bytes = job->count * element;
    memory_open(trial, &job->in, bytes, element, job->in_arena, 1);
    memory_open(trial, &job->out, job->in_place ? 0 : bytes, 3 * element, job->in_arena, 1);
    sample_fill(job->in.data, &job->what, trial->rank, job->count);
    job->handle = 0;
}

static void job_submit(struct trial *trial, struct job *job, const char *name)
{
    ronde_call call = call_in(0);
    void *out = job->in_place ? job->in.data : job->out.data;
    call.prescale = job->what.prescale;
    call.postscale = job->what.postscale;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce_async(trial->context, name, job->in.data,
                                     job->is_null && trial->rank != job->root ? NULL : out,
                                     job->count, job->what.dtype, job->what.op, job->root, &call,
                                     &job->handle));
}

/* The root has the result; elsewhere nothing was written at all. */
static void job_check(struct trial *trial, const struct job *job)
{
    unsigned char period[8 * SAMPLE_PERIOD];
    size_t element = ronde_dtype_bytes(job->what.dtype), wrong = 0;
    size_t bytes = sample_results(period, &job->what, trial->size, job->count);
    unsigned char *before = malloc(job->count * element + 1);
    sample_fill(before, &job->what, trial->rank, job->count);
    if (trial->rank == job->root)
        wrong = first_difference(job->in_place ? job->in.data : job->out.data, job->count, element,
                                 period, bytes);
    EXPECT(trial, trial->rank != job->root || wrong == job->count,
           "%s of %zu %s to %d%s, scales %g %g: element %zu is wrong", ronde_op_name(job->what.op),
           job->count, ronde_dtype_name(job->what.dtype), (int)job->root,
           job->in_place ? " in place" : "", job->what.prescale, job->what.postscale, wrong);
    EXPECT(trial,
           (trial->rank == job->root && job->in_place) ||
               !memcmp(before, job->in.data, job->count * element),
           "%s of %zu %s to %d%s: the input was changed", ronde_op_name(job->what.op), job->count,
           ronde_dtype_name(job->what.dtype), (int)job->root, job->in_place ? " in place" : "");
    for (size_t i = 0; i < job->out.bytes && trial->rank != job->root; i++)
        EXPECT(trial, job->out.data[i] == job->out.guard, "byte %zu was written off the root", i);
    free(before);
}

enum { MOST_JOBS = 32 };

/* All at once, submitted in an order of this rank's own. */
static void jobs_run(struct trial *trial, struct job *jobs, size_t n)
{
    char name[32];
    size_t order[MOST_JOBS];
    uint64_t dice = (uint64_t)trial->rank * 57 + n + (uint64_t)jobs[0].what.op;
    dice_order(&dice, order, n);
    for (size_t i = 0; i < n; i++)
        job_open(trial, &jobs[i]);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "reduced %zu", order[i]);
        job_submit(trial, &jobs[order[i]], name);
    }
    for (size_t i = 0; i < n; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, jobs[i].handle));
        job_check(trial, &jobs[i]);
        memory_close(trial, &jobs[i].in);
        memory_close(trial, &jobs[i].out);
    }
}

static void every_dtype_and_op_is_right_at_every_root(struct trial *trial)
{
    size_t p = (size_t)trial->size;
    const size_t counts[] = {0, 1, p - 1, p + 1, 1009};
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_BITWISE_OR; op++) {
            struct job jobs[MOST_JOBS];
            size_t n = 5 + p;
            for (size_t i = 0; i < n && op_suits(op, dtype); i++) {
                struct job job = {.what = {dtype, op, 1, 1},
                                  .count = i < 5 ? counts[i] : 10 + i,
                                  .root = (int32_t)((i + (size_t)op) % p),
                                  .in_place = (int)(i + (size_t)dtype) % 2,
                                  .in_arena = (int)i % 3 == 1,
                                  .is_null = (int)i / 2 % 2};
                jobs[i] = job;
            }
            if (op_suits(op, dtype))
                jobs_run(trial, jobs, n);
        }
    }
}

static void several_megabytes_are_right(struct trial *trial)
{
    static const struct sampling what[] = {{RONDE_FLOAT32, RONDE_SUM, 1, 1},
                                           {RONDE_FLOAT16, RONDE_AVERAGE, 1, 1},
                                           {RONDE_INT8, RONDE_SUM, 1, 1}};
    for (int i = 0; i < 6; i++) {
        struct job job = {.what = what[i / 2],
                          .count = 1000003,
                          .root = i % 2 ? trial->size - 1 : 0,
                          .in_place = i == 2 || i == 5,
                          .in_arena = i % 3 == 0,
                          .is_null = i % 2};
        jobs_run(trial, &job, 1);
    }
}

static void scales_are_applied_before_and_after(struct trial *trial)
{
    for (int32_t dtype = RONDE_UINT8; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_MAX; op++) {
            double before = is_float(dtype) ? 0.5 : 2, after = is_float(dtype) ? 4 : 2;
            struct job job = {.what = {dtype, op, before, after},
                              .count = 257,
                              .root = op % trial->size};
            jobs_run(trial, &job, 1);
        }
    }
}

/* Sums that round, at a root of each rank in turn. */
static void the_bits_are_those_of_an_allreduce(struct trial *trial)
{
    static const int32_t ops[] = {RONDE_SUM, RONDE_AVERAGE, RONDE_PRODUCT};
    static const size_t counts[] = {1, 65, 5003, 200003};
    for (int i = 0; i < 12; i++) {
        int32_t dtype = RONDE_FLOAT16 + i % 4, op = ops[i / 4], root = i % trial->size;
        size_t count = counts[(i + i / 4) % 4], bytes = count * ronde_dtype_bytes(dtype);
        unsigned char *in = malloc(bytes), *all = malloc(bytes), *alone = malloc(bytes);
        ronde_call call = call_in(0);
        call.postscale = i % 5 == 2 ? 0.7 : 1;
        rough_fill(in, dtype, trial->rank, (uint64_t)i, count);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, "to all", in, all, count, dtype, op, &call));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_reduce(trial->context, "to one", in, alone, count, dtype, op, root,
                                   &call));
        EXPECT(trial, trial->rank != root || !memcmp(all, alone, bytes),
               "%zu %s, %s, root %d: other bits than an allreduce", count, ronde_dtype_name(dtype),
               ronde_op_name(op), (int)root);
        free(in);
        free(all);
        free(alone);
    }
}

static void the_root_may_change_under_one_name(struct trial *trial)
{
    for (int i = 0; i < 3 * trial->size; i++) {
        struct job job = {.what = {RONDE_INT32, RONDE_SUM, 1, 1},
                          .count = 100,
                          .root = i / 2 % trial->size,
                          .is_null = 1};
        job_open(trial, &job);
        job_submit(trial, &job, "turns");
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, job.handle));
        job_check(trial, &job);
        memory_close(trial, &job.in);
        memory_close(trial, &job.out);
    }
}

/* One rank means another root, op or count: all learn it, and both values. */
static void disagreement_is_an_error_on_every_rank(struct trial *trial)
{
    int32_t in[64] = {0}, out[64] = {0};
    int is_odd = trial->rank == trial->size - 1;
    if (trial->size == 1)
        return;
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_reduce(trial->context, "odd", in, out, 43, RONDE_INT32, RONDE_SUM, is_odd,
                               NULL));
    EXPECT_ERROR(trial, "odd", "rank", "0", "1");
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_reduce(trial->context, "odd", in, out, is_odd ? 43 : 57, RONDE_INT32,
                               RONDE_SUM, 0, NULL));
    EXPECT_ERROR(trial, "odd", "43", "57");
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_reduce(trial->context, "odd", in, out, 43, RONDE_INT32,
                               is_odd ? RONDE_BITWISE_AND : RONDE_LOGICAL_AND, 0, NULL));
    EXPECT_ERROR(trial, "odd", ronde_op_name(RONDE_BITWISE_AND), ronde_op_name(RONDE_LOGICAL_AND));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce(trial->context, "odd", in, out, 43, RONDE_INT32, RONDE_SUM, 0,
                               NULL));
    EXPECT(trial, out[0] == 0 && out[63] == 0, "nothing but zeros was summed");
}

/* One rank errs alone, and nobody else notices. */
static void what_one_rank_does_wrong_fails_there(struct trial *trial)
{
    const int32_t roots[] = {-1, trial->size, INT32_MAX, INT32_MIN};
    double in[8] = {0}, out[8];
    uint64_t handle = 4711;
    ronde_context *context = trial->context;
    if (trial->rank == trial->size - 1) {
        for (int i = 0; i < 4; i++)
            EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                          ronde_reduce_async(context, "wrong", in, out, 4, RONDE_FLOAT64, RONDE_SUM,
                                             roots[i], NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* the root needs memory */
                      ronde_reduce_async(context, "wrong", in, NULL, 4, RONDE_FLOAT64, RONDE_SUM,
                                         trial->rank, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_reduce_async(context, "wrong", NULL, out, 4, RONDE_FLOAT64, RONDE_SUM,
                                         0, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_reduce_async(context, "wrong", in, out, 4, RONDE_FLOAT64,
                                         RONDE_LOGICAL_OR, 0, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_reduce_async(context, "wrong", in, in + 1, 4, RONDE_FLOAT64, RONDE_SUM,
                                         trial->rank, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                      ronde_reduce_async(context, "wrong", in, out, SIZE_MAX / 4, RONDE_FLOAT64,
                                         RONDE_SUM, 0, NULL, &handle));
        EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after errors of one rank");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_and_op_is_right_at_every_root(&trial);
    several_megabytes_are_right(&trial);
    scales_are_applied_before_and_after(&trial);
    the_bits_are_those_of_an_allreduce(&trial);
    the_root_may_change_under_one_name(&trial);
    disagreement_is_an_error_on_every_rank(&trial);
    what_one_rank_does_wrong_fails_there(&trial);
    return trial_end(&trial);
}
