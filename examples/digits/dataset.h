/* Images and labels from IDX files, the format of MNIST. */
#ifndef DIGITS_DATASET_H
#define DIGITS_DATASET_H

#include <stddef.h>

#include "ronde_train.h"

enum { CLASSES = 10 };

struct samples {
    size_t count;
    const unsigned char *pixels; /* count images of dataset->inputs bytes each */
    const unsigned char *labels; /* 0 .. CLASSES-1 */
    ronde_train_data *images_file, *labels_file;
};

struct dataset {
    char folder[1024];
    int is_own; /* the digits that come with Ronde, rather than --data */
    size_t height, width, inputs;
    struct samples train, test;
    double scale; /* a pixel times this is an input: 1 / the largest pixel of the training part */
};

/* Collective. Reads train-images-idx3-ubyte and its three companions from `folder`; NULL: the
 * digits that come with Ronde, looked for below the current folder and above the executable. 0, or
 * -1 with a sentence in `problem`, on all ranks. The dataset is released by dataset_free in either
 * case. */
int dataset_read(struct dataset *data, ronde_context *context, const char *folder, char *problem,
                 size_t problem_bytes);
void dataset_free(struct dataset *data);

#endif
