#include "collectives/select.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

/* The default choice. alpha = 50 us a message and beta = 8 ns a byte, which is TCP on 1 Gbit/s.
 * Doubling costs lg p (alpha + n beta), or floor(lg p) + 2 times that where p is no power of two;
 * circulant 2 ceil(lg p) alpha + 2(p-1)/p n beta. They cross at 25 KiB for 4 nodes, near 5 for
 * 5 to 7, at 15 for 8, and from 8 to 12 for powers of two from 16 on (measured: on four between 16
 * and 32, on three at 16, since its extra round is short).
 * A ring hides its 2(p-1) alpha behind the wire where a block is two segments or more, hence some
 * 32 KiB, and fills the wire better beyond. A round of the wire buffer, 2 MiB a part, has so large
 * blocks up to 64 nodes only. Two nodes send n bytes each either way, doubling in half the rounds;
 * but ring reduces half as much, which counts once a tensor fills the caches. One node sends nothing
 * at all. On a faster network alpha / beta, and with it every bound of doubling, is larger by a
 * small factor. Bounds are rounded down, since tensors of a bin share alpha but not beta.
 * Spread takes 0.87 to 1.09 of the time of the better of circulant and ring from 64 KiB to 1 MiB, on
 * three and four nodes of 1 and 10 Gbit/s whose ranks share two CPUs (medians of 21, ronde-perf
 * --algo): never far behind either, each of which is so somewhere. On more nodes it was not measured.
 *
 * Halves are rounded at every hop of the others, so on 3 to 16 nodes they are sent straight to where
 * they are added in one pass. That costs little (bfloat16 by spread against the better of ring and
 * circulant on 4 nodes: 0.98, 1.19 and 0.99 at 64 KiB, 1 and 16 MiB of 1 Gbit/s, 0.81 to 0.96 at 10);
 * flood, up to 4 KiB, takes 1.0 to 1.3 of doubling's time there. On more nodes it would be many
 * messages. Between two nodes every algorithm adds once.
 *
 * The last row takes everything, so every size and number of nodes has its row. */
static const struct select_row defaults[] = {
    {0, (size_t)4 << 10, 3, 9, ALGORITHM_FLOOD, 1},
    {0, SIZE_MAX, 3, 17, ALGORITHM_SPREAD, 1},
    {0, (size_t)1 << 20, 0, 3, ALGORITHM_DOUBLING, 0},
    {0, (size_t)12 << 10, 3, 4, ALGORITHM_DOUBLING, 0},
    {0, (size_t)20 << 10, 4, 5, ALGORITHM_DOUBLING, 0},
    {0, (size_t)5 << 10, 5, 8, ALGORITHM_DOUBLING, 0},
    {0, (size_t)14 << 10, 8, 9, ALGORITHM_DOUBLING, 0},
    {0, (size_t)9 << 10, 9, INT_MAX, ALGORITHM_DOUBLING, 0},
    {0, (size_t)48 << 10, 3, 5, ALGORITHM_CIRCULANT, 0},
    {0, (size_t)1 << 20, 3, 5, ALGORITHM_SPREAD, 0},
    {0, (size_t)256 << 10, 5, 9, ALGORITHM_CIRCULANT, 0},
    {0, (size_t)512 << 10, 9, 17, ALGORITHM_CIRCULANT, 0},
    {0, (size_t)1 << 20, 17, 33, ALGORITHM_CIRCULANT, 0},
    {0, (size_t)2 << 20, 33, 65, ALGORITHM_CIRCULANT, 0},
    {0, SIZE_MAX, 65, INT_MAX, ALGORITHM_CIRCULANT, 0},
    {0, SIZE_MAX, 0, INT_MAX, ALGORITHM_RING, 0},
};

enum {
    DEFAULTS = sizeof(defaults) / sizeof(defaults[0]),
    USER_ROWS = RONDE__SELECT_ROWS - DEFAULTS
};

/* What is left of one row's text. */
struct reader {
    const char *at, *end;
};

static int take(struct reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return 0;
    reader->at++;
    return 1;
}

static int starts_number(const struct reader *reader)
{
    return reader->at < reader->end && isdigit((unsigned char)*reader->at);
}

