/* dst = finish(a op b op c ...), for every dtype and op, from any number of sources in one pass.
 *
 * Operands are combined strictly in the order of the sources, ((s0 op s1) op s2) ...; float16 and
 * bfloat16 are accumulated in float32 and rounded once. The result is the same bit for bit
 * whichever instruction set runs. NaN results are canonical quiet NaNs wherever an addition,
 * product, min or max produced them, so that equal inputs in any operand order give equal bits. */
#ifndef RONDE_REDUCE_REDUCE_H
#define RONDE_REDUCE_REDUCE_H

#include <stddef.h>
#include <stdint.h>

/* One reduction, or one half of it where a sum is finished elsewhere. */
struct reduction {
    int32_t dtype;
    int32_t op;       /* what combines: RONDE_SUM for averages and Adasum */
    uint32_t divisor; /* 1: none */
    double prescale;  /* of every source; 1: none */
    double postscale; /* of the result; 1: none */
    double total;     /* divisor of a weighted average, the sum of its weights; 1: none */
    int32_t to; /* dtype of the result: of float32 a half, or the other way round (then with one
                         source); RONDE_BOOL: the same */
};

/* The whole: what `op` (average included) over `contributors` ranks means. The op must fit the
 * dtype. For Adasum and the weighted average it is the sum that ronde__reduce_weighted is to run;
 * the latter lacks its total. */
struct reduction ronde__reduction(int32_t dtype, int32_t op, double prescale, double postscale,
                                  uint32_t contributors);
/* The whole of a weighted average: a sum, to be run with weights, divided by `total`. */
struct reduction ronde__reduction_weighted(int32_t dtype, double prescale, double postscale,
                                           double total);
/* Its halves: first scale and combine, then (with one source) divide and scale. In between sums are
 * of the dtype `between`: the whole's, or, where that is float32, float16 or bfloat16. */
struct reduction ronde__reduction_start(const struct reduction *whole, int32_t between);
struct reduction ronde__reduction_finish(const struct reduction *whole, int32_t between);
/* No scale, no divisor: combining what was started elsewhere. */
struct reduction ronde__reduction_middle(const struct reduction *whole, int32_t between);
/* 1 where running it on one source only copies. */
int ronde__reduction_is_copy(const struct reduction *reduction);

/* Runs it over `count` elements of sources[0..n), n >= 1. dst may be equal to any one source (not
 * where it is of another dtype); it may not overlap otherwise. Any alignment that the dtype allows,
 * and any at all for a copy. */
void ronde__reduce(const struct reduction *reduction, void *dst, const void *const *sources, int n,
                   size_t count);

/* The same with every source multiplied by prescale * weights[s], narrowed to the type in which the
 * sum is held. Integers: where the op is a sum it is held in double, and truncated and saturated
 * when it is finished; otherwise each product is. weights NULL: ronde__reduce. Weights belong where
 * the prescale is: with the whole or its start. */
void ronde__reduce_weighted(const struct reduction *reduction, void *dst,
                            const void *const *sources, const double *weights, int n, size_t count);

/* Where a result goes: to `dst`, and in the same pass, where that is not NULL, to `also`; each
 * through the caches or past them. Each may be equal to a source; else they overlap nothing. */
struct destination {
    void *dst;
    int past;
    void *also;
    int also_past;
};

/* The same, to one or two places; to one, through the caches, where the dtype of the result is
 * another. */
void ronde__reduce_to(const struct reduction *reduction, const struct destination *to,
                      const void *const *sources, const double *weights, int n, size_t count);

/* Fills dst, elements of the result's dtype, with what changes no value that it is combined with,
 * whichever side it is on: what a rank without data contributes. It counts as scaled already, so among sources it needs a prescale
 * (times weight) of 1; a sum's is -0.0, which leaves even a zero's sign alone. */
void ronde__reduce_identity(const struct reduction *reduction, void *dst, size_t count);

/* memcpy that goes past the caches: for final output larger than them. */
void ronde__copy_streaming(void *dst, const void *src, size_t bytes);

/* Chooses the kernels: simd is an enum ronde__simd, or -1 for the best. RONDE_ERR_ARGUMENT where
 * the CPU lacks it. The choice is the process's, made once before the first reduction; tests may
 * choose again while nothing runs. */
int32_t ronde__reduce_choose(int simd);
/* What is chosen. */
int ronde__reduce_simd(void);

#endif
