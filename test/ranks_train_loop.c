/* ronde-test: np=1,2,3,4,8 np=4/2,3/2 threads=2,3,4/2 mpich=2 hosts=4/2 timeout=60 */
/* The loop over ranks follows a plain loop on one process, which every rank runs beside it: with
 * every optimiser, shares that are uneven or empty, ranks that run out of data, in process sets;
 * all ranks keep the same bits. */
#include "train_model.h"
#include "trial.h"

enum { BATCH = 10, STEPS = 24, MOST_RANKS = 64 };

static ronde_train *open_loop(struct trial *trial, const ronde_train_options *options,
                              struct model *model)
{
    ronde_train *train = NULL;
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_open(trial->context, options, &train));
    EXPECT_STATUS(trial, RONDE_OK, model_add(train, model));
    return train;
}

static void close_loop(struct trial *trial, ronde_train **train, const struct model *model)
{
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(*train, NULL));
    same_everywhere(trial, model->value, sizeof model->value, "the parameters");
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(train));
}

static ronde_sampler *open_sampler(struct trial *trial, int32_t rank, int32_t ranks)
{
    ronde_sampler_options options;
    ronde_sampler *sampler = NULL;
    ronde_sampler_options_init(&options, sizeof options);
    options.rank = rank;
    options.ranks = ranks;
    options.padding = RONDE_SAMPLER_UNEVEN;
    EXPECT_STATUS(trial, RONDE_OK, ronde_sampler_open(SAMPLES, &options, &sampler));
    return sampler;
}

/* The next batch, from epoch to epoch. */
static size_t next_batch(struct trial *trial, ronde_sampler *sampler, uint32_t *epoch,
                         size_t *samples)
{
    size_t n = 0, all = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_sampler_next(sampler, BATCH, samples, NULL, BATCH, &n, &all));
    if (all > 0)
        return n;
    EXPECT_STATUS(trial, RONDE_OK, ronde_sampler_set_epoch(sampler, ++*epoch));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_sampler_next(sampler, BATCH, samples, NULL, BATCH, &n, NULL));
    return n;
}

/* Batches of 10, and one of 1, of all ranks. Rank 0 has the first parameters, the others
 * garbage. */
static void follow(struct trial *trial, int number, int shared_memory)
{
    ronde_train_options options = recipe(number);
    struct reference reference;
    struct model own, *model = &own;
    void *memory = NULL;
    uint32_t epochs[2] = {0, 0};
    size_t mine[BATCH], all[3 * BATCH], held = 0;
    if (shared_memory) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_malloc(trial->context, sizeof *model, &memory));
        model = memory;
    }
    reference_init(&reference, 3, &options);
    model_init(model, trial->rank == 0 ? 3 : 1000 + (uint64_t)trial->rank);
    ronde_train *train = open_loop(trial, &options, model);
    ronde_sampler *sampler = open_sampler(trial, trial->rank, trial->size);
    ronde_sampler *whole = open_sampler(trial, 0, 1);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_broadcast(train, 0));
    for (int step = 1; step <= STEPS; step++) {
        int32_t outcome = -1;
        size_t n = next_batch(trial, sampler, &epochs[0], mine);
        EXPECT_STATUS(trial, RONDE_OK, model_step(train, model, mine, n, &outcome));
        held += next_batch(trial, whole, &epochs[1], all + held);
        if (step % options.accumulate) {
            EXPECT(trial, outcome == RONDE_TRAIN_ACCUMULATED, "outcome %d", (int)outcome);
            continue;
        }
        reference_step(&reference, all, held);
        held = 0;
        EXPECT(trial, outcome == RONDE_TRAIN_STEPPED, "outcome %d", (int)outcome);
        EXPECT(trial, model_distance(model, &reference.model) < 1e-9,
               "recipe %d, step %d: %g apart", number, step,
               model_distance(model, &reference.model));
        EXPECT(trial, fabs(model->loss - reference.model.loss) < 1e-9,
               "recipe %d, step %d: loss %g", number, step, model->loss);
    }
    close_loop(trial, &train, model);
    ronde_sampler_close(&sampler);
    ronde_sampler_close(&whole);
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, memory));
}

static void every_optimiser_follows_one_process(struct trial *trial)
{
    for (int number = 0; number < RECIPES; number++)
        follow(trial, number, number % 2);
}

