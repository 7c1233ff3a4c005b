#include "trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t checked(const ronde_context *context, int32_t status)
{
    if (status < 0 && context)
        fprintf(stderr, "digits: rank %d: %s\n", (int)ronde_rank(context), ronde_last_error());
    else if (status < 0)
        fprintf(stderr, "digits: %s\n", ronde_last_error());
    return status;
}

static int32_t out_of_memory(void)
{
    fprintf(stderr, "digits: no memory for the network; make --hidden or --batch smaller\n");
    return RONDE_ERR_MEMORY;
}

static size_t steps_per_epoch(const struct trainer *trainer)
{
    return (trainer->data->train.count + trainer->options->batch - 1) / trainer->options->batch;
}

static int32_t allocate_gradients(struct trainer *trainer)
{
    int shared = trainer->context && !trainer->options->private_memory;
    for (int i = 0; i < model_tensors(&trainer->model); i++) {
        struct tensor *tensor = &trainer->model.tensor[i];
        size_t bytes = tensor->count * trainer->model.kernels->bytes;
        int32_t status = RONDE_OK;
        if (shared)
            status = checked(trainer->context,
                             ronde_malloc(trainer->context, bytes, &tensor->gradient));
        else if (!(tensor->gradient = malloc(bytes)))
            status = out_of_memory();
        if (status != RONDE_OK)
            return status;
    }
    return RONDE_OK;
}

void close_trainer(struct trainer *trainer)
{
    int shared = trainer->context && !trainer->options->private_memory;
    checked(trainer->context, ronde_train_close(&trainer->loop));
    for (int i = 0; i < MODEL_TENSORS; i++) {
        if (shared)
            checked(trainer->context,
                    ronde_free(trainer->context, trainer->model.tensor[i].gradient));
        else
            free(trainer->model.tensor[i].gradient);
    }
    ronde_sampler_close(&trainer->sampler);
    ronde_sampler_close(&trainer->test_sampler);
    model_free(&trainer->model);
    free(trainer->samples);
    free(trainer->losses);
}

static int32_t open_sampler(const struct trainer *trainer, size_t samples, int in_order,
                            ronde_sampler **sampler)
{
    ronde_sampler_options options;
    ronde_sampler_options_init(&options, sizeof options);
    options.rank = trainer->job.rank;
    options.ranks = trainer->job.ranks;
    options.padding = RONDE_SAMPLER_UNEVEN;
    options.in_order = in_order;
    options.seed = trainer->options->seed;
    return checked(trainer->context, ronde_sampler_open(samples, &options, sampler));
}

static int32_t open_samplers(struct trainer *trainer)
{
    int32_t status = open_sampler(trainer, trainer->data->train.count, 0, &trainer->sampler);
    if (status == RONDE_OK)
        status = open_sampler(trainer, trainer->data->test.count, 1, &trainer->test_sampler);
    return status;
}

/* The loop moves the parameters by their gradients, and averages the loss along with them. */
static int32_t open_loop(struct trainer *trainer)
{
    ronde_train_options options;
    int32_t dtype = trainer->options->fp64 ? RONDE_FLOAT64 : RONDE_FLOAT32;
    ronde_train_options_init(&options, sizeof options);
    options.rate = trainer->options->rate;
    options.momentum = trainer->options->momentum;
    int32_t status = ronde_train_open(trainer->context, &options, &trainer->loop);
    for (int i = 0; i < model_tensors(&trainer->model) && status == RONDE_OK; i++) {
        const struct tensor *tensor = &trainer->model.tensor[i];
        status = ronde_train_add(trainer->loop, tensor->name, tensor->value, tensor->gradient,
                                 tensor->count, dtype, NULL);
    }
    if (status == RONDE_OK)
        status = ronde_train_add(trainer->loop, "loss", NULL, &trainer->loss, 1, RONDE_FLOAT64,
                                 NULL);
    return checked(trainer->context, status);
}

/* Everything that is the same size on all ranks, or for the largest share of a batch. */
static int32_t allocate(struct trainer *trainer)
{
    const struct options *options = trainer->options;
    const struct dataset *data = trainer->data;
    size_t ranks = (size_t)trainer->job.ranks;
    size_t batch = options->batch < data->train.count ? options->batch : data->train.count;
    size_t rows = (batch + ranks - 1) / ranks;
    trainer->samples = calloc(rows, sizeof *trainer->samples);
    trainer->losses = calloc(steps_per_epoch(trainer) * (size_t)options->epochs, sizeof(double));
    if (!trainer->samples || !trainer->losses ||
        model_create(&trainer->model, options->fp64 ? &kernels_float64 : &kernels_float32,
                     data->inputs, options->hidden, options->hidden_layers, CLASSES, rows))
        return out_of_memory();
    return allocate_gradients(trainer);
}

int32_t open_trainer(struct trainer *trainer, ronde_context *context, const struct options *options,
                     const struct dataset *data)
{
    memset(trainer, 0, sizeof *trainer);
    trainer->options = options;
    trainer->data = data;
    trainer->context = context;
    trainer->job = (struct job){.rank = context ? ronde_rank(context) : 0,
                                .ranks = context ? ronde_size(context) : 1,
                                .nodes = context ? ronde_cross_size(context) : 1};
    int32_t status = allocate(trainer);
    if (status == RONDE_OK && trainer->job.rank == 0)
        model_initialise(&trainer->model, options->seed);
    if (status == RONDE_OK)
        status = open_samplers(trainer);
    return status == RONDE_OK ? open_loop(trainer) : status;
}

double waited(const struct trainer *trainer)
{
    ronde_train_counters counters = {.wait_seconds = 0};
    ronde_train_counters_read(trainer->loop, &counters, sizeof counters);
    return counters.wait_seconds;
}

int32_t agree(ronde_context *context, const char *problem, int *ready)
{
    int32_t mine = *problem ? ronde_rank(context) : ronde_size(context), lowest;
    int32_t status = checked(context, ronde_allreduce(context, "ready", &mine, &lowest, 1,
                                                      RONDE_INT32, RONDE_MIN, NULL));
    if (status != RONDE_OK)
        return status;
    *ready = lowest == ronde_size(context);
    if (!*ready && lowest == mine)
        fprintf(stderr, "digits: %s\n", problem);
    return RONDE_OK;
}
