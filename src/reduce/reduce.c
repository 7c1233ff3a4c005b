/* What reductions mean, and which kernel runs one.
 *
 * A whole reduction is finish(combine(start(source), ...)): start multiplies by prescale, finish
 * divides and multiplies by postscale. Its halves keep their part and set the other's to nothing.
 * Integers and bool compose exactly, because each scale ends in a value of the type; float16 and
 * bfloat16 are rounded once more at every point where a sum leaves a kernel.
 *
 * A bool average is 1 where all sources are (the average of zeros and ones, truncated). Halves of a
 * sum could not tell, so it is a product from the beginning. */
#include "reduce/reduce.h"

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

static int cpu_has(int simd)
{
    int best = ronde__cpu_simd();
    return simd == RONDE__SIMD_PORTABLE || simd == best ||
           (simd == RONDE__SIMD_AVX2 && best == RONDE__SIMD_AVX512);
}

int32_t ronde__reduce_choose(int simd)
{
    int best = ronde__cpu_simd();
    if (simd == -1)
        simd = best;
    else if (!cpu_has(simd))
        return ronde__fail(RONDE_ERR_ARGUMENT, "this cpu lacks instruction set %d, its best is %s",
                           simd, ronde__simd_name(best));
    atomic_store_explicit(&chosen, kernels_of(simd), memory_order_relaxed);
    return RONDE_OK;
}

static const struct kernels *kernels(void)
{
    const struct kernels *table = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (table)
        return table;
    ronde__reduce_choose(-1);
    return atomic_load_explicit(&chosen, memory_order_relaxed);
}

int ronde__reduce_simd(void)
{
    const struct kernels *table = kernels();
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
    struct reduction whole = {dtype, op, 1, prescale, postscale};
    if (op == RONDE_AVERAGE) {
        whole.op = dtype == RONDE_BOOL ? RONDE_PRODUCT : RONDE_SUM;
        if (dtype != RONDE_BOOL && contributors > 1)
            whole.divisor = contributors;
    }
    return whole;
}

struct reduction ronde__reduction_start(const struct reduction *whole)
{
    return (struct reduction){whole->dtype, whole->op, 1, whole->prescale, 1};
}

struct reduction ronde__reduction_finish(const struct reduction *whole)
{
    return (struct reduction){whole->dtype, whole->op, whole->divisor, 1, whole->postscale};
}

struct reduction ronde__reduction_middle(const struct reduction *whole)
{
    return (struct reduction){whole->dtype, whole->op, 1, 1, 1};
}

static int only_combines(const struct reduction *reduction)
{
    return reduction->divisor <= 1 && reduction->prescale == 1 && reduction->postscale == 1;
}

/* A bool is not copied: it becomes 0 or 1. */
int ronde__reduction_is_copy(const struct reduction *reduction)
{
    return reduction->dtype != RONDE_BOOL && only_combines(reduction);
}

/* ---- running one ----------------------------------------------------------------------------- */

/* An average by a power of two multiplies by the exact reciprocal: the same bits as the division,
 * several times as fast. */
static enum kind kind_of(const struct reduction *reduction, struct recipe *recipe)
{
    uint32_t divisor = reduction->divisor > 1 ? reduction->divisor : 1;
    int divides = (divisor & (divisor - 1)) != 0;
    *recipe = (struct recipe){.prescale = reduction->prescale,
                              .times = divides ? 1.0 : 1.0 / divisor,
                              .divisor = divisor,
                              .postscale = reduction->postscale,
                              .divides = divides};
    if (only_combines(reduction))
        return KIND_PLAIN;
    int one_factor = divisor == 1 || reduction->postscale == 1;
    if (reduction->op != RONDE_SUM || reduction->prescale != 1 || !one_factor)
        return KIND_SCALED;
    if (divisor == 1)
        recipe->times = reduction->postscale;
    return divides ? KIND_DIVIDE : KIND_TIMES;
}

enum { BLOCK_BYTES = 2048 }; /* two of them and a source's share fit any first-level cache */

/* dst = finished and scaled integers, block by block through the plain kernel. */
static void reduce_integers(const struct reduction *reduction, char *dst,
                            const void *const *sources, int n, size_t count)
{
    static const struct recipe none;
    _Alignas(64) char sum[BLOCK_BYTES], next[BLOCK_BYTES];
    kernel_function *combine = kernels()->run[KIND_PLAIN][reduction->op][reduction->dtype];
    int32_t dtype = reduction->dtype;
    size_t one = ronde_dtype_bytes(dtype), most = BLOCK_BYTES / one;
    for (size_t at = 0; at < count; at += most) {
        size_t now = count - at < most ? count - at : most;
        for (int s = 0; s < n; s++) {
            char *to = s == 0 ? sum : next;
            memcpy(to, (const char *)sources[s] + at * one, now * one);
            if (reduction->prescale != 1)
                ronde__integers_scale(dtype, to, now, 1, reduction->prescale);
            if (s > 0)
                combine(&none, sum, (const void *const[]){sum, next}, 2, now);
        }
        if (reduction->postscale != 1)
            ronde__integers_scale(dtype, sum, now, reduction->divisor, reduction->postscale);
        else if (reduction->divisor > 1)
            ronde__integers_divide(dtype, sum, now, reduction->divisor);
        memcpy(dst + at * one, sum, now * one);
    }
}

void ronde__reduce(const struct reduction *reduction, void *dst, const void *const *sources, int n,
                   size_t count)
{
    if (count == 0)
        return;
    if (n == 1 && ronde__reduction_is_copy(reduction)) {
        if (dst != sources[0])
            memcpy(dst, sources[0], count * ronde_dtype_bytes(reduction->dtype));
        return;
    }
    if (!ronde__dtype_is_float(reduction->dtype) && !only_combines(reduction)) {
        reduce_integers(reduction, dst, sources, n, count);
        return;
    }
    struct recipe recipe;
    enum kind kind = kind_of(reduction, &recipe);
    kernels()->run[kind][reduction->op][reduction->dtype](&recipe, dst, sources, n, count);
}

void ronde__copy_streaming(void *dst, const void *src, size_t bytes)
{
    kernels()->copy(dst, src, bytes);
}
