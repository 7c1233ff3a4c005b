/* The kernels of one instruction set, in generic vectors that gcc and clang lower to whatever the
 * target has. Included once by each kernels_*.c, which has selected the target and defined
 *   WIDTH                bytes of a vector
 *   TABLE                name of the table
 * and, where one instruction does better than the generic text below,
 *   F32_LESSER, F64_LESSER(a, b)       a < b ? a : b, hence b where unordered or equal
 *   F16_LOAD(p), F16_STORE(p, pair)    WIDTH bytes of float16 as two vectors of float32
 *   STREAM(p, v)                       aligned store past the caches, with STREAM_END() */
#include <stdint.h>
#include <string.h>

#include "reduce/kernels.h"
#include "reduce/vectors.inc.h"

/* ---- the loops ------------------------------------------------------------------------------- */

#define GLUE_(a, b) a##_##b
#define GLUE(a, b) GLUE_(a, b)
#define OF(name) GLUE(T, name)

enum { UNROLL = 4 }; /* of 2, 4 and 8 the one that no type, width or n lost much by */

#ifndef STREAM
#define STREAM(p, v) (*(at_u8 *)(p) = (v))
#define STREAM_END() ((void)0)
#endif

/* What was just stored, a second time. It is forwarded to this load before it is in any cache. */
INLINE void repeat(char *to, const char *from, int vectors, int past)
{
#pragma GCC unroll 8
    for (int i = 0; i < vectors; i++) {
        v_u8 v = *(const at_u8 *)(from + i * WIDTH);
        if (past)
            STREAM(to + i * WIDTH, v);
        else
            *(at_u8 *)(to + i * WIDTH) = v;
    }
}

#define T b8
#include "reduce/loop.inc.h"
#define T s8
#include "reduce/loop.inc.h"
#define T s16
#include "reduce/loop.inc.h"
#define T s32
#include "reduce/loop.inc.h"
#define T s64
#include "reduce/loop.inc.h"
#define LOGIC /* which the signed types share */
#define T u8
#include "reduce/loop.inc.h"
#define T u16
#include "reduce/loop.inc.h"
#define T u32
#include "reduce/loop.inc.h"
#define T u64
#include "reduce/loop.inc.h"
#undef LOGIC
#define SCALES
#define T f16
#include "reduce/loop.inc.h"
#define T bf16
#include "reduce/loop.inc.h"
#define NARROWS
#define T f32
#include "reduce/loop.inc.h"
#undef NARROWS
#define T f64
#include "reduce/loop.inc.h"
#undef SCALES

#include "reduce/convert.inc.h"
#include "reduce/dots.inc.h"

/* ---- the copy -------------------------------------------------------------------------------- */

/* Whole cache lines, so that none is read before it is written. */
static void copy(void *dst, const void *src, size_t bytes)
{
    char *to = dst;
    const char *from = src;
    size_t head = -(uintptr_t)to % 64;
    if (bytes < head + 64) {
        memcpy(to, from, bytes);
        return;
    }
    memcpy(to, from, head);
    size_t at = head;
    for (; bytes - at >= 64; at += 64)
        for (size_t part = 0; part < 64; part += WIDTH)
            STREAM(to + at + part, *(const at_u8 *)(from + at + part));
    STREAM_END();
    memcpy(to + at, from + at, bytes - at);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define FLOATS(op, kind) \
    [RONDE_FLOAT16] = f16_##op##_##kind, [RONDE_BFLOAT16] = bf16_##op##_##kind, \
    [RONDE_FLOAT32] = f32_##op##_##kind, [RONDE_FLOAT64] = f64_##op##_##kind
#define ALL(op) \
    [RONDE_BOOL] = b8_##op##_plain, [RONDE_UINT8] = u8_##op##_plain, \
    [RONDE_INT8] = s8_##op##_plain, [RONDE_UINT16] = u16_##op##_plain, \
    [RONDE_INT16] = s16_##op##_plain, [RONDE_UINT32] = u32_##op##_plain, \
    [RONDE_INT32] = s32_##op##_plain, [RONDE_UINT64] = u64_##op##_plain, \
    [RONDE_INT64] = s64_##op##_plain, FLOATS(op, plain)
#define BITS(op, bool_op) \
    [RONDE_BOOL] = b8_##bool_op##_plain, [RONDE_UINT8] = u8_##op##_plain, \
    [RONDE_INT8] = u8_##op##_plain, [RONDE_UINT16] = u16_##op##_plain, \
    [RONDE_INT16] = u16_##op##_plain, [RONDE_UINT32] = u32_##op##_plain, \
    [RONDE_INT32] = u32_##op##_plain, [RONDE_UINT64] = u64_##op##_plain, \
    [RONDE_INT64] = u64_##op##_plain

const struct kernels TABLE = {
    .run = {[KIND_PLAIN] = {[RONDE_SUM] = {ALL(sum)},
                            [RONDE_MIN] = {ALL(min)},
                            [RONDE_MAX] = {ALL(max)},
                            [RONDE_PRODUCT] = {ALL(product)},
                            [RONDE_LOGICAL_AND] = {BITS(logical_and, product)},
                            [RONDE_LOGICAL_OR] = {BITS(logical_or, sum)},
                            [RONDE_BITWISE_AND] = {BITS(bitwise_and, product)},
                            [RONDE_BITWISE_OR] = {BITS(bitwise_or, sum)}},
            [KIND_TIMES] = {[RONDE_SUM] = {FLOATS(sum, times)}},
            [KIND_DIVIDE] = {[RONDE_SUM] = {FLOATS(sum, divide)}},
            [KIND_SCALED] = {[RONDE_SUM] = {FLOATS(sum, scaled)},
                             [RONDE_MIN] = {FLOATS(min, weighted)},
                             [RONDE_MAX] = {FLOATS(max, weighted)},
                             [RONDE_PRODUCT] = {FLOATS(product, weighted)}},
            [KIND_WEIGHTED] = {[RONDE_SUM] = {FLOATS(sum, weighted)},
                               [RONDE_MIN] = {FLOATS(min, weighted)},
                               [RONDE_MAX] = {FLOATS(max, weighted)},
                               [RONDE_PRODUCT] = {FLOATS(product, weighted)}}},
    .copy = copy,
    .narrow = {[RONDE_FLOAT16] = f16_narrow_floats, [RONDE_BFLOAT16] = bf16_narrow_floats},
    .floats = {[RONDE_FLOAT16] = f16_to_floats, [RONDE_BFLOAT16] = bf16_to_floats},
    .widen = {[RONDE_FLOAT16] = f16_widen_block,
              [RONDE_BFLOAT16] = bf16_widen_block,
              [RONDE_FLOAT32] = f32_widen_block,
              [RONDE_FLOAT64] = f64_widen_block},
    .dot = dot,
};
