/* What rank 0 says before the first row. */
#ifndef RONDE_PERF_MACHINE_H
#define RONDE_PERF_MACHINE_H

#include "options.h"
#include "work.h"

/* Versions, machine, ranks; with options->verbose also the settings that are not the default. */
void machine_print(const struct options *options, const struct work *work);

#endif
