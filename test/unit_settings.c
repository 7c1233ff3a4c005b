/* The table of settings: sources, ranges, messages, printing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/value.h"
#include "check.h"
#include "ronde.h"

extern char **environ;

/* The next variable of ours that a person who runs the test has set, or NULL. */
static const char *own_variable(void)
{
    for (char **variable = environ; *variable; variable++)
        if (!strncmp(*variable, "RONDE_", 6))
            return *variable;
    return NULL;
}

static void clear_environment(void)
{
    const char *variable;
    char name[256];
    while ((variable = own_variable())) {
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(variable, "="), variable);
        unsetenv(name);
    }
}

/* Reads with one variable set. */
static int32_t read_with(const char *name, const char *value, struct settings *settings)
{
    setenv(name, value, 1);
    int32_t status = ronde__settings_read(settings, NULL);
    unsetenv(name);
    return status;
}

static void defaults_are_those_of_the_table(void)
{
    struct settings s;
    CHECK(ronde__settings_read(&s, NULL) == RONDE_OK);
    CHECK(s.fusion_threshold == (size_t)64 << 20 && s.slice_bytes == 256 << 10 && s.slots == 4);
    CHECK(s.wire_buffer_bytes == 4 << 20 && s.arena_bytes == 0 && s.cache_capacity == 4096);
    CHECK(s.ranks_per_node == 0 && s.spin_us == -1);
    CHECK(s.stall_warn == 10 && s.stall_abort == 0);
    CHECK(s.progress == RONDE__PROGRESS_AUTO && s.simd == -1 && s.log == RONDE__LOG_WARN);
    CHECK(!strcmp(s.allreduce, ""));
}

static void options_win_over_environment_over_default(void)
{
    struct settings s;
    CHECK(read_with("RONDE_SLOTS", "8", &s) == RONDE_OK);
    CHECK(s.slots == 8 && s.origin[2] == RONDE__FROM_ENVIRONMENT);
    setenv("RONDE_SLOTS", "8", 1);
    CHECK(ronde__settings_read(&s, "slots=16") == RONDE_OK);
    unsetenv("RONDE_SLOTS");
    CHECK(s.slots == 16 && s.origin[2] == RONDE__FROM_OPTIONS);
    CHECK(s.origin[0] == RONDE__FROM_DEFAULT);
}

static void text_of_options_takes_spaces_commas_and_empty_entries(void)
{
    struct settings s;
    CHECK(ronde__settings_read(&s,
                               " slots = 5 ;; allreduce = 0-16k:doubling,16k-:ring ; log=debug;") ==
          RONDE_OK);
    CHECK(s.slots == 5 && s.log == RONDE__LOG_DEBUG);
    CHECK(!strcmp(s.allreduce, "0-16k:doubling,16k-:ring"));
    CHECK(ronde__settings_read(&s, "") == RONDE_OK && s.slots == 4);
    CHECK(ronde__settings_read(&s, "allreduce=") == RONDE_OK);
}

static void sizes_take_binary_units(void)
{
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {
        {"0", 0},          {"1", 1},           {"12B", 12},         {"64k", 64 << 10},
        {"64K", 64 << 10}, {"64KB", 64 << 10}, {"64KiB", 64 << 10}, {"64kiB", 64 << 10},
        {"3m", 3 << 20},   {"2G", 2ull << 30}, {"1T", 1ull << 40},  {"1024g", 1ull << 40},
        {"007", 7},        {" 8 ", 8},
    };
    struct settings s;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_SAYING(read_with("RONDE_FUSION_THRESHOLD", rows[i].text, &s) == RONDE_OK, "%s: %s",
                     rows[i].text, ronde_last_error());
        CHECK_SAYING(s.fusion_threshold == rows[i].bytes, "%s gave %zu", rows[i].text,
                     s.fusion_threshold);
    }
}

