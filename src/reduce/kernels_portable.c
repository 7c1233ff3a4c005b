/* Kernels of 16-byte vectors, for any CPU: SSE2 where it is x86-64, NEON where it is aarch64, scalar
 * code where there is nothing. Elsewhere than on x86-64 the copy is memcpy. */

#if defined __SSE2__
#include <emmintrin.h>
#define STREAM(p, v) _mm_stream_si128((__m128i *)(void *)(p), (__m128i)(v))
#define STREAM_END() _mm_sfence()
#endif

#define WIDTH 16
#define TABLE ronde__kernels_portable
#include "reduce/kernels.inc.h"
