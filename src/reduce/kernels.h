/* Between reduce.c and the kernels: one table of functions per instruction set.
 *
 * Every table is compiled from kernels.inc.h and loop.inc.h, so all of them compute the same bits;
 * they differ in the width of a vector and in a few primitives. */
#ifndef RONDE_REDUCE_KERNELS_H
#define RONDE_REDUCE_KERNELS_H

#include <stddef.h>

#include "base/dtype.h"

/* What a kernel does beside combining. All but KIND_PLAIN exist for floats only, KIND_TIMES and
 * KIND_DIVIDE for sums only: they are the averages. */
enum kind {
    KIND_PLAIN = 0,
    KIND_TIMES = 1,  /* result * times */
    KIND_DIVIDE = 2, /* result / divisor */
    KIND_SCALED = 3, /* every source * prescale; result / divisor or * times; * postscale */
    KINDS = 4
};

/* The numbers for the kinds above. Kernels narrow them to the type they accumulate in. */
struct recipe {
    double prescale, times, divisor, postscale;
    int divides; /* 0: `times` does it, the divisor is a power of two or 1 */
};

/* count >= 1; dst may be equal to any one source. */
typedef void kernel_function(const struct recipe *recipe, void *dst, const void *const *sources,
                             int n, size_t count);

struct kernels {
    kernel_function *run[KINDS][RONDE__OPS][RONDE__DTYPES]; /* NULL: no such kind for the dtype */
    void (*copy)(void *dst, const void *src, size_t bytes); /* past the caches */
};

extern const struct kernels ronde__kernels_portable;
#if defined __x86_64__
extern const struct kernels ronde__kernels_avx2;
extern const struct kernels ronde__kernels_avx512;
#endif

/* Integers and bool with scales or a divisor, in place, element by element (integers.c). */

/* x = x / divisor * scale in double, truncated towards zero, saturated, 0 for NaN; for bool 1 where
 * that is not 0. */
void ronde__integers_scale(int32_t dtype, void *elements, size_t count, uint32_t divisor,
                           double scale);
/* x = x / divisor, truncated towards zero, exactly. Not for bool, whose average is a product. */
void ronde__integers_divide(int32_t dtype, void *elements, size_t count, uint32_t divisor);

#endif
