/* The checker's two halves, for each other alone. */
#ifndef RONDE_COLLECTIVES_CHECKER_H
#define RONDE_COLLECTIVES_CHECKER_H

#include "collectives/schedule.h"

/* Writes the sentence that says what is wrong; valid until this thread's next. */
const char *ronde__wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* That peer `me`'s list is well-formed and no round touches a block in conflicting ways. */
const char *ronde__check_list(const struct schedule *list, int p, int me, int32_t blocks);
/* That a well-formed list keeps the algorithm's bounds on rounds and blocks sent. */
const char *ronde__check_volume(enum algorithm algorithm, int p, int me,
                                const struct schedule *list);

static inline int ronde__step_is_send(const struct step *step)
{
    return step->kind == STEP_SEND;
}

#endif
