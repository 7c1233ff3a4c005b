/* What ronde-sim was asked to do. */
#ifndef RONDE_SIM_COMMAND_H
#define RONDE_SIM_COMMAND_H

#include <stdio.h>

#include "collectives/select.h"
#include "predict.h"

enum task { TASK_ALLREDUCE = 1, TASK_NEGOTIATE, TASK_SELECT };
enum { ALGO_AUTO = -1, ALGO_ALL = -2 }; /* else enum algorithm */

struct command {
    int task; /* enum task */
    int help;
    size_t ranks, ranks_per_node;
    size_t begin_bytes, end_bytes, factor;
    size_t element_bytes, buffer_bytes;
    size_t tensors, record_bytes; /* of a negotiation */
    int algo;
    enum method method;
    double within; /* percent; negative: nothing is asked */
    double alpha_us;
    struct model model;
    struct select_table table;
    const char *json;
};

/* 0, or -1 with one line that names the bad value in `error`. Keeps pointers into argv. */
int command_parse(struct command *command, int argc, char **argv, char *error, size_t error_bytes);

void command_help(FILE *to);

#endif
