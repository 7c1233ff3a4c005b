/* Values whose results are exact in whatever order they are added, and the count of wrong ones. */
#ifndef RONDE_PERF_VALUES_H
#define RONDE_PERF_VALUES_H

#include "work.h"

/* Writes this rank's contributions, and rubbish where results will be. */
void values_fill(const struct work *work, const struct variant *variant);

/* Elements of this rank's results that are not what they should be. */
size_t values_wrong(const struct work *work, const struct variant *variant);

#endif
