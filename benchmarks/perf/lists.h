/* Lists of tensors for `ronde-perf steps`. */
#ifndef RONDE_PERF_LISTS_H
#define RONDE_PERF_LISTS_H

#include <stddef.h>
#include <stdio.h>

#include "work.h"

/* "resnet50"; "1000x1K", so many tensors of so many bytes; or a file with a name and a count of
 * elements a line, # before comments. Tensors start at 64-byte boundaries of one buffer. 0, or -1
 * with one line in `error`. */
int list_make(const char *what, size_t element_bytes, struct pieces *list, char *error,
              size_t error_bytes);

/* The same as one tensor, and one piece in general. */
void list_flat(const struct pieces *list, struct pieces *flat);
void list_single(const char *name, size_t count, size_t bytes, struct pieces *single);

/* In a file's form. */
void list_print(const struct pieces *list, FILE *to);

void list_free(struct pieces *list);

#endif
