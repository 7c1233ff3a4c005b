/* ronde-test: np=2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: np=2 np=2/1 args=large sanitizers=no serial timeout=120 */
/* What goes wrong in Horovod, and must not here: one test for each defect that C can show. */
#include <sys/mman.h>
#include <unistd.h>

#include "samples.h"
#include "trial.h"

/* Collective. All but one rank have joined, whose number is above, or below, all requests. */
static void a_join_with_any_number_of_requests_is_right(struct trial *trial)
{
    for (int turn = 0; turn < 2; turn++) {
        int only = turn ? trial->size - 1 : 0;
        int32_t data[40], last = -7;
        for (int step = 0; step < 5 && trial->rank == only; step++) {
            char name[32];
            snprintf(name, sizeof name, "alone %d", step % 4); /* new, and cached at the last */
            for (size_t i = 0; i < 40; i++)
                data[i] = ranks_value(only, i);
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce(trial->context, name, data, data, 40, RONDE_INT32,
                                          RONDE_SUM, NULL));
            for (size_t i = 0; i < 40; i++)
                EXPECT(trial, data[i] == ranks_value(only, i), "step %d: element %zu is %d", step,
                       i, (int)data[i]);
        }
        EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
        EXPECT(trial, last == only, "rank %d was last, not %d", (int)last, only);
    }
}

static void a_join_with_a_cached_allgather_or_alltoall_ends(struct trial *trial)
{
    for (int joins = 0; joins < 3; joins++) { /* first nobody, then the first and the last rank */
        int absent = joins == 0 ? -1 : joins == 1 ? 0 : trial->size - 1;
        int32_t mine[64], all[64], last = -7;
        size_t by_rank[64], n = (size_t)trial->size - (absent >= 0);
        for (int i = 0; i < 64; i++)
            mine[i] = 100 * trial->rank + i;
        for (int step = 0; step < 4 && trial->rank != absent; step++) {
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allgather(trial->context, "cached", mine, 2, 3, RONDE_INT32, all,
                                          21, step % 2 ? by_rank : NULL, NULL));
            for (size_t i = 0; i < 6 * n; i++) {
                int rank = (int)(i / 6) + (absent == 0);
                EXPECT(trial, all[i] == 100 * rank + (int)(i % 6), "row %zu holds %d", i / 3,
                       (int)all[i]);
            }
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_alltoall(trial->context, "cached", mine, NULL,
                                         2 * (size_t)trial->size, 1, RONDE_INT32, all, 64, by_rank,
                                         NULL));
            for (size_t i = 0; i < 2 * n; i++) {
                int rank = (int)(i / 2) + (absent == 0);
                EXPECT(trial, all[i] == 100 * rank + 2 * trial->rank + (int)(i % 2),
                       "row %zu from rank %d is %d", i, rank, (int)all[i]);
            }
        }
        if (absent >= 0)
            EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
        EXPECT(trial, absent < 0 || last != absent, "rank %d was last", (int)last);
    }
}

/* Of values that are all above 1, or all below -1: a rank that gives 0 would show in each. */
static void a_join_with_min_max_or_product_gives_the_right_values(struct trial *trial)
{
    static const int32_t ops[] = {RONDE_MIN, RONDE_MAX, RONDE_PRODUCT};
    static const int32_t dtypes[] = {RONDE_INT8,     RONDE_INT64,   RONDE_FLOAT16,
                                     RONDE_BFLOAT16, RONDE_FLOAT32, RONDE_FLOAT64};
    int32_t last = -7;
    for (int i = 0; i < 36 && trial->rank; i++) {
        int32_t dtype = dtypes[i % 6], op = ops[i / 6 % 3];
        double sign = i / 18 ? -1 : 1, wanted = op == RONDE_PRODUCT ? 1 : sign * 2;
        unsigned char data[8], right[8];
        for (int rank = 1; rank < trial->size; rank++) {
            double one = sign * (op == RONDE_PRODUCT ? 2 : rank + 1);
            wanted = op == RONDE_PRODUCT                   ? wanted * one
                     : (one < wanted) == (op == RONDE_MIN) ? one
                                                           : wanted;
        }
        double mine = sign * (op == RONDE_PRODUCT ? 2 : trial->rank + 1);
        if (is_float(dtype)) {
            store_float(data, dtype, 0, mine);
            store_float(right, dtype, 0, wanted);
        } else {
            store_integer(data, dtype, 0, (uint64_t)(int64_t)mine);
            store_integer(right, dtype, 0, (uint64_t)(int64_t)wanted);
        }
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, "extreme", data, data, 1, dtype, op, NULL));
        EXPECT(trial, !memcmp(data, right, ronde_dtype_bytes(dtype)), "%s of %s is not %g",
               ronde_op_name(op), ronde_dtype_name(dtype), wanted);
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
}

