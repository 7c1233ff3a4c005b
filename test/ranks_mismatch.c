/* ronde-test: np=2,3,4,5,8 np=4/2,5/2 threads=2/2,4/2,5/2 mpich=2 timeout=60 */
/* ronde-test: threads=4/4,5/2 settings=cache_capacity=3 */
/* ronde-test: threads=4/4,5/2 settings=progress=caller */
/* Where ranks disagree about a tensor, all of them learn it, and which ranks said what; the context
 * stays usable. What a name meant earlier binds nobody. */
#include "trial.h"

enum { ROOM = 64 };

/* ---- disagreement ---------------------------------------------------------------------------- */

/* One rank's wish. Those of the ranks differ in one thing. */
struct wish {
    enum { ALLREDUCE, BROADCAST, ALLGATHER } kind;
    size_t count; /* rows of an allgather */
    size_t row_count;
    int32_t dtype, op, root;
    double prescale, postscale;
    size_t shape[4];
    int32_t dimensions; /* 0: no shape */
};

struct disagreement {
    const char *name;
    struct wish most, odd;
    const char *value, *odd_value; /* of which the message speaks */
};

#define REDUCE(count, dtype, op, prescale, postscale) \
    { \
        ALLREDUCE, count, 1, dtype, op, 0, prescale, postscale, {0}, 0 \
    }
#define REDUCE_SHAPED(count, dimensions, ...) \
    { \
        ALLREDUCE, count, 1, RONDE_FLOAT32, RONDE_SUM, 0, 1, 1, {__VA_ARGS__}, dimensions \
    }
#define CAST(count, dtype, root) \
    { \
        BROADCAST, count, 1, dtype, 0, root, 1, 1, {0}, 0 \
    }
#define CAST_SHAPED(count, dimensions, ...) \
    { \
        BROADCAST, count, 1, RONDE_FLOAT32, 0, 0, 1, 1, {__VA_ARGS__}, dimensions \
    }
#define GATHER(rows, row_count, dtype) \
    { \
        ALLGATHER, rows, row_count, dtype, 0, 0, 1, 1, {0}, 0 \
    }
#define GATHER_SHAPED(rows, row_count, dimensions, ...) \
    { \
        ALLGATHER, rows, row_count, RONDE_FLOAT32, 0, 0, 1, 1, {__VA_ARGS__}, dimensions \
    }

static const struct disagreement disagreements[] = {
    {"reduce/dtype", REDUCE(57, RONDE_FLOAT32, RONDE_SUM, 1, 1),
     REDUCE(57, RONDE_FLOAT64, RONDE_SUM, 1, 1), "float32", "float64"},
    {"reduce/count", REDUCE(57, RONDE_FLOAT32, RONDE_SUM, 1, 1),
     REDUCE(43, RONDE_FLOAT32, RONDE_SUM, 1, 1), "57", "43"},
    {"reduce/none", REDUCE(57, RONDE_FLOAT32, RONDE_SUM, 1, 1),
     REDUCE(0, RONDE_FLOAT32, RONDE_SUM, 1, 1), "57", "0"},
    {"reduce/op", REDUCE(57, RONDE_INT8, RONDE_SUM, 1, 1), REDUCE(57, RONDE_INT8, RONDE_MAX, 1, 1),
     "sum", "max"},
    {"reduce/average", REDUCE(57, RONDE_INT8, RONDE_SUM, 1, 1),
     REDUCE(57, RONDE_INT8, RONDE_AVERAGE, 1, 1), "sum", "average"},
    {"reduce/prescale", REDUCE(57, RONDE_FLOAT32, RONDE_SUM, 0.5, 1),
     REDUCE(57, RONDE_FLOAT32, RONDE_SUM, 0.25, 1), "0.5", "0.25"},
    {"reduce/postscale", REDUCE(57, RONDE_FLOAT32, RONDE_SUM, 1, 0.5),
     REDUCE(57, RONDE_FLOAT32, RONDE_SUM, 1, 3), "0.5", "3"},
    {"reduce/shape", REDUCE_SHAPED(57, 2, 3, 19), REDUCE_SHAPED(57, 2, 19, 3), "3", "19"},
    {"reduce/dimensions", REDUCE_SHAPED(57, 1, 57), REDUCE_SHAPED(57, 2, 57, 1), "57", "1"},
    {"cast/dtype", CAST(57, RONDE_FLOAT32, 0), CAST(57, RONDE_INT32, 0), "float32", "int32"},
    {"cast/half", CAST(57, RONDE_FLOAT16, 0), CAST(57, RONDE_BFLOAT16, 0), "float16", "bfloat16"},
    {"cast/count", CAST(57, RONDE_FLOAT32, 0), CAST(58, RONDE_FLOAT32, 0), "57", "58"},
    {"cast/root", CAST(57, RONDE_FLOAT32, 0), CAST(57, RONDE_FLOAT32, 1), "0", "1"},
    {"cast/shape", CAST_SHAPED(57, 2, 3, 19), CAST_SHAPED(57, 2, 19, 3), "3", "19"},
    {"gather/dtype", GATHER(2, 13, RONDE_FLOAT32), GATHER(2, 13, RONDE_UINT32), "float32",
     "uint32"},
    {"gather/row", GATHER(2, 13, RONDE_FLOAT32), GATHER(2, 17, RONDE_FLOAT32), "13", "17"},
    {"gather/shape", GATHER_SHAPED(1, 57, 3, 1, 3, 19), GATHER_SHAPED(1, 57, 3, 1, 19, 3), "3",
     "19"},
    {"gather/dimensions", GATHER_SHAPED(2, 13, 2, 2, 13), GATHER_SHAPED(2, 13, 3, 2, 13, 1), "13",
     "1"},
};

