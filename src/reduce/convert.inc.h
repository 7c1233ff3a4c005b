/* float32 to the halves and back, elements staying in their order, which the loads and stores of
 * vectors.inc.h do not promise. Part of kernels.inc.h. */
typedef uint16_t v_half __attribute__((vector_size(WIDTH / 2)));
typedef v_half at_half __attribute__((aligned(1), may_alias));

/* WIDTH / 4 elements each. */
INLINE void bf16_narrow_vector(char *to, const char *from)
{
    v_u32 bits = bf16_round(*(const at_f32 *)from) >> 16;
    *(at_half *)to = __builtin_convertvector(bits, v_half);
}

INLINE void bf16_widen_vector(char *to, const char *from)
{
    *(at_u32 *)to = __builtin_convertvector(*(const at_half *)from, v_u32) << 16;
}

#ifndef F16_LOAD
INLINE void f16_narrow_vector(char *to, const char *from)
{
    *(at_half *)to = __builtin_convertvector(f16_narrow(*(const at_f32 *)from), v_half);
}

INLINE void f16_widen_vector(char *to, const char *from)
{
    *(at_f32 *)to = f16_widen(__builtin_convertvector(*(const at_half *)from, v_u32));
}

INLINE void f16_narrow_two(char *to, const char *from)
{
    f16_narrow_vector(to, from);
    f16_narrow_vector(to + WIDTH / 2, from + WIDTH);
}

INLINE void f16_widen_two(char *to, const char *from)
{
    f16_widen_vector(to, from);
    f16_widen_vector(to + WIDTH, from + WIDTH / 2);
}
#else /* whose pairs are in order */
INLINE void f16_narrow_two(char *to, const char *from)
{
    struct pair two = {*(const at_f32 *)from, *(const at_f32 *)(from + WIDTH)};
    F16_STORE(to, two);
}

INLINE void f16_widen_two(char *to, const char *from)
{
    struct pair two = F16_LOAD(from);
    *(at_f32 *)to = two.a;
    *(at_f32 *)(to + WIDTH) = two.b;
}
#endif

INLINE void bf16_narrow_two(char *to, const char *from)
{
    bf16_narrow_vector(to, from);
    bf16_narrow_vector(to + WIDTH / 2, from + WIDTH);
}

INLINE void bf16_widen_two(char *to, const char *from)
{
    bf16_widen_vector(to, from);
    bf16_widen_vector(to + WIDTH, from + WIDTH / 2);
}

/* What is left goes through vectors that are padded with zeros. */
#define CONVERT(T) \
    static void T##_narrow_floats(void *to, const void *from, size_t count) \
    { \
        size_t at = 0; \
        for (; count - at >= WIDTH / 2; at += WIDTH / 2) \
            T##_narrow_two((char *)to + 2 * at, (const char *)from + 4 * at); \
        if (count > at) { \
            char wide[2 * WIDTH] = {0}, narrow[WIDTH]; \
            memcpy(wide, (const char *)from + 4 * at, 4 * (count - at)); \
            T##_narrow_two(narrow, wide); \
            memcpy((char *)to + 2 * at, narrow, 2 * (count - at)); \
        } \
    } \
    static void T##_to_floats(void *to, const void *from, size_t count) \
    { \
        size_t at = 0; \
        for (; count - at >= WIDTH / 2; at += WIDTH / 2) \
            T##_widen_two((char *)to + 4 * at, (const char *)from + 2 * at); \
        if (count > at) { \
            char narrow[WIDTH] = {0}, wide[2 * WIDTH]; \
            memcpy(narrow, (const char *)from + 2 * at, 2 * (count - at)); \
            T##_widen_two(wide, narrow); \
            memcpy((char *)to + 4 * at, wide, 4 * (count - at)); \
        } \
    }

CONVERT(f16)
CONVERT(bf16)
