/* The one table of settings. Each comes from its default, then a line of the file tuning_file, then
 * RONDE_<NAME> in the environment, then the text of ronde_options.settings. A bad value is an error
 * that names setting, value and range; an unknown name in the text or the file, or an unknown
 * RONDE_ variable, is an error too. */
#ifndef RONDE_BASE_SETTINGS_H
#define RONDE_BASE_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

struct settings {
    size_t fusion_threshold;
    size_t slice_bytes;
    size_t slots;
    size_t wire_buffer_bytes;
    size_t arena_bytes;
    size_t cache_capacity;
    size_t ranks_per_node;
    double spin_us; /* negative: chosen by CPUs and ranks */
    double stall_warn;
    double stall_abort;
    double heartbeat;
    int32_t progress; /* enum ronde__progress */
    int32_t simd;     /* -1: best, else enum ronde__simd */
    int32_t log;      /* enum ronde__log_level */
    int32_t autotune; /* enum ronde__autotune */
    char allreduce[256];
    char process_sets[256];
    char timeline[256];
    char tuning_file[256];
    unsigned char origin[32]; /* enum ronde__origin by row of the table */
};

enum ronde__progress { RONDE__PROGRESS_AUTO, RONDE__PROGRESS_THREAD, RONDE__PROGRESS_CALLER };
enum ronde__autotune { RONDE__AUTOTUNE_OFF, RONDE__AUTOTUNE_ON };
enum ronde__origin {
    RONDE__FROM_DEFAULT,
    RONDE__FROM_FILE, /* tuning_file */
    RONDE__FROM_ENVIRONMENT,
    RONDE__FROM_OPTIONS
};

/* Reads defaults, file, environment and `text` (NULL: none) into *settings. */
int32_t ronde__settings_read(struct settings *settings, const char *text);

/* RONDE_ERR_MISMATCH, naming setting, ranks and both values, where two ranks differ in what all
 * must have alike. */
int32_t ronde__settings_compare(const struct settings *a, int rank_a, const struct settings *b,
                                int rank_b);

/* One setting as "name value origin help" for people; 0 past the last row. Values fit `bytes`. The
 * help ends with what a value may be, and the default: "... (2 to 64; default 4)". */
int ronde__settings_row(const struct settings *settings, size_t row, const char **name, char *value,
                        size_t bytes, const char **origin, const char **help);

/* How messages call a setting: "RONDE_SLOTS", "the setting slots" or "PATH: slots", by where its
 * value came from. */
void ronde__settings_label(const struct settings *settings, const char *name, char *label,
                           size_t bytes);
enum ronde__origin ronde__settings_origin(const struct settings *settings, const char *name);

/* Writes "name=value;..." into the tuning file, beside the settings that it has already (comments
 * go), in one step. RONDE_ERR_ARGUMENT where what is there is no tuning file, RONDE_ERR_SYSTEM. */
int32_t ronde__settings_save(const char *path, const char *entries);

#endif
