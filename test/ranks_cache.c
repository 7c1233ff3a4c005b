/* ronde-test: np=2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* The steady state: the same tensors again are told by number, whole bins by one, and no name is
 * exchanged. After whatever breaks it, with ranks in different states, it comes back. */
#include "trial.h"

enum { TENSORS = 12, MOST = 600, SETTLING = 10, STEADY = 30 };
enum { CAST = 9, PART, GATE }; /* a broadcast, a reduce-scatter, a barrier; allreduces before */

/* What all ranks do in every step, but for deviations. */
struct wish {
    size_t count;
    int32_t dtype, op;
};

static struct wish wish_of(int number)
{
    static const size_t counts[TENSORS] = {1, 7, 64, 500, 3, 200, 33, 90, 11, 20, 30, 0};
    struct wish wish = {counts[number], RONDE_INT32, RONDE_SUM};
    return wish;
}

struct tensor {
    struct wish wish;
    int32_t in[MOST], out[MOST];
    uint64_t handle;
};

struct step {
    struct tensor tensors[TENSORS];
    struct members present;
    uint64_t dice; /* of this rank */
};

static int32_t submit(struct trial *trial, struct step *step, int number, const struct wish *wish,
                      uint64_t group)
{
    struct tensor *t = &step->tensors[number];
    ronde_call call = call_in(0);
    char name[32];
    call.group = group;
    snprintf(name, sizeof name, "tensor %d", number);
    t->wish = *wish;
    for (size_t i = 0; i < wish->count; i++)
        t->in[i] = ranks_value(trial->rank, i + (size_t)number);
    if (number == GATE)
        return ronde_barrier_async(trial->context, name, &call, &t->handle);
    if (number == CAST)
        return ronde_broadcast_async(trial->context, name, t->in, t->out, wish->count, wish->dtype,
                                     trial->size - 1, &call, &t->handle);
    if (number == PART)
        return ronde_reducescatter_async(trial->context, name, t->in, wish->count, 1, wish->dtype,
                                         wish->op, t->out, MOST, &call, &t->handle);
    return ronde_allreduce_async(trial->context, name, t->in, t->out, wish->count, wish->dtype,
                                 wish->op, &call, &t->handle);
}

static int32_t wanted_of(const struct step *step, int32_t op, size_t index)
{
    int32_t sum = 0, most = INT32_MIN;
    for (int i = 0; i < step->present.n; i++) {
        int32_t one = ranks_value(step->present.ranks[i], index);
        sum += one;
        most = one > most ? one : most;
    }
    return op == RONDE_MAX ? most : sum;
}

static void finish(struct trial *trial, struct step *step, int number, const char *what)
{
    struct tensor *t = &step->tensors[number];
    size_t first = 0, count = number == GATE ? 0 : t->wish.count;
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, t->handle));
    for (int rank = 0; rank < trial->rank && number == PART; rank++)
        first += ronde_share_rows(t->wish.count, trial->size, rank);
    if (number == PART)
        count = ronde_share_rows(t->wish.count, trial->size, trial->rank);
    for (size_t i = 0; i < count; i++) {
        size_t index = first + i + (size_t)number;
        int32_t wanted = number == CAST ? ranks_value(trial->size - 1, index)
                                        : wanted_of(step, t->wish.op, index);
        EXPECT(trial, t->out[i] == wanted, "%s: tensor %d, element %zu is %d, not %d", what, number,
               i, (int)t->out[i], (int)wanted);
    }
}

/* Submits those whose bit is set, in an order of this rank's own; finishes those whose bit is. */
static void step_run(struct trial *trial, struct step *step, unsigned submitted, unsigned finished,
                     const char *what)
{
    size_t order[TENSORS];
    dice_order(&step->dice, order, TENSORS);
    for (int k = 0; k < TENSORS; k++) {
        struct wish wish = wish_of((int)order[k]);
        if (submitted >> order[k] & 1)
            EXPECT_STATUS(trial, RONDE_OK, submit(trial, step, (int)order[k], &wish, 0));
    }
    for (int i = 0; i < TENSORS; i++)
        if (finished >> i & 1)
            finish(trial, step, i, what);
}