static int32_t wish_submit(struct trial *trial, const struct wish *wish, const char *name,
                           const void *in, void *out, uint64_t *handle)
{
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.prescale = wish->prescale;
    call.postscale = wish->postscale;
    call.shape = wish->dimensions ? wish->shape : NULL;
    call.dimensions = wish->dimensions;
    switch (wish->kind) {
    case ALLREDUCE:
        return ronde_allreduce_async(trial->context, name, in, out, wish->count, wish->dtype,
                                     wish->op, &call, handle);
    case BROADCAST:
        return ronde_broadcast_async(trial->context, name, in, out, wish->count, wish->dtype,
                                     wish->root, &call, handle);
    case ALLGATHER:
        return ronde_allgather_async(trial->context, name, in, wish->count, wish->row_count,
                                     wish->dtype, out, 16 * ROOM / wish->row_count, NULL, &call,
                                     handle);
    }
    return RONDE_ERR_ARGUMENT;
}

/* How many different numbers below `size` stand in the text: those of ranks are among them. */
static int numbers_below(const char *text, int size)
{
    unsigned char seen[64] = {0};
    int found = 0;
    while (*text) {
        char *end = NULL;
        unsigned long number;
        if (*text < '0' || *text > '9') {
            text++;
            continue;
        }
        number = strtoul(text, &end, 10);
        if (number < (unsigned long)size && !seen[number]++)
            found++;
        text = end;
    }
    return found;
}

static void message_is_complete(struct trial *trial, const char *name, const char *value,
                                const char *odd_value)
{
    char text[1024];
    snprintf(text, sizeof text, "%s", ronde_last_error());
    char *named = strstr(text, name);
    EXPECT(trial, named, "\"%s\" does not name \"%s\"", text, name);
    if (named) /* whose letters and digits are not what we look for below */
        memset(named, ' ', strlen(name));
    EXPECT(trial, strstr(text, "rank"), "\"%s\" names no rank", text);
    EXPECT(trial, numbers_below(text, trial->size) >= 2, "\"%s\" names less than two ranks", text);
    EXPECT(trial, strstr(text, value) && strstr(text, odd_value),
           "\"%s\" does not tell both values, %s and %s", text, value, odd_value);
    EXPECT(trial, !strchr(text, '\n'), "\"%s\" is more than a line", text);
}

/* `odd_rank` wishes otherwise than the rest; all get to know, and then all agree. */
static void disagree(struct trial *trial, const struct disagreement *about, int odd_rank)
{
    double in[16 * ROOM] = {0}, out[16 * ROOM];
    uint64_t handle = 0;
    const struct wish *mine = trial->rank == odd_rank ? &about->odd : &about->most;
    memset(out, 0xa5, sizeof out);
    EXPECT_STATUS(trial, RONDE_OK, wish_submit(trial, mine, about->name, in, out, &handle));
    int32_t status = ronde_wait(trial->context, handle);
    EXPECT(trial, status == RONDE_ERR_MISMATCH, "%s, odd rank %d: %s (%s)", about->name, odd_rank,
           ronde_status_name(status), status < 0 ? ronde_last_error() : "");
    if (status == RONDE_ERR_MISMATCH)
        message_is_complete(trial, about->name, about->value, about->odd_value);
    for (size_t i = 0; i < sizeof out; i++)
        if (((unsigned char *)out)[i] != 0xa5) {
            EXPECT(trial, 0, "%s: an output was written", about->name);
            break;
        }
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(trial->context, handle));
    EXPECT_STATUS(trial, RONDE_OK, wish_submit(trial, &about->most, about->name, in, out, &handle));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
}

