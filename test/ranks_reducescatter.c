/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: np=4/2 threads=4/2,3/2 settings=wire_buffer_bytes=64K timeout=60 */
/* Reduce-scatter: every dtype and op, rows that do and do not divide, into the caller's memory, in
 * place and into memory that the library makes; the bits are those of an allreduce. */
#include "samples.h"
#include "trial.h"

enum way { APART, IN_PLACE, TAKEN, WAYS };

/* One reduce-scatter and its memory. */
struct job {
    struct sampling what;
    size_t rows, row_count;
    enum way way;
    int in_arena;
    size_t spare_rows; /* of room beyond the share */
    /* What follows is computed from it. */
    size_t element, share, first; /* rows of this rank, and rows before them */
    struct memory in, out;
    uint64_t handle;
};

static void job_open(struct trial *trial, struct job *job)
{
    job->element = ronde_dtype_bytes(job->what.dtype);
    job->share = ronde_share_rows(job->rows, trial->size, trial->rank);
    job->first = 0;
    for (int rank = 0; rank < trial->rank; rank++)
        job->first += ronde_share_rows(job->rows, trial->size, rank);
    size_t row_bytes = job->row_count * job->element;
    size_t room = job->way == APART ? (job->share + job->spare_rows) * row_bytes : 0;
    memory_open(trial, &job->in, job->rows * row_bytes, job->element, job->in_arena, 1);
    memory_open(trial, &job->out, room, 3 * job->element, job->in_arena, 1);
    sample_fill(job->in.data, &job->what, trial->rank, job->rows * job->row_count);
    job->handle = 0;
}

static void job_submit(struct trial *trial, struct job *job, const char *name)
{
    ronde_call call = call_in(0);
    void *out = job->way == IN_PLACE ? job->in.data : job->way == TAKEN ? NULL : job->out.data;
    size_t room = job->way == IN_PLACE ? job->rows : job->share + job->spare_rows;
    call.prescale = job->what.prescale;
    call.postscale = job->what.postscale;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter_async(trial->context, name, job->in.data, job->rows,
                                            job->row_count, job->what.dtype, job->what.op, out,
                                            job->way == TAKEN ? 0 : room, &call, &job->handle));
}

/* `data` holds this rank's share. */
static void job_compare(struct trial *trial, const struct job *job, const unsigned char *data)
{
    unsigned char period[8 * SAMPLE_PERIOD];
    size_t count = job->share * job->row_count, wrong = 0;
    size_t bytes = sample_results(period, &job->what, trial->size, job->rows * job->row_count);
    if (count && data)
        wrong = first_difference_from(data, job->first * job->row_count, count, job->element,
                                      period, bytes);
    EXPECT(trial, wrong == count, "%s of %zu x %zu %s, way %d, scales %g %g: element %zu is wrong",
           ronde_op_name(job->what.op), job->rows, job->row_count,
           ronde_dtype_name(job->what.dtype), (int)job->way, job->what.prescale,
           job->what.postscale, wrong);
}

/* What was only read is as it was, and so is room that was not needed. */
static void job_looks_untouched(struct trial *trial, const struct job *job)
{
    size_t count = job->rows * job->row_count, share_bytes = job->share * job->row_count;
    unsigned char *before = malloc(count * job->element + 1);
    sample_fill(before, &job->what, trial->rank, count);
    EXPECT(trial, job->way == IN_PLACE || !memcmp(before, job->in.data, count * job->element),
           "%s of %zu %s: the input was changed", ronde_op_name(job->what.op), count,
           ronde_dtype_name(job->what.dtype));
    for (size_t i = share_bytes * job->element; i < job->out.bytes; i++)
        EXPECT(trial, job->out.data[i] == job->out.guard, "spare room was written at byte %zu", i);
    free(before);
}

static void job_close(struct trial *trial, struct job *job)
{
    void *taken = NULL;
    if (job->way == TAKEN)
        taken = taken_rows(trial, job->handle, job->share);
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, job->handle));
    job_compare(trial, job,
                job->way == TAKEN      ? taken
                : job->way == IN_PLACE ? job->in.data
                                       : job->out.data);
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, taken));
    job_looks_untouched(trial, job);
    memory_close(trial, &job->in);
    memory_close(trial, &job->out);
}