enum { ALL = (1 << TENSORS) - 1 };

/* The same again and again: after a while, numbers only, and of whole bins. */
static void steady(struct trial *trial, struct step *step, const char *after)
{
    ronde_counters before, end;
    for (int i = 0; i < SETTLING; i++)
        step_run(trial, step, ALL, ALL, after);
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &before, sizeof before));
    for (int i = 0; i < STEADY; i++)
        step_run(trial, step, ALL, ALL, after);
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &end, sizeof end));
    uint64_t told = end.announcements - before.announcements, cached = end.cached - before.cached;
    EXPECT(trial, told == cached, "after %s: %llu names were told in %d steady steps", after,
           (unsigned long long)(told - cached), (int)STEADY);
    EXPECT(trial, end.batches > before.batches, "after %s: no bin of %llu was announced whole",
           after, (unsigned long long)(end.bins - before.bins));
    EXPECT(trial, end.operations - before.operations == (uint64_t)STEADY * TENSORS,
           "after %s: %llu operations of %d", after,
           (unsigned long long)(end.operations - before.operations), STEADY * TENSORS);
}

/* ---- what breaks it -------------------------------------------------------------------------- */

static void a_new_tensor(struct trial *trial, struct step *step)
{
    static const char *const names[] = {"new", NULL}; /* and one without a name */
    for (int i = 0; i < 2; i++) {
        int32_t one = 1;
        uint64_t handle = 0;
        if ((trial->rank + i) % 2)
            step_run(trial, step, 0x3f, 0, "a new tensor");
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, names[i], &one, &one, 1, RONDE_INT32,
                                            RONDE_SUM, NULL, &handle));
        step_run(trial, step, (trial->rank + i) % 2 ? ALL & ~0x3f : ALL, ALL, "a new tensor");
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
        EXPECT(trial, one == trial->size, "sum %d", (int)one);
    }
}

/* Each rank leaves out tensors of its own, or none, and comes to them when it has finished what it
 * can: those that nobody has left out. */
static void tensors_that_come_late(struct trial *trial, struct step *step)
{
    for (int round = 0; round < 4; round++) {
        unsigned late = trial->rank == round % trial->size ? 0x009u << round % 3 : 0;
        unsigned shared = ALL & ~(0x009u << round % 3);
        if (trial->rank != round % trial->size && round % 2) /* another one lacks another */
            late = (trial->rank + round) % 3 == 0 ? 0x100 : 0;
        shared &= round % 2 ? ~0x100u : ~0u;
        step_run(trial, step, ALL & ~late, shared, "late tensors");
        step_run(trial, step, late, ALL & ~shared, "late tensors");
    }
}

/* Not submitted by anybody for some steps, and not in the order of the last ones. */
static void tensors_that_all_leave_out(struct trial *trial, struct step *step)
{
    for (int i = 0; i < 6; i++)
        step_run(trial, step, i < 3 ? 0x00f : 0xff0, i < 3 ? 0x00f : 0xff0, "fewer tensors");
}

/* Half of them, a pause of this rank's own, and the others. */
static void steps_in_halves(struct trial *trial, struct step *step)
{
    for (int i = 0; i < 4; i++) {
        unsigned half = (trial->rank + i) % 2 ? 0x555 : 0xaaa;
        step_run(trial, step, half, 0, "halves");
        nap(1e-3 * (double)((trial->rank + i) % 3));
        step_run(trial, step, ALL & ~half, ALL, "halves");
    }
}

/* Reductions that come in two goes make two bins; in one go, one, after some steps: on a machine that is
 * busy with other things they may seldom come in one go. */
