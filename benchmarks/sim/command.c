/* The command line, in the manner of ronde-perf's. */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ronde.h"

enum option_letter {
    OPTION_RANKS = 256,
    OPTION_PER_NODE,
    OPTION_ALGO,
    OPTION_MODEL,
    OPTION_ALPHA,
    OPTION_BETA,
    OPTION_GAMMA,
    OPTION_OVERHEAD,
    OPTION_GAP,
    OPTION_NODE,
    OPTION_EAGER,
    OPTION_SHARING,
    OPTION_BETA_IN,
    OPTION_BUFFER,
    OPTION_ELEMENT,
    OPTION_SWITCH,
    OPTION_UPLINK,
    OPTION_ROWS,
    OPTION_TENSORS,
    OPTION_RECORD,
    OPTION_WITHIN,
    OPTION_JSON
};

static const struct option long_options[] = {{"ranks", required_argument, NULL, OPTION_RANKS},
                                             {"ranks-per-node", required_argument, NULL,
                                              OPTION_PER_NODE},
                                             {"minbytes", required_argument, NULL, 'b'},
                                             {"maxbytes", required_argument, NULL, 'e'},
                                             {"stepfactor", required_argument, NULL, 'f'},
                                             {"algo", required_argument, NULL, OPTION_ALGO},
                                             {"model", required_argument, NULL, OPTION_MODEL},
                                             {"alpha", required_argument, NULL, OPTION_ALPHA},
                                             {"beta", required_argument, NULL, OPTION_BETA},
                                             {"gamma", required_argument, NULL, OPTION_GAMMA},
                                             {"overhead", required_argument, NULL, OPTION_OVERHEAD},
                                             {"gap", required_argument, NULL, OPTION_GAP},
                                             {"node", required_argument, NULL, OPTION_NODE},
                                             {"eager", required_argument, NULL, OPTION_EAGER},
                                             {"beta-in", required_argument, NULL, OPTION_BETA_IN},
                                             {"sharing", required_argument, NULL, OPTION_SHARING},
                                             {"wire-buffer", required_argument, NULL,
                                              OPTION_BUFFER},
                                             {"element", required_argument, NULL, OPTION_ELEMENT},
                                             {"switch", required_argument, NULL, OPTION_SWITCH},
                                             {"uplink", required_argument, NULL, OPTION_UPLINK},
                                             {"rows", required_argument, NULL, OPTION_ROWS},
                                             {"tensors", required_argument, NULL, OPTION_TENSORS},
                                             {"record", required_argument, NULL, OPTION_RECORD},
                                             {"within", required_argument, NULL, OPTION_WITHIN},
                                             {"json", required_argument, NULL, OPTION_JSON},
                                             {"help", no_argument, NULL, 'h'},
                                             {NULL, 0, NULL, 0}};

/* A whole number from 1 to `most`, or one with K, M or G. */
static int read_size(const char *text, size_t most, size_t *value)
{
    static const char units[] = "KMG";
    if (!isdigit((unsigned char)text[0]))
        return -1;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (errno || (*end && (!unit || end[1])))
        return -1;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (number == 0 || number > most >> shift)
        return -1;
    *value = (size_t)number << shift;
    return 0;
}

/* At least 0, and below a million, which keeps a century of picoseconds away. */
static int read_number(const char *text, double scale, double *value)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= 0) || number > 1e6)
        return -1;
    *value = number * scale;
    return 0;
}

static int read_time(const char *text, int64_t *ps)
{
    double value;
    if (read_number(text, 1e6, &value))
        return -1;
    *ps = llround(value);
    return 0;
}

static int read_algo(const char *text, int *algo)
{
    if (strcmp(text, "auto") == 0 || strcmp(text, "all") == 0) {
        *algo = text[1] == 'u' ? ALGO_AUTO : ALGO_ALL;
        return 0;
    }
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        if (ronde__algorithms[a].is_allreduce && strcmp(ronde__algorithms[a].name, text) == 0) {
            *algo = a;
            return 0;
        }
    return -1;
}

static int read_method(const char *text, enum method *method)
{
    static const char *const names[] = {"auto", "events", "formula"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *method = (enum method)i;
            return 0;
        }
    return -1;
}

static int read_sharing(const char *text, enum sharing *sharing)
{
    static const char *const names[] = {"connection", "message", "card"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *sharing = (enum sharing)i;
            return 0;
        }
    return -1;
}

