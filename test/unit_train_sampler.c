/* Samplers over many numbers of samples and ranks: PyTorch's lengths and order, each sample exactly
 * once, also when the ranks change in the middle of an epoch. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ronde_train.h"

enum { MOST_SAMPLES = 64, MOST_RANKS = 9 };

static ronde_sampler *open_sampler(size_t samples, int32_t rank, int32_t ranks, int32_t padding,
                                   int32_t in_order)
{
    ronde_sampler_options options;
    ronde_sampler *sampler = NULL;
    ronde_sampler_options_init(&options, sizeof options);
    options.rank = rank;
    options.ranks = ranks;
    options.padding = padding;
    options.in_order = in_order;
    options.seed = 17;
    options.epoch = 2;
    if (ronde_sampler_open(samples, &options, &sampler) != RONDE_OK)
        fprintf(stderr, "%s\n", ronde_last_error());
    return sampler;
}

/* The whole rank's share, in batches of `batch` of all ranks. */
struct taken {
    size_t n, steps, of_all;
    size_t index[4 * MOST_SAMPLES];
    double weight[4 * MOST_SAMPLES];
};

/* At most `steps` batches. */
static void take(ronde_sampler *sampler, size_t batch, size_t steps, struct taken *taken)
{
    size_t count, all;
    for (; steps > 0; steps--) {
        CHECK(ronde_sampler_next(sampler, batch, taken->index + taken->n, taken->weight + taken->n,
                                 4 * MOST_SAMPLES - taken->n, &count, &all) == RONDE_OK);
        if (all == 0)
            CHECK(count == 0);
        if (all == 0)
            return;
        taken->n += count;
        taken->of_all += all;
        taken->steps++;
    }
}

/* PyTorch's own words: the list is made to divide, and each rank takes every ranks-th. */
static void order_of_pytorch(size_t samples, size_t rank, size_t ranks, int drop,
                             struct taken *wanted)
{
    size_t length = drop ? samples / ranks : (samples + ranks - 1) / ranks;
    for (wanted->n = 0; wanted->n < length; wanted->n++)
        wanted->index[wanted->n] = (rank + wanted->n * ranks) % samples;
}

static void lengths_and_order_are_those_of_pytorch(void)
{
    for (size_t n = 1; n <= 40; n++)
        for (int32_t ranks = 1; ranks <= MOST_RANKS; ranks++)
            for (int32_t rank = 0; rank < ranks; rank++)
                for (int drop = 0; drop < 2; drop++) {
                    struct taken taken = {0}, wanted = {0};
                    ronde_sampler *sampler = open_sampler(n, rank, ranks,
                                                          drop ? RONDE_SAMPLER_DROP
                                                               : RONDE_SAMPLER_WRAP,
                                                          1);
                    CHECK(sampler);
                    size_t length = ronde_sampler_length(sampler);
                    take(sampler, 2 * (size_t)ranks, SIZE_MAX, &taken);
                    order_of_pytorch(n, (size_t)rank, (size_t)ranks, drop, &wanted);
                    CHECK_SAYING(taken.n == wanted.n && length == wanted.n &&
                                     !memcmp(taken.index, wanted.index, wanted.n * sizeof(size_t)),
                                 "%zu samples, rank %d of %d, drop %d", n, (int)rank, (int)ranks,
                                 drop);
                    ronde_sampler_close(&sampler);
                }
}

/* How often each sample comes, by weight, on all ranks. */
struct union_of_ranks {
    double weight[MOST_SAMPLES];
    size_t n, least, most; /* of samples on a rank */
};

static void add_to_union(struct union_of_ranks *all, const struct taken *taken)
{
    for (size_t i = 0; i < taken->n; i++)
        all->weight[taken->index[i]] += taken->weight[i];
    all->n += taken->n;
    all->least = taken->n < all->least ? taken->n : all->least;
    all->most = taken->n > all->most ? taken->n : all->most;
}

