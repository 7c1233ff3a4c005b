/* ronde-test: np=1,2,3,4,5,8 np=4/2,5/2 threads=1/1,2/2,4/2,5/2 mpich=2 timeout=60 */
/* What one rank alone can do wrong: it fails there, at once, with the status that it deserves, and
 * nobody else notices. */
#include "trial.h"

enum { ROOM = 64 };

/* ---- arguments ------------------------------------------------------------------------------- */

#define EXPECT_ALL_KINDS(trial, wanted, name, in, out, count, dtype, call, handle) \
    do { \
        EXPECT_STATUS(trial, wanted, \
                      ronde_allreduce_async((trial)->context, name, in, out, count, dtype, \
                                            RONDE_SUM, call, handle)); \
        EXPECT_STATUS(trial, wanted, \
                      ronde_broadcast_async((trial)->context, name, in, out, count, dtype, \
                                            (trial)->rank, call, handle)); \
        EXPECT_STATUS(trial, wanted, \
                      ronde_allgather_async((trial)->context, name, in, count, 1, dtype, out, \
                                            count, NULL, call, handle)); \
    } while (0)

static void bad_arguments_fail_at_once(struct trial *trial)
{
    static const int32_t bad_dtypes[] = {-1, RONDE_FLOAT64 + 1, 99, INT32_MAX, INT32_MIN};
    static const int32_t bad_ops[] = {-1, RONDE_WEIGHTED_AVERAGE + 1, 77, INT32_MIN};
    const int32_t bad_roots[] = {-1, trial->size, INT32_MAX, INT32_MIN};
    double in[ROOM] = {0}, out[ROOM];
    uint64_t handle = 4711;
    for (size_t i = 0; i < sizeof bad_dtypes / sizeof *bad_dtypes; i++)
        EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "bad", in, out, 4, bad_dtypes[i], NULL,
                         &handle);
    for (size_t i = 0; i < sizeof bad_ops / sizeof *bad_ops; i++)
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_allreduce_async(trial->context, "bad op", in, out, 4, RONDE_INT32,
                                            bad_ops[i], NULL, &handle));
    for (size_t i = 0; i < sizeof bad_roots / sizeof *bad_roots; i++)
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_broadcast_async(trial->context, "bad root", in, out, 4, RONDE_INT32,
                                            bad_roots[i], NULL, &handle));
    EXPECT(trial, strstr(ronde_last_error(), "root"), "\"%s\" does not speak of the root",
           ronde_last_error());
    EXPECT(trial, handle == 4711, "a failing call wrote its handle");
}

static void null_pointers_fail_at_once(struct trial *trial)
{
    double in[ROOM] = {0}, out[ROOM];
    uint64_t handle = 0;
    void *memory = NULL;
    size_t rows = 0;
    ronde_counters counters;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "null", NULL, out, 4, RONDE_INT32, NULL, &handle);
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "null", in, out, 4, RONDE_INT32, NULL, NULL);
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allreduce_async(trial->context, "null", in, NULL, 4, RONDE_INT32, RONDE_SUM,
                                        NULL, &handle));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_broadcast_async(trial->context, "null", in, NULL, 4, RONDE_INT32, 0, NULL,
                                        &handle));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* no memory, and yet room for rows */
                  ronde_allgather_async(trial->context, "null", in, 4, 1, RONDE_INT32, NULL, 4,
                                        NULL, NULL, &handle));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_malloc(trial->context, 100, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_counters_read(trial->context, NULL, sizeof counters));
    EXPECT(trial,
           ronde_take(trial->context, 0, NULL, &rows) < 0 &&
               ronde_take(trial->context, 0, &memory, NULL) < 0,
           "took into a null pointer");
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, NULL));
}

