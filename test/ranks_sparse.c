/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* Sparse allreduce: rows by index, sorted, duplicates within a rank and across ranks combined; some
 * ranks without rows, and all. */
#include "samples.h"
#include "trial.h"

enum rows { FEW, ALL_THE_SAME, APART, ONE_RANK, EVERY_OTHER, NOBODY, MANY, SHAPES_OF_ROWS };

static size_t rows_of(enum rows rows, int rank, int size)
{
    switch (rows) {
    case FEW: return 5;
    case ALL_THE_SAME: return 3;
    case APART: return 1 + (size_t)rank % 3;
    case ONE_RANK: return rank == size - 1 ? 9 : 0;
    case EVERY_OTHER: return rank % 2 ? 0 : 4;
    case MANY: return 700 + (size_t)rank * 400;
    case NOBODY:
    case SHAPES_OF_ROWS: break;
    }
    return 0;
}

/* In no order, some beyond 32 bits; APART falls where the others' rise. */
static int64_t index_of(enum rows rows, int rank, size_t row)
{
    uint64_t random = mix((uint64_t)rank * 1009 + row + (uint64_t)rows);
    if (rows == ALL_THE_SAME)
        return 5;
    if (rows == APART)
        return 100 * rank + 50 - (int64_t)row;
    return (int64_t)(random % (rows == MANY ? 1000 : 17)) * 1000000007;
}

/* One sparse allreduce. */
struct job {
    struct sampling what; /* the sample's index is that of the element among its rank's values */
    enum rows rows;
    size_t row_count;
    int in_arena;
    struct memory indices, values;
    uint64_t handle;
};

static void job_submit(struct trial *trial, struct job *job, const char *name)
{
    size_t rows = rows_of(job->rows, trial->rank, trial->size);
    size_t element = ronde_dtype_bytes(job->what.dtype), bytes = rows * job->row_count * element;
    ronde_call call = call_in(0);
    call.prescale = job->what.prescale;
    call.postscale = job->what.postscale;
    memory_open(trial, &job->indices, 8 * rows, 8, job->in_arena, 1);
    memory_open(trial, &job->values, bytes, 3 * element, job->in_arena, 1);
    for (size_t row = 0; row < rows; row++) {
        int64_t index = index_of(job->rows, trial->rank, row);
        memcpy(job->indices.data + 8 * row, &index, 8);
    }
    sample_fill(job->values.data, &job->what, trial->rank, rows * job->row_count);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_sparse_allreduce_async(trial->context, name,
                                               rows ? (const int64_t *)(void *)job->indices.data
                                                    : NULL,
                                               rows ? job->values.data : NULL, rows, job->row_count,
                                               job->what.dtype, job->what.op, &call, &job->handle));
}

/* ---- what must come out ---------------------------------------------------------------------- */

struct entry {
    int64_t index;
    int rank;
    size_t row;
};

static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank - y->rank;
    return x->row < y->row ? -1 : x->row > y->row;
}

static size_t entries_make(struct entry **entries, enum rows rows, int size)
{
    size_t n = 0;
    for (int rank = 0; rank < size; rank++)
        n += rows_of(rows, rank, size);
    *entries = malloc((n + 1) * sizeof **entries);
    n = 0;
    for (int rank = 0; rank < size; rank++)
        for (size_t row = 0; row < rows_of(rows, rank, size); row++, n++) {
            struct entry entry = {index_of(rows, rank, row), rank, row};
            (*entries)[n] = entry;
        }
    qsort(*entries, n, sizeof **entries, entry_order);
    return n;
}

