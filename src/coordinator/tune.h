/* What the root may tune while the job runs: the fusion threshold and the algorithms between nodes. */
#ifndef RONDE_COORDINATOR_TUNE_H
#define RONDE_COORDINATOR_TUNE_H

#include <stddef.h>

#include "collectives/select.h"

#include "base/settings.h"

struct tuner {
    size_t threshold;
    struct select_table select;
};

int32_t ronde__tuner_open(struct tuner *tuner, const struct settings *settings);

static inline size_t ronde__tuner_threshold(const struct tuner *tuner)
{
    return tuner->threshold;
}

static inline const struct select_table *ronde__tuner_select(const struct tuner *tuner)
{
    return &tuner->select;
}

#endif
