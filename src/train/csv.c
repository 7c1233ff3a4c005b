/* Lines of numbers. The whole file is read, line by line; of a share the other rows are checked and
 * forgotten, so that a bad line is an error on every rank. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "train/table.h"

struct csv {
    const char *path;
    int separator;           /* 0: runs of blanks */
    size_t line, first_line; /* the first that holds numbers */
    size_t columns, rows;
    double *values; /* rows x columns */
    size_t room;    /* in elements */
};

static int32_t bad_line(const struct csv *csv, size_t column, const char *reason)
{
    return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s: line %zu, field %zu: %s", csv->path,
                             csv->line, column, reason);
}

static int is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static int32_t grow(struct csv *csv, size_t needed)
{
    size_t room = csv->room ? csv->room : 1024;
    while (room < needed && room <= SIZE_MAX / 4 / sizeof *csv->values)
        room *= 2;
    double *grown = room < needed ? NULL : realloc(csv->values, room * sizeof *grown);
    if (!grown)
        return ronde__train_fail(RONDE_ERR_MEMORY, "%s: no memory for %zu numbers", csv->path,
                                 needed);
    csv->values = grown;
    csv->room = room;
    return RONDE_OK;
}

/* One field, which begins at *text; moves *text behind it and its separator, or to NULL at the
 * end. */
static int32_t read_field(struct csv *csv, char **text, size_t column, double *value)
{
    const char *blanks = csv->separator == '\t' ? " \r\n" : " \t\r\n";
    char *end, shown[48], *start = *text + strspn(*text, blanks);
    *value = strtod(start, &end);
    char *after = end + strspn(end, blanks);
    int ends = *after == '\0' || (csv->separator ? *after == csv->separator : after > end);
    if (end == start || !ends) {
        size_t length = strcspn(start, csv->separator
                                           ? (char[]){(char)csv->separator, '\r', '\n', 0}
                                           : " \t\r\n");
        snprintf(shown, sizeof shown, "'%.*s' is no number", length < 30 ? (int)length : 30, start);
        return bad_line(csv, column, length ? shown : "is empty");
    }
    *text = *after == '\0' ? NULL : after + (csv->separator != 0);
    return RONDE_OK;
}

static int32_t read_line(struct csv *csv, char *text)
{
    size_t column = 0, at = csv->rows * csv->columns;
    while (text) {
        double value;
        if (csv->columns && column == csv->columns)
            return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                     "%s: line %zu has more fields than line %zu, which has %zu",
                                     csv->path, csv->line, csv->first_line, csv->columns);
        int32_t status = read_field(csv, &text, column + 1, &value);
        if (status == RONDE_OK && at + column + 1 > csv->room)
            status = grow(csv, at + column + 1);
        if (status != RONDE_OK)
            return status;
        csv->values[at + column++] = value;
    }
    if (!csv->columns) {
        csv->columns = column;
        csv->first_line = csv->line;
    } else if (column < csv->columns) {
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "%s: line %zu has %zu fields, while line %zu has %zu", csv->path,
                                 csv->line, column, csv->first_line, csv->columns);
    }
    csv->rows++;
    return RONDE_OK;
}

static int32_t read_lines(struct csv *csv, FILE *file, size_t header_lines)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t length;
    int32_t status = RONDE_OK;
    while (status == RONDE_OK && (length = getline(&text, &room, file)) >= 0) {
        csv->line++;
        if (csv->line == 1 && length > 1 && !memcmp(text, "\037\213", 2))
            status = ronde__train_fail(RONDE_ERR_ARGUMENT,
                                       "%s: is compressed by gzip; decompress it with gunzip",
                                       csv->path);
        else if (strlen(text) != (size_t)length)
            status = ronde__train_fail(RONDE_ERR_ARGUMENT, "%s: line %zu holds a byte of 0",
                                       csv->path, csv->line);
        else if (csv->line > header_lines && !is_blank(text))
            status = read_line(csv, text);
    }
    if (status == RONDE_OK && ferror(file))
        status = ronde__train_fail(RONDE_ERR_SYSTEM, "%s: %s", csv->path, strerror(errno));
    free(text);
    return status;
}

/* The share moves to the front of what was read. */
static void keep_share(struct csv *csv, struct share share, struct table *table)
{
    table->dtype = RONDE_FLOAT64;
    table->dimensions = 2;
    table->shape[0] = csv->rows;
    table->shape[1] = table->row_count = csv->columns;
    table->first = ronde__share_first(csv->rows, share);
    table->rows = ronde_share_rows(csv->rows, share.ranks, share.rank);
    size_t bytes = table->rows * csv->columns * sizeof *csv->values;
    if (bytes) {
        memmove(csv->values, csv->values + table->first * csv->columns, bytes);
        double *shrunk = realloc(csv->values, bytes);
        table->values = shrunk ? shrunk : csv->values;
    } else {
        free(csv->values);
    }
}

int32_t ronde__table_read_csv(FILE *file, const char *path, const ronde_train_data_options *options,
                              struct share share, struct table *table)
{
    int is_blank_separator = options->separator == ' ';
    struct csv csv = {.path = path, .separator = is_blank_separator ? 0 : options->separator};
    int32_t status = read_lines(&csv, file, (size_t)options->header_lines);
    if (status == RONDE_OK && csv.rows == 0)
        status = ronde__train_fail(RONDE_ERR_ARGUMENT, "%s: holds no numbers", path);
    if (status == RONDE_OK)
        keep_share(&csv, share, table);
    else
        free(csv.values);
    return status;
}