/* ---- ranks that run out of data -------------------------------------------------------------- */

/* Rank r's own samples: the first are r, r + size, ...; as many as this. Rank 1 has none. */
static size_t shard_count(int rank)
{
    return rank == 1 ? 0 : 3 + (size_t)(5 * rank) % 14;
}

static size_t shard_sample(const struct trial *trial, int rank, size_t i)
{
    return ((size_t)rank + i * (size_t)trial->size) % SAMPLES;
}

enum { OWN_BATCH = 2, MOST_STEPS = 10 };

/* The samples of rank's step; 0 when it has run out. */
static size_t shard_batch(const struct trial *trial, int rank, int step, size_t *samples)
{
    size_t n = 0;
    for (size_t i = (size_t)step * OWN_BATCH; i < shard_count(rank) && n < OWN_BATCH; i++)
        samples[n++] = shard_sample(trial, rank, i);
    return n;
}

/* What all ranks together do in one epoch: a step of the optimiser takes those who accumulate
 * as many of their steps, or what they have left. */
static void reference_epoch(const struct trial *trial, struct reference *reference)
{
    int k = reference->options.accumulate;
    for (int step = 0; step < MOST_STEPS; step += k) {
        size_t samples[MOST_RANKS * OWN_BATCH * 3], n = 0;
        for (int rank = 0; rank < trial->size; rank++)
            for (int i = 0; i < k; i++)
                n += shard_batch(trial, rank, step + i, samples + n);
        if (n)
            reference_step(reference, samples, n);
    }
}

static void uneven_shards_equal_the_weighted_reference(struct trial *trial)
{
    for (int number = 1; number < RECIPES; number++) {
        ronde_train_options options = recipe(number);
        struct reference reference;
        struct model model;
        reference_init(&reference, 3, &options);
        model_init(&model, 3);
        ronde_train *train = open_loop(trial, &options, &model);
        for (int epoch = 0; epoch < 3; epoch++) {
            size_t samples[OWN_BATCH], n;
            for (int step = 0; (n = shard_batch(trial, trial->rank, step, samples)) > 0; step++)
                EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, samples, n, NULL));
            EXPECT_STATUS(trial, RONDE_OK, ronde_train_join(train));
            reference_epoch(trial, &reference);
            EXPECT(trial, model_distance(&model, &reference.model) < 1e-9,
                   "recipe %d, epoch %d: %g apart", number, epoch,
                   model_distance(&model, &reference.model));
            EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, NULL)); /* the state too */
        }
        close_loop(trial, &train, &model);
    }
}

/* ---- process sets ---------------------------------------------------------------------------- */

/* Odd and even ranks train apart, at once, each set on samples of its own. */
static void sets_train_apart(struct trial *trial)
{
    ronde_train_options options = recipe(1);
    struct reference reference;
    struct model model;
    int colour = trial->rank % 2;
    size_t all[MOST_RANKS];
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_process_set_split(trial->context, colour, &options.process_set));
    reference_init(&reference, 3 + (uint64_t)colour, &options);
    model_init(&model, trial->rank < 2 ? 3 + (uint64_t)colour : 99);
    ronde_train *train = open_loop(trial, &options, &model);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_broadcast(train, colour));
    for (size_t step = 0; step < 10; step++) {
        size_t n = 0, mine = ((size_t)trial->rank + 7 * step) % SAMPLES;
        EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, &mine, 1, NULL));
        for (int rank = colour; rank < trial->size; rank += 2)
            all[n++] = ((size_t)rank + 7 * step) % SAMPLES;
        reference_step(&reference, all, n);
    }
    EXPECT(trial, model_distance(&model, &reference.model) < 1e-9, "colour %d: %g apart", colour,
           model_distance(&model, &reference.model));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_check(train, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_close(&train));
}

/* ---- what comes out of the average ----------------------------------------------------------- */

static double mean_loss(const struct model *model, size_t n)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss += sample_loss(model, i) / (double)n;
    return loss;
}

