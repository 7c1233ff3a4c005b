/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: np=4/2 threads=4/2,3/2 settings=wire_buffer_bytes=64K timeout=60 */
/* Messages by name: pairs, rings, to oneself, in any order of submission, many in flight, beside
 * collectives; disagreement of both ends, and what one end alone does wrong. */
#include "samples.h"
#include "trial.h"

/* One end of a message. */
struct parcel {
    int is_send, peer;
    int32_t dtype;
    size_t count;
    int in_arena;
    uint64_t seed; /* the same at both ends */
    struct memory memory;
    uint64_t handle;
};

static void parcel_fill(const struct parcel *parcel, unsigned char *data)
{
    size_t bytes = parcel->count * ronde_dtype_bytes(parcel->dtype);
    size_t first = bytes < 997 ? bytes : 997;
    for (size_t i = 0; i < first; i++)
        data[i] = (unsigned char)(mix(parcel->seed * 4096 + i) &
                                  (parcel->dtype == RONDE_BOOL ? 1 : 255));
    repeat_period(data, bytes, first);
}

static void parcel_submit(struct trial *trial, struct parcel *parcel, const char *name)
{
    size_t element = ronde_dtype_bytes(parcel->dtype);
    memory_open(trial, &parcel->memory, parcel->count * element, element, parcel->in_arena, 1);
    if (parcel->is_send) {
        parcel_fill(parcel, parcel->memory.data);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_send_async(trial->context, name, parcel->memory.data, parcel->count,
                                       parcel->dtype, parcel->peer, NULL, &parcel->handle));
    } else {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_recv_async(trial->context, name, parcel->memory.data, parcel->count,
                                       parcel->dtype, parcel->peer, NULL, &parcel->handle));
    }
}

static void parcel_close(struct trial *trial, struct parcel *parcel)
{
    size_t bytes = parcel->count * ronde_dtype_bytes(parcel->dtype), wrong = 0;
    unsigned char *wanted = malloc(bytes + 1);
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, parcel->handle));
    parcel_fill(parcel, wanted);
    while (wrong < bytes && wanted[wrong] == parcel->memory.data[wrong])
        wrong++;
    EXPECT(trial, wrong == bytes, "%s of %zu %s with rank %d: byte %zu of %zu is wrong",
           parcel->is_send ? "send" : "receipt", parcel->count, ronde_dtype_name(parcel->dtype),
           parcel->peer, wrong, bytes);
    memory_close(trial, &parcel->memory);
    free(wanted);
}

static void every_dtype_and_size_goes_round_a_ring(struct trial *trial)
{
    static const size_t counts[] = {0, 1, 7, 1000, 50021};
    int next = (trial->rank + 1) % trial->size,
        previous = (trial->rank ? trial->rank : trial->size) - 1;
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        for (int i = 0; i < 5; i++) {
            uint64_t seed = (uint64_t)(dtype * 8 + i) * 64;
            struct parcel to = {1,   next, dtype, counts[i], i % 2, seed + (uint64_t)trial->rank,
                                {0}, 0};
            struct parcel from = {0,         previous,  dtype,
                                  counts[i], dtype % 2, seed + (uint64_t)previous,
                                  {0},       0};
            if ((trial->rank + i) % 2) { /* one name, both ways, in either order */
                parcel_submit(trial, &from, "ring");
                parcel_submit(trial, &to, "ring");
            } else {
                parcel_submit(trial, &to, "ring");
                parcel_submit(trial, &from, "ring");
            }
            parcel_close(trial, &to);
            parcel_close(trial, &from);
        }
    }
}

static void several_megabytes_go_both_ways_at_once(struct trial *trial)
{
    int peer = trial->rank ^ 1; /* the last of an odd number has none */
    for (int i = 0; i < 4 && peer < trial->size; i++) {
        uint64_t seed = 777 + (uint64_t)i * 64;
        struct parcel to = {1,   peer, RONDE_FLOAT32, 1000003, i % 2, seed + (uint64_t)trial->rank,
                            {0}, 0};
        struct parcel from = {0,   peer, RONDE_FLOAT32, 1000003, i / 2, seed + (uint64_t)peer,
                              {0}, 0};
        parcel_submit(trial, &to, "both ways");
        parcel_submit(trial, &from, "both ways");
        parcel_close(trial, &from);
        parcel_close(trial, &to);
    }
    meet(trial, "after both ways");
}

