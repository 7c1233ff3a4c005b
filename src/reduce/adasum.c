/* Dot products, tile by tile of TILE vectors, PART elements at a time: what a pair of tiles needs
 * of a block is converted to double once and stays in the first-level cache for all their products;
 * what all tiles need of a part stays in the second. Products of float32 and below are exact in
 * double, and sums are made at three levels (lane, part, whole), which keeps their errors small. */
#include "reduce/adasum.h"

#include <math.h>
#include <string.h>

#include "reduce/kernels.h"

/* ---- dot products ---------------------------------------------------------------------------- */

enum { TILE = 8, PART = RONDE__ADASUM_PART };

struct vectors {
    int32_t dtype;
    const void *const *sources;
    int n;
};

struct tile {
    int first, rows;
    double row[TILE][DOT_BLOCK];
};

static void place(struct tile *tile, const struct vectors *v, int first)
{
    tile->first = first;
    tile->rows = v->n - first < TILE ? v->n - first : TILE;
}

/* The elements [at, at + count) of the tile's vectors, zeros up to a whole block. */
static void widen(struct tile *tile, const struct vectors *v, size_t at, size_t count)
{
    size_t one = ronde_dtype_bytes(v->dtype);
    const struct kernels *kernels = ronde__kernels();
    for (int i = 0; i < tile->rows; i++) {
        _Alignas(64) char padded[DOT_BLOCK * sizeof(double)];
        const char *from = (const char *)v->sources[tile->first + i] + at * one;
        if (count < DOT_BLOCK) {
            memset(padded, 0, sizeof padded);
            from = memcpy(padded, from, count * one);
        }
        kernels->widen[v->dtype](tile->row[i], from);
    }
}

/* Every pair once: in a tile with itself, those not below the diagonal. */
static int first_partner(const struct tile *a, const struct tile *b, int i)
{
    return a == b ? i : 0;
}

static void settle(const struct tile *a, const struct tile *b, double lanes[TILE][TILE][DOT_LANES],
                   int n, double *gram)
{
    for (int i = 0; i < a->rows; i++)
        for (int j = first_partner(a, b, i); j < b->rows; j++) {
            double sum = 0;
            for (int lane = 0; lane < DOT_LANES; lane++)
                sum += lanes[i][j][lane];
            size_t row = (size_t)(a->first + i), column = (size_t)(b->first + j);
            gram[row * (size_t)n + column] += sum;
            if (row != column)
                gram[column * (size_t)n + row] += sum;
        }
}

/* The products of a's vectors with b's (which may be a) over one part. */
static void multiply(const struct vectors *v, struct tile *a, struct tile *b, size_t start,
                     size_t count, double *gram)
{
    _Alignas(64) double lanes[TILE][TILE][DOT_LANES] = {{{0}}};
    const struct kernels *kernels = ronde__kernels();
    for (size_t at = 0; at < count; at += DOT_BLOCK) {
        size_t now = count - at < DOT_BLOCK ? count - at : DOT_BLOCK;
        widen(a, v, start + at, now);
        if (b != a)
            widen(b, v, start + at, now);
        for (int i = 0; i < a->rows; i++)
            for (int j = first_partner(a, b, i); j < b->rows; j++)
                kernels->dot(lanes[i][j], a->row[i], b->row[j]);
    }
    settle(a, b, lanes, v->n, gram);
}

void ronde__adasum_gram(int32_t dtype, const void *const *sources, int n, size_t count,
                        double *gram)
{
    const struct vectors v = {dtype, sources, n};
    _Alignas(64) struct tile a, b;
    for (size_t start = 0; start < count; start += PART) {
        size_t now = count - start < PART ? count - start : PART;
        for (int i = 0; i < n; i += TILE) {
            place(&a, &v, i);
            multiply(&v, &a, &a, start, now, gram);
            for (int j = i + TILE; j < n; j += TILE) {
                place(&b, &v, j);
                multiply(&v, &a, &b, start, now, gram);
            }
        }
    }
}

/* ---- coefficients ---------------------------------------------------------------------------- */

/* A vector of the tree: the originals [from, to) with their coefficients. */
struct branch {
    int from, to;
};

struct tree {
    const double *gram;
    int n;
    double *coefficients;
};

static double product(const struct tree *tree, struct branch a, struct branch b)
{
    double sum = 0;
    for (int i = a.from; i < a.to; i++) {
        const double *row = tree->gram + (size_t)i * (size_t)tree->n;
        double of_row = 0;
        for (int j = b.from; j < b.to; j++)
            of_row += tree->coefficients[j] * row[j];
        sum += tree->coefficients[i] * of_row;
    }
    return sum;
}

/* The square of what rounding may have left of a branch whose originals cancel: 2^-40, which is
 * some 10^4 times the error of a sum of products, of what they are without cancelling. */
static double noise(const struct tree *tree, struct branch a)
{
    double sum = 0;
    for (int i = a.from; i < a.to; i++) {
        double c = tree->coefficients[i];
        sum += c * c * tree->gram[(size_t)i * (size_t)tree->n + (size_t)i];
    }
    return sum * 0x1p-40;
}

static void multiply_branch(struct tree *tree, struct branch a, double factor)
{
    for (int i = a.from; i < a.to; i++)
        tree->coefficients[i] *= factor;
}

/* float32 holds coefficients up to 2^128; half the ratio of the lengths is the largest there is. */
static int is_zero(const struct tree *tree, struct branch a, double square, double other)
{
    return square <= noise(tree, a) || square < other * 0x1p-200;
}

static void join(struct tree *tree, struct branch a, struct branch b)
{
    double both = product(tree, a, b), aa = product(tree, a, a), bb = product(tree, b, b);
    if (!isfinite(both) || !isfinite(aa) || !isfinite(bb))
        return;
    double of_a = is_zero(tree, a, aa, bb) ? 1 : 1 - both / (2 * aa);
    double of_b = is_zero(tree, b, bb, aa) ? 1 : 1 - both / (2 * bb);
    multiply_branch(tree, a, of_a);
    multiply_branch(tree, b, of_b);
}

void ronde__adasum_coefficients(const double *gram, int n, double *coefficients)
{
    struct tree tree = {gram, n, coefficients};
    for (int i = 0; i < n; i++)
        coefficients[i] = 1;
    for (int width = 1; width < n; width *= 2)
        for (int at = 0; at + width < n; at += 2 * width) {
            int end = n - at < 2 * width ? n : at + 2 * width;
            join(&tree, (struct branch){at, at + width}, (struct branch){at + width, end});
        }
}
