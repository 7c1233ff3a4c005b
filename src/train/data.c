/* Opening data: every rank reads what it has to, then all tell each other what came of it, and only
 * where it all goes together is there something open. Rows that are not this rank's are fetched
 * (fetch.c). */
#include "train/data.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const ronde_train_data_options defaults = {.size = sizeof defaults,
                                                  .separator = ',',
                                                  .name = "data"};

void ronde_train_data_options_init(ronde_train_data_options *options, size_t size)
{
    ronde__train_write_defaults(options, size, &defaults, sizeof defaults);
}

size_t ronde__share_first(size_t rows, struct share share)
{
    size_t ranks = (size_t)share.ranks, rank = (size_t)share.rank, rest = rows % ranks;
    return rows / ranks * rank + (rank < rest ? rank : rest);
}

static int32_t check_options(const ronde_train_data_options *options)
{
    const char *wrong = NULL;
    if (options->reading < RONDE_TRAIN_REPLICATED || options->reading > RONDE_TRAIN_OWNER)
        wrong = "reading is none of enum ronde_train_reading";
    else if (options->format < RONDE_TRAIN_ANY || options->format > RONDE_TRAIN_CSV)
        wrong = "format is none of enum ronde_train_format";
    else if (options->header_lines < 0)
        wrong = "header_lines is negative";
    else if (options->separator < 0 || options->separator > 126 || isalnum(options->separator) ||
             (options->separator && strchr("+-.\r\n", options->separator)))
        wrong = "separator is no character, or one that numbers and lines are made of";
    return wrong ? ronde__train_fail(RONDE_ERR_ARGUMENT, "ronde_train_data_options: %s", wrong)
                 : RONDE_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Two bytes of 0 begin no text. */
static int looks_like_idx(FILE *file)
{
    int first = getc(file), second = getc(file);
    rewind(file);
    return first == 0 && second == 0;
}

static int32_t read_file(const char *path, const ronde_train_data_options *options,
                         struct share share, struct table *table)
{
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file)
        return ronde__train_fail(path ? RONDE_ERR_SYSTEM : RONDE_ERR_ARGUMENT, "%s: %s",
                                 path ? path : "the path",
                                 path ? strerror(errno) : "is NULL on a rank that reads");
    int32_t status;
    if (options->format == RONDE_TRAIN_IDX ||
        (options->format == RONDE_TRAIN_ANY && looks_like_idx(file)))
        status = ronde__table_read_idx(file, path, share, table);
    else
        status = ronde__table_read_csv(file, path, options, share, table);
    fclose(file);
    return status;
}

/* This rank's part. The root alone reads; or all, everything or a share. */
static int32_t read_own(const char *path, const ronde_train_data_options *options,
                        const struct team *team, struct table *table)
{
    struct share all = {0, 1}, share = {team->rank, team->size};
    int32_t root = ronde__team_place(team, options->root);
    if (options->reading == RONDE_TRAIN_ROOT && root < 0)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "root %d is no member of process set %d",
                                 (int)options->root, (int)team->set);
    if (options->reading == RONDE_TRAIN_ROOT && root != team->rank)
        return RONDE_OK;
    return read_file(path, options, options->reading == RONDE_TRAIN_OWNER ? share : all, table);
}

/* ---- agreeing -------------------------------------------------------------------------------- */

/* What a rank tells the others of its part. */
struct finding {
    int32_t status, reading, root, dtype, dimensions, reserved;
    uint64_t shape[TABLE_DIMENSIONS], rows, checksum;
    char text[400];
};

static void describe(struct finding *mine, int32_t status, const ronde_train_data_options *options,
                     const struct table *own)
{
    memset(mine, 0, sizeof *mine);
    mine->status = status;
    mine->reading = options->reading;
    mine->root = options->root;
    if (status != RONDE_OK) {
        snprintf(mine->text, sizeof mine->text, "%s", ronde_last_error());
        return;
    }
    mine->dtype = own->dtype;
    mine->dimensions = own->dimensions;
    mine->rows = own->rows;
    for (int i = 0; i < own->dimensions; i++)
        mine->shape[i] = own->shape[i];
    if (options->reading == RONDE_TRAIN_REPLICATED)
        mine->checksum = ronde__hash(TRAIN_HASH_START, own->values,
                                     own->rows * own->row_count * ronde_dtype_bytes(own->dtype));
}

/* What two ranks disagree about, or NULL. Only a rank that has read (dimensions > 0) is asked. */
static const char *difference(const struct finding *a, const struct finding *b)
{
    int from = b->reading == RONDE_TRAIN_SHARDS ? 1 : 0; /* shards have rows of their own number */
    if (a->reading != b->reading || a->root != b->root)
        return "the way of reading";
    if (a->reading == RONDE_TRAIN_ROOT)
        return NULL;
    if (a->dtype != b->dtype)
        return "the type of the elements";
    if (a->dimensions != b->dimensions)
        return "the number of dimensions";
    for (int i = from; i < a->dimensions; i++)
        if (a->shape[i] != b->shape[i])
            return i ? "the shape of a row" : "the number of rows";
    return a->checksum != b->checksum ? "the values" : NULL;
}

