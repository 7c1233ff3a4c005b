/* Kernels of 32-byte vectors, with F16C. */
#include "reduce/kernels.h"

#if defined __x86_64__
#include <immintrin.h>

#if defined __clang__
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#endif

#define WIDTH 32
#define TABLE ronde__kernels_avx2
#define F32_LESSER(a, b) _mm256_min_ps(a, b)
#define F64_LESSER(a, b) _mm256_min_pd(a, b)
#define HALF(p, i) _mm_loadu_si128((const __m128i *)(const void *)(p) + (i))
#define F16_LOAD(p) ((struct pair){_mm256_cvtph_ps(HALF(p, 0)), _mm256_cvtph_ps(HALF(p, 1))})
#define F16_STORE(p, pair) \
    _mm256_storeu_si256((__m256i *)(void *)(p), \
                        _mm256_set_m128i(_mm256_cvtps_ph((pair).b, _MM_FROUND_TO_NEAREST_INT), \
                                         _mm256_cvtps_ph((pair).a, _MM_FROUND_TO_NEAREST_INT)))
#define STREAM(p, v) _mm256_stream_si256((__m256i *)(void *)(p), (__m256i)(v))
#define STREAM_END() _mm_sfence()
#include "reduce/kernels.inc.h"

#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
