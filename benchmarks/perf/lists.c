#include "lists.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* -1 where memory is out. Counts only; places are given at the end. */
static int add(struct pieces *list, const char *name, size_t count)
{
    if (list->number % 64 == 0) {
        void *more = realloc(list->at, (list->number + 64) * sizeof *list->at);
        if (!more)
            return -1;
        list->at = more;
    }
    struct piece *piece = &list->at[list->number++];
    *piece = (struct piece){.count = count};
    snprintf(piece->name, sizeof piece->name, "%s", name);
    list->count += count;
    return 0;
}

/* Gradients become known from the last layer to the first. */
static void reverse(struct pieces *list)
{
    for (size_t i = 0, j = list->number; i + 1 < j; i++) {
        struct piece last = list->at[--j];
        list->at[j] = list->at[i];
        list->at[i] = last;
    }
}

/* Returns the end of the last piece, or SIZE_MAX where that is more than memory has bytes. */
static size_t place(struct pieces *list, size_t element_bytes)
{
    size_t end = 0;
    for (size_t i = 0; i < list->number; i++) {
        struct piece *piece = &list->at[i];
        piece->offset_bytes = (end + 63) / 64 * 64;
        if (piece->count > (PTRDIFF_MAX - piece->offset_bytes) / element_bytes)
            return SIZE_MAX;
        end = piece->offset_bytes + piece->count * element_bytes;
    }
    return end;
}

/* A convolution without bias, and the weight and bias of the batch normalisation behind it. */
static int add_convolution(struct pieces *list, const char *block, const char *convolution,
                           const char *norm, size_t in, size_t out, size_t width)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s.weight", block, convolution);
    int bad = add(list, name, out * in * width * width);
    snprintf(name, sizeof name, "%s%s.weight", block, norm);
    bad |= add(list, name, out);
    snprintf(name, sizeof name, "%s%s.bias", block, norm);
    return bad | add(list, name, out);
}

/* 1x1 to `middle` channels, 3x3, 1x1 to four times as many; the first of a layer also has a 1x1
 * on the way around. */
static int add_bottleneck(struct pieces *list, int layer, int index, size_t in, size_t middle)
{
    char block[32];
    snprintf(block, sizeof block, "layer%d.%d.", layer, index);
    int bad = add_convolution(list, block, "conv1", "bn1", in, middle, 1);
    bad |= add_convolution(list, block, "conv2", "bn2", middle, middle, 3);
    bad |= add_convolution(list, block, "conv3", "bn3", middle, 4 * middle, 1);
    if (index == 0)
        bad |= add_convolution(list, block, "downsample.0", "downsample.1", in, 4 * middle, 1);
    return bad;
}

/* He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1, the
 * 50-layer column: 161 tensors, 25 557 032 elements. */
static int make_resnet50(struct pieces *list)
{
    static const int blocks[] = {3, 4, 6, 3};
    int bad = add_convolution(list, "", "conv1", "bn1", 3, 64, 7);
    size_t in = 64, middle = 64;
    for (int layer = 0; layer < 4; layer++, middle *= 2)
        for (int block = 0; block < blocks[layer]; block++, in = 4 * middle)
            bad |= add_bottleneck(list, layer + 1, block, in, middle);
    bad |= add(list, "fc.weight", in * 1000) | add(list, "fc.bias", 1000);
    reverse(list);
    return bad;
}

/* 1 where `what` is no such text, 0 where it is. */
static int make_many(const char *what, size_t element_bytes, struct pieces *list)
{
    char number_text[24], name[64];
    size_t digits = strspn(what, "0123456789"), number, bytes;
    if (!digits || digits >= sizeof number_text || what[digits] != 'x')
        return 1;
    memcpy(number_text, what, digits);
    number_text[digits] = 0;
    if (options_size(number_text, &number) || options_size(what + digits + 1, &bytes))
        return 1;
    if (!number || number > 10000000 || bytes < element_bytes)
        return 1;
    for (size_t i = 0; i < number; i++) {
        snprintf(name, sizeof name, "tensor.%zu", i);
        if (add(list, name, bytes / element_bytes))
            return 1;
    }
    return 0;
}

static int read_line(char *line, struct pieces *list)
{
    char *name, *count_text, *rest;
    size_t count;
    line[strcspn(line, "#\r\n")] = 0;
    if (!(name = strtok_r(line, " \t", &rest)))
        return 0;
    count_text = strtok_r(NULL, " \t", &rest);
    if (!count_text || options_size(count_text, &count) || count == 0 ||
        strtok_r(NULL, " \t", &rest))
        return -1;
    return strlen(name) >= sizeof list->at->name ? -1 : add(list, name, count);
}

static int read_file(const char *path, struct pieces *list, char *error, size_t error_bytes)
{
    FILE *file = fopen(path, "r");
    char line[256];
    int bad = 0;
    if (!file) {
        snprintf(error, error_bytes, "list '%s' is not resnet50, not NUMBERxSIZE, and no file: %s",
                 path, strerror(errno));
        return -1;
    }
    for (int number = 1; !bad && fgets(line, sizeof line, file); number++)
        if ((bad = read_line(line, list)))
            snprintf(error, error_bytes,
                     "%s:%d is not 'NAME COUNT' with a name of at most 63 "
                     "bytes and a count of at least 1",
                     path, number);
    fclose(file);
    if (!bad && !list->number) {
        snprintf(error, error_bytes, "list '%s' names no tensor", path);
        bad = -1;
    }
    return bad;
}

int list_make(const char *what, size_t element_bytes, struct pieces *list, char *error,
              size_t error_bytes)
{
    *list = (struct pieces){0};
    int bad = 0;
    if (!strcmp(what, "resnet50")) {
        if ((bad = make_resnet50(list)))
            snprintf(error, error_bytes, "out of memory");
    } else if (make_many(what, element_bytes, list)) {
        list_free(list);
        bad = read_file(what, list, error, error_bytes);
    }
    if (!bad) {
        list->span_bytes = place(list, element_bytes);
        if ((bad = list->span_bytes == SIZE_MAX))
            snprintf(error, error_bytes, "the tensors of list '%s' exceed memory", what);
    }
    if (bad)
        list_free(list);
    return bad ? -1 : 0;
}

void list_single(const char *name, size_t count, size_t bytes, struct pieces *single)
{
    *single = (struct pieces){0};
    if (add(single, name, count))
        die("out of memory");
    single->span_bytes = bytes;
}

void list_flat(const struct pieces *list, struct pieces *flat)
{
    list_single("flat", list->count, list->span_bytes, flat);
}

void list_print(const struct pieces *list, FILE *to)
{
    for (size_t i = 0; i < list->number; i++)
        fprintf(to, "%s %zu\n", list->at[i].name, list->at[i].count);
}

void list_free(struct pieces *list)
{
    free(list->at);
    *list = (struct pieces){0};
}
