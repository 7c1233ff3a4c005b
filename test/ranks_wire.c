/* ronde-test: np=1,2,3,4 np=4/2,3/1,5/2 threads=2/2,4/2,3/1,8/1 mpich=2 hosts=4/2 timeout=60 */
/* Sums of float32 that cross the network as float16 or bfloat16: what is exact in those arrives
 * exactly, the rest rounded as often as promised; a node rounds nothing; half the bytes are sent. */
#include <math.h>
#include <string.h>

#include "trial.h"

enum { COUNT = 3001, LARGE = 1 << 18 };

static ronde_call call_over(int32_t wire)
{
    ronde_call call = call_in(0);
    call.wire = wire;
    return call;
}

/* 0 .. 31, so that sums over 8 ranks have 8 bits. */
static float whole(int rank, size_t index)
{
    return (float)(ranks_value(rank, index) % 32);
}

static float whole_sum(int size, size_t index)
{
    float sum = 0;
    for (int rank = 0; rank < size; rank++)
        sum += whole(rank, index);
    return sum;
}

static float fraction(int rank, size_t index)
{
    return (float)((double)(mix((uint64_t)rank * 1000003 + index) % 100003) / 50001 - 1);
}

static int crosses(struct trial *trial)
{
    return ronde_cross_size(trial->context) > 1;
}

/* ---- values ---------------------------------------------------------------------------------- */

static void what_is_exact_arrives_exactly(struct trial *trial)
{
    static const size_t counts[] = {0, 1, 7, 100, COUNT};
    float in[COUNT], out[COUNT];
    for (int i = 0; i < 2 * 5; i++) {
        ronde_call call = call_over(i % 2 ? RONDE_WIRE_FLOAT16 : RONDE_WIRE_BFLOAT16);
        size_t count = counts[i / 2], wrong = 0;
        for (size_t k = 0; k < count; k++)
            in[k] = whole(trial->rank, k);
        memset(out, 0, sizeof(out));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, "exact", in, out, count, RONDE_FLOAT32,
                                      RONDE_SUM, &call));
        for (size_t k = 0; k < count; k++)
            wrong += out[k] != whole_sum(trial->size, k);
        call.prescale = 2;
        call.postscale = 0.25;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_direct_allreduce(trial->context, in, in, count, RONDE_FLOAT32,
                                             RONDE_SUM, &call));
        for (size_t k = 0; k < count; k++)
            wrong += in[k] != whole_sum(trial->size, k) / 2;
        EXPECT(trial, !wrong, "wire %d, %zu elements: %zu wrong", call.wire, count, wrong);
    }
}

static void roots_and_shares_get_the_same(struct trial *trial)
{
    enum { ROWS = 13, ROW = 11 };
    float in[ROWS * ROW], out[ROWS * ROW] = {0}, share[ROWS * ROW] = {0};
    ronde_call call = call_over(RONDE_WIRE_BFLOAT16);
    size_t wrong = 0, rows = ronde_share_rows(ROWS, trial->size, trial->rank), from = 0;
    int root = trial->size - 1;
    for (size_t k = 0; k < ROWS * ROW; k++)
        in[k] = whole(trial->rank, k);
    for (int rank = 0; rank < trial->rank; rank++)
        from += ronde_share_rows(ROWS, trial->size, rank);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce(trial->context, "root", in, out, ROWS * ROW, RONDE_FLOAT32,
                               RONDE_SUM, root, &call));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter(trial->context, "shares", in, ROWS, ROW, RONDE_FLOAT32,
                                      RONDE_SUM, share, ROWS, &call));
    for (size_t k = 0; k < ROWS * ROW && trial->rank == root; k++)
        wrong += out[k] != whole_sum(trial->size, k);
    for (size_t k = 0; k < rows * ROW; k++)
        wrong += share[k] != whole_sum(trial->size, from * ROW + k);
    EXPECT(trial, !wrong, "%zu wrong", wrong);
}

/* A rounding is at most 2^-11 or 2^-8 of the value: one for each node's sum, one for each sum of
 * them, one for the result. */
static void fractions_are_rounded_a_few_times(struct trial *trial)
{
    static const double unit[] = {0, 0x1p-11, 0x1p-8};
    float in[COUNT], out[COUNT], plain[COUNT];
    for (size_t k = 0; k < COUNT; k++)
        in[k] = fraction(trial->rank, k);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "plain", in, plain, COUNT, RONDE_FLOAT32,
                                  RONDE_AVERAGE, NULL));
    for (int32_t wire = RONDE_WIRE_FLOAT16; wire <= RONDE_WIRE_BFLOAT16; wire++) {
        ronde_call call = call_over(wire);
        double most = 0, roundings = 2 * ronde_cross_size(trial->context);
        size_t differ = 0;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, "rounded", in, out, COUNT, RONDE_FLOAT32,
                                      RONDE_AVERAGE, &call));
        for (size_t k = 0; k < COUNT; k++) {
            double error = fabs((double)out[k] - (double)plain[k]);
            most = error > most ? error : most;
            differ += memcmp(&out[k], &plain[k], 4) != 0;
        }
        EXPECT(trial, most <= roundings * unit[wire], "wire %d: an error of %g", wire, most);
        EXPECT(trial, (differ > COUNT / 2) == crosses(trial) && (!differ || crosses(trial)),
               "wire %d over %d nodes: %zu of %d differ", wire, ronde_cross_size(trial->context),
               differ, COUNT);
        same_everywhere(trial, out, sizeof(out), "a narrowed average");
    }
}

