/* The loop on one process: it follows a plain one with every optimiser, its arithmetic in float32,
 * and what it refuses. */
#include <stdlib.h>

#include "check.h"
#include "train_model.h"

static ronde_train *open_loop(const ronde_train_options *options, struct model *model)
{
    ronde_train *train = NULL;
    if (ronde_train_open(NULL, options, &train) != RONDE_OK || model_add(train, model) != RONDE_OK)
        fprintf(stderr, "%s\n", ronde_last_error());
    return train;
}

static void gradients_agree_with_finite_differences(void)
{
    static const size_t batch[] = {3, 1, 4, 15, 9, 26, 5};
    enum { BATCH = sizeof batch / sizeof *batch };
    const double h = 1e-5;
    struct model model;
    model_init(&model, 5);
    model_gradient(&model, batch, BATCH);
    for (int t = 0; t < TENSORS; t++)
        for (size_t i = 0; i < model_count[t]; i++) {
            double value = model.value[t][i], above = 0, below = 0;
            for (size_t s = 0; s < BATCH; s++) {
                model.value[t][i] = value + h;
                above += sample_loss(&model, batch[s]) / BATCH;
                model.value[t][i] = value - h;
                below += sample_loss(&model, batch[s]) / BATCH;
            }
            model.value[t][i] = value;
            double slope = (above - below) / (2 * h);
            CHECK_SAYING(fabs(slope - model.gradient[t][i]) < 1e-9, "%s[%zu]: %g, not %g",
                         model_name[t], i, model.gradient[t][i], slope);
        }
}

/* All samples in batches of 7, for a few epochs; accumulated ones make one larger batch. */
static void follow(int number)
{
    ronde_train_options options = recipe(number);
    struct reference reference;
    struct model model;
    reference_init(&reference, 3, &options);
    model_init(&model, 3);
    ronde_train *train = open_loop(&options, &model);
    CHECK(train);
    size_t samples[SAMPLES], held = 0;
    for (int step = 1; step <= 30; step++) {
        int32_t outcome = -1;
        for (size_t i = 0; i < 7; i++)
            samples[held + i] = ((size_t)step * 7 + i) % SAMPLES;
        CHECK(model_step(train, &model, samples + held, 7, &outcome) == RONDE_OK);
        held += 7;
        if (step % options.accumulate != 0) {
            CHECK(outcome == RONDE_TRAIN_ACCUMULATED);
            continue;
        }
        reference_step(&reference, samples, held);
        held = 0;
        CHECK(outcome == RONDE_TRAIN_STEPPED);
        CHECK_SAYING(model_distance(&model, &reference.model) < 1e-12, "recipe %d, step %d: %g",
                     number, step, model_distance(&model, &reference.model));
        CHECK(fabs(model.loss - reference.model.loss) < 1e-12);
    }
    CHECK(ronde_train_close(&train) == RONDE_OK && !train);
}

static void every_optimiser_follows_its_formula(void)
{
    for (int number = 0; number < RECIPES; number++)
        follow(number);
}

static void a_flush_applies_what_is_there(void)
{
    ronde_train_options options = recipe(4);
    struct reference reference;
    struct model model;
    static const size_t samples[] = {1, 2, 3, 4, 5, 6, 7};
    int32_t outcome = -1;
    reference_init(&reference, 3, &options);
    model_init(&model, 3);
    ronde_train *train = open_loop(&options, &model);
    CHECK(ronde_train_flush(train, &outcome) == RONDE_OK && outcome == RONDE_TRAIN_IDLE);
    CHECK(model_step(train, &model, samples, 2, &outcome) == RONDE_OK);
    CHECK(model_step(train, &model, samples + 2, 5, &outcome) == RONDE_OK);
    CHECK(outcome == RONDE_TRAIN_ACCUMULATED);
    CHECK(ronde_train_flush(train, &outcome) == RONDE_OK && outcome == RONDE_TRAIN_STEPPED);
    reference_step(&reference, samples, 7);
    CHECK(model_distance(&model, &reference.model) < 1e-12);
    ronde_train_close(&train);
}

