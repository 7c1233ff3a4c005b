#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_code {
    OPTION_FP64 = 256,
    OPTION_PRIVATE,
    OPTION_EPOCHS,
    OPTION_RATE,
    OPTION_HIDDEN,
    OPTION_BATCH,
    OPTION_SEED,
    OPTION_DATA,
    OPTION_LOSSES,
    OPTION_QUIET,
    OPTION_NO_REFERENCE,
    OPTION_CHECK,
    OPTION_HELP
};

static const struct option table[] = {
    {"fp64", no_argument, NULL, OPTION_FP64},
    {"private", no_argument, NULL, OPTION_PRIVATE},
    {"epochs", required_argument, NULL, OPTION_EPOCHS},
    {"lr", required_argument, NULL, OPTION_RATE},
    {"hidden", required_argument, NULL, OPTION_HIDDEN},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"data", required_argument, NULL, OPTION_DATA},
    {"losses", required_argument, NULL, OPTION_LOSSES},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"no-reference", no_argument, NULL, OPTION_NO_REFERENCE},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

void options_help(void)
{
    puts("digits - trains a small network on handwritten digits, data-parallel over all ranks\n"
         "\n"
         "usage: mpirun -np N digits [options]\n"
         "\n"
         "  --data DIR      MNIST's four IDX files, instead of the digits that come with Ronde\n"
         "  --epochs N      passes over the training data (30)\n"
         "  --batch N       samples per step, of all ranks together (64)\n"
         "  --lr X          learning rate of SGD with momentum 0.9 (0.1)\n"
         "  --hidden A,B    widths of the hidden layers, 1 to 7 of them (64,32)\n"
         "  --seed N        of the first parameters and the order of the samples (1)\n"
         "  --fp64          compute in float64 (float32)\n"
         "  --private       gradients in malloc'd memory instead of the node's shared segment\n"
         "  --losses FILE   write the loss of every step, one per line\n"
         "  --no-reference  leave out the run on one rank that the result is compared with\n"
         "  --quiet         print the final lines only\n"
         "  --check         check the program's own arithmetic, without MPI, and exit\n"
         "  --help          this text");
}

static void set_defaults(struct options *options)
{
    *options = (struct options){.hidden = {64, 32},
                                .hidden_layers = 2,
                                .epochs = 30,
                                .batch = 64,
                                .rate = 0.1,
                                .momentum = 0.9,
                                .seed = 1};
}

/* A whole number from `lowest` to `highest`, and nothing behind it but `end`. */
static int read_whole(const char *text, char end, uint64_t lowest, uint64_t highest,
                      uint64_t *number, const char **rest)
{
    char *after;
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    unsigned long long value = strtoull(text, &after, 10);
    if (errno || (*after && *after != end) || value < lowest || value > highest)
        return -1;
    *number = value;
    if (rest)
        *rest = after;
    return 0;
}

static int read_rate(const char *text, double *rate)
{
    char *after;
    double value = strtod(text, &after);
    if (after == text || *after || !isfinite(value) || value <= 0)
        return -1;
    *rate = value;
    return 0;
}

static int read_hidden(const char *text, struct options *options)
{
    int layers = 0;
    for (;; text++) {
        uint64_t width;
        if (layers == HIDDEN_LAYERS || read_whole(text, ',', 1, 65536, &width, &text))
            return -1;
        options->hidden[layers++] = (size_t)width;
        if (!*text)
            break;
    }
    options->hidden_layers = layers;
    return 0;
}

/* What is wrong with a value: NULL for nothing, or what it should be. */
static const char *take(struct options *options, int code, const char *value)
{
    uint64_t number = 0;
    switch (code) {
    case OPTION_FP64: options->fp64 = 1; return NULL;
    case OPTION_PRIVATE: options->private_memory = 1; return NULL;
    case OPTION_QUIET: options->quiet = 1; return NULL;
    case OPTION_NO_REFERENCE: options->no_reference = 1; return NULL;
    case OPTION_CHECK: options->check = 1; return NULL;
    case OPTION_HELP: options->help = 1; return NULL;
    case OPTION_DATA: options->data = value; return NULL;
    case OPTION_LOSSES: options->losses = value; return NULL;
    case OPTION_RATE: return read_rate(value, &options->rate) ? "a number above 0" : NULL;
    case OPTION_HIDDEN:
        return read_hidden(value, options) ? "1 to 7 widths from 1 to 65536, as in 64,32" : NULL;
    case OPTION_EPOCHS:
        if (read_whole(value, 0, 1, 100000, &number, NULL))
            return "a number from 1 to 100000";
        options->epochs = (int)number;
        return NULL;
    case OPTION_BATCH:
        if (read_whole(value, 0, 1, 1 << 20, &number, NULL))
            return "a number from 1 to 1048576";
        options->batch = (size_t)number;
        return NULL;
    case OPTION_SEED:
        return read_whole(value, 0, 0, UINT64_MAX, &options->seed, NULL) ? "a whole number" : NULL;
    default: return "an option";
    }
}

int options_parse(struct options *options, int argc, char **argv, char *problem,
                  size_t problem_bytes)
{
    set_defaults(options);
    opterr = 0; /* every rank parses; one of them says what is wrong */
    for (;;) {
        int place = -1, at = optind;
        int code = getopt_long(argc, argv, ":", table, &place);
        if (code == -1)
            break;
        if (code == '?' || code == ':') {
            snprintf(problem, problem_bytes, "%s %s; see --help", argv[at],
                     code == ':' ? "needs a value" : "is no option, or an unclear one");
            return -1;
        }
        const char *expected = take(options, code, optarg);
        if (expected) {
            snprintf(problem, problem_bytes, "--%s %s: expected %s", table[place].name, optarg,
                     expected);
            return -1;
        }
    }
    if (optind < argc) {
        snprintf(problem, problem_bytes, "%s: expected options only; see --help", argv[optind]);
        return -1;
    }
    return 0;
}
