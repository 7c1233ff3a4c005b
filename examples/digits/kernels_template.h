/* Included by kernels.c once per number type, with REAL (the type), NAME(stem) (a name of its own
 * for each type) and TABLE (the table that is defined). Not a header of its own. */

static void NAME(fill)(void *values, size_t count, double bound, ronde_train_random *stream)
{
    REAL *value = values;
    for (size_t i = 0; i < count; i++)
        value[i] = (REAL)(bound * (2 * ronde_train_random_uniform(stream) - 1));
}

static void NAME(load)(void *row, const unsigned char *pixels, size_t count, double scale)
{
    REAL *out = row;
    for (size_t i = 0; i < count; i++)
        out[i] = (REAL)(pixels[i] * scale);
}

/* out += factor x in. The one inner loop of forward and gradient: no order of addition in it. */
static void NAME(add_scaled)(REAL *restrict out, const REAL *restrict in, REAL factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] += factor * in[i];
}

/* Inputs that are 0 (the paper, and what the ReLU cut off: about half) are skipped. */
static void NAME(forward)(const void *in, const void *weight, const void *bias, int relu,
                          size_t rows, size_t inputs, size_t outputs, void *out)
{
    const REAL *w = weight;
    for (size_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)in + r * inputs;
        REAL *y = (REAL *)out + r * outputs;
        memcpy(y, bias, outputs * sizeof *y);
        for (size_t i = 0; i < inputs; i++)
            if (x[i] != 0)
                NAME(add_scaled)(y, w + i * outputs, x[i], outputs);
        for (size_t j = 0; relu && j < outputs; j++)
            if (y[j] < 0)
                y[j] = 0;
    }
}

/* In double for both types: ten numbers a sample, and the loss is what is compared across ranks. */
static double NAME(loss)(const void *logits, const unsigned char *labels, double factor,
                         size_t rows, size_t classes, void *delta)
{
    double loss = 0;
    for (size_t r = 0; r < rows; r++) {
        const REAL *z = (const REAL *)logits + r * classes;
        REAL *d = (REAL *)delta + r * classes;
        double largest = z[0], sum = 0;
        for (size_t j = 1; j < classes; j++)
            largest = z[j] > largest ? z[j] : largest;
        for (size_t j = 0; j < classes; j++)
            sum += exp(z[j] - largest);
        for (size_t j = 0; j < classes; j++)
            d[j] = (REAL)((exp(z[j] - largest) / sum - (j == labels[r])) * factor);
        loss += log(sum) - (z[labels[r]] - largest);
    }
    return loss;
}

static void NAME(gradient)(const void *in, const void *delta, size_t rows, size_t inputs,
                           size_t outputs, void *weight, void *bias)
{
    REAL *w = weight;
    memset(weight, 0, inputs * outputs * sizeof *w);
    memset(bias, 0, outputs * sizeof *w);
    for (size_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)in + r * inputs;
        const REAL *d = (const REAL *)delta + r * outputs;
        for (size_t i = 0; i < inputs; i++)
            if (x[i] != 0)
                NAME(add_scaled)(w + i * outputs, d, x[i], outputs);
        NAME(add_scaled)(bias, d, 1, outputs);
    }
}

static void NAME(pass_down)(const void *in, const void *delta, const void *weight, size_t rows,
                            size_t inputs, size_t outputs, void *delta_in)
{
    const REAL *w = weight;
    for (size_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)in + r * inputs;
        const REAL *d = (const REAL *)delta + r * outputs;
        REAL *down = (REAL *)delta_in + r * inputs;
        for (size_t i = 0; i < inputs; i++) {
            REAL sum = 0;
            for (size_t j = 0; x[i] > 0 && j < outputs; j++)
                sum += d[j] * w[i * outputs + j];
            down[i] = sum;
        }
    }
}

static size_t NAME(correct)(const void *logits, const unsigned char *labels, size_t rows,
                            size_t classes)
{
    size_t correct = 0;
    for (size_t r = 0; r < rows; r++) {
        const REAL *z = (const REAL *)logits + r * classes;
        size_t best = 0;
        for (size_t j = 1; j < classes; j++)
            if (z[j] > z[best])
                best = j;
        correct += best == labels[r];
    }
    return correct;
}

static double NAME(get)(const void *values, size_t at)
{
    return ((const REAL *)values)[at];
}

static void NAME(set)(void *values, size_t at, double value)
{
    ((REAL *)values)[at] = (REAL)value;
}

const struct kernels TABLE = {.bytes = sizeof(REAL),
                              .fill = NAME(fill),
                              .load = NAME(load),
                              .forward = NAME(forward),
                              .loss = NAME(loss),
                              .gradient = NAME(gradient),
                              .pass_down = NAME(pass_down),
                              .correct = NAME(correct),
                              .get = NAME(get),
                              .set = NAME(set)};