/* What a size of memory may be: counts of bytes are 63 bits wide, and times of them too. */
#define MOST_BYTES ((size_t)1 << 40)

static int read_model(struct command *c, int letter, const char *text)
{
    size_t nodes;
    switch (letter) {
    case OPTION_ALPHA: return read_number(text, 1, &c->alpha_us);
    case OPTION_BETA: return read_number(text, 1e3, &c->model.byte_ps);
    case OPTION_GAMMA: return read_number(text, 1e3, &c->model.reduce_ps);
    case OPTION_OVERHEAD: return read_time(text, &c->model.overhead);
    case OPTION_GAP: return read_time(text, &c->model.gap);
    case OPTION_NODE: return read_number(text, 1e3, &c->model.node_ps);
    case OPTION_UPLINK: return read_number(text, 1e3, &c->model.uplink_ps);
    case OPTION_EAGER: return read_size(text, MOST_BYTES, &c->model.eager_bytes);
    case OPTION_BETA_IN: return read_number(text, 1e3, &c->model.in_ps);
    case OPTION_SHARING: return read_sharing(text, &c->model.sharing);
    case OPTION_SWITCH:
        if (read_size(text, 1 << 20, &nodes))
            return -1;
        c->model.switch_nodes = (int)nodes;
        return 0;
    default: return -1;
    }
}

static int read_option(struct command *c, int letter, const char *text)
{
    switch (letter) {
    case OPTION_RANKS: return read_size(text, 1 << 20, &c->ranks);
    case OPTION_PER_NODE: return read_size(text, 1 << 20, &c->ranks_per_node);
    case 'b': return read_size(text, MOST_BYTES, &c->begin_bytes);
    case 'e': return read_size(text, MOST_BYTES, &c->end_bytes);
    case 'f': return read_size(text, 1 << 20, &c->factor);
    case OPTION_ALGO: return read_algo(text, &c->algo);
    case OPTION_MODEL: return read_method(text, &c->method);
    case OPTION_BUFFER: return read_size(text, MOST_BYTES, &c->buffer_bytes);
    case OPTION_ELEMENT: return read_size(text, 64, &c->element_bytes);
    case OPTION_ROWS: return ronde__select_read_as(&c->table, text, "--rows");
    case OPTION_TENSORS: return read_size(text, 1 << 20, &c->tensors);
    case OPTION_RECORD: return read_size(text, 1 << 20, &c->record_bytes);
    case OPTION_WITHIN: return read_number(text, 1, &c->within);
    case OPTION_JSON: c->json = text; return 0;
    default: return read_model(c, letter, text);
    }
}

/* What select.c's default rows were made from, and what the library does by default. */
static void set_defaults(struct command *c)
{
    *c = (struct command){.ranks_per_node = 1,
                          .begin_bytes = 1 << 10,
                          .end_bytes = 256 << 20,
                          .factor = 4,
                          .element_bytes = 4,
                          .buffer_bytes = 4 << 20,
                          .tensors = 1,
                          .record_bytes = 64,
                          .algo = ALGO_AUTO,
                          .within = -1,
                          .alpha_us = 50,
                          .model = {.byte_ps = 8000, .in_ps = -1, .eager_bytes = 64 << 10}};
    ronde__select_read(&c->table, NULL);
}

static int task_of(const char *text)
{
    static const char *const names[] = {"allreduce", "negotiate", "select"};
    for (int i = 0; i < 3; i++)
        if (text && strcmp(text, names[i]) == 0)
            return TASK_ALLREDUCE + i;
    return 0;
}

/* A card takes some time, so that others can be so many times as fast. */
#define LEAST_BYTE_PS 1e-3

/* What options say together. */
static int settle(struct command *c, char *error, size_t error_bytes)
{
    int64_t rest = llround(c->alpha_us * 1e6) - 2 * c->model.overhead - c->model.gap;
    c->model.latency = rest;
    if (c->model.byte_ps < LEAST_BYTE_PS)
        c->model.byte_ps = LEAST_BYTE_PS;
    if (c->model.in_ps < 0)
        c->model.in_ps = c->model.byte_ps;
    if (c->ranks == 0)
        return snprintf(error, error_bytes, "say how many ranks: --ranks P");
    if (c->ranks % c->ranks_per_node)
        return snprintf(error, error_bytes, "%zu ranks are no whole nodes of %zu ranks", c->ranks,
                        c->ranks_per_node);
    if (rest < 0)
        return snprintf(error, error_bytes,
                        "alpha (%g us) has in it twice the overhead and the gap, which are more",
                        c->alpha_us);
    if (c->begin_bytes > c->end_bytes)
        return snprintf(error, error_bytes, "-b %zu is more than -e %zu", c->begin_bytes,
                        c->end_bytes);
    if (c->factor < 2)
        return snprintf(error, error_bytes, "-f %zu: sizes must grow", c->factor);
    return 0;
}

