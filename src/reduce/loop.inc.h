/* The loop of every kernel of the type T (see kernels.inc.h), and the kernels.
 *
 * Outside over the elements, STRIDE bytes at a time in registers, inside over the sources: each
 * source is read once, the result is written once, and no intermediate sum touches memory. Bytes
 * moved: (n + 1) * size. STRIDE is several vectors, so that the additions of different vectors
 * overlap and the inner loop's cost is shared. */
#define STRIDE (UNROLL * WIDTH)

INLINE void OF(step)(char *to, const char *const *sources, int n, size_t at, int vectors, int op,
                     int kind, const struct recipe *recipe)
{
    OF(vector) sum[UNROLL];
    double factor = factor_of(recipe, kind, 0);
#pragma GCC unroll 8
    for (int i = 0; i < vectors; i++)
        sum[i] = OF(prepare)(OF(load)(sources[0] + at + i * WIDTH), op, kind, factor);
    for (int s = 1; s < n; s++) {
        const char *source = sources[s] + at;
        factor = factor_of(recipe, kind, s);
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) {
            OF(vector) next = OF(prepare)(OF(load)(source + i * WIDTH), op, kind, factor);
            sum[i] = OF(combine)(sum[i], next, op);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < vectors; i++)
        OF(store)(to + i * WIDTH, OF(finish)(sum[i], op, kind, recipe));
}

/* Less than a vector: through one that is padded with zeros, by the same arithmetic. */
INLINE void OF(rest)(char *to, const char *const *sources, int n, size_t at, size_t bytes, int op,
                     int kind, const struct recipe *recipe)
{
    char one[WIDTH] = {0};
    memcpy(one, sources[0] + at, bytes);
    OF(vector) sum = OF(prepare)(OF(load)(one), op, kind, factor_of(recipe, kind, 0));
    for (int s = 1; s < n; s++) {
        memcpy(one, sources[s] + at, bytes);
        double factor = factor_of(recipe, kind, s);
        sum = OF(combine)(sum, OF(prepare)(OF(load)(one), op, kind, factor), op);
    }
    OF(store)(one, OF(finish)(sum, op, kind, recipe));
    memcpy(to, one, bytes);
}

INLINE void OF(run)(char *dst, const char *const *sources, int n, size_t bytes, int op, int kind,
                    const struct recipe *shared)
{
    /* A copy that no store can change keeps the factors in registers. */
    const struct recipe recipe = *shared;
    const int past = recipe.past && (uintptr_t)dst % WIDTH == 0;
    const int also_past = recipe.also_past && (uintptr_t)recipe.also % WIDTH == 0;
    char here[STRIDE]; /* where what goes past the caches is stored first; it never leaves them */
    size_t at = 0;
    for (; bytes - at >= STRIDE; at += STRIDE) {
        char *to = past ? here : dst + at;
        OF(step)(to, sources, n, at, UNROLL, op, kind, &recipe);
        if (past)
            repeat(dst + at, to, UNROLL, 1);
        if (recipe.also)
            repeat(recipe.also + at, to, UNROLL, also_past);
    }
    for (; bytes - at >= WIDTH; at += WIDTH) {
        OF(step)(dst + at, sources, n, at, 1, op, kind, &recipe);
        if (recipe.also)
            repeat(recipe.also + at, dst + at, 1, 0);
    }
    if (bytes > at)
        OF(rest)(dst + at, sources, n, at, bytes - at, op, kind, &recipe);
    if (bytes > at && recipe.also)
        memcpy(recipe.also + at, dst + at, bytes - at);
    if (past || also_past)
        STREAM_END();
}

#ifdef NARROWS
/* The result in a narrower type: a little at a time through a place that never leaves the first
 * cache. */
INLINE void OF(run_narrow)(char *dst, const char *const *sources, int n, size_t bytes, int op,
                           int kind, const struct recipe *shared)
{
    enum { PART = 8 * STRIDE };
    const struct recipe recipe = *shared;
    char here[PART];
    for (size_t at = 0, length; at < bytes; at += length) {
        size_t done = 0;
        length = bytes - at < PART ? bytes - at : PART;
        for (; length - done >= STRIDE; done += STRIDE)
            OF(step)(here + done, sources, n, at + done, UNROLL, op, kind, &recipe);
        for (; length - done >= WIDTH; done += WIDTH)
            OF(step)(here + done, sources, n, at + done, 1, op, kind, &recipe);
        if (length > done)
            OF(rest)(here + done, sources, n, at + done, length - done, op, kind, &recipe);
        recipe.narrow(dst + at / 2, here, length / OF(BYTES));
    }
}
#define RUN(recipe, ...) \
    if ((recipe)->narrow) \
        OF(run_narrow)(__VA_ARGS__, recipe); \
    else \
        OF(run)(__VA_ARGS__, recipe)
#else
#define RUN(recipe, ...) OF(run)(__VA_ARGS__, recipe)
#endif

#define KERNEL(name, op, kind) \
    static void OF(name)(const struct recipe *recipe, void *dst, const void *const *sources, \
                         int n, size_t count) \
    { \
        RUN(recipe, dst, (const char *const *)sources, n, count *OF(BYTES), op, kind); \
    }

KERNEL(sum_plain, RONDE_SUM, KIND_PLAIN)
KERNEL(min_plain, RONDE_MIN, KIND_PLAIN)
KERNEL(max_plain, RONDE_MAX, KIND_PLAIN)
KERNEL(product_plain, RONDE_PRODUCT, KIND_PLAIN)
#ifdef LOGIC
KERNEL(logical_and_plain, RONDE_LOGICAL_AND, KIND_PLAIN)
KERNEL(logical_or_plain, RONDE_LOGICAL_OR, KIND_PLAIN)
KERNEL(bitwise_and_plain, RONDE_BITWISE_AND, KIND_PLAIN)
KERNEL(bitwise_or_plain, RONDE_BITWISE_OR, KIND_PLAIN)
#endif
#ifdef SCALES
KERNEL(sum_times, RONDE_SUM, KIND_TIMES)
KERNEL(sum_divide, RONDE_SUM, KIND_DIVIDE)
KERNEL(sum_scaled, RONDE_SUM, KIND_SCALED)
KERNEL(sum_weighted, RONDE_SUM, KIND_WEIGHTED)
KERNEL(min_weighted, RONDE_MIN, KIND_WEIGHTED)
KERNEL(max_weighted, RONDE_MAX, KIND_WEIGHTED)
KERNEL(product_weighted, RONDE_PRODUCT, KIND_WEIGHTED)
#endif

#undef KERNEL
#undef RUN
#undef STRIDE
#undef T