/* After ronde_close a context is NULL: that is use after close. */
static void without_a_context_all_fails(struct trial *trial)
{
    double in[ROOM] = {0}, out[ROOM];
    uint64_t handle = 0;
    void *memory = NULL;
    size_t rows = 0;
    ronde_counters counters;
    ronde_context *context = NULL;
    const int32_t statuses[] = {
        ronde_allreduce_async(NULL, "x", in, out, 4, RONDE_INT32, RONDE_SUM, NULL, &handle),
        ronde_broadcast_async(NULL, "x", in, out, 4, RONDE_INT32, 0, NULL, &handle),
        ronde_allgather_async(NULL, "x", in, 4, 1, RONDE_INT32, out, 4, NULL, NULL, &handle),
        ronde_allreduce(NULL, "x", in, out, 4, RONDE_INT32, RONDE_SUM, NULL),
        ronde_broadcast(NULL, "x", in, out, 4, RONDE_INT32, 0, NULL),
        ronde_allgather(NULL, "x", in, 4, 1, RONDE_INT32, out, 4, NULL, NULL),
        ronde_direct_allreduce(NULL, in, out, 4, RONDE_INT32, RONDE_SUM, NULL),
        ronde_direct_broadcast(NULL, in, out, 4, RONDE_INT32, 0, NULL),
        ronde_direct_allgather(NULL, in, 4, 1, RONDE_INT32, out, NULL, NULL),
        ronde_wait(NULL, 1),
        ronde_wait_for(NULL, 1, 0.1),
        ronde_poll(NULL, 1),
        ronde_take(NULL, 1, &memory, &rows),
        ronde_malloc(NULL, 100, &memory),
        ronde_counters_read(NULL, &counters, sizeof counters),
    };
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        EXPECT(trial, statuses[i] == RONDE_ERR_CLOSED || statuses[i] == RONDE_ERR_ARGUMENT,
               "call %zu without a context: %s", i, ronde_status_name(statuses[i]));
    EXPECT(trial,
           ronde_rank(NULL) == -1 && ronde_size(NULL) == -1 && ronde_local_rank(NULL) == -1 &&
               ronde_local_size(NULL) == -1 && ronde_cross_rank(NULL) == -1 &&
               ronde_cross_size(NULL) == -1 && ronde_is_homogeneous(NULL) == -1,
           "no context has a rank or size");
    ronde_close(&context); /* whatever it says, it lives */
}

static void sizes_that_overflow_fail_at_once(struct trial *trial)
{
    double in[ROOM] = {0}, out[ROOM];
    uint64_t handle = 0;
    const size_t counts[] = {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 8 + 1};
    for (size_t i = 0; i < 3; i++)
        EXPECT_ALL_KINDS(trial, RONDE_ERR_OVERFLOW, "overflow", in, out, counts[i], RONDE_FLOAT64,
                         NULL, &handle);
    EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                  ronde_allgather_async(trial->context, "overflow", in, (size_t)1 << 40,
                                        (size_t)1 << 30, RONDE_UINT8, out, 1, NULL, NULL, &handle));
}

static void overlapping_memory_fails_at_once(struct trial *trial)
{
    unsigned char data[1024] = {0};
    uint64_t handle = 0;
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allreduce_async(trial->context, "overlap", data, data + 8, 100, RONDE_UINT8,
                                        RONDE_SUM, NULL, &handle));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allreduce_async(trial->context, "overlap", data + 99, data, 100,
                                        RONDE_UINT8, RONDE_SUM, NULL, &handle));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* on the root, which reads `in` */
                  ronde_broadcast_async(trial->context, "overlap", data, data + 1, 100, RONDE_UINT8,
                                        trial->rank, NULL, &handle));
}