enum { MOST_JOBS = 16 };

/* All at once, submitted in an order of this rank's own. */
static void jobs_run(struct trial *trial, struct job *jobs, size_t n)
{
    char name[32];
    size_t order[MOST_JOBS];
    uint64_t dice = (uint64_t)trial->rank * 31 + n + jobs[0].rows;
    dice_order(&dice, order, n);
    for (size_t i = 0; i < n; i++)
        job_open(trial, &jobs[i]);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "part %zu", order[i]);
        job_submit(trial, &jobs[order[i]], name);
    }
    for (size_t i = 0; i < n; i++)
        job_close(trial, &jobs[i]);
}

static void every_dtype_and_op_is_right_however_the_rows_divide(struct trial *trial)
{
    size_t p = (size_t)trial->size;
    const size_t rows[] = {0, 1, p - 1, p, p + 1, 2 * p + 3, 41, 5 * p};
    enum { N = sizeof rows / sizeof *rows };
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_BITWISE_OR; op++) {
            struct job jobs[N];
            for (int i = 0; i < N && op_suits(op, dtype); i++) {
                struct job job = {.what = {dtype, op, 1, 1},
                                  .rows = rows[i],
                                  .row_count = i % 2 ? 7 : 1,
                                  .way = (enum way)((i + dtype + op) % WAYS),
                                  .in_arena = (i + op) % 3 == 0,
                                  .spare_rows = i % 4 == 3 ? 2 : 0};
                jobs[i] = job;
            }
            if (op_suits(op, dtype))
                jobs_run(trial, jobs, N);
        }
    }
}

static void rows_without_elements_are_still_rows(struct trial *trial)
{
    struct job jobs[WAYS];
    for (int way = APART; way < WAYS; way++) {
        struct job job = {.what = {RONDE_INT32, RONDE_SUM, 1, 1}, .rows = 11, .way = (enum way)way};
        jobs[way] = job;
    }
    jobs_run(trial, jobs, WAYS);
}

static void several_megabytes_are_right(struct trial *trial)
{
    static const struct sampling what[] = {{RONDE_FLOAT32, RONDE_SUM, 1, 1},
                                           {RONDE_BFLOAT16, RONDE_AVERAGE, 1, 1},
                                           {RONDE_INT8, RONDE_MIN, 1, 1},
                                           {RONDE_FLOAT64, RONDE_SUM, 1, 1}};
    for (int i = 0; i < 8; i++) {
        struct job job = {.what = what[i / 2],
                          .rows = i % 2 ? 300007 : 3,
                          .row_count = i % 2 ? 3 : 300007,
                          .way = (enum way)(i % WAYS),
                          .in_arena = i / 2 % 2};
        jobs_run(trial, &job, 1);
    }
}

static void scales_are_applied_before_and_after(struct trial *trial)
{
    for (int32_t dtype = RONDE_UINT8; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_MAX; op++) {
            double before = is_float(dtype) ? 0.5 : 2, after = is_float(dtype) ? 4 : 2;
            struct job job = {.what = {dtype, op, before, after},
                              .rows = 19,
                              .row_count = 13,
                              .way = (enum way)(op % WAYS)};
            jobs_run(trial, &job, 1);
        }
    }
}

/* Sums that round: each rank's share is those bytes of what an allreduce gives. */
static void the_bits_are_those_of_an_allreduce(struct trial *trial)
{
    static const int32_t ops[] = {RONDE_SUM, RONDE_AVERAGE, RONDE_PRODUCT};
    static const size_t counts[] = {1, 64, 1003, 70001};
    for (int i = 0; i < 12; i++) {
        int32_t dtype = RONDE_FLOAT16 + i % 4, op = ops[i / 4];
        size_t rows = counts[(i + i / 4) % 4], element = ronde_dtype_bytes(dtype), first = 0;
        size_t share = ronde_share_rows(rows, trial->size, trial->rank), bytes = rows * 3 * element;
        unsigned char *in = malloc(bytes), *whole = malloc(bytes), *part = malloc(bytes);
        ronde_call call = call_in(0);
        call.prescale = i % 5 == 2 ? 1.0 / 3 : 1;
        rough_fill(in, dtype, trial->rank, (uint64_t)i, rows * 3);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, "whole", in, whole, rows * 3, dtype, op,
                                      &call));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_reducescatter(trial->context, "share", in, rows, 3, dtype, op, part,
                                          share, &call));
        for (int rank = 0; rank < trial->rank; rank++)
            first += ronde_share_rows(rows, trial->size, rank);
        EXPECT(trial, !memcmp(part, whole + first * 3 * element, share * 3 * element),
               "%zu rows of %s, %s: other bits than an allreduce", rows, ronde_dtype_name(dtype),
               ronde_op_name(op));
        free(in);
        free(whole);
        free(part);
    }
}