static void values_that_are_none_are_errors_and_change_nothing(void)
{
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"RONDE_FUSION_THRESHOLD", ""},
        {"RONDE_FUSION_THRESHOLD", "x"},
        {"RONDE_FUSION_THRESHOLD", "-1"},
        {"RONDE_FUSION_THRESHOLD", "+1"},
        {"RONDE_FUSION_THRESHOLD", "12x"},
        {"RONDE_FUSION_THRESHOLD", "1.5m"},
        {"RONDE_FUSION_THRESHOLD", "1 M"},
        {"RONDE_FUSION_THRESHOLD", "12iB"},
        {"RONDE_FUSION_THRESHOLD", "1Mi"},
        {"RONDE_FUSION_THRESHOLD", "1MBB"},
        {"RONDE_FUSION_THRESHOLD", "M"},
        {"RONDE_FUSION_THRESHOLD", "0x10"},
        {"RONDE_FUSION_THRESHOLD", "2T"},
        {"RONDE_FUSION_THRESHOLD", "1099511627777"},
        {"RONDE_FUSION_THRESHOLD", "18446744073709551616"},
        {"RONDE_FUSION_THRESHOLD", "99999999999999999999999999999999999999999999T"},
        {"RONDE_SLICE_BYTES", "4095"},
        {"RONDE_SLICE_BYTES", "16777217"},
        {"RONDE_SLOTS", "1"},
        {"RONDE_SLOTS", "65"},
        {"RONDE_SLOTS", "4k"},
        {"RONDE_SLOTS", "4.0"},
        {"RONDE_SLOTS", "auto"},
        {"RONDE_STALL_WARN", "-0.5"},
        {"RONDE_STALL_WARN", "1,5"},
        {"RONDE_STALL_WARN", "."},
        {"RONDE_STALL_WARN", "1.2.3"},
        {"RONDE_STALL_WARN", "nan"},
        {"RONDE_STALL_WARN", "inf"},
        {"RONDE_STALL_WARN", "1e3"},
        {"RONDE_STALL_WARN", "1000000.1"},
        {"RONDE_STALL_WARN", "auto"},
        {"RONDE_SPIN_US", "-1"},
        {"RONDE_SPIN_US", "AUTO"},
        {"RONDE_PROGRESS", "threads"},
        {"RONDE_PROGRESS", "aut"},
        {"RONDE_SIMD", "sse"},
        {"RONDE_SIMD", ""},
        {"RONDE_LOG", "2"},
        {"RONDE_LOG", "error|warn"},
    };
    struct settings s = {.slots = 77};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_SAYING(read_with(rows[i].name, rows[i].value, &s) == RONDE_ERR_ARGUMENT,
                     "%s=%s was taken", rows[i].name, rows[i].value);
        CHECK_SAYING(strstr(ronde_last_error(), rows[i].name) &&
                         strstr(ronde_last_error(), rows[i].value),
                     "%s", ronde_last_error());
    }
    CHECK(s.slots == 77);
}

static void message_names_the_setting_the_value_and_the_range(void)
{
    struct settings s;
    CHECK(read_with("RONDE_SLOTS", "99", &s) == RONDE_ERR_ARGUMENT);
    CHECK_SAYING(!strcmp(ronde_last_error(),
                         "RONDE_SLOTS is \"99\": want a whole number from 2 to 64"),
                 "%s", ronde_last_error());
    CHECK(ronde__settings_read(&s, "slice_bytes=1G") == RONDE_ERR_ARGUMENT);
    CHECK_SAYING(!strcmp(ronde_last_error(),
                         "the setting slice_bytes is \"1G\": want a size from 4K to 16M (bytes, or "
                         "with K, M, G, T)"),
                 "%s", ronde_last_error());
    CHECK(ronde__settings_read(&s, "log=loud") == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "want one of error|warn|info|debug"));
    CHECK(read_with("RONDE_SPIN_US", "2000000", &s) == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "microseconds from 0 to 1000000, or auto"));
}

static void unknown_names_are_errors_with_the_nearest_name(void)
{
    static const struct {
        const char *variable, *nearest;
    } rows[] = {
        {"RONDE_FUSION_TRESHOLD", "RONDE_FUSION_THRESHOLD?"},
        {"RONDE_SLOT", "RONDE_SLOTS?"},
        {"RONDE_STALLWARN", "RONDE_STALL_WARN?"},
        {"RONDE_slots", "no setting"},
        {"RONDE_", "did you mean"},
        {"RONDE_TEST", "no setting"},
        {"RONDE_A_NAME_THAT_IS_LONGER_THAN_ANY_SETTING_COULD_EVER_BE_AND_LONGER_STILL_YES",
         "no setting"},
    };
    struct settings s;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_SAYING(read_with(rows[i].variable, "1", &s) == RONDE_ERR_ARGUMENT, "%s was taken",
                     rows[i].variable);
        CHECK_SAYING(strstr(ronde_last_error(), rows[i].variable) &&
                         strstr(ronde_last_error(), rows[i].nearest),
                     "%s", ronde_last_error());
    }
    CHECK(ronde__settings_read(&s, "spin=3") == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "\"spin\"") && strstr(ronde_last_error(), "spin_us?"));
    CHECK(ronde__settings_read(&s, "SLOTS=3") == RONDE_ERR_ARGUMENT);
    CHECK(ronde__settings_read(&s, "=3") == RONDE_ERR_ARGUMENT);
    CHECK(ronde__settings_read(&s, "slots") == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "name=value"));
}

