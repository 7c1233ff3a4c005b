/* One rank's side of the training: what it holds, how it is set up, what it asks the others. The
 * training itself is in digits.c. */
#ifndef DIGITS_TRAINER_H
#define DIGITS_TRAINER_H

#include "dataset.h"
#include "model.h"
#include "options.h"
#include "report.h"
#include "ronde_train.h"

struct trainer {
    const struct options *options;
    const struct dataset *data;
    ronde_context *context; /* NULL: alone, without Ronde */
    struct job job;
    struct model model;
    ronde_train *loop;      /* holds the model's tensors, and the loss as the last */
    ronde_sampler *sampler; /* of the training samples */
    ronde_sampler *test_sampler;
    size_t *samples;      /* of this rank in a batch */
    double loss, *losses; /* of this step, and of all */
    size_t steps;         /* done so far */
};

/* Around every call of Ronde: says what went wrong, where it did, and returns the status. */
int32_t checked(const ronde_context *context, int32_t status);

/* Rank 0 draws the first parameters; the others have zeros until they are broadcast. context NULL:
 * one rank without Ronde. After an error the trainer is left as it is. */
int32_t open_trainer(struct trainer *trainer, ronde_context *context, const struct options *options,
                     const struct dataset *data);
void close_trainer(struct trainer *trainer);

/* Collective. Ranks may find different things: a file that one node lacks. The lowest rank whose
 * `problem` is not "" says it, and *ready is 0 on all. */
int32_t agree(ronde_context *context, const char *problem, int *ready);

/* What the loop has spent in submitting gradients and in waiting for them. */
double waited(const struct trainer *trainer);

#endif
