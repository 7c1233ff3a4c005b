/* An IDX file is a magic number (0, 0, 8 for bytes, number of dimensions), each dimension as 32
 * bits big-endian, and the elements. http://yann.lecun.com/exdb/mnist/ */
#include "dataset.h"

#include <errno.h>
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
    char path[1200];
    FILE *file;
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

static int open_file(struct reader *reader, const char *folder, const char *name)
{
    snprintf(reader->path, sizeof reader->path, "%s/%s", folder, name);
    reader->file = fopen(reader->path, "rb");
    if (!reader->file)
        return fail(reader,
                    "%s; the folder must hold MNIST's four IDX files, or a copy of "
                    "those in " OWN_FOLDER,
                    strerror(errno));
    return 0;
}

static int read_number(struct reader *reader, uint32_t *number)
{
    unsigned char b[4];
    if (fread(b, 1, 4, reader->file) != 4)
        return fail(reader, "ends within its header");
    *number = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return 0;
}

static int read_header(struct reader *reader, int dimensions, uint32_t *sizes)
{
    uint32_t magic, expected = 0x800u + (uint32_t)dimensions;
    if (read_number(reader, &magic))
        return -1;
    if (magic >> 16 == 0x1f8b)
        return fail(reader, "is compressed by gzip; decompress it with gunzip");
    if (magic != expected)
        return fail(reader,
                    "starts with 0x%08x, where an IDX file of bytes in %d dimension%s "
                    "starts with 0x%08x",
                    magic, dimensions, dimensions > 1 ? "s" : "", expected);
    for (int i = 0; i < dimensions; i++) {
        if (read_number(reader, &sizes[i]))
            return -1;
        if (sizes[i] == 0)
            return fail(reader, "dimension %d is 0", i);
    }
    return 0;
}

/* Everything after the header: exactly `bytes`, or the file is not what its header says. */
static int read_body(struct reader *reader, size_t bytes, unsigned char **body)
{
    long start = ftell(reader->file), end;
    if (start < 0 || fseek(reader->file, 0, SEEK_END) || (end = ftell(reader->file)) < 0 ||
        fseek(reader->file, start, SEEK_SET))
        return fail(reader, "%s", strerror(errno));
    if ((size_t)(end - start) != bytes)
        return fail(reader, "has %ld bytes after its header, which promises %zu", end - start,
                    bytes);
    *body = malloc(bytes);
    if (!*body)
        return fail(reader, "no memory for its %zu bytes", bytes);
    if (fread(*body, 1, bytes, reader->file) != bytes)
        return fail(reader, "could be read in part only");
    return 0;
}

static int read_images(struct reader *reader, struct dataset *data, struct samples *samples)
{
    uint32_t sizes[3];
    if (read_header(reader, 3, sizes))
        return -1;
    if (sizes[1] > 4096 || sizes[2] > 4096 || sizes[0] > INT32_MAX)
        return fail(reader, "claims %u images of %ux%u pixels, more than this program reads",
                    sizes[0], sizes[1], sizes[2]);
    if (data->inputs && (sizes[1] != data->height || sizes[2] != data->width))
        return fail(reader, "has images of %ux%u pixels, while those for training have %zux%zu",
                    sizes[1], sizes[2], data->height, data->width);
    data->height = sizes[1];
    data->width = sizes[2];
    data->inputs = data->height * data->width;
    samples->count = sizes[0];
    return read_body(reader, samples->count * data->inputs, &samples->pixels);
}

static int read_labels(struct reader *reader, struct samples *samples)
{
    uint32_t count;
    if (read_header(reader, 1, &count))
        return -1;
    if (count != samples->count)
        return fail(reader, "has %u labels for %zu images", count, samples->count);
    if (read_body(reader, count, &samples->labels))
        return -1;
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
    if (open_file(reader, data->folder, name))
        return -1;
    int result = read_images(reader, data, samples);
    fclose(reader->file);
    if (result)
        return result;
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
    if (open_file(reader, data->folder, name))
        return -1;
    result = read_labels(reader, samples);
    fclose(reader->file);
    return result;
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

int dataset_read(struct dataset *data, const char *folder, char *problem, size_t problem_bytes)
{
    struct reader reader = {.problem = problem, .problem_bytes = problem_bytes};
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
    free(data->train.pixels);
    free(data->train.labels);
    free(data->test.pixels);
    free(data->test.labels);
    memset(data, 0, sizeof *data);
}