static void variables_of_tests_and_benchmarks_are_left_alone(void)
{
    struct settings s;
    CHECK(read_with("RONDE_TEST_RANKS", "x", &s) == RONDE_OK);
    CHECK(read_with("RONDE_BENCH_SIZE", "", &s) == RONDE_OK);
    CHECK(read_with("RONDE_LIBRARY", "/opt/libronde.so", &s) == RONDE_OK);
    CHECK(read_with("XRONDE_SLOTS", "x", &s) == RONDE_OK);
    CHECK(read_with("RONDEX", "x", &s) == RONDE_OK);
}

static void choices_and_seconds_have_their_values(void)
{
    struct settings s;
    CHECK(ronde__settings_read(&s, "simd=portable;progress=caller;log=error;spin_us=0") ==
          RONDE_OK);
    CHECK(s.simd == RONDE__SIMD_PORTABLE && s.progress == RONDE__PROGRESS_CALLER);
    CHECK(s.log == RONDE__LOG_ERROR && s.spin_us == 0);
    CHECK(ronde__settings_read(&s, "simd=neon;stall_warn=.25;stall_abort=1000000;spin_us=12.5") ==
          RONDE_OK);
    CHECK(s.simd == RONDE__SIMD_NEON && s.stall_warn == 0.25 && s.spin_us == 12.5);
    CHECK(s.stall_abort == 1e6);
    CHECK(ronde__settings_read(&s, "simd=avx512;simd=auto;spin_us=auto") == RONDE_OK);
    CHECK(s.simd == -1 && s.spin_us == -1);
    CHECK(ronde__settings_read(&s, "simd=avx512") == RONDE_OK && s.simd == RONDE__SIMD_AVX512);
}

static void a_text_has_room_for_255_characters(void)
{
    struct settings s;
    char value[257];
    memset(value, 'x', sizeof(value));
    value[255] = '\0';
    CHECK(read_with("RONDE_ALLREDUCE", value, &s) == RONDE_OK && !strcmp(s.allreduce, value));
    value[255] = 'x';
    value[256] = '\0';
    CHECK(read_with("RONDE_ALLREDUCE", value, &s) == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "256 characters: want at most 255"));
}

/* The row called `wanted` as "value origin". */
static const char *row_text(const struct settings *s, const char *wanted)
{
    static char text[400];
    const char *name, *origin, *help;
    char value[300];
    for (size_t row = 0; ronde__settings_row(s, row, &name, value, sizeof(value), &origin, &help);
         row++) {
        snprintf(text, sizeof(text), "%s %s", value, origin);
        if (!strcmp(name, wanted))
            return help[0] ? text : "no help";
    }
    return "no such row";
}

static void rows_print_units_words_and_origins(void)
{
    struct settings s;
    setenv("RONDE_SLICE_BYTES", "65537", 1);
    int32_t status = ronde__settings_read(
        &s, "wire_buffer_bytes=1024K;stall_warn=0.50;simd=avx2;spin_us=12.000001;allreduce=a,b");
    unsetenv("RONDE_SLICE_BYTES");
    CHECK(status == RONDE_OK);
    CHECK(!strcmp(row_text(&s, "fusion_threshold"), "64M default"));
    CHECK(!strcmp(row_text(&s, "slice_bytes"), "65537 environment"));
    CHECK(!strcmp(row_text(&s, "wire_buffer_bytes"), "1M options"));
    CHECK(!strcmp(row_text(&s, "arena_bytes"), "0 default"));
    CHECK(!strcmp(row_text(&s, "cache_capacity"), "4096 default"));
    CHECK(!strcmp(row_text(&s, "spin_us"), "12.000001 options"));
    CHECK(!strcmp(row_text(&s, "stall_warn"), "0.5 options"));
    CHECK(!strcmp(row_text(&s, "stall_abort"), "0 default"));
    CHECK(!strcmp(row_text(&s, "progress"), "auto default"));
    CHECK(!strcmp(row_text(&s, "simd"), "avx2 options"));
    CHECK(!strcmp(row_text(&s, "log"), "warn default"));
    CHECK(!strcmp(row_text(&s, "allreduce"), "a,b options"));
    CHECK(!strcmp(row_text(&s, "nothing"), "no such row"));
    CHECK(ronde__settings_read(&s, NULL) == RONDE_OK);
    CHECK(!strcmp(row_text(&s, "spin_us"), "auto default"));
    CHECK(!strcmp(row_text(&s, "simd"), "auto default"));
}

