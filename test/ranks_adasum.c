/* ronde-test: np=1,2,3,4,5,7,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1,6/3 mpich=2 timeout=60 */
/* ronde-test: hosts=4/2 */
/* Adasum (Maleki et al., arXiv:2006.02924): any number of ranks in a binary tree of neighbours, an
 * odd one goes up a level; the same bits on all ranks, every time, whatever else is fused. */
#include "samples.h"
#include "trial.h"

/* How the ranks' vectors lie to each other. */
enum vectors { ROUGH, ALIKE, EQUAL, ORTHOGONAL, OPPOSITE, ZERO, ONE_ZERO, KINDS_OF_VECTORS };

static double element_of(enum vectors vectors, int rank, size_t index)
{
    double common = (double)(mix(index) % 2001) / 1000 - 1;
    double own = (double)(mix(index * 64 + (uint64_t)rank + 7) % 2001) / 1000 - 1;
    switch (vectors) {
    case ROUGH: return own;
    case ALIKE: return common + own / 4;
    case EQUAL: return common;
    case ORTHOGONAL: return index % 8 == (size_t)rank ? (double)(int)(mix(index) % 31) - 15 : 0;
    case OPPOSITE: return rank % 2 ? -common : common;
    case ONE_ZERO: return rank == 0 ? 0 : own;
    case ZERO:
    case KINDS_OF_VECTORS: break;
    }
    return 0;
}

static void fill(unsigned char *data, int32_t dtype, enum vectors vectors, int rank, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_float(data, dtype, i, element_of(vectors, rank, i));
}

/* a becomes the adaptive sum of a and b. */
static void combine(double *a, const double *b, size_t count)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < count; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    double of_a = aa > 0 ? 1 - ab / (2 * aa) : 1, of_b = bb > 0 ? 1 - ab / (2 * bb) : 1;
    for (size_t i = 0; i < count; i++)
        a[i] = of_a * a[i] + of_b * b[i];
}

/* In double, of what the ranks' dtype holds. To be freed. */
static double *adasum(int32_t dtype, enum vectors vectors, int size, size_t count)
{
    double *values = malloc(((size_t)size * count + 1) * sizeof *values);
    unsigned char stored[8];
    for (int rank = 0; rank < size; rank++)
        for (size_t i = 0; i < count; i++) {
            store_float(stored, dtype, 0, element_of(vectors, rank, i));
            values[(size_t)rank * count + i] = float_value(stored, dtype, 0);
        }
    for (int step = 1; step < size; step *= 2) /* 0 and 1, 2 and 3; 0 and 2, 4 and 6; ... */
        for (int rank = 0; rank + step < size; rank += 2 * step)
            combine(values + (size_t)rank * count, values + (size_t)(rank + step) * count, count);
    return values;
}

/* Near the reference: each level may round what it has, to the dtype at the worst. */
static void compare(struct trial *trial, const unsigned char *data, int32_t dtype,
                    enum vectors vectors, size_t count)
{
    /* Of float64: dot products of vectors that are nearly parallel square their condition. */
    static const double error[] = {2e-3, 2e-2, 1e-5, 1e-9};
    double *wanted = adasum(dtype, vectors, trial->size, count), largest = 1e-300;
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        largest = fabs(wanted[i]) > largest ? fabs(wanted[i]) : largest;
    /* Against the inputs, which are about 1: what is left where they cancel is rounding. */
    largest = vectors == OPPOSITE ? 2 : largest < 1 ? 1 : largest;
    while (wrong < count && fabs(float_value(data, dtype, wrong) - wanted[wrong]) <=
                                largest * error[dtype - RONDE_FLOAT16])
        wrong++;
    EXPECT(trial, wrong == count, "vectors %d of %zu %s: element %zu is %.9g, not %.9g",
           (int)vectors, count, ronde_dtype_name(dtype), wrong, float_value(data, dtype, wrong),
           wanted[wrong]);
    free(wanted);
}

