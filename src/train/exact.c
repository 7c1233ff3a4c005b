/* Sums of doubles without rounding: a long fixed-point number, in which every double has its place,
 * so the order of addition does not matter (Kulisch's accumulator, in digits of 32 bits).
 *
 * Digit d counts units of 2^(32 d - 1074), in 64 bits with sign, so that carries can wait: an
 * addition changes a digit by less than 2^32, hence 2^30 additions fit. Between ranks the digits
 * are added by an allreduce of integers: 568 bytes, whatever the number of values. */
#include <math.h>
#include <string.h>

#include "train/common.h"

enum {
    LOWEST_BIT = -1074, /* of a double; the highest is 1023 */
    DIGITS = 68,        /* 2098 bits, and room for sums of 2^63 of the largest */
    NAN_COUNT = DIGITS, /* then how many of these there are */
    PLUS_COUNT,
    MINUS_COUNT,
    LIMBS,
    MOST_ADDITIONS = 1 << 30
};

struct accumulator {
    int64_t limb[LIMBS];
    int additions; /* since the carries were passed on */
};

/* All digits but the highest become 0 .. 2^32-1. */
static void carry(struct accumulator *sum)
{
    for (int d = 0; d < DIGITS - 1; d++) {
        int64_t low = sum->limb[d] & INT64_C(0xffffffff);
        sum->limb[d + 1] += (sum->limb[d] - low) / (INT64_C(1) << 32);
        sum->limb[d] = low;
    }
    sum->additions = 0;
}

static void add_finite(struct accumulator *sum, double value)
{
    int exponent;
    double fraction = frexp(fabs(value), &exponent); /* fraction x 2^exponent, at least 1/2 */
    uint64_t mantissa = (uint64_t)ldexp(fraction, 53);
    int bit = exponent - 53 - LOWEST_BIT;
    if (bit < 0) { /* a subnormal: its low bits are 0 */
        mantissa >>= -bit;
        bit = 0;
    }
    int64_t sign = value < 0 ? -1 : 1;
    int64_t *digit = &sum->limb[bit / 32];
    int shift = bit % 32;
    uint64_t low = (mantissa & 0xffffffffu) << shift, high = (mantissa >> 32) << shift;
    digit[0] += sign * (int64_t)(low & 0xffffffffu);
    digit[1] += sign * (int64_t)((low >> 32) + (high & 0xffffffffu));
    digit[2] += sign * (int64_t)(high >> 32);
    if (++sum->additions == MOST_ADDITIONS)
        carry(sum);
}

static void add(struct accumulator *sum, double value)
{
    if (isnan(value))
        sum->limb[NAN_COUNT]++;
    else if (isinf(value))
        sum->limb[value > 0 ? PLUS_COUNT : MINUS_COUNT]++;
    else if (value != 0)
        add_finite(sum, value);
}

static int bit_at(const struct accumulator *sum, int bit)
{
    return bit >= 0 && (sum->limb[bit / 32] >> bit % 32 & 1);
}

static int has_bits_below(const struct accumulator *sum, int bit)
{
    for (int b = bit - 1; b >= 0; b--)
        if (bit_at(sum, b))
            return 1;
    return 0;
}

/* The highest bit of a sum that is not negative; -1: it is 0. The highest digit may have more than
 * 32, and then the sum is no double any more. */
static int highest_bit(const struct accumulator *sum)
{
    for (int d = DIGITS - 1; d >= 0; d--)
        for (int b = d == DIGITS - 1 ? 62 : 31; b >= 0; b--)
            if (sum->limb[d] >> b & 1)
                return 32 * d + b;
    return -1;
}

/* To nearest, to even where two are as near. */
static double round_positive(const struct accumulator *sum)
{
    int highest = highest_bit(sum), lowest = highest > 52 ? highest - 52 : 0;
    uint64_t mantissa = 0;
    if (highest >= 32 * (DIGITS - 1))
        return INFINITY;
    for (int bit = highest; bit >= lowest; bit--)
        mantissa = mantissa << 1 | (uint64_t)bit_at(sum, bit);
    if (bit_at(sum, lowest - 1) && ((mantissa & 1) || has_bits_below(sum, lowest - 1)))
        mantissa++;
    return ldexp((double)mantissa, lowest + LOWEST_BIT);
}

static double round_sum(struct accumulator *sum)
{
    if (sum->limb[NAN_COUNT] || (sum->limb[PLUS_COUNT] && sum->limb[MINUS_COUNT]))
        return NAN;
    if (sum->limb[PLUS_COUNT] || sum->limb[MINUS_COUNT])
        return sum->limb[PLUS_COUNT] ? INFINITY : -INFINITY;
    carry(sum);
    if (sum->limb[DIGITS - 1] >= 0)
        return round_positive(sum);
    for (int d = 0; d < DIGITS; d++)
        sum->limb[d] = -sum->limb[d];
    carry(sum);
    return -round_positive(sum);
}

int32_t ronde_train_exact_sum(ronde_context *context, const char *name, const double *values,
                              const double *weights, size_t count, double *sum,
                              const ronde_call *call)
{
    struct accumulator total;
    memset(&total, 0, sizeof total);
    if (!sum || (count && !values))
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s is NULL", sum ? "values" : "sum");
    for (size_t i = 0; i < count; i++)
        if (!weights || weights[i] != 0)
            add(&total, weights ? weights[i] * values[i] : values[i]);
    carry(&total);
    int32_t status = RONDE_OK;
    if (context)
        status = ronde_allreduce(context, name, total.limb, total.limb, LIMBS, RONDE_INT64,
                                 RONDE_SUM, call);
    if (status == RONDE_OK)
        *sum = round_sum(&total);
    return status;
}
