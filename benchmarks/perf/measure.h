/* Times variants of one work against each other. */
#ifndef RONDE_PERF_MEASURE_H
#define RONDE_PERF_MEASURE_H

#include "options.h"
#include "work.h"

/* Collective. Checks each variant once (wrong), then times them in turns (min_us, p50_us, p99_us,
 * valid on rank 0). */
void measure(const struct options *options, const struct work *work, struct variant *variants,
             size_t number);

#endif
