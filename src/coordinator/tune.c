#include "coordinator/tune.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "base/value.h"
#include "coordinator/message.h"

#define TUNER_NO_MARK UINT64_MAX

enum { MOST_PAUSES = 2 }; /* of a window; who pauses in every step is measured with the pauses */

static const double better = 1.05; /* less may be chance */

static const size_t thresholds[] = {(size_t)1 << 20, (size_t)4 << 20, (size_t)16 << 20,
                                    (size_t)64 << 20, (size_t)256 << 20};

/* Where a round trip counts most, where both count, where bytes do. */
static const struct {
    size_t from, below;
} classes[TUNER_CLASSES] = {{0, (size_t)32 << 10},
                            {(size_t)32 << 10, (size_t)1 << 20},
                            {(size_t)1 << 20, SIZE_MAX}};

/* Some ten seconds in all where steps are short. */
static const struct tuner_pace usual_pace = {.window_ns = 300000000,
                                             .bytes = (size_t)64 << 10,
                                             .tensors = 20,
                                             .cycle = 4096,
                                             .pause_ns = 3000000000,
                                             .rounds = 3};

/* ---- texts ----------------------------------------------------------------------------------- */

static void write_threshold(size_t bytes, char *text, size_t room)
{
    static const struct value_rule rule = {.kind = VALUE_SIZE, .least = "0", .most = "1T"};
    ronde__value_print(&rule, (double)bytes, text, room);
}

static void write_choice(const struct tuner *t, const struct tuner_choice *choice, char *text,
                         size_t room)
{
    if (t->stage == 0)
        write_threshold(choice->threshold, text, room);
    else
        snprintf(text, room, "%s",
                 choice->algorithm < 0 ? "the rows in use"
                                       : ronde__algorithms[choice->algorithm].name);
}

static void write_stage(const struct tuner *t, char *text, size_t room)
{
    if (t->stage == 0)
        snprintf(text, room, "fusion_threshold");
    else
        snprintf(text, room, "allreduce of %zu KiB and more", classes[t->stage - 1].from >> 10);
}

/* ---- candidates ------------------------------------------------------------------------------ */

static int is_ours_to_tune(const struct tuner *t, const char *name)
{
    enum ronde__origin origin = ronde__settings_origin(t->settings, name);
    return origin == RONDE__FROM_DEFAULT || origin == RONDE__FROM_FILE;
}

static void add_choice(struct tuner *t, size_t threshold, int algorithm)
{
    if (t->candidates < TUNER_CANDIDATES)
        t->choice[t->candidates++] = (struct tuner_choice){threshold, algorithm, {0}};
}

static void list_thresholds(struct tuner *t)
{
    add_choice(t, t->threshold_in_use, -1);
    if (!is_ours_to_tune(t, "fusion_threshold"))
        return;
    for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++)
        if (thresholds[i] != t->threshold_in_use)
            add_choice(t, thresholds[i], -1);
}

/* The rows in use, with the class's own before them. 0 where there is no room for it, in the table
 * or in the setting's text. */
static int with_row(const struct tuner *t, int class, int algorithm, struct select_table *table)
{
    char text[sizeof(t->settings->allreduce)];
    const struct select_row row = {classes[class].from, classes[class].below,      t->nodes,
                                   t->nodes + 1,        (enum algorithm)algorithm, 0};
    *table = t->select_in_use;
    return ronde__select_prefer(table, &row) && ronde__select_print(table, text, sizeof(text));
}

/* Is all of the class run by that algorithm already? The rows in use have few bounds in a class,
 * and no algorithm returns; so its ends tell enough. */
static int is_in_use(const struct tuner *t, int class, int algorithm)
{
    const struct select_table *table = &t->select_in_use;
    return (int)ronde__select(table, classes[class].from, t->nodes) == algorithm &&
           (int)ronde__select(table, classes[class].below - 1, t->nodes) == algorithm;
}

