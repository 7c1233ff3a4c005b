/* The arithmetic of one layer, in float32 and in float64. Matrices are row by row; a row of inputs
 * or outputs is one sample, a row of `weight` is one input's weights to all outputs. Each sample's
 * result is independent of the samples beside it, to the last bit: so it does not matter on which
 * rank it is computed. */
#ifndef DIGITS_KERNELS_H
#define DIGITS_KERNELS_H

#include <stddef.h>

#include "ronde_train.h"

struct kernels {
    size_t bytes; /* of one number */
    /* Draws uniformly from -bound .. bound. */
    void (*fill)(void *values, size_t count, double bound, ronde_train_random *stream);
    /* row = pixels x scale. */
    void (*load)(void *row, const unsigned char *pixels, size_t count, double scale);
    /* out = in x weight + bias, negative outputs replaced by 0 where `relu` is set. */
    void (*forward)(const void *in, const void *weight, const void *bias, int relu, size_t rows,
                    size_t inputs, size_t outputs, void *out);
    /* Softmax and cross-entropy: returns the sum of the rows' losses, and writes the derivative
     * by the logits, times `factor`, to delta. */
    double (*loss)(const void *logits, const unsigned char *labels, double factor, size_t rows,
                   size_t classes, void *delta);
    /* The derivatives by weight and bias, summed over the rows. */
    void (*gradient)(const void *in, const void *delta, size_t rows, size_t inputs, size_t outputs,
                     void *weight, void *bias);
    /* The derivative by the layer's inputs, taken through the ReLU that made them. */
    void (*pass_down)(const void *in, const void *delta, const void *weight, size_t rows,
                      size_t inputs, size_t outputs, void *delta_in);
    /* In how many rows the largest logit is the label's. */
    size_t (*correct)(const void *logits, const unsigned char *labels, size_t rows, size_t classes);
    double (*get)(const void *values, size_t at);
    void (*set)(void *values, size_t at, double value);
};

extern const struct kernels kernels_float32, kernels_float64;

#endif