/* Reads "64k"; 0 where there is no number or it is above `most`. */
static int take_number(struct reader *reader, size_t most, size_t *number)
{
    if (!starts_number(reader))
        return 0;
    size_t value = 0;
    for (; starts_number(reader); reader->at++) {
        size_t digit = (size_t)(*reader->at - '0');
        if (value > (most - digit) / 10)
            return 0;
        value = 10 * value + digit;
    }
    int shift = take(reader, 'k') || take(reader, 'K')   ? 10
                : take(reader, 'm') || take(reader, 'M') ? 20
                : take(reader, 'g') || take(reader, 'G') ? 30
                                                         : 0;
    if (value > most >> shift)
        return 0;
    *number = value << shift;
    return 1;
}

/* Reads "@2-4", "@4-" or "@4", and nothing where there is no @. */
static int take_nodes(struct reader *reader, struct select_row *row)
{
    size_t first = 0, last = INT_MAX - 1;
    if (take(reader, '@')) {
        if (!take_number(reader, INT_MAX - 1, &first))
            return 0;
        if (!take(reader, '-'))
            last = first;
        else if (starts_number(reader) && !take_number(reader, INT_MAX - 1, &last))
            return 0;
    }
    row->from_nodes = (int)first;
    row->below_nodes = last == INT_MAX - 1 ? INT_MAX : (int)last + 1;
    return first <= last;
}

/* Reads the ranges of "64k-1m@2-4:ring" up to and with the colon. */
static int take_ranges(struct reader *reader, struct select_row *row)
{
    *row = (struct select_row){0, SIZE_MAX, 0, INT_MAX, ALGORITHM_RING, 0};
    if (!memchr(reader->at, ':', (size_t)(reader->end - reader->at)))
        return 1;
    if (!take_number(reader, SIZE_MAX - 1, &row->from_bytes) || !take(reader, '-'))
        return 0;
    if (starts_number(reader) && !take_number(reader, SIZE_MAX - 1, &row->below_bytes))
        return 0;
    return row->from_bytes < row->below_bytes && take_nodes(reader, row) && take(reader, ':');
}

static int take_name(struct reader *reader, struct select_row *row)
{
    static const char halves[] = "/halves";
    size_t length = (size_t)(reader->end - reader->at), suffix = sizeof(halves) - 1;
    row->halves_only = length > suffix && memcmp(reader->end - suffix, halves, suffix) == 0;
    length -= row->halves_only ? suffix : 0;
    for (int a = 0; a < RONDE__ALGORITHMS; a++) {
        const struct algorithm_entry *entry = &ronde__algorithms[a];
        if (!entry->is_allreduce || strlen(entry->name) != length ||
            memcmp(entry->name, reader->at, length) != 0)
            continue;
        row->algorithm = (enum algorithm)a;
        return 1;
    }
    return 0;
}

/* "ring, doubling" */
static void list_names(char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = 0;
    for (int a = 0; a < RONDE__ALGORITHMS && used < bytes; a++)
        if (ronde__algorithms[a].is_allreduce)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used ? ", " : "",
                                     ronde__algorithms[a].name);
}

/* What messages begin with: the setting and all of its text. */
struct origin {
    const char *label, *text;
};

static int32_t read_row(struct select_table *table, const struct origin *origin, const char *at,
                        size_t length)
{
    struct reader reader = {at, at + length};
    struct select_row *row = &table->row[table->rows];
    int shown = length > 80 ? 80 : (int)length;
    if (!take_ranges(&reader, row))
        return ronde__fail(
            RONDE_ERR_ARGUMENT,
            "%s is \"%.80s\": \"%.*s\" is not a row; write "
            "FROM-BELOW[@FIRST-LAST]:NAME, such as 0-16k:doubling or 64k-1m@2-4:ring",
            origin->label, origin->text, shown, at);
    if (!take_name(&reader, row)) {
        char known[128];
        list_names(known, sizeof(known));
        return ronde__fail(
            RONDE_ERR_ARGUMENT,
            "%s is \"%.80s\": \"%.*s\" names no algorithm of allreduce; there are %s",
            origin->label, origin->text, shown, at, known);
    }
    table->rows++;
    return RONDE_OK;
}

static int32_t read_rows(struct select_table *table, const struct origin *origin)
{
    for (const char *at = origin->text; *at;) {
        if (table->rows == USER_ROWS)
            return ronde__fail(RONDE_ERR_ARGUMENT, "%s is \"%.80s\": more than %d rows",
                               origin->label, origin->text, USER_ROWS);
        size_t length = strcspn(at, ",");
        int32_t status = read_row(table, origin, at, length);
        if (status)
            return status;
        at += length;
        if (*at == ',' && !*++at)
            return ronde__fail(RONDE_ERR_ARGUMENT, "%s is \"%.80s\": no row after the last comma",
                               origin->label, origin->text);
    }
    return RONDE_OK;
}

