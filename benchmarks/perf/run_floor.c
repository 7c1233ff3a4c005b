/* The floor's variants. Streaming stores write lines without reading them first, and past the
 * cache; memcpy does so from some size on, which differs between machines. So both are offered. */
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "options.h"
#include "work.h"

enum { LINE_BYTES = 64 };

#ifdef __x86_64__
__attribute__((target("avx512f"))) static void stream_avx512(char *to, const char *from,
                                                             size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE_BYTES)
        _mm512_stream_si512((__m512i *)(void *)(to + i), _mm512_loadu_si512(from + i));
}

static void stream_sse2(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 16)
        _mm_stream_si128((__m128i *)(void *)(to + i),
                         _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
}

/* `to` at a line, whole lines. */
static void stream_lines(char *to, const char *from, size_t bytes)
{
    if (__builtin_cpu_supports("avx512f"))
        stream_avx512(to, from, bytes);
    else
        stream_sse2(to, from, bytes);
    _mm_sfence();
}
#else
static void stream_lines(char *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
}
#endif

static void stream(char *to, const char *from, size_t bytes)
{
    size_t head = (LINE_BYTES - (size_t)(uintptr_t)to % LINE_BYTES) % LINE_BYTES;
    head = head < bytes ? head : bytes;
    size_t lines = (bytes - head) / LINE_BYTES * LINE_BYTES;
    memcpy(to, from, head);
    if (lines)
        stream_lines(to + head, from + head, lines);
    memcpy(to + head + lines, from + head + lines, bytes - head - lines);
}

void floor_copy_run(const struct work *w, const struct variant *v)
{
    for (size_t i = 0; i < v->pieces->number; i++) {
        const struct piece *piece = &v->pieces->at[i];
        memcpy(v->out + piece->offset_bytes, v->in + piece->offset_bytes,
               piece->count * w->element_bytes);
    }
}

void floor_stream_run(const struct work *w, const struct variant *v)
{
    for (size_t i = 0; i < v->pieces->number; i++) {
        const struct piece *piece = &v->pieces->at[i];
        stream(v->out + piece->offset_bytes, v->in + piece->offset_bytes,
               piece->count * w->element_bytes);
    }
}

const char *floor_refuses(const struct work *w)
{
    if (w->collective == BROADCAST || w->collective == ALLGATHER)
        return "is known for allreduce and steps only: give another --impl";
    if (w->in_place)
        return "is a copy, which needs two buffers: leave out --in-place or give another --impl";
    if (w->hosts > 1)
        return "is that of one machine's memory: give another --impl";
    return NULL;
}

size_t floor_wrong(const struct work *w, const struct variant *v)
{
    size_t wrong = 0;
    for (size_t i = 0; i < v->pieces->number; i++) {
        const struct piece *piece = &v->pieces->at[i];
        const char *in = v->in + piece->offset_bytes, *out = v->out + piece->offset_bytes;
        for (size_t j = 0; j < piece->count; j++)
            wrong += memcmp(in + j * w->element_bytes, out + j * w->element_bytes,
                            w->element_bytes) != 0;
    }
    return wrong;
}
