/* The command line: nccl-tests' letters where it has one, long names for the rest. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ronde.h"

/* A word and what it stands for; tables end with a NULL word. */
struct word {
    const char *text;
    int value;
};

static const struct word collectives[] = {{"allreduce", ALLREDUCE},
                                          {"broadcast", BROADCAST},
                                          {"allgather", ALLGATHER},
                                          {"steps", STEPS},
                                          {NULL, 0}};
static const struct word impls[] = {
    {"ronde", IMPL_RONDE}, {"mpi", IMPL_MPI},     {"both", IMPL_RONDE | IMPL_MPI},
    {"gloo", IMPL_GLOO},   {"floor", IMPL_FLOOR}, {NULL, 0},
};
static const struct word paths[] = {{"named", PATH_NAMED},
                                    {"direct", PATH_DIRECT},
                                    {"both", PATH_NAMED | PATH_DIRECT},
                                    {NULL, 0}};
static const struct word memories[] = {{"arena", MEMORY_ARENA},
                                       {"private", MEMORY_PRIVATE},
                                       {"both", MEMORY_ARENA | MEMORY_PRIVATE},
                                       {NULL, 0}};
static const struct word wires[] = {{"as-is", WIRE_AS_IS},
                                    {"float16", WIRE_FLOAT16},
                                    {"bfloat16", WIRE_BFLOAT16},
                                    {NULL, 0}};
static const struct word switches[] = {{"0", 0}, {"1", 1}, {NULL, 0}};
static const struct word levels[] = {{"funneled", MPI_THREAD_FUNNELED},
                                     {"serialized", MPI_THREAD_SERIALIZED},
                                     {"multiple", MPI_THREAD_MULTIPLE},
                                     {NULL, 0}};
static const struct word op_aliases[] = {{"avg", RONDE_AVERAGE},
                                         {"prod", RONDE_PRODUCT},
                                         {NULL, 0}};
static const struct word dtype_aliases[] = {{"half", RONDE_FLOAT16},
                                            {"float", RONDE_FLOAT32},
                                            {"double", RONDE_FLOAT64},
                                            {NULL, 0}};

enum {
    OPTION_BATCH = 256,
    OPTION_PATH,
    OPTION_MEMORY,
    OPTION_IMPL,
    OPTION_ALGO,
    OPTION_WIRE,
    OPTION_IN_PLACE,
    OPTION_LIST,
    OPTION_SHOW_LIST,
    OPTION_JSON,
    OPTION_SETTINGS,
    OPTION_THREADS
};

static const struct option long_options[] = {{"minbytes", required_argument, NULL, 'b'},
                                             {"maxbytes", required_argument, NULL, 'e'},
                                             {"stepfactor", required_argument, NULL, 'f'},
                                             {"stepbytes", required_argument, NULL, 'i'},
                                             {"iters", required_argument, NULL, 'n'},
                                             {"warmup", required_argument, NULL, 'w'},
                                             {"batch", required_argument, NULL, OPTION_BATCH},
                                             {"check", required_argument, NULL, 'c'},
                                             {"op", required_argument, NULL, 'o'},
                                             {"datatype", required_argument, NULL, 'd'},
                                             {"root", required_argument, NULL, 'r'},
                                             {"path", required_argument, NULL, OPTION_PATH},
                                             {"memory", required_argument, NULL, OPTION_MEMORY},
                                             {"impl", required_argument, NULL, OPTION_IMPL},
                                             {"algo", required_argument, NULL, OPTION_ALGO},
                                             {"wire", required_argument, NULL, OPTION_WIRE},
                                             {"in-place", no_argument, NULL, OPTION_IN_PLACE},
                                             {"list", required_argument, NULL, OPTION_LIST},
                                             {"show-list", no_argument, NULL, OPTION_SHOW_LIST},
                                             {"json", required_argument, NULL, OPTION_JSON},
                                             {"settings", required_argument, NULL, OPTION_SETTINGS},
                                             {"threads", required_argument, NULL, OPTION_THREADS},
                                             {"verbose", no_argument, NULL, 'v'},
                                             {"help", no_argument, NULL, 'h'},
                                             {NULL, 0, NULL, 0}};

int options_size(const char *text, size_t *bytes)
{
    static const char units[] = "KMG";
    if (!isdigit((unsigned char)text[0]))
        return -1;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || number > SIZE_MAX)
        return -1;
    size_t value = (size_t)number;
    if (*end) {
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (!unit || end[1])
            return -1;
        int shift = 10 * (int)(unit - units + 1);
        if (value > SIZE_MAX >> shift)
            return -1;
        value <<= shift;
    }
    *bytes = value;
    return 0;
}

static int positive(const char *text, size_t *value)
{
    size_t read;
    if (options_size(text, &read) || read == 0)
        return -1;
    *value = read;
    return 0;
}

static int look_up(const struct word *words, const char *text, int *value)
{
    for (; words->text; words++)
        if (!strcasecmp(words->text, text)) {
            *value = words->value;
            return 0;
        }
    return -1;
}

/* A list with commas; the result is the union of its words. */
static int look_up_set(const struct word *words, const char *text, unsigned *set)
{
    unsigned bits = 0;
    for (;;) {
        char word[16];
        size_t length = strcspn(text, ",");
        int bit;
        if (length >= sizeof word)
            return -1;
        memcpy(word, text, length);
        word[length] = 0;
        if (look_up(words, word, &bit))
            return -1;
        bits |= (unsigned)bit;
        if (!text[length])
            break;
        text += length + 1;
    }
    *set = bits;
    return 0;
}

