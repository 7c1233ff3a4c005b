/* A step: gradients are submitted as they become ready, each under its own name, so that they
 * travel while the caller computes the next; the end of the step waits, looks, and moves the
 * parameters.
 *
 * What is submitted is this rank's mean gradient g with the weight n of its samples; what comes
 * back is sum(n g) / sum(n), with the same bits on all ranks. So whatever is decided by looking at
 * the result - is it finite, how long is it - is decided alike everywhere, and needs no message. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "train/loop.h"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void keep_error(ronde_train *train, int32_t status)
{
    if (train->failed != RONDE_OK || status >= 0)
        return;
    train->failed = status;
    snprintf(train->failure, sizeof train->failure, "%s", ronde_last_error());
}

static int is_last(const ronde_train *train)
{
    return train->steps_taken + 1 == train->options.accumulate;
}

/* ---- submitting ------------------------------------------------------------------------------ */

static int32_t submit(ronde_train *train, struct slot *slot, double weight)
{
    const struct team *team = &train->team;
    void *mean = ronde__slot_mean(slot);
    ronde_call call = ronde__team_call(team);
    if (!team->context)
        return RONDE_OK;
    double start = now();
    call.weight = weight;
    int32_t status = ronde_allreduce_async(team->context, slot->op_name, mean, mean, slot->count,
                                           slot->dtype, RONDE_WEIGHTED_AVERAGE, &call,
                                           &slot->handle);
    slot->is_submitted = status == RONDE_OK;
    train->counters.wait_seconds += now() - start;
    keep_error(train, status);
    return status;
}

/* The weighted sum becomes a mean. */
static int32_t submit_sum(ronde_train *train, struct slot *slot, double weight)
{
    if (slot->sum_is_empty || weight == 0)
        memset(slot->sum, 0, slot->bytes);
    else
        slot->arithmetic->scale(slot->sum, 1 / weight, slot->count);
    slot->sum_is_empty = 1;
    return submit(train, slot, weight);
}

static void accumulate(const ronde_train *train, struct slot *slot)
{
    if (train->samples == 0)
        return;
    (slot->sum_is_empty
         ? slot->arithmetic->set_scaled
         : slot->arithmetic->add_scaled)(slot->sum, slot->gradient, train->samples, slot->count);
    slot->sum_is_empty = 0;
}

/* Whose gradient it was can be said only if each rank looks at its own before the sum. */
static void look_for_nan(ronde_train *train, const struct slot *slot)
{
    int32_t tensor = (int32_t)(slot - train->slots);
    if (slot->values && train->samples != 0 &&
        (train->bad_tensor < 0 || tensor < train->bad_tensor) &&
        !slot->arithmetic->is_finite(slot->gradient, slot->count))
        train->bad_tensor = tensor;
}

static int32_t make_ready(ronde_train *train, struct slot *slot)
{
    slot->is_ready = 1;
    look_for_nan(train, slot);
    if (slot->sum) {
        accumulate(train, slot);
        return is_last(train) ? submit_sum(train, slot, train->accumulated + train->samples)
                              : RONDE_OK;
    }
    if (train->samples == 0)
        memset(slot->gradient, 0, slot->bytes);
    return submit(train, slot, train->samples);
}

int32_t ronde_train_begin(ronde_train *train, double samples)
{
    int32_t status = ronde__loop_check_between(train, "a step");
    if (status != RONDE_OK)
        return status;
    if (!(samples >= 0) || isinf(samples))
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "loop '%s': a step with %g samples",
                                 train->name, samples);
    for (int32_t i = 0; i < train->n; i++)
        train->slots[i].is_ready = 0;
    train->samples = samples;
    train->counters.samples += samples;
    train->in_step = 1;
    return RONDE_OK;
}

int32_t ronde_train_ready(ronde_train *train, int32_t tensor)
{
    int32_t status = ronde__loop_check_within(train, "a gradient");
    if (status != RONDE_OK)
        return status;
    if (tensor < 0 || tensor >= train->n)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "loop '%s': tensor %d of %d", train->name,
                                 (int)tensor, (int)train->n);
    struct slot *slot = &train->slots[tensor];
    if (slot->is_ready)
        return ronde__train_fail(RONDE_ERR_DUPLICATE,
                                 "loop '%s': tensor '%s' is ready twice in one step", train->name,
                                 slot->name);
    return make_ready(train, slot);
}

int32_t ronde_train_ready_rest(ronde_train *train)
{
    int32_t status = ronde__loop_check_within(train, "gradients");
    for (int32_t i = status == RONDE_OK ? train->n : 0; i-- > 0;)
        if (!train->slots[i].is_ready) {
            int32_t one = make_ready(train, &train->slots[i]);
            status = status == RONDE_OK ? one : status;
        }
    return status;
}

/* ---- waiting --------------------------------------------------------------------------------- */

void ronde__loop_wait(ronde_train *train)
{
    double start = now();
    for (int32_t i = train->n; i-- > 0;) {
        struct slot *slot = &train->slots[i];
        if (slot->is_submitted)
            keep_error(train, ronde_wait(train->team.context, slot->handle));
        slot->is_submitted = 0;
    }
    train->counters.wait_seconds += now() - start;
}

/* Others may have gradients for what was not marked here, and wait for it. */
static void submit_rest(ronde_train *train, double weight)
{
    for (int32_t i = train->n; i-- > 0;) {
        struct slot *slot = &train->slots[i];
        if (slot->is_ready)
            continue;
        slot->is_ready = 1;
        if (slot->sum) {
            submit_sum(train, slot, weight);
        } else {
            memset(slot->gradient, 0, slot->bytes);
            submit(train, slot, weight);
        }
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The end of a step of the optimiser. What is wrong with it ends with it. */
static int32_t finish(ronde_train *train, double weight, int32_t *outcome)
{
    submit_rest(train, weight);
    ronde__loop_wait(train);
    int32_t status = train->failed == RONDE_OK ? RONDE_OK
                                               : ronde_fail(train->failed, train->failure);
    if (!train->team.context && weight == 0)
        status = ronde__train_fail(RONDE_ERR_MISMATCH, "loop '%s': a step without a sample",
                                   train->name);
    if (status == RONDE_OK)
        status = ronde__loop_apply(train, outcome);
    train->in_step = 0;
    train->accumulated = 0;
    train->steps_taken = 0;
    train->bad_tensor = -1;
    train->failed = RONDE_OK;
    return status;
}

int32_t ronde_train_step(ronde_train *train, int32_t *outcome)
{
    int32_t status = ronde__loop_check_within(train, "the end of a step");
    if (status != RONDE_OK)
        return status;
    if (is_last(train))
        return finish(train, train->accumulated + train->samples, outcome);
    train->in_step = 0;
    train->accumulated += train->samples;
    train->steps_taken++;
    if (outcome)
        *outcome = RONDE_TRAIN_ACCUMULATED;
    return RONDE_OK;
}

int32_t ronde_train_flush(ronde_train *train, int32_t *outcome)
{
    int32_t status = ronde__loop_check_between(train, "a flush");
    if (status != RONDE_OK)
        return status;
    if (train->steps_taken == 0) {
        if (outcome)
            *outcome = RONDE_TRAIN_IDLE;
        return RONDE_OK;
    }
    for (int32_t i = 0; i < train->n; i++)
        train->slots[i].is_ready = 0;
    return finish(train, train->accumulated, outcome);
}