static void bins_that_grow(struct trial *trial, struct step *step)
{
    enum { FIRST = 0x03f, SECOND = 0x5c0, APART = 6, TOGETHER = TRIAL_IS_SLOW ? 100 : 2000 };
    ronde_counters before, after;
    int32_t fewest = INT32_MAX;
    for (int i = 0; i < APART; i++) {
        step_run(trial, step, FIRST, FIRST, "bins apart");
        step_run(trial, step, SECOND, SECOND, "bins apart");
    }
    for (int i = 0; i < TOGETHER && fewest > 1; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &before, sizeof before));
        step_run(trial, step, FIRST | SECOND, FIRST | SECOND, "bins together");
        EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &after, sizeof after));
        int32_t bins = (int32_t)(after.bins - before.bins), agreed;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_direct_allreduce(trial->context, &bins, &agreed, 1, RONDE_INT32,
                                             RONDE_MAX, NULL));
        fewest = agreed < fewest ? agreed : fewest;
    }
    EXPECT(trial, fewest == 1 || TRIAL_IS_SLOW, "ten sums in one go ran in %d bins", (int)fewest);
}

/* Another count, dtype or op of tensor 2, on all ranks; and back. */
static void a_tensor_that_changes_on_all_ranks(struct trial *trial, struct step *step)
{
    static const struct wish wishes[] = {{65, RONDE_INT32, RONDE_SUM},
                                         {64, RONDE_UINT32, RONDE_SUM},
                                         {64, RONDE_INT32, RONDE_MAX},
                                         {0, RONDE_INT32, RONDE_SUM}};
    for (size_t i = 0; i < 2 * sizeof wishes / sizeof *wishes; i++) {
        int is_first = (trial->rank + (int)i) % 2;
        if (is_first)
            EXPECT_STATUS(trial, RONDE_OK, submit(trial, step, 2, &wishes[i / 2], 0));
        step_run(trial, step, ALL & ~(1u << 2), 0, "a change");
        if (!is_first)
            EXPECT_STATUS(trial, RONDE_OK, submit(trial, step, 2, &wishes[i / 2], 0));
        step_run(trial, step, 0, ALL, "a change");
    }
}

/* The same on one rank only: an error of this tensor on all, and of none else. */
static void a_tensor_that_changes_on_one_rank(struct trial *trial, struct step *step)
{
    static const struct wish wishes[] = {{65, RONDE_INT32, RONDE_SUM},
                                         {64, RONDE_FLOAT32, RONDE_SUM},
                                         {64, RONDE_INT32, RONDE_MAX}};
    for (int i = 0; i < 6; i++) {
        int odd = i % 2 ? trial->size - 1 : 0;
        struct wish mine = trial->rank == odd ? wishes[i / 2] : wish_of(2);
        if ((trial->rank + i) % 2)
            step_run(trial, step, ALL & ~(1u << 2), 0, "a mismatch");
        EXPECT_STATUS(trial, RONDE_OK, submit(trial, step, 2, &mine, 0));
        if ((trial->rank + i) % 2 == 0)
            step_run(trial, step, ALL & ~(1u << 2), 0, "a mismatch");
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_wait(trial->context, step->tensors[2].handle));
        EXPECT_ERROR(trial, "tensor 2", "rank");
        step_run(trial, step, 0, ALL & ~(1u << 2), "a mismatch");
    }
}

/* A rank joins; the others' steps are of them alone. */
static void a_rank_that_joins(struct trial *trial, struct step *step)
{
    for (int i = 0; i < 3; i++) {
        int absent = i * (trial->size - 1) / 2;
        int32_t last = -7;
        if (absent == trial->size - 1) /* the broadcast's root stays */
            absent = 0;
        step->present.n = 0;
        for (int rank = 0; rank < trial->size; rank++)
            if (rank != absent)
                step->present.ranks[step->present.n++] = rank;
        for (int k = 0; k < 3 && trial->rank != absent; k++)
            step_run(trial, step, ALL, ALL, "a join");
        EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
        EXPECT(trial, last != absent, "rank %d was the last to join", (int)last);
        step->present = members_first(trial->size);
    }
}

