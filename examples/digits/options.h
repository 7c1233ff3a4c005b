/* The command line. */
#ifndef DIGITS_OPTIONS_H
#define DIGITS_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum { HIDDEN_LAYERS = 7 };

struct options {
    const char *data;   /* NULL: the digits that come with Ronde */
    const char *losses; /* NULL, or the file for the losses of all steps */
    size_t hidden[HIDDEN_LAYERS];
    int hidden_layers;
    int epochs;
    size_t batch; /* of all ranks together */
    double rate, momentum;
    uint64_t seed;
    int fp64, private_memory, quiet, no_reference;
    int help, check;
};

/* 0, or -1 with a sentence in `problem`. */
int options_parse(struct options *options, int argc, char **argv, char *problem,
                  size_t problem_bytes);
void options_help(void);

#endif
