/* Trains a small network on handwritten digits, data-parallel: every rank has the whole model and a
 * part of each batch; a loop of ronde_train.h averages the gradients. What it shows:
 *
 *   - rank 0's parameters are broadcast, so that all start alike;
 *   - a rank's gradient is the mean over its samples, and counts by their number: what is applied
 *     is the batch's mean gradient, however unevenly the samples fall;
 *   - each layer's gradient is marked ready as soon as it is, in backward order: communication runs
 *     beside the layers that are still to come;
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

/* ---- training -------------------------------------------------------------------------------- */

/* Takes `rows` samples into the model and through it. */
static void forward(struct trainer *trainer, const struct samples *samples, size_t rows)
{
    for (size_t row = 0; row < rows; row++) {
        size_t sample = trainer->samples[row];
        model_load(&trainer->model, row, samples->pixels + sample * trainer->data->inputs,
                   trainer->data->scale, samples->labels[sample]);
    }
    model_forward(&trainer->model, rows);
}

/* The layer's gradients start on their way: tensor 2 x layer is its weight, the next its bias. */
static int32_t mark_layer(struct trainer *trainer, int layer)
{
    int32_t status = ronde_train_ready(trainer->loop, 2 * layer);
    return status == RONDE_OK ? ronde_train_ready(trainer->loop, 2 * layer + 1) : status;
}

/* One step on `rows` samples of this rank, which may be none. */
static int32_t train_step(struct trainer *trainer, size_t rows)
{
    struct model *model = &trainer->model;
    int32_t status = ronde_train_begin(trainer->loop, (double)rows);
    forward(trainer, &trainer->data->train, rows);
    trainer->loss = rows ? model_loss(model, rows, 1.0 / (double)rows) / (double)rows : 0;
    if (status == RONDE_OK)
        status = ronde_train_ready(trainer->loop, model_tensors(model));
    for (int layer = model->layers - 1; layer >= 0 && status == RONDE_OK; layer--) {
        model_gradient(model, layer, rows);
        status = mark_layer(trainer, layer);
        if (layer > 0)
            model_pass_down(model, layer, rows);
    }
    if (status == RONDE_OK)
        status = ronde_train_step(trainer->loop, NULL);
    trainer->losses[trainer->steps++] = trainer->loss;
    return checked(trainer->context, status);
}

/* All samples once, in an order that every rank computes for itself. */
static int32_t train_epoch(struct trainer *trainer, int epoch, double *mean_loss)
{
    size_t rows, of_all, room = trainer->model.rows, batch = trainer->options->batch;
    double sum = 0;
    int32_t status = ronde_sampler_set_epoch(trainer->sampler, (uint32_t)epoch);
    while (status == RONDE_OK) {
        status = checked(trainer->context,
                         ronde_sampler_next(trainer->sampler, batch, trainer->samples, NULL, room,
                                            &rows, &of_all));
        if (status != RONDE_OK || of_all == 0)
            break;
        status = train_step(trainer, rows);
        sum += trainer->loss * (double)of_all;
    }
    *mean_loss = sum / (double)trainer->data->train.count;
    return status;
}

/* How many of all test images are recognised. Every rank looks at its share, and whole numbers are
 * added: the result is exact, whatever the number of ranks. */
static int32_t evaluate(struct trainer *trainer, uint64_t *correct)
{
    size_t rows, of_all = 1, room = trainer->model.rows, batch = room * (size_t)trainer->job.ranks;
    uint64_t mine = 0;
    int32_t status = ronde_sampler_set_epoch(trainer->test_sampler, 0);
    while (status == RONDE_OK && of_all > 0) {
        status = ronde_sampler_next(trainer->test_sampler, batch, trainer->samples, NULL, room,
                                    &rows, &of_all);
        if (status == RONDE_OK) {
            forward(trainer, &trainer->data->test, rows);
            mine += model_correct(&trainer->model, rows);
        }
    }
    if (status == RONDE_OK)
        status = ronde_allreduce(trainer->context, "test.correct", &mine, correct, 1, RONDE_UINT64,
                                 RONDE_SUM, NULL);
    return checked(trainer->context, status);
}

/* The whole training by all ranks, with a line for every epoch. */
static int32_t train(struct trainer *trainer, uint64_t *correct)
{
    const struct options *options = trainer->options;
    const struct dataset *data = trainer->data;
    int speaks = trainer->job.rank == 0 && !options->quiet;
    int32_t status = checked(trainer->context, ronde_train_broadcast(trainer->loop, 0));
    for (int epoch = 1; epoch <= options->epochs && status == RONDE_OK; epoch++) {
        double loss, start = now(), waited_before = waited(trainer);
        status = train_epoch(trainer, epoch, &loss);
        double seconds = now() - start, communicating = waited(trainer) - waited_before;
        if (status == RONDE_OK)
            status = evaluate(trainer, correct);
        if (status == RONDE_OK && speaks)
            report_epoch(epoch, loss, (double)*correct / (double)data->test.count,
                         (double)data->train.count / seconds, communicating / seconds);
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
    uint64_t sum = 0;
    int32_t status = ronde_train_check(trainer->loop, &sum);
    int identical = status == RONDE_OK;
    if (status != RONDE_OK && status != RONDE_ERR_MISMATCH)
        return checked(trainer->context, status);
    if (trainer->job.rank != 0)
        return !identical;
    report_accuracy(trainer->data, (size_t)correct);
    report_identity(identical, sum);
    status = trainer->options->no_reference ? RONDE_OK : compare_with_one_rank(trainer);
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

/* Rank 0's file for the losses, where one is wanted. */
static FILE *open_losses(ronde_context *context, const struct options *options, char *problem,
                         size_t problem_bytes)
{
    FILE *losses = NULL;
    if (options->losses && ronde_rank(context) == 0 && !(losses = fopen(options->losses, "w")))
        snprintf(problem, problem_bytes, "%s: %s", options->losses, strerror(errno));
    return losses;
}

/* 0 where all went well, 1 where every rank knows that it did not, negative where Ronde or the
 * memory gave up on this rank. `problem` may already hold one. */
static int32_t run(ronde_context *context, const struct options *options, char *problem,
                   size_t problem_bytes)
{
    struct dataset data = {.inputs = 0};
    FILE *losses = *problem ? NULL : open_losses(context, options, problem, problem_bytes);
    int ready;
    int32_t status = agree(context, problem, &ready);
    if (status == RONDE_OK && ready) {
        dataset_read(&data, context, options->data, problem, problem_bytes);
        status = agree(context, problem, &ready);
    }
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
