/* Adasum by dot products against Adasum vector by vector, in long double. */
#include "reduce/adasum.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/dtype.h"
#include "check.h"
#include "reference.h"

enum { MOST_VECTORS = 33, MOST_COUNT = 9000, PART = RONDE__ADASUM_PART };

static uint64_t state = 88172645463325252ull;

static double random_number(void) /* in [-1, 1) */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(int64_t)state * 0x1p-63;
}

/* ---- data ------------------------------------------------------------------------------------ */

static struct {
    _Alignas(64) char vectors[MOST_VECTORS][MOST_COUNT * 8], result[MOST_COUNT * 8];
    const void *sources[MOST_VECTORS];
    double gram[MOST_VECTORS * MOST_VECTORS], other[MOST_VECTORS * MOST_VECTORS];
    double coefficients[MOST_VECTORS];
} memory;

static void store(int32_t dtype, char *p, double value)
{
    if (dtype == RONDE_FLOAT64)
        memcpy(p, &value, 8);
    else
        store_float(dtype, p, (float)value);
}

static double load(int32_t dtype, const char *p)
{
    double value;
    if (dtype != RONDE_FLOAT64)
        return (double)load_float(dtype, p);
    memcpy(&value, p, 8);
    return value;
}

static void set(int32_t dtype, int vector, size_t i, double value)
{
    memory.sources[vector] = memory.vectors[vector];
    store(dtype, memory.vectors[vector] + i * ronde_dtype_bytes(dtype), value);
}

static double get(int32_t dtype, size_t i)
{
    return load(dtype, memory.result + i * ronde_dtype_bytes(dtype));
}

/* Neither parallel nor orthogonal, and of different lengths. */
static void fill(int32_t dtype, int n, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double common = random_number();
        for (int v = 0; v < n; v++)
            set(dtype, v, i, (common + random_number()) * (v % 3 + 1));
    }
}

static void adasum(int32_t dtype, int n, size_t count)
{
    struct reduction sum = ronde__reduction(dtype, RONDE_ADASUM, 1, 1, (uint32_t)n);
    memset(memory.gram, 0, sizeof memory.gram);
    ronde__adasum_gram(dtype, memory.sources, n, count, memory.gram);
    ronde__adasum_coefficients(memory.gram, n, memory.coefficients);
    ronde__reduce_weighted(&sum, memory.result, memory.sources, memory.coefficients, n, count);
}

/* ---- vector by vector ------------------------------------------------------------------------ */

/* `size` is the same combination of absolute values: what a rounding error is relative to. */
struct vector {
    long double value[MOST_COUNT], size[MOST_COUNT];
};

static long double dot(const struct vector *a, const struct vector *b, size_t count)
{
    long double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a->value[i] * b->value[i];
    return sum;
}

static void pair(struct vector *a, const struct vector *b, size_t count)
{
    long double both = dot(a, b, count), aa = dot(a, a, count), bb = dot(b, b, count);
    long double of_a = aa > 0 ? 1 - both / (2 * aa) : 1, of_b = bb > 0 ? 1 - both / (2 * bb) : 1;
    for (size_t i = 0; i < count; i++) {
        a->value[i] = of_a * a->value[i] + of_b * b->value[i];
        a->size[i] = fabsl(of_a) * a->size[i] + fabsl(of_b) * b->size[i];
    }
}

/* Into the first of the tree's n vectors, pass by pass as in the definition. */
static void direct(struct vector *tree, int32_t dtype, int n, size_t count)
{
    for (int v = 0; v < n; v++)
        for (size_t i = 0; i < count; i++) {
            tree[v].value[i] = load(dtype, memory.vectors[v] + i * ronde_dtype_bytes(dtype));
            tree[v].size[i] = fabsl(tree[v].value[i]);
        }
    for (int left = n; left > 1; left = (left + 1) / 2)
        for (int v = 0; v < left; v += 2) {
            if (v + 1 < left)
                pair(&tree[v], &tree[v + 1], count);
            if (v > 0) {
                memcpy(tree[v / 2].value, tree[v].value, count * sizeof(long double));
                memcpy(tree[v / 2].size, tree[v].size, count * sizeof(long double));
            }
        }
}

