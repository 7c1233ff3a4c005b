#include "selfcheck.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 7, INPUTS = 6, LABELS = 10 };

/* Known answers that Philox' authors publish with Random123 (kat_vectors, philox4x32 10). */
static int philox_gives_the_published_numbers(void)
{
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t got[4];
        philox_block(known[i].counter, known[i].key, got);
        if (memcmp(got, known[i].expected, sizeof got) != 0)
            return 0;
    }
    return 1;
}

static int an_order_holds_every_sample_once(void)
{
    enum { COUNT = 1437 };
    uint32_t order[COUNT], again[COUNT];
    unsigned char seen[COUNT] = {0};
    philox_permutation(5, 3, order, COUNT);
    philox_permutation(5, 3, again, COUNT);
    if (memcmp(order, again, sizeof order) != 0)
        return 0;
    for (int i = 0; i < COUNT; i++)
        if (order[i] >= COUNT || seen[order[i]]++)
            return 0;
    philox_permutation(5, 4, again, COUNT);
    return memcmp(order, again, sizeof order) != 0;
}

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
    struct philox stream;
    philox_start(&stream, 1, PHILOX_CHECK, 0);
    for (size_t row = 0; row < ROWS; row++) {
        for (int i = 0; i < INPUTS; i++)
            pixels[i] = (unsigned char)philox_below(&stream, 17);
        model_load(model, row, pixels, 1.0 / 16, (unsigned char)philox_below(&stream, LABELS));
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
    int bad = report("philox gives the published numbers", philox_gives_the_published_numbers());
    bad |= report("an order holds every sample once", an_order_holds_every_sample_once());
    bad |= report("gradients agree with finite differences",
                  gradients_agree_with_finite_differences());
    return bad;
}
