/* What the tuner concludes from numbers: time is simulated, nothing is sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "coordinator/message.h"
#include "coordinator/tune.h"
#include "ronde.h"

#define MIB ((size_t)1 << 20)

/* A job of `tensors` tensors in every step, and what a step takes. */
struct job {
    int nodes, tensors;
    size_t tensor_bytes;
    double step_s;         /* but ... */
    size_t good_threshold; /* ... with this threshold ... */
    int good_algorithm;    /* ... and this algorithm (-1: any) ... */
    double gain;           /* ... so many times as fast, each */
    int pause_every;       /* steps (0: never), of ... */
    double pause_s;
    int names_differ; /* each tensor comes once */
};

struct run {
    struct settings settings;
    struct log log;
    struct net net;
    struct tuner tuner;
    int64_t now_ns;
    int steps;
};

static void clear_environment(void)
{
    unsetenv("RONDE_FUSION_THRESHOLD");
    unsetenv("RONDE_ALLREDUCE");
    unsetenv("RONDE_TUNING_FILE");
    unsetenv("RONDE_AUTOTUNE");
}

static int32_t start(struct run *run, const struct job *job, const char *settings, int rank)
{
    *run = (struct run){.net = {.nodes = job->nodes, .rank = rank, .size = 8},
                        .log = {.level = RONDE__LOG_ERROR},
                        .now_ns = 1000};
    int32_t status = ronde__settings_read(&run->settings, settings);
    return status ? status : ronde__tuner_open(&run->tuner, &run->settings, &run->net, &run->log);
}

static double step_seconds(const struct run *run, const struct job *job)
{
    double seconds = job->step_s;
    if (run->tuner.threshold == job->good_threshold)
        seconds /= job->gain;
    int algorithm = (int)ronde__select(&run->tuner.select, job->tensor_bytes, job->nodes);
    if (job->good_algorithm >= 0 && algorithm == job->good_algorithm)
        seconds /= job->gain;
    return seconds;
}

/* One step: the tensors are decided in one go, or in two halves. Then the step's time passes. */
static void step(struct run *run, const struct job *job)
{
    for (int i = 0; i < job->tensors; i++) {
        if (i == 0 || i == job->tensors / 2)
            ronde__tuner_step(&run->tuner, run->now_ns += 1000);
        ronde__tuner_note(&run->tuner, 0, job->names_differ ? NO_ID : (uint32_t)i,
                          job->tensor_bytes);
    }
    run->now_ns += (int64_t)(step_seconds(run, job) * 1e9);
    run->steps++;
    if (job->pause_every && run->steps % job->pause_every == 0)
        run->now_ns += (int64_t)(job->pause_s * 1e9);
}

/* Returns the steps until the tuner is done; 0: it never is. */
static int run_job(struct run *run, const struct job *job)
{
    enum { MOST = 200000 };
    while (run->steps < MOST && ronde__tuner_listens(&run->tuner))
        step(run, job);
    return run->steps < MOST ? run->steps : 0;
}