static void a_reducescatter_may_use_a_cached_name_again(struct trial *trial)
{
    static const size_t rows[] = {20, 20, 20, 21, 21, 3, 20};
    for (size_t round = 0; round < sizeof rows / sizeof *rows; round++) {
        int32_t in[21], out[21];
        size_t n = rows[round], first = 0;
        for (int rank = 0; rank < trial->rank; rank++)
            first += ronde_share_rows(n, trial->size, rank);
        for (size_t i = 0; i < n; i++)
            in[i] = ranks_value(trial->rank, i + round);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_reducescatter(trial->context, "again", in, n, 1, RONDE_INT32, RONDE_SUM,
                                          out, 21, NULL));
        for (size_t i = 0; i < ronde_share_rows(n, trial->size, trial->rank); i++)
            EXPECT(trial, out[i] == ranks_sum(trial->size, first + i + round),
                   "round %zu: element %zu is %d", round, i, (int)out[i]);
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Rank 0's group has a name that is outstanding already, or bad members; then nothing of it is
 * queued, and its end tells of all that was wrong. */
static void a_failing_group_queues_nothing_and_tells_all_errors(struct trial *trial)
{
    static const char *const names[] = {"half 0", "half 1", "half 2", "half 3"};
    int32_t data[4] = {1, 1, 1, 1}, sums[4] = {0};
    uint64_t handles[4], group = 0, handle = 0;
    ronde_call call = call_in(0);
    if (trial->rank == 0) {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, names[2], &data[2], &sums[2], 1,
                                            RONDE_INT32, RONDE_SUM, NULL, &handles[2]));
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_begin(trial->context, &group));
        call.group = group;
        for (int i = 0; i < 4; i++) {
            int32_t scratch[2] = {0};
            ronde_allreduce_async(trial->context, names[i], &scratch[0], &scratch[1], 1,
                                  i == 1 ? 55 : RONDE_INT32, i == 3 ? 66 : RONDE_SUM, &call,
                                  &handle);
        }
        EXPECT(trial, ronde_group_end(trial->context, group) < 0, "a bad group was queued");
        EXPECT_ERROR(trial, "55", names[2], "66");
    }
    for (int i = 0; i < 4; i++) { /* none is outstanding, but for that of rank 0 */
        if (trial->rank || i != 2)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, names[i], &data[i], &sums[i], 1,
                                                RONDE_INT32, RONDE_SUM, NULL, &handles[i]));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        EXPECT(trial, sums[i] == trial->size, "tensor %d is %d", i, (int)sums[i]);
    }
}

static void a_question_about_an_unknown_set_is_answered(struct trial *trial)
{
    int32_t ranks[2], n = 0;
    EXPECT(trial,
           ronde_process_set_size(trial->context, 4711) == -1 &&
               ronde_process_set_rank(trial->context, -3) == -1,
           "a set that there is not has a size");
    EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET,
                  ronde_process_set_ranks(trial->context, 4711, ranks, 2, &n));
    meet(trial, "after the question");
}

/* ---- bytes and bits -------------------------------------------------------------------------- */

/* Bytes in odd numbers between wide elements: in one buffer these would lie askew. */
static void odd_bytes_beside_wide_elements_are_right(struct trial *trial)
{
    enum { N = 40, MOST = 120 };
    static const int32_t dtypes[] = {RONDE_UINT8, RONDE_FLOAT64, RONDE_BOOL,    RONDE_FLOAT16,
                                     RONDE_INT8,  RONDE_INT64,   RONDE_FLOAT32, RONDE_BFLOAT16};
    unsigned char(*data)[8 * MOST] = malloc(N * sizeof *data);
    uint64_t handles[N], dice = (uint64_t)trial->rank + 2;
    size_t order[N];
    for (int round = 0; round < 3; round++) {
        dice_order(&dice, order, N);
        for (size_t k = 0; k < N; k++) {
            size_t i = order[k];
            struct sampling what = {dtypes[i % 8], RONDE_MAX, 1, 1};
            char name[32];
            snprintf(name, sizeof name, "askew %zu", i);
            sample_fill(data[i], &what, trial->rank, 2 * i + 1);
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, name, data[i], data[i], 2 * i + 1,
                                                what.dtype, what.op, NULL, &handles[i]));
        }
        for (size_t i = 0; i < N; i++) {
            struct sampling what = {dtypes[i % 8], RONDE_MAX, 1, 1};
            unsigned char wanted[8 * MOST];
            size_t bytes = sample_results(wanted, &what, trial->size, 2 * i + 1);
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
            EXPECT(trial, !memcmp(data[i], wanted, bytes), "tensor %zu, %s: wrong", i,
                   ronde_dtype_name(what.dtype));
        }
    }
    free(data);
}

