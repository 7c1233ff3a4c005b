/* ronde-test: np=1,2,3,4,5,7,8 np=4/2,3/2,5/2,8/2 threads=1/1,2/2,3/3,4/2,5/2 mpich=2
 * hosts=2/1,4/2 timeout=60 */
/* ronde-test: np=3 threads=4/4,5/2 settings=slots=2;slice_bytes=4K */
/* ronde-test: threads=5/2 settings=wire_buffer_bytes=64K */
/* ronde-test: threads=4/2 settings=simd=portable */
/* Allreduce: every dtype, op and edge of the count, wherever the memory lies. */
#include "samples.h"
#include "trial.h"

enum where { PRIVATE, ARENA, MIXED, PLACES }; /* MIXED: arena on every other rank */

/* One allreduce and its memory. */
struct job {
    struct sampling what;
    size_t count;
    int in_place, where, may_fall_back;
    struct memory in, out;
    uint64_t handle;
};

static void job_open(struct trial *trial, struct job *job)
{
    size_t element = ronde_dtype_bytes(job->what.dtype), bytes = job->count * element;
    int in_arena = job->where == ARENA || (job->where == MIXED && trial->rank % 2);
    /* One and three elements past an aligned address: nothing may assume more than the dtype's. */
    memory_open(trial, &job->out, bytes, 3 * element, in_arena, job->may_fall_back);
    if (!job->in_place) {
        memory_open(trial, &job->in, bytes, element, in_arena, job->may_fall_back);
        sample_fill(job->in.data, &job->what, trial->rank, job->count);
    } else {
        sample_fill(job->out.data, &job->what, trial->rank, job->count);
    }
    job->handle = 0;
}

static const void *job_in(const struct job *job)
{
    return job->in_place ? job->out.data : job->in.data;
}

static const ronde_call *job_call(const struct job *job, ronde_call *call)
{
    if (job->what.prescale == 1 && job->what.postscale == 1)
        return NULL;
    ronde_call_init(call, sizeof *call);
    call->prescale = job->what.prescale;
    call->postscale = job->what.postscale;
    return call;
}

static void job_submit(struct trial *trial, struct job *job, const char *name)
{
    ronde_call call;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, name, job_in(job), job->out.data,
                                        job->count, job->what.dtype, job->what.op,
                                        job_call(job, &call), &job->handle));
}

static void job_run_direct(struct trial *trial, struct job *job)
{
    ronde_call call;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allreduce(trial->context, job_in(job), job->out.data, job->count,
                                         job->what.dtype, job->what.op, job_call(job, &call)));
}

/* The result is right, what was only read is as it was, and nothing else was touched. */
static void job_check(struct trial *trial, struct job *job, const char *way)
{
    unsigned char period[8 * SAMPLE_PERIOD];
    size_t element = ronde_dtype_bytes(job->what.dtype);
    size_t bytes = sample_results(period, &job->what, trial->size, job->count);
    size_t wrong = first_difference(job->out.data, job->count, element, period, bytes);
    EXPECT(trial, wrong == job->count,
           "%s %s of %zu %s%s, memory %d, scales %g %g: element %zu is wrong", way,
           ronde_op_name(job->what.op), job->count, ronde_dtype_name(job->what.dtype),
           job->in_place ? " in place" : "", job->where, job->what.prescale, job->what.postscale,
           wrong);
    if (job->in_place)
        return;
    struct sampling one_rank = job->what;
    for (size_t i = 0; i < SAMPLE_PERIOD && i < job->count; i++) {
        if (is_float(one_rank.dtype))
            store_float(period, one_rank.dtype, i, float_sample(&one_rank, trial->rank, i));
        else
            store_integer(period, one_rank.dtype, i, integer_sample(&one_rank, trial->rank, i));
    }
    EXPECT(trial, first_difference(job->in.data, job->count, element, period, bytes) == job->count,
           "%s %s of %zu %s: the input was changed", way, ronde_op_name(job->what.op), job->count,
           ronde_dtype_name(job->what.dtype));
}

static void job_close(struct trial *trial, struct job *job)
{
    memory_close(trial, &job->out);
    if (!job->in_place)
        memory_close(trial, &job->in);
}

/* Runs jobs[0..n), all at once with names or without, or one after the other directly. */
static void jobs_run(struct trial *trial, struct job *jobs, size_t n, int direct)
{
    char name[64];
    for (size_t i = 0; i < n; i++)
        job_open(trial, &jobs[i]);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "job %zu", i);
        if (direct)
            job_run_direct(trial, &jobs[i]);
        else
            job_submit(trial, &jobs[i], i % 3 ? name : NULL);
    }
    for (size_t i = 0; i < n; i++) {
        if (!direct)
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, jobs[i].handle));
        job_check(trial, &jobs[i], direct ? "direct" : "named");
        job_close(trial, &jobs[i]);
    }
}

enum { MOST_JOBS = 16 };

