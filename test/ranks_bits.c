/* ronde-test: np=1,2,3,4,5,7,8 np=4/2,5/2 threads=2/2,4/2,5/2 mpich=2 hosts=2/1,4/2 timeout=60 */
/* ronde-test: threads=4/2,5/2 settings=allreduce=0-:doubling */
/* ronde-test: threads=4/2,5/2 settings=allreduce=0-:ring */
/* Sums that round: the bits are the same on all ranks, in every repetition, for every order of
 * submission, fusion threshold, kind of memory and way to call. Prints one line "bits ..." that a
 * second run of the same ranks and placement repeats (sh_bits.sh compares such lines). */
#include "samples.h"
#include "trial.h"

enum { TENSORS = 60, MOST_ELEMENTS = 300000 };
enum way { NAMED, IN_PLACE, ARENA, ARENA_IN_PLACE, DIRECT, WAYS };

struct gradient {
    struct sampling what;
    size_t count, bytes;
    unsigned char *in, *out, *arena_in, *arena_out;
    uint64_t handle, check;
};

static uint64_t checksum(const unsigned char *data, size_t bytes)
{
    uint64_t sum = bytes, word = 0;
    for (; bytes >= 8; bytes -= 8, data += 8) {
        memcpy(&word, data, 8);
        sum = (sum ^ word) * UINT64_C(0x9fb21c651e98df25);
        sum ^= sum >> 29;
    }
    word = 0;
    memcpy(&word, data, bytes);
    return mix(sum ^ word);
}

/* Values of either sign over many powers of two, so that nearly every sum rounds. */
static void gradient_fill(struct gradient *gradient, size_t number, int rank)
{
    uint64_t seed = number * 64 + (uint64_t)rank;
    for (size_t i = 0; i < gradient->count; i++) {
        uint64_t random = mix(seed << 32 | i);
        double value = (double)(int64_t)(random & 0xffffffff) / 0x1p31 - 1; /* [-1, 1) */
        value /= (double)(1 << (random >> 32) % 10);
        if (gradient->what.op == RONDE_PRODUCT) /* stay near 1 */
            value = 1 + value / 4;
        store_float(gradient->in, gradient->what.dtype, i, value);
    }
}

static void gradient_open(struct trial *trial, struct gradient *gradient, size_t number)
{
    static const int32_t ops[] = {RONDE_SUM, RONDE_AVERAGE, RONDE_SUM, RONDE_PRODUCT, RONDE_MAX};
    uint64_t dice = number + 4711;
    void *arena = NULL;
    memset(gradient, 0, sizeof *gradient);
    gradient->what.dtype = RONDE_FLOAT16 + (int32_t)(number % 4);
    gradient->what.op = ops[number / 4 % 5];
    gradient->what.prescale = number % 7 == 3 ? 1.0 / 3 : 1;
    gradient->what.postscale = number % 7 == 5 ? 0.7 : 1;
    gradient->count = 1 + dice_below(&dice, (size_t)1 << (1 + dice_below(&dice, 18)));
    gradient->count = number == 0 ? 1 : number == TENSORS - 1 ? MOST_ELEMENTS : gradient->count;
    gradient->bytes = gradient->count * ronde_dtype_bytes(gradient->what.dtype);
    gradient->in = malloc(gradient->bytes);
    gradient->out = malloc(gradient->bytes);
    EXPECT_STATUS(trial, RONDE_OK, ronde_malloc(trial->context, 2 * gradient->bytes + 64, &arena));
    gradient->arena_in = arena;
    gradient->arena_out = arena ? gradient->arena_in + (gradient->bytes + 63) / 64 * 64 : NULL;
    gradient_fill(gradient, number, trial->rank);
}

static void gradient_close(struct trial *trial, struct gradient *gradient)
{
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, gradient->arena_in));
    free(gradient->in);
    free(gradient->out);
}

/* The memory that this way uses; inputs are restored where the last use has overwritten them. */
static const void *gradient_memory(struct gradient *gradient, enum way way, unsigned char **out)
{
    int in_arena = (way == ARENA || way == ARENA_IN_PLACE) && gradient->arena_in;
    *out = in_arena ? gradient->arena_out : gradient->out;
    if (way == IN_PLACE || way == ARENA_IN_PLACE) {
        memcpy(*out, gradient->in, gradient->bytes);
        return *out;
    }
    memset(*out, 0xcc, gradient->bytes);
    if (in_arena)
        memcpy(gradient->arena_in, gradient->in, gradient->bytes);
    return in_arena ? gradient->arena_in : gradient->in;
}