/* The rows under one name change on all ranks: right every time. On one rank only: a mismatch. */
static void rows_may_change_under_one_name(struct trial *trial)
{
    static const size_t rows[] = {6, 6, 6, 17, 17, 0, 6, 1, 6, 6};
    int32_t in[64] = {0}, out[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct job job = {.what = {RONDE_INT32, RONDE_SUM, 1, 1}, .rows = rows[i], .row_count = 2};
        job_open(trial, &job);
        job_submit(trial, &job, "changing");
        job_close(trial, &job);
    }
    if (trial->size == 1)
        return;
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_reducescatter(trial->context, "changing", in, trial->rank ? 31 : 29, 2,
                                      RONDE_INT32, RONDE_SUM, out, 31, NULL));
    EXPECT_ERROR(trial, "changing", "31", "29", "rank");
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_reducescatter(trial->context, "changing", in, 6, trial->rank ? 2 : 3,
                                      RONDE_INT32, RONDE_SUM, out, 6, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_reducescatter(trial->context, "changing", in, 6, 2, RONDE_INT32,
                                      trial->rank ? RONDE_MIN : RONDE_MAX, out, 6, NULL));
    EXPECT_ERROR(trial, "changing", "min", "max");
    meet(trial, "after changes");
}

/* Beside allreduces and broadcasts of the same moment, in an order of each rank's own. */
static void others_are_fused_beside_it(struct trial *trial)
{
    enum { N = 24, COUNT = 30 };
    int32_t in[N][COUNT], out[N][COUNT];
    uint64_t handles[N], dice = (uint64_t)trial->rank + 7;
    size_t order[N], share = ronde_share_rows(COUNT, trial->size, trial->rank), first = 0;
    char name[32];
    dice_order(&dice, order, N);
    for (int rank = 0; rank < trial->rank; rank++)
        first += ronde_share_rows(COUNT, trial->size, rank);
    for (size_t k = 0; k < N; k++) {
        size_t i = order[k];
        int32_t status;
        for (size_t at = 0; at < COUNT; at++)
            in[i][at] = ranks_value(trial->rank, at + i);
        snprintf(name, sizeof name, "beside %zu", i);
        if (i % 3 == 0)
            status = ronde_allreduce_async(trial->context, name, in[i], out[i], COUNT, RONDE_INT32,
                                           RONDE_SUM, NULL, &handles[i]);
        else if (i % 3 == 1)
            status = ronde_broadcast_async(trial->context, name, in[i], out[i], COUNT, RONDE_INT32,
                                           0, NULL, &handles[i]);
        else
            status = ronde_reducescatter_async(trial->context, name, in[i], COUNT, 1, RONDE_INT32,
                                               RONDE_SUM, out[i], share, NULL, &handles[i]);
        EXPECT_STATUS(trial, RONDE_OK, status);
    }
    for (size_t i = 0; i < N; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        for (size_t at = 0; at < (i % 3 == 2 ? share : COUNT); at++)
            EXPECT(trial,
                   out[i][at] == (i % 3 == 0   ? ranks_sum(trial->size, at + i)
                                  : i % 3 == 1 ? ranks_value(0, at + i)
                                               : ranks_sum(trial->size, first + at + i)),
                   "tensor %zu, element %zu is %d", i, at, (int)out[i][at]);
    }
}

static void unnamed_ones_match_by_order(struct trial *trial)
{
    for (int i = 0; i < 3; i++) {
        struct job job = {.what = {RONDE_INT64, RONDE_MAX, 1, 1},
                          .rows = 9 + (size_t)i,
                          .row_count = 5,
                          .way = (enum way)i};
        job_open(trial, &job);
        job_submit(trial, &job, NULL);
        job_close(trial, &job);
    }
}