static void list_algorithms(struct tuner *t, int class)
{
    struct select_table table;
    if (t->nodes < 2 || !t->class_bytes[class] || !is_ours_to_tune(t, "allreduce"))
        return;
    add_choice(t, t->threshold_in_use, -1);
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        if (ronde__algorithms[a].is_allreduce && t->nodes <= ronde__algorithms[a].most_peers &&
            classes[class].from < ronde__algorithms[a].most_bytes && !is_in_use(t, class, a) &&
            with_row(t, class, a, &table))
            add_choice(t, t->threshold_in_use, a);
}

/* ---- stages ---------------------------------------------------------------------------------- */

static void begin_window(struct tuner *t, enum tuner_phase phase)
{
    const struct tuner_choice *choice = &t->choice[t->candidate];
    int tries = phase == TUNER_RENEW;
    t->phase = phase;
    t->threshold = tries ? choice->threshold : t->threshold_in_use;
    t->select = t->select_in_use;
    if (tries && choice->algorithm >= 0)
        with_row(t, t->stage - 1, choice->algorithm, &t->select);
    t->mark = TUNER_NO_MARK;
    t->since_mark = 0;
    t->pauses = 0;
    t->due = 0;
}

/* What may be tuned is written even where it stays as it was: then the file says so. */
static void write_file(const struct tuner *t)
{
    char rows[sizeof(t->settings->allreduce)], threshold[32], entries[sizeof(rows) + 100] = "";
    size_t used = 0;
    write_threshold(t->threshold_in_use, threshold, sizeof(threshold));
    ronde__select_print(&t->select_in_use, rows, sizeof(rows));
    ronde__log(t->log, RONDE__LOG_INFO, "autotune: done, with fusion_threshold=%s;allreduce=%s",
               threshold, rows);
    if (is_ours_to_tune(t, "fusion_threshold"))
        used += (size_t)snprintf(entries, sizeof(entries), "fusion_threshold=%s;", threshold);
    if (is_ours_to_tune(t, "allreduce") && *rows)
        snprintf(entries + used, sizeof(entries) - used, "allreduce=%s", rows);
    if (!*t->settings->tuning_file || !*entries)
        return;
    int32_t status = ronde__settings_save(t->settings->tuning_file, entries);
    if (status)
        ronde__log(t->log, RONDE__LOG_WARN, "autotune: what it found is not kept: %s",
                   ronde_last_error());
}

/* On to the next stage that has a choice; after the last, what is in use stays. */
static void begin_stage(struct tuner *t)
{
    t->candidate = t->round = 0;
    for (; t->stage <= TUNER_CLASSES; t->stage++) {
        t->candidates = 0;
        if (t->stage == 0)
            list_thresholds(t);
        else
            list_algorithms(t, t->stage - 1);
        /* Before an algorithm is tried the classes that have traffic must be known. */
        int must_look = t->stage == 0 && t->nodes > 1 && is_ours_to_tune(t, "allreduce");
        if (t->candidates > 1 || must_look) {
            begin_window(t, TUNER_RENEW);
            return;
        }
    }
    begin_window(t, TUNER_LAST_RENEW);
    write_file(t);
}

static double median(const double *rates, int n)
{
    double sorted[TUNER_ROUNDS];
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > rates[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = rates[i];
    }
    return sorted[n / 2];
}

static void end_stage(struct tuner *t)
{
    const struct tuner_choice *used = &t->choice[0], *best = used;
    double rate_used = median(used->rates, t->pace.rounds), rate = rate_used;
    for (int i = 1; i < t->candidates; i++) {
        double candidates = median(t->choice[i].rates, t->pace.rounds);
        if (candidates > rate && candidates > better * rate_used) {
            best = &t->choice[i];
            rate = candidates;
        }
    }
    if (best != used) {
        char stage[64], was[32], is[32];
        struct select_table table;
        write_stage(t, stage, sizeof(stage));
        write_choice(t, used, was, sizeof(was));
        write_choice(t, best, is, sizeof(is));
        ronde__log(t->log, RONDE__LOG_INFO,
                   "autotune: %s: %s (%.3f GB/s) instead of %s (%.3f GB/s)", stage, is, rate / 1e9,
                   was, rate_used / 1e9);
        t->threshold_in_use = best->threshold;
        if (best->algorithm >= 0 && with_row(t, t->stage - 1, best->algorithm, &table))
            t->select_in_use = table;
    }
    t->stage++;
    begin_stage(t);
}

