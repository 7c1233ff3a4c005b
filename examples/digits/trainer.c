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

size_t share_start(size_t count, int32_t rank, int32_t ranks)
{
    return count * (size_t)rank / (size_t)ranks;
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
    for (int i = 0; i < MODEL_TENSORS; i++) {
        if (shared)
            checked(trainer->context,
                    ronde_free(trainer->context, trainer->model.tensor[i].gradient));
        else
            free(trainer->model.tensor[i].gradient);
    }
    model_free(&trainer->model);
    free(trainer->order);
    free(trainer->losses);
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
    trainer->dtype = options->fp64 ? RONDE_FLOAT64 : RONDE_FLOAT32;
    size_t ranks = (size_t)trainer->job.ranks;
    size_t batch = options->batch < data->train.count ? options->batch : data->train.count;
    trainer->order = calloc(data->train.count, sizeof *trainer->order);
    trainer->losses = calloc(steps_per_epoch(trainer) * (size_t)options->epochs, sizeof(double));
    if (!trainer->order || !trainer->losses ||
        model_create(&trainer->model, options->fp64 ? &kernels_float64 : &kernels_float32,
                     data->inputs, options->hidden, options->hidden_layers, CLASSES,
                     (batch + ranks - 1) / ranks))
        return out_of_memory();
    if (trainer->job.rank == 0)
        model_initialise(&trainer->model, options->seed);
    return allocate_gradients(trainer);
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

/* FNV-1a over all parameters' bytes. */
static uint64_t checksum(const struct model *model)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < model_tensors(model); i++) {
        const unsigned char *bytes = model->tensor[i].value;
        for (size_t j = 0; j < model->tensor[i].count * model->kernels->bytes; j++)
            hash = (hash ^ bytes[j]) * 0x100000001b3u;
    }
    return hash;
}

int32_t compare_ranks(const struct trainer *trainer, uint64_t *sum, int *identical)
{
    uint64_t mine = checksum(&trainer->model), least, greatest;
    int32_t status = checked(trainer->context,
                             ronde_allreduce(trainer->context, "checksum.least", &mine, &least, 1,
                                             RONDE_UINT64, RONDE_MIN, NULL));
    if (status == RONDE_OK)
        status = checked(trainer->context,
                         ronde_allreduce(trainer->context, "checksum.greatest", &mine, &greatest, 1,
                                         RONDE_UINT64, RONDE_MAX, NULL));
    if (status == RONDE_OK) {
        *sum = mine;
        *identical = least == greatest;
    }
    return status;
}
