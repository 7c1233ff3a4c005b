/* What the tests of the training loop train: 5 inputs, 7 hidden (tanh), 3 classes (softmax), in
 * float64, on made-up samples that all ranks know; and a loop of its own for one process, plainly
 * written and without the library, which the library's has to follow. */
#ifndef RONDE_TEST_TRAIN_MODEL_H
#define RONDE_TEST_TRAIN_MODEL_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "ronde_train.h"

enum {
    INPUTS = 5,
    HIDDEN = 7,
    CLASSES = 3,
    TENSORS = 4,
    SAMPLES = 61,
    MOST_COUNT = INPUTS * HIDDEN
};
static const size_t model_count[TENSORS] = {INPUTS * HIDDEN, HIDDEN, HIDDEN *CLASSES, CLASSES};
static const char *const model_name[TENSORS] = {"w1", "b1", "w2", "b2"};

struct model {
    double value[TENSORS][MOST_COUNT], gradient[TENSORS][MOST_COUNT];
    double loss; /* the mean of the last gradient's samples */
};

/* Sample i: the same on all ranks. */
static inline int sample_of(size_t i, double input[INPUTS])
{
    ronde_train_random stream;
    ronde_train_random_init(&stream, 1, 256, (uint32_t)i);
    for (int j = 0; j < INPUTS; j++)
        input[j] = 2 * ronde_train_random_uniform(&stream) - 1;
    return (int)ronde_train_random_below(&stream, CLASSES);
}

static inline void model_init(struct model *model, uint64_t seed)
{
    memset(model, 0, sizeof *model);
    for (uint32_t t = 0; t < TENSORS; t++) {
        ronde_train_random stream;
        ronde_train_random_init(&stream, seed, RONDE_TRAIN_PARAMETERS, t);
        for (size_t i = 0; i < model_count[t]; i++)
            model->value[t][i] = 1.4 * ronde_train_random_uniform(&stream) - 0.7;
    }
}

/* The loss of a sample; hidden and delta (by the logits) for the gradient. */
static inline double model_forward(const struct model *model, size_t sample, double input[INPUTS],
                                   double hidden[HIDDEN], double delta[CLASSES])
{
    double sum = 0;
    int label = sample_of(sample, input);
    for (int h = 0; h < HIDDEN; h++) {
        double z = model->value[1][h];
        for (int i = 0; i < INPUTS; i++)
            z += input[i] * model->value[0][i * HIDDEN + h];
        hidden[h] = tanh(z);
    }
    for (int c = 0; c < CLASSES; c++) {
        delta[c] = model->value[3][c];
        for (int h = 0; h < HIDDEN; h++)
            delta[c] += hidden[h] * model->value[2][h * CLASSES + c];
        sum += exp(delta[c]);
    }
    double loss = log(sum) - delta[label];
    for (int c = 0; c < CLASSES; c++)
        delta[c] = exp(delta[c]) / sum - (c == label);
    return loss;
}

static inline double sample_loss(const struct model *model, size_t sample)
{
    double input[INPUTS], hidden[HIDDEN], delta[CLASSES];
    return model_forward(model, sample, input, hidden, delta);
}

static inline void model_add_gradient(struct model *model, size_t sample, double weight)
{
    double input[INPUTS], hidden[HIDDEN], delta[CLASSES];
    model->loss += weight * model_forward(model, sample, input, hidden, delta);
    for (int c = 0; c < CLASSES; c++)
        model->gradient[3][c] += weight * delta[c];
    for (int h = 0; h < HIDDEN; h++) {
        double down = 0;
        for (int c = 0; c < CLASSES; c++) {
            model->gradient[2][h * CLASSES + c] += weight * delta[c] * hidden[h];
            down += delta[c] * model->value[2][h * CLASSES + c];
        }
        down *= weight * (1 - hidden[h] * hidden[h]);
        model->gradient[1][h] += down;
        for (int i = 0; i < INPUTS; i++)
            model->gradient[0][i * HIDDEN + h] += down * input[i];
    }
}

/* The mean loss and gradient of `n` samples; garbage where there are none, as a user's would be. */
static inline void model_gradient(struct model *model, const size_t *samples, size_t n)
{
    memset(model->gradient, n ? 0 : 0x7b, sizeof model->gradient);
    model->loss = n ? 0 : -1e30;
    for (size_t i = 0; i < n; i++)
        model_add_gradient(model, samples[i], 1.0 / (double)n);
}

/* The largest difference of any parameter; NaN where one is NaN. */
static inline double model_distance(const struct model *a, const struct model *b)
{
    double largest = 0;
    for (int t = 0; t < TENSORS; t++)
        for (size_t i = 0; i < model_count[t]; i++) {
            double distance = fabs(a->value[t][i] - b->value[t][i]);
            largest = distance > largest || isnan(distance) ? distance : largest;
        }
    return largest;
}