static int32_t compare(const struct ronde_train_data *data, const struct finding *all)
{
    for (int32_t i = 0; i < data->team.size; i++)
        if (all[i].status != RONDE_OK)
            return data->team.size == 1 ? ronde_fail(all[i].status, all[i].text)
                                        : ronde__train_fail(all[i].status, "rank %d: %s",
                                                            (int)data->team.ranks[i], all[i].text);
    for (int32_t i = 1; i < data->team.size; i++) {
        const char *what = difference(&all[0], &all[i]);
        if (what)
            return ronde__train_fail(RONDE_ERR_MISMATCH, "data '%s': ranks %d and %d differ in %s",
                                     data->name, (int)data->team.ranks[0], (int)data->team.ranks[i],
                                     what);
    }
    return RONDE_OK;
}

/* Who holds which rows, and, for those who have not read, what a row is. */
static int32_t adopt(struct ronde_train_data *data, const struct finding *all, int32_t root)
{
    struct table *own = &data->own;
    const struct finding *model = &all[data->reading == RONDE_TRAIN_ROOT ? root : 0];
    size_t held = 0;
    own->dtype = model->dtype;
    own->dimensions = model->dimensions;
    own->row_count = 1;
    for (int i = 0; i < model->dimensions; i++) {
        own->shape[i] = (size_t)model->shape[i];
        own->row_count *= i ? own->shape[i] : 1;
    }
    data->row_bytes = own->row_count * ronde_dtype_bytes(own->dtype);
    if (data->reading == RONDE_TRAIN_REPLICATED)
        return RONDE_OK;
    data->start = calloc((size_t)data->team.size + 1, sizeof *data->start);
    if (!data->start)
        return ronde__train_fail(RONDE_ERR_MEMORY, "no memory for a list of ranks");
    for (int32_t i = 0; i < data->team.size; i++)
        data->start[i + 1] = held += (size_t)all[i].rows;
    own->shape[0] = held;
    own->first = data->start[data->team.rank];
    return RONDE_OK;
}

static int32_t agree(struct ronde_train_data *data, const ronde_train_data_options *options,
                     int32_t status)
{
    struct finding mine, *all = calloc((size_t)data->team.size, sizeof *all);
    size_t *present = calloc((size_t)data->team.size, sizeof *present);
    describe(&mine, status, options, &data->own);
    if (!all || !present)
        status = ronde__train_fail(RONDE_ERR_MEMORY, "no memory to meet %d ranks",
                                   (int)data->team.size);
    else
        status = ronde__team_gather(&data->team, data->name, &mine, sizeof mine, all, present);
    if (status == RONDE_OK)
        status = compare(data, all);
    if (status == RONDE_OK)
        status = adopt(data, all, ronde__team_place(&data->team, options->root));
    free(all);
    free(present);
    return status;
}

/* ---- the public face ------------------------------------------------------------------------- */

int32_t ronde_train_data_open(ronde_context *context, const char *path,
                              const ronde_train_data_options *options, ronde_train_data **data)
{
    ronde_train_data_options read = defaults;
    if (!data)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "the place for the data is NULL");
    int32_t status = ronde__train_read_options(&read, sizeof read, options,
                                               "ronde_train_data_options");
    if (status == RONDE_OK && (!read.name || !*read.name || strlen(read.name) > TRAIN_NAME_LENGTH))
        status = ronde__train_fail(RONDE_ERR_ARGUMENT,
                                   "ronde_train_data_options: name must have 1 to %d bytes",
                                   TRAIN_NAME_LENGTH);
    struct ronde_train_data *opened = NULL;
    if (status == RONDE_OK &&
        (!(opened = calloc(1, sizeof *opened)) || !(opened->name = strdup(read.name))))
        status = ronde__train_fail(RONDE_ERR_MEMORY, "no memory for data");
    if (status == RONDE_OK)
        status = ronde__team_open(context, read.process_set, &opened->team);
    if (status == RONDE_OK) {
        opened->reading = read.reading;
        status = check_options(&read);
        if (status == RONDE_OK)
            status = read_own(path, &read, &opened->team, &opened->own);
        status = agree(opened, &read, status);
    }
    if (status == RONDE_OK)
        *data = opened;
    else
        ronde_train_data_close(&opened);
    return status;
}

int32_t ronde_train_data_close(ronde_train_data **data)
{
    if (data && *data) {
        ronde__team_close(&(*data)->team);
        free((*data)->name);
        free((*data)->own.values);
        free((*data)->start);
        free(*data);
        *data = NULL;
    }
    return RONDE_OK;
}

size_t ronde_train_data_rows(const ronde_train_data *data)
{
    return data ? data->own.shape[0] : 0;
}

size_t ronde_train_data_row_count(const ronde_train_data *data)
{
    return data ? data->own.row_count : 0;
}

int32_t ronde_train_data_dtype(const ronde_train_data *data)
{
    return data ? data->own.dtype : 0;
}

int32_t ronde_train_data_shape(const ronde_train_data *data, size_t *shape, int32_t room,
                               int32_t *dimensions)
{
    if (!data || !dimensions || (!shape && room > 0))
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s is NULL",
                                 !data         ? "data"
                                 : !dimensions ? "dimensions"
                                               : "shape");
    for (int32_t i = 0; i < room && i < data->own.dimensions; i++)
        shape[i] = data->own.shape[i];
    *dimensions = data->own.dimensions;
    return RONDE_OK;
}

const void *ronde_train_data_values(const ronde_train_data *data, size_t *first, size_t *rows)
{
    if (first)
        *first = data ? data->own.first : 0;
    if (rows)
        *rows = data ? data->own.rows : 0;
    return data ? data->own.values : NULL;
}
