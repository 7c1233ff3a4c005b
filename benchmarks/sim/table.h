/* Rows for people and for programs. */
#ifndef RONDE_SIM_TABLE_H
#define RONDE_SIM_TABLE_H

#include <stdio.h>

#include "command.h"

struct table {
    FILE *json; /* NULL: none */
    size_t rows;
};

/* 0, or -1 with errno where `json` cannot be written. json NULL: none. */
int table_open(struct table *table, const char *json);
/* The machine, and the columns of the task. */
void table_head(const struct command *command);
void table_allreduce(struct table *table, const struct command *command, size_t bytes,
                     enum algorithm algorithm, const struct outcome *outcome);
void table_negotiate(struct table *table, const struct command *command, const char *what,
                     const struct outcome *outcome);
/* `over`: percent that the chosen is slower than the best. */
void table_select(struct table *table, const struct command *command, size_t bytes,
                  const struct outcome *outcomes, enum algorithm chosen, enum algorithm best,
                  double over);
/* 0, or -1 with errno where not all could be written. */
int table_close(struct table *table);

#endif