static void check_random(struct vector *tree, int32_t dtype, int n, size_t count)
{
    static const double unit[RONDE__DTYPES] = {[RONDE_FLOAT16] = 0x1p-11,
                                               [RONDE_BFLOAT16] = 0x1p-8,
                                               [RONDE_FLOAT32] = 0x1p-24,
                                               [RONDE_FLOAT64] = 0x1p-53};
    double sum_unit = dtype == RONDE_FLOAT64 ? 0x1p-46 : 0x1p-24;
    fill(dtype, n, count);
    adasum(dtype, n, count);
    direct(tree, dtype, n, count);
    for (size_t i = 0; i < count; i++) {
        long double error = fabsl((long double)get(dtype, i) - tree[0].value[i]);
        long double bound = tree[0].size[i] * sum_unit * (n + 2) +
                            fabsl(tree[0].value[i]) * unit[dtype] + 0x1p-24L;
        if (dtype >= RONDE_FLOAT32)
            bound -= 0x1p-24L; /* that was for subnormal halves */
        CHECK_SAYING(error <= bound, "%s, %d vectors of %zu: [%zu] is %.17g instead of %.17Lg",
                     ronde_dtype_name(dtype), n, count, i, get(dtype, i), tree[0].value[i]);
    }
}

static void adasum_equals_that_of_vector_by_vector(void)
{
    static const int numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33};
    static const size_t counts[] = {1, 3, 127, 128, 129};
    struct vector *tree = malloc(MOST_VECTORS * sizeof *tree);
    CHECK(tree);
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++)
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                check_random(tree, dtype, numbers[i], counts[c]);
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        check_random(tree, dtype, 9, PART - 1);
        check_random(tree, dtype, 17, PART + 130);
    }
    free(tree);
}

/* ---- what it is for -------------------------------------------------------------------------- */

static void two_small_vectors_make_what_the_paper_says(void)
{
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        set(dtype, 0, 0, 1), set(dtype, 0, 1, 0);
        set(dtype, 1, 0, 1), set(dtype, 1, 1, 1);
        adasum(dtype, 2, 2);
        CHECK(get(dtype, 0) == 1.25 && get(dtype, 1) == 0.75);
    }
}

static void orthogonal_vectors_make_their_sum(void)
{
    enum { COUNT = 300 };
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++)
        for (int n = 1; n <= 9; n++) {
            for (int v = 0; v < n; v++)
                for (int i = 0; i < COUNT; i++)
                    set(dtype, v, (size_t)i, i % n == v ? i % 7 - 3 : 0);
            adasum(dtype, n, COUNT);
            for (int i = 0; i < COUNT; i++)
                CHECK(get(dtype, (size_t)i) == i % 7 - 3);
        }
}

static void equal_vectors_make_their_average(void)
{
    enum { COUNT = 300 };
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++)
        for (int n = 1; n <= 9; n++) {
            for (int v = 0; v < n; v++)
                for (int i = 0; i < COUNT; i++)
                    set(dtype, v, (size_t)i, i % 7 - 3);
            adasum(dtype, n, COUNT);
            for (int i = 0; i < COUNT; i++)
                CHECK(get(dtype, (size_t)i) == i % 7 - 3);
        }
}

/* Zeros everywhere but in one place: the result is what is there. */
static void zero_vectors_change_nothing(void)
{
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++)
        for (int n = 1; n <= 9; n++)
            for (int place = -1; place < n; place++) {
                for (int v = 0; v < n; v++)
                    for (int i = 0; i < 9; i++)
                        set(dtype, v, (size_t)i, v == place ? i - 4 : 0);
                adasum(dtype, n, 9);
                for (int i = 0; i < 9; i++)
                    CHECK_SAYING(get(dtype, (size_t)i) == (place < 0 ? 0 : i - 4),
                                 "%s, %d vectors, %d is not zero: %g", ronde_dtype_name(dtype), n,
                                 place, get(dtype, (size_t)i));
            }
}

/* 0 and 1 cancel to 10^-12 of them. What the products say of the rest, divided by what they say of
 * its square, could be anything. */
static void vectors_that_cancel_are_zero_to_the_others(void)
{
    for (int round = 1; round < 2000; round++) {
        double others[2];
        for (size_t i = 0; i < 2; i++) {
            double x = random_number();
            others[i] = x + random_number();
            set(RONDE_FLOAT64, 0, i, x);
            set(RONDE_FLOAT64, 1, i, -x * (1 + round * 0x1p-50));
            set(RONDE_FLOAT64, 2, i, others[i]);
            set(RONDE_FLOAT64, 3, i, 0);
        }
        adasum(RONDE_FLOAT64, 4, 2);
        for (size_t i = 0; i < 2; i++)
            CHECK(fabs(get(RONDE_FLOAT64, i) - others[i]) < 1e-9);
    }
}

/* Its coefficient would not fit a float32. */
static void a_vector_far_below_the_other_is_zero_to_it(void)
{
    for (int order = 0; order < 2; order++) {
        set(RONDE_FLOAT32, order, 0, 0x1p-140);
        set(RONDE_FLOAT32, !order, 0, 3);
        adasum(RONDE_FLOAT32, 2, 1);
        CHECK(get(RONDE_FLOAT32, 0) == 3);
    }
}

