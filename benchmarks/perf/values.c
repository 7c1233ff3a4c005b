/* Rank r contributes value(r, i mod 61) at index i: 61 is prime, so a piece that came from a wrong
 * rank or a wrong place is seen, and all of a result is one block of 61 elements again and again.
 * Sums stay below what the dtype holds exactly (256 for bfloat16, 2048 for float16, 127 for int8),
 * products are powers of two from six ranks at most. Only the average of floats may be rounded
 * (x times 1/p, or x / p), so two units in the last place are right there. */
#include "values.h"

#include <math.h>
#include <string.h>

#include "options.h"

enum { PERIOD = 61, LARGEST_ELEMENT = 8 };

struct block {
    char bytes[PERIOD * LARGEST_ELEMENT];
};

static double exact_limit(int32_t dtype)
{
    switch ((enum ronde_dtype)dtype) {
    case RONDE_BOOL: return 1;
    case RONDE_INT8: return 127;
    case RONDE_UINT8: return 255;
    case RONDE_BFLOAT16: return 256;
    case RONDE_FLOAT16: return 2048;
    case RONDE_UINT16:
    case RONDE_INT16:
    case RONDE_UINT32:
    case RONDE_INT32:
    case RONDE_UINT64:
    case RONDE_INT64:
    case RONDE_FLOAT32:
    case RONDE_FLOAT64: break;
    }
    return 32767;
}

static double value(const struct work *w, int rank, int j)
{
    int hash = (rank * 7 + j) % PERIOD;
    if (w->dtype == RONDE_BOOL)
        return hash % 2;
    if (w->op == RONDE_PRODUCT)
        return rank < 6 ? 1 + hash % 2 : 1;
    double limit = exact_limit(w->dtype), share = floor(limit / w->ranks);
    if (share < 1)
        return rank < limit ? hash % 2 : 0;
    return hash % (int)(share < 12 ? share + 1 : 13);
}

static double combine(const struct work *w, double a, double b)
{
    int is_bool = w->dtype == RONDE_BOOL;
    switch ((enum ronde_op)w->op) {
    case RONDE_SUM: return is_bool ? fmax(a, b) : a + b;
    case RONDE_AVERAGE: return is_bool ? fmin(a, b) : a + b;
    case RONDE_MIN: return fmin(a, b);
    case RONDE_MAX: return fmax(a, b);
    case RONDE_PRODUCT: return a * b;
    case RONDE_LOGICAL_AND: return a != 0 && b != 0;
    case RONDE_LOGICAL_OR: return a != 0 || b != 0;
    case RONDE_BITWISE_AND: return (double)((int64_t)a & (int64_t)b);
    case RONDE_BITWISE_OR: return (double)((int64_t)a | (int64_t)b);
    case RONDE_ADASUM:
    case RONDE_WEIGHTED_AVERAGE: break;
    }
    return 0;
}

static double reduced(const struct work *w, int j)
{
    double sum = value(w, 0, j);
    for (int rank = 1; rank < w->ranks; rank++)
        sum = combine(w, sum, value(w, rank, j));
    if (w->op == RONDE_AVERAGE && w->dtype != RONDE_BOOL)
        sum /= w->ranks;
    return sum;
}

/* Round-to-nearest binary16 of a number that is 0 or normal there. */
static uint16_t to_half(double number)
{
    int exponent;
    double fraction = frexp(number, &exponent);
    if (number == 0)
        return 0;
    unsigned mantissa = (unsigned)rint(fraction * 2048); /* 1024 to 2048 */
    return (uint16_t)(((unsigned)(exponent + 14) << 10) + mantissa - 1024);
}

static double from_half(uint16_t bits)
{
    return bits & 0x7fff ? ldexp(1024 + (bits & 1023), (bits >> 10 & 31) - 25) : 0;
}

