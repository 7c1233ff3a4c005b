/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* The weighted average, the sum of weight times contribution by the sum of the weights, of every
 * dtype; weights of 0, weights that make no sense, and ranks that have joined. */
#include "samples.h"
#include "trial.h"

enum { COUNT = 300 };

/* Weights by rank. Those of POWERS sum to a power of two for 1, 2, 4 and 8 ranks. */
enum weights { EQUAL, POWERS, SMALL, SOME_ZERO, ONE_ALONE, FRACTIONS, SHAPES_OF_WEIGHTS };

static double weight_of(enum weights weights, int rank, int size)
{
    switch (weights) {
    case EQUAL: return 1;
    case POWERS: return rank % 2 ? 3 : 1;
    case SMALL: return rank + 1;
    case SOME_ZERO: return rank % 2 == 0;
    case ONE_ALONE: return rank == size - 1 ? 5 : 0;
    case FRACTIONS: return 0.37 * (rank + 1) + 0.01;
    case SHAPES_OF_WEIGHTS: break;
    }
    return 0;
}

/* -15 .. 15, or 0 .. 15 without a sign: so small that 8 of them, each times 8, fit in 16 bits. */
static double value_of(int32_t dtype, int rank, size_t index)
{
    int value = (int)(mix((uint64_t)rank * SAMPLE_PERIOD + index % SAMPLE_PERIOD) % 31) - 15;
    int has_sign = is_float(dtype) || is_signed_integer(dtype);
    return has_sign || value >= 0 ? value : -value;
}

static void fill(unsigned char *data, int32_t dtype, int rank, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value = value_of(dtype, rank, i);
        if (is_float(dtype))
            store_float(data, dtype, i, value);
        else
            store_integer(data, dtype, i, (uint64_t)(int64_t)value);
    }
}

static double average_of(enum weights weights, int32_t dtype, const struct members *members,
                         int size, size_t index)
{
    double sum = 0, weight = 0;
    for (int i = 0; i < members->n; i++) {
        double one = weight_of(weights, members->ranks[i], size);
        sum += one * value_of(dtype, members->ranks[i], index);
        weight += one;
    }
    return sum / weight;
}

/* Floats are near what real numbers give; integers are that, cut towards zero. */
static void compare(struct trial *trial, const unsigned char *data, int32_t dtype,
                    enum weights weights, const struct members *members, size_t count)
{
    static const double error[] = {1e-3, 8e-3, 1e-6, 1e-14};
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        double wanted = average_of(weights, dtype, members, trial->size, i);
        unsigned char cut[8];
        if (is_float(dtype)) {
            wrong += !(fabs(float_value(data, dtype, i) - wanted) <=
                       (15 + fabs(wanted)) * error[dtype - RONDE_FLOAT16]);
        } else {
            size_t bytes = ronde_dtype_bytes(dtype);
            store_integer(cut, dtype, 0, (uint64_t)(int64_t)wanted);
            wrong += memcmp(data + i * bytes, cut, bytes) != 0;
        }
    }
    EXPECT(trial, !wrong, "weights %d of %d ranks: %zu of %zu %s are wrong", (int)weights,
           members->n, wrong, count, ronde_dtype_name(dtype));
}

static int32_t average(struct trial *trial, const char *name, const void *in, void *out,
                       size_t count, int32_t dtype, double weight)
{
    ronde_call call = call_in(0);
    call.weight = weight;
    return ronde_allreduce(trial->context, name, in, out, count, dtype, RONDE_WEIGHTED_AVERAGE,
                           &call);
}

/* In 8 bits the sums of 8 ranks' values times weights would not fit: fewer ranks, or no weights. */
static int fits(int32_t dtype, enum weights weights, int size)
{
    if (ronde_dtype_bytes(dtype) > 1)
        return is_float(dtype) || weights != FRACTIONS; /* where an integer may be cut either way */
    return dtype != RONDE_BOOL && size <= 8 && (weights == EQUAL || weights == SOME_ZERO);
}

static void every_dtype_is_weighed(struct trial *trial)
{
    struct members all = members_first(trial->size);
    for (int32_t dtype = RONDE_UINT8; dtype <= RONDE_FLOAT64; dtype++) {
        for (int weights = EQUAL; weights < SHAPES_OF_WEIGHTS; weights++) {
            unsigned char in[8 * COUNT], out[8 * COUNT];
            double weight = weight_of((enum weights)weights, trial->rank, trial->size);
            if (!fits(dtype, (enum weights)weights, trial->size))
                continue;
            fill(in, dtype, trial->rank, COUNT);
            EXPECT_STATUS(trial, RONDE_OK,
                          average(trial, "weighed", in, out, COUNT, dtype, weight));
            compare(trial, out, dtype, (enum weights)weights, &all, COUNT);
            same_everywhere(trial, out, COUNT * ronde_dtype_bytes(dtype), "a weighted average");
            EXPECT_STATUS(trial, RONDE_OK, /* in place */
                          average(trial, "weighed", in, in, COUNT, dtype, weight));
            EXPECT(trial, !memcmp(in, out, COUNT * ronde_dtype_bytes(dtype)),
                   "%s in place: other bits", ronde_dtype_name(dtype));
        }
    }
}

