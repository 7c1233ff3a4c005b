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
    int32_t op;       /* RONDE_SUM for an average: the divisor says the rest */
    uint32_t divisor; /* 1: none */
    double prescale;  /* of every source; 1: none */
    double postscale; /* of the result; 1: none */
};

/* The whole: what `op` (average included) over `contributors` ranks means. */
struct reduction ronde__reduction(int32_t dtype, int32_t op, double prescale, double postscale,
                                  uint32_t contributors);
/* Its halves: first scale and combine, then (with one source) divide and scale. */
struct reduction ronde__reduction_start(const struct reduction *whole);
struct reduction ronde__reduction_finish(const struct reduction *whole);
/* No scale, no divisor: combining what was started elsewhere. */
struct reduction ronde__reduction_middle(const struct reduction *whole);
/* 1 where running it on one source only copies. */
int ronde__reduction_is_copy(const struct reduction *reduction);

/* Runs it over `count` elements of sources[0..n), n >= 1. dst may be equal to any one source; it
 * may not overlap otherwise. Any alignment that the dtype allows, and any at all for a copy. */
void ronde__reduce(const struct reduction *reduction, void *dst, const void *const *sources, int n,
                   size_t count);

/* memcpy that goes past the caches: for final output larger than them. */
void ronde__copy_streaming(void *dst, const void *src, size_t bytes);

/* Chooses the kernels: simd is an enum ronde__simd, or -1 for the best. RONDE_ERR_ARGUMENT where
 * the CPU lacks it. The choice is the process's, made once before the first reduction; tests may
 * choose again while nothing runs. */
int32_t ronde__reduce_choose(int simd);
/* What is chosen. */
int ronde__reduce_simd(void);

#endif
