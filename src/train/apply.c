/* What is done with a mean gradient: it is looked at, clipped, and moves the parameters. All of it
 * is computed from the mean, which has the same bits on all ranks: so they decide alike without
 * asking. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/loop.h"

/* The first parameter whose mean gradient is not finite, or -1; and the length of all together. */
static int32_t measure(const ronde_train *train, double *norm)
{
    double squares = 0;
    for (int32_t i = 0; i < train->n; i++) {
        const struct slot *slot = &train->slots[i];
        if (!slot->values)
            continue;
        if (!slot->arithmetic->is_finite(ronde__slot_mean(slot), slot->count))
            return i;
        squares += slot->arithmetic->squares(ronde__slot_mean(slot), slot->count);
    }
    *norm = sqrt(squares);
    return -1;
}

/* Only where the step is skipped: everybody knows that by then, so everybody asks. */
static int32_t ask_whose(ronde_train *train, int32_t bad_mean)
{
    char name[TRAIN_NAME_BYTES];
    const struct team *team = &train->team;
    int32_t mine[2] = {team->ranks[team->rank], train->bad_tensor};
    int32_t *all = calloc((size_t)team->size, sizeof mine);
    size_t *present = calloc((size_t)team->size, sizeof *present), answers = 0;
    int32_t status = RONDE_ERR_MEMORY;
    if (all && present)
        status = ronde__team_gather(team, ronde__loop_name(train, "not finite", name), mine,
                                    sizeof mine, all, present);
    else
        ronde_fail(status, "no memory to ask whose gradient is not finite");
    train->counters.bad_rank = -1;
    train->counters.bad_tensor = bad_mean;
    for (int32_t i = 0; i < team->size && status == RONDE_OK; i++)
        answers += present[i];
    for (size_t i = 0; i < answers && train->counters.bad_rank < 0; i++)
        if (all[2 * i + 1] >= 0) {
            train->counters.bad_rank = all[2 * i];
            train->counters.bad_tensor = all[2 * i + 1];
        }
    free(all);
    free(present);
    return status;
}

static void move_parameters(ronde_train *train, double norm)
{
    const ronde_train_options *options = &train->options;
    double t = (double)++train->steps, clip = options->clip_norm;
    struct rule rule = {.scale = clip > 0 && clip / (norm + 1e-6) < 1 ? clip / (norm + 1e-6) : 1,
                        .rate = options->rate,
                        .momentum = options->momentum,
                        .weight_decay = options->weight_decay,
                        .beta1 = options->beta1,
                        .beta2 = options->beta2,
                        .epsilon = options->epsilon,
                        .nesterov = options->nesterov,
                        .is_decoupled = options->optimiser == RONDE_TRAIN_ADAMW,
                        .correct1 = 1 - pow(options->beta1, t),
                        .correct2 = 1 - pow(options->beta2, t)};
    for (int32_t i = 0; i < train->n; i++) {
        struct slot *slot = &train->slots[i];
        if (!slot->values)
            continue;
        if (options->optimiser == RONDE_TRAIN_SGD)
            slot->arithmetic->sgd(&rule, slot->values, ronde__slot_mean(slot), slot->state[0],
                                  slot->count);
        else
            slot->arithmetic->adam(&rule, slot->values, ronde__slot_mean(slot), slot->state[0],
                                   slot->state[1], slot->count);
    }
}

/* What is no parameter is for the caller to read. */
static void hand_back(const ronde_train *train)
{
    for (int32_t i = 0; i < train->n; i++) {
        const struct slot *slot = &train->slots[i];
        if (!slot->values && slot->sum && slot->bytes)
            memcpy(slot->gradient, slot->sum, slot->bytes);
    }
}

int32_t ronde__loop_apply(ronde_train *train, int32_t *outcome)
{
    double norm = 0;
    int32_t bad = measure(train, &norm), status = RONDE_OK;
    hand_back(train);
    if (bad < 0) {
        train->counters.norm = norm;
        move_parameters(train, norm);
    } else {
        train->skipped++;
        status = ask_whose(train, bad);
    }
    if (outcome && status == RONDE_OK)
        *outcome = bad < 0 ? RONDE_TRAIN_STEPPED : RONDE_TRAIN_SKIPPED;
    return status;
}
