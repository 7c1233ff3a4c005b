/* ronde-test: np=1,2,3,4 np=4/2 threads=2,3,4/2 mpich=2 timeout=60 */
/* What ranks decide together in a loop - a gradient that is not finite, stopping - and what they
 * find out about each other: other parameters, other tables, other options. Whatever it is, all
 * learn the same, and the loop goes on. */
#include "train_model.h"
#include "trial.h"

static ronde_train *open_loop(struct trial *trial, const ronde_train_options *options,
                              struct model *model)
{
    ronde_train *train = NULL;
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_open(trial->context, options, &train));
    EXPECT_STATUS(trial, RONDE_OK, model_add(train, model));
    return train;
}

/* One step of the optimiser, in whose last gradient a rank has a bad value: nobody moves, all know
 * whose it was. */
static void skip_step(struct trial *trial, ronde_train *train, struct model *model, int32_t parts,
                      int culprit, int32_t tensor, double bad)
{
    ronde_train_counters counters;
    struct model before = *model;
    size_t mine = (size_t)trial->rank;
    int32_t outcome = -1;
    for (int32_t i = 0; i < parts; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_begin(train, 1));
        model_gradient(model, &mine, 1);
        if (trial->rank == culprit && i == parts - 1)
            model->gradient[tensor][2] = bad;
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_ready_rest(train));
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_step(train, &outcome));
    }
    EXPECT(trial, outcome == RONDE_TRAIN_SKIPPED, "outcome %d", (int)outcome);
    EXPECT(trial, !memcmp(model->value, before.value, sizeof before.value), "parameters moved");
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_counters_read(train, &counters, sizeof counters));
    EXPECT(trial, counters.bad_rank == culprit && counters.bad_tensor == tensor,
           "rank %d, tensor %d, where it was rank %d, tensor %d", (int)counters.bad_rank,
           (int)counters.bad_tensor, culprit, (int)tensor);
    EXPECT(trial, counters.steps == 0, "%d steps", (int)counters.steps);
}

/* Twice, by two ranks; then the next step is as if nothing had been. */
static void skip_and_go_on(struct trial *trial, int number)
{
    ronde_train_options options = recipe(number);
    ronde_train_counters counters;
    struct reference reference;
    struct model model;
    size_t mine = (size_t)trial->rank, all[64];
    int32_t parts = options.accumulate, outcome = -1;
    reference_init(&reference, 3, &options);
    model_init(&model, 3);
    ronde_train *train = open_loop(trial, &options, &model);
    skip_step(trial, train, &model, parts, number % trial->size, number % 3, NAN);
    skip_step(trial, train, &model, parts, (number + 1) % trial->size, 1 + number % 3,
              number % 2 ? INFINITY : -INFINITY);
    for (int rank = 0; rank < trial->size; rank++)
        all[rank] = (size_t)rank;
    for (int32_t i = 0; i < parts; i++)
        EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, &mine, 1, &outcome));
    reference_step(&reference, all, (size_t)trial->size);
    EXPECT(trial, model_distance(&model, &reference.model) < 1e-9, "the next step is %g apart",
           model_distance(&model, &reference.model));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_counters_read(train, &counters, sizeof counters));
    EXPECT(trial, counters.skipped == 2 && counters.steps == 1, "%d skipped",
           (int)counters.skipped);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

static void nobody_applies_a_gradient_that_is_not_finite(struct trial *trial)
{
    for (int number = 0; number < RECIPES; number++)
        skip_and_go_on(trial, number);
}