/* Reads "name=..." with the `length` characters at `value`. */
static int takes(const char *name, const char *value, size_t length)
{
    struct settings s;
    char text[300];
    snprintf(text, sizeof(text), "%s=%.*s", name, (int)length, value);
    return ronde__settings_read(&s, text) == RONDE_OK;
}

/* "... (2 to 64; default 4)": what help tells is taken, and is the default. */
static void help_tells_what_is_taken_and_the_default(void)
{
    struct settings s;
    char value[300], wanted[400];
    const char *name, *origin, *help;
    int told = 0;
    CHECK(ronde__settings_read(&s, NULL) == RONDE_OK);
    for (size_t row = 0; ronde__settings_row(&s, row, &name, value, sizeof(value), &origin, &help);
         row++) {
        const char *range = strrchr(help, '('), *end = strstr(help, "; default ");
        if (!*value) /* a text */
            continue;
        snprintf(wanted, sizeof(wanted), "; default %s)", value);
        CHECK_SAYING(range && end && !strcmp(end, wanted), "%s: %s", name, help);
        told++;
        for (const char *word = range + 1; word < end;) {
            size_t length = strcspn(word, "| ;");
            CHECK_SAYING(takes(name, word, length), "%s: %s", name, ronde_last_error());
            word += length;
            word += strncmp(word, " to ", 4) && strncmp(word, " or ", 4) ? 1 : 4;
        }
    }
    CHECK(told >= 14);
}

static void printed_rows_read_back_as_they_were(void)
{
    struct settings s, again;
    char text[2048] = "", value[300];
    const char *name, *origin, *help;
    CHECK(ronde__settings_read(&s, "fusion_threshold=0;slots=64;simd=neon;log=info;spin_us=0.125;"
                                   "arena_bytes=128T;stall_abort=999999.875;allreduce=0-:ring") ==
          RONDE_OK);
    for (size_t row = 0; ronde__settings_row(&s, row, &name, value, sizeof(value), &origin, &help);
         row++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof(text) - length, "%s=%s;", name, value);
    }
    CHECK_SAYING(ronde__settings_read(&again, text) == RONDE_OK, "%s", ronde_last_error());
    CHECK(!memcmp(&s, &again, offsetof(struct settings, origin)));
}

static void a_short_buffer_cuts_the_printed_value(void)
{
    struct value_rule rule = {.kind = VALUE_SIZE, .least = "0", .most = "1T"};
    char text[3];
    ronde__value_print(&rule, 1234, text, sizeof(text));
    CHECK(!strcmp(text, "12"));
}

/* ---- the tuning file ------------------------------------------------------------------------- */

static char folder[] = "/tmp/ronde-unit-settings-XXXXXX";
static char path[64], named[128]; /* the file, and the options that name it */

static void put_file(const char *text)
{
    FILE *file = fopen(path, "w");
    if (file) {
        fputs(text, file);
        fclose(file);
    }
}