/* ---- the reference --------------------------------------------------------------------------- */

struct reference {
    struct model model;
    ronde_train_options options;
    double first[TENSORS][MOST_COUNT], second[TENSORS][MOST_COUNT];
    int steps;
};

static inline void reference_init(struct reference *reference, uint64_t seed,
                                  const ronde_train_options *options)
{
    memset(reference, 0, sizeof *reference);
    model_init(&reference->model, seed);
    reference->options = *options;
}

static inline double reference_clip(const struct reference *reference)
{
    double squares = 0, norm;
    for (int t = 0; t < TENSORS; t++)
        for (size_t i = 0; i < model_count[t]; i++)
            squares += reference->model.gradient[t][i] * reference->model.gradient[t][i];
    norm = sqrt(squares);
    if (reference->options.clip_norm == 0 || norm <= reference->options.clip_norm)
        return 1;
    return reference->options.clip_norm / (norm + 1e-6);
}

static inline void reference_move(struct reference *reference, int t, size_t i, double gradient)
{
    const ronde_train_options *o = &reference->options;
    double *p = &reference->model.value[t][i], *m = &reference->first[t][i],
           *v = &reference->second[t][i];
    if (o->optimiser == RONDE_TRAIN_ADAMW)
        *p -= o->rate * o->weight_decay * *p;
    else
        gradient += o->weight_decay * *p;
    if (o->optimiser == RONDE_TRAIN_SGD) {
        *m = o->momentum * *m + gradient;
        *p -= o->rate * (o->nesterov ? gradient + o->momentum * *m : *m);
        return;
    }
    *m = o->beta1 * *m + (1 - o->beta1) * gradient;
    *v = o->beta2 * *v + (1 - o->beta2) * gradient * gradient;
    double m_hat = *m / (1 - pow(o->beta1, reference->steps));
    double v_hat = *v / (1 - pow(o->beta2, reference->steps));
    *p -= o->rate * m_hat / (sqrt(v_hat) + o->epsilon);
}

/* One step of the optimiser on the mean of these samples. */
static inline void reference_step(struct reference *reference, const size_t *samples, size_t n)
{
    model_gradient(&reference->model, samples, n);
    reference->steps++;
    double scale = reference_clip(reference);
    for (int t = 0; t < TENSORS; t++)
        for (size_t i = 0; i < model_count[t]; i++)
            reference_move(reference, t, i, scale * reference->model.gradient[t][i]);
}

/* ---- the library's loop ---------------------------------------------------------------------- */

/* The kinds of optimisers, each with what it may have. */
enum { RECIPES = 8 };
static inline ronde_train_options recipe(int number)
{
    ronde_train_options o;
    ronde_train_options_init(&o, sizeof o);
    o.rate = number < 5 ? 0.3 : 0.02;
    switch (number) {
    case 1: o.momentum = 0.9; break;
    case 2: o.momentum = 0.8, o.nesterov = 1, o.weight_decay = 0.01; break;
    case 3: o.momentum = 0.9, o.clip_norm = 0.1; break;
    case 4: o.momentum = 0.5, o.accumulate = 3; break;
    case 5: o.optimiser = RONDE_TRAIN_ADAM, o.weight_decay = 0.02; break;
    case 6: o.optimiser = RONDE_TRAIN_ADAMW, o.weight_decay = 0.1, o.accumulate = 2; break;
    case 7: o.optimiser = RONDE_TRAIN_ADAM, o.clip_norm = 0.2; break;
    default: break;
    }
    return o;
}

/* Adds the model's tensors, and the mean loss, which is tensor TENSORS. */
static inline int32_t model_add(ronde_train *train, struct model *model)
{
    int32_t status = RONDE_OK, tensor;
    for (int t = 0; t < TENSORS && status == RONDE_OK; t++)
        status = ronde_train_add(train, model_name[t], model->value[t], model->gradient[t],
                                 model_count[t], RONDE_FLOAT64, &tensor);
    return status == RONDE_OK
               ? ronde_train_add(train, "loss", NULL, &model->loss, 1, RONDE_FLOAT64, &tensor)
               : status;
}

/* A step with this rank's samples: gradients in backward order, the first bias by ready_rest. */
static inline int32_t model_step(ronde_train *train, struct model *model, const size_t *samples,
                                 size_t n, int32_t *outcome)
{
    int32_t status = ronde_train_begin(train, (double)n);
    model_gradient(model, samples, n);
    if (status == RONDE_OK)
        status = ronde_train_ready(train, TENSORS);
    for (int32_t t = TENSORS - 1; t >= 2 && status == RONDE_OK; t--)
        status = ronde_train_ready(train, t);
    if (status == RONDE_OK)
        status = ronde_train_ready(train, 0);
    if (status == RONDE_OK)
        status = ronde_train_ready_rest(train);
    return status == RONDE_OK ? ronde_train_step(train, outcome) : status;
}

#endif
