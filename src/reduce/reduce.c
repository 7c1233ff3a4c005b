/* What reductions mean, and which kernel runs one.
 *
 * A whole reduction is finish(combine(start(source), ...)): start multiplies by prescale (and a
 * weight), finish divides and multiplies by postscale. Its halves keep their part and set the
 * other's to nothing. Integers and bool compose exactly, because each scale ends in a value of the
 * type (a weighted sum of integers too, where it fits the type); float16 and bfloat16 are rounded
 * once more at every point where a sum leaves a kernel.
 *
 * A bool average is 1 where all sources are (the average of zeros and ones, truncated). Halves of a
 * sum could not tell, so it is a product from the beginning. */
#include "reduce/reduce.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cpu.h"
#include "base/dtype.h"
#include "base/status.h"
#include "reduce/kernels.h"

/* Which table; NULL until chosen. Relaxed suffices: tables are constants. */
static _Atomic(const struct kernels *) chosen;

static const struct kernels *kernels_of(int simd)
{
    switch (simd) {
#if defined __x86_64__
    case RONDE__SIMD_AVX512: return &ronde__kernels_avx512;
    case RONDE__SIMD_AVX2: return &ronde__kernels_avx2;
#endif
    default: return &ronde__kernels_portable;
    }
}

/* Asked once: the instruction that tells costs tens of microseconds in a virtual machine. */
static int best_simd(void)
{
    static atomic_int known = -1;
    int best = atomic_load_explicit(&known, memory_order_relaxed);
    if (best < 0) {
        best = ronde__cpu_simd();
        atomic_store_explicit(&known, best, memory_order_relaxed);
    }
    return best;
}

static int cpu_has(int simd)
{
    int best = best_simd();
    return simd == RONDE__SIMD_PORTABLE || simd == best ||
           (simd == RONDE__SIMD_AVX2 && best == RONDE__SIMD_AVX512);
}

int32_t ronde__reduce_choose(int simd)
{
    int best = best_simd();
    if (simd == -1)
        simd = best;
    else if (!cpu_has(simd))
        return ronde__fail(RONDE_ERR_ARGUMENT, "this cpu lacks instruction set %d, its best is %s",
                           simd, ronde__simd_name(best));
    atomic_store_explicit(&chosen, kernels_of(simd), memory_order_relaxed);
    return RONDE_OK;
}

const struct kernels *ronde__kernels(void)
{
    const struct kernels *table = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (table)
        return table;
    ronde__reduce_choose(-1);
    return atomic_load_explicit(&chosen, memory_order_relaxed);
}

int ronde__reduce_simd(void)
{
    const struct kernels *table = ronde__kernels();
#if defined __x86_64__
    if (table == &ronde__kernels_avx512)
        return RONDE__SIMD_AVX512;
    if (table == &ronde__kernels_avx2)
        return RONDE__SIMD_AVX2;
#elif defined __aarch64__
    if (table == &ronde__kernels_portable)
        return RONDE__SIMD_NEON;
#endif
    return table ? RONDE__SIMD_PORTABLE : -1;
}

/* ---- reductions as data ---------------------------------------------------------------------- */

struct reduction ronde__reduction(int32_t dtype, int32_t op, double prescale, double postscale,
                                  uint32_t contributors)
{
    struct reduction whole = {dtype, op, 1, prescale, postscale, 1, RONDE_BOOL};
    if (op == RONDE_ADASUM || op == RONDE_WEIGHTED_AVERAGE)
        whole.op = RONDE_SUM;
    if (op == RONDE_AVERAGE) {
        whole.op = dtype == RONDE_BOOL ? RONDE_PRODUCT : RONDE_SUM;
        if (dtype != RONDE_BOOL && contributors > 1)
            whole.divisor = contributors;
    }
    return whole;
}

struct reduction ronde__reduction_weighted(int32_t dtype, double prescale, double postscale,
                                           double total)
{
    return (struct reduction){dtype, RONDE_SUM, 1, prescale, postscale, total, RONDE_BOOL};
}

struct reduction ronde__reduction_start(const struct reduction *whole, int32_t between)
{
    int32_t to = between == whole->dtype ? RONDE_BOOL : between;
    return (struct reduction){whole->dtype, whole->op, 1, whole->prescale, 1, 1, to};
}

struct reduction ronde__reduction_finish(const struct reduction *whole, int32_t between)
{
    struct reduction finish = *whole;
    finish.prescale = 1;
    finish.dtype = between;
    finish.to = between == whole->dtype ? RONDE_BOOL : whole->dtype;
    return finish;
}

struct reduction ronde__reduction_middle(const struct reduction *whole, int32_t between)
{
    return (struct reduction){between, whole->op, 1, 1, 1, 1, RONDE_BOOL};
}