static void the_file_is_read_before_environment_and_options(void)
{
    struct settings s;
    char text[200];
    put_file("# what autotune found\n\n  slots = 8 \r\nfusion_threshold=16M\n#x=1\n"
             "allreduce=0-16k:doubling,16k-:ring\nslice_bytes=64K");
    CHECK_SAYING(ronde__settings_read(&s, named) == RONDE_OK, "%s", ronde_last_error());
    CHECK(!strcmp(row_text(&s, "slots"), "8 file"));
    CHECK(!strcmp(row_text(&s, "fusion_threshold"), "16M file"));
    CHECK(!strcmp(row_text(&s, "allreduce"), "0-16k:doubling,16k-:ring file"));
    CHECK(!strcmp(row_text(&s, "slice_bytes"), "64K file"));
    CHECK(!strcmp(row_text(&s, "log"), "warn default"));
    CHECK(ronde__settings_origin(&s, "slots") == RONDE__FROM_FILE);
    snprintf(text, sizeof(text), "slots=16;%s", named);
    setenv("RONDE_SLICE_BYTES", "32K", 1);
    int32_t status = ronde__settings_read(&s, text);
    unsetenv("RONDE_SLICE_BYTES");
    CHECK(status == RONDE_OK);
    CHECK(!strcmp(row_text(&s, "slots"), "16 options"));
    CHECK(!strcmp(row_text(&s, "slice_bytes"), "32K environment"));
    CHECK(!strcmp(row_text(&s, "fusion_threshold"), "16M file"));
    CHECK(read_with("RONDE_TUNING_FILE", path, &s) == RONDE_OK && s.slots == 8);
}

static void bad_lines_are_errors_that_name_file_line_and_value(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"slots=99", ":1: slots is \"99\": want a whole number from 2 to 64"},
        {"# c\n\nslice_bytes=1G\n", ":3: slice_bytes is \"1G\": want a size from 4K to 16M"},
        {"slots=4\nslot=4", ":2: there is no setting \"slot\": did you mean slots?"},
        {"slots 4", ":1: \"slots 4\" is not name=value"},
        {"slots=4;slice_bytes=64K", ":1: slots is \"4;slice_bytes=64K\""},
        {"RONDE_SLOTS=4", ":1: there is no setting \"RONDE_SLOTS\""},
        {"tuning_file=x", ":1: the setting tuning_file is not for a file"},
        {"autotune=on", "the setting autotune is not"},
        {"process_sets=0", "the setting process_sets is not"},
        {"timeline=x", "the setting timeline is not"},
        {"log=info", "the setting log is not"},
        {"ranks_per_node=2", "the setting ranks_per_node is not"},
    };
    struct settings s = {.slots = 77};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_file(rows[i].text);
        CHECK_SAYING(ronde__settings_read(&s, named) == RONDE_ERR_ARGUMENT, "%s was taken",
                     rows[i].text);
        CHECK_SAYING(strstr(ronde_last_error(), path) == ronde_last_error() &&
                         strstr(ronde_last_error(), rows[i].says),
                     "%s", ronde_last_error());
    }
    CHECK(s.slots == 77);
}

static void a_missing_file_is_an_error_unless_it_will_be_written(void)
{
    struct settings s;
    char text[200];
    unlink(path);
    CHECK(ronde__settings_read(&s, named) == RONDE_ERR_ARGUMENT);
    snprintf(text, sizeof(text), "the setting tuning_file is \"%s\", and there is no such file",
             path);
    CHECK_SAYING(strstr(ronde_last_error(), text), "%s", ronde_last_error());
    CHECK(read_with("RONDE_TUNING_FILE", path, &s) == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "RONDE_TUNING_FILE is "));
    snprintf(text, sizeof(text), "autotune=on;%s", named);
    CHECK(ronde__settings_read(&s, text) == RONDE_OK && !strcmp(s.tuning_file, path));
}

static void what_is_no_text_is_an_error(void)
{
    struct settings s;
    char text[200];
    snprintf(text, sizeof(text), "tuning_file=%s", folder);
    CHECK(ronde__settings_read(&s, text) == RONDE_ERR_ARGUMENT);
    CHECK_SAYING(strstr(ronde_last_error(), "directory"), "%s", ronde_last_error());
    FILE *file = fopen(path, "w");
    CHECK(file);
    fwrite("slots=4\n\0", 1, 9, file);
    fclose(file);
    CHECK(ronde__settings_read(&s, named) == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "no text"));
    file = fopen(path, "w");
    CHECK(file);
    for (int i = 0; i < 70000; i++)
        fputc('#', file);
    fclose(file);
    CHECK(ronde__settings_read(&s, named) == RONDE_ERR_ARGUMENT);
}