/* Some of the tensors in a group this time. */
static void a_group(struct trial *trial, struct step *step)
{
    uint64_t group = 0;
    unsigned others = ALL & ~(1u << 1 | 1u << 5 | 1u << CAST);
    EXPECT_STATUS(trial, RONDE_OK, ronde_group_begin(trial->context, &group));
    for (int i = 0; i < 3; i++) {
        static const int numbers[] = {1, 5, CAST};
        struct wish wish = wish_of(numbers[i]);
        EXPECT_STATUS(trial, RONDE_OK, submit(trial, step, numbers[i], &wish, group));
    }
    if (trial->rank % 2)
        step_run(trial, step, others, 0, "a group");
    EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
    step_run(trial, step, trial->rank % 2 ? 0 : others, ALL, "a group");
}

/* Rank 0 keeps the others' tensors waiting, and they submit one of them twice meanwhile. */
static void a_duplicate(struct trial *trial, struct step *step)
{
    int32_t data[3] = {0};
    uint64_t handle = 4711;
    if (trial->rank) {
        step_run(trial, step, ALL, 0, "a duplicate");
        EXPECT_STATUS(trial, RONDE_ERR_DUPLICATE,
                      ronde_allreduce_async(trial->context, "tensor 4", data, data, 3, RONDE_INT32,
                                            RONDE_SUM, NULL, &handle));
        EXPECT(trial, handle == 4711, "a duplicate has a handle");
    }
    meet_directly(trial);
    step_run(trial, step, trial->rank ? 0 : ALL, ALL, "a duplicate");
}

/* The name of an allreduce is also that of a broadcast and of an allgather this time. */
static void another_kind_of_the_same_name(struct trial *trial, struct step *step)
{
    int32_t from = trial->rank, all[64];
    uint64_t handle = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather_async(trial->context, "tensor 0", &trial->rank, 1, 1, RONDE_INT32,
                                        all, 64, NULL, NULL, &handle));
    step_run(trial, step, ALL, ALL, "another kind");
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, "tensor 0", &from, &from, 1, RONDE_INT32, 1,
                                  NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    EXPECT(trial, from == 1 && all[1] == 1, "%d and %d from rank 1", (int)from, (int)all[1]);
}

static const struct {
    void (*run)(struct trial *, struct step *);
    const char *what;
} deviations[] = {
    {a_new_tensor, "a new tensor"},
    {tensors_that_come_late, "late tensors"},
    {tensors_that_all_leave_out, "fewer tensors"},
    {steps_in_halves, "halves"},
    {bins_that_grow, "bins that grow"},
    {a_tensor_that_changes_on_all_ranks, "a change on all ranks"},
    {a_tensor_that_changes_on_one_rank, "a change on one rank"},
    {a_rank_that_joins, "a join"},
    {a_group, "a group"},
    {a_duplicate, "a duplicate"},
    {another_kind_of_the_same_name, "another kind"},
};
enum { DEVIATIONS = sizeof deviations / sizeof *deviations };

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    struct step *step = calloc(1, sizeof *step);
    uint64_t common = 7; /* dice that fall alike on all ranks */
    (void)argc;
    (void)argv;
    step->present = members_first(trial.size);
    step->dice = (uint64_t)trial.rank * 101 + 9;
    steady(&trial, step, "the first steps");
    for (int i = 0; i < DEVIATIONS; i++) {
        deviations[i].run(&trial, step);
        steady(&trial, step, deviations[i].what);
    }
    for (int i = 0; i < 60; i++) /* one after the other, or with a few good steps between */
        if (dice_below(&common, 3) == 0)
            step_run(&trial, step, ALL, ALL, "deviations");
        else
            deviations[dice_below(&common, DEVIATIONS)].run(&trial, step);
    steady(&trial, step, "deviations in a row");
    free(step);
    return trial_end(&trial);
}