/* ---- the job's traffic ----------------------------------------------------------------------- */

int32_t ronde__tuner_open(struct tuner *t, const struct settings *settings, const struct net *net,
                          const struct log *log)
{
    *t = (struct tuner){.threshold = settings->fusion_threshold,
                        .threshold_in_use = settings->fusion_threshold,
                        .settings = settings,
                        .log = log,
                        .nodes = net->nodes,
                        .pace = usual_pace};
    int32_t status = ronde__select_read(&t->select, settings->allreduce);
    t->select_in_use = t->select;
    /* The root of all ranks: roots of other sets plan with what they were given. */
    if (!status && settings->autotune == RONDE__AUTOTUNE_ON && net->rank == 0)
        begin_stage(t);
    return status;
}

void ronde__tuner_step(struct tuner *t, int64_t now_ns)
{
    t->now_ns = now_ns;
    if (!t->due)
        return;
    if (t->phase == TUNER_LAST_RENEW) {
        t->phase = TUNER_OFF;
        t->due = 0;
        return;
    }
    struct tuner_choice *choice = &t->choice[t->candidate];
    double seconds = (double)(t->last_ns - t->start_ns) / 1e9;
    char stage[64], text[32];
    choice->rates[t->round] = seconds > 0 ? (double)t->bytes / seconds : 0;
    write_stage(t, stage, sizeof(stage));
    write_choice(t, choice, text, sizeof(text));
    ronde__log(t->log, RONDE__LOG_DEBUG, "autotune: %s: %s moves %.3f GB/s, %zu tensors in %.3f s",
               stage, text, choice->rates[t->round] / 1e9, t->tensors, seconds);
    if (++t->candidate == t->candidates) {
        t->candidate = 0;
        t->round++;
    }
    if (t->round == t->pace.rounds)
        end_stage(t);
    else
        begin_window(t, TUNER_RENEW);
}

/* Has a step passed since the mark was decided? Tensors without a number are no mark: nobody knows
 * whether they come again. */
static int is_step_over(struct tuner *t, uint64_t tensor)
{
    int returns = tensor == t->mark && tensor != TUNER_NO_MARK;
    int begins = t->mark == TUNER_NO_MARK && tensor != TUNER_NO_MARK;
    if (begins)
        t->mark = tensor;
    t->since_mark = returns || begins ? 0 : t->since_mark + 1;
    return returns || t->since_mark >= t->pace.cycle;
}

static void begin_measuring(struct tuner *t)
{
    t->phase = TUNER_MEASURE;
    t->since_mark = 0;
    t->start_ns = t->last_ns = t->now_ns;
    t->bytes = t->tensors = 0;
}

static int is_enough(const struct tuner *t)
{
    return t->now_ns - t->start_ns >= t->pace.window_ns && t->bytes >= t->pace.bytes &&
           t->tensors >= t->pace.tensors;
}

void ronde__tuner_note(struct tuner *t, uint32_t set, uint32_t id, size_t bytes)
{
    if (t->phase == TUNER_OFF || t->due)
        return;
    for (int class = 0; class < TUNER_CLASSES; class ++)
        if (bytes >= classes[class].from && bytes < classes[class].below)
            t->class_bytes[class] += bytes;
    uint64_t tensor = id == NO_ID ? TUNER_NO_MARK : (uint64_t)set << 32 | id;
    int over = is_step_over(t, tensor);
    if (t->phase == TUNER_LAST_RENEW) {
        t->due = over;
        return;
    }
    if (t->phase == TUNER_RENEW) {
        if (!over)
            return;
        begin_measuring(t);
    } else if (t->now_ns - t->last_ns > t->pace.pause_ns && t->pauses < MOST_PAUSES) {
        t->pauses++;
        t->mark = tensor;
        begin_measuring(t);
    } else if (over && is_enough(t)) {
        t->last_ns = t->now_ns;
        t->due = 1;
        return;
    }
    t->last_ns = t->now_ns;
    t->bytes += bytes;
    t->tensors++;
}