/* One tensor of float32, whose gradient is given. */
static void float32_is_stepped_in_float32(void)
{
    float value[3] = {1, -2, 3}, gradient[3], wanted[3] = {1, -2, 3}, velocity[3] = {0};
    ronde_train_options options;
    ronde_train *train;
    int32_t tensor;
    ronde_train_options_init(&options, sizeof options);
    options.momentum = 0.9;
    CHECK(ronde_train_open(NULL, &options, &train) == RONDE_OK);
    CHECK(ronde_train_add(train, "v", value, gradient, 3, RONDE_FLOAT32, &tensor) == RONDE_OK);
    CHECK(ronde_train_set_rate(train, 0.1) == RONDE_OK);
    for (int step = 0; step < 5; step++) {
        CHECK(ronde_train_begin(train, 0.5) == RONDE_OK);
        for (int i = 0; i < 3; i++)
            gradient[i] = 0.3f * value[i] - 0.1f;
        for (int i = 0; i < 3; i++) {
            velocity[i] = 0.9f * velocity[i] + gradient[i];
            wanted[i] -= 0.1f * velocity[i];
        }
        CHECK(ronde_train_ready(train, tensor) == RONDE_OK);
        CHECK(ronde_train_step(train, NULL) == RONDE_OK);
        CHECK(!memcmp(value, wanted, sizeof value));
    }
    ronde_train_close(&train);
}

static void what_is_not_marked_counts_as_zero(void)
{
    ronde_train_options options = recipe(0);
    struct model model, before;
    size_t samples[] = {4, 5};
    int32_t outcome = -1;
    model_init(&model, 3);
    ronde_train *train = open_loop(&options, &model);
    before = model;
    CHECK(ronde_train_begin(train, 2) == RONDE_OK);
    model_gradient(&model, samples, 2);
    CHECK(ronde_train_ready(train, 3) == RONDE_OK);
    CHECK(ronde_train_step(train, &outcome) == RONDE_OK && outcome == RONDE_TRAIN_STEPPED);
    CHECK(!memcmp(model.value, before.value, sizeof model.value[0] * 3));
    CHECK(memcmp(model.value[3], before.value[3], sizeof model.value[3]));
    ronde_train_close(&train);
}

static void a_gradient_that_is_not_finite_moves_nothing(void)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int number = 0; number < RECIPES; number++) {
        ronde_train_options options = recipe(number);
        struct model model, before;
        ronde_train_counters counters;
        static const size_t samples[] = {4, 5};
        int32_t outcome = -1;
        model_init(&model, 3);
        ronde_train *train = open_loop(&options, &model);
        before = model;
        for (int32_t i = 0; i < options.accumulate; i++) {
            CHECK(ronde_train_begin(train, 2) == RONDE_OK);
            model_gradient(&model, samples, 2);
            if (i == 0)
                model.gradient[2][17] = bad[number % 3];
            CHECK(ronde_train_ready_rest(train) == RONDE_OK);
            CHECK(ronde_train_step(train, &outcome) == RONDE_OK);
        }
        CHECK(outcome == RONDE_TRAIN_SKIPPED &&
              !memcmp(model.value, before.value, sizeof model.value));
        CHECK(ronde_train_counters_read(train, &counters, sizeof counters) == RONDE_OK);
        CHECK(counters.skipped == 1 && counters.steps == 0 && counters.bad_rank == 0 &&
              counters.bad_tensor == 2);
        for (int32_t i = 0; i < options.accumulate; i++)
            CHECK(model_step(train, &model, samples, 2, &outcome) == RONDE_OK);
        CHECK(outcome == RONDE_TRAIN_STEPPED); /* nothing of it is left */
        struct reference reference;
        reference_init(&reference, 3, &options);
        reference_step(&reference, samples, 2);
        CHECK(model_distance(&model, &reference.model) < 1e-12);
        ronde_train_close(&train);
    }
}

static void counters_tell(void)
{
    ronde_train_options options = recipe(3);
    struct model model;
    ronde_train_counters counters;
    static const size_t samples[] = {4, 5, 6};
    model_init(&model, 3);
    ronde_train *train = open_loop(&options, &model);
    for (int step = 0; step < 3; step++)
        CHECK(model_step(train, &model, samples, 3, NULL) == RONDE_OK);
    double squares = 0;
    for (int t = 0; t < TENSORS; t++)
        for (size_t i = 0; i < model_count[t]; i++)
            squares += model.gradient[t][i] * model.gradient[t][i];
    CHECK(ronde_train_counters_read(train, &counters, sizeof counters) == RONDE_OK);
    CHECK(counters.size == sizeof counters && counters.steps == 3 && counters.skipped == 0);
    CHECK(counters.samples == 9 && counters.rate == 0.3 && counters.bad_rank == -1);
    CHECK_SAYING(fabs(counters.norm - sqrt(squares)) < 1e-12, "norm %g", counters.norm);
    ronde_train_close(&train);
}

