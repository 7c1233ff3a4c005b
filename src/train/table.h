/* Rows of numbers as they come out of a file. Errors name the file and the place in it. */
#ifndef RONDE_TRAIN_TABLE_H
#define RONDE_TRAIN_TABLE_H

#include <stdio.h>

#include "train/common.h"

enum { TABLE_DIMENSIONS = 16 };

struct table {
    int32_t dtype, dimensions;
    size_t shape[TABLE_DIMENSIONS]; /* shape[0]: the rows */
    size_t first, rows;             /* those held in values; the whole table has shape[0] */
    size_t row_count;               /* elements of a row */
    void *values; /* malloc'd, in this machine's byte order; NULL where rows is 0 */
};

/* A share of the rows: that of `rank` among `ranks`, as of ronde_share_rows. */
struct share {
    int32_t rank, ranks;
};

/* The file at its beginning. The caller closes it and frees table->values, after an error too. */
int32_t ronde__table_read_idx(FILE *file, const char *path, struct share share,
                              struct table *table);
int32_t ronde__table_read_csv(FILE *file, const char *path, const ronde_train_data_options *options,
                              struct share share, struct table *table);

/* The number of the first row of a share. */
size_t ronde__share_first(size_t rows, struct share share);

#endif
