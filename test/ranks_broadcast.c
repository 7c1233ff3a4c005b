/* ronde-test: np=1,2,3,4,5,7,8 np=4/2,3/2,5/2 threads=1/1,2/2,3/3,4/2,5/2 mpich=2 hosts=2/1,4/2
 * timeout=60 */
/* Broadcast: from every root, of every dtype, in place and out of place. */
#include "samples.h"
#include "trial.h"

enum way { NAMED, UNNAMED, DIRECT, WAYS };

/* One broadcast. On a rank that is not the root `in` is NULL, or memory that must not be read
 * into the result nor written, or (in place) `out` itself. */
struct parcel {
    int32_t dtype, root;
    size_t count;
    int in_place, in_is_null, in_arena;
    struct memory in, out;
    uint64_t handle;
};

/* Any bits at all (a broadcast only copies), different for every root, count and rank. */
static void parcel_pattern(const struct parcel *parcel, int rank, unsigned char *period)
{
    size_t bytes = SAMPLE_PERIOD * ronde_dtype_bytes(parcel->dtype);
    uint64_t seed = (uint64_t)parcel->root * 1000003 + parcel->count * 64 + (uint64_t)rank;
    for (size_t i = 0; i < bytes; i++)
        period[i] = (unsigned char)(mix(seed * 4096 + i) & (parcel->dtype == RONDE_BOOL ? 1 : 255));
}

static void parcel_fill(const struct parcel *parcel, int rank, unsigned char *data)
{
    unsigned char period[8 * SAMPLE_PERIOD];
    size_t bytes = parcel->count * ronde_dtype_bytes(parcel->dtype);
    size_t first = SAMPLE_PERIOD * ronde_dtype_bytes(parcel->dtype);
    parcel_pattern(parcel, rank, period);
    memcpy(data, period, bytes < first ? bytes : first);
    repeat_period(data, bytes, bytes < first ? bytes : first);
}

static int parcel_holds(const struct parcel *parcel, int rank, const unsigned char *data)
{
    unsigned char period[8 * SAMPLE_PERIOD];
    size_t element = ronde_dtype_bytes(parcel->dtype);
    parcel_pattern(parcel, rank, period);
    return first_difference(data, parcel->count, element, period, SAMPLE_PERIOD * element) ==
           parcel->count;
}

static void parcel_open(struct trial *trial, struct parcel *parcel)
{
    size_t element = ronde_dtype_bytes(parcel->dtype), bytes = parcel->count * element;
    memory_open(trial, &parcel->out, bytes, element, parcel->in_arena, 1);
    memory_open(trial, &parcel->in, parcel->in_place ? 0 : bytes, 3 * element, parcel->in_arena, 1);
    parcel_fill(parcel, trial->rank, parcel->in_place ? parcel->out.data : parcel->in.data);
}

static void parcel_run(struct trial *trial, struct parcel *parcel, enum way way, const char *name)
{
    const void *in = parcel->in_place ? parcel->out.data : parcel->in.data;
    if (parcel->in_is_null && trial->rank != parcel->root)
        in = NULL;
    parcel->handle = 0;
    if (way == DIRECT)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_direct_broadcast(trial->context, in, parcel->out.data, parcel->count,
                                             parcel->dtype, parcel->root, NULL));
    else
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_broadcast_async(trial->context, way == NAMED ? name : NULL, in,
                                            parcel->out.data, parcel->count, parcel->dtype,
                                            parcel->root, NULL, &parcel->handle));
}

static void parcel_close(struct trial *trial, struct parcel *parcel, enum way way)
{
    if (way != DIRECT)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, parcel->handle));
    EXPECT(trial, parcel_holds(parcel, parcel->root, parcel->out.data),
           "%zu %s from root %d%s, way %d: wrong", parcel->count, ronde_dtype_name(parcel->dtype),
           (int)parcel->root, parcel->in_place ? " in place" : "", (int)way);
    if (!parcel->in_place)
        EXPECT(trial, parcel_holds(parcel, trial->rank, parcel->in.data),
               "%zu %s from root %d: the input was changed", parcel->count,
               ronde_dtype_name(parcel->dtype), (int)parcel->root);
    memory_close(trial, &parcel->in);
    memory_close(trial, &parcel->out);
}

