/* Kernels of 16-byte vectors, for any CPU: SSE2 where it is x86-64, NEON where it is aarch64, and
 * scalar code where there is nothing. */
#if defined __SSE2__
#include <emmintrin.h>
#define STREAM(p, v) _mm_stream_si128((__m128i *)(void *)(p), (__m128i)(v))
#define STREAM_END() _mm_sfence()
#elif defined __aarch64__
#include <arm_neon.h>
#define HALF(p, i) vreinterpret_f16_u8(vld1_u8((const uint8_t *)(p) + 8 * (i)))
#define F16_LOAD(p) ((struct pair){vcvt_f32_f16(HALF(p, 0)), vcvt_f32_f16(HALF(p, 1))})
#define F16_NARROW(v) vreinterpret_u8_f16(vcvt_f16_f32(v))
#define F16_STORE(p, pair) \
    vst1q_u8((uint8_t *)(p), vcombine_u8(F16_NARROW((pair).a), F16_NARROW((pair).b)))
#endif

#define WIDTH 16
#define TABLE ronde__kernels_portable
#include "reduce/kernels.inc.h"
