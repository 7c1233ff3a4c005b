/* What a loop is made of. loop.c opens it and adds tensors, step.c goes through steps, agree.c
 * makes ranks equal and asks whether they are. */
#ifndef RONDE_TRAIN_LOOP_H
#define RONDE_TRAIN_LOOP_H

#include "train/common.h"
#include "train/optimiser.h"

enum { STATES = 2 }; /* a velocity; or Adam's two moments */

/* A tensor of the table. */
struct slot {
    char *name;    /* the caller's */
    char *op_name; /* of its operations: the loop's and the caller's */
    void *values;  /* NULL: averaged only */
    void *gradient;
    size_t count, bytes;
    int32_t dtype;
    const struct arithmetic *arithmetic;
    void *state[STATES]; /* NULL where the optimiser needs none */
    /* Where options.accumulate is above 1: the sum of weight x gradient, then the mean. Else
     * NULL. */
    void *sum;
    int sum_is_shared; /* it is ronde_malloc's */
    int sum_is_empty;  /* nothing was added since the last step of the optimiser */
    int is_ready;      /* in this step of the caller */
    int is_submitted;  /* and its handle is to be waited for */
    uint64_t handle;
};

struct ronde_train {
    ronde_train_options options;
    char *name;
    ronde_context *context; /* NULL: alone */
    struct team team;
    struct slot *slots;
    int32_t n, room;
    int in_step;
    double samples;      /* of this step of the caller */
    double accumulated;  /* of those before it that are not applied yet */
    int32_t steps_taken; /* so many */
    int32_t bad_tensor;  /* the first whose gradient was not finite here; -1 */
    int32_t failed;      /* the first error since the last step of the optimiser, and its text */
    char failure[1024];
    uint64_t steps, skipped;
    ronde_train_counters counters; /* what is not told by the above */
};

static inline int32_t ronde__loop_is_null(void)
{
    return ronde_fail(RONDE_ERR_ARGUMENT, "the loop is NULL: call ronde_train_open first");
}

/* What a step may not be in the midst of; and what is only within one. */
int32_t ronde__loop_check_between(const ronde_train *train, const char *what);
int32_t ronde__loop_check_within(const ronde_train *train, const char *what);

/* Waits for all gradients that are under way; the first error is kept in train->failed. */
void ronde__loop_wait(ronde_train *train);

/* What is averaged, in place. */
static inline void *ronde__slot_mean(const struct slot *slot)
{
    return slot->sum ? slot->sum : slot->gradient;
}

/* All means are there: a step of the optimiser, or what is to be done instead (apply.c). */
int32_t ronde__loop_apply(ronde_train *train, int32_t *outcome);

/* Collective. Records of `bytes` of all ranks that have not joined, and which ranks those are
 * (global). The caller frees both. */
int32_t ronde__loop_gather(const ronde_train *train, const char *what, const void *record,
                           size_t bytes, void **records, int32_t **ranks, int32_t *n);

/* Writes "<loop>/<what>", the name of an operation, and returns it. */
const char *ronde__loop_name(const ronde_train *train, const char *what,
                             char name[TRAIN_NAME_BYTES]);

#endif