static void the_best_is_found_by_table(void)
{
    static const struct {
        const char *what;
        struct job job;
        size_t threshold;
        const char *rows;
    } table[] = {
        {"nothing matters: all stays", {1, 10, MIB, 0.02, 0, -1, 1, 0, 0, 0}, 64 * MIB, ""},
        {"a smaller one is faster", {1, 10, MIB, 0.02, 4 * MIB, -1, 1.2, 0, 0, 0}, 4 * MIB, ""},
        {"a larger one is faster", {1, 10, MIB, 0.02, 256 * MIB, -1, 1.2, 0, 0, 0}, 256 * MIB, ""},
        {"4 percent are chance", {1, 10, MIB, 0.02, 16 * MIB, -1, 1.04, 0, 0, 0}, 64 * MIB, ""},
        {"what is in use is best", {1, 10, MIB, 0.02, 64 * MIB, -1, 2, 0, 0, 0}, 64 * MIB, ""},
        {"long steps", {1, 4, MIB, 2.5, 16 * MIB, -1, 1.2, 0, 0, 0}, 16 * MIB, ""},
        {"steps longer than a pause", {1, 4, MIB, 5, 16 * MIB, -1, 1.2, 0, 0, 0}, 16 * MIB, ""},
        {"pauses count for nothing",
         {1, 10, MIB, 0.02, 16 * MIB, -1, 1.1, 23, 100, 0},
         16 * MIB,
         ""},
        {"no name comes twice", {1, 50, MIB, 0.02, 16 * MIB, -1, 1.2, 0, 0, 1}, 16 * MIB, ""},
        {"small tensors, few bytes", {1, 3, 100, 0.001, MIB, -1, 1.2, 0, 0, 0}, MIB, ""},
        {"small tensors do better by ring",
         {5, 10, 4096, 0.001, MIB, ALGORITHM_RING, 1.2, 0, 0, 0},
         MIB,
         "0-32k@5:ring"},
        {"middle tensors do better by doubling",
         {5, 10, 65536, 0.01, 0, ALGORITHM_DOUBLING, 1.2, 0, 0, 0},
         64 * MIB,
         "32k-1m@5:doubling"},
        {"large tensors do better by doubling",
         {2, 10, 4 * MIB, 0.1, 4 * MIB, ALGORITHM_DOUBLING, 1.2, 0, 0, 0},
         4 * MIB,
         "1m-@2:doubling"},
        {"the rows in use are best",
         {2, 10, 4 * MIB, 0.1, 0, ALGORITHM_RING, 1.2, 0, 0, 0},
         64 * MIB,
         ""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct run run;
        char rows[256];
        CHECK(start(&run, &table[i].job, "autotune=on", 0) == RONDE_OK);
        CHECK_SAYING(run_job(&run, &table[i].job), "%s: it never ends", table[i].what);
        CHECK(ronde__select_print(&run.tuner.select, rows, sizeof(rows)));
        CHECK_SAYING(run.tuner.threshold == table[i].threshold, "%s: threshold %zu", table[i].what,
                     run.tuner.threshold);
        CHECK_SAYING(!strcmp(rows, table[i].rows), "%s: rows \"%s\"", table[i].what, rows);
    }
}

static const struct job plain = {4, 10, MIB, 0.02, 16 * MIB, ALGORITHM_DOUBLING, 1.5, 0, 0, 0};

static void only_the_first_rank_tries_and_only_where_asked(void)
{
    struct run run;
    CHECK(start(&run, &plain, "autotune=off", 0) == RONDE_OK);
    CHECK(!ronde__tuner_listens(&run.tuner) && !ronde__tuner_renews(&run.tuner));
    CHECK(start(&run, &plain, "autotune=on", 1) == RONDE_OK);
    CHECK(!ronde__tuner_listens(&run.tuner));
    CHECK(run.tuner.threshold == 64 * MIB);
}

static void what_the_user_has_set_is_not_tried(void)
{
    struct run run;
    char rows[256];
    CHECK(start(&run, &plain, "autotune=on;fusion_threshold=3M", 0) == RONDE_OK);
    while (ronde__tuner_listens(&run.tuner)) {
        step(&run, &plain);
        CHECK(run.tuner.threshold == 3 * MIB);
    }
    ronde__select_print(&run.tuner.select, rows, sizeof(rows));
    CHECK_SAYING(!strcmp(rows, "1m-@4:doubling"), "%s", rows);
    CHECK(start(&run, &plain, "autotune=on;allreduce=ring", 0) == RONDE_OK);
    while (ronde__tuner_listens(&run.tuner)) {
        step(&run, &plain);
        CHECK(ronde__select(&run.tuner.select, MIB, 4) == ALGORITHM_RING);
    }
    CHECK(run.tuner.threshold == 16 * MIB);
}

static void bins_are_planned_anew_until_a_step_has_passed(void)
{
    struct run run;
    CHECK(start(&run, &plain, "autotune=on", 0) == RONDE_OK);
    for (uint32_t tensor = 0; tensor < 10; tensor++) {
        ronde__tuner_step(&run.tuner, run.now_ns += 1000);
        CHECK(ronde__tuner_renews(&run.tuner));
        ronde__tuner_note(&run.tuner, 7, tensor, MIB);
    }
    ronde__tuner_note(&run.tuner, 6, 0, MIB); /* the same number in another set is another tensor */
    CHECK(ronde__tuner_renews(&run.tuner));
    ronde__tuner_note(&run.tuner, 7, 0, MIB);
    CHECK(!ronde__tuner_renews(&run.tuner));
}

static void decisions_in_progress_are_made_with_one_candidate(void)
{
    struct run run;
    CHECK(start(&run, &plain, "autotune=on", 0) == RONDE_OK);
    for (int steps = 0; steps < 2000; steps++) {
        ronde__tuner_step(&run.tuner, run.now_ns += 20000000);
        size_t threshold = run.tuner.threshold;
        struct select_table select = run.tuner.select;
        for (uint32_t tensor = 0; tensor < 10; tensor++)
            ronde__tuner_note(&run.tuner, 0, tensor, MIB);
        CHECK(run.tuner.threshold == threshold);
        CHECK(!memcmp(&run.tuner.select, &select, sizeof(select)));
    }
    CHECK(!ronde__tuner_listens(&run.tuner));
}

static char *read_all(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void what_was_found_is_written_beside_what_the_file_held(void)
{
    char folder[] = "/tmp/ronde-unit-tune-XXXXXX", path[64], settings[128];
    struct run run;
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/tune", folder);
    snprintf(settings, sizeof(settings), "autotune=on;tuning_file=%s", path);
    FILE *file = fopen(path, "w");
    CHECK(file);
    fputs("# by hand\nslots = 8\nallreduce=0-@2:ring,1m-@4:ring\n", file);
    fclose(file);
    CHECK(start(&run, &plain, settings, 0) == RONDE_OK && run.settings.slots == 8);
    CHECK(run_job(&run, &plain));
    CHECK_SAYING(!strcmp(read_all(path), "# Settings of Ronde, written by autotune.\n"
                                         "fusion_threshold=16M\nslots=8\n"
                                         "allreduce=1m-@4:doubling,0-@2:ring\n"),
                 "%s", read_all(path));
    /* Once more: what was found holds, and the text does not grow. */
    CHECK(start(&run, &plain, settings, 0) == RONDE_OK && run.tuner.threshold == 16 * MIB);
    CHECK(run_job(&run, &plain) && run.tuner.threshold == 16 * MIB);
    CHECK(strstr(read_all(path), "allreduce=1m-@4:doubling,0-@2:ring\n"));
    /* Where it cannot be written the job goes on. */
    unlink(path);
    rmdir(folder);
    CHECK(start(&run, &plain, settings, 0) == RONDE_OK);
    CHECK(run_job(&run, &plain) && run.tuner.threshold == 16 * MIB && !read_all(path));
}

static void full_tables_are_left_alone(void)
{
    char folder[] = "/tmp/ronde-unit-tune-XXXXXX", path[64], settings[128];
    struct run run;
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/tune", folder);
    snprintf(settings, sizeof(settings), "autotune=on;tuning_file=%s", path);
    FILE *file = fopen(path, "w");
    CHECK(file);
    struct select_table defaults;
    CHECK(ronde__select_read(&defaults, "") == RONDE_OK);
    for (int row = defaults.rows; row < RONDE__SELECT_ROWS; row++)
        fprintf(file, "%s0-@9:ring", row > defaults.rows ? "," : "allreduce=");
    fputs("\n", file);
    fclose(file);
    CHECK_SAYING(start(&run, &plain, settings, 0) == RONDE_OK, "%s", ronde_last_error());
    int ended = run_job(&run, &plain);
    unlink(path);
    rmdir(folder);
    CHECK(ended && run.tuner.threshold == 16 * MIB);
    CHECK(ronde__select(&run.tuner.select, MIB, 4) == ALGORITHM_RING);
}

static void rows_print_as_they_are_read(void)
{
    static const char *const texts[] = {"", "0-16k:doubling,16k-1m@2-4:ring,1m-:ring",
                                        "1-2049@3:ring", "3g-@4-:doubling", "0-:doubling"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct select_table table;
        char text[128];
        CHECK(ronde__select_read(&table, texts[i]) == RONDE_OK);
        CHECK(ronde__select_print(&table, text, sizeof(text)));
        CHECK_SAYING(!strcmp(text, texts[i]), "\"%s\" became \"%s\"", texts[i], text);
        CHECK(!*texts[i] || !ronde__select_print(&table, text, strlen(texts[i])));
    }
}

static void a_preferred_row_drops_what_it_covers(void)
{
    struct select_table table;
    char text[128];
    const struct select_row row = {1024, 4096, 4, 5, ALGORITHM_RING, 0};
    CHECK(ronde__select_read(&table, "1k-2k@4:doubling,1k-2k@4-5:doubling,0-4k@4:doubling,"
                                     "3k-4k@4:ring") == RONDE_OK);
    CHECK(ronde__select_prefer(&table, &row));
    CHECK(ronde__select_print(&table, text, sizeof(text)));
    CHECK_SAYING(!strcmp(text, "1k-4k@4:ring,1k-2k@4-5:doubling,0-4k@4:doubling"), "%s", text);
    CHECK(ronde__select(&table, 2048, 4) == ALGORITHM_RING);
    CHECK(ronde__select(&table, 4096, 3) == ALGORITHM_DOUBLING);
}

int main(void)
{
    clear_environment();
    RUN(the_best_is_found_by_table);
    RUN(only_the_first_rank_tries_and_only_where_asked);
    RUN(what_the_user_has_set_is_not_tried);
    RUN(bins_are_planned_anew_until_a_step_has_passed);
    RUN(decisions_in_progress_are_made_with_one_candidate);
    RUN(what_was_found_is_written_beside_what_the_file_held);
    RUN(full_tables_are_left_alone);
    RUN(rows_print_as_they_are_read);
    RUN(a_preferred_row_drops_what_it_covers);
    return check_result();
}