/* Each gradient is finite, their sum is not. */
static void a_sum_that_overflows_is_nobodys(struct trial *trial)
{
    ronde_train_options options = recipe(0);
    ronde_train_counters counters;
    ronde_train *train = NULL;
    float value[2] = {1, 1}, gradient[2] = {1, 3e38f};
    int32_t outcome = -1;
    if (trial->size == 1)
        return;
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_open(trial->context, &options, &train));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_train_add(train, "large", value, gradient, 2, RONDE_FLOAT32, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_begin(train, 1));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_step(train, &outcome)); /* zeros: not marked */
    EXPECT(trial, outcome == RONDE_TRAIN_STEPPED && value[1] == 1, "outcome %d", (int)outcome);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_begin(train, 1));
    gradient[1] = 3e38f;
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_ready(train, 0));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_step(train, &outcome));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_counters_read(train, &counters, sizeof counters));
    EXPECT(trial, outcome == RONDE_TRAIN_SKIPPED && value[1] == 1, "outcome %d, value %g",
           (int)outcome, (double)value[1]);
    EXPECT(trial, counters.bad_rank == -1 && counters.bad_tensor == 0, "rank %d, tensor %d",
           (int)counters.bad_rank, (int)counters.bad_tensor);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

/* What a rank without samples has in its gradients is not looked at; without any sample at all the
 * step is an error on all ranks, and the loop stays usable. */
static void steps_without_samples(struct trial *trial)
{
    ronde_train_options options = recipe(1);
    struct model model, before;
    size_t mine = 5;
    int32_t outcome = -1;
    model_init(&model, 3);
    before = model;
    ronde_train *train = open_loop(trial, &options, &model);
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, model_step(train, &model, NULL, 0, &outcome));
    EXPECT(trial, outcome == -1, "outcome %d", (int)outcome);
    EXPECT(trial, !memcmp(model.value, before.value, sizeof model.value), "parameters moved");
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_begin(train, trial->rank == trial->size - 1));
    model_gradient(&model, &mine, 1);
    if (trial->rank != trial->size - 1)
        model.gradient[0][0] = NAN;
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_ready_rest(train));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_step(train, &outcome));
    EXPECT(trial, outcome == RONDE_TRAIN_STEPPED, "outcome %d", (int)outcome);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

/* ---- looking for differences ----------------------------------------------------------------- */

static void a_checksum_catches_one_bit(struct trial *trial)
{
    ronde_train_options options = recipe(5);
    struct model model;
    size_t mine = 5;
    uint64_t checksum = 0, first = 0;
    int last = trial->size - 1;
    char text[64];
    model_init(&model, 3);
    ronde_train *train = open_loop(trial, &options, &model);
    EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, &mine, 1, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, &checksum));
    same_everywhere(trial, &checksum, sizeof checksum, "the checksum");
    if (trial->size > 1) {
        double kept = model.value[2][3];
        if (trial->rank == last)
            model.value[2][3] = nextafter(kept, 9);
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_train_check(train, &first));
        snprintf(text, sizeof text, "on rank %d", last);
        EXPECT_ERROR(trial, "parameter 'w2' differs", "on rank 0", text);
        EXPECT(trial, first == 0, "a checksum of parameters that differ");
        model.value[2][3] = kept;
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, &first));
        EXPECT(trial, first == checksum, "another checksum of the same parameters");
        /* A rank that uses another rate goes another way: in its parameters only. */
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_train_set_rate(train, trial->rank == last ? 0.1 : 0.2));
        EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, &mine, 1, NULL));
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_train_check(train, NULL));
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_broadcast(train, last));
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, NULL));
        ronde_train_counters counters;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_train_counters_read(train, &counters, sizeof counters));
        EXPECT(trial, counters.rate == 0.1 && counters.steps == 2, "rate %g", counters.rate);
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

/* The state of Adam differs after steps of a loop of each rank's own, and its parameters too: a
 * broadcast makes both equal, and all go on alike. */
