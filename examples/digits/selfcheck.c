#include "selfcheck.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 7, INPUTS = 6, LABELS = 10 };

static double mean_loss(struct model *model)
{
    model_forward(model, ROWS);
    return model_loss(model, ROWS, 1.0 / ROWS) / ROWS;
}

/* (loss(p + h) - loss(p - h)) / 2h differs from the derivative by about h^2 and rounding / h: some
 * 1e-10 in float64 for this h. */
static double largest_error(struct model *model, struct tensor *tensor)
{
    const struct kernels *kernels = model->kernels;
    const double h = 1e-5;
    double largest = 0;
    for (size_t i = 0; i < tensor->count; i++) {
        double value = kernels->get(tensor->value, i);
        kernels->set(tensor->value, i, value + h);
        double above = mean_loss(model);
        kernels->set(tensor->value, i, value - h);
        double below = mean_loss(model);
        kernels->set(tensor->value, i, value);
        double error = fabs((above - below) / (2 * h) - kernels->get(tensor->gradient, i));
        largest = error > largest || isnan(error) ? error : largest;
    }
    return largest;
}

static int differences_agree(struct model *model)
{
    unsigned char pixels[INPUTS];
    ronde_train_random stream;
    ronde_train_random_init(&stream, 1, 256, 0);
    for (size_t row = 0; row < ROWS; row++) {
        for (int i = 0; i < INPUTS; i++)
            pixels[i] = (unsigned char)ronde_train_random_below(&stream, 17);
        model_load(model, row, pixels, 1.0 / 16,
                   (unsigned char)ronde_train_random_below(&stream, LABELS));
    }
    model_initialise(model, 1);
    mean_loss(model);
    for (int layer = model->layers - 1; layer >= 0; layer--) {
        model_gradient(model, layer, ROWS);
        if (layer > 0)
            model_pass_down(model, layer, ROWS);
    }
    for (int i = 0; i < model_tensors(model); i++)
        if (!(largest_error(model, &model->tensor[i]) < 1e-8))
            return 0;
    return 1;
}

static int gradients_agree_with_finite_differences(void)
{
    static const size_t hidden[2] = {9, 5};
    struct model model;
    int good = model_create(&model, &kernels_float64, INPUTS, hidden, 2, LABELS, ROWS) == 0;
    for (int i = 0; good && i < model_tensors(&model); i++)
        good = (model.tensor[i].gradient = malloc(model.tensor[i].count * sizeof(double))) != NULL;
    good = good && differences_agree(&model);
    for (int i = 0; i < MODEL_TENSORS; i++)
        free(model.tensor[i].gradient);
    model_free(&model);
    return good;
}

static int report(const char *what, int good)
{
    printf("%-42s %s\n", what, good ? "yes" : "NO");
    return !good;
}

int selfcheck(void)
{
    return report("gradients agree with finite differences",
                  gradients_agree_with_finite_differences());
}