static void bad_shapes_fail_at_once(struct trial *trial)
{
    static const size_t right[] = {2, 3}, wrong[] = {2, 4},
                        many[17] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6};
    static const size_t overflowing[] = {(size_t)1 << 33, (size_t)1 << 33, 6};
    double in[ROOM] = {0}, out[ROOM];
    uint64_t handle = 0;
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.shape = wrong;
    call.dimensions = 2;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "shape", in, out, 6, RONDE_INT32, &call, &handle);
    call.shape = right;
    call.dimensions = -1;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "shape", in, out, 6, RONDE_INT32, &call, &handle);
    call.shape = many;
    call.dimensions = 17;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "shape", in, out, 6, RONDE_INT32, &call, &handle);
    call.shape = overflowing;
    call.dimensions = 3;
    int32_t status = ronde_allreduce_async(trial->context, "shape", in, out, 6, RONDE_INT32,
                                           RONDE_SUM, &call, &handle);
    EXPECT(trial, status == RONDE_ERR_ARGUMENT || status == RONDE_ERR_OVERFLOW, "%s",
           ronde_status_name(status));
    call.shape = right;
    call.dimensions = 0; /* of no dimension: nothing to gather along */
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allgather_async(trial->context, "shape", in, 1, 1, RONDE_INT32, out, ROOM,
                                        NULL, &call, &handle));
    call.dimensions = 2; /* multiplies to 6, but the rows are not 2 */
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allgather_async(trial->context, "shape", in, 3, 2, RONDE_INT32, out, ROOM,
                                        NULL, &call, &handle));
}

static void bad_names_fail_at_once(struct trial *trial)
{
    double in[ROOM] = {0}, out[ROOM];
    uint64_t handle = 0;
    char too_long[1002];
    memset(too_long, 'x', sizeof too_long);
    too_long[1001] = 0;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "", in, out, 4, RONDE_INT32, NULL, &handle);
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, too_long, in, out, 4, RONDE_INT32, NULL, &handle);
}

static void bad_calls_fail_at_once(struct trial *trial)
{
    double in[ROOM] = {0}, out[ROOM];
    uint64_t handle = 0;
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.process_set = 1;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_PROCESS_SET, "set", in, out, 4, RONDE_INT32, &call, &handle);
    call.process_set = -1;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_PROCESS_SET, "set", in, out, 4, RONDE_INT32, &call, &handle);
    ronde_call_init(&call, sizeof call);
    call.size = 0;
    EXPECT_ALL_KINDS(trial, RONDE_ERR_ARGUMENT, "size", in, out, 4, RONDE_INT32, &call, &handle);
}

static void direct_calls_check_the_same(struct trial *trial)
{
    double in[ROOM] = {0}, out[ROOM];
    ronde_context *context = trial->context;
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_allreduce(context, in, out, 4, 99, RONDE_SUM, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_allreduce(context, in, out, 4, RONDE_INT32, 99, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_allreduce(context, NULL, out, 4, RONDE_INT32, RONDE_SUM, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_allreduce(context, in, in + 1, 4, RONDE_FLOAT64, RONDE_SUM, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                  ronde_direct_allreduce(context, in, out, SIZE_MAX / 4, RONDE_FLOAT64, RONDE_SUM,
                                         NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_broadcast(context, in, out, 4, RONDE_INT32, trial->size, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_broadcast(context, in, NULL, 4, RONDE_INT32, 0, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_allgather(context, in, 4, 1, 99, out, NULL, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_allgather(context, NULL, 4, 1, RONDE_INT32, out, NULL, NULL));
}

/* ---- handles and duplicates ------------------------------------------------------------------ */

static void stale_handles_fail(struct trial *trial)
{
    static const uint64_t never[] = {0, 1, 12345, UINT64_MAX, UINT64_C(1) << 32, UINT64_C(1) << 63};
    int32_t one = 1, sum = 0;
    uint64_t handle = 0;
    void *memory = NULL;
    size_t rows = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, "stale", &one, &sum, 1, RONDE_INT32,
                                        RONDE_SUM, NULL, &handle));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(trial->context, handle));
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait_for(trial->context, handle, 0.1));
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_poll(trial->context, handle));
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_take(trial->context, handle, &memory, &rows));
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (never[i] == handle)
            continue;
        EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(trial->context, never[i]));
        EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_poll(trial->context, never[i]));
    }
}

