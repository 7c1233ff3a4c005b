/* ronde-test: np=1,2 np=4/2 threads=3/3,4/2,5/2 mpich=2 timeout=60 settings=autotune=on */
/* ronde-test: threads=4/2 timeout=60 settings=autotune=on;cache_capacity=3 */
/* ronde-test: threads=3/1 timeout=60 settings=autotune=on;progress=caller */
/* Results stay right while the root tries one threshold and algorithm after the other, a rank that
 * joins included; what it finds is written, and the next context reads it. */
#include <limits.h>
#include <unistd.h>

#include "context.h"
#include "trial.h"

enum { TENSORS = 12, MOST_FLOATS = 60000, MOST_STEPS = 4000, JOIN_EVERY = 11, SET_TENSORS = 3 };

struct training {
    struct trial *trial;
    int32_t set; /* of every other rank */
    int set_size;
    float *data[TENSORS];
    uint64_t dice;
};

static size_t floats_of(size_t tensor)
{
    static const size_t counts[] = {1, 100, 3000, 20000, MOST_FLOATS, 0};
    return counts[tensor % (sizeof(counts) / sizeof(counts[0]))];
}

static void job_open(struct training *job, struct trial *trial)
{
    int32_t ranks[64];
    *job = (struct training){.trial = trial, .dice = (uint64_t)trial->rank + 1};
    for (int rank = 0; rank < trial->size; rank += 2)
        ranks[job->set_size++] = rank;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_process_set_add(trial->context, ranks, job->set_size, &job->set));
    for (size_t i = 0; i < TENSORS; i++)
        job->data[i] = malloc((floats_of(i) + 1) * sizeof(float));
}

static void job_close(struct training *job)
{
    for (size_t i = 0; i < TENSORS; i++)
        free(job->data[i]);
}

static void check_sums(struct training *job, const char *name, const float *data, size_t count,
                       int without)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        int sum = ranks_sum(job->trial->size, i) - (without >= 0 ? ranks_value(without, i) : 0);
        wrong += data[i] != (float)sum;
    }
    EXPECT(job->trial, !wrong, "%s: %zu of %zu sums are wrong", name, wrong, count);
}

/* Every tensor once, each rank in an order of its own. without: a rank that has joined, or -1. */
static void run_step(struct training *job, int without)
{
    struct trial *trial = job->trial;
    uint64_t handles[TENSORS];
    size_t order[TENSORS];
    char name[32];
    dice_order(&job->dice, order, TENSORS);
    for (size_t k = 0; k < TENSORS; k++) {
        size_t i = order[k];
        for (size_t e = 0; e < floats_of(i); e++)
            job->data[i][e] = (float)ranks_value(trial->rank, e);
        snprintf(name, sizeof name, "tensor %zu", i);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, job->data[i], job->data[i],
                                            floats_of(i), RONDE_FLOAT32, RONDE_SUM, NULL,
                                            &handles[i]));
    }
    for (size_t i = 0; i < TENSORS; i++) {
        snprintf(name, sizeof name, "tensor %zu", i);
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        check_sums(job, name, job->data[i], floats_of(i), without);
    }
}

/* Sets whose root is the first rank plan with the same tuner. */
static void run_set(struct training *job)
{
    struct trial *trial = job->trial;
    ronde_call call = call_in(job->set);
    uint64_t handles[SET_TENSORS];
    int64_t sums[SET_TENSORS];
    char name[32];
    if (trial->rank % 2)
        return;
    for (int i = 0; i < SET_TENSORS; i++) {
        sums[i] = i + 1;
        snprintf(name, sizeof name, "of the set %d", i);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, &sums[i], &sums[i], 1,
                                            RONDE_INT64, RONDE_SUM, &call, &handles[i]));
    }
    for (int i = 0; i < SET_TENSORS; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        EXPECT(trial, sums[i] == (int64_t)(i + 1) * job->set_size, "sum %lld of the set",
               (long long)sums[i]);
    }
}

/* One rank has no data for some steps. */
static void join_for_a_while(struct training *job, int step)
{
    struct trial *trial = job->trial;
    int absent = step / JOIN_EVERY % trial->size;
    int32_t last = -1;
    for (int i = 0; i < 4 && trial->rank != absent; i++)
        run_step(job, absent);
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(trial->context, &last, NULL));
    EXPECT(trial, last >= 0 && last < trial->size, "rank %d was the last to join", (int)last);
}