static void check_union(const struct union_of_ranks *all, size_t n, size_t ranks, int32_t padding)
{
    size_t missing = 0, extra = 0;
    for (size_t i = 0; i < n; i++) {
        missing += all->weight[i] == 0;
        extra += all->weight[i] > 1 ? (size_t)all->weight[i] - 1 : 0;
    }
    CHECK_SAYING(missing == (padding == RONDE_SAMPLER_DROP ? n % ranks : 0), "%zu missing",
                 missing);
    CHECK_SAYING(extra == (padding == RONDE_SAMPLER_WRAP ? (ranks - n % ranks) % ranks : 0),
                 "%zu too many", extra);
    CHECK_SAYING(padding == RONDE_SAMPLER_UNEVEN ? all->most - all->least <= 1
                                                 : all->most == all->least,
                 "%zu to %zu on a rank", all->least, all->most);
}

/* Every padding, batches that divide by the ranks and ones that do not. */
static void every_sample_comes_exactly_once(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 24, 31, 60, 61};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int32_t ranks = 1; ranks <= MOST_RANKS; ranks++)
            for (int32_t padding = RONDE_SAMPLER_WRAP; padding <= RONDE_SAMPLER_UNEVEN; padding++)
                for (size_t batch = 1; batch <= 13; batch += 4) {
                    struct union_of_ranks all = {.least = SIZE_MAX};
                    size_t steps = SIZE_MAX, of_all = 0;
                    for (int32_t rank = 0; rank < ranks; rank++) {
                        struct taken taken = {0};
                        ronde_sampler *sampler = open_sampler(counts[c], rank, ranks, padding, 0);
                        take(sampler, batch, SIZE_MAX, &taken);
                        CHECK(rank == 0 || (steps == taken.steps && of_all == taken.of_all));
                        steps = taken.steps;
                        of_all = taken.of_all;
                        add_to_union(&all, &taken);
                        ronde_sampler_close(&sampler);
                    }
                    CHECK(of_all == all.n);
                    check_union(&all, counts[c], (size_t)ranks, padding);
                }
}

/* What a batch holds does not depend on the ranks: that is why they all follow one trajectory. */
static void a_batch_is_the_same_whatever_the_ranks(void)
{
    enum { SAMPLES = 61, BATCH = 10 };
    for (int32_t ranks = 2; ranks <= MOST_RANKS; ranks++)
        for (size_t step = 0; step < 7; step++) {
            unsigned char one[SAMPLES] = {0}, many[SAMPLES] = {0};
            for (int32_t rank = -1; rank < ranks; rank++) { /* -1: alone */
                size_t index[BATCH], count = 0;
                ronde_sampler *sampler = open_sampler(SAMPLES, rank < 0 ? 0 : rank,
                                                      rank < 0 ? 1 : ranks, RONDE_SAMPLER_UNEVEN,
                                                      0);
                for (size_t s = 0; s <= step; s++)
                    CHECK(ronde_sampler_next(sampler, BATCH, index, NULL, BATCH, &count, NULL) ==
                          RONDE_OK);
                for (size_t i = 0; i < count; i++)
                    (rank < 0 ? one : many)[index[i]]++;
                ronde_sampler_close(&sampler);
            }
            CHECK_SAYING(!memcmp(one, many, sizeof one), "%d ranks, step %zu", (int)ranks, step);
        }
}