/* Rank 0 errs alone, and nobody else notices. */
static void what_one_rank_does_wrong_fails_there(struct trial *trial)
{
    int32_t in[64] = {0}, out[64];
    uint64_t handle = 4711;
    ronde_context *context = trial->context;
    size_t rows = 4 * (size_t)trial->size;
    if (trial->rank == 0) {
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* a share of 4 rows, and room for 3 */
                      ronde_reducescatter_async(context, "wrong", in, rows, 1, RONDE_INT32,
                                                RONDE_SUM, out, 3, NULL, &handle));
        EXPECT_ERROR(trial, "4", "3");
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* no memory, and yet room */
                      ronde_reducescatter_async(context, "wrong", in, rows, 1, RONDE_INT32,
                                                RONDE_SUM, NULL, 4, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_reducescatter_async(context, "wrong", NULL, rows, 1, RONDE_INT32,
                                                RONDE_SUM, out, rows, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* a part of the input */
                      ronde_reducescatter_async(context, "wrong", in, rows, 1, RONDE_INT32,
                                                RONDE_SUM, in + 1, rows, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_reducescatter_async(context, "wrong", in, rows, 1, RONDE_FLOAT32,
                                                RONDE_BITWISE_OR, out, rows, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                      ronde_reducescatter_async(context, "wrong", in, SIZE_MAX / 2, 3, RONDE_INT32,
                                                RONDE_SUM, out, rows, NULL, &handle));
        EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after errors of one rank");
}

/* Without room for a share: nobody could take what the library would make. An empty share is fine. */
static void a_blocking_one_wants_room_for_its_share(struct trial *trial)
{
    int32_t in[1] = {trial->rank}, out = -7;
    if (trial->rank == 0) {
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_reducescatter(trial->context, "roomless", in, 1, 1, RONDE_INT32,
                                          RONDE_MAX, NULL, 0, NULL));
        EXPECT_ERROR(trial, "roomless", "NULL", "share is 1 rows");
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter(trial->context, "roomless", in, 1, 1, RONDE_INT32, RONDE_MAX,
                                      trial->rank ? NULL : &out, trial->rank ? 0 : 1, NULL));
    EXPECT(trial, trial->rank || out == trial->size - 1, "the share is %d", (int)out);
    EXPECT_STATUS(trial, RONDE_OK, /* rows without elements */
                  ronde_reducescatter(trial->context, "roomless", NULL, 9, 0, RONDE_INT32,
                                      RONDE_MAX, NULL, 0, NULL));
}

static void shares_are_the_rows_cut_in_order(struct trial *trial)
{
    for (int32_t ranks = 1; ranks < 9; ranks++)
        for (size_t rows = 0; rows < 40; rows++) {
            size_t sum = 0;
            for (int32_t rank = 0; rank < ranks; rank++) {
                size_t share = ronde_share_rows(rows, ranks, rank), n = (size_t)ranks;
                sum += share;
                EXPECT(trial, share == rows / n + ((size_t)rank < rows % n),
                       "share %d of %zu rows in %d is %zu", (int)rank, rows, (int)ranks, share);
            }
            EXPECT(trial, sum == rows, "shares of %zu rows sum to %zu", rows, sum);
        }
    EXPECT(trial,
           ronde_share_rows(9, 4, 4) == 0 && ronde_share_rows(9, 4, -1) == 0 &&
               ronde_share_rows(SIZE_MAX, 2, 0) == SIZE_MAX / 2 + 1,
           "shares of ranks that are none, or of all the rows there can be");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    shares_are_the_rows_cut_in_order(&trial);
    every_dtype_and_op_is_right_however_the_rows_divide(&trial);
    rows_without_elements_are_still_rows(&trial);
    several_megabytes_are_right(&trial);
    scales_are_applied_before_and_after(&trial);
    the_bits_are_those_of_an_allreduce(&trial);
    rows_may_change_under_one_name(&trial);
    others_are_fused_beside_it(&trial);
    unnamed_ones_match_by_order(&trial);
    what_one_rank_does_wrong_fails_there(&trial);
    a_blocking_one_wants_room_for_its_share(&trial);
    return trial_end(&trial);
}
