#include "coordinator/tune.h"

int32_t ronde__tuner_open(struct tuner *tuner, const struct settings *settings)
{
    *tuner = (struct tuner){.threshold = settings->fusion_threshold};
    return ronde__select_read(&tuner->select, settings->allreduce);
}