/* Slots of handles are used again: an old handle must not reach the new operation. */
static void an_old_handle_never_means_a_new_operation(struct trial *trial)
{
    uint64_t handles[300];
    int32_t one = 1, sum = 0;
    for (size_t i = 0; i < 300; i++) {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, "again", &one, &sum, 1, RONDE_INT32,
                                            RONDE_SUM, NULL, &handles[i]));
        for (size_t k = i > 5 ? i - 5 : 0; k < i; k++)
            EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_poll(trial->context, handles[k]));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
    }
}

/* Only an allgather that the library allocated for, once, when it is done. */
static void take_refuses_what_it_cannot_give(struct trial *trial)
{
    int32_t one = 1, sum = 0, all[ROOM];
    uint64_t handles[3] = {0, 0, 0};
    void *memory = NULL, *again = NULL;
    size_t rows = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, "take", &one, &sum, 1, RONDE_INT32,
                                        RONDE_SUM, NULL, &handles[0]));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather_async(trial->context, "take", &one, 1, 1, RONDE_INT32, all, ROOM,
                                        NULL, NULL, &handles[1]));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather_async(trial->context, "take this", &one, 1, 1, RONDE_INT32, NULL,
                                        0, NULL, NULL, &handles[2]));
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 100000 && ronde_poll(trial->context, handles[i]) == RONDE_PENDING; k++)
            nap(1e-4);
    for (int i = 0; i < 2; i++) {
        int32_t status = ronde_take(trial->context, handles[i], &memory, &rows);
        EXPECT(trial, status == RONDE_ERR_HANDLE || status == RONDE_ERR_ARGUMENT,
               "took from the wrong operation %d: %s", i, ronde_status_name(status));
    }
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_take(trial->context, handles[2], NULL, &rows));
    EXPECT_STATUS(trial, RONDE_OK, ronde_take(trial->context, handles[2], &memory, &rows));
    EXPECT(trial, memory && rows == (size_t)trial->size, "%zu rows at %p", rows, memory);
    EXPECT(trial, ronde_take(trial->context, handles[2], &again, &rows) < 0 && !again,
           "took twice");
    for (int i = 0; i < 3; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, memory));
}

/* What is free already, was taken by nobody, or is not the beginning. */
static void free_refuses_what_it_did_not_give(struct trial *trial)
{
    const int64_t index = trial->rank;
    int32_t one = 1;
    uint64_t handle = 0;
    void *memory[4] = {NULL, NULL, NULL, NULL};
    int64_t *indices = NULL;
    size_t rows = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_sparse_allreduce_async(trial->context, "free", &index, &one, 1, 1,
                                               RONDE_INT32, RONDE_SUM, NULL, &handle));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_take_sparse(trial->context, handle, &indices, &memory[0], &rows));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    memory[1] = indices;
    EXPECT_STATUS(trial, RONDE_OK, ronde_malloc(trial->context, 300, &memory[2]));
    for (int i = 0; i < 2; i++) { /* the second is left to closing */
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allgather_async(trial->context, "free", &one, 1, 1, RONDE_INT32, NULL,
                                            0, NULL, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_OK, ronde_take(trial->context, handle, &memory[3], &rows));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
        if (i)
            break;
        for (int k = 0; k < 4; k++) {
            EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                          ronde_free(trial->context, (char *)memory[k] + 1));
            EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, memory[k]));
            EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_free(trial->context, memory[k]));
            EXPECT_ERROR(trial, "free of 0x");
        }
    }
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_free(trial->context, &rows));
}

