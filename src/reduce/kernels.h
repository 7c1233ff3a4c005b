/* Between reduce.c and the kernels: one table of functions per instruction set.
 *
 * Every table is compiled from kernels.inc.h and loop.inc.h, so all of them compute the same bits;
 * they differ in the width of a vector and in a few primitives. */
#ifndef RONDE_REDUCE_KERNELS_H
#define RONDE_REDUCE_KERNELS_H

#include <stddef.h>

#include "base/dtype.h"
#include "reduce/reduce.h"

/* What a kernel does beside combining. All but KIND_PLAIN exist for floats only, KIND_TIMES and
 * KIND_DIVIDE for sums only: they are the averages. Logical and bitwise ops are plain. */
enum kind {
    KIND_PLAIN = 0,
    KIND_TIMES = 1,    /* result * times */
    KIND_DIVIDE = 2,   /* result / divisor */
    KIND_SCALED = 3,   /* every source * prescale; result / divisor or * times; * postscale */
    KIND_WEIGHTED = 4, /* the same, every source * prescale * its weight */
    KINDS = 5
};

/* From float32 to a half, or back; elements keep their order. A NaN that is narrowed is canonical. */
typedef void convert_function(void *to, const void *from, size_t count);

/* The numbers for the kinds above. Kernels narrow them to the type they accumulate in. */
struct recipe {
    double prescale, times, divisor, postscale;
    int divides;              /* 0: `times` does it, the divisor is a power of two or 1 */
    const double *weights;    /* of every source, for KIND_WEIGHTED; NULL: all 1 */
    char *also;               /* where the result goes, too; NULL: nowhere */
    int past, also_past;      /* past the caches: to dst, to `also` */
    convert_function *narrow; /* of float32: makes the result a half, to dst alone; NULL: nothing */
};

/* count >= 1; dst may be equal to any one source. */
typedef void kernel_function(const struct recipe *recipe, void *dst, const void *const *sources,
                             int n, size_t count);

struct kernels {
    kernel_function *run[KINDS][RONDE__OPS][RONDE__DTYPES]; /* NULL: no such kind for the dtype */
    void (*copy)(void *dst, const void *src, size_t bytes); /* past the caches */
    convert_function *narrow[RONDE__DTYPES], *floats[RONDE__DTYPES]; /* to, and from, a half */
    /* For adasum.c: DOT_BLOCK elements of a float dtype as doubles; and the products of as many
     * pairs of them, added to DOT_LANES sums, element i to sum i % DOT_LANES. */
    void (*widen[RONDE__DTYPES])(double *to, const void *from);
    void (*dot)(double *lanes, const double *a, const double *b);
};

/* Lanes enough to hide an addition's latency in the widest vectors, and not too many registers of
 * the narrowest. Blocks of two tiles of rows (adasum.c) and the sums fit a first-level cache. */
enum { DOT_LANES = 16, DOT_BLOCK = 128 };

/* The table in use. */
const struct kernels *ronde__kernels(void);

extern const struct kernels ronde__kernels_portable;
#if defined __x86_64__
extern const struct kernels ronde__kernels_avx2;
extern const struct kernels ronde__kernels_avx512;
#endif

/* Ops whose result is 0 or 1 in every type. */
static inline int op_is_logical(int op)
{
    return op == RONDE_LOGICAL_AND || op == RONDE_LOGICAL_OR;
}

/* What the finish divides by: 1 where nothing. */
static inline double divisor_of(const struct reduction *reduction)
{
    return (reduction->divisor > 1 ? (double)reduction->divisor : 1.0) * reduction->total;
}

/* Integers and bool with scales, weights (or NULL) or a divisor (integers.c); `combine` is the
 * plain kernel of the reduction's op and dtype. */
void ronde__integers_reduce(const struct reduction *reduction, kernel_function *combine, char *dst,
                            const void *const *sources, const double *weights, int n, size_t count);

#endif