/* Element `column` of the entries [0, n), which have one index, stored at *out. */
static void combine(const struct job *job, const struct entry *entries, size_t n, size_t column,
                    int ranks, unsigned char *out)
{
    const struct sampling *what = &job->what;
    uint64_t whole = 0;
    double real = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = entries[i].row * job->row_count + column;
        uint64_t one = integer_sample(what, entries[i].rank, at);
        double other = float_sample(what, entries[i].rank, at) * what->prescale;
        if (what->dtype == RONDE_BOOL)
            whole = i == 0 ? one : is_or_of_bools(what->op) ? whole | one : whole & one;
        else if (!is_float(what->dtype))
            whole = i == 0
                        ? (is_logical(what->op) ? one != 0 : one)
                        : integers_combined(what->op, is_signed_integer(what->dtype), whole, one);
        else if (i == 0)
            real = other;
        else if (what->op == RONDE_PRODUCT)
            real *= other;
        else if (what->op == RONDE_MIN || what->op == RONDE_MAX)
            real = (other < real) == (what->op == RONDE_MIN) ? other : real;
        else
            real += other;
    }
    if (what->op == RONDE_AVERAGE && what->dtype != RONDE_BOOL) {
        whole = is_signed_integer(what->dtype) ? (uint64_t)((int64_t)whole / ranks)
                                               : whole / (uint64_t)ranks;
        real = what->dtype == RONDE_FLOAT64 ? real / ranks : (double)((float)real / (float)ranks);
    }
    if (is_float(what->dtype))
        store_float(out, what->dtype, 0, real * what->postscale + 0.0);
    else
        store_integer(out, what->dtype, 0, whole);
}

static void job_compare(struct trial *trial, const struct job *job, const int64_t *indices,
                        const unsigned char *values, size_t rows)
{
    struct entry *entries;
    size_t n = entries_make(&entries, job->rows, trial->size), found = 0, wrong = 0;
    size_t element = ronde_dtype_bytes(job->what.dtype);
    for (size_t i = 0, next; i < n; i = next, found++) {
        for (next = i + 1; next < n && entries[next].index == entries[i].index;)
            next++;
        if (found >= rows)
            continue;
        EXPECT(trial, indices[found] == entries[i].index, "index %zu is %lld, not %lld", found,
               (long long)indices[found], (long long)entries[i].index);
        for (size_t column = 0; column < job->row_count; column++) {
            unsigned char wanted[8];
            combine(job, entries + i, next - i, column, trial->size, wanted);
            wrong += memcmp(values + (found * job->row_count + column) * element, wanted,
                            element) != 0;
        }
    }
    EXPECT(trial, rows == found && !wrong,
           "rows %d of %zu %s, %s: %zu rows of %zu, %zu elements are wrong", (int)job->rows,
           job->row_count, ronde_dtype_name(job->what.dtype), ronde_op_name(job->what.op), rows,
           found, wrong);
    free(entries);
}

static void job_close(struct trial *trial, struct job *job)
{
    int64_t *indices = NULL;
    void *values = NULL;
    size_t rows = SIZE_MAX;
    EXPECT_STATUS(trial, RONDE_OK, until_done(trial, job->handle));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_take_sparse(trial->context, job->handle, &indices, &values, &rows));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, job->handle));
    EXPECT(trial, rows != 0 || (!indices && !values), "no rows, but memory");
    if (rows == 0 || (indices && values))
        job_compare(trial, job, indices, values, rows);
    EXPECT(trial, rows == 0 || (indices && values), "%zu rows, but no memory", rows);
    same_everywhere(trial, indices, 8 * rows, "sparse indices");
    same_everywhere(trial, values, rows * job->row_count * ronde_dtype_bytes(job->what.dtype),
                    "sparse values");
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, indices));
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, values));
    memory_close(trial, &job->indices);
    memory_close(trial, &job->values);
}

/* ---- right results --------------------------------------------------------------------------- */

/* Sums of bytes by many rows may wrap before an average divides: not asked here. */
static int is_asked(int32_t op, int32_t dtype)
{
    return op_suits(op, dtype) && (op != RONDE_AVERAGE || ronde_dtype_bytes(dtype) > 1);
}

