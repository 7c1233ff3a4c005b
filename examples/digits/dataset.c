/* The files are IDX, which ronde_train_data_open knows; here is what digits must be besides. */
#include "dataset.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN_FOLDER "examples/data/digits"
#define FIRST_FILE "train-images-idx3-ubyte"

/* One file while it is read, and where to say what is wrong with it. */
struct reader {
    ronde_context *context;
    char path[1200];
    char *problem;
    size_t problem_bytes;
};

static int fail(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct reader *reader, const char *format, ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    snprintf(reader->problem, reader->problem_bytes, "%s: %s", reader->path, reason);
    return -1;
}

/* One of the four files; every rank reads it, and all hear of it where one cannot. */
static int read_file(struct reader *reader, const char *folder, const char *name,
                     int32_t dimensions, ronde_train_data **file)
{
    int32_t found;
    size_t shape[3];
    snprintf(reader->path, sizeof reader->path, "%s/%s", folder, name);
    if (ronde_train_data_open(reader->context, reader->path, NULL, file) != RONDE_OK) {
        snprintf(reader->problem, reader->problem_bytes, "%s", ronde_last_error());
        return -1;
    }
    ronde_train_data_shape(*file, shape, 3, &found);
    if (found != dimensions || ronde_train_data_dtype(*file) != RONDE_UINT8 || shape[0] == 0)
        return fail(reader, "has %zu rows of %s in %d dimensions, where bytes in %d are expected",
                    shape[0], ronde_dtype_name(ronde_train_data_dtype(*file)), (int)found,
                    (int)dimensions);
    return 0;
}

static int check_images(struct reader *reader, struct dataset *data, struct samples *samples)
{
    size_t shape[3];
    int32_t dimensions;
    ronde_train_data_shape(samples->images_file, shape, 3, &dimensions);
    if (data->inputs && (shape[1] != data->height || shape[2] != data->width))
        return fail(reader, "has images of %zux%zu pixels, while those for training have %zux%zu",
                    shape[1], shape[2], data->height, data->width);
    data->height = shape[1];
    data->width = shape[2];
    data->inputs = ronde_train_data_row_count(samples->images_file);
    samples->pixels = ronde_train_data_values(samples->images_file, NULL, &samples->count);
    return 0;
}

static int check_labels(struct reader *reader, struct samples *samples)
{
    size_t count;
    samples->labels = ronde_train_data_values(samples->labels_file, NULL, &count);
    if (count != samples->count)
        return fail(reader, "has %zu labels for %zu images", count, samples->count);
    for (size_t i = 0; i < count; i++)
        if (samples->labels[i] >= CLASSES)
            return fail(reader, "label %zu is %u, not a digit", i, samples->labels[i]);
    return 0;
}

/* One part of the data: the files that begin with `prefix`. */
static int read_part(struct reader *reader, struct dataset *data, const char *prefix,
                     struct samples *samples)
{
    char name[64];
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix);
    if (read_file(reader, data->folder, name, 3, &samples->images_file) ||
        check_images(reader, data, samples))
        return -1;
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
    return read_file(reader, data->folder, name, 1, &samples->labels_file) ||
                   check_labels(reader, samples)
               ? -1
               : 0;
}

/* The folder and up to four above the executable's, so that build/bin/digits finds the checkout
 * it was built in from wherever it is started. */
static int find_above_executable(char *folder, size_t folder_bytes)
{
    char path[900], candidate[1000];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return -1;
    path[length] = '\0';
    for (int level = 0; level < 5; level++) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return -1;
        *slash = '\0';
        snprintf(candidate, sizeof candidate, "%s/" OWN_FOLDER "/" FIRST_FILE, path);
        if (access(candidate, R_OK) == 0) {
            snprintf(folder, folder_bytes, "%s/" OWN_FOLDER, path);
            return 0;
        }
    }
    return -1;
}

static int find_own_folder(struct reader *reader, struct dataset *data)
{
    snprintf(reader->path, sizeof reader->path, "%s", OWN_FOLDER);
    if (access(OWN_FOLDER "/" FIRST_FILE, R_OK) == 0) {
        snprintf(data->folder, sizeof data->folder, "%s", OWN_FOLDER);
        return 0;
    }
    if (find_above_executable(data->folder, sizeof data->folder))
        return fail(reader, "neither below the current folder nor above the executable; name the "
                            "folder of the IDX files by --data");
    return 0;
}

static int find_scale(struct reader *reader, struct dataset *data)
{
    unsigned char largest = 0;
    for (size_t i = 0; i < data->train.count * data->inputs; i++)
        if (data->train.pixels[i] > largest)
            largest = data->train.pixels[i];
    snprintf(reader->path, sizeof reader->path, "%s/" FIRST_FILE, data->folder);
    if (largest == 0)
        return fail(reader, "all pixels are 0: nothing can be learnt from it");
    data->scale = 1.0 / largest;
    return 0;
}

int dataset_read(struct dataset *data, ronde_context *context, const char *folder, char *problem,
                 size_t problem_bytes)
{
    struct reader reader = {.context = context, .problem = problem, .problem_bytes = problem_bytes};
    memset(data, 0, sizeof *data);
    data->is_own = !folder;
    if (folder)
        snprintf(data->folder, sizeof data->folder, "%s", folder);
    else if (find_own_folder(&reader, data))
        return -1;
    if (read_part(&reader, data, "train", &data->train) ||
        read_part(&reader, data, "t10k", &data->test))
        return -1;
    return find_scale(&reader, data);
}

void dataset_free(struct dataset *data)
{
    ronde_train_data_close(&data->train.images_file);
    ronde_train_data_close(&data->train.labels_file);
    ronde_train_data_close(&data->test.images_file);
    ronde_train_data_close(&data->test.labels_file);
    memset(data, 0, sizeof *data);
}
