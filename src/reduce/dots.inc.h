/* What Adasum needs of an instruction set: a block of floats as doubles, and a block's products.
 * Part of kernels.inc.h.
 *
 * The loops of the conversions have constant bounds and no branch, so that compilers vectorise
 * them; an element keeps its place, which the loads of vectors.inc.h do not promise. The products
 * go to a fixed number of sums, whatever the width of a vector, so the bits are everywhere the
 * same. */

/* As f16_widen of vectors.inc.h, for one element. */
static inline float float_of_f16(uint16_t h)
{
    uint32_t magnitude = (h & 0x7fffu) << 13, bits;
    float value;
    memcpy(&value, &magnitude, 4);
    value *= 0x1p112f;
    memcpy(&bits, &value, 4);
    bits |= (magnitude >= 0x0f800000 ? 0x7f800000 : 0) | (h & 0x8000u) << 16;
    memcpy(&value, &bits, 4);
    return value;
}

static inline float float_of_bf16(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

#define WIDEN(T, type, convert) \
    static void T##_widen_block(double *restrict to, const void *from) \
    { \
        const type *x = from; \
        for (int i = 0; i < DOT_BLOCK; i++) \
            to[i] = convert(x[i]); \
    }

WIDEN(f16, uint16_t, float_of_f16)
WIDEN(bf16, uint16_t, float_of_bf16)
WIDEN(f32, float, )
WIDEN(f64, double, )

static void dot(double *lanes, const double *a, const double *b)
{
    enum { VECTORS = DOT_LANES * 8 / WIDTH };
    v_f64 sum[VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++)
        sum[i] = *(const at_f64 *)(lanes + i * (WIDTH / 8));
    for (int at = 0; at < DOT_BLOCK; at += DOT_LANES)
#pragma GCC unroll 8
        for (int i = 0; i < VECTORS; i++) {
            int place = at + i * (WIDTH / 8);
            v_f64 product = *(const at_f64 *)(a + place) * *(const at_f64 *)(b + place);
            ROUNDED(product);
            sum[i] += product;
        }
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++)
        *(at_f64 *)(lanes + i * (WIDTH / 8)) = sum[i];
}
