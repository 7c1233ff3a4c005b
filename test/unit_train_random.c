/* Random numbers, shuffles and samplers give what test/train_golden.txt says, line by line; other
 * languages read the same file. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ronde_train.h"

#define GOLDEN "test/train_golden.txt"

/* One line of the file, taken apart word by word. */
struct line {
    char text[4096];
    char *at;
    size_t number;
};

static uint64_t take(struct line *line, int base)
{
    char *end;
    uint64_t value = strtoull(line->at, &end, base);
    if (end == line->at) {
        fprintf(stderr, GOLDEN ":%zu: a number is missing\n", line->number);
        exit(1);
    }
    line->at = end;
    return value;
}

static int at_end(const struct line *line)
{
    return line->at[strspn(line->at, " \n")] == '\0';
}

static void take_words(struct line *line, uint32_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        words[i] = (uint32_t)take(line, 16);
}

static ronde_train_random take_stream(struct line *line)
{
    ronde_train_random stream;
    uint64_t seed = take(line, 10), purpose = take(line, 10), which = take(line, 10);
    ronde_train_random_init(&stream, seed, (uint32_t)purpose, (uint32_t)which);
    return stream;
}

static void philox_is(struct line *line)
{
    uint32_t counter[4], key[2], wanted[4], got[4];
    take_words(line, counter, 4);
    take_words(line, key, 2);
    take_words(line, wanted, 4);
    ronde_train_philox(counter, key, got);
    CHECK_SAYING(!memcmp(got, wanted, sizeof got), GOLDEN ":%zu", line->number);
}

static void words_are(struct line *line)
{
    ronde_train_random stream = take_stream(line);
    stream.position = take(line, 10);
    while (!at_end(line)) {
        uint64_t wanted = take(line, 16);
        CHECK_SAYING(ronde_train_random_word(&stream) == wanted, GOLDEN ":%zu: before %" PRIu64,
                     line->number, stream.position);
    }
}

static void uniform_is(struct line *line)
{
    ronde_train_random stream = take_stream(line);
    stream.position = take(line, 10);
    while (!at_end(line)) {
        double wanted = (double)take(line, 10) * 0x1p-53;
        CHECK_SAYING(ronde_train_random_uniform(&stream) == wanted, GOLDEN ":%zu", line->number);
    }
}

static void below_is(struct line *line)
{
    ronde_train_random stream = take_stream(line);
    uint64_t bound = take(line, 10);
    for (int i = 0; i < 6; i++) {
        uint64_t wanted = take(line, 10), got = ronde_train_random_below(&stream, bound);
        CHECK_SAYING(got == wanted, GOLDEN ":%zu: %" PRIu64 ", not %" PRIu64, line->number, got,
                     wanted);
    }
    CHECK_SAYING(stream.position == take(line, 10), GOLDEN ":%zu: position", line->number);
}

static void shuffle_is(struct line *line)
{
    uint64_t seed = take(line, 10), epoch = take(line, 10), count = take(line, 10);
    size_t order[64];
    ronde_train_shuffle(seed, (uint32_t)epoch, order, (size_t)count);
    for (size_t i = 0; i < count; i++)
        CHECK_SAYING(order[i] == take(line, 10), GOLDEN ":%zu: place %zu", line->number, i);
    CHECK_SAYING(at_end(line), GOLDEN ":%zu: too long", line->number);
}

static void make_state(unsigned char state[24], uint64_t seed, uint64_t epoch, uint64_t processed)
{
    uint64_t words[3] = {seed, epoch, processed};
    for (int i = 0; i < 24; i++)
        state[i] = (unsigned char)(words[i / 8] >> 8 * (i % 8));
}

static void sampler_is(struct line *line)
{
    ronde_sampler_options options;
    ronde_sampler *sampler;
    unsigned char state[RONDE_SAMPLER_STATE_BYTES];
    size_t indices[64], count, all, samples = (size_t)take(line, 10);
    double weights[64];
    uint64_t seed = take(line, 10), epoch = take(line, 10);
    ronde_sampler_options_init(&options, sizeof options);
    options.in_order = (int32_t)take(line, 10);
    options.padding = (int32_t)take(line, 10);
    make_state(state, seed, epoch, take(line, 10));
    options.rank = (int32_t)take(line, 10);
    options.ranks = (int32_t)take(line, 10);
    CHECK(ronde_sampler_open(samples, &options, &sampler) == RONDE_OK);
    CHECK(ronde_sampler_load(sampler, state) == RONDE_OK);
    CHECK(ronde_sampler_next(sampler, 1000, indices, weights, 64, &count, &all) == RONDE_OK);
    CHECK(count == ronde_sampler_length(sampler));
    for (size_t i = 0; i < count; i++) {
        uint64_t index = take(line, 10);
        CHECK_SAYING(indices[i] == index && *line->at++ == ':' &&
                         weights[i] == (double)take(line, 10),
                     GOLDEN ":%zu: sample %zu is %zu, weight %g", line->number, i, indices[i],
                     weights[i]);
    }
    CHECK_SAYING(at_end(line), GOLDEN ":%zu: has more samples", line->number);
    ronde_sampler_close(&sampler);
}