/* While rank 0 is ahead of the others, its operations cannot finish. */
static void a_duplicate_fails_where_it_is_made(struct trial *trial)
{
    struct {
        int32_t one, sum, more[2];
    } data = {1, 0, {0, 0}};
    int32_t all[ROOM], first = 0;
    uint64_t handles[3] = {0, 0, 0}, other = 4711;
    if (trial->size == 1)
        return;
    for (int turn = 0; turn < 2; turn++) {
        if ((trial->rank == 0) == (turn == 0)) {
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, "twice", &data.one, &data.sum, 1,
                                                RONDE_INT32, RONDE_SUM, NULL, &handles[0]));
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_broadcast_async(trial->context, "twice", &data.one, &first, 1,
                                                RONDE_INT32, 0, NULL, &handles[1]));
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allgather_async(trial->context, "twice", &data.one, 1, 1,
                                                RONDE_INT32, trial->rank ? all : NULL,
                                                trial->rank ? ROOM : 0, NULL, NULL, &handles[2]));
        }
        if (turn == 0 && trial->rank == 0) {
            EXPECT_ALL_KINDS(trial, RONDE_ERR_DUPLICATE, "twice", &data.more[0], &data.more[1], 1,
                             RONDE_INT32, NULL, &other);
            EXPECT(trial, strstr(ronde_last_error(), "twice") && other == 4711,
                   "\"%s\", handle %llu", ronde_last_error(), (unsigned long long)other);
        }
        if (turn == 0)
            meet(trial, "after the duplicate");
    }
    for (int i = 0; i < 3; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
    EXPECT(trial, data.sum == trial->size && first == 1, "sum %d, first %d", (int)data.sum,
           (int)first);
}

static void unreasonable_memory_is_refused(struct trial *trial)
{
    void *memory = NULL;
    int32_t status = ronde_malloc(trial->context, SIZE_MAX / 2, &memory);
    EXPECT(trial, status == RONDE_ERR_MEMORY || status == RONDE_ERR_OVERFLOW, "%s",
           ronde_status_name(status));
    status = ronde_malloc(trial->context, SIZE_MAX - 3, &memory);
    EXPECT(trial, status == RONDE_ERR_MEMORY || status == RONDE_ERR_OVERFLOW, "%s",
           ronde_status_name(status));
    EXPECT(trial, !memory, "a failing call wrote its result");
}

/* The others are waiting meanwhile: nothing that one rank does wrong is their business. */
static void one_rank_errs(struct trial *trial, int rank)
{
    if (trial->rank == rank) {
        bad_arguments_fail_at_once(trial);
        null_pointers_fail_at_once(trial);
        without_a_context_all_fails(trial);
        sizes_that_overflow_fail_at_once(trial);
        overlapping_memory_fails_at_once(trial);
        bad_shapes_fail_at_once(trial);
        bad_names_fail_at_once(trial);
        bad_calls_fail_at_once(trial);
        direct_calls_check_the_same(trial);
        unreasonable_memory_is_refused(trial);
    }
    meet(trial, "after errors of one rank");
}

/* ---- opening with a bad setting -------------------------------------------------------------- */

static void bad_settings_are_named(struct trial *trial)
{
    static const char *const settings[][2] = {{"fusion_threshold=banana", "banana"},
                                              {"no_such_setting=1", "no_such_setting"},
                                              {"slots=0", "slots"},
                                              {"stall_warn", "stall_warn"},
                                              {"allreduce=0-16k:banana", "banana"},
                                              {"process_sets=0/x",
                                               "the setting process_sets is \"0/x\": want "},
                                              {"process_sets=0,0", "want lists of ranks below"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings && !ranks_are_threads(); i++) {
        ronde_options options;
        ronde_context *context = NULL;
        ronde_options_init(&options, sizeof options);
        options.settings = settings[i][0];
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_open(&options, &context));
        EXPECT(trial, strstr(ronde_last_error(), settings[i][1]) && !context,
               "\"%s\" does not name %s", ronde_last_error(), settings[i][1]);
    }
    meet(trial, "after bad settings");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    one_rank_errs(&trial, 0);
    one_rank_errs(&trial, trial.size - 1);
    stale_handles_fail(&trial);
    an_old_handle_never_means_a_new_operation(&trial);
    take_refuses_what_it_cannot_give(&trial);
    free_refuses_what_it_did_not_give(&trial);
    a_duplicate_fails_where_it_is_made(&trial);
    bad_settings_are_named(&trial);
    return trial_end(&trial);
}