/* Whatever is fused with what: sums that round have the bits of the first time. (ranks_bits.c and
 * sh_bits.sh look closer, at runs and settings too.) */
static void fused_float_results_repeat(struct trial *trial)
{
    enum { N = 16, COUNT = 777 };
    static const int32_t dtypes[] = {RONDE_FLOAT16, RONDE_BFLOAT16, RONDE_FLOAT32, RONDE_FLOAT64};
    unsigned char(*data)[8 * COUNT] = malloc(N * sizeof *data);
    unsigned char(*first)[8 * COUNT] = malloc(N * sizeof *first);
    uint64_t handles[N], dice = (uint64_t)trial->rank * 9 + 2;
    size_t order[N];
    for (int round = 0; round < 12; round++) {
        dice_order(&dice, order, N);
        for (size_t k = 0; k < N; k++) {
            size_t i = order[k];
            char name[32];
            snprintf(name, sizeof name, "fused %zu", i);
            rough_fill(data[i], dtypes[i % 4], trial->rank, i, COUNT);
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, name, data[i], data[i], COUNT,
                                                dtypes[i % 4], RONDE_SUM, NULL, &handles[i]));
            if (dice_below(&dice, N) == 0)
                nap(1e-3);
        }
        for (size_t i = 0; i < N; i++) {
            size_t bytes = COUNT * ronde_dtype_bytes(dtypes[i % 4]);
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
            if (round == 0)
                memcpy(first[i], data[i], bytes);
            EXPECT(trial, !memcmp(first[i], data[i], bytes), "round %d: tensor %zu has other bits",
                   round, i);
        }
    }
    for (size_t i = 0; i < N; i++)
        same_everywhere(trial, first[i], COUNT * ronde_dtype_bytes(dtypes[i % 4]), "a fused sum");
    free(data);
    free(first);
}

/* ---- the environment ------------------------------------------------------------------------- */

static void garbage_in_the_environment_is_an_error_naming_the_variable(struct trial *trial)
{
    static const char *const garbage[][2] = {{"RONDE_FUSION_THRESHOLD", "banana"},
                                             {"RONDE_CACHE_CAPACITY", "12x"},
                                             {"RONDE_STALL_WARN", "-1"},
                                             {"RONDE_PROGRESS", "maybe"},
                                             {"RONDE_NO_SUCH_THING", "1"}};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage && !ranks_are_threads(); i++) {
        ronde_context *context = NULL;
        setenv(garbage[i][0], garbage[i][1], 1);
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_open(NULL, &context));
        EXPECT_ERROR(trial, garbage[i][0]);
        EXPECT(trial, !context, "a context was opened with %s=%s", garbage[i][0], garbage[i][1]);
        unsetenv(garbage[i][0]);
    }
    meet(trial, "after garbage");
}

/* ---- counts beyond 32 bits ------------------------------------------------------------------- */

/* Address space that costs no memory until it is written. */
static unsigned char *reserve(struct trial *trial, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT(trial, memory != MAP_FAILED, "no %zu bytes of address space", bytes);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

/* Cut to 32 bits these counts, rows and row counts would agree. Nothing is moved. */
static void counts_are_not_cut_when_compared(struct trial *trial)
{
    size_t more = ((size_t)1 << 32) + 8, mine = trial->rank ? 8 : more;
    unsigned char *data = reserve(trial, more), out[8] = {0};
    ronde_context *c = trial->context;
    uint64_t handles[4];
    const int32_t statuses[] = {
        ronde_allreduce_async(c, "cut", data, data, mine, RONDE_UINT8, RONDE_SUM, NULL,
                              &handles[0]),
        ronde_broadcast_async(c, "cut", data, data, mine, RONDE_UINT8, 0, NULL, &handles[1]),
        ronde_allgather_async(c, "cut", NULL, 0, mine, RONDE_UINT8, out, 0, NULL, NULL,
                              &handles[2]),
        ronde_reducescatter_async(c, "cut", data, mine, 1, RONDE_UINT8, RONDE_SUM, data, mine, NULL,
                                  &handles[3]),
    };
    for (int i = 0; i < 4; i++) {
        EXPECT_STATUS(trial, RONDE_OK, statuses[i]);
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_wait(c, handles[i]));
        EXPECT_ERROR(trial, "cut", "4294967304", "8");
    }
    munmap(data, more);
}

