/* What the program says on standard output, all of it by rank 0. */
#ifndef DIGITS_REPORT_H
#define DIGITS_REPORT_H

#include "dataset.h"
#include "model.h"
#include "options.h"

struct job {
    int32_t rank, ranks, nodes;
};

void report_header(const struct options *options, const struct dataset *data,
                   const struct model *model, const struct job *job);
/* One line of the table. `communicating` is a share of the time, from 0 to 1. */
void report_epoch(int epoch, double loss, double accuracy, double samples_per_second,
                  double communicating);
void report_accuracy(const struct dataset *data, size_t correct);
void report_identity(int identical, uint64_t checksum);

/* Two runs of the same training: parameters and the losses of all steps. */
struct comparison {
    size_t parameters, equal_parameters; /* equal: to the last bit */
    size_t steps, equal_steps;
    double parameter, loss; /* largest absolute differences; NaN where one is NaN */
};

void compare_runs(const struct model *a, const double *losses_a, const struct model *b,
                  const double *losses_b, size_t steps, struct comparison *comparison);
/* Says what is being computed, for it may take as long as the training did; then the result. */
void report_comparing(void);
void report_comparison(const struct comparison *comparison, const struct job *job);

#endif
