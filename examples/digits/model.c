#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int create_tensor(struct model *model, int layer, const char *kind, size_t count)
{
    struct tensor *tensor = &model->tensor[2 * layer + (kind[0] == 'b')];
    snprintf(tensor->name, sizeof tensor->name, "layer%d.%s", layer + 1, kind);
    tensor->count = count;
    tensor->value = calloc(count, model->kernels->bytes);
    return tensor->value ? 0 : -1;
}

int model_create(struct model *model, const struct kernels *kernels, size_t inputs,
                 const size_t *hidden, int hidden_layers, size_t classes, size_t rows)
{
    memset(model, 0, sizeof *model);
    model->kernels = kernels;
    model->layers = hidden_layers + 1;
    model->rows = rows ? rows : 1;
    model->width[0] = inputs;
    for (int i = 0; i < hidden_layers; i++)
        model->width[i + 1] = hidden[i];
    model->width[model->layers] = classes;

    model->labels = malloc(model->rows);
    if (!model->labels)
        return -1;
    for (int i = 0; i <= model->layers; i++) {
        model->activation[i] = calloc(model->rows, model->width[i] * kernels->bytes);
        model->delta[i] = calloc(model->rows, model->width[i] * kernels->bytes);
        if (!model->activation[i] || !model->delta[i])
            return -1;
    }
    for (int i = 0; i < model->layers; i++)
        if (create_tensor(model, i, "weight", model->width[i] * model->width[i + 1]) ||
            create_tensor(model, i, "bias", model->width[i + 1]))
            return -1;
    return 0;
}

void model_free(struct model *model)
{
    for (int i = 0; i < MODEL_TENSORS; i++)
        free(model->tensor[i].value);
    for (int i = 0; i <= MODEL_LAYERS; i++) {
        free(model->activation[i]);
        free(model->delta[i]);
    }
    free(model->labels);
    memset(model, 0, sizeof *model);
}

int model_tensors(const struct model *model)
{
    return 2 * model->layers;
}

size_t model_parameters(const struct model *model)
{
    size_t parameters = 0;
    for (int i = 0; i < model_tensors(model); i++)
        parameters += model->tensor[i].count;
    return parameters;
}

/* K. He et al., "Delving deep into rectifiers" (ICCV 2015). Uniform rather than normal: uniform in
 * -b .. b has variance b^2 / 3, and needs no logarithm that differs from one libm to the next. */
void model_initialise(struct model *model, uint64_t seed)
{
    for (int layer = 0; layer < model->layers; layer++) {
        ronde_train_random stream;
        struct tensor *weight = &model->tensor[2 * layer], *bias = weight + 1;
        ronde_train_random_init(&stream, seed, RONDE_TRAIN_PARAMETERS, (uint32_t)layer);
        double bound = sqrt(6.0 / (double)model->width[layer]);
        model->kernels->fill(weight->value, weight->count, bound, &stream);
        memset(bias->value, 0, bias->count * model->kernels->bytes);
    }
}

void model_load(struct model *model, size_t row, const unsigned char *pixels, double scale,
                unsigned char label)
{
    size_t inputs = model->width[0];
    char *place = (char *)model->activation[0] + row * inputs * model->kernels->bytes;
    model->kernels->load(place, pixels, inputs, scale);
    model->labels[row] = label;
}

void model_forward(struct model *model, size_t rows)
{
    for (int layer = 0; layer < model->layers; layer++) {
        const struct tensor *weight = &model->tensor[2 * layer], *bias = weight + 1;
        model->kernels->forward(model->activation[layer], weight->value, bias->value,
                                layer + 1 < model->layers, rows, model->width[layer],
                                model->width[layer + 1], model->activation[layer + 1]);
    }
}

double model_loss(struct model *model, size_t rows, double factor)
{
    int last = model->layers;
    return model->kernels->loss(model->activation[last], model->labels, factor, rows,
                                model->width[last], model->delta[last]);
}

void model_gradient(struct model *model, int layer, size_t rows)
{
    struct tensor *weight = &model->tensor[2 * layer], *bias = weight + 1;
    model->kernels->gradient(model->activation[layer], model->delta[layer + 1], rows,
                             model->width[layer], model->width[layer + 1], weight->gradient,
                             bias->gradient);
}

void model_pass_down(struct model *model, int layer, size_t rows)
{
    model->kernels->pass_down(model->activation[layer], model->delta[layer + 1],
                              model->tensor[2 * layer].value, rows, model->width[layer],
                              model->width[layer + 1], model->delta[layer]);
}

size_t model_correct(const struct model *model, size_t rows)
{
    int last = model->layers;
    return model->kernels->correct(model->activation[last], model->labels, rows,
                                   model->width[last]);
}