static void infinities_and_nans_show(void)
{
    static const double values[] = {INFINITY, -INFINITY, NAN};
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++)
        for (int n = 2; n <= 5; n++)
            for (int which = 0; which < 3; which++) {
                fill(dtype, n, 20);
                set(dtype, n - 1, 11, values[which]);
                adasum(dtype, n, 20);
                CHECK(!isfinite(get(dtype, 11)) && isfinite(get(dtype, 10)));
            }
}

/* ---- dot products ---------------------------------------------------------------------------- */

static void every_instruction_set_has_the_same_products(void)
{
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        fill(dtype, 19, PART + 77);
        for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
            double *gram = simd ? memory.other : memory.gram;
            if (ronde__reduce_choose(simd))
                continue;
            memset(gram, 0, sizeof memory.gram);
            ronde__adasum_gram(dtype, memory.sources, 19, PART + 77, gram);
            CHECK_SAYING(!simd || !memcmp(memory.gram, memory.other, sizeof memory.gram),
                         "%s with %s", ronde_dtype_name(dtype), ronde__simd_name(simd));
        }
        ronde__reduce_choose(-1);
    }
}

/* Every half that is a number, by its product with itself, alone in its vector. */
static void halves_are_widened_exactly(void)
{
    for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
        if (ronde__reduce_choose(simd))
            continue;
        for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_BFLOAT16; dtype++)
            for (unsigned h = 0; h < 1 << 16; h++) {
                uint16_t half = (uint16_t)h, one;
                double value = load(dtype, (const char *)&half), gram[4] = {0};
                store(dtype, (char *)&one, 1);
                ronde__adasum_gram(dtype, (const void *const[]){&half, &one}, 2, 1, gram);
                CHECK_SAYING(value != value ? gram[1] != gram[1] : gram[1] == value,
                             "%s %04x is %g, not %g", ronde_dtype_name(dtype), h, gram[1], value);
            }
    }
    ronde__reduce_choose(-1);
}

static void add_parts(int32_t dtype, int n, size_t count, size_t part, double *gram)
{
    for (size_t at = 0; at < count; at += part) {
        const void *sources[MOST_VECTORS];
        for (int v = 0; v < n; v++)
            sources[v] = memory.vectors[v] + at * ronde_dtype_bytes(dtype);
        ronde__adasum_gram(dtype, sources, n, count - at < part ? count - at : part, gram);
    }
}

static void parts_of_the_vectors_add_up(void)
{
    enum { N = 9 };
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++) {
        fill(dtype, N, MOST_COUNT);
        memset(memory.gram, 0, sizeof memory.gram);
        memset(memory.other, 0, sizeof memory.other);
        ronde__adasum_gram(dtype, memory.sources, N, MOST_COUNT, memory.gram);
        add_parts(dtype, N, MOST_COUNT, PART, memory.other);
        CHECK(!memcmp(memory.gram, memory.other, sizeof memory.gram));
        memset(memory.other, 0, sizeof memory.other);
        add_parts(dtype, N, MOST_COUNT, 1001, memory.other);
        for (int i = 0; i < N * N; i++)
            CHECK(fabs(memory.gram[i] - memory.other[i]) < 1e-9);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                CHECK(memory.gram[i * N + j] == memory.gram[j * N + i]);
    }
}

/* For the address sanitizer: vectors with no byte to spare. */
static void nothing_outside_the_vectors_is_read(void)
{
    for (int32_t dtype = RONDE_FLOAT16; dtype <= RONDE_FLOAT64; dtype++)
        for (size_t count = 1; count < 300; count += count < 130 ? 1 : 57) {
            double gram[9] = {0};
            void *vector = calloc(count, ronde_dtype_bytes(dtype));
            if (vector)
                ronde__adasum_gram(dtype, (const void *const[]){vector, vector, vector}, 3, count,
                                   gram);
            free(vector);
            CHECK(vector && gram[1] == 0);
        }
}

int main(void)
{
    RUN(adasum_equals_that_of_vector_by_vector);
    RUN(two_small_vectors_make_what_the_paper_says);
    RUN(orthogonal_vectors_make_their_sum);
    RUN(equal_vectors_make_their_average);
    RUN(zero_vectors_change_nothing);
    RUN(vectors_that_cancel_are_zero_to_the_others);
    RUN(a_vector_far_below_the_other_is_zero_to_it);
    RUN(infinities_and_nans_show);
    RUN(every_instruction_set_has_the_same_products);
    RUN(halves_are_widened_exactly);
    RUN(parts_of_the_vectors_add_up);
    RUN(nothing_outside_the_vectors_is_read);
    return check_result();
}
