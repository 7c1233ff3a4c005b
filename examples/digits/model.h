/* A network of dense layers: ReLU between them, softmax and cross-entropy at the end. It knows
 * nothing of ranks or optimisers: a loop moves `value` by `gradient`. */
#ifndef DIGITS_MODEL_H
#define DIGITS_MODEL_H

#include "kernels.h"

#include <stddef.h>
#include <stdint.h>

enum { MODEL_LAYERS = 8, MODEL_TENSORS = 2 * MODEL_LAYERS };

struct tensor {
    char name[32]; /* "layer1.weight" */
    size_t count;
    void *value;    /* owned by the model, as the rest */
    void *gradient; /* allocated and freed by the caller: it may lie in shared memory */
};

struct model {
    int layers;
    size_t width[MODEL_LAYERS + 1]; /* inputs, then outputs of each layer */
    size_t rows;                    /* samples that fit at once, at least 1 */
    const struct kernels *kernels;
    struct tensor tensor[MODEL_TENSORS]; /* weight and bias of each layer, inputs first */
    void *activation[MODEL_LAYERS + 1];  /* rows x width; [0] are the inputs */
    void *delta[MODEL_LAYERS + 1];       /* the loss' derivatives by them, before the ReLU */
    unsigned char *labels;
};

/* Allocates everything except gradients; all parameters are 0. 0, or -1 where memory is out; call
 * model_free in either case. hidden[hidden_layers], at most MODEL_LAYERS - 1. */
int model_create(struct model *model, const struct kernels *kernels, size_t inputs,
                 const size_t *hidden, int hidden_layers, size_t classes, size_t rows);
void model_free(struct model *model);
int model_tensors(const struct model *model);
/* Of all tensors. */
size_t model_parameters(const struct model *model);

/* He's initialisation: weights uniform with variance 2 / inputs of the layer, biases 0. */
void model_initialise(struct model *model, uint64_t seed);

/* Sets row `row` to a sample. */
void model_load(struct model *model, size_t row, const unsigned char *pixels, double scale,
                unsigned char label);
void model_forward(struct model *model, size_t rows);
/* After forward: returns the sum of the rows' losses. All gradients will be times `factor`. */
double model_loss(struct model *model, size_t rows, double factor);
/* After the loss, for the last layer first: writes the layer's two gradients, summed over the
 * rows (zeros where there are none). */
void model_gradient(struct model *model, int layer, size_t rows);
/* Then prepares the layer below (layer > 0). */
void model_pass_down(struct model *model, int layer, size_t rows);
/* After forward: how many rows are recognised. */
size_t model_correct(const struct model *model, size_t rows);

#endif
