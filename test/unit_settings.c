/* The table of settings: sources, ranges, messages, printing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    CHECK(s.fusion_threshold == (size_t)64 << 20 && s.slice_bytes == 128 << 10 && s.slots == 4);
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

int main(void)
{
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
    RUN(printed_rows_read_back_as_they_were);
    RUN(a_short_buffer_cuts_the_printed_value);
    return check_result();
}