static void disagreement_is_an_error_on_every_rank(struct trial *trial)
{
    for (size_t i = 0; i < sizeof disagreements / sizeof *disagreements; i++) {
        disagree(trial, &disagreements[i], 0);
        disagree(trial, &disagreements[i], trial->size - 1);
        meet(trial, "after a disagreement");
    }
}

/* Half disagree, other tensors of the same moment are not harmed, and poll tells it as wait
 * does. */
static void what_agrees_is_not_harmed(struct trial *trial)
{
    enum { N = 20 };
    uint64_t handles[N];
    float in[N][ROOM], out[N][ROOM];
    char name[32];
    for (int i = 0; i < N; i++) {
        size_t count = i % 4 == 1 && trial->rank % 2 ? ROOM - 1 : ROOM;
        for (int k = 0; k < ROOM; k++)
            in[i][k] = (float)(i + k + trial->rank);
        snprintf(name, sizeof name, "mixed %d", i);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, in[i], out[i], count,
                                            RONDE_FLOAT32, RONDE_MAX, NULL, &handles[i]));
    }
    for (int i = 0; i < N; i++) {
        int32_t wanted = i % 4 == 1 ? RONDE_ERR_MISMATCH : RONDE_OK, status = RONDE_PENDING;
        for (int k = 0; k < 100000 && status == RONDE_PENDING; k++) {
            status = ronde_poll(trial->context, handles[i]);
            if (status == RONDE_PENDING)
                nap(1e-4);
        }
        EXPECT_STATUS(trial, wanted, status);
        EXPECT_STATUS(trial, wanted, ronde_wait_for(trial->context, handles[i], 20));
        for (int k = 0; k < ROOM && wanted == RONDE_OK; k++)
            EXPECT(trial, out[i][k] == (float)(i + k + trial->size - 1), "%d, element %d: %g", i, k,
                   (double)out[i][k]);
    }
    meet(trial, "after half disagreed");
}

static void unnamed_disagreement_is_told_too(struct trial *trial)
{
    int32_t data[4] = {0};
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_allreduce(trial->context, NULL, data, data, trial->rank ? 4 : 3,
                                  RONDE_INT32, RONDE_SUM, NULL));
    EXPECT(trial, strstr(ronde_last_error(), "rank"), "\"%s\" names no rank", ronde_last_error());
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, NULL, data, data, 4, RONDE_INT32, RONDE_SUM,
                                  NULL));
}

/* ---- names ----------------------------------------------------------------------------------- */

static void names_of_different_kinds_never_collide(struct trial *trial)
{
    int32_t in = trial->rank + 1, sum = 0, first = 0, all[ROOM];
    uint64_t handles[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) { /* each rank begins with another kind */
        int kind = (i + trial->rank) % 3;
        if (kind == 0)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, "one name", &in, &sum, 1,
                                                RONDE_INT32, RONDE_SUM, NULL, &handles[0]));
        else if (kind == 1)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_broadcast_async(trial->context, "one name", &in, &first, 1,
                                                RONDE_INT32, 0, NULL, &handles[1]));
        else
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allgather_async(trial->context, "one name", &in, 1, 1, RONDE_INT32,
                                                all, ROOM, NULL, NULL, &handles[2]));
    }
    for (int i = 0; i < 3; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[(i + 1) % 3]));
    EXPECT(trial,
           sum == trial->size * (trial->size + 1) / 2 && first == 1 &&
               all[trial->size - 1] == trial->size,
           "sum %d, first %d, last %d", (int)sum, (int)first, (int)all[trial->size - 1]);
}

/* Each round is another wish under one name, agreed twice (the second time it is cached), and then
 * one rank goes on with it where the others have moved on. */