static void every_dtype_op_and_kind_of_rows_is_right(struct trial *trial)
{
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        for (int32_t op = RONDE_SUM; op <= RONDE_BITWISE_OR; op++) {
            struct job jobs[MANY];
            size_t order[MANY];
            uint64_t dice = (uint64_t)(trial->rank * 16 + op);
            char name[32];
            if (!is_asked(op, dtype))
                continue;
            dice_order(&dice, order, MANY);
            for (size_t k = 0; k < MANY; k++) {
                struct job job = {.what = {dtype, op, 1, 1},
                                  .rows = (enum rows)order[k],
                                  .row_count = order[k] % 2 ? 1 : 3,
                                  .in_arena = (int)(order[k] + (size_t)dtype) % 2};
                snprintf(name, sizeof name, "sparse %zu", order[k]);
                jobs[order[k]] = job;
                job_submit(trial, &jobs[order[k]], name);
            }
            for (size_t i = 0; i < MANY; i++)
                job_close(trial, &jobs[i]);
        }
    }
}

static void thousands_of_rows_are_right(struct trial *trial)
{
    static const struct sampling what[] = {{RONDE_FLOAT32, RONDE_SUM, 1, 1},
                                           {RONDE_BFLOAT16, RONDE_MAX, 1, 1},
                                           {RONDE_FLOAT64, RONDE_AVERAGE, 0.5, 4},
                                           {RONDE_FLOAT32, RONDE_SUM, 2, 0.25}};
    for (int i = 0; i < 4; i++) {
        struct job job = {.what = what[i], .rows = MANY, .row_count = i % 2 ? 61 : 7};
        job_submit(trial, &job, i ? "thousands" : NULL);
        job_close(trial, &job);
    }
}

static void rows_may_change_under_one_name(struct trial *trial)
{
    for (int i = 0; i < 14; i++) {
        struct job job = {.what = {RONDE_FLOAT32, RONDE_SUM, 1, 1},
                          .rows = (enum rows)(i / 2 % SHAPES_OF_ROWS),
                          .row_count = 3};
        job_submit(trial, &job, "changing");
        job_close(trial, &job);
    }
}

/* Rank 0 has joined: none of its rows, and an average divides by the others alone, or by all. */
static void who_has_joined_has_no_rows(struct trial *trial)
{
    int32_t last = -7;
    for (int32_t divide = 0; divide < 2 && trial->rank; divide++) {
        int64_t mine[] = {1000, trial->rank}, *indices = NULL;
        float values[] = {1, 2};
        void *sums = NULL;
        size_t rows = 0;
        uint64_t handle = 0;
        ronde_call call = call_in(0);
        float divisor = (float)(divide == RONDE_DIVIDE_SIZE ? trial->size : trial->size - 1);
        call.divide = divide;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_sparse_allreduce_async(trial->context, "joined", mine, values, 2, 1,
                                                   RONDE_FLOAT32, RONDE_AVERAGE, &call, &handle));
        EXPECT_STATUS(trial, RONDE_OK, until_done(trial, handle));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_take_sparse(trial->context, handle, &indices, &sums, &rows));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
        EXPECT(trial, rows == (size_t)trial->size, "%zu rows", rows);
        for (size_t i = 0; i < rows && indices && sums; i++) {
            float sum = i + 1 == rows ? (float)(trial->size - 1) : 2, is = ((float *)sums)[i];
            EXPECT(trial,
                   indices[i] == (i + 1 == rows ? 1000 : (int64_t)i + 1) && is == sum / divisor,
                   "row %zu, index %lld: %g", i, (long long)indices[i], (double)is);
        }
        EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, indices));
        EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, sums));
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
    meet(trial, "after joining");
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void disagreement_is_an_error_on_every_rank(struct trial *trial)
{
    int64_t indices[2] = {1, 2};
    float values[40] = {0};
    uint64_t handle = 0;
    int is_odd = trial->rank == trial->size - 1;
    for (int i = 0; i < 3 && trial->size > 1; i++) {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_sparse_allreduce_async(trial->context, "odd", indices, values, 2,
                                                   i == 0 && is_odd ? 13 : 17,
                                                   i == 1 && is_odd ? RONDE_INT32 : RONDE_FLOAT32,
                                                   i == 2 && is_odd ? RONDE_MIN : RONDE_MAX, NULL,
                                                   &handle));
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_wait(trial->context, handle));
        EXPECT_ERROR(trial, "odd", "rank",
                     i == 0   ? "13"
                     : i == 1 ? "int32"
                              : "min",
                     i == 0   ? "17"
                     : i == 1 ? "float32"
                              : "max");
    }
    meet(trial, "after disagreement");
}

