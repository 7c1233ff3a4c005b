/* Place p of an epoch's order belongs to rank p mod ranks. A sampler is a cursor over the places,
 * the same on all ranks; a rank picks its own of what the cursor passes. So what a batch holds, and
 * what is left to do, do not depend on the ranks, and the state is one number.
 *
 *   base                       cursor             samples   end
 *    | done before this sharing | done  | to come       | padding |
 *
 * `end - base` divides by the ranks, except where the padding is RONDE_SAMPLER_UNEVEN. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "train/common.h"

struct ronde_sampler {
    ronde_sampler_options options;
    size_t samples, base, cursor, end;
    size_t *order; /* NULL: as they are numbered */
};

static const ronde_sampler_options defaults = {.size = sizeof defaults, .ranks = 1};

void ronde_sampler_options_init(ronde_sampler_options *options, size_t size)
{
    ronde__train_write_defaults(options, size, &defaults, sizeof defaults);
}

static int32_t is_null(const char *what)
{
    return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s is NULL", what);
}

static int32_t check_ranks(int32_t rank, int32_t ranks)
{
    if (ranks < 1 || rank < 0 || rank >= ranks)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "sampler: rank %d of %d ranks", (int)rank,
                                 (int)ranks);
    return RONDE_OK;
}

static int32_t check(size_t samples, const ronde_sampler_options *options)
{
    if (options->padding < RONDE_SAMPLER_WRAP || options->padding > RONDE_SAMPLER_UNEVEN)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "sampler: padding %d is none of enum ronde_sampler_padding",
                                 (int)options->padding);
    if (samples > SIZE_MAX / 2 / sizeof(size_t))
        return ronde__train_fail(RONDE_ERR_OVERFLOW, "sampler: %zu samples are too many", samples);
    return check_ranks(options->rank, options->ranks);
}

static void shuffle(ronde_sampler *sampler)
{
    if (sampler->order)
        ronde_train_shuffle(sampler->options.seed, sampler->options.epoch, sampler->order,
                            sampler->samples);
}

/* What is left, from `base` on, is shared out. */
static void share_out(ronde_sampler *sampler, size_t base)
{
    size_t ranks = (size_t)sampler->options.ranks, left = sampler->samples - base;
    sampler->base = sampler->cursor = base;
    switch ((enum ronde_sampler_padding)sampler->options.padding) {
    case RONDE_SAMPLER_WRAP:
    case RONDE_SAMPLER_ZERO: left += (ranks - left % ranks) % ranks; break;
    case RONDE_SAMPLER_DROP: left -= left % ranks; break;
    case RONDE_SAMPLER_UNEVEN: break;
    }
    sampler->end = base + left;
}

int32_t ronde_sampler_open(size_t samples, const ronde_sampler_options *options,
                           ronde_sampler **sampler)
{
    ronde_sampler_options read = defaults;
    if (!sampler)
        return is_null("the place for the sampler");
    int32_t status = ronde__train_read_options(&read, sizeof read, options,
                                               "ronde_sampler_options");
    if (status == RONDE_OK)
        status = check(samples, &read);
    if (status != RONDE_OK)
        return status;
    ronde_sampler *opened = calloc(1, sizeof *opened);
    size_t *order = read.in_order ? NULL : calloc(samples ? samples : 1, sizeof *order);
    if (!opened || (!order && !read.in_order)) {
        free(opened);
        free(order);
        return ronde__train_fail(RONDE_ERR_MEMORY,
                                 "sampler: no memory for the order of %zu samples", samples);
    }
    *opened = (ronde_sampler){.options = read, .samples = samples, .order = order};
    shuffle(opened);
    share_out(opened, 0);
    *sampler = opened;
    return RONDE_OK;
}

int32_t ronde_sampler_close(ronde_sampler **sampler)
{
    if (sampler && *sampler) {
        free((*sampler)->order);
        free(*sampler);
        *sampler = NULL;
    }
    return RONDE_OK;
}

int32_t ronde_sampler_set_epoch(ronde_sampler *sampler, uint32_t epoch)
{
    if (!sampler)
        return is_null("sampler");
    int is_other = epoch != sampler->options.epoch;
    sampler->options.epoch = epoch;
    if (is_other)
        shuffle(sampler);
    share_out(sampler, 0);
    return RONDE_OK;
}