static void refused(int32_t status, int32_t wanted, const char *text)
{
    CHECK_SAYING(status == wanted && strstr(ronde_last_error(), text), "status %d, \"%s\"",
                 (int)status, ronde_last_error());
}

static void bad_option(void (*spoil)(ronde_train_options *), const char *text)
{
    ronde_train_options options;
    ronde_train *train = NULL;
    ronde_train_options_init(&options, sizeof options);
    spoil(&options);
    refused(ronde_train_open(NULL, &options, &train), RONDE_ERR_ARGUMENT, text);
    CHECK(!train);
}

#define SPOIL(name, change) \
    static void name(ronde_train_options *o) \
    { \
        o->change; \
    }
SPOIL(other_optimiser, optimiser = 3)
SPOIL(rate_nan, rate = NAN)
SPOIL(momentum_one, momentum = 1)
SPOIL(decay_negative, weight_decay = -1)
SPOIL(beta1_one, beta1 = 1)
SPOIL(beta2_nan, beta2 = NAN)
SPOIL(epsilon_negative, epsilon = -1e-9)
SPOIL(clip_nan, clip_norm = NAN)
SPOIL(accumulate_none, accumulate = 0)
SPOIL(nesterov_still, nesterov = 1)
SPOIL(no_name, name = "")
SPOIL(no_size, size = 1)

static void bad_options_are_refused(void)
{
    bad_option(other_optimiser, "optimiser is 3, where one of enum ronde_train_optimiser");
    bad_option(rate_nan, "rate is nan");
    bad_option(momentum_one, "momentum is 1, where 0 or more, below 1 is expected");
    bad_option(decay_negative, "weight_decay is -1");
    bad_option(beta1_one, "beta1 is 1");
    bad_option(beta2_nan, "beta2 is nan");
    bad_option(epsilon_negative, "epsilon is -1e-09");
    bad_option(clip_nan, "clip_norm is nan");
    bad_option(accumulate_none, "accumulate is 0");
    bad_option(nesterov_still, "momentum is 0, where with nesterov more than 0 is expected");
    bad_option(no_name, "name must have 1 to 200 bytes");
    bad_option(no_size, "fill it with ronde_train_options_init first");
}

static void bad_tensors_are_refused(ronde_train *train)
{
    double values[2] = {0}, gradient[2];
    int32_t tensor = -5;
    refused(ronde_train_add(train, "w1", values, gradient, 2, RONDE_FLOAT64, &tensor),
            RONDE_ERR_DUPLICATE, "there is a tensor 'w1' already");
    refused(ronde_train_add(train, "half", values, gradient, 2, RONDE_FLOAT16, &tensor),
            RONDE_ERR_ARGUMENT, "tensor 'half' is float16, where float32 or float64");
    refused(ronde_train_add(train, "none", values, gradient, 2, 99, &tensor), RONDE_ERR_ARGUMENT,
            "tensor 'none' is no dtype");
    refused(ronde_train_add(train, "", values, gradient, 2, RONDE_FLOAT64, &tensor),
            RONDE_ERR_ARGUMENT, "the name of a tensor");
    refused(ronde_train_add(train, "flat", values, NULL, 2, RONDE_FLOAT64, &tensor),
            RONDE_ERR_ARGUMENT, "tensor 'flat' has no gradient");
    refused(ronde_train_add(train, "large", values, gradient, SIZE_MAX / 8, RONDE_FLOAT64, &tensor),
            RONDE_ERR_OVERFLOW, "tensor 'large' has");
    CHECK(tensor == -5);
}

