/* ronde-test: np=1,2,3,4,5,7,8 np=4/2,5/2 threads=1/1,2/2,4/2,5/2 mpich=2 timeout=60 */
/* ronde-test: threads=4/4,5/2 settings=cache_capacity=3 */
/* ronde-test: np=3/2 threads=4/4,5/2 settings=progress=caller */
/* ronde-test: np=3/2 threads=4/4,5/2 settings=progress=thread */
/* Every rank submits the same tensors in an order of its own, from one thread and from four, and
 * waits for them in another order, in every way there is to wait. */
#include <pthread.h>

#include "samples.h"
#include "trial.h"

enum { TENSORS = 200, THREADS = 4, MOST_ELEMENTS = 6000 };
enum kind { ALLREDUCE, BROADCAST, ALLGATHER, KINDS };

/* Tensor number k is the same wish on all ranks; this is one rank's part in it. */
struct tensor {
    enum kind kind;
    struct sampling what; /* of an allreduce; dtype of all */
    size_t count;         /* of an allgather: rows, k more on rank k */
    int32_t root;
    unsigned char *in, *out;
    uint64_t handle;
    int32_t submitted, status;
};

static void tensor_open(struct tensor *tensor, size_t number, const struct trial *trial)
{
    static const size_t most[] = {3, 40, 500, MOST_ELEMENTS};
    uint64_t dice = number * 7919 + 17;
    memset(tensor, 0, sizeof *tensor);
    tensor->kind = (enum kind)(number % 5 ? ALLREDUCE : 1 + number / 5 % 2);
    tensor->what.dtype = (int32_t)dice_below(&dice, RONDE_FLOAT64 + 1);
    tensor->what.op = (int32_t)dice_below(&dice, RONDE_PRODUCT + 1);
    tensor->what.prescale = tensor->what.postscale = 1;
    tensor->count = dice_below(&dice, most[number % 4]);
    tensor->root = (int32_t)dice_below(&dice, (size_t)trial->size);
    size_t bytes = (tensor->count + (size_t)trial->size) * ronde_dtype_bytes(tensor->what.dtype);
    tensor->in = malloc(bytes);
    tensor->out = malloc(tensor->kind == ALLGATHER ? bytes * (size_t)trial->size : bytes);
    sample_fill(tensor->in, &tensor->what, trial->rank, tensor->count + (size_t)trial->rank);
}

static int32_t tensor_submit(struct tensor *tensor, const char *name, const struct trial *trial)
{
    switch (tensor->kind) {
    case ALLREDUCE:
        return ronde_allreduce_async(trial->context, name, tensor->in, tensor->out, tensor->count,
                                     tensor->what.dtype, tensor->what.op, NULL, &tensor->handle);
    case BROADCAST:
        return ronde_broadcast_async(trial->context, name, tensor->in, tensor->out, tensor->count,
                                     tensor->what.dtype, tensor->root, NULL, &tensor->handle);
    case ALLGATHER:
        return ronde_allgather_async(trial->context, name, tensor->in,
                                     tensor->count + (size_t)trial->rank, 1, tensor->what.dtype,
                                     tensor->out,
                                     (tensor->count + (size_t)trial->size) * (size_t)trial->size,
                                     NULL, NULL, &tensor->handle);
    case KINDS: break;
    }
    return RONDE_ERR_ARGUMENT;
}

/* One of the ways to wait. */
static int32_t tensor_wait(struct tensor *tensor, uint64_t *dice, const struct trial *trial)
{
    size_t way = dice_below(dice, 4);
    int32_t status = RONDE_PENDING;
    time_t give_up = time(NULL) + 20;
    if (way == 0)
        return ronde_wait(trial->context, tensor->handle);
    if (way == 1) { /* poll keeps the handle, wait frees it */
        while (status == RONDE_PENDING && time(NULL) < give_up) {
            status = ronde_poll(trial->context, tensor->handle);
            if (status == RONDE_PENDING)
                nap(5e-5);
        }
        return status == RONDE_OK ? ronde_wait(trial->context, tensor->handle) : status;
    }
    double seconds = way == 2 ? 0.0 : 5e-3; /* not at all first, and then not for long */
    while (status == RONDE_PENDING && time(NULL) < give_up) {
        status = ronde_wait_for(trial->context, tensor->handle, seconds);
        seconds = 1e-3;
    }
    return status;
}