static int refuse_value(int letter, char **argv, char *error, size_t error_bytes)
{
    if (letter == OPTION_ROWS)
        snprintf(error, error_bytes, "%s", ronde_last_error());
    else /* "--name value" are two words, "--name=value" and "-b4K" are one */
        snprintf(error, error_bytes, "cannot use '%s' of %s", optarg,
                 argv[optind - 1] == optarg ? argv[optind - 2] : argv[optind - 1]);
    return -1;
}

int command_parse(struct command *c, int argc, char **argv, char *error, size_t error_bytes)
{
    int letter, index = 0;
    set_defaults(c);
    opterr = 0;
    while ((letter = getopt_long(argc, argv, ":b:e:f:h", long_options, &index)) >= 0) {
        if (letter == 'h')
            c->help = 1;
        else if (letter == '?' || letter == ':')
            return snprintf(error, error_bytes, "%s '%s' (see --help)",
                            letter == ':' ? "no value for" : "unknown option", argv[optind - 1]),
                   -1;
        else if (read_option(c, letter, optarg))
            return refuse_value(letter, argv, error, error_bytes);
    }
    c->task = task_of(argv[optind]);
    if (c->help)
        return 0;
    if (!c->task)
        return snprintf(error, error_bytes, "'%s' is none of allreduce, negotiate, select",
                        argv[optind] ? argv[optind] : ""),
               -1;
    if (argv[optind + 1])
        return snprintf(error, error_bytes, "cannot use '%s'", argv[optind + 1]), -1;
    return settle(c, error, error_bytes) ? -1 : 0;
}

static const char help_text[] =
    "usage: ronde-sim allreduce|negotiate|select --ranks P [option ...]\n"
    "Predicts times, messages and bytes on a modelled machine; see ronde-sim(1) and\n"
    "docs/simulation.md. allreduce: a row a size. negotiate: one round of the leaders, and an idle\n"
    "job. select: for each size the best algorithm, and how far the one that Ronde chooses is from\n"
    "it.\n"
    "\n"
    "  --ranks P, --ranks-per-node K  K ranks (1) share a node's card\n"
    "  -b, --minbytes SIZE, -e, --maxbytes SIZE, -f, --stepfactor N  sizes (1K to 256M by 4)\n"
    "  --algo NAME       ring, doubling, circulant, auto (what Ronde chooses), or all (auto)\n"
    "  --rows TEXT       rows that come before the default ones, as RONDE_ALLREDUCE has them\n"
    "  --model WHICH     events, formula, or auto: events up to 300000 messages (auto)\n"
    "  --json FILE       write an array with an object a row\n"
    "  --within PERCENT  select: end with 1 where a choice is further from the best\n"
    "  -h, --help        print this\n"
    "\n"
    "the machine\n"
    "  --alpha US        an empty message, from start to end (50)\n"
    "  --overhead US     of alpha, what each side's CPU is busy with it (0)\n"
    "  --gap US          of alpha, what a card is busy with it (0)\n"
    "  --beta NS         of a card, a byte (8: 1 Gbit/s); --beta-in NS: one that comes in (beta; 0:\n"
    "                    as fast as you like)\n"
    "  --sharing WHO     shares links: connections, in which messages go one after the other; all\n"
    "                    messages; or cards, which send one after the other (connection | message |\n"
    "                    card)\n"
    "  --gamma NS        of a CPU, a byte that comes in and is reduced (0)\n"
    "  --node NS         a byte of the tensor in the node's stages around the wire (0)\n"
    "  --switch N        N nodes a switch (all), --uplink NS: a byte of its link to the others (0)\n"
    "  --eager SIZE      longer messages go by rendezvous (64K)\n"
    "\n"
    "the library\n"
    "  --wire-buffer SIZE          the setting wire_buffer_bytes (4M)\n"
    "  --element BYTES             of the data type (4)\n"
    "  --tensors N, --record BYTES negotiate: N records (1) of so many bytes (64) each way\n";

void command_help(FILE *to)
{
    fputs(help_text, to);
}