/* At once, and each on its own wire: no fusion mixes them, and none changes their bits. */
static void tensors_have_wires_of_their_own(struct trial *trial)
{
    enum { N = 24, EACH = 200 };
    float in[EACH], fused[N][EACH], alone[N][EACH];
    uint64_t handles[N];
    for (size_t k = 0; k < EACH; k++)
        in[k] = fraction(trial->rank, k);
    for (int i = 0; i < N; i++) {
        ronde_call call = call_over(i % 3);
        char name[16];
        snprintf(name, sizeof(name), "own%d", i);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, in, fused[i], EACH, RONDE_FLOAT32,
                                            RONDE_SUM, &call, &handles[i]));
    }
    for (int i = 0; i < N; i++) {
        ronde_call call = call_over(i % 3);
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, NULL, in, alone[i], EACH, RONDE_FLOAT32,
                                      RONDE_SUM, &call));
        EXPECT(trial, !memcmp(fused[i], alone[i], sizeof(alone[i])), "tensor %d: other bits", i);
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static uint64_t bytes_of(struct trial *trial, float *data, int32_t wire)
{
    ronde_counters before, after;
    ronde_call call = call_over(wire);
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, NULL, NULL));
    ronde_counters_read(trial->context, &before, sizeof(before));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allreduce(trial->context, data, data, LARGE, RONDE_FLOAT32,
                                         RONDE_MAX, &call));
    ronde_counters_read(trial->context, &after, sizeof(after));
    return after.bytes_sent - before.bytes_sent;
}

static void half_the_bytes_are_sent(struct trial *trial)
{
    float *data = calloc(LARGE, sizeof(*data));
    uint64_t full = bytes_of(trial, data, RONDE_WIRE_AS_IS);
    uint64_t half = bytes_of(trial, data, RONDE_WIRE_BFLOAT16);
    free(data);
    if (!crosses(trial) || full < LARGE)
        return; /* nothing to send, or this rank carries nothing */
    EXPECT(trial, half > full * 45 / 100 && half < full * 55 / 100,
           "%llu bytes as float32, %llu as bfloat16", (unsigned long long)full,
           (unsigned long long)half);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void what_has_no_such_sums_is_refused(struct trial *trial)
{
    float data[4] = {0};
    double wide[4] = {0};
    ronde_call call = call_over(RONDE_WIRE_FLOAT16), unknown = call_over(7);
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allreduce(trial->context, "w", wide, wide, 4, RONDE_FLOAT64, RONDE_SUM,
                                  &call));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allreduce(trial->context, "w", data, data, 4, RONDE_FLOAT32, RONDE_ADASUM,
                                  &call));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_broadcast(trial->context, "w", data, data, 4, RONDE_FLOAT32, 0, &call));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_allreduce(trial->context, "w", data, data, 4, RONDE_FLOAT32, RONDE_SUM,
                                  &unknown));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_direct_allreduce(trial->context, wide, wide, 4, RONDE_FLOAT64, RONDE_SUM,
                                         &call));
}

static void ranks_must_agree_on_it(struct trial *trial)
{
    float data[5] = {1, 2, 3, 4, 5};
    ronde_call call = call_over(trial->rank ? RONDE_WIRE_AS_IS : RONDE_WIRE_BFLOAT16);
    int32_t wanted = trial->size > 1 ? RONDE_ERR_MISMATCH : RONDE_OK;
    EXPECT_STATUS(trial, wanted,
                  ronde_allreduce(trial->context, "agreed", data, data, 5, RONDE_FLOAT32, RONDE_SUM,
                                  &call));
    if (trial->size > 1)
        EXPECT_ERROR(trial, "wire", "bfloat16", "float32");
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, NULL, NULL));
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    what_is_exact_arrives_exactly(&trial);
    roots_and_shares_get_the_same(&trial);
    fractions_are_rounded_a_few_times(&trial);
    tensors_have_wires_of_their_own(&trial);
    half_the_bytes_are_sent(&trial);
    what_has_no_such_sums_is_refused(&trial);
    ranks_must_agree_on_it(&trial);
    return trial_end(&trial);
}