/* counts[0..n) in place and out of place, named and then directly. */
static void counts_run(struct trial *trial, const struct sampling *what, const size_t *counts,
                       size_t n, int where, int may_fall_back)
{
    for (int direct = 0; direct < 2; direct++) {
        struct job jobs[MOST_JOBS];
        for (size_t i = 0; i < 2 * n; i++) {
            struct job job = {.what = *what,
                              .count = counts[i / 2],
                              .in_place = (int)(i % 2),
                              .where = where,
                              .may_fall_back = may_fall_back};
            jobs[i] = job;
        }
        jobs_run(trial, jobs, 2 * n, direct);
    }
}

static void every_dtype_and_op_is_right_at_small_counts(struct trial *trial)
{
    size_t p = (size_t)trial->size;
    const size_t counts[] = {0, 1, p - 1, p, p + 1, 1009};
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_PRODUCT; op++) {
            struct sampling what = {dtype, op, 1, 1};
            counts_run(trial, &what, counts, 6, (dtype + op) % PLACES, 0);
        }
    }
}

static void every_kind_of_memory_is_right(struct trial *trial)
{
    static const struct sampling what[] = {{RONDE_FLOAT32, RONDE_SUM, 1, 1},
                                           {RONDE_BFLOAT16, RONDE_AVERAGE, 1, 1},
                                           {RONDE_INT8, RONDE_SUM, 1, 1}};
    const size_t counts[] = {1, 3001, 40009};
    for (size_t i = 0; i < 3; i++)
        for (int where = PRIVATE; where < PLACES; where++)
            counts_run(trial, &what[i], counts, 3, where, 0);
}

/* A slice is 128 KiB by default: of the dtype, and of float32 where halves are accumulated. */
static void counts_around_a_slice_are_right(struct trial *trial)
{
    static const struct sampling what[] = {{RONDE_FLOAT32, RONDE_SUM, 1, 1},
                                           {RONDE_FLOAT16, RONDE_AVERAGE, 1, 1},
                                           {RONDE_INT8, RONDE_SUM, 1, 1},
                                           {RONDE_FLOAT64, RONDE_MAX, 1, 1},
                                           {RONDE_UINT16, RONDE_PRODUCT, 1, 1}};
    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        size_t slice = (128 << 10) / ronde_dtype_bytes(what[i].dtype);
        const size_t counts[] = {slice - 1, slice, slice + 1, 2 * slice + 3,
                                 slice * (size_t)trial->size + 1};
        counts_run(trial, &what[i], counts, 5, (int)i % PLACES, 0);
    }
}

static void millions_of_elements_are_right(struct trial *trial)
{
    static const struct sampling what[] = {{RONDE_FLOAT32, RONDE_SUM, 1, 1},
                                           {RONDE_FLOAT16, RONDE_AVERAGE, 1, 1},
                                           {RONDE_INT8, RONDE_SUM, 1, 1}};
    for (int i = 0; i < 6; i++) {
        struct job job = {.what = what[i / 2],
                          .count = 5000003,
                          .in_place = i % 2,
                          .where = (i + i / 2) % PLACES,
                          .may_fall_back = 1};
        jobs_run(trial, &job, 1, i == 2 || i == 3);
    }
}

static void scales_are_applied_before_and_after(struct trial *trial)
{
    const size_t counts[] = {1, 257, 4099};
    for (int32_t dtype = RONDE_UINT8; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_PRODUCT; op++) {
            struct sampling integers = {dtype, op, 2, 2}, floats = {dtype, op, 0.5, 4};
            struct sampling only_before = floats, only_after = floats;
            if (!is_float(dtype) && op != RONDE_PRODUCT)
                counts_run(trial, &integers, counts, 2, op % PLACES, 0);
            if (!is_float(dtype))
                continue;
            only_before.postscale = only_after.prescale = 1;
            counts_run(trial, &floats, counts, 3, op % PLACES, 0);
            counts_run(trial, &only_before, counts, 1, PRIVATE, 0);
            counts_run(trial, &only_after, counts, 1, ARENA, 0);
        }
    }
}

/* Scales that no binary fraction holds: near what real numbers give. */
static void scales_that_round_are_near(struct trial *trial)
{
    enum { COUNT = 1000 };
    unsigned char in[8 * COUNT], out[8 * COUNT];
    static const double error[] = {1e-3, 8e-3, 1e-6, 1e-14};
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.prescale = 0.1;
    call.postscale = 3.7;
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        struct sampling what = {dtype, RONDE_MAX, 1, 1}; /* one operand: one rounding */
        int wrong = 0;
        sample_fill(in, &what, trial->rank, COUNT);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, "rounding scales", in, out, COUNT, dtype,
                                      RONDE_MAX, &call));
        for (size_t i = 0; i < COUNT; i++) {
            double wanted = float_result(&what, trial->size, i) * 0.1 * 3.7;
            wrong += !(fabs(float_value(out, dtype, i) - wanted) <=
                       fabs(wanted) * 2 * error[dtype - RONDE_FLOAT16]);
        }
        EXPECT(trial, !wrong, "%d of %d %s are far off", wrong, (int)COUNT,
               ronde_dtype_name(dtype));
    }
}