static void state_is(struct line *line)
{
    ronde_sampler_options options;
    ronde_sampler *sampler;
    unsigned char state[RONDE_SAMPLER_STATE_BYTES], saved[RONDE_SAMPLER_STATE_BYTES];
    char text[2 * sizeof state + 1];
    uint64_t seed = take(line, 10), epoch = take(line, 10), processed = take(line, 10);
    ronde_sampler_options_init(&options, sizeof options);
    make_state(state, seed, epoch, processed);
    CHECK(ronde_sampler_open(5000, &options, &sampler) == RONDE_OK);
    CHECK(ronde_sampler_load(sampler, state) == RONDE_OK);
    CHECK(ronde_sampler_save(sampler, saved) == RONDE_OK);
    ronde_sampler_close(&sampler);
    for (size_t i = 0; i < sizeof saved; i++)
        snprintf(text + 2 * i, 3, "%02x", saved[i]);
    CHECK_SAYING(strstr(line->at, text), GOLDEN ":%zu: not %s", line->number, text);
}

static void every_line_holds(void)
{
    static const struct {
        const char *word;
        void (*check)(struct line *line);
        int least; /* lines of this kind */
    } kinds[] = {{"philox", philox_is, 5}, {"words", words_are, 4},    {"uniform", uniform_is, 2},
                 {"below", below_is, 8},   {"shuffle", shuffle_is, 7}, {"sampler", sampler_is, 40},
                 {"state", state_is, 3}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    int seen[KINDS] = {0};
    struct line line = {.number = 0};
    FILE *file = fopen(GOLDEN, "r");
    CHECK_SAYING(file, "no " GOLDEN " below the current folder");
    while (fgets(line.text, sizeof line.text, file)) {
        size_t k = 0, length = strcspn(line.text, " \n");
        line.number++;
        if (line.text[0] == '#')
            continue;
        while (k < KINDS && (strncmp(kinds[k].word, line.text, length) || kinds[k].word[length]))
            k++;
        CHECK_SAYING(k < KINDS, GOLDEN ":%zu: what is this?", line.number);
        line.at = line.text + length;
        kinds[k].check(&line);
        seen[k]++;
    }
    fclose(file);
    for (size_t k = 0; k < KINDS; k++)
        CHECK_SAYING(seen[k] >= kinds[k].least, "%d lines of %s", seen[k], kinds[k].word);
}

/* The shuffle draws a block at a time; what the header promises is one number at a time. */
static void a_shuffle_draws_as_it_says(void)
{
    enum { COUNT = 5000 };
    static size_t order[COUNT], wanted[COUNT];
    ronde_train_random stream;
    ronde_train_random_init(&stream, 11, RONDE_TRAIN_ORDER, 4);
    for (size_t i = 0; i < COUNT; i++)
        wanted[i] = i;
    for (size_t i = COUNT - 1; i >= 1; i--) {
        size_t j = (size_t)ronde_train_random_below(&stream, i + 1), kept = wanted[i];
        wanted[i] = wanted[j];
        wanted[j] = kept;
    }
    ronde_train_shuffle(11, 4, order, COUNT);
    CHECK(!memcmp(order, wanted, sizeof order));
}

/* 10^5 draws in 7 classes: each within 4 standard deviations, and the mean of as many uniforms. */
static void draws_are_even(void)
{
    enum { DRAWS = 100000, CLASSES = 7 };
    int seen[CLASSES] = {0};
    double sum = 0, expected = (double)DRAWS / CLASSES, deviation = sqrt(expected);
    ronde_train_random stream;
    ronde_train_random_init(&stream, 3, 300, 0);
    for (int i = 0; i < DRAWS; i++) {
        double uniform = ronde_train_random_uniform(&stream);
        CHECK(uniform >= 0 && uniform < 1);
        sum += uniform;
        seen[ronde_train_random_below(&stream, CLASSES)]++;
    }
    for (int k = 0; k < CLASSES; k++)
        CHECK_SAYING(fabs(seen[k] - expected) < 4 * deviation, "class %d: %d", k, seen[k]);
    CHECK_SAYING(fabs(sum / DRAWS - 0.5) < 4 / sqrt(12.0 * DRAWS), "mean %g", sum / DRAWS);
}

static void a_bound_of_nothing_gives_nothing(void)
{
    ronde_train_random stream;
    ronde_train_random_init(&stream, 3, 300, 0);
    CHECK(ronde_train_random_below(&stream, 0) == 0 && stream.position == 0);
}

int main(void)
{
    RUN(every_line_holds);
    RUN(a_shuffle_draws_as_it_says);
    RUN(draws_are_even);
    RUN(a_bound_of_nothing_gives_nothing);
    return check_result();
}