static void a_rank_may_send_to_itself(struct trial *trial)
{
    for (int i = 0; i < 6; i++) {
        size_t count = i < 4 ? (size_t)i * 100 : 600011;
        struct parcel to = {1, trial->rank, RONDE_INT16, count, i % 2, 5 + (uint64_t)i, {0}, 0};
        struct parcel from = to;
        from.is_send = 0;
        from.in_arena = i % 3 == 0;
        parcel_submit(trial, i % 2 ? &to : &from, "myself");
        parcel_submit(trial, i % 2 ? &from : &to, "myself");
        parcel_close(trial, &to);
        parcel_close(trial, &from);
    }
}

enum { EACH = 12, MOST = 8 * EACH };

/* EACH messages from every rank to every rank, itself included, of all sizes and dtypes; each rank
 * submits its ends, and waits for them, in orders of its own. */
static void many_in_flight_meet_in_any_order(struct trial *trial)
{
    static const size_t counts[] = {3, 0, 400, 20000, 1, 77};
    size_t n = 2 * EACH * (size_t)trial->size, order[2 * MOST];
    struct parcel parcels[2 * MOST];
    uint64_t dice = (uint64_t)trial->rank * 3 + 1;
    for (int round = 0; round < 2; round++) {
        dice_order(&dice, order, n);
        for (size_t k = 0; k < n; k++) {
            size_t i = order[k] / 2 % EACH;
            int is_send = order[k] % 2, peer = (int)(order[k] / 2 / EACH);
            int from = is_send ? trial->rank : peer, to = is_send ? peer : trial->rank;
            struct parcel parcel = {is_send,
                                    peer,
                                    (int32_t)i % (RONDE_FLOAT64 + 1),
                                    counts[i % 6],
                                    (int)i % 4 == 1,
                                    (uint64_t)(from * 64 + to) * 64 + i,
                                    {0},
                                    0};
            char name[32];
            snprintf(name, sizeof name, "%d to %d: %zu", from, to, i);
            parcels[order[k]] = parcel;
            parcel_submit(trial, &parcels[order[k]], name);
        }
        dice_order(&dice, order, n);
        for (size_t k = 0; k < n; k++)
            parcel_close(trial, &parcels[order[k]]);
    }
}

static void unnamed_messages_match_by_order(struct trial *trial)
{
    struct parcel parcels[5];
    for (int i = 0; i < 5 && trial->size > 1 && trial->rank < 2; i++) {
        struct parcel parcel = {trial->rank == 0,
                                !trial->rank,
                                RONDE_UINT32,
                                10 + (size_t)i,
                                0,
                                90 + (uint64_t)i,
                                {0},
                                0};
        parcels[i] = parcel;
        parcel_submit(trial, &parcels[i], NULL);
    }
    for (int i = 4; i >= 0 && trial->size > 1 && trial->rank < 2; i--)
        parcel_close(trial, &parcels[i]);
    meet(trial, "after unnamed messages");
}

/* The last rank receives only after everybody has met many times, which takes the sender too. */
static void a_late_receipt_holds_up_no_collective(struct trial *trial)
{
    int last = trial->size - 1;
    struct parcel parcel = {
        trial->rank == 0, trial->rank == 0 ? last : 0, RONDE_FLOAT64, 300007, 0, 4242, {0}, 0};
    if (last == 0)
        return;
    if (trial->rank == 0)
        parcel_submit(trial, &parcel, "late");
    for (int i = 0; i < 20; i++) {
        meet(trial, "meanwhile");
        if (trial->rank == 0)
            EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, parcel.handle));
    }
    if (trial->rank == last) {
        nap(0.05);
        parcel_submit(trial, &parcel, "late");
    }
    if (trial->rank == 0 || trial->rank == last)
        parcel_close(trial, &parcel);
    meet(trial, "after the late one");
}

