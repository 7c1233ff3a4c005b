/* Included by optimiser.c once for each type of number, with REAL, WORD (an unsigned integer as
 * wide), INFINITE (the bits of its exponent), ROOT (its square root), NAME(stem) and TABLE. */

static void NAME(set_scaled)(void *sum, const void *gradient, double weight, size_t count)
{
    REAL *restrict s = sum;
    const REAL *restrict g = gradient, w = (REAL)weight;
    for (size_t i = 0; i < count; i++)
        s[i] = w * g[i];
}

static void NAME(add_scaled)(void *sum, const void *gradient, double weight, size_t count)
{
    REAL *restrict s = sum;
    const REAL *restrict g = gradient, w = (REAL)weight;
    for (size_t i = 0; i < count; i++)
        s[i] += w * g[i];
}

static void NAME(scale)(void *values, double factor, size_t count)
{
    REAL *v = values;
    const REAL f = (REAL)factor;
    for (size_t i = 0; i < count; i++)
        v[i] *= f;
}

/* By the bits: compilers turn this into vectors, a comparison of floats they may not. */
static int NAME(is_finite)(const void *values, size_t count)
{
    const unsigned char *bytes = values;
    WORD bad = 0;
    for (size_t i = 0; i < count; i++) {
        WORD word;
        memcpy(&word, bytes + i * sizeof word, sizeof word);
        bad |= (word & INFINITE) == INFINITE;
    }
    return !bad;
}

/* Eight sums, so that an addition need not wait for the one before. */
static double NAME(squares)(const void *values, size_t count)
{
    const REAL *v = values;
    double lane[8] = {0};
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (size_t j = 0; j < 8; j++)
            lane[j] += (double)v[i + j] * (double)v[i + j];
    for (; i < count; i++)
        lane[i % 8] += (double)v[i] * (double)v[i];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

static void NAME(sgd)(const struct rule *rule, void *values, const void *gradient, void *velocity,
                      size_t count)
{
    REAL *restrict p = values, *restrict v = velocity;
    const REAL *restrict g = gradient;
    const REAL scale = (REAL)rule->scale, rate = (REAL)rule->rate;
    const REAL momentum = (REAL)rule->momentum, decay = (REAL)rule->weight_decay;
    for (size_t i = 0; i < count && !v; i++)
        p[i] -= rate * (scale * g[i] + decay * p[i]);
    for (size_t i = 0; i < count && v; i++) {
        REAL slope = scale * g[i] + decay * p[i];
        v[i] = momentum * v[i] + slope;
        p[i] -= rate * (rule->nesterov ? slope + momentum * v[i] : v[i]);
    }
}

static void NAME(adam)(const struct rule *rule, void *values, const void *gradient, void *first,
                       void *second, size_t count)
{
    REAL *restrict p = values, *restrict m = first, *restrict v = second;
    const REAL *restrict g = gradient;
    const REAL scale = (REAL)rule->scale, beta1 = (REAL)rule->beta1, beta2 = (REAL)rule->beta2;
    const REAL rest1 = (REAL)(1 - rule->beta1), rest2 = (REAL)(1 - rule->beta2);
    const REAL step = (REAL)(rule->rate / rule->correct1), epsilon = (REAL)rule->epsilon;
    const REAL root2 = (REAL)sqrt(rule->correct2);
    const REAL decay = (REAL)(rule->is_decoupled ? 0 : rule->weight_decay);
    const REAL keep = (REAL)(rule->is_decoupled ? 1 - rule->rate * rule->weight_decay : 1);
    for (size_t i = 0; i < count; i++) {
        REAL slope = scale * g[i] + decay * p[i];
        m[i] = beta1 * m[i] + rest1 * slope;
        v[i] = beta2 * v[i] + rest2 * slope * slope;
        p[i] = keep * p[i] - step * m[i] / (ROOT(v[i]) / root2 + epsilon);
    }
}

static const struct arithmetic TABLE = {.set_scaled = NAME(set_scaled),
                                        .add_scaled = NAME(add_scaled),
                                        .scale = NAME(scale),
                                        .is_finite = NAME(is_finite),
                                        .squares = NAME(squares),
                                        .sgd = NAME(sgd),
                                        .adam = NAME(adam)};
