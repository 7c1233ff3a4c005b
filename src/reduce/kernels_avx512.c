/* Kernels of 64-byte vectors: AVX-512 F, BW, DQ, VL. */
#include "reduce/kernels.h"

#if defined __x86_64__
#include <immintrin.h>

#if defined __clang__
#pragma clang attribute push(__attribute__((target("f16c,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#define WIDTH 64
#define TABLE ronde__kernels_avx512
#define F32_LESSER(a, b) _mm512_min_ps(a, b)
#define F64_LESSER(a, b) _mm512_min_pd(a, b)
#define HALF(p, i) _mm256_loadu_si256((const __m256i *)(const void *)(p) + (i))
#define F16_LOAD(p) ((struct pair){_mm512_cvtph_ps(HALF(p, 0)), _mm512_cvtph_ps(HALF(p, 1))})
#define F16_NARROW(v) _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)
#define F16_STORE(p, pair) \
    (_mm256_storeu_si256((__m256i *)(void *)(p), F16_NARROW((pair).a)), \
     _mm256_storeu_si256((__m256i *)(void *)(p) + 1, F16_NARROW((pair).b)))
#define STREAM(p, v) _mm512_stream_si512((__m512i *)(void *)(p), (__m512i)(v))
#define STREAM_END() _mm_sfence()
#include "reduce/kernels.inc.h"

#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