/* Exactly: equal weights give the bits of an average, and one weight alone the one contribution. */
static void plain_weights_give_plain_averages(struct trial *trial)
{
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        unsigned char in[8 * COUNT], out[8 * COUNT], plain[8 * COUNT];
        size_t bytes = COUNT * ronde_dtype_bytes(dtype);
        int is_last = trial->rank == trial->size - 1;
        fill(in, dtype, trial->rank, COUNT);
        EXPECT_STATUS(trial, RONDE_OK, average(trial, "plain", in, out, COUNT, dtype, 1));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, "plain", in, plain, COUNT, dtype,
                                      RONDE_AVERAGE, NULL));
        EXPECT(trial, !memcmp(out, plain, bytes), "%s: weights of 1 are no average",
               ronde_dtype_name(dtype));
        EXPECT_STATUS(trial, RONDE_OK,
                      average(trial, "plain", in, out, COUNT, dtype, is_last ? 0.25 : 0));
        fill(plain, dtype, trial->size - 1, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            EXPECT(trial, float_value(out, dtype, i) == float_value(plain, dtype, i),
                   "%s: element %zu is %g with one weight", ronde_dtype_name(dtype), i,
                   float_value(out, dtype, i));
    }
}

/* At once, each with weights of its own, and larger than a slice; beside plain averages. */
static void tensors_have_weights_of_their_own(struct trial *trial)
{
    enum { N = 12 };
    static const size_t counts[] = {1, 40000, 3, 200003};
    struct members all = members_first(trial->size);
    unsigned char *data[N];
    uint64_t handles[N], dice = (uint64_t)trial->rank + 3;
    size_t order[N];
    char name[32];
    dice_order(&dice, order, N);
    for (size_t k = 0; k < N; k++) {
        size_t i = order[k], count = counts[i % 4];
        int32_t dtype = RONDE_FLOAT16 + (int32_t)i / 3;
        ronde_call call = call_in(0);
        call.weight = i % 3 ? weight_of((enum weights)(i % 3), trial->rank, trial->size) : 1;
        data[i] = malloc(8 * count);
        fill(data[i], dtype, trial->rank, count);
        snprintf(name, sizeof name, "own %zu", i);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, data[i], data[i], count, dtype,
                                            i % 3 ? RONDE_WEIGHTED_AVERAGE : RONDE_AVERAGE, &call,
                                            &handles[i]));
    }
    for (size_t i = 0; i < N; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        compare(trial, data[i], RONDE_FLOAT16 + (int32_t)i / 3, (enum weights)(i % 3), &all,
                counts[i % 4]);
        free(data[i]);
    }
}

/* Weights are no part of what a name means: they may change with every call. */
static void weights_may_change_under_one_name(struct trial *trial)
{
    struct members all = members_first(trial->size);
    for (int i = 0; i < 18; i++) {
        enum weights weights = (enum weights)(i / 2 % SHAPES_OF_WEIGHTS);
        unsigned char data[4 * COUNT];
        fill(data, RONDE_FLOAT32, trial->rank, COUNT);
        EXPECT_STATUS(trial, RONDE_OK,
                      average(trial, "changing", data, data, COUNT, RONDE_FLOAT32,
                              weight_of(weights, trial->rank, trial->size)));
        compare(trial, data, RONDE_FLOAT32, weights, &all, COUNT);
    }
}

static void parts_and_sums_at_a_root_are_weighed_too(struct trial *trial)
{
    enum { ROWS = 29 };
    float in[ROWS], whole[ROWS], part[ROWS], alone[ROWS];
    size_t share = ronde_share_rows(ROWS, trial->size, trial->rank), first = 0;
    ronde_call call = call_in(0);
    call.weight = weight_of(FRACTIONS, trial->rank, trial->size);
    for (int rank = 0; rank < trial->rank; rank++)
        first += ronde_share_rows(ROWS, trial->size, rank);
    fill((unsigned char *)in, RONDE_FLOAT32, trial->rank, ROWS);
    EXPECT_STATUS(trial, RONDE_OK,
                  average(trial, "whole", in, whole, ROWS, RONDE_FLOAT32, call.weight));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter(trial->context, "part", in, ROWS, 1, RONDE_FLOAT32,
                                      RONDE_WEIGHTED_AVERAGE, part, share, &call));
    EXPECT(trial, !memcmp(part, whole + first, 4 * share), "a part has other bits");
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce(trial->context, "alone", in, alone, ROWS, RONDE_FLOAT32,
                               RONDE_WEIGHTED_AVERAGE, 0, &call));
    EXPECT(trial, trial->rank || !memcmp(alone, whole, sizeof alone), "the root has other bits");
}

