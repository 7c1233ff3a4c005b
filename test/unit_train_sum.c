/* Exact sums: equal to what is known, to integers of 128 bits, and to themselves in any order. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ronde_train.h"

enum { MOST = 2000 };

static double sum_of(const double *values, const double *weights, size_t count)
{
    double sum = -77;
    if (ronde_train_exact_sum(NULL, NULL, values, weights, count, &sum, NULL) != RONDE_OK)
        fprintf(stderr, "%s\n", ronde_last_error());
    return sum;
}

#define SUM(...) \
    sum_of((const double[]){__VA_ARGS__}, NULL, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static int same(double a, double b)
{
    return !memcmp(&a, &b, sizeof a);
}

static void known_sums_come_out(void)
{
    double least = 0x1p-1074;
    CHECK(same(sum_of(NULL, NULL, 0), 0));
    CHECK(SUM(1, 2, 3) == 6 && SUM(-1, -2, -3) == -6 && SUM(0.1) == 0.1 && SUM(-0.1) == -0.1);
    CHECK(same(SUM(1, -1), 0) && same(SUM(-0.0), 0));
    CHECK(SUM(1e308, 1, -1e308) == 1 && SUM(1, 0x1p-1074, -1) == least);
    CHECK(SUM(least, least, least) == 3 * least && SUM(-least) == -least);
    CHECK(SUM(DBL_MIN, -least) == DBL_MIN - least && SUM(DBL_MAX) == DBL_MAX);
    CHECK(SUM(-DBL_MAX, -least) == -DBL_MAX);
    /* Ties go to even, anything above a tie goes up. */
    CHECK(SUM(1, 0x1p-53) == 1 && SUM(1 + 0x1p-52, 0x1p-53) == 1 + 0x1p-51);
    CHECK(SUM(1, 0x1p-53, 0x1p-1074) == 1 + 0x1p-52 &&
          SUM(-1, -0x1p-53, -0x1p-1074) == -1 - 0x1p-52);
    CHECK(SUM(1, 0x1p-53, -0x1p-1074) == 1);
    CHECK(SUM(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0) == 5.5);
}

static void what_is_not_finite_shows(void)
{
    CHECK(isnan(SUM(1, NAN, 2)) && isnan(SUM(INFINITY, -INFINITY)));
    CHECK(SUM(INFINITY, -DBL_MAX) == INFINITY && SUM(1, -INFINITY) == -INFINITY);
    CHECK(SUM(DBL_MAX, DBL_MAX) == INFINITY && SUM(-DBL_MAX, -DBL_MAX) == -INFINITY);
    CHECK(SUM(DBL_MAX, DBL_MAX, -DBL_MAX) == DBL_MAX); /* no overflow on the way */
}

static void weights_of_nothing_hide_everything(void)
{
    static const double values[] = {1, NAN, 2, INFINITY, 0.1}, weights[] = {1, 0, 3, 0, 0.5};
    CHECK(sum_of(values, weights, 5) == 7.05);
    CHECK(isnan(sum_of(values, NULL, 5)));
}

/* Values that are multiples of 2^-40 below 2^60 in size: 128 bits hold their sum. */
static double by_integers(const double *values, size_t count)
{
    __int128 sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (__int128)ldexp(values[i], 40);
    return ldexp((double)sum, -40); /* conversion from integers rounds to nearest, ties to even */
}

static void any_order_gives_the_rounded_sum(void)
{
    static double values[MOST], turned[MOST];
    static size_t order[MOST];
    ronde_train_random stream;
    ronde_train_random_init(&stream, 1, 301, 0);
    for (int turn = 0; turn < 300; turn++) {
        size_t count = 1 + (size_t)ronde_train_random_below(&stream, turn < 250 ? 40 : MOST);
        for (size_t i = 0; i < count; i++) {
            int exponent = (int)ronde_train_random_below(&stream, 50);
            double size = floor(ronde_train_random_uniform(&stream) * 0x1p50) * 0x1p-40;
            values[i] = ldexp(size, exponent) * (ronde_train_random_below(&stream, 2) ? 1 : -1);
        }
        if (turn % 3 == 0 && count > 2) /* most of it cancels */
            values[0] = -values[1];
        double sum = sum_of(values, NULL, count), wanted = by_integers(values, count);
        CHECK_SAYING(same(sum, wanted), "turn %d: %.17g, not %.17g", turn, sum, wanted);
        ronde_train_shuffle(2, (uint32_t)turn, order, count);
        for (size_t i = 0; i < count; i++)
            turned[i] = values[order[i]];
        CHECK(same(sum_of(turned, NULL, count), sum));
    }
}

/* From the least to the largest: what is added is taken away again, all but one. */
static void the_whole_range_has_room(void)
{
    double values[4200];
    size_t n = 0;
    for (int exponent = -1074; exponent <= 1023; exponent++)
        values[n++] = ldexp(1, exponent);
    for (int exponent = -1074; exponent <= 1023; exponent++)
        if (exponent != 17)
            values[n++] = -ldexp(1, exponent);
    CHECK(sum_of(values, NULL, n) == 0x1p17);
}

int main(void)
{
    RUN(known_sums_come_out);
    RUN(what_is_not_finite_shows);
    RUN(weights_of_nothing_hide_everything);
    RUN(any_order_gives_the_rounded_sum);
    RUN(the_whole_range_has_room);
    return check_result();
}