static int allgather_is_right(const struct tensor *tensor, const struct trial *trial)
{
    size_t element = ronde_dtype_bytes(tensor->what.dtype), at = 0;
    for (int rank = 0; rank < trial->size; rank++) {
        unsigned char wanted[8 * (MOST_ELEMENTS + 64)];
        size_t bytes = (tensor->count + (size_t)rank) * element;
        sample_fill(wanted, &tensor->what, rank, tensor->count + (size_t)rank);
        if (memcmp(tensor->out + at, wanted, bytes) != 0)
            return 0;
        at += bytes;
    }
    return 1;
}

static int tensor_is_right(const struct tensor *tensor, const struct trial *trial)
{
    unsigned char wanted[8 * MOST_ELEMENTS];
    size_t element = ronde_dtype_bytes(tensor->what.dtype);
    if (tensor->kind == ALLGATHER)
        return allgather_is_right(tensor, trial);
    if (tensor->kind == BROADCAST) {
        sample_fill(wanted, &tensor->what, tensor->root, tensor->count);
        return memcmp(tensor->out, wanted, tensor->count * element) == 0;
    }
    size_t bytes = sample_results(wanted, &tensor->what, trial->size, tensor->count);
    return first_difference(tensor->out, tensor->count, element, wanted, bytes) == tensor->count;
}

/* What one of the submitting threads does: every so many-th of an order. */
struct work {
    const struct trial *trial;
    struct tensor *tensors;
    const size_t *submit_order, *wait_order;
    size_t from, step;
    uint64_t dice;
};

static void *work_run(void *argument)
{
    struct work *work = argument;
    char name[64];
    for (size_t i = work->from; i < TENSORS; i += work->step) {
        struct tensor *tensor = &work->tensors[work->submit_order[i]];
        snprintf(name, sizeof name, "layer/%zu:weight", work->submit_order[i]);
        tensor->submitted = tensor_submit(tensor, name, work->trial);
    }
    return NULL;
}

/* Waits for tensors that, with several threads, others have submitted. */
static void *work_wait(void *argument)
{
    struct work *work = argument;
    for (size_t i = work->from; i < TENSORS; i += work->step) {
        struct tensor *tensor = &work->tensors[work->wait_order[i]];
        if (tensor->submitted == RONDE_OK)
            tensor->status = tensor_wait(tensor, &work->dice, work->trial);
    }
    return NULL;
}