int32_t ronde__select_read_as(struct select_table *table, const char *text, const char *label)
{
    struct select_table read = {0};
    const struct origin origin = {label, text ? text : ""};
    int32_t status = read_rows(&read, &origin);
    if (status)
        return status;
    for (int i = 0; i < DEFAULTS; i++)
        read.row[read.rows++] = defaults[i];
    *table = read;
    return RONDE_OK;
}

int32_t ronde__select_read(struct select_table *table, const char *text)
{
    return ronde__select_read_as(table, text, "the setting allreduce");
}

/* ---- printing and changing ------------------------------------------------------------------- */

static void write_number(size_t number, char *text, size_t bytes)
{
    static const char units[] = {'g', 'm', 'k'};
    for (int i = 0; i < 3 && number; i++)
        if (number % ((size_t)1 << (30 - 10 * i)) == 0) {
            snprintf(text, bytes, "%zu%c", number >> (30 - 10 * i), units[i]);
            return;
        }
    snprintf(text, bytes, "%zu", number);
}

static void write_nodes(const struct select_row *row, char *text, size_t bytes)
{
    text[0] = '\0';
    if (row->below_nodes == INT_MAX && row->from_nodes)
        snprintf(text, bytes, "@%d-", row->from_nodes);
    else if (row->below_nodes == row->from_nodes + 1)
        snprintf(text, bytes, "@%d", row->from_nodes);
    else if (row->below_nodes != INT_MAX)
        snprintf(text, bytes, "@%d-%d", row->from_nodes, row->below_nodes - 1);
}

int ronde__select_print(const struct select_table *table, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < table->rows - DEFAULTS; i++) {
        const struct select_row *row = &table->row[i];
        char from[24], below[24] = "", nodes[32];
        write_number(row->from_bytes, from, sizeof(from));
        if (row->below_bytes != SIZE_MAX)
            write_number(row->below_bytes, below, sizeof(below));
        write_nodes(row, nodes, sizeof(nodes));
        used += (size_t)snprintf(text + used, bytes - used, "%s%s-%s%s:%s%s", i ? "," : "", from,
                                 below, nodes, ronde__algorithms[row->algorithm].name,
                                 row->halves_only ? "/halves" : "");
        if (used >= bytes)
            return 0;
    }
    return 1;
}

static int covers(const struct select_row *a, const struct select_row *b)
{
    return a->halves_only == b->halves_only && a->from_bytes <= b->from_bytes &&
           a->below_bytes >= b->below_bytes && a->from_nodes <= b->from_nodes &&
           a->below_nodes >= b->below_nodes;
}

int ronde__select_prefer(struct select_table *table, const struct select_row *row)
{
    struct select_table changed = {.rows = 1, .row = {*row}};
    int users = table->rows - DEFAULTS;
    for (int i = 0; i < table->rows; i++) {
        if (i < users && covers(row, &table->row[i]))
            continue;
        if (changed.rows == RONDE__SELECT_ROWS)
            return 0;
        changed.row[changed.rows++] = table->row[i];
    }
    *table = changed;
    return 1;
}

/* The first row that fits; NULL: none does. */
static const struct select_row *find(const struct select_table *table, size_t tensor_bytes,
                                     int nodes, int halves)
{
    for (int i = 0; i < table->rows; i++) {
        const struct select_row *row = &table->row[i];
        int bytes_fit = tensor_bytes >= row->from_bytes &&
                        (tensor_bytes < row->below_bytes || row->below_bytes == SIZE_MAX);
        int nodes_fit = nodes >= row->from_nodes &&
                        (nodes < row->below_nodes || row->below_nodes == INT_MAX);
        if (bytes_fit && nodes_fit && row->halves_only == halves)
            return row;
    }
    return NULL;
}

enum algorithm ronde__select(const struct select_table *table, size_t tensor_bytes, int nodes)
{
    const struct select_row *row = find(table, tensor_bytes, nodes, 0);
    return row ? row->algorithm : ALGORITHM_RING; /* of a table that nobody has read */
}

enum algorithm ronde__select_halves(const struct select_table *table, size_t tensor_bytes,
                                    int nodes)
{
    const struct select_row *row = find(table, tensor_bytes, nodes, 1);
    return row ? row->algorithm : ronde__select(table, tensor_bytes, nodes);
}