static int32_t run(struct trial *trial, const char *name, const void *in, void *out, size_t count,
                   int32_t dtype)
{
    return ronde_allreduce(trial->context, name, in, out, count, dtype, RONDE_ADASUM, NULL);
}

static void every_dtype_and_kind_of_vectors_is_near(struct trial *trial)
{
    static const size_t counts[] = {1, 2, 250, 4099};
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        for (int i = 0; i < 4 * KINDS_OF_VECTORS; i++) {
            enum vectors vectors = (enum vectors)(i / 4);
            size_t count = counts[i % 4], element = ronde_dtype_bytes(dtype);
            struct memory in, out;
            memory_open(trial, &in, count * element, element, i % 3 == 0, 0);
            memory_open(trial, &out, count * element, 3 * element, i % 3 == 1, 0);
            fill(in.data, dtype, vectors, trial->rank, count);
            EXPECT_STATUS(trial, RONDE_OK, run(trial, "near", in.data, out.data, count, dtype));
            compare(trial, out.data, dtype, vectors, count);
            same_everywhere(trial, out.data, count * element, "an adasum");
            EXPECT_STATUS(trial, RONDE_OK, run(trial, "near", in.data, in.data, count, dtype));
            EXPECT(trial, !memcmp(in.data, out.data, count * element), "in place: other bits");
            memory_close(trial, &in);
            memory_close(trial, &out);
        }
    }
}

/* Exactly, as no product rounds: vectors that share nothing are summed. */
static void orthogonal_vectors_are_summed(struct trial *trial)
{
    enum { COUNT = 1000 };
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        unsigned char data[8 * COUNT];
        fill(data, dtype, ORTHOGONAL, trial->rank, COUNT);
        EXPECT_STATUS(trial, RONDE_OK, run(trial, "orthogonal", data, data, COUNT, dtype));
        for (size_t i = 0; i < COUNT; i++) {
            int rank = (int)(i % 8);
            double wanted = rank < trial->size ? element_of(ORTHOGONAL, rank, i) : 0;
            EXPECT(trial, float_value(data, dtype, i) == wanted, "%s: element %zu is %g, not %g",
                   ronde_dtype_name(dtype), i, float_value(data, dtype, i), wanted);
        }
    }
}

static void no_elements_are_fine(struct trial *trial)
{
    EXPECT_STATUS(trial, RONDE_OK, run(trial, "none", NULL, NULL, 0, RONDE_FLOAT32));
}

enum { TENSORS = 14 };

static size_t count_of(size_t tensor)
{
    static const size_t counts[] = {1, 40, 3000, 120001, 17, 0, 70001};
    return counts[tensor % (sizeof counts / sizeof *counts)];
}

/* Each has scales of its own though all are reduced at once, sums among them. Every round each rank
 * submits in another order, with other pauses: all bits are those of the first round. */
static void tensors_do_not_mix_and_bits_repeat(struct trial *trial)
{
    unsigned char *first[TENSORS] = {0}, *data[TENSORS];
    uint64_t handles[TENSORS], dice = (uint64_t)trial->rank * 5 + 1;
    char name[32];
    for (size_t i = 0; i < TENSORS; i++)
        data[i] = malloc(8 * count_of(i) + 1);
    for (int round = 0; round < 4; round++) {
        size_t order[TENSORS];
        dice_order(&dice, order, TENSORS);
        for (size_t k = 0; k < TENSORS; k++) {
            size_t i = order[k];
            int32_t dtype = RONDE_FLOAT16 + (int32_t)(i / 2 % 4);
            fill(data[i], dtype, i % 2 ? ALIKE : ROUGH, trial->rank, count_of(i));
            snprintf(name, sizeof name, "mixed %zu", i);
            if (dice_below(&dice, TENSORS) == 0)
                nap(2e-3);
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, name, data[i], data[i], count_of(i),
                                                dtype, i == 3 ? RONDE_SUM : RONDE_ADASUM, NULL,
                                                &handles[i]));
        }
        for (size_t i = 0; i < TENSORS; i++) {
            int32_t dtype = RONDE_FLOAT16 + (int32_t)(i / 2 % 4);
            size_t bytes = count_of(i) * ronde_dtype_bytes(dtype);
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
            if (round == 0) {
                first[i] = malloc(bytes + 1);
                memcpy(first[i], data[i], bytes);
                if (i != 3)
                    compare(trial, data[i], dtype, i % 2 ? ALIKE : ROUGH, count_of(i));
                same_everywhere(trial, data[i], bytes, "a mixed adasum");
            }
            EXPECT(trial, !memcmp(first[i], data[i], bytes), "round %d: tensor %zu has other bits",
                   round, i);
        }
    }
    for (size_t i = 0; i < TENSORS; i++) {
        free(first[i]);
        free(data[i]);
    }
}

