/* One rank's side of the training: what it holds, how it is set up, what it asks the others. The
 * training itself is in digits.c. */
#ifndef DIGITS_TRAINER_H
#define DIGITS_TRAINER_H

#include "dataset.h"
#include "model.h"
#include "options.h"
#include "report.h"
#include "ronde.h"

struct trainer {
    const struct options *options;
    const struct dataset *data;
    ronde_context *context; /* NULL: alone, without Ronde */
    struct job job;
    int32_t dtype;
    struct model model;
    uint32_t *order; /* of the training samples, in this epoch */
    double *losses;  /* of all steps */
    size_t steps;    /* done so far */
    uint64_t handles[MODEL_TENSORS + 1];
    int outstanding;
    double communicating; /* seconds within submit and wait */
};

/* Around every call of Ronde: says what went wrong, where it did, and returns the status. */
int32_t checked(const ronde_context *context, int32_t status);

/* The part of `count` things that falls to a rank is share_start(rank) .. share_start(rank + 1):
 * contiguous, and maybe empty. */
size_t share_start(size_t count, int32_t rank, int32_t ranks);

/* Rank 0 draws the first parameters; the others have zeros until they are broadcast. context NULL:
 * one rank without Ronde. After an error the trainer is left as it is. */
int32_t open_trainer(struct trainer *trainer, ronde_context *context, const struct options *options,
                     const struct dataset *data);
void close_trainer(struct trainer *trainer);

/* Collective. Ranks may find different things: a file that one node lacks. The lowest rank whose
 * `problem` is not "" says it, and *ready is 0 on all. */
int32_t agree(ronde_context *context, const char *problem, int *ready);

/* Collective. Whether all ranks have the same parameters, to the bit: the least and the greatest of
 * their checksums are one. */
int32_t compare_ranks(const struct trainer *trainer, uint64_t *sum, int *identical);

#endif