static void misuse_is_refused(void)
{
    ronde_train_options options = recipe(0);
    struct model model;
    ronde_train *train = NULL;
    int32_t decision = -5;
    ronde_train_counters counters;
    refused(ronde_train_begin(NULL, 1), RONDE_ERR_ARGUMENT, "the loop is NULL");
    refused(ronde_train_open(NULL, NULL, NULL), RONDE_ERR_ARGUMENT, "is NULL");
    model_init(&model, 3);
    train = open_loop(&options, &model);
    bad_tensors_are_refused(train);
    refused(ronde_train_step(train, NULL), RONDE_ERR_ARGUMENT,
            "the end of a step without a step: call ronde_train_begin first");
    refused(ronde_train_ready(train, 0), RONDE_ERR_ARGUMENT, "a gradient without a step");
    refused(ronde_train_begin(train, -1), RONDE_ERR_ARGUMENT, "a step with -1 samples");
    refused(ronde_train_begin(train, NAN), RONDE_ERR_ARGUMENT, "a step with nan samples");
    refused(ronde_train_set_rate(train, INFINITY), RONDE_ERR_ARGUMENT, "a rate of inf");
    CHECK(ronde_train_begin(train, 2) == RONDE_OK);
    refused(ronde_train_begin(train, 2), RONDE_ERR_ARGUMENT, "a step within a step");
    refused(ronde_train_check(train, NULL), RONDE_ERR_ARGUMENT, "a check within a step");
    refused(ronde_train_join(train), RONDE_ERR_ARGUMENT, "a join within a step");
    refused(ronde_train_flush(train, NULL), RONDE_ERR_ARGUMENT, "a flush within a step");
    refused(ronde_train_broadcast(train, 0), RONDE_ERR_ARGUMENT, "a broadcast within a step");
    refused(ronde_train_vote(train, 1, 0, &decision), RONDE_ERR_ARGUMENT, "a vote within a step");
    refused(ronde_train_ready(train, 5), RONDE_ERR_ARGUMENT, "tensor 5 of 5");
    memset(model.gradient, 0, sizeof model.gradient);
    model.loss = 0;
    CHECK(ronde_train_ready(train, 1) == RONDE_OK);
    refused(ronde_train_ready(train, 1), RONDE_ERR_DUPLICATE, "tensor 'b1' is ready twice");
    CHECK(ronde_train_step(train, NULL) == RONDE_OK);
    CHECK(ronde_train_begin(train, 0) == RONDE_OK);
    refused(ronde_train_step(train, NULL), RONDE_ERR_MISMATCH, "a step without a sample");
    refused(ronde_train_vote(train, 1, 7, &decision), RONDE_ERR_ARGUMENT, "rule 7");
    refused(ronde_train_broadcast(train, 1), RONDE_ERR_ARGUMENT, "root 1 is none of its ranks");
    refused(ronde_train_counters_read(train, &counters, 2), RONDE_ERR_ARGUMENT, "smaller");
    CHECK(decision == -5);
    CHECK(ronde_train_begin(train, 2) == RONDE_OK); /* closed within a step */
    CHECK(ronde_train_close(&train) == RONDE_OK && ronde_train_close(NULL) == RONDE_OK);
}

static void alone_one_agrees_with_oneself(void)
{
    ronde_train_options options = recipe(5);
    struct model model, other;
    uint64_t checksum = 0, again = 0, another = 0;
    int32_t decision = -1;
    model_init(&model, 3);
    model_init(&other, 3);
    ronde_train *train = open_loop(&options, &model), *second = open_loop(&options, &other);
    CHECK(ronde_train_broadcast(train, 0) == RONDE_OK && ronde_train_join(train) == RONDE_OK);
    CHECK(ronde_train_check(train, &checksum) == RONDE_OK);
    CHECK(ronde_train_check(second, &again) == RONDE_OK && checksum == again);
    other.value[1][6] = nextafter(other.value[1][6], 9);
    CHECK(ronde_train_check(second, &another) == RONDE_OK && another != again);
    CHECK(ronde_train_vote(train, 1, RONDE_TRAIN_MAJORITY, &decision) == RONDE_OK && decision == 1);
    CHECK(ronde_train_vote(train, 0, RONDE_TRAIN_ANY_RANK, &decision) == RONDE_OK && decision == 0);
    ronde_train_close(&train);
    ronde_train_close(&second);
}

int main(void)
{
    RUN(gradients_agree_with_finite_differences);
    RUN(every_optimiser_follows_its_formula);
    RUN(a_flush_applies_what_is_there);
    RUN(float32_is_stepped_in_float32);
    RUN(what_is_not_marked_counts_as_zero);
    RUN(a_gradient_that_is_not_finite_moves_nothing);
    RUN(counters_tell);
    RUN(bad_options_are_refused);
    RUN(misuse_is_refused);
    RUN(alone_one_agrees_with_oneself);
    return check_result();
}