/* One rank errs alone, and nobody else notices. */
static void what_one_rank_does_wrong_fails_there(struct trial *trial)
{
    int64_t indices[4] = {0};
    float v[4] = {0};
    uint64_t h = 4711;
    ronde_context *c = trial->context;
    if (trial->rank == 0) {
        const int32_t statuses[] = {
            ronde_sparse_allreduce_async(c, "x", NULL, v, 2, 1, RONDE_FLOAT32, RONDE_SUM, NULL, &h),
            ronde_sparse_allreduce_async(c, "x", indices, NULL, 2, 1, RONDE_FLOAT32, RONDE_SUM,
                                         NULL, &h),
            ronde_sparse_allreduce_async(c, "x", indices, v, 2, 1, 99, RONDE_SUM, NULL, &h),
            ronde_sparse_allreduce_async(c, "x", indices, v, 2, 1, RONDE_FLOAT32, RONDE_ADASUM,
                                         NULL, &h),
            ronde_sparse_allreduce_async(c, "x", indices, v, 2, 1, RONDE_FLOAT32,
                                         RONDE_WEIGHTED_AVERAGE, NULL, &h),
            ronde_sparse_allreduce_async(c, "x", indices, v, 2, 1, RONDE_FLOAT32, RONDE_LOGICAL_AND,
                                         NULL, &h),
            ronde_sparse_allreduce_async(c, "x", indices, v, 2, 1, RONDE_FLOAT32, RONDE_SUM, NULL,
                                         NULL),
        };
        for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
            EXPECT(trial, statuses[i] == RONDE_ERR_ARGUMENT, "call %zu: %s", i,
                   ronde_status_name(statuses[i]));
        EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                      ronde_sparse_allreduce_async(c, "x", indices, v, SIZE_MAX / 2, 3,
                                                   RONDE_FLOAT32, RONDE_SUM, NULL, &h));
        EXPECT(trial, h == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after errors of one rank");
}

/* Not by the wrong call, not twice, not from another operation. Who takes nothing loses nothing. */
static void a_result_is_taken_once(struct trial *trial)
{
    int64_t index = 3, *indices = NULL;
    float value = 1, sum = 1;
    void *values = NULL;
    size_t rows = 0;
    uint64_t handles[3] = {0};
    for (int i = 0; i < 2; i++)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_sparse_allreduce_async(trial->context, i ? "taken" : "left", &index,
                                                   &value, 1, 1, RONDE_FLOAT32, RONDE_SUM, NULL,
                                                   &handles[i]));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, "dense", &sum, &sum, 1, RONDE_FLOAT32,
                                        RONDE_SUM, NULL, &handles[2]));
    for (int i = 0; i < 3; i++)
        EXPECT_STATUS(trial, RONDE_OK, until_done(trial, handles[i]));
    EXPECT(trial,
           ronde_take(trial->context, handles[1], &values, &rows) < 0 &&
               ronde_take_sparse(trial->context, handles[2], &indices, &values, &rows) < 0 &&
               ronde_take_sparse(trial->context, handles[1], NULL, &values, &rows) < 0 &&
               ronde_take_sparse(trial->context, handles[1], &indices, NULL, &rows) < 0 && !values,
           "took what there is not");
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_take_sparse(trial->context, handles[1], &indices, &values, &rows));
    EXPECT(trial, rows == 1 && indices && indices[0] == 3, "%zu rows", rows);
    EXPECT(trial, ronde_take_sparse(trial->context, handles[1], &indices, &values, &rows) < 0,
           "took twice");
    for (int i = 0; i < 3; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, indices));
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, values));
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_op_and_kind_of_rows_is_right(&trial);
    thousands_of_rows_are_right(&trial);
    rows_may_change_under_one_name(&trial);
    who_has_joined_has_no_rows(&trial);
    disagreement_is_an_error_on_every_rank(&trial);
    what_one_rank_does_wrong_fails_there(&trial);
    a_result_is_taken_once(&trial);
    return trial_end(&trial);
}