/* A prescale is computed in double and converted as C converts: towards zero. */
static void integer_scales_truncate_towards_zero(struct trial *trial)
{
    int32_t in[] = {-7, -3, -1, 0, 1, 3, 7, 101}, out[8];
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.prescale = 0.5;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "halved", in, out, 8, RONDE_INT32, RONDE_SUM,
                                  &call));
    for (int i = 0; i < 8; i++)
        EXPECT(trial, out[i] == in[i] / 2 * trial->size, "%d x 0.5 summed to %d", (int)in[i],
               (int)out[i]);
}

static void integer_average_truncates_towards_zero(struct trial *trial)
{
    int8_t in[256], out[256];
    for (int i = 0; i < 256; i++) /* rank 0 has one more: sums p k + 1 and so on */
        in[i] = (int8_t)(i % 31 - 15 + (trial->rank == 0 ? i % 2 ? 1 : -1 : 0));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, NULL, in, out, 256, RONDE_INT8, RONDE_AVERAGE,
                                  NULL));
    for (int i = 0; i < 256; i++) {
        int sum = (i % 31 - 15) * trial->size + (i % 2 ? 1 : -1);
        EXPECT(trial, out[i] == sum / trial->size, "%d / %d gave %d", sum, trial->size, out[i]);
    }
}

/* At index i the rank i modulo p + 3 has the special value; for three indices nobody. */
static void specials_run(struct trial *trial, int32_t dtype, int32_t op, double special)
{
    enum { COUNT = 700 };
    unsigned char in[8 * COUNT], out[8 * COUNT];
    struct sampling what = {dtype, op, 1, 1};
    sample_fill(in, &what, trial->rank, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        if (i % (size_t)(trial->size + 3) == (size_t)trial->rank)
            store_float(in, dtype, i, special);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "special", in, out, COUNT, dtype, op, NULL));
    for (size_t i = 0; i < COUNT; i++) {
        int holds = i % (size_t)(trial->size + 3) < (size_t)trial->size;
        double value = float_value(out, dtype, i), plain = float_result(&what, trial->size, i);
        unsigned char stored[8];
        store_float(stored, dtype, 0, plain);
        plain = float_value(stored, dtype, 0);
        EXPECT(trial,
               !holds           ? value == plain
               : isnan(special) ? isnan(value)
                                : value == special,
               "%s %s with %g: element %zu is %g", ronde_dtype_name(dtype), ronde_op_name(op),
               special, i, value);
    }
}

static void nan_and_infinity_propagate(struct trial *trial)
{
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_PRODUCT; op++)
            specials_run(trial, dtype, op, (double)NAN);
        specials_run(trial, dtype, RONDE_SUM, (double)INFINITY);
        specials_run(trial, dtype, RONDE_AVERAGE, -(double)INFINITY);
        specials_run(trial, dtype, RONDE_MIN, -(double)INFINITY);
        specials_run(trial, dtype, RONDE_MAX, (double)INFINITY);
    }
}

static void nothing_may_be_null(struct trial *trial)
{
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "nothing", NULL, NULL, 0, RONDE_INT32, RONDE_SUM,
                                  NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allreduce(trial->context, NULL, NULL, 0, RONDE_BOOL, RONDE_MIN,
                                         NULL));
}

static void a_shape_that_multiplies_to_the_count_is_fine(struct trial *trial)
{
    const size_t shape[] = {2, 3, 5}, empty[] = {4, 0, 7};
    int32_t data[30];
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.shape = shape;
    call.dimensions = 3;
    for (int i = 0; i < 30; i++)
        data[i] = i + trial->rank;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "shaped", data, data, 30, RONDE_INT32, RONDE_MAX,
                                  &call));
    for (int i = 0; i < 30; i++)
        EXPECT(trial, data[i] == i + trial->size - 1, "element %d is %d", i, (int)data[i]);
    call.shape = empty;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "empty", NULL, NULL, 0, RONDE_INT32, RONDE_MAX,
                                  &call));
    call.dimensions = 0; /* a scalar: no dimension, one element */
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "scalar", data, data, 1, RONDE_INT32, RONDE_MAX,
                                  &call));
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_and_op_is_right_at_small_counts(&trial);
    every_kind_of_memory_is_right(&trial);
    counts_around_a_slice_are_right(&trial);
    scales_are_applied_before_and_after(&trial);
    scales_that_round_are_near(&trial);
    integer_scales_truncate_towards_zero(&trial);
    integer_average_truncates_towards_zero(&trial);
    nan_and_infinity_propagate(&trial);
    nothing_may_be_null(&trial);
    a_shape_that_multiplies_to_the_count_is_fine(&trial);
    millions_of_elements_are_right(&trial);
    return trial_end(&trial);
}