/* Of several at once, one has no weight anywhere: that is its error, on all ranks. */
static void no_weight_at_all_is_an_error_everywhere(struct trial *trial)
{
    struct members all = members_first(trial->size);
    for (int round = 0; round < 3; round++) {
        unsigned char data[3][4 * COUNT];
        uint64_t handles[3];
        for (int i = 0; i < 3; i++) {
            ronde_call call = call_in(0);
            char name[32];
            snprintf(name, sizeof name, "massless %d", i);
            call.weight = i == 1 ? 0 : trial->rank + 1;
            fill(data[i], RONDE_FLOAT32, trial->rank, COUNT);
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, name, data[i], data[i], COUNT,
                                                RONDE_FLOAT32, RONDE_WEIGHTED_AVERAGE, &call,
                                                &handles[i]));
        }
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_wait(trial->context, handles[1]));
        EXPECT_ERROR(trial, "massless 1", "weight");
        for (int i = 0; i < 3; i += 2) {
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
            compare(trial, data[i], RONDE_FLOAT32, SMALL, &all, COUNT);
        }
    }
}

/* Each weight is finite, their sum is not, or not in the type that is computed in. */
static void weights_that_cannot_be_added_up_are_an_error_everywhere(struct trial *trial)
{
    double fine = 1e308 / trial->size, small = 1e-300;
    float data[4] = {1, 2, 3, 4};
    double wide[4] = {1, 2, 3, 4};
    if (trial->size > 1) {
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      average(trial, "heavy", wide, wide, 4, RONDE_FLOAT64, 1.7e308));
        EXPECT_ERROR(trial, "heavy", "the weights of all ranks add up to inf");
    }
    EXPECT_STATUS(trial, RONDE_OK, average(trial, "heavy", wide, wide, 4, RONDE_FLOAT64, small));
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  average(trial, "heavy", data, data, 4, RONDE_FLOAT32, fine));
    EXPECT_ERROR(trial, "heavy", "the weights of all ranks add up to 1e+308");
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  average(trial, "heavy", data, data, 4, RONDE_FLOAT16, small));
    EXPECT_STATUS(trial, RONDE_OK, average(trial, "heavy", data, data, 4, RONDE_FLOAT32, 1e30));
    for (int i = 0; i < 4; i++)
        EXPECT(trial, fabs(wide[i] - (i + 1)) < 1e-9 && fabsf(data[i] - (float)(i + 1)) < 1e-5f,
               "element %d of the average of equals is %g, %g", i, wide[i], (double)data[i]);
}

/* One rank errs alone, and nobody else notices. */
static void weights_that_make_no_sense_fail_at_once(struct trial *trial)
{
    static const double weights[] = {-1, -1e-300, (double)NAN, (double)INFINITY, -(double)INFINITY};
    float data[4] = {0};
    uint64_t handle = 4711;
    if (trial->rank == trial->size - 1) {
        for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
            ronde_call call = call_in(0);
            call.weight = weights[i];
            EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                          ronde_allreduce_async(trial->context, "nonsense", data, data, 4,
                                                RONDE_FLOAT32, RONDE_WEIGHTED_AVERAGE, &call,
                                                &handle));
            EXPECT_ERROR(trial, "weight");
        }
        EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after nonsense");
}

/* Rank 0 has joined: neither its values nor its weight are left. */
static void who_has_joined_has_no_weight(struct trial *trial)
{
    struct members present = {0, {0}};
    int32_t last = -7;
    for (int rank = 1; rank < trial->size; rank++)
        present.ranks[present.n++] = rank;
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64 && trial->rank; dtype++) {
        unsigned char data[8 * COUNT];
        fill(data, dtype, trial->rank, COUNT);
        EXPECT_STATUS(trial, RONDE_OK,
                      average(trial, "joined", data, data, COUNT, dtype,
                              weight_of(SMALL, trial->rank, trial->size)));
        compare(trial, data, dtype, SMALL, &present, COUNT);
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      average(trial, "joined", data, data, COUNT, dtype, 0));
        EXPECT_ERROR(trial, "weight");
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
    EXPECT(trial, trial->size == 1 || last > 0, "rank %d was last", (int)last);
    meet(trial, "after joining");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_is_weighed(&trial);
    plain_weights_give_plain_averages(&trial);
    tensors_have_weights_of_their_own(&trial);
    weights_may_change_under_one_name(&trial);
    parts_and_sums_at_a_root_are_weighed_too(&trial);
    no_weight_at_all_is_an_error_everywhere(&trial);
    weights_that_cannot_be_added_up_are_an_error_everywhere(&trial);
    weights_that_make_no_sense_fail_at_once(&trial);
    who_has_joined_has_no_weight(&trial);
    return trial_end(&trial);
}