static void a_cached_name_may_change_on_all_ranks_but_not_on_some(struct trial *trial)
{
    static const struct wish wishes[] = {
        REDUCE(6, RONDE_FLOAT32, RONDE_SUM, 1, 1), REDUCE(60, RONDE_FLOAT32, RONDE_SUM, 1, 1),
        REDUCE(6, RONDE_FLOAT64, RONDE_SUM, 1, 1), REDUCE(6, RONDE_FLOAT32, RONDE_MIN, 1, 1),
        REDUCE(6, RONDE_FLOAT32, RONDE_SUM, 2, 1), REDUCE_SHAPED(6, 2, 3, 2),
    };
    enum { WISHES = sizeof wishes / sizeof *wishes };
    double in[16 * ROOM] = {0}, out[16 * ROOM];
    uint64_t handle = 0;
    for (int round = 0; round < 3 * WISHES; round++) {
        const struct wish *old = &wishes[round % WISHES], *next = &wishes[(round + 1) % WISHES];
        for (int i = 0; i < 2; i++) {
            EXPECT_STATUS(trial, RONDE_OK, wish_submit(trial, old, "cached", in, out, &handle));
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
        }
        if (round % 2)
            continue;
        int is_late = trial->rank == round / 2 % trial->size;
        EXPECT_STATUS(trial, RONDE_OK,
                      wish_submit(trial, is_late ? old : next, "cached", in, out, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_wait(trial->context, handle));
    }
}

/* A cached allreduce and then a broadcast and an allgather under the same name and back. */
static void a_cached_name_may_be_used_by_another_kind(struct trial *trial)
{
    static const struct wish wishes[] = {REDUCE(6, RONDE_FLOAT32, RONDE_SUM, 1, 1),
                                         CAST(6, RONDE_FLOAT32, 0), GATHER(2, 3, RONDE_FLOAT32)};
    double in[16 * ROOM] = {0}, out[16 * ROOM];
    uint64_t handle = 0;
    for (int i = 0; i < 12; i++) {
        EXPECT_STATUS(trial, RONDE_OK,
                      wish_submit(trial, &wishes[i % 3], "turns", in, out, &handle));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    }
}

static void long_and_strange_names_work(struct trial *trial)
{
    static const char *const names[] = {" ", "%s%n%d", "\xc3\xa9t\xc3\xa9", "a;b=c\nd", "0"};
    enum { LENGTH = 1000 }; /* the longest */
    char name[LENGTH + 1];
    int32_t one = 1, sum = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce(trial->context, names[i], &one, &sum, 1, RONDE_INT32,
                                      RONDE_SUM, NULL));
    memset(name, 'x', LENGTH);
    name[LENGTH] = 0;
    for (int i = 0; i < 3; i++) { /* differing in the last byte only */
        uint64_t handles[2];
        int32_t sums[2] = {0, 0};
        for (int k = 0; k < 2; k++) {
            int32_t in = 1 + (k ^ (trial->rank & 1));
            name[LENGTH - 1] = (char)('a' + (k ^ (trial->rank & 1)));
            sums[k] = in;
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, name, &sums[k], &sums[k], 1,
                                                RONDE_INT32, RONDE_SUM, NULL, &handles[k]));
        }
        for (int k = 0; k < 2; k++)
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[k]));
        for (int k = 0; k < 2; k++)
            EXPECT(trial, sums[k] == trial->size * (1 + (k ^ (trial->rank & 1))), "sum %d",
                   (int)sums[k]);
    }
}

/* Of a name of 1000 bytes a text shows both ends, so that the reason has room. */
static void long_names_leave_room_for_the_reason(struct trial *trial)
{
    enum { LENGTH = 1000 };
    char name[LENGTH + 1];
    int32_t data[4] = {0};
    uint64_t handle;
    memset(name, 'x', LENGTH);
    memcpy(name, "head", 4);
    memcpy(name + LENGTH - 4, "tail", 5);
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_allreduce(trial->context, name, data, data, trial->rank ? 4 : 3,
                                  RONDE_INT32, RONDE_SUM, NULL));
    EXPECT_ERROR(trial, "'head", "xx...xx", "tail': shape differs: rank 0 has [3], rank ",
                 "has [4]; submit the same");
    if (trial->rank == 0) { /* and the others never do */
        ronde_call call = call_in(0);
        call.deadline = 0.2;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, data, data, 4, RONDE_INT32,
                                            RONDE_SUM, &call, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_DUPLICATE,
                      ronde_allreduce(trial->context, name, data, data, 4, RONDE_INT32, RONDE_SUM,
                                      NULL));
        EXPECT_ERROR(trial, "tail' is already outstanding");
        EXPECT_STATUS(trial, RONDE_ERR_STALLED, ronde_wait(trial->context, handle));
        EXPECT_ERROR(trial, "'head", "tail' (int32 sum [4]) waits since ", " for rank 1");
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_allreduce(trial->context, name, NULL, data, 4, RONDE_INT32, RONDE_SUM,
                                      NULL));
        EXPECT_ERROR(trial, "tail': the input is NULL");
    }
    meet(trial, "after long names");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    names_of_different_kinds_never_collide(&trial);
    a_cached_name_may_be_used_by_another_kind(&trial);
    long_and_strange_names_work(&trial);
    disagreement_is_an_error_on_every_rank(&trial);
    what_agrees_is_not_harmed(&trial);
    unnamed_disagreement_is_told_too(&trial);
    long_names_leave_room_for_the_reason(&trial);
    a_cached_name_may_change_on_all_ranks_but_not_on_some(&trial);
    return trial_end(&trial);
}
