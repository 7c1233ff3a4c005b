/* Trains a small network on handwritten digits, data-parallel: every rank has the whole model and a
 * part of each batch; gradients are added up by Ronde. What it shows:
 *
 *   - rank 0's parameters are broadcast, so that all start alike (velocities start at 0 anyway);
 *   - a rank's gradient is the sum over its samples, divided by the samples of the whole batch; the
 *     sum over the ranks is then the batch's mean gradient, however unevenly the samples fall;
 *   - each layer's gradient is submitted as soon as it is ready, in backward order, and waited for
 *     just before the update: communication runs beside the layers that are still to come;
 *   - gradients lie in the node's shared segment, where Ronde need not copy them.
 *
 * In float64 the losses follow those of one rank to 1e-9. */
#include "digits/selfcheck.h"
#include "digits/trainer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- communication --------------------------------------------------------------------------- */

static int32_t submit_sum(struct trainer *trainer, const char *name, void *values, size_t count,
                          int32_t dtype)
{
    if (!trainer->context)
        return RONDE_OK;
    double start = now();
    int32_t status = checked(trainer->context,
                             ronde_allreduce_async(trainer->context, name, values, values, count,
                                                   dtype, RONDE_SUM, NULL,
                                                   &trainer->handles[trainer->outstanding]));
    if (status == RONDE_OK)
        trainer->outstanding++;
    trainer->communicating += now() - start;
    return status;
}

static int32_t wait_for_sums(struct trainer *trainer)
{
    double start = now();
    int32_t status = RONDE_OK;
    for (int i = 0; i < trainer->outstanding && status == RONDE_OK; i++)
        status = checked(trainer->context, ronde_wait(trainer->context, trainer->handles[i]));
    trainer->outstanding = 0;
    trainer->communicating += now() - start;
    return status;
}

static int32_t broadcast_parameters(struct trainer *trainer)
{
    int32_t status = RONDE_OK;
    for (int i = 0; i < model_tensors(&trainer->model) && status == RONDE_OK; i++) {
        struct tensor *tensor = &trainer->model.tensor[i];
        status = checked(trainer->context,
                         ronde_broadcast(trainer->context, tensor->name, tensor->value,
                                         tensor->value, tensor->count, trainer->dtype, 0, NULL));
    }
    return status;
}

/* ---- training -------------------------------------------------------------------------------- */

/* Takes samples order[begin .. end) into the model and through it. */
static void forward(struct trainer *trainer, const struct samples *samples, const uint32_t *order,
                    size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        size_t sample = order ? order[i] : i;
        model_load(&trainer->model, i - begin, samples->pixels + sample * trainer->data->inputs,
                   trainer->data->scale, samples->labels[sample]);
    }
    model_forward(&trainer->model, end - begin);
}

static int32_t submit_layer(struct trainer *trainer, int layer)
{
    struct tensor *weight = &trainer->model.tensor[2 * layer], *bias = weight + 1;
    int32_t status = submit_sum(trainer, weight->name, weight->gradient, weight->count,
                                trainer->dtype);
    if (status == RONDE_OK)
        status = submit_sum(trainer, bias->name, bias->gradient, bias->count, trainer->dtype);
    return status;
}

/* One step on the `count` samples from order[first] on, of which this rank computes its share. A
 * rank without samples submits zeros. */
static int32_t train_step(struct trainer *trainer, size_t first, size_t count)
{
    struct model *model = &trainer->model;
    const struct job *job = &trainer->job;
    size_t begin = first + share_start(count, job->rank, job->ranks);
    size_t end = first + share_start(count, job->rank + 1, job->ranks);
    size_t rows = end - begin;
    double *loss = &trainer->losses[trainer->steps++];

    forward(trainer, &trainer->data->train, trainer->order, begin, end);
    *loss = model_loss(model, rows, 1.0 / (double)count) / (double)count;
    int32_t status = submit_sum(trainer, "loss", loss, 1, RONDE_FLOAT64);
    for (int layer = model->layers - 1; layer >= 0 && status == RONDE_OK; layer--) {
        model_gradient(model, layer, rows);
        status = submit_layer(trainer, layer);
        if (layer > 0)
            model_pass_down(model, layer, rows);
    }
    if (status == RONDE_OK)
        status = wait_for_sums(trainer);
    if (status == RONDE_OK)
        model_update(model, trainer->options->rate, trainer->options->momentum);
    return status;
}

/* All samples once, in an order that every rank computes for itself. */
static int32_t train_epoch(struct trainer *trainer, int epoch, double *mean_loss)
{
    size_t samples = trainer->data->train.count, batch = trainer->options->batch;
    int32_t status = RONDE_OK;
    double sum = 0;
    philox_permutation(trainer->options->seed, (uint32_t)epoch, trainer->order, samples);
    for (size_t first = 0; first < samples && status == RONDE_OK; first += batch) {
        size_t count = samples - first < batch ? samples - first : batch;
        status = train_step(trainer, first, count);
        sum += trainer->losses[trainer->steps - 1] * (double)count;
    }
    *mean_loss = sum / (double)samples;
    return status;
}

/* How many of all test images are recognised. Every rank looks at its share, and whole numbers are
 * added: the result is exact, whatever the number of ranks. */