/* The first place from `from` on that is this rank's. */
static size_t first_own(const ronde_sampler *sampler, size_t from)
{
    size_t ranks = (size_t)sampler->options.ranks, rank = (size_t)sampler->options.rank;
    return from + (rank + ranks - from % ranks) % ranks;
}

static size_t own_places(const ronde_sampler *sampler, size_t from, size_t to)
{
    size_t first = first_own(sampler, from);
    return first < to ? (to - first - 1) / (size_t)sampler->options.ranks + 1 : 0;
}

size_t ronde_sampler_length(const ronde_sampler *sampler)
{
    return sampler ? own_places(sampler, sampler->base, sampler->end) : 0;
}

/* Places from `samples` on are padding: the order once more, as often as it takes. */
static void tell_own(const ronde_sampler *sampler, size_t to, size_t *indices, double *weights)
{
    int32_t padding = sampler->options.padding;
    size_t ranks = (size_t)sampler->options.ranks, n = 0;
    for (size_t place = first_own(sampler, sampler->cursor); place < to; place += ranks, n++) {
        size_t at = place % sampler->samples;
        indices[n] = sampler->order ? sampler->order[at] : at;
        if (weights)
            weights[n] = padding == RONDE_SAMPLER_ZERO && place >= sampler->samples ? 0 : 1;
    }
}

int32_t ronde_sampler_next(ronde_sampler *sampler, size_t batch, size_t *indices, double *weights,
                           size_t room, size_t *count, size_t *of_all)
{
    if (!sampler || !count)
        return is_null(sampler ? "count" : "sampler");
    if (batch == 0)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "sampler: a batch of 0 would never end");
    size_t left = sampler->end - sampler->cursor, passed = batch < left ? batch : left;
    size_t to = sampler->cursor + passed, own = own_places(sampler, sampler->cursor, to);
    if (own > room || (own && !indices))
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "sampler: %zu of the batch's %zu samples are this rank's, and "
                                 "there is room for %zu",
                                 own, passed, indices ? room : 0);
    tell_own(sampler, to, indices, weights);
    sampler->cursor = to;
    *count = own;
    if (of_all)
        *of_all = passed;
    return RONDE_OK;
}

/* ---- state ----------------------------------------------------------------------------------- */

static void put_word(unsigned char *bytes, uint64_t word)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(word >> 8 * i);
}

static uint64_t get_word(const unsigned char *bytes)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++)
        word |= (uint64_t)bytes[i] << 8 * i;
    return word;
}

/* What has been passed, without padding. */
static size_t processed(const ronde_sampler *sampler)
{
    return sampler->cursor < sampler->samples ? sampler->cursor : sampler->samples;
}

int32_t ronde_sampler_save(const ronde_sampler *sampler, void *state)
{
    if (!sampler || !state)
        return is_null(sampler ? "state" : "sampler");
    unsigned char *bytes = state;
    put_word(bytes, sampler->options.seed);
    put_word(bytes + 8, sampler->options.epoch);
    put_word(bytes + 16, processed(sampler));
    return RONDE_OK;
}

int32_t ronde_sampler_load(ronde_sampler *sampler, const void *state)
{
    if (!sampler || !state)
        return is_null(sampler ? "state" : "sampler");
    const unsigned char *bytes = state;
    uint64_t seed = get_word(bytes), epoch = get_word(bytes + 8), done = get_word(bytes + 16);
    if (epoch > UINT32_MAX || done > sampler->samples)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "sampler: a state of epoch %llu with %llu samples processed is "
                                 "none of these %zu samples",
                                 (unsigned long long)epoch, (unsigned long long)done,
                                 sampler->samples);
    sampler->options.seed = seed;
    sampler->options.epoch = (uint32_t)epoch;
    shuffle(sampler);
    share_out(sampler, (size_t)done);
    return RONDE_OK;
}

int32_t ronde_sampler_reshard(ronde_sampler *sampler, int32_t rank, int32_t ranks)
{
    if (!sampler)
        return is_null("sampler");
    int32_t status = check_ranks(rank, ranks);
    if (status != RONDE_OK)
        return status;
    sampler->options.rank = rank;
    sampler->options.ranks = ranks;
    share_out(sampler, processed(sampler));
    return RONDE_OK;
}