/* The bits of an allreduce. */
static void parts_and_sums_at_a_root_are_the_same(struct trial *trial)
{
    enum { ROWS = 101 };
    float in[3 * ROWS], whole[3 * ROWS], part[3 * ROWS], alone[3 * ROWS];
    size_t share = ronde_share_rows(ROWS, trial->size, trial->rank), first = 0;
    int32_t root = trial->size / 2;
    for (int rank = 0; rank < trial->rank; rank++)
        first += ronde_share_rows(ROWS, trial->size, rank);
    fill((unsigned char *)in, RONDE_FLOAT32, ALIKE, trial->rank, 3 * ROWS);
    EXPECT_STATUS(trial, RONDE_OK, run(trial, "whole", in, whole, 3 * ROWS, RONDE_FLOAT32));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter(trial->context, "part", in, ROWS, 3, RONDE_FLOAT32,
                                      RONDE_ADASUM, part, share, NULL));
    EXPECT(trial, !memcmp(part, whole + 3 * first, 12 * share), "a part has other bits");
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce(trial->context, "alone", in, alone, 3 * ROWS, RONDE_FLOAT32,
                               RONDE_ADASUM, root, NULL));
    EXPECT(trial, trial->rank != root || !memcmp(alone, whole, sizeof alone),
           "the root has other bits");
}

/* Rank 0 has joined; the others' vectors share nothing, so that the tree's form does not show. */
static void who_has_joined_adds_nothing(struct trial *trial)
{
    enum { COUNT = 200 };
    double data[COUNT];
    int32_t last = -7;
    if (trial->rank) {
        fill((unsigned char *)data, RONDE_FLOAT64, ORTHOGONAL, trial->rank, COUNT);
        EXPECT_STATUS(trial, RONDE_OK, run(trial, "joined", data, data, COUNT, RONDE_FLOAT64));
        for (size_t i = 0; i < COUNT; i++) {
            int rank = (int)(i % 8);
            double wanted = rank && rank < trial->size ? element_of(ORTHOGONAL, rank, i) : 0;
            EXPECT(trial, data[i] == wanted, "element %zu is %g, not %g", i, data[i], wanted);
        }
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
    meet(trial, "after joining");
}

/* One rank errs alone, and nobody else notices. */
static void integers_have_no_adasum(struct trial *trial)
{
    int64_t data[4] = {0};
    uint64_t handle = 4711;
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_INT64 && trial->rank == 0; dtype++) {
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_allreduce_async(trial->context, "integers", data, data, 4, dtype,
                                            RONDE_ADASUM, NULL, &handle));
        EXPECT_ERROR(trial, ronde_dtype_name(dtype), ronde_op_name(RONDE_ADASUM));
    }
    EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    meet(trial, "after integers");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_and_kind_of_vectors_is_near(&trial);
    orthogonal_vectors_are_summed(&trial);
    no_elements_are_fine(&trial);
    tensors_do_not_mix_and_bits_repeat(&trial);
    parts_and_sums_at_a_root_are_the_same(&trial);
    who_has_joined_adds_nothing(&trial);
    integers_have_no_adasum(&trial);
    return trial_end(&trial);
}
