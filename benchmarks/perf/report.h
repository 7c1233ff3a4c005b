/* Rows for people (nccl-tests' columns) and for programs (a JSON array). Rank 0 only. */
#ifndef RONDE_PERF_REPORT_H
#define RONDE_PERF_REPORT_H

#include <stdio.h>

#include "work.h"

struct report {
    FILE *json; /* NULL: none */
    size_t rows, wrong_rows;
    int path_width; /* of that column; 7 where a path is one word */
};

/* 0, or -1 with errno where `json` cannot be written. json NULL: none. */
int report_open(struct report *report, const char *json);
void report_head(const struct report *report, int steps);
/* mpi_us, floor_us: their medians of the same work, 0 where they were not asked for. */
void report_row(struct report *report, const struct work *work, const struct variant *variant,
                double mpi_us, double floor_us);
/* 0, or -1 with errno where not all could be written. */
int report_close(struct report *report);

#endif