static void gradient_start(struct trial *trial, struct gradient *gradient, size_t number,
                           enum way way)
{
    unsigned char *out;
    const void *in = gradient_memory(gradient, way, &out);
    char name[32];
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.prescale = gradient->what.prescale;
    call.postscale = gradient->what.postscale;
    snprintf(name, sizeof name, "gradient %zu", number);
    if (way == DIRECT)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_direct_allreduce(trial->context, in, out, gradient->count,
                                             gradient->what.dtype, gradient->what.op, &call));
    else
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, in, out, gradient->count,
                                            gradient->what.dtype, gradient->what.op, &call,
                                            &gradient->handle));
}

/* Once through all tensors, in an order of this rank's own (direct: in one order), with pauses at
 * places of its own, so that what is fused with what differs every time. */
static void step_run(struct trial *trial, struct gradient *gradients, uint64_t *dice, enum way way,
                     const char *settings)
{
    size_t order[TENSORS];
    dice_order(dice, order, TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        size_t number = way == DIRECT ? i : order[i];
        gradient_start(trial, &gradients[number], number, way);
        if (dice_below(dice, TENSORS) == 0)
            nap(1e-3);
    }
    for (size_t i = 0; i < TENSORS; i++) {
        struct gradient *gradient = &gradients[i];
        int in_arena = (way == ARENA || way == ARENA_IN_PLACE) && gradient->arena_in;
        if (way != DIRECT)
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, gradient->handle));
        uint64_t check = checksum(in_arena ? gradient->arena_out : gradient->out, gradient->bytes);
        if (gradient->check == 0) /* the first step of all is what the others must equal */
            gradient->check = check;
        EXPECT(trial, gradient->check == check,
               "tensor %zu, %zu %s %s, way %d, settings %s: other bits than the first time", i,
               gradient->count, ronde_dtype_name(gradient->what.dtype),
               ronde_op_name(gradient->what.op), (int)way, settings);
    }
}

static void bits_are_equal_on_all_ranks(struct trial *trial, const struct gradient *gradients)
{
    uint64_t mine[TENSORS], *all = calloc((size_t)trial->size * TENSORS, sizeof *all);
    for (size_t i = 0; i < TENSORS; i++)
        mine[i] = gradients[i].check;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather(trial->context, "checksums", mine, 1, TENSORS, RONDE_UINT64, all,
                                  (size_t)trial->size, NULL, NULL));
    for (size_t i = 0; i < (size_t)trial->size * TENSORS; i++)
        EXPECT(trial, all[i] == mine[i % TENSORS], "tensor %zu has other bits on rank %zu",
               i % TENSORS, i / TENSORS);
    free(all);
}

static void bits_are_equal_in_every_repetition(struct trial *trial, struct gradient *gradients,
                                               int repetitions, const char *settings)
{
    uint64_t dice = (uint64_t)trial->rank * 77 + 5;
    for (int i = 0; i < repetitions; i++)
        step_run(trial, gradients, &dice, (enum way)(i % WAYS), settings);
}

/* Contexts beside the given one; ranks as threads have no way to open any: sh_bits.sh runs them. */
static void bits_are_equal_for_every_threshold(struct trial *trial, struct gradient *gradients,
                                               int repetitions)
{
    static const char *const settings[] = {"fusion_threshold=0", "fusion_threshold=1K",
                                           "fusion_threshold=64M"};
    for (int i = 0; i < 3 && !ranks_are_threads(); i++) {
        struct trial other = *trial;
        ronde_options options;
        ronde_options_init(&options, sizeof options);
        options.settings = settings[i];
        other.context = NULL;
        if (EXPECT_STATUS(trial, RONDE_OK, ronde_open(&options, &other.context)) != RONDE_OK)
            continue;
        /* arena_in is of the first context: for this one it is private memory like any other. */
        bits_are_equal_in_every_repetition(&other, gradients, repetitions, settings[i]);
        EXPECT_STATUS(&other, RONDE_OK, ronde_close(&other.context));
        trial->failures = other.failures;
    }
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    struct gradient *gradients = calloc(TENSORS, sizeof *gradients);
    int repetitions = argc > 1 ? atoi(argv[1]) : TRIAL_IS_SLOW ? 5 : 20;
    uint64_t all = 0;
    for (size_t i = 0; i < TENSORS; i++)
        gradient_open(&trial, &gradients[i], i);
    bits_are_equal_in_every_repetition(&trial, gradients, repetitions, "as given");
    bits_are_equal_for_every_threshold(&trial, gradients, repetitions);
    bits_are_equal_on_all_ranks(&trial, gradients);
    for (size_t i = 0; i < TENSORS; i++) {
        all = mix(all ^ gradients[i].check);
        gradient_close(&trial, &gradients[i]);
    }
    if (trial.rank == 0)
        printf("bits %016llx of %d ranks on %d nodes\n", (unsigned long long)all, trial.size,
               (int)ronde_cross_size(context));
    fflush(stdout);
    free(gradients);
    return trial_end(&trial);
}