/* Pairs exchange while all ranks reduce and gather, under the same names. */
static void messages_go_beside_collectives(struct trial *trial)
{
    enum { N = 10, COUNT = 5000 };
    float(*data)[COUNT] = malloc(N * sizeof *data);
    struct parcel to[N], from[N];
    uint64_t handles[N];
    int next = (trial->rank + 1) % trial->size,
        previous = (trial->rank ? trial->rank : trial->size) - 1;
    char name[32];
    for (int i = 0; i < N; i++) {
        struct parcel one = {1,           next,
                             RONDE_INT64, (size_t)i * 999,
                             0,           (uint64_t)(i * 64 + trial->rank),
                             {0},         0};
        struct parcel other = {0,           previous,
                               RONDE_INT64, (size_t)i * 999,
                               0,           (uint64_t)(i * 64 + previous),
                               {0},         0};
        to[i] = one;
        from[i] = other;
        for (int k = 0; k < COUNT; k++)
            data[i][k] = (float)ranks_value(trial->rank, (size_t)(k + i));
        snprintf(name, sizeof name, "beside %d", i);
        parcel_submit(trial, &to[i], name);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, data[i], data[i], COUNT,
                                            RONDE_FLOAT32, RONDE_SUM, NULL, &handles[i]));
    }
    for (int i = N - 1; i >= 0; i--) {
        snprintf(name, sizeof name, "beside %d", i);
        parcel_submit(trial, &from[i], name);
    }
    for (int i = 0; i < N; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        for (int k = 0; k < COUNT; k++)
            EXPECT(trial, data[i][k] == (float)ranks_sum(trial->size, (size_t)(k + i)),
                   "tensor %d, element %d: %g", i, k, (double)data[i][k]);
        parcel_close(trial, &from[i]);
        parcel_close(trial, &to[i]);
    }
    free(data);
}

/* Both ends learn that they disagree, and what the other one said; nobody else does. */
static void disagreement_is_told_to_both_ends(struct trial *trial)
{
    int32_t data[64] = {0};
    for (int i = 0; i < 3 && trial->size > 1; i++) {
        int first = i % trial->size, second = (first + 1) % trial->size;
        int32_t dtype = i == 1 ? RONDE_FLOAT32 : RONDE_INT32;
        if (trial->rank == first) {
            EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                          ronde_send(trial->context, "odd", data, 43, RONDE_INT32, second, NULL));
            EXPECT_ERROR(trial, "odd", "rank", i == 1 ? "float32" : "57", i == 1 ? "int32" : "43");
        } else if (trial->rank == second) {
            EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                          ronde_recv(trial->context, "odd", data, i == 1 ? 43 : 57, dtype, first,
                                     NULL));
            EXPECT_ERROR(trial, "odd", "rank", i == 1 ? "float32" : "57", i == 1 ? "int32" : "43");
        }
        data[0] = trial->rank;
        if (trial->rank == first)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_send(trial->context, "odd", data, 1, RONDE_INT32, second, NULL));
        if (trial->rank == second)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_recv(trial->context, "odd", data, 1, RONDE_INT32, first, NULL));
        EXPECT(trial, trial->rank != second || data[0] == first, "%d from rank %d", (int)data[0],
               first);
    }
    meet(trial, "after disagreement");
}

/* One rank errs alone, and nobody else notices. */
static void what_one_end_does_wrong_fails_there(struct trial *trial)
{
    static const int32_t far = INT32_MAX, low = INT32_MIN;
    double data[8] = {0};
    uint64_t handle = 4711, group = 0;
    ronde_context *context = trial->context;
    const int32_t peers[] = {-1, trial->size, far, low};
    if (trial->rank == 0) {
        for (int i = 0; i < 4; i++) {
            EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                          ronde_send_async(context, "wrong", data, 1, RONDE_FLOAT64, peers[i], NULL,
                                           &handle));
            EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                          ronde_recv_async(context, "wrong", data, 1, RONDE_FLOAT64, peers[i], NULL,
                                           &handle));
        }
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_send_async(context, "wrong", NULL, 1, RONDE_FLOAT64, 0, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_recv_async(context, "wrong", NULL, 1, RONDE_FLOAT64, 0, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_send_async(context, "wrong", data, 1, 99, 0, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                      ronde_recv_async(context, "wrong", data, SIZE_MAX / 4, RONDE_FLOAT64, 0, NULL,
                                       &handle));
        ronde_call call = call_in(0); /* messages go in no group */
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_begin(context, &group));
        call.group = group;
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_send_async(context, "wrong", data, 1, RONDE_FLOAT64, 0, &call,
                                       &handle));
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_cancel(context, group));
        EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after errors of one rank");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_and_size_goes_round_a_ring(&trial);
    several_megabytes_go_both_ways_at_once(&trial);
    a_rank_may_send_to_itself(&trial);
    many_in_flight_meet_in_any_order(&trial);
    unnamed_messages_match_by_order(&trial);
    a_late_receipt_holds_up_no_collective(&trial);
    messages_go_beside_collectives(&trial);
    disagreement_is_told_to_both_ends(&trial);
    what_one_end_does_wrong_fails_there(&trial);
    return trial_end(&trial);
}