static uint16_t to_bfloat(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static double from_bfloat(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Integers of every width and sign by the low bytes of a 64-bit one: little-endian machines only,
 * as Ronde is. */
static void put(int32_t dtype, size_t bytes, char *to, double number)
{
    int64_t whole = (int64_t)number;
    float single = (float)number;
    uint16_t half = dtype == RONDE_FLOAT16 ? to_half(number) : to_bfloat(single);
    if (dtype == RONDE_FLOAT64)
        memcpy(to, &number, bytes);
    else if (dtype == RONDE_FLOAT32)
        memcpy(to, &single, bytes);
    else if (dtype == RONDE_FLOAT16 || dtype == RONDE_BFLOAT16)
        memcpy(to, &half, bytes);
    else
        memcpy(to, &whole, bytes);
}

static void make_contribution(const struct work *w, int rank, struct block *block)
{
    for (int j = 0; j < PERIOD; j++)
        put(w->dtype, w->element_bytes, block->bytes + (size_t)j * w->element_bytes,
            value(w, rank, j));
}

static void make_result(const struct work *w, struct block *block)
{
    for (int j = 0; j < PERIOD; j++)
        put(w->dtype, w->element_bytes, block->bytes + (size_t)j * w->element_bytes, reduced(w, j));
}

static void repeat(const struct work *w, const struct block *block, char *to, size_t count)
{
    size_t bytes = count * w->element_bytes, period = PERIOD * w->element_bytes;
    for (size_t done = 0; done < bytes; done += period)
        memcpy(to + done, block->bytes, bytes - done < period ? bytes - done : period);
}

void values_fill(const struct work *w, const struct variant *v)
{
    size_t factor = w->collective == ALLGATHER ? (size_t)w->ranks : 1;
    struct block block;
    make_contribution(w, w->rank, &block);
    for (size_t i = 0; i < v->pieces->number; i++) {
        const struct piece *piece = &v->pieces->at[i];
        memset(v->out + piece->offset_bytes, 0xa5, piece->count * w->element_bytes * factor);
    }
    if (w->collective == BROADCAST && w->rank != w->root)
        return; /* not read there, and perhaps where the result goes */
    for (size_t i = 0; i < v->pieces->number; i++) {
        const struct piece *piece = &v->pieces->at[i];
        repeat(w, &block, v->in + piece->offset_bytes, piece->count);
    }
}

static double unit_in_last_place(int32_t dtype)
{
    switch (dtype) {
    case RONDE_FLOAT16: return 0x1p-10;
    case RONDE_BFLOAT16: return 0x1p-7;
    case RONDE_FLOAT32: return 0x1p-23;
    case RONDE_FLOAT64: return 0x1p-52;
    default: return 0;
    }
}

static double get(int32_t dtype, const char *from)
{
    uint16_t half;
    float single;
    double number;
    memcpy(&half, from, sizeof half);
    if (dtype == RONDE_FLOAT16)
        return from_half(half);
    if (dtype == RONDE_BFLOAT16)
        return from_bfloat(half);
    if (dtype == RONDE_FLOAT32) {
        memcpy(&single, from, sizeof single);
        return single;
    }
    memcpy(&number, from, sizeof number);
    return number;
}

static int is_right(const struct work *w, const char *is, const char *should)
{
    if (!memcmp(is, should, w->element_bytes))
        return 1;
    double unit = unit_in_last_place(w->dtype);
    if (w->op != RONDE_AVERAGE || unit == 0)
        return 0;
    double want = get(w->dtype, should);
    return fabs(get(w->dtype, is) - want) <= 2 * unit * fabs(want);
}

static size_t count_wrong(const struct work *w, const struct block *block, const char *at,
                          size_t count)
{
    size_t wrong = 0, step = w->element_bytes;
    for (size_t first = 0; first < count; first += PERIOD) {
        size_t here = count - first < PERIOD ? count - first : PERIOD;
        const char *is = at + first * step;
        if (memcmp(is, block->bytes, here * step))
            for (size_t j = 0; j < here; j++)
                wrong += !is_right(w, is + j * step, block->bytes + j * step);
    }
    return wrong;
}

static size_t piece_wrong(const struct work *w, const struct piece *piece, const char *out)
{
    struct block block;
    if (w->collective == BROADCAST) {
        make_contribution(w, w->root, &block);
        return count_wrong(w, &block, out, piece->count);
    }
    if (w->collective != ALLGATHER) {
        make_result(w, &block);
        return count_wrong(w, &block, out, piece->count);
    }
    size_t wrong = 0;
    for (int rank = 0; rank < w->ranks; rank++, out += piece->count * w->element_bytes) {
        make_contribution(w, rank, &block);
        wrong += count_wrong(w, &block, out, piece->count);
    }
    return wrong;
}

size_t values_wrong(const struct work *w, const struct variant *v)
{
    size_t wrong = 0;
    for (size_t i = 0; i < v->pieces->number; i++)
        wrong += piece_wrong(w, &v->pieces->at[i], v->out + v->pieces->at[i].offset_bytes);
    return wrong;
}