static void parcels_run(struct trial *trial, struct parcel *parcels, size_t n, enum way way)
{
    char name[64];
    for (size_t i = 0; i < n; i++)
        parcel_open(trial, &parcels[i]);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "parcel %zu", i);
        parcel_run(trial, &parcels[i], way, name);
    }
    for (size_t i = 0; i < n; i++)
        parcel_close(trial, &parcels[i], way);
}

static void every_root_and_dtype_at_small_counts(struct trial *trial)
{
    size_t p = (size_t)trial->size;
    const size_t counts[] = {0, 1, p - 1, p, p + 1, 1009};
    for (int32_t root = 0; root < trial->size; root++) {
        for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
            struct parcel parcels[6];
            for (size_t i = 0; i < 6; i++) {
                struct parcel parcel = {.dtype = dtype,
                                        .root = root,
                                        .count = counts[i],
                                        .in_place = (int)(i + (size_t)dtype) % 2,
                                        .in_is_null = (int)(i / 2 + (size_t)root) % 2,
                                        .in_arena = (int)(i + (size_t)trial->rank) % 3 == 0};
                parcels[i] = parcel;
            }
            parcels_run(trial, parcels, 6, (enum way)((dtype + root) % WAYS));
        }
    }
}

static void counts_around_a_slice(struct trial *trial)
{
    static const size_t counts[] = {(128 << 10) - 1, 128 << 10, (128 << 10) + 1, (256 << 10) + 3};
    for (int way = NAMED; way < WAYS; way++) {
        struct parcel parcels[4];
        for (int i = 0; i < 4; i++) {
            struct parcel parcel = {.dtype = i % 2 ? RONDE_UINT8 : RONDE_BFLOAT16,
                                    .root = (way + i) % trial->size,
                                    .count = counts[i],
                                    .in_place = way / 2,
                                    .in_is_null = i % 2,
                                    .in_arena = i / 2};
            parcels[i] = parcel;
        }
        parcels_run(trial, parcels, 4, (enum way)way);
    }
}

static void several_megabytes(struct trial *trial)
{
    for (int i = 0; i < 2 * WAYS; i++) {
        struct parcel parcel = {.dtype = RONDE_FLOAT64,
                                .root = i % trial->size,
                                .count = 700001,
                                .in_place = i / WAYS,
                                .in_is_null = i % 2,
                                .in_arena = (i + trial->rank) % 2};
        parcels_run(trial, &parcel, 1, (enum way)(i % WAYS));
    }
}

static void nothing_may_be_null(struct trial *trial)
{
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, "nothing", NULL, NULL, 0, RONDE_INT32,
                                  trial->size - 1, NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_broadcast(trial->context, NULL, NULL, 0, RONDE_INT32, 0, NULL));
}

/* The root's shape, which is the same everywhere. */
static void a_shape_is_accepted(struct trial *trial)
{
    const size_t shape[] = {2, 1, 3};
    uint16_t data[6];
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.shape = shape;
    call.dimensions = 3;
    for (int i = 0; i < 6; i++)
        data[i] = (uint16_t)(10 * trial->rank + i);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, "shaped", data, data, 6, RONDE_UINT16,
                                  trial->size - 1, &call));
    for (int i = 0; i < 6; i++)
        EXPECT(trial, data[i] == 10 * (trial->size - 1) + i, "element %d is %d", i, (int)data[i]);
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_root_and_dtype_at_small_counts(&trial);
    counts_around_a_slice(&trial);
    several_megabytes(&trial);
    nothing_may_be_null(&trial);
    a_shape_is_accepted(&trial);
    return trial_end(&trial);
}