/* Windows of a step or two, set before there is traffic. */
static void hurry(struct trial *trial)
{
    struct coordinator *c = trial->context->coordinator;
    ronde__coordinator_take(c);
    EXPECT(trial, ronde__tuner_listens(&c->tuner) == (trial->rank == 0), "who tunes?");
    c->tuner.pace = (struct tuner_pace){.window_ns = 100000,
                                        .bytes = 1,
                                        .tensors = 1,
                                        .cycle = 2 * TENSORS,
                                        .pause_ns = INT64_MAX,
                                        .rounds = TUNER_ROUNDS};
    ronde__coordinator_release(c);
}

/* Collective: does the first rank still try? */
static int is_tuning(struct trial *trial)
{
    struct coordinator *c = trial->context->coordinator;
    int32_t mine, all = 0;
    ronde__coordinator_take(c);
    mine = ronde__tuner_listens(&c->tuner);
    ronde__coordinator_release(c);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "is tuning", &mine, &all, 1, RONDE_INT32,
                                  RONDE_MAX, NULL));
    return all;
}

static void tune(struct trial *trial)
{
    struct training job;
    int step = 0;
    hurry(trial);
    job_open(&job, trial);
    for (; step < MOST_STEPS && is_tuning(trial); step++) {
        run_step(&job, -1);
        run_set(&job);
        if (step % JOIN_EVERY == JOIN_EVERY - 1)
            join_for_a_while(&job, step);
    }
    EXPECT(trial, step > 2 * JOIN_EVERY && step < MOST_STEPS, "it took %d steps", step);
    for (int i = 0; i < 5; i++)
        run_step(&job, -1);
    job_close(&job);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void settings_open(struct trial *trial, struct trial *other, const char *settings)
{
    ronde_options options;
    ronde_options_init(&options, sizeof options);
    options.settings = settings;
    *other = (struct trial){.rank = trial->rank, .size = trial->size};
    EXPECT_STATUS(trial, RONDE_OK, ronde_open(&options, &other->context));
}

/* The line of that setting says that it came from the file. */
static void expect_from_file(struct trial *trial, const char *name)
{
    static char text[16384];
    EXPECT_STATUS(trial, RONDE_OK, ronde_describe(trial->context, text, sizeof text, NULL));
    char *line = strstr(text, name), *end = line ? strchr(line, '\n') : NULL;
    if (end)
        *end = '\0';
    EXPECT(trial, line && strstr(line, " file "), "no %s from a file: %s", name,
           line ? line : "no such line");
}

static void keep_in_a_file(struct trial *trial)
{
    char folder[64] = "", path[80], settings[160];
    struct trial other;
    if (trial->rank == 0) {
        snprintf(folder, sizeof folder, "/tmp/ronde-autotune-XXXXXX");
        EXPECT(trial, mkdtemp(folder), "no folder %s", folder);
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_broadcast(trial->context, folder, folder, sizeof folder, RONDE_UINT8,
                                         0, NULL));
    snprintf(path, sizeof path, "%s/tuned", folder);
    snprintf(settings, sizeof settings, "autotune=on;tuning_file=%s", path);
    settings_open(trial, &other, settings);
    if (other.context) {
        tune(&other);
        EXPECT_STATUS(trial, RONDE_OK, ronde_close(&other.context));
        trial->failures += other.failures;
    }
    snprintf(settings, sizeof settings, "tuning_file=%s", path);
    settings_open(trial, &other, settings);
    if (other.context) {
        struct training job;
        expect_from_file(&other, "fusion_threshold");
        job_open(&job, &other);
        for (int i = 0; i < 3; i++)
            run_step(&job, -1);
        job_close(&job);
        EXPECT_STATUS(trial, RONDE_OK, ronde_close(&other.context));
        trial->failures += other.failures;
    }
    meet_directly(trial);
    if (trial->rank == 0) {
        unlink(path);
        EXPECT(trial, rmdir(folder) == 0, "something was left in %s", folder);
    }
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    tune(&trial);
    if (!ranks_are_threads())
        keep_in_a_file(&trial);
    return trial_end(&trial);
}
