/* An open table of all ranks: what this rank holds of it, and who holds the rest. */
#ifndef RONDE_TRAIN_DATA_H
#define RONDE_TRAIN_DATA_H

#include "train/table.h"

struct ronde_train_data {
    struct team team;
    int32_t reading;
    char *name;       /* of the operations */
    struct table own; /* what this rank holds; shape[0] is the rows of all */
    size_t row_bytes;
    size_t *start; /* the rows of member i are start[i] .. start[i + 1]; NULL where replicated */
};

#endif