static void saving_keeps_what_the_file_has_and_leaves_it_whole_on_errors(void)
{
    struct settings s;
    put_file("slots=8\nfusion_threshold=1M\n");
    CHECK_SAYING(ronde__settings_save(path, "fusion_threshold=4M;allreduce=0-:ring") == RONDE_OK,
                 "%s", ronde_last_error());
    CHECK(ronde__settings_read(&s, named) == RONDE_OK);
    CHECK(s.slots == 8 && s.fusion_threshold == 4 << 20 && !strcmp(s.allreduce, "0-:ring"));
    put_file("slots=8\nnonsense\n");
    CHECK(ronde__settings_save(path, "fusion_threshold=4M") == RONDE_ERR_ARGUMENT);
    CHECK(ronde__settings_save("/nowhere/at/all", "fusion_threshold=4M") == RONDE_ERR_SYSTEM);
    CHECK_SAYING(strstr(ronde_last_error(), "/nowhere/at/all"), "%s", ronde_last_error());
    FILE *file = fopen(path, "r");
    char text[32];
    CHECK(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    CHECK(!strcmp(text, "slots=8\nnonsense\n"));
}

static void labels_are_how_the_source_calls_a_setting(void)
{
    struct settings s;
    char label[300];
    put_file("slots=8\n");
    setenv("RONDE_ALLREDUCE", "x", 1);
    int32_t status = ronde__settings_read(&s, named);
    unsetenv("RONDE_ALLREDUCE");
    CHECK(status == RONDE_OK);
    ronde__settings_label(&s, "allreduce", label, sizeof(label));
    CHECK_SAYING(!strcmp(label, "RONDE_ALLREDUCE"), "%s", label);
    ronde__settings_label(&s, "tuning_file", label, sizeof(label));
    CHECK_SAYING(!strcmp(label, "the setting tuning_file"), "%s", label);
    ronde__settings_label(&s, "slots", label, sizeof(label));
    CHECK_SAYING(strstr(label, path) == label && strstr(label, ": slots"), "%s", label);
}

static void what_must_be_alike_is_compared_wherever_it_came_from(void)
{
    struct settings a, b;
    put_file("slots=8\nfusion_threshold=4M\n");
    CHECK(ronde__settings_read(&a, named) == RONDE_OK);
    CHECK(ronde__settings_read(&b, "slots=8") == RONDE_OK); /* fusion_threshold is the root's */
    CHECK(ronde__settings_compare(&a, 0, &b, 1) == RONDE_OK);
    CHECK(ronde__settings_read(&b, NULL) == RONDE_OK);
    CHECK(ronde__settings_compare(&a, 0, &b, 3) == RONDE_ERR_MISMATCH);
    CHECK_SAYING(strstr(ronde_last_error(),
                        "setting slots differs: rank 0 has '8' (file), rank 3 has '4' (default)"),
                 "%s", ronde_last_error());
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/tune", folder);
    snprintf(named, sizeof(named), "tuning_file=%s", path);
    clear_environment();
    RUN(defaults_are_those_of_the_table);
    RUN(options_win_over_environment_over_default);
    RUN(text_of_options_takes_spaces_commas_and_empty_entries);
    RUN(sizes_take_binary_units);
    RUN(values_that_are_none_are_errors_and_change_nothing);
    RUN(message_names_the_setting_the_value_and_the_range);
    RUN(unknown_names_are_errors_with_the_nearest_name);
    RUN(variables_of_tests_and_benchmarks_are_left_alone);
    RUN(choices_and_seconds_have_their_values);
    RUN(a_text_has_room_for_255_characters);
    RUN(rows_print_units_words_and_origins);
    RUN(help_tells_what_is_taken_and_the_default);
    RUN(printed_rows_read_back_as_they_were);
    RUN(a_short_buffer_cuts_the_printed_value);
    RUN(the_file_is_read_before_environment_and_options);
    RUN(bad_lines_are_errors_that_name_file_line_and_value);
    RUN(a_missing_file_is_an_error_unless_it_will_be_written);
    RUN(what_is_no_text_is_an_error);
    RUN(saving_keeps_what_the_file_has_and_leaves_it_whole_on_errors);
    RUN(labels_are_how_the_source_calls_a_setting);
    RUN(what_must_be_alike_is_compared_wherever_it_came_from);
    unlink(path);
    if (rmdir(folder) != 0) {
        fprintf(stderr, "something was left in %s\n", folder);
        return 1;
    }
    return check_result();
}