static int only_combines(const struct reduction *reduction)
{
    return reduction->divisor <= 1 && reduction->total == 1 && reduction->prescale == 1 &&
           reduction->postscale == 1;
}

/* A bool is not copied, nor what a logical op is run on: it becomes 0 or 1. */
int ronde__reduction_is_copy(const struct reduction *reduction)
{
    return reduction->dtype != RONDE_BOOL && reduction->to == RONDE_BOOL &&
           !op_is_logical(reduction->op) && only_combines(reduction);
}

/* ---- running one ----------------------------------------------------------------------------- */

/* One whose reciprocal is a normal number of every type that is accumulated in, too. */
static int is_power_of_two(double x)
{
    int exponent;
    return frexp(x, &exponent) == 0.5 && exponent > -100 && exponent < 100;
}

/* An average by a power of two multiplies by the exact reciprocal: the same bits as the division,
 * several times as fast. */
static enum kind kind_of(const struct reduction *reduction, const double *weights,
                         struct recipe *recipe)
{
    double divisor = divisor_of(reduction);
    int divides = !is_power_of_two(divisor);
    *recipe = (struct recipe){.prescale = reduction->prescale,
                              .times = divides ? 1.0 : 1.0 / divisor,
                              .divisor = divisor,
                              .postscale = reduction->postscale,
                              .divides = divides,
                              .weights = weights};
    if (weights)
        return KIND_WEIGHTED;
    if (only_combines(reduction))
        return KIND_PLAIN;
    int one_factor = divisor == 1 || reduction->postscale == 1;
    if (reduction->op != RONDE_SUM || reduction->prescale != 1 || !one_factor)
        return KIND_SCALED;
    if (divisor == 1)
        recipe->times = reduction->postscale;
    return divides ? KIND_DIVIDE : KIND_TIMES;
}

static void store(void *dst, const void *from, size_t bytes, int past)
{
    if (past)
        ronde__copy_streaming(dst, from, bytes);
    else if (dst != from)
        memcpy(dst, from, bytes);
}

/* One source of halves, finished as float32. */
static void reduce_widened(const struct reduction *reduction, float *dst, const void *source,
                           size_t count)
{
    enum { PART = 1024 };
    const struct kernels *kernels = ronde__kernels();
    struct recipe recipe;
    enum kind kind = kind_of(reduction, NULL, &recipe);
    for (size_t at = 0, length; at < count; at += length) {
        const void *here = dst + at;
        length = count - at < PART ? count - at : PART;
        kernels->floats[reduction->dtype](dst + at, (const uint16_t *)source + at, length);
        kernels->run[kind][reduction->op][RONDE_FLOAT32](&recipe, dst + at, &here, 1, length);
    }
}

void ronde__reduce_to(const struct reduction *reduction, const struct destination *to,
                      const void *const *sources, const double *weights, int n, size_t count)
{
    int32_t op = reduction->op, dtype = reduction->dtype;
    size_t bytes = count * ronde_dtype_bytes(dtype);
    const struct kernels *kernels = ronde__kernels();
    if (count == 0)
        return;
    if (reduction->to == RONDE_FLOAT32) {
        reduce_widened(reduction, to->dst, sources[0], count);
        return;
    }
    if (n == 1 && !weights && ronde__reduction_is_copy(reduction)) {
        if (to->also)
            store(to->also, sources[0], bytes, to->also_past);
        store(to->dst, sources[0], bytes, to->past && to->dst != sources[0]);
        return;
    }
    if (!ronde__dtype_is_float(dtype) && (weights || !only_combines(reduction))) {
        ronde__integers_reduce(reduction, kernels->run[KIND_PLAIN][op][dtype], to->dst, sources,
                               weights, n, count);
        if (to->also)
            store(to->also, to->dst, bytes, to->also_past);
        return;
    }
    struct recipe recipe;
    enum kind kind = kind_of(reduction, weights, &recipe);
    recipe.past = to->past;
    recipe.also = to->also;
    recipe.also_past = to->also && to->also_past;
    recipe.narrow = kernels->narrow[reduction->to];
    kernels->run[kind][op][dtype](&recipe, to->dst, sources, n, count);
}

void ronde__reduce_weighted(const struct reduction *reduction, void *dst,
                            const void *const *sources, const double *weights, int n, size_t count)
{
    const struct destination to = {.dst = dst};
    ronde__reduce_to(reduction, &to, sources, weights, n, count);
}

void ronde__reduce(const struct reduction *reduction, void *dst, const void *const *sources, int n,
                   size_t count)
{
    ronde__reduce_weighted(reduction, dst, sources, NULL, n, count);
}

void ronde__copy_streaming(void *dst, const void *src, size_t bytes)
{
    ronde__kernels()->copy(dst, src, bytes);
}