static int32_t evaluate(struct trainer *trainer, uint64_t *correct)
{
    const struct samples *test = &trainer->data->test;
    size_t rows = trainer->model.rows;
    size_t begin = share_start(test->count, trainer->job.rank, trainer->job.ranks);
    size_t end = share_start(test->count, trainer->job.rank + 1, trainer->job.ranks);
    uint64_t mine = 0;
    for (size_t at = begin; at < end; at += rows) {
        size_t until = end - at < rows ? end : at + rows;
        forward(trainer, test, NULL, at, until);
        mine += model_correct(&trainer->model, until - at);
    }
    return checked(trainer->context, ronde_allreduce(trainer->context, "test.correct", &mine,
                                                     correct, 1, RONDE_UINT64, RONDE_SUM, NULL));
}

/* The whole training by all ranks, with a line for every epoch. */
static int32_t train(struct trainer *trainer, uint64_t *correct)
{
    const struct options *options = trainer->options;
    const struct dataset *data = trainer->data;
    int speaks = trainer->job.rank == 0 && !options->quiet;
    int32_t status = broadcast_parameters(trainer);
    for (int epoch = 1; epoch <= options->epochs && status == RONDE_OK; epoch++) {
        double loss, start = now();
        trainer->communicating = 0;
        status = train_epoch(trainer, epoch, &loss);
        double seconds = now() - start;
        if (status == RONDE_OK)
            status = evaluate(trainer, correct);
        if (status == RONDE_OK && speaks)
            report_epoch(epoch, loss, (double)*correct / (double)data->test.count,
                         (double)data->train.count / seconds, trainer->communicating / seconds);
    }
    return status;
}

/* ---- the end --------------------------------------------------------------------------------- */

static int write_losses(const struct trainer *trainer, FILE *file)
{
    for (size_t i = 0; i < trainer->steps; i++)
        fprintf(file, "%.17g\n", trainer->losses[i]);
    if (fflush(file) || ferror(file)) {
        fprintf(stderr, "digits: %s: %s\n", trainer->options->losses, strerror(errno));
        return 1;
    }
    return 0;
}

/* The same training once more, on this rank alone and without Ronde. */
static int32_t compare_with_one_rank(const struct trainer *trainer)
{
    struct trainer alone;
    struct comparison comparison;
    double loss;
    report_comparing();
    int32_t status = open_trainer(&alone, NULL, trainer->options, trainer->data);
    for (int epoch = 1; epoch <= trainer->options->epochs && status == RONDE_OK; epoch++)
        status = train_epoch(&alone, epoch, &loss);
    if (status == RONDE_OK) {
        compare_runs(&trainer->model, trainer->losses, &alone.model, alone.losses, trainer->steps,
                     &comparison);
        report_comparison(&comparison, &trainer->job);
    }
    close_trainer(&alone);
    return status;
}

/* Compares the ranks; then rank 0 goes on while the others wait in ronde_close. */
static int32_t finish(struct trainer *trainer, uint64_t correct, FILE *losses)
{
    uint64_t sum;
    int identical;
    int32_t status = compare_ranks(trainer, &sum, &identical);
    if (status != RONDE_OK)
        return status;
    if (trainer->job.rank != 0)
        return !identical;
    report_accuracy(trainer->data, (size_t)correct);
    report_identity(identical, sum);
    if (!trainer->options->no_reference)
        status = compare_with_one_rank(trainer);
    if (losses && status == RONDE_OK)
        status = write_losses(trainer, losses);
    return status == RONDE_OK ? !identical : status;
}

/* The training and what is said about it. On an error the trainer is left as it is: Ronde may
 * still be using its gradients. */
static int32_t train_and_report(ronde_context *context, const struct options *options,
                                const struct dataset *data, FILE *losses)
{
    struct trainer trainer;
    uint64_t correct = 0;
    int32_t status = open_trainer(&trainer, context, options, data);
    if (status == RONDE_OK && trainer.job.rank == 0 && !options->quiet)
        report_header(options, data, &trainer.model, &trainer.job);
    if (status == RONDE_OK)
        status = train(&trainer, &correct);
    if (status == RONDE_OK)
        status = finish(&trainer, correct, losses);
    if (status >= 0)
        close_trainer(&trainer);
    return status;
}

/* 0 where all went well, 1 where every rank knows that it did not, negative where Ronde or the
 * memory gave up on this rank. `problem` may already hold one. */
static int32_t run(ronde_context *context, const struct options *options, char *problem,
                   size_t problem_bytes)
{
    struct dataset data = {.inputs = 0};
    FILE *losses = NULL;
    int ready;
    if (!*problem && dataset_read(&data, options->data, problem, problem_bytes) == 0 &&
        options->losses && ronde_rank(context) == 0 && !(losses = fopen(options->losses, "w")))
        snprintf(problem, problem_bytes, "%s: %s", options->losses, strerror(errno));
    int32_t status = agree(context, problem, &ready);
    if (status == RONDE_OK)
        status = ready ? train_and_report(context, options, &data, losses) : 1;
    if (losses)
        fclose(losses);
    dataset_free(&data);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    ronde_context *context = NULL;
    char problem[1600] = "";
    if (options_parse(&options, argc, argv, problem, sizeof problem) == 0) {
        if (options.help)
            options_help();
        if (options.check)
            return selfcheck();
        if (options.help)
            return 0;
    }
    if (checked(NULL, ronde_open(NULL, &context)) != RONDE_OK)
        return 1;
    int32_t result = run(context, &options, problem, sizeof problem);
    if (result < 0)
        return 1; /* without closing: that would wait for ranks which may not come */
    int32_t closed = ronde_close(&context);
    return checked(context, closed) == RONDE_OK ? result : 1;
}
