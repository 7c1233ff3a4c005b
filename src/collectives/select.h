/* Which algorithm an allreduce between nodes uses: rows of data, first match wins. */
#ifndef RONDE_COLLECTIVES_SELECT_H
#define RONDE_COLLECTIVES_SELECT_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/schedule.h"

struct select_row {
    size_t from_bytes, below_bytes; /* of the tensor itself; below SIZE_MAX: no end */
    int from_nodes, below_nodes;    /* below INT_MAX: no end */
    enum algorithm algorithm;
    int halves_only; /* sums of float16 or bfloat16 */
};

enum { RONDE__SELECT_ROWS = 36 };

struct select_table {
    int rows;
    struct select_row row[RONDE__SELECT_ROWS];
};

/* Reads "0-16k:doubling,16k-1m@2-4:ring,1m-:ring/halves". A row is bytes FROM-BELOW (no BELOW: no
 * end), where wanted @ and nodes FIRST-LAST, both included (@4: exactly four; @4-: four or more),
 * then :NAME, and /halves where it is for sums of halves only. NAME alone is for all sizes and
 * nodes. Numbers take the units k, m and g (of 1024). "" or NULL gives the defaults. Rows of the user come before the defaults. RONDE_ERR_ARGUMENT names what
 * is wrong in the text. */
int32_t ronde__select_read(struct select_table *table, const char *text);
/* The same; label is how messages call the setting ("RONDE_ALLREDUCE"). */
int32_t ronde__select_read_as(struct select_table *table, const char *text, const char *label);
/* The rows before the defaults as a text that reads back as the same table; 0: it does not fit. */
int ronde__select_print(const struct select_table *table, char *text, size_t bytes);
/* Puts a row before all others, and drops those before the defaults that it leaves nothing of; 0,
 * and nothing is changed, where the table is full. */
int ronde__select_prefer(struct select_table *table, const struct select_row *row);
enum algorithm ronde__select(const struct select_table *table, size_t tensor_bytes, int nodes);
/* The same of sums that are float16 or bfloat16 between nodes: rows for them go before all others. */
enum algorithm ronde__select_halves(const struct select_table *table, size_t tensor_bytes,
                                    int nodes);

#endif