static void run_in_threads(struct work *work, size_t n, void *(*function)(void *))
{
    pthread_t threads[THREADS];
    for (size_t i = 1; i < n; i++)
        pthread_create(&threads[i], NULL, function, &work[i]);
    function(&work[0]);
    for (size_t i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void named_in_any_order(struct trial *trial, size_t threads, uint64_t round)
{
    struct tensor *tensors = calloc(TENSORS, sizeof *tensors);
    size_t submit_order[TENSORS], wait_order[TENSORS];
    uint64_t dice = 1000 * round + 10 * (uint64_t)trial->rank + threads;
    struct work work[THREADS];
    dice_order(&dice, submit_order, TENSORS);
    dice_order(&dice, wait_order, TENSORS);
    for (size_t i = 0; i < TENSORS; i++)
        tensor_open(&tensors[i], i, trial);
    for (size_t i = 0; i < threads; i++) {
        struct work one = {trial, tensors, submit_order, wait_order, i, threads, dice + i};
        work[i] = one;
    }
    run_in_threads(work, threads, work_run);
    run_in_threads(work, threads, work_wait);
    for (size_t i = 0; i < TENSORS; i++) {
        struct tensor *tensor = &tensors[i];
        EXPECT(trial, tensor->submitted == RONDE_OK && tensor->status == RONDE_OK,
               "tensor %zu: submitted %d, waited %d", i, (int)tensor->submitted,
               (int)tensor->status);
        EXPECT(trial, tensor_is_right(tensor, trial),
               "tensor %zu, kind %d, %zu %s %s: wrong in round %d", i, (int)tensor->kind,
               tensor->count, ronde_dtype_name(tensor->what.dtype), ronde_op_name(tensor->what.op),
               (int)round);
        free(tensor->in);
        free(tensor->out);
    }
    free(tensors);
}

/* Without names the order counts, but only within one kind. */
static void unnamed_match_by_kind(struct trial *trial)
{
    enum { OF_EACH = 30 };
    struct tensor tensors[KINDS][OF_EACH];
    size_t next[KINDS] = {0, 0, 0};
    uint64_t dice = (uint64_t)trial->rank + 99;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < OF_EACH; i++) {
            tensor_open(&tensors[kind][i], 300 + (size_t)kind * OF_EACH + i, trial);
            tensors[kind][i].kind = (enum kind)kind;
            if (kind == ALLGATHER) {
                size_t room = (tensors[kind][i].count + (size_t)trial->size) * (size_t)trial->size *
                              8;
                tensors[kind][i].out = realloc(tensors[kind][i].out, room);
            }
        }
    for (size_t left = KINDS * OF_EACH; left > 0; left--) {
        size_t kind = dice_below(&dice, KINDS);
        while (next[kind] == OF_EACH)
            kind = (kind + 1) % KINDS;
        EXPECT_STATUS(trial, RONDE_OK, tensor_submit(&tensors[kind][next[kind]++], NULL, trial));
    }
    for (int kind = KINDS - 1; kind >= 0; kind--)
        for (size_t i = 0; i < OF_EACH; i++) {
            struct tensor *tensor = &tensors[kind][i];
            EXPECT_STATUS(trial, RONDE_OK, tensor_wait(tensor, &dice, trial));
            EXPECT(trial, tensor_is_right(tensor, trial), "unnamed %zu of kind %d is wrong", i,
                   kind);
            free(tensor->in);
            free(tensor->out);
        }
}

static void waiting_times_out_and_may_be_repeated(struct trial *trial)
{
    int32_t one = 1, sum = 0;
    uint64_t handle = 0;
    if (trial->rank == 0 && trial->size > 1) {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, "early", &one, &sum, 1, RONDE_INT32,
                                            RONDE_SUM, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, handle));
        EXPECT_STATUS(trial, RONDE_PENDING, ronde_wait_for(trial->context, handle, 0.05));
        EXPECT_STATUS(trial, RONDE_PENDING, ronde_wait_for(trial->context, handle, 0.0));
    }
    meet(trial, "before the late ones");
    if (!handle)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, "early", &one, &sum, 1, RONDE_INT32,
                                            RONDE_SUM, NULL, &handle));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait_for(trial->context, handle, 30));
    EXPECT(trial, sum == trial->size, "sum is %d", (int)sum);
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_poll(trial->context, handle));
}

/* Ranks that submitted nothing else are told what they know by number, not by name. */
static void repeated_names_are_cached(struct trial *trial, const ronde_counters *before)
{
    ronde_counters after;
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &after, sizeof after));
    EXPECT(trial, after.operations > before->operations + TENSORS, "%llu operations counted",
           (unsigned long long)(after.operations - before->operations));
    EXPECT(trial, trial->size == 1 || after.cached > before->cached,
           "no announcement of %llu was cached",
           (unsigned long long)(after.announcements - before->announcements));
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    ronde_counters before;
    (void)argc;
    (void)argv;
    EXPECT_STATUS(&trial, RONDE_OK, ronde_counters_read(context, &before, sizeof before));
    for (uint64_t round = 0; round < 3; round++) {
        named_in_any_order(&trial, 1, round);
        named_in_any_order(&trial, THREADS, round);
    }
    unnamed_match_by_kind(&trial);
    waiting_times_out_and_may_be_repeated(&trial);
    repeated_names_are_cached(&trial, &before);
    return trial_end(&trial);
}