/* The library's names first, so that a name added there is known here. */
static int look_up_named(const char *(*name)(int32_t), const struct word *aliases, const char *text,
                         int32_t *value)
{
    for (int32_t i = 0; name(i); i++)
        if (!strcasecmp(name(i), text)) {
            *value = i;
            return 0;
        }
    int alias;
    if (look_up(aliases, text, &alias))
        return -1;
    *value = alias;
    return 0;
}

static int parse_root(const char *text, int32_t *root)
{
    size_t value;
    if (options_size(text, &value) || value > INT32_MAX)
        return -1;
    *root = (int32_t)value;
    return 0;
}

/* One option; -1 where its value is bad. */
static int take(struct options *o, int letter, const char *value)
{
    switch (letter) {
    case 'b': return positive(value, &o->begin_bytes);
    case 'e': return positive(value, &o->end_bytes);
    case 'f': return positive(value, &o->factor) || o->factor < 2 ? -1 : 0;
    case 'i': return positive(value, &o->step_bytes);
    case 'n': return positive(value, &o->iterations);
    case 'w': return options_size(value, &o->warmup);
    case OPTION_BATCH: return positive(value, &o->batch);
    case 'c': return look_up(switches, value, &o->check);
    case 'o': return look_up_named(ronde_op_name, op_aliases, value, &o->op);
    case 'd': return look_up_named(ronde_dtype_name, dtype_aliases, value, &o->dtype);
    case 'r': return parse_root(value, &o->root);
    case OPTION_PATH: return look_up_set(paths, value, &o->paths);
    case OPTION_MEMORY: return look_up_set(memories, value, &o->memories);
    case OPTION_IMPL: return look_up_set(impls, value, &o->impls);
    case OPTION_ALGO: o->algos = value; return 0;
    case OPTION_WIRE: return look_up_set(wires, value, &o->wires);
    case OPTION_THREADS: return look_up(levels, value, &o->thread_level);
    case OPTION_IN_PLACE: o->in_place = 1; return 0;
    case OPTION_SHOW_LIST: o->show_list = 1; return 0;
    case OPTION_LIST: o->list = value; return 0;
    case OPTION_JSON: o->json = value; return 0;
    case OPTION_SETTINGS: o->settings = value; return 0;
    case 'v': o->verbose = 1; return 0;
    default: o->help = 1; return 0;
    }
}

static const char *long_name(int letter)
{
    const struct option *option = long_options;
    while (option->val != letter)
        option++;
    return option->name;
}

static int parse_all(struct options *o, int argc, char **argv, char *error, size_t bytes)
{
    int letter;
    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, ":b:e:f:i:n:w:c:o:d:r:vh", long_options, NULL)) >= 0) {
        const char *given = argv[optind - 1];
        if (letter == '?' || letter == ':') {
            snprintf(error, bytes, letter == ':' ? "%s needs a value" : "unknown option %s", given);
            return -1;
        }
        if (take(o, letter, optarg)) {
            snprintf(error, bytes, "bad value '%s' of --%s (see --help)", optarg,
                     long_name(letter));
            return -1;
        }
    }
    return 0;
}

/* What depends on more than one option. */
static int settle(struct options *o, char *error, size_t bytes)
{
    if (!o->paths)
        o->paths = o->collective == STEPS ? PATH_NAMED | PATH_DIRECT : PATH_NAMED;
    if ((o->algos || o->wires != WIRE_AS_IS) && o->collective != ALLREDUCE) {
        snprintf(error, bytes, "--algo and --wire are of allreduce alone");
        return -1;
    }
    if (o->algos && o->memories & MEMORY_ARENA) {
        snprintf(error, bytes,
                 "--algo opens a context for each algorithm, and an arena is one context's: use "
                 "--memory private");
        return -1;
    }
    if (!o->end_bytes)
        o->end_bytes = o->begin_bytes > (64 << 20) ? o->begin_bytes : 64 << 20;
    if (o->begin_bytes > o->end_bytes) {
        snprintf(error, bytes, "the smallest size, %zu (-b), is more than the largest, %zu (-e)",
                 o->begin_bytes, o->end_bytes);
        return -1;
    }
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, char *error, size_t error_bytes)
{
    *o = (struct options){.begin_bytes = 4,
                          .factor = 2,
                          .warmup = 20,
                          .dtype = RONDE_FLOAT32,
                          .op = RONDE_SUM,
                          .check = 1,
                          .impls = IMPL_RONDE,
                          .memories = MEMORY_PRIVATE,
                          .wires = WIRE_AS_IS,
                          .thread_level = MPI_THREAD_SERIALIZED,
                          .list = "resnet50"};
    if (parse_all(o, argc, argv, error, error_bytes))
        return -1;
    if (o->help)
        return 0;
    if (optind >= argc) {
        snprintf(error, error_bytes,
                 "name a collective: allreduce, broadcast, allgather or steps (see --help)");
        return -1;
    }
    if (look_up(collectives, argv[optind], &o->collective)) {
        snprintf(error, error_bytes,
                 "unknown collective '%s': allreduce, broadcast, allgather or steps", argv[optind]);
        return -1;
    }
    if (optind + 1 < argc) {
        snprintf(error, error_bytes, "unexpected argument '%s'", argv[optind + 1]);
        return -1;
    }
    return settle(o, error, error_bytes);
}