/* A few steps with one number of ranks, then the rest with others, twice; by state or in place. */
static void reshard(size_t n, const int32_t ranks[3], size_t batch, int32_t padding, int by_state)
{
    struct union_of_ranks all = {.least = SIZE_MAX};
    unsigned char state[RONDE_SAMPLER_STATE_BYTES], first[RONDE_SAMPLER_STATE_BYTES] = {0},
                                                    before[RONDE_SAMPLER_STATE_BYTES];
    ronde_sampler *sampler[MOST_RANKS] = {NULL};
    for (int phase = 0; phase < 3; phase++) {
        memcpy(before, first, sizeof before);
        for (int32_t rank = 0; rank < ranks[phase]; rank++) {
            struct taken taken = {0};
            if (!sampler[rank] || by_state) {
                ronde_sampler_close(&sampler[rank]);
                sampler[rank] = open_sampler(n, rank, ranks[phase], padding, 0);
                if (phase > 0)
                    CHECK(ronde_sampler_load(sampler[rank], before) == RONDE_OK);
            } else {
                CHECK(ronde_sampler_reshard(sampler[rank], rank, ranks[phase]) == RONDE_OK);
            }
            take(sampler[rank], batch, phase < 2 ? 2 : SIZE_MAX, &taken);
            add_to_union(&all, &taken);
            CHECK(ronde_sampler_save(sampler[rank], state) == RONDE_OK);
            CHECK(rank == 0 || !memcmp(state, first, sizeof state));
            memcpy(first, state, sizeof first);
        }
        for (int32_t rank = ranks[phase]; rank < MOST_RANKS; rank++)
            ronde_sampler_close(&sampler[rank]);
        if (phase < 2 && !by_state) /* those who come later know the state only */
            for (int32_t rank = ranks[phase]; rank < ranks[phase + 1]; rank++) {
                sampler[rank] = open_sampler(n, 0, 1, padding, 0);
                CHECK(ronde_sampler_load(sampler[rank], first) == RONDE_OK);
            }
    }
    for (size_t i = 0; i < n; i++)
        CHECK_SAYING(all.weight[i] == 1, "sample %zu of %zu has weight %g; ranks %d, %d, %d", i, n,
                     all.weight[i], (int)ranks[0], (int)ranks[1], (int)ranks[2]);
    for (int32_t rank = 0; rank < MOST_RANKS; rank++)
        ronde_sampler_close(&sampler[rank]);
}

static void resharding_loses_and_repeats_nothing(void)
{
    static const int32_t plans[][3] = {{1, 2, 3}, {4, 3, 2}, {3, 4, 4}, {8, 1, 5}, {2, 7, 9}};
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++)
        for (size_t n = 0; n <= 60; n += 4 + p)
            for (size_t batch = 3; batch <= 12; batch += 3)
                for (int by_state = 0; by_state < 2; by_state++) {
                    reshard(n, plans[p], batch, RONDE_SAMPLER_ZERO, by_state);
                    reshard(n, plans[p], batch, RONDE_SAMPLER_UNEVEN, by_state);
                }
}

/* Half an epoch, saved; whoever goes on from there sees what would have come. */
static void a_state_goes_on_where_it_was(void)
{
    unsigned char state[RONDE_SAMPLER_STATE_BYTES];
    for (int32_t rank = 0; rank < 3; rank++) {
        struct taken whole = {0}, rest = {0};
        ronde_sampler *sampler = open_sampler(50, rank, 3, RONDE_SAMPLER_WRAP, 0);
        ronde_sampler_options options;
        take(sampler, 9, 2, &whole);
        size_t before = whole.n;
        CHECK(ronde_sampler_save(sampler, state) == RONDE_OK);
        take(sampler, 9, SIZE_MAX, &whole);
        ronde_sampler_close(&sampler);
        ronde_sampler_options_init(&options, sizeof options);
        options.rank = rank;
        options.ranks = 3; /* seed and epoch are in the state */
        CHECK(ronde_sampler_open(50, &options, &sampler) == RONDE_OK);
        CHECK(ronde_sampler_load(sampler, state) == RONDE_OK);
        take(sampler, 9, SIZE_MAX, &rest);
        CHECK(rest.n == whole.n - before &&
              !memcmp(rest.index, whole.index + before, rest.n * sizeof(size_t)));
        ronde_sampler_close(&sampler);
    }
}

