/* Which tensors run together. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check.h"
#include "fusion/plan.h"

enum { MOST = 12, MANY = 10000 };

/* Items in order, and the bin that each must get. */
struct example {
    const char *what;
    struct plan_limits limits;
    int32_t n;
    struct plan_item items[MOST];
    int32_t bins;
    int32_t bin_of[MOST];
};

static const struct example examples[] = {
    {"no items", {100, 10}, 0, {{0, 0}}, 0, {0}},
    {"threshold 0 fuses nothing", {0, 10}, 3, {{1, 7}, {0, 7}, {1, 7}}, 3, {0, 1, 2}},
    {"an exact fit fills a bin", {100, 10}, 3, {{60, 7}, {40, 7}, {1, 7}}, 2, {0, 0, 1}},
    {"one byte too many opens a bin", {100, 10}, 2, {{60, 7}, {41, 7}}, 2, {0, 1}},
    {"kinds that alternate still fuse",
     {100, 10},
     6,
     {{10, 1}, {10, 2}, {10, 1}, {10, 2}, {10, 1}, {10, 2}},
     2,
     {0, 1, 0, 1, 0, 1}},
    {"a bin looks past what does not fit",
     {100, 10},
     4,
     {{50, 7}, {60, 7}, {50, 7}, {40, 7}},
     2,
     {0, 1, 0, 1}},
    {"kin 0 is always alone",
     {100, 10},
     5,
     {{10, 0}, {10, 7}, {10, 0}, {10, 7}, {0, 0}},
     4,
     {0, 1, 2, 1, 3}},
    {"a tensor larger than the limit is alone",
     {100, 10},
     4,
     {{10, 7}, {101, 7}, {10, 7}, {0, 7}},
     2,
     {0, 1, 0, 0}},
    {"a tensor as large as the limit fills a bin",
     {100, 10},
     3,
     {{10, 7}, {100, 7}, {10, 7}},
     2,
     {0, 1, 0}},
    {"at most so many tensors",
     {100, 2},
     5,
     {{1, 7}, {1, 7}, {1, 7}, {1, 7}, {1, 7}},
     3,
     {0, 0, 1, 1, 2}},
    {"at most one tensor", {100, 1}, 3, {{1, 7}, {0, 7}, {1, 7}}, 3, {0, 1, 2}},
    {"empty tensors fuse", {100, 10}, 3, {{0, 7}, {0, 7}, {100, 7}}, 1, {0, 0, 0}},
    {"bins run in the order of their first item",
     {100, 10},
     5,
     {{90, 2}, {90, 1}, {20, 1}, {5, 2}, {5, 1}},
     3,
     {0, 1, 2, 0, 1}},
    {"sizes near the end of the address space do not wrap",
     {SIZE_MAX, 10},
     3,
     {{SIZE_MAX - 1, 7}, {2, 7}, {1, 7}},
     2,
     {0, 1, 0}},
    {"a kin may be any number",
     {100, 10},
     3,
     {{1, UINT64_MAX}, {1, 1}, {1, UINT64_MAX}},
     2,
     {0, 1, 0}},
};

static void examples_give_the_bins_of_the_table(void)
{
    for (size_t e = 0; e < sizeof(examples) / sizeof(examples[0]); e++) {
        const struct example *x = &examples[e];
        int32_t bin_of[MOST];
        int32_t bins = ronde__plan(x->items, x->n, &x->limits, bin_of);
        CHECK_SAYING(bins == x->bins, "%s: %d bins, not %d", x->what, bins, x->bins);
        for (int32_t i = 0; i < x->n; i++)
            CHECK_SAYING(bin_of[i] == x->bin_of[i], "%s: item %d in bin %d, not %d", x->what, i,
                         bin_of[i], x->bin_of[i]);
    }
}

/* A seeded generator of our own: the same on every machine. */
static uint64_t seed = 1;

static uint64_t random_below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

struct bin_seen {
    size_t bytes;
    uint64_t kin;
    int32_t tensors;
};

static struct plan_item items[MANY];
static int32_t bin_of[MANY];
static struct bin_seen seen[MANY];