static void a_broadcast_brings_the_state_too(struct trial *trial)
{
    ronde_train_options options = recipe(5);
    struct model model;
    size_t mine = 5;
    int32_t root = trial->size - 1;
    model_init(&model, 3 + (uint64_t)trial->rank);
    ronde_train *train = open_loop(trial, &options, &model);
    for (int step = 0; step < 3;
         step++) /* the others have joined: rank 0 steps alone, or root does */
        if (trial->rank == root)
            EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, &mine, 1, NULL));
    struct model wanted = model;
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, NULL, NULL));
    if (trial->size > 1) {
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_train_check(train, NULL));
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, "wanted", &wanted, &wanted,
                                  sizeof wanted / sizeof(double), RONDE_FLOAT64, root, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_broadcast(train, root));
    EXPECT(trial, !memcmp(model.value, wanted.value, sizeof model.value), "other parameters");
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, NULL));
    EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, &mine, 1, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

static void other_tables_and_options_are_told(struct trial *trial)
{
    ronde_train_options options = recipe(1);
    struct model model;
    double more[2] = {0}, gradient[2] = {0};
    int last = trial->size - 1;
    if (trial->size == 1)
        return;
    for (int kind = 0; kind < 3; kind++) {
        options.momentum = kind == 0 && trial->rank == last ? 0.8 : 0.9;
        model_init(&model, 3);
        ronde_train *train = open_loop(trial, &options, &model);
        if (kind == 1 && trial->rank == last)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_train_add(train, "more", more, gradient, 2, RONDE_FLOAT64, NULL));
        if (kind == 2)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_train_add(train, trial->rank == last ? "mine" : "ours", more,
                                          gradient, 2, RONDE_FLOAT64, NULL));
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_train_broadcast(train, 0));
        if (kind == 0)
            EXPECT_ERROR(trial, "loop 'train'", "other options");
        else if (kind == 1)
            EXPECT_ERROR(trial, "rank 0 has 5 tensors", "has 6");
        else
            EXPECT_ERROR(trial, "other tensors: by name, count, dtype or order");
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
    }
}

/* ---- votes ----------------------------------------------------------------------------------- */

static void votes_are_counted_by_rule(struct trial *trial)
{
    ronde_train *train = NULL;
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_open(trial->context, NULL, &train));
    for (int yes = 0; yes <= trial->size; yes++)
        for (int32_t rule = RONDE_TRAIN_ANY_RANK; rule <= RONDE_TRAIN_MAJORITY; rule++) {
            int32_t decision = -1, wanted = rule == RONDE_TRAIN_ANY_RANK    ? yes > 0
                                            : rule == RONDE_TRAIN_ALL_RANKS ? yes == trial->size
                                                                            : 2 * yes > trial->size;
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_train_vote(train, 4 * (trial->rank < yes), rule, &decision));
            EXPECT(trial, decision == wanted, "%d of %d, rule %d: %d", yes, trial->size, (int)rule,
                   (int)decision);
        }
    if (trial->size > 1) {
        int32_t decision = -1;
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_train_vote(train, 1, trial->rank == 1, &decision));
        EXPECT_ERROR(trial, "ranks 0 and 1 vote by other rules");
        EXPECT(trial, decision == -1, "a decision of no rule");
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

/* Each rank wishes to stop at a step of its own; all leave at the first. */
static void all_leave_at_the_same_step(struct trial *trial)
{
    ronde_train *train = NULL;
    int32_t stop = 0, step = 0;
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_open(trial->context, NULL, &train));
    for (; !stop && step < 100; step++)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_train_vote(train, step >= 5 + (trial->rank + 1) % trial->size,
                                       RONDE_TRAIN_ANY_RANK, &stop));
    EXPECT(trial, step == 6, "left after %d steps", (int)step);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc, (void)argv;
    nobody_applies_a_gradient_that_is_not_finite(&trial);
    a_sum_that_overflows_is_nobodys(&trial);
    steps_without_samples(&trial);
    a_checksum_catches_one_bit(&trial);
    a_broadcast_brings_the_state_too(&trial);
    other_tables_and_options_are_told(&trial);
    votes_are_counted_by_rule(&trial);
    all_leave_at_the_same_step(&trial);
    return trial_end(&trial);
}