/* The largest of 2^31 and some bytes, in place; what is not 0 lies at the edges. */
static void more_than_2_31_elements_are_reduced(struct trial *trial)
{
    const size_t count = ((size_t)1 << 31) + 13;
    const size_t at[] = {0, 1, ((size_t)1 << 31) - 1, (size_t)1 << 31, count - 1};
    unsigned char *data = reserve(trial, count);
    for (size_t i = 0; i < 5; i++)
        data[at[i]] = (unsigned char)(10 * (i + 1) + (size_t)trial->rank);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "large", data, data, count, RONDE_UINT8,
                                  RONDE_MAX, NULL));
    for (size_t i = 0; i < 5; i++)
        EXPECT(trial, data[at[i]] == 10 * (i + 1) + (size_t)trial->size - 1, "byte %zu is %d",
               at[i], data[at[i]]);
    for (size_t i = 2; i < count; i += 4093)
        EXPECT(trial, data[i] == 0 || i == at[2] || i == at[3] || i == at[4], "byte %zu is %d", i,
               data[i]);
    munmap(data, count);
}

/* The last rank gives 2^31 and some rows of a byte, in place, and the others 3. */
static void more_than_2_31_rows_are_gathered(struct trial *trial)
{
    const size_t large = ((size_t)1 << 31) + 5, before = 3 * (size_t)(trial->size - 1);
    int is_large = trial->rank == trial->size - 1;
    unsigned char *all = reserve(trial, before + large);
    unsigned char *mine = all + 3 * (size_t)trial->rank;
    size_t by_rank[64];
    memset(mine, trial->rank + 1, 3);
    if (is_large)
        all[before + large - 1] = 99;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather(trial->context, "large", mine, is_large ? large : 3, 1,
                                  RONDE_UINT8, all, before + large, by_rank, NULL));
    EXPECT(trial, by_rank[0] == 3 && by_rank[trial->size - 1] == large, "%zu and %zu rows",
           by_rank[0], by_rank[trial->size - 1]);
    EXPECT(trial, all[2] == 1 && all[before] == trial->size && all[before + large - 1] == 99,
           "rows of %d, %d, and at the end %d", all[2], all[before], all[before + large - 1]);
    munmap(all, before + large);
}

/* 1 where all ranks of this machine may use 3 GiB each. */
static int there_is_memory(struct trial *trial)
{
    int64_t free_bytes = (int64_t)sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE), least = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allreduce(trial->context, &free_bytes, &least, 1, RONDE_INT64,
                                         RONDE_MIN, NULL));
    return least >= trial->size * ((int64_t)3 << 30);
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    int is_large = argc > 1 && strcmp(argv[1], "large") == 0;
    if (is_large && !there_is_memory(&trial)) {
        fprintf(stderr, "less than 3 GiB of free memory for each rank\n");
        return 77;
    }
    if (is_large) {
        more_than_2_31_elements_are_reduced(&trial);
        more_than_2_31_rows_are_gathered(&trial);
        return trial_end(&trial);
    }
    a_join_with_any_number_of_requests_is_right(&trial);
    a_join_with_a_cached_allgather_or_alltoall_ends(&trial);
    a_join_with_min_max_or_product_gives_the_right_values(&trial);
    a_reducescatter_may_use_a_cached_name_again(&trial);
    a_failing_group_queues_nothing_and_tells_all_errors(&trial);
    a_question_about_an_unknown_set_is_answered(&trial);
    odd_bytes_beside_wide_elements_are_right(&trial);
    fused_float_results_repeat(&trial);
    garbage_in_the_environment_is_an_error_naming_the_variable(&trial);
    counts_are_not_cut_when_compared(&trial);
    return trial_end(&trial);
}
