/* Arithmetic on whole tensors: what gradients are gathered with, and the optimisers. One table for
 * each type of number. No function here depends on the number of ranks, and each is one chain of
 * operations for each element: equal inputs give equal bits. */
#ifndef RONDE_TRAIN_OPTIMISER_H
#define RONDE_TRAIN_OPTIMISER_H

#include <stddef.h>

/* One step's numbers: the options, and what follows from the count of steps. */
struct rule {
    double scale; /* of the gradient, by clipping; 1 */
    double rate, momentum, weight_decay, beta1, beta2, epsilon;
    int nesterov, is_decoupled; /* AdamW */
    double correct1, correct2;  /* 1 - beta1^t, 1 - beta2^t */
};

struct arithmetic {
    /* sum = weight x gradient, or sum += weight x gradient. */
    void (*set_scaled)(void *sum, const void *gradient, double weight, size_t count);
    void (*add_scaled)(void *sum, const void *gradient, double weight, size_t count);
    void (*scale)(void *values, double factor, size_t count);
    int (*is_finite)(const void *values, size_t count);
    /* The sum of squares, in double, in one order. */
    double (*squares)(const void *values, size_t count);
    void (*sgd)(const struct rule *rule, void *values, const void *gradient, void *velocity,
                size_t count);
    void (*adam)(const struct rule *rule, void *values, const void *gradient, void *first,
                 void *second, size_t count);
};

/* RONDE_FLOAT32 or RONDE_FLOAT64; NULL for others. */
const struct arithmetic *ronde__arithmetic(int dtype);

#endif