/* Whether bins are numbered by first item, never mix kin, and keep the limits. */
static int plan_holds(int32_t n, const struct plan_limits *limits, int32_t bins)
{
    int32_t begun = 0;
    memset(seen, 0, sizeof(seen));
    for (int32_t i = 0; i < n; i++) {
        if (bin_of[i] < 0 || bin_of[i] > begun || bin_of[i] >= bins)
            return 0; /* a bin that begins out of order, or does not exist */
        struct bin_seen *bin = &seen[bin_of[i]];
        begun += bin_of[i] == begun;
        if (bin->tensors && (bin->kin != items[i].kin || !items[i].kin || !limits->bytes))
            return 0;
        bin->kin = items[i].kin;
        bin->tensors++;
        bin->bytes += items[i].bytes;
        if (bin->tensors > limits->tensors || (bin->tensors > 1 && bin->bytes > limits->bytes))
            return 0;
    }
    return begun == bins;
}

static void fill_items(int32_t n, uint64_t kinds, uint64_t most_bytes)
{
    for (int32_t i = 0; i < n; i++)
        items[i] = (struct plan_item){random_below(most_bytes + 1), random_below(kinds)};
}

static void every_item_is_in_one_bin_that_keeps_the_limits(void)
{
    for (int trial = 0; trial < 2000; trial++) {
        int32_t n = (int32_t)random_below(200);
        struct plan_limits limits = {random_below(4) ? random_below(1000) : 0,
                                     (int32_t)random_below(30) + 1};
        fill_items(n, random_below(60) + 1, random_below(600));
        int32_t bins = ronde__plan(items, n, &limits, bin_of);
        CHECK_SAYING(plan_holds(n, &limits, bins), "trial %d: %d items, %zu bytes, %d tensors",
                     trial, n, limits.bytes, limits.tensors);
    }
}

static void same_items_give_the_same_plan(void)
{
    static int32_t again[MANY];
    struct plan_limits limits = {1 << 20, 64};
    fill_items(MANY, 9, 300000);
    int32_t bins = ronde__plan(items, MANY, &limits, bin_of);
    CHECK(ronde__plan(items, MANY, &limits, again) == bins &&
          !memcmp(bin_of, again, sizeof(bin_of)));
}

/* A bin is opened only where no other has room for 400 bytes, so all but the last hold over 600. */
static void bins_of_small_items_are_well_filled(void)
{
    struct plan_limits limits = {1000, MANY};
    size_t bytes = 0;
    fill_items(MANY, 1, 400);
    for (int32_t i = 0; i < MANY; i++) {
        items[i].kin = 5;
        bytes += items[i].bytes;
    }
    int32_t bins = ronde__plan(items, MANY, &limits, bin_of);
    CHECK_SAYING((size_t)bins <= bytes / 600 + 1, "%d bins for %zu bytes", bins, bytes);
}

/* Sizes that leave bins open: at most 33 comparisons an item are some 0.2 ms. The bound leaves room
 * for sanitizers and a busy machine, and would still catch a planner of 50 million comparisons. */
static void ten_thousand_items_are_planned_in_no_time(void)
{
    struct plan_limits limits = {1000, MANY};
    int64_t best = INT64_MAX;
    for (int i = 0; i < MANY; i++)
        items[i] = (struct plan_item){510 + (size_t)i % 400, 1 + (uint64_t)i % 3};
    for (int trial = 0; trial < 5; trial++) {
        int64_t begin = ronde__now_ns();
        ronde__plan(items, MANY, &limits, bin_of);
        int64_t took = ronde__now_ns() - begin;
        best = took < best ? took : best;
    }
    printf("10000 items that never fit together: %.3f ms\n", (double)best / 1e6);
    CHECK_SAYING(best < 20000000, "%lld ns", (long long)best);
}

int main(void)
{
    RUN(examples_give_the_bins_of_the_table);
    RUN(every_item_is_in_one_bin_that_keeps_the_limits);
    RUN(same_items_give_the_same_plan);
    RUN(bins_of_small_items_are_well_filled);
    RUN(ten_thousand_items_are_planned_in_no_time);
    return check_result();
}