/* Ranks have different numbers of the first 40 samples; the last of several has none. */
static void the_mean_gradient_agrees_with_finite_differences(struct trial *trial)
{
    enum { N = 40 };
    const double h = 1e-5;
    ronde_train_options options = recipe(0);
    struct model model;
    size_t mine[N], n = 0;
    for (size_t i = 0; i < N; i++) {
        int owner = trial->size == 1 ? 0 : (int)(i * i % (size_t)(trial->size - 1));
        if (owner == trial->rank)
            mine[n++] = i;
    }
    options.rate = 0;
    model_init(&model, 8);
    ronde_train *train = open_loop(trial, &options, &model);
    EXPECT_STATUS(trial, RONDE_OK, model_step(train, &model, mine, n, NULL));
    EXPECT(trial, fabs(model.loss - mean_loss(&model, N)) < 1e-12, "loss %g", model.loss);
    for (int t = 0; t < TENSORS; t++)
        for (size_t i = 0; i < model_count[t]; i++) {
            double value = model.value[t][i];
            model.value[t][i] = value + h;
            double above = mean_loss(&model, N);
            model.value[t][i] = value - h;
            double below = mean_loss(&model, N), slope = (above - below) / (2 * h);
            model.value[t][i] = value;
            EXPECT(trial, fabs(slope - model.gradient[t][i]) < 1e-9, "%s[%zu]: %g, not %g",
                   model_name[t], i, model.gradient[t][i], slope);
        }
    close_loop(trial, &train, &model);
}

/* The last tensor's average is done while others of its step have not even begun. */
static void a_gradient_travels_when_it_is_ready(struct trial *trial)
{
    ronde_train_options options = recipe(0);
    struct model model;
    ronde_counters before, after;
    size_t mine = (size_t)trial->rank;
    double give_up = now() + 30;
    model_init(&model, 8);
    ronde_train *train = open_loop(trial, &options, &model);
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &before, sizeof before));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_begin(train, 1));
    model_gradient(&model, &mine, 1);
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_ready(train, 3));
    do {
        nap(1e-3);
        EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &after, sizeof after));
    } while (trial->size > 1 && after.operations == before.operations && now() < give_up);
    EXPECT(trial, trial->size == 1 || after.operations == before.operations + 1,
           "%d operations are done", (int)(after.operations - before.operations));
    EXPECT_STATUS(trial, RONDE_OK, ronde_train_step(train, NULL));
    close_loop(trial, &train, &model);
}

/* Three ranks with padding that weighs nothing, and one: the same bits. */
static void evaluation_equals_one_process_exactly(struct trial *trial)
{
    struct model model;
    ronde_sampler_options options;
    ronde_sampler *sampler;
    size_t samples[SAMPLES], n;
    double weights[SAMPLES], losses[SAMPLES], sums[2], alone[2];
    model_init(&model, 8);
    for (size_t i = 0; i < SAMPLES; i++)
        losses[i] = sample_loss(&model, i);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_train_exact_sum(NULL, NULL, losses, NULL, SAMPLES, &alone[0], NULL));
    ronde_sampler_options_init(&options, sizeof options);
    options.rank = trial->rank;
    options.ranks = trial->size;
    options.padding = RONDE_SAMPLER_ZERO;
    EXPECT_STATUS(trial, RONDE_OK, ronde_sampler_open(SAMPLES, &options, &sampler));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_sampler_next(sampler, 2 * SAMPLES, samples, weights, SAMPLES, &n, NULL));
    for (size_t i = 0; i < n; i++)
        losses[i] = weights[i] != 0 ? sample_loss(&model, samples[i]) : NAN;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_train_exact_sum(trial->context, "losses", losses, weights, n, &sums[0],
                                        NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_train_exact_sum(trial->context, "weights", weights, NULL, n, &sums[1],
                                        NULL));
    EXPECT(trial, !memcmp(&sums[0], &alone[0], sizeof(double)), "the loss is %.17g, not %.17g",
           sums[0], alone[0]);
    EXPECT(trial, sums[1] == SAMPLES, "%g samples", sums[1]);
    ronde_sampler_close(&sampler);
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc, (void)argv;
    every_optimiser_follows_one_process(&trial);
    uneven_shards_equal_the_weighted_reference(&trial);
    sets_train_apart(&trial);
    the_mean_gradient_agrees_with_finite_differences(&trial);
    a_gradient_travels_when_it_is_ready(&trial);
    evaluation_equals_one_process_exactly(&trial);
    return trial_end(&trial);
}
