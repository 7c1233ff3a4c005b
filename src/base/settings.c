#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/status.h"
#include "base/tuning_file.h"
#include "base/value.h"

extern char **environ;

struct setting {
    const char *name;
    size_t at; /* of its field in struct settings */
    const char *fallback;
    struct value_rule rule;
    const char *help;
};

/* The help of a row ends with what the value may be, and its default. */
/* clang-format off */
#define ROW(field, value, help, ...) \
    {#field, offsetof(struct settings, field), value, {__VA_ARGS__}, help}
#define RANGE(kind_of, field, value, from, to, help, or) \
    ROW(field, value, help " (" from " to " to or "; default " value ")", \
        .kind = kind_of, .least = from, .most = to)
#define SIZE(field, value, from, to, help) RANGE(VALUE_SIZE, field, value, from, to, help, "")
#define COUNT(field, value, from, to, help) RANGE(VALUE_COUNT, field, value, from, to, help, "")
#define SECONDS(field, value, from, to, help) RANGE(VALUE_SECONDS, field, value, from, to, help, "")
#define MICROSECONDS(field, value, from, to, help) \
    RANGE(VALUE_MICROSECONDS, field, value, from, to, help, " or auto")
#define CHOICE(field, value, words, number, help) \
    ROW(field, value, help " (" words "; default " value ")", \
        .kind = VALUE_CHOICE, .choices = words, .first = number)
#define TEXT(field, help) ROW(field, "", help, .kind = VALUE_TEXT)
/* clang-format on */

static const struct setting table[] = {
    SIZE(fusion_threshold, "64M", "0", "1T",
         "tensors are fused into bins of at most this many bytes; 0: never fuse"),
    SIZE(slice_bytes, "256K", "4K", "16M", "slice of the shared segment, per rank"),
    COUNT(slots, "4", "2", "64", "slices of a rank in flight"),
    SIZE(wire_buffer_bytes, "4M", "64K", "4G",
         "buffer for a bin that crosses the network, per node"),
    SIZE(arena_bytes, "0", "0", "128T",
         "address space of a rank for ronde_malloc; 0: as much as shared memory has"),
    COUNT(cache_capacity, "4096", "0", "1048576", "names that are remembered by number"),
    COUNT(ranks_per_node, "0", "0", "1048576",
          "treat each run of so many ranks of a host as a node, for trials; 0: as the hosts are"),
    MICROSECONDS(
        spin_us, "auto", "0", "1000000",
        "how long a waiting thread spins (or yields, where ranks outnumber CPUs) before it sleeps"),
    SECONDS(stall_warn, "10", "0", "1000000",
            "seconds after which a tensor that some ranks never submitted is reported; 0: never"),
    SECONDS(stall_abort, "0", "0", "1000000",
            "seconds after which a tensor that some ranks never submitted is an error; 0: never"),
    SECONDS(heartbeat, "30", "0", "1000000",
            "seconds after which a rank that does not answer while others wait is lost; 0: never"),
    CHOICE(progress, "auto", "auto|thread|caller", RONDE__PROGRESS_AUTO,
           "who drives operations: a thread of the library, or the caller while it waits"),
    CHOICE(simd, "auto", "auto|portable|avx2|avx512|neon", -1,
           "instruction set of the reductions; auto: the best that this CPU has"),
    CHOICE(log, "warn", "error|warn|info|debug", RONDE__LOG_ERROR,
           "lines up to this level go to standard error"),
    TEXT(allreduce,
         "rows bytes:algorithm for allreduce between nodes, such as 0-16k:doubling,16k-:ring"),
    TEXT(process_sets, "process sets to make at opening, such as 0,1/2-3"),
    TEXT(timeline, "record what every rank does in PATH.RANK.json, for ronde-trace and Perfetto"),
    CHOICE(autotune, "off", "off|on", RONDE__AUTOTUNE_OFF,
           "try fusion thresholds and algorithms while running, and keep the best"),
    TEXT(tuning_file,
         "read name=value lines from here before the environment; autotune writes what it found"),
};

enum {
    ROWS = sizeof(table) / sizeof(table[0]),
    VALUE_BYTES = sizeof(((struct settings *)0)->allreduce),
    PLACE_BYTES = VALUE_BYTES + 32 /* "PATH:LINE: " */
};

_Static_assert(ROWS <= sizeof(((struct settings *)0)->origin), "a row without an origin");
_Static_assert(sizeof(size_t) == 8, "sizes go up to 128T");
_Static_assert(RONDE__PROGRESS_CALLER == 2 && RONDE__LOG_DEBUG == 3 && RONDE__SIMD_NEON == 3,
               "choices are numbered in the order of their enum");

static const char prefix[] = "RONDE_";

/* Variables that belong to the tests, the benchmarks, and the drop-in for MPI programs. */
static const char *const foreign[] = {"RONDE_TEST_", "RONDE_BENCH_", "RONDE_MPI", "RONDE_LIBRARY"};

/* What shared memory and the choice of algorithms rest on. */
static const char *const alike[] = {"slice_bytes",       "slots",
                                    "wire_buffer_bytes", "cache_capacity",
                                    "ranks_per_node",    "allreduce",
                                    "process_sets",      NULL};

/* What says where the file is, or is used up before it is read, or is for one run. */
static const char *const not_of_files[] = {"tuning_file", "autotune", "process_sets",
                                           "timeline",    "log",      "ranks_per_node",
                                           NULL};

static int is_in(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void store(struct settings *settings, const struct setting *row, double number,
                  const char *text)
{
    char *field = (char *)settings + row->at;
    switch (row->rule.kind) {
    case VALUE_SIZE:
    case VALUE_COUNT: memcpy(field, &(size_t){(size_t)number}, sizeof(size_t)); break;
    case VALUE_SECONDS:
    case VALUE_MICROSECONDS: memcpy(field, &number, sizeof(number)); break;
    case VALUE_CHOICE: memcpy(field, &(int32_t){(int32_t)number}, sizeof(int32_t)); break;
    case VALUE_TEXT: snprintf(field, VALUE_BYTES, "%s", text); break;
    }
}

static void print(const struct settings *settings, const struct setting *row, char *text,
                  size_t bytes)
{
    const char *field = (const char *)settings + row->at;
    size_t size = 0;
    int32_t choice = 0;
    double number = 0;
    switch (row->rule.kind) {
    case VALUE_SIZE:
    case VALUE_COUNT:
        memcpy(&size, field, sizeof(size));
        number = (double)size;
        break;
    case VALUE_SECONDS:
    case VALUE_MICROSECONDS: memcpy(&number, field, sizeof(number)); break;
    case VALUE_CHOICE:
        memcpy(&choice, field, sizeof(choice));
        number = choice;
        break;
    case VALUE_TEXT: snprintf(text, bytes, "%s", field); return;
    }
    ronde__value_print(&row->rule, number, text, bytes);
}

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Drops spaces at both ends of the `*length` characters at *from. */
static void trim(const char **from, size_t *length)
{
    while (*length && is_space(**from)) {
        ++*from;
        --*length;
    }
    while (*length && is_space((*from)[*length - 1]))
        --*length;
}

/* Sets one row from `length` characters. `label` is how messages call it. */
static int32_t set(struct settings *settings, size_t row, const char *label, const char *from,
                   size_t length, enum ronde__origin origin)
{
    char text[VALUE_BYTES], range[128];
    double number;
    trim(&from, &length);
    if (length >= sizeof(text))
        return ronde__fail(RONDE_ERR_ARGUMENT, "%s has %zu characters: want at most %zu", label,
                           length, sizeof(text) - 1);
    memcpy(text, from, length);
    text[length] = '\0';
    if (!ronde__value_read(&table[row].rule, text, &number)) {
        ronde__value_range(&table[row].rule, range, sizeof(range));
        return ronde__fail(RONDE_ERR_ARGUMENT, "%s is \"%s\": want %s", label, text, range);
    }
    store(settings, &table[row], number, text);
    settings->origin[row] = (unsigned char)origin;
    return RONDE_OK;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The row of that name, or ROWS. */
static size_t find_row(const char *name, size_t length)
{
    size_t row = 0;
    while (row < ROWS &&
           (strlen(table[row].name) != length || memcmp(table[row].name, name, length)))
        row++;
    return row;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Insertions, deletions and replacements that turn a into b, which has at most 63 characters
 * (V. Levenshtein 1966, by Wagner and Fischer's table, of which one row is kept). */
static size_t edit_distance(const char *a, size_t a_length, const char *b)
{
    size_t costs[64], b_length = strlen(b);
    for (size_t j = 0; j <= b_length; j++)
        costs[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = costs[0];
        costs[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = costs[j];
            costs[j] = smallest(costs[j] + 1, costs[j - 1] + 1, replaced);
        }
    }
    return costs[b_length];
}

static const char *nearest_name(const char *name, size_t length)
{
    const char *nearest = table[0].name;
    for (size_t row = 1; row < ROWS; row++)
        if (edit_distance(name, length, table[row].name) < edit_distance(name, length, nearest))
            nearest = table[row].name;
    return nearest;
}

/* "slots" as "RONDE_SLOTS". */
static void variable_name(const char *name, char *variable, size_t bytes)
{
    snprintf(variable, bytes, "%s%s", prefix, name);
    for (char *c = variable + strlen(prefix); *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
}

/* The part of a variable's name after the prefix as a setting would be called. A letter in lower
 * case, which no variable of ours has, becomes one that no setting has. */
static size_t setting_name(const char *variable, size_t length, char *name, size_t bytes)
{
    size_t skip = strlen(prefix), i = 0;
    for (; skip + i < length && i < bytes; i++) {
        char c = variable[skip + i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c >= 'a' && c <= 'z' ? '?' : c;
    }
    return i;
}

/* ---- the four sources ------------------------------------------------------------------------ */

static int32_t read_defaults(struct settings *settings)
{
    int32_t status = RONDE_OK;
    memset(settings, 0, sizeof(*settings));
    for (size_t row = 0; row < ROWS && !status; row++)
        status = set(settings, row, table[row].name, table[row].fallback,
                     strlen(table[row].fallback), RONDE__FROM_DEFAULT);
    return status;
}

static int is_foreign(const char *variable)
{
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (!strncmp(variable, foreign[i], strlen(foreign[i])))
            return 1;
    return 0;
}

/* `variable` is "RONDE_NAME=value". */
static int32_t read_variable(struct settings *settings, const char *variable)
{
    char name[64], label[64 + sizeof(prefix)];
    size_t length = strcspn(variable, "=");
    size_t name_length = setting_name(variable, length, name, sizeof(name));
    size_t row = find_row(name, name_length);
    if (row == ROWS) {
        variable_name(nearest_name(name, name_length), label, sizeof(label));
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "the variable %.*s is no setting: unset it, or did you mean %s?",
                           (int)length, variable, label);
    }
    variable_name(table[row].name, label, sizeof(label));
    const char *value = variable + length + (variable[length] == '=');
    return set(settings, row, label, value, strlen(value), RONDE__FROM_ENVIRONMENT);
}

static int32_t read_environment(struct settings *settings)
{
    int32_t status = RONDE_OK;
    for (char **variable = environ; variable && *variable && !status; variable++)
        if (!strncmp(*variable, prefix, strlen(prefix)) && !is_foreign(*variable))
            status = read_variable(settings, *variable);
    return status;
}

/* Where a list of entries stands, for messages. */
struct source {
    enum ronde__origin origin;
    const char *path; /* of a file */
    int line;
};

/* "PATH:3: ", or "" for the options' text. */
static void write_place(const struct source *source, char *text, size_t bytes)
{
    text[0] = '\0';
    if (source->path)
        snprintf(text, bytes, "%s:%d: ", source->path, source->line);
}

/* One "name=value". */
static int32_t read_entry(struct settings *settings, const struct source *source, const char *entry,
                          size_t length)
{
    char place[PLACE_BYTES], label[PLACE_BYTES + 80];
    int shown = length > 80 ? 80 : (int)length;
    const char *equals = memchr(entry, '=', length);
    write_place(source, place, sizeof(place));
    if (!equals)
        return ronde__fail(RONDE_ERR_ARGUMENT, "%s\"%.*s\" %s", place, shown, entry,
                           source->path
                               ? "is not name=value: begin comments with '#'"
                               : "in the settings is not name=value: separate them with ';'");
    const char *name = entry, *value = equals + 1;
    size_t name_length = (size_t)(equals - entry), value_length = length - name_length - 1;
    trim(&name, &name_length);
    size_t row = find_row(name, name_length);
    if (row == ROWS)
        return ronde__fail(RONDE_ERR_ARGUMENT, "%sthere is no setting \"%.*s\": did you mean %s?",
                           place, name_length > 80 ? 80 : (int)name_length, name,
                           nearest_name(name, name_length));
    if (source->path && is_in(not_of_files, table[row].name))
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "%sthe setting %s is not for a file: take the line out, and set it in "
                           "the environment or the options",
                           place, table[row].name);
    snprintf(label, sizeof(label), "%s%s%s", place, source->path ? "" : "the setting ",
             table[row].name);
    return set(settings, row, label, value, value_length, source->origin);
}

static int32_t read_options(struct settings *settings, const char *text, enum ronde__origin origin)
{
    const struct source source = {.origin = origin};
    int32_t status = RONDE_OK;
    while (text && *text && !status) {
        const char *entry = text;
        size_t length = strcspn(text, ";");
        text += length + (text[length] == ';');
        trim(&entry, &length);
        if (length) /* "slots=4;" is fine */
            status = read_entry(settings, &source, entry, length);
    }
    return status;
}

static int32_t read_lines(struct settings *settings, const char *path, const char *text)
{
    struct source source = {.origin = RONDE__FROM_FILE, .path = path};
    int32_t status = RONDE_OK;
    while (*text && !status) {
        const char *line = text;
        size_t length = strcspn(text, "\n");
        text += length + (text[length] == '\n');
        source.line++;
        trim(&line, &length);
        if (length && *line != '#')
            status = read_entry(settings, &source, line, length);
    }
    return status;
}

/* How messages call a setting, by where it came from. */
static void write_label(const struct settings *settings, size_t row, char *label, size_t bytes)
{
    switch ((enum ronde__origin)settings->origin[row]) {
    case RONDE__FROM_ENVIRONMENT: variable_name(table[row].name, label, bytes); break;
    case RONDE__FROM_FILE:
        snprintf(label, bytes, "%s: %s", settings->tuning_file, table[row].name);
        break;
    case RONDE__FROM_DEFAULT:
    case RONDE__FROM_OPTIONS: snprintf(label, bytes, "the setting %s", table[row].name); break;
    }
}

void ronde__settings_label(const struct settings *settings, const char *name, char *label,
                           size_t bytes)
{
    write_label(settings, find_row(name, strlen(name)), label, bytes);
}

enum ronde__origin ronde__settings_origin(const struct settings *settings, const char *name)
{
    return (enum ronde__origin)settings->origin[find_row(name, strlen(name))];
}

/* `named` says which file. */
static int32_t read_file(struct settings *settings, const struct settings *named)
{
    char label[PLACE_BYTES], *text = NULL;
    const char *path = named->tuning_file;
    ronde__settings_label(named, "tuning_file", label, sizeof(label));
    int32_t status = ronde__tuning_file_read(path, label, &text);
    if (!status && text)
        status = read_lines(settings, path, text);
    else if (!status && named->autotune != RONDE__AUTOTUNE_ON)
        status = ronde__fail(RONDE_ERR_ARGUMENT,
                             "%s is \"%s\", and there is no such file: correct the path, or let "
                             "autotune=on write it",
                             label, path);
    free(text);
    return status;
}

/* The file is read before, but named by, what wins over it. */
int32_t ronde__settings_read(struct settings *settings, const char *text)
{
    struct settings named, read;
    int32_t status = read_defaults(&named);
    read = named;
    if (!status)
        status = read_environment(&named);
    if (!status)
        status = read_options(&named, text, RONDE__FROM_OPTIONS);
    if (!status && *named.tuning_file) {
        status = read_file(&read, &named);
        if (!status)
            status = read_environment(&read);
        if (!status)
            status = read_options(&read, text, RONDE__FROM_OPTIONS);
        named = read;
    }
    if (!status)
        *settings = named;
    return status;
}

int32_t ronde__settings_save(const char *path, const char *entries)
{
    struct settings kept, named = {.autotune = RONDE__AUTOTUNE_ON};
    char text[ROWS * (VALUE_BYTES + 80)], value[VALUE_BYTES];
    size_t at = 0;
    snprintf(named.tuning_file, sizeof(named.tuning_file), "%s", path);
    int32_t status = read_defaults(&kept);
    if (!status)
        status = read_file(&kept, &named);
    if (!status)
        status = read_options(&kept, entries, RONDE__FROM_FILE);
    if (status)
        return status;
    at += (size_t)snprintf(text, sizeof(text), "# Settings of Ronde, written by autotune.\n");
    for (size_t row = 0; row < ROWS; row++) {
        if (kept.origin[row] == RONDE__FROM_DEFAULT)
            continue;
        print(&kept, &table[row], value, sizeof(value));
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s=%s\n", table[row].name, value);
    }
    return ronde__tuning_file_write(path, text);
}

int ronde__settings_row(const struct settings *settings, size_t row, const char **name, char *value,
                        size_t bytes, const char **origin, const char **help)
{
    static const char *const origins[] = {
        [RONDE__FROM_DEFAULT] = "default",
        [RONDE__FROM_FILE] = "file",
        [RONDE__FROM_ENVIRONMENT] = "environment",
        [RONDE__FROM_OPTIONS] = "options",
    };
    if (row >= ROWS)
        return 0;
    *name = table[row].name;
    *origin = origins[settings->origin[row]];
    *help = table[row].help;
    print(settings, &table[row], value, bytes);
    return 1;
}

int32_t ronde__settings_compare(const struct settings *a, int rank_a, const struct settings *b,
                                int rank_b)
{
    const char *name, *from_a, *from_b, *help;
    char of_a[VALUE_BYTES], of_b[VALUE_BYTES];
    for (size_t row = 0; ronde__settings_row(a, row, &name, of_a, VALUE_BYTES, &from_a, &help) &&
                         ronde__settings_row(b, row, &name, of_b, VALUE_BYTES, &from_b, &help);
         row++)
        if (is_in(alike, name) && strcmp(of_a, of_b) != 0)
            return ronde__fail(RONDE_ERR_MISMATCH,
                               "setting %s differs: rank %d has '%s' (%s), rank %d has '%s' (%s); "
                               "set the same on every rank",
                               name, rank_a, of_a, from_a, rank_b, of_b, from_b);
    return RONDE_OK;
}