static void epochs_differ_and_come_again(void)
{
    struct taken first = {0}, second = {0}, again = {0};
    ronde_sampler *sampler = open_sampler(40, 0, 1, RONDE_SAMPLER_WRAP, 0);
    take(sampler, 7, SIZE_MAX, &first);
    CHECK(ronde_sampler_set_epoch(sampler, 3) == RONDE_OK);
    take(sampler, 7, SIZE_MAX, &second);
    CHECK(ronde_sampler_set_epoch(sampler, 2) == RONDE_OK);
    take(sampler, 7, SIZE_MAX, &again);
    CHECK(first.n == 40 && second.n == 40 && again.n == 40);
    CHECK(memcmp(first.index, second.index, 40 * sizeof(size_t)));
    CHECK(!memcmp(first.index, again.index, 40 * sizeof(size_t)));
    ronde_sampler_close(&sampler);
}

static void refused(int32_t status, int32_t wanted, const char *text)
{
    CHECK_SAYING(status == wanted && strstr(ronde_last_error(), text), "status %d, \"%s\"",
                 (int)status, ronde_last_error());
}

static void what_makes_no_sense_is_refused(void)
{
    ronde_sampler_options options;
    ronde_sampler *sampler = NULL;
    unsigned char state[RONDE_SAMPLER_STATE_BYTES] = {0};
    size_t index[8], count = 99;
    ronde_sampler_options_init(&options, sizeof options);
    options.rank = 3;
    options.ranks = 3;
    refused(ronde_sampler_open(5, &options, &sampler), RONDE_ERR_ARGUMENT, "rank 3 of 3 ranks");
    options.rank = 0;
    options.padding = 4;
    refused(ronde_sampler_open(5, &options, &sampler), RONDE_ERR_ARGUMENT, "padding 4");
    options.size = 2;
    refused(ronde_sampler_open(5, &options, &sampler), RONDE_ERR_ARGUMENT,
            "ronde_sampler_options_init first");
    refused(ronde_sampler_open(5, NULL, NULL), RONDE_ERR_ARGUMENT, "is NULL");
    refused(ronde_sampler_open(SIZE_MAX / 4, NULL, &sampler), RONDE_ERR_OVERFLOW, "too many");
    CHECK(!sampler && ronde_sampler_length(NULL) == 0);
    refused(ronde_sampler_set_epoch(NULL, 0), RONDE_ERR_ARGUMENT, "sampler is NULL");
    CHECK(ronde_sampler_open(8, NULL, &sampler) == RONDE_OK);
    refused(ronde_sampler_next(sampler, 8, index, NULL, 7, &count, NULL), RONDE_ERR_ARGUMENT,
            "8 of the batch's 8 samples are this rank's, and there is room for 7");
    refused(ronde_sampler_next(sampler, 0, index, NULL, 8, &count, NULL), RONDE_ERR_ARGUMENT,
            "a batch of 0");
    CHECK(count == 99);
    CHECK(ronde_sampler_next(sampler, 8, index, NULL, 8, &count, NULL) == RONDE_OK && count == 8);
    state[16] = 9;
    refused(ronde_sampler_load(sampler, state), RONDE_ERR_ARGUMENT, "9 samples processed");
    state[16] = 0;
    state[13] = 1;
    refused(ronde_sampler_load(sampler, state), RONDE_ERR_ARGUMENT,
            "a state of epoch 1099511627776");
    refused(ronde_sampler_reshard(sampler, -1, 2), RONDE_ERR_ARGUMENT, "rank -1 of 2 ranks");
    CHECK(ronde_sampler_close(&sampler) == RONDE_OK && !sampler);
    CHECK(ronde_sampler_close(&sampler) == RONDE_OK && ronde_sampler_close(NULL) == RONDE_OK);
}

int main(void)
{
    RUN(lengths_and_order_are_those_of_pytorch);
    RUN(every_sample_comes_exactly_once);
    RUN(a_batch_is_the_same_whatever_the_ranks);
    RUN(resharding_loses_and_repeats_nothing);
    RUN(a_state_goes_on_where_it_was);
    RUN(epochs_differ_and_come_again);
    RUN(what_makes_no_sense_is_refused);
    return check_result();
}
