/* What a vector of each type T is, and T_load, T_prepare (of every source), T_combine, T_finish and
 * T_store on it. Part of kernels.inc.h.
 *
 * float16 and bfloat16 load as a pair of float32 vectors. How the elements of a vector are spread
 * over the pair is the load's own business as long as the store undoes it: nothing here depends on
 * an element's place. So bfloat16 needs no shuffle: the upper and lower halves of 32-bit lanes. */
#define INLINE static inline __attribute__((always_inline, unused))
#define VECTOR(name, type) \
    typedef type v_##name __attribute__((vector_size(WIDTH))); \
    typedef v_##name at_##name __attribute__((aligned(1), may_alias)); /* anywhere in memory */ \
    enum { name##_BYTES = sizeof(type) }

VECTOR(u8, uint8_t);
VECTOR(s8, int8_t);
VECTOR(u16, uint16_t);
VECTOR(s16, int16_t);
VECTOR(u32, uint32_t);
VECTOR(s32, int32_t);
VECTOR(u64, uint64_t);
VECTOR(s64, int64_t);
VECTOR(f32, float);
VECTOR(f64, double);

struct pair {
    v_f32 a, b;
};

enum { b8_BYTES = 1, f16_BYTES = 2, bf16_BYTES = 2 };

/* Between a product and a sum: without it a compiler that is allowed to (-ffp-contract=fast) makes
 * them one instruction with one rounding on the targets that have it, and the bits differ. */
#if defined __SSE2__
#define ROUNDED(v) __asm__("" : "+x"(v))
#elif defined __aarch64__
#define ROUNDED(v) __asm__("" : "+w"(v))
#else
#define ROUNDED(v) ((void)(v))
#endif

/* In lanes of 32 or 64 bits, with a comparison's result as mask. */
#define SELECT(mask, yes, no) (((mask) & (yes)) | (~(mask) & (no)))

/* What source s is multiplied by, before the type that is accumulated in narrows it. */
INLINE double factor_of(const struct recipe *recipe, int kind, int s)
{
    if (kind == KIND_WEIGHTED && recipe->weights)
        return recipe->prescale * recipe->weights[s];
    return recipe->prescale;
}

/* ---- integers and bool: combine, nothing else ------------------------------------------------ */

#define INTEGER(T, U) \
    typedef v_##T T##_vector; \
    INLINE v_##T T##_load(const char *p) \
    { \
        return *(const at_##T *)p; \
    } \
    INLINE void T##_store(char *p, v_##T v) \
    { \
        *(at_##T *)p = v; \
    } \
    INLINE v_##T T##_prepare(v_##T v, int op, int kind, double factor) \
    { \
        (void)kind, (void)factor; \
        return op_is_logical(op) ? (v_##T)(v != 0) : v; \
    } \
    /* Unsigned sums and products: they wrap. */ \
    INLINE v_##T T##_combine(v_##T a, v_##T b, int op) \
    { \
        if (op == RONDE_SUM) \
            return (v_##T)((v_##U)a + (v_##U)b); \
        if (op == RONDE_PRODUCT) \
            return (v_##T)((v_##U)a * (v_##U)b); \
        if (op == RONDE_LOGICAL_AND || op == RONDE_BITWISE_AND) \
            return a & b; \
        if (op == RONDE_LOGICAL_OR || op == RONDE_BITWISE_OR) \
            return a | b; \
        v_##T first = op == RONDE_MIN ? (v_##T)(a < b) : (v_##T)(a > b); \
        return SELECT(first, a, b); \
    } \
    INLINE v_##T T##_finish(v_##T v, int op, int kind, const struct recipe *recipe) \
    { \
        (void)kind, (void)recipe; \
        return op_is_logical(op) ? v & 1 : v; \
    }

INTEGER(u8, u8)
INTEGER(s8, u8)
INTEGER(u16, u16)
INTEGER(s16, u16)
INTEGER(u32, u32)
INTEGER(s32, u32)
INTEGER(u64, u64)
INTEGER(s64, u64)

/* A bool is 0 or any other byte outside, 0 or all ones inside, 0 or 1 in the result: its logical
 * and bitwise ops are its product and sum. */
typedef v_u8 b8_vector;

INLINE v_u8 b8_load(const char *p)
{
    return (v_u8)(*(const at_u8 *)p != 0);
}

INLINE void b8_store(char *p, v_u8 v)
{
    *(at_u8 *)p = v & 1;
}

INLINE v_u8 b8_prepare(v_u8 v, int op, int kind, double factor)
{
    return u8_prepare(v, op, kind, factor);
}

INLINE v_u8 b8_combine(v_u8 a, v_u8 b, int op)
{
    return op == RONDE_SUM || op == RONDE_MAX ? a | b : a & b;
}

INLINE v_u8 b8_finish(v_u8 v, int op, int kind, const struct recipe *recipe)
{
    return u8_finish(v, op, kind, recipe);
}

/* ---- float32 and float64 --------------------------------------------------------------------- */

#ifndef F32_LESSER
#define F32_LESSER(a, b) ((v_f32)SELECT((a) < (b), (v_s32)(a), (v_s32)(b)))
#endif
#ifndef F64_LESSER
#define F64_LESSER(a, b) ((v_f64)SELECT((a) < (b), (v_s64)(a), (v_s64)(b)))
#endif

/* min(a, b) = lesser(a, b) | lesser(b, a): equal numbers give themselves, -0 and +0 give -0 in
 * either order, and a NaN's exponent stays all ones and its mantissa not zero whatever is or'ed to
 * it. max(a, b) = -min(-a, -b): the signs are flipped in `prepare` and back in `finish`. */
#define FLOAT(T, S, scalar, SIGN, NAN_BITS, LESSER) \
    typedef v_##T T##_vector; \
    INLINE v_##T T##_load(const char *p) \
    { \
        return *(const at_##T *)p; \
    } \
    INLINE void T##_store(char *p, v_##T v) \
    { \
        *(at_##T *)p = v; \
    } \
    INLINE v_##T T##_prepare(v_##T v, int op, int kind, double factor) \
    { \
        if (kind >= KIND_SCALED) { \
            v = v * (scalar)factor; \
            ROUNDED(v); \
        } \
        return op == RONDE_MAX ? (v_##T)((v_##S)v ^ (SIGN)) : v; \
    } \
    INLINE v_##T T##_combine(v_##T a, v_##T b, int op) \
    { \
        if (op == RONDE_SUM) \
            return a + b; \
        if (op == RONDE_PRODUCT) \
            return a * b; \
        return (v_##T)((v_##S)LESSER(a, b) | (v_##S)LESSER(b, a)); \
    } \
    /* Which NaN an operation returns depends on the order of its operands, which the compiler \
     * chooses: so all become one. */ \
    INLINE v_##T T##_finish(v_##T v, int op, int kind, const struct recipe *recipe) \
    { \
        if (op == RONDE_MAX) \
            v = (v_##T)((v_##S)v ^ (SIGN)); \
        if (kind == KIND_DIVIDE || (kind >= KIND_SCALED && recipe->divides)) \
            v = v / (scalar)recipe->divisor; \
        else if (kind != KIND_PLAIN) \
            v = v * (scalar)recipe->times; \
        if (kind >= KIND_SCALED) \
            v = v * (scalar)recipe->postscale; \
        return (v_##T)SELECT((v_##S)(v != v), NAN_BITS, (v_##S)v); \
    }

FLOAT(f32, s32, float, INT32_MIN, 0x7fc00000, F32_LESSER)
FLOAT(f64, s64, double, INT64_MIN, 0x7ff8000000000000, F64_LESSER)

/* ---- float16 and bfloat16: pairs of float32 -------------------------------------------------- */

#ifndef F16_LOAD
/* float16's exponent is float32's plus 112; shifted into place, the difference is one exact
 * multiplication, which also normalises subnormals. Infinities and NaNs need theirs back. */
INLINE v_f32 f16_widen(v_u32 h)
{
    v_u32 magnitude = (h & 0x7fff) << 13;
    v_u32 scaled = (v_u32)((v_f32)magnitude * 0x1p112f);
    v_u32 special = (v_u32)((v_s32)magnitude >= 0x0f800000) & 0x7f800000;
    return (v_f32)(scaled | special | (h & 0x8000) << 16);
}

/* To nearest, ties to even, on the bits: adding 0xfff and the lowest kept bit carries as it should,
 * also into infinity. Below 2^-14 the unit is 2^-24 however small the value, and that is what an
 * addition of 0.5 rounds to. A NaN is canonical already. */
INLINE v_u32 f16_narrow(v_f32 v)
{
    v_u32 bits = (v_u32)v, magnitude = bits & 0x7fffffff;
    v_u32 normal = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    v_u32 subnormal = (v_u32)((v_f32)magnitude + 0.5f) - 0x3f000000;
    v_u32 large = 0x7c00 | ((v_u32)((v_s32)magnitude > 0x7f800000) & 0x0200);
    v_u32 finite = SELECT((v_u32)((v_s32)magnitude < 0x38800000), subnormal, normal);
    return SELECT((v_u32)((v_s32)magnitude >= 0x47800000), large, finite) | (bits >> 16 & 0x8000);
}

INLINE struct pair f16_load(const char *p)
{
    v_u32 lanes = *(const at_u32 *)p;
    return (struct pair){f16_widen(lanes & 0xffff), f16_widen(lanes >> 16)};
}

INLINE void f16_store(char *p, struct pair v)
{
    *(at_u32 *)p = f16_narrow(v.a) | f16_narrow(v.b) << 16;
}
#else
INLINE struct pair f16_load(const char *p)
{
    return F16_LOAD(p);
}

INLINE void f16_store(char *p, struct pair v)
{
    F16_STORE(p, v);
}
#endif

INLINE struct pair bf16_load(const char *p)
{
    v_u32 lanes = *(const at_u32 *)p;
    return (struct pair){(v_f32)(lanes << 16), (v_f32)(lanes & 0xffff0000)};
}

/* To nearest, ties to even, left in the upper half. A canonical NaN stays one. */
INLINE v_u32 bf16_round(v_f32 v)
{
    v_u32 bits = (v_u32)v;
    return bits + 0x7fff + (bits >> 16 & 1);
}

INLINE void bf16_store(char *p, struct pair v)
{
    *(at_u32 *)p = bf16_round(v.a) >> 16 | (bf16_round(v.b) & 0xffff0000);
}

#define PAIR(T) \
    typedef struct pair T##_vector; \
    INLINE struct pair T##_prepare(struct pair v, int op, int kind, double factor) \
    { \
        return (struct pair){f32_prepare(v.a, op, kind, factor), \
                             f32_prepare(v.b, op, kind, factor)}; \
    } \
    INLINE struct pair T##_combine(struct pair x, struct pair y, int op) \
    { \
        return (struct pair){f32_combine(x.a, y.a, op), f32_combine(x.b, y.b, op)}; \
    } \
    INLINE struct pair T##_finish(struct pair v, int op, int kind, const struct recipe *recipe) \
    { \
        return (struct pair){f32_finish(v.a, op, kind, recipe), \
                             f32_finish(v.b, op, kind, recipe)}; \
    }

PAIR(f16)
PAIR(bf16)
