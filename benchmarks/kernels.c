/* The reduction kernels and the streaming copy, beside memcpy with the same footprint.
 *
 * One row per dtype, op, number of sources and instruction set: GB/s counts every byte read and
 * written, (n + 1) * bytes for a reduction and 2 * bytes for a copy, best of several rounds; G/s
 * counts the elements of the result, in 10^9 a second. The
 * memcpy beside it moves half of the same footprint, so that it comes from the same cache. A
 * weighted average has a weight for each source; Adasum reads everything twice (dot products and
 * weighted sum), which GB/s does not count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/dtype.h"
#include "reduce/adasum.h"
#include "reduce/reduce.h"

enum { MOST_SOURCES = 64, ROUNDS = 7 };

static struct {
    size_t bytes;           /* of each source; 0: the default sizes */
    const char *dtype, *op; /* NULL: a selection */
    int n, simd;            /* 0, -1: a selection, all */
    double round_seconds, prescale, postscale;
} options = {0, NULL, NULL, 0, -1, 0.004, 1, 1};

struct work {
    struct reduction reduction;
    char *memory;
    const void *sources[MOST_SOURCES];
    double weights[MOST_SOURCES];
    int n;
    size_t bytes;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void reduce(struct work *work)
{
    size_t count = work->bytes / ronde_dtype_bytes(work->reduction.dtype);
    ronde__reduce(&work->reduction, work->memory, work->sources, work->n, count);
}

static void reduce_weighted(struct work *work)
{
    size_t count = work->bytes / ronde_dtype_bytes(work->reduction.dtype);
    ronde__reduce_weighted(&work->reduction, work->memory, work->sources, work->weights, work->n,
                           count);
}

static void adasum(struct work *work)
{
    static double gram[MOST_SOURCES * MOST_SOURCES];
    size_t count = work->bytes / ronde_dtype_bytes(work->reduction.dtype);
    memset(gram, 0, sizeof gram);
    ronde__adasum_gram(work->reduction.dtype, work->sources, work->n, count, gram);
    ronde__adasum_coefficients(gram, work->n, work->weights);
    reduce_weighted(work);
}

static void copy_plain(struct work *work)
{
    size_t half = (size_t)(work->n + 1) * work->bytes / 2;
    memcpy(work->memory, work->memory + half, half);
}

static void copy_streaming(struct work *work)
{
    size_t half = (size_t)(work->n + 1) * work->bytes / 2;
    ronde__copy_streaming(work->memory, work->memory + half, half);
}

/* GB/s over the footprint, the best round's. */
static double speed_of(void (*run)(struct work *), struct work *work)
{
    double best = 0, footprint = (double)(work->n + 1) * (double)work->bytes;
    run(work);
    for (int round = 0; round < ROUNDS; round++) {
        int runs = 0;
        double start = now(), seconds;
        do {
            run(work);
            runs++;
            seconds = now() - start;
        } while (seconds < options.round_seconds);
        double speed = footprint * runs / seconds * 1e-9;
        best = speed > best ? speed : best;
    }
    return best;
}

/* Small values that keep sums and products normal numbers in every type. */
static void fill(struct work *work)
{
    size_t count = work->bytes / ronde_dtype_bytes(work->reduction.dtype);
    static const unsigned char half[] = {0x00, 0x3c}, bf16[] = {0x80, 0x3f};
    char *p = work->memory;
    for (size_t i = 0; i < (size_t)(work->n + 1) * count; i++)
        switch (work->reduction.dtype) {
        case RONDE_FLOAT16: memcpy(p + 2 * i, half, 2); break;
        case RONDE_BFLOAT16: memcpy(p + 2 * i, bf16, 2); break;
        case RONDE_FLOAT32: ((float *)(void *)p)[i] = 1; break;
        case RONDE_FLOAT64: ((double *)(void *)p)[i] = 1; break;
        default:
            memset(p + i * ronde_dtype_bytes(work->reduction.dtype), 1,
                   ronde_dtype_bytes(work->reduction.dtype));
        }
}

static int open_work(struct work *work, int32_t dtype, int32_t op, int n, size_t bytes)
{
    void *memory;
    size_t all = (size_t)(n + 1) * bytes;
    if (n > MOST_SOURCES || posix_memalign(&memory, 1 << 21, all + 64))
        return -1;
    *work = (struct work){.memory = memory, .n = n, .bytes = bytes};
    work->reduction = ronde__reduction(dtype, op, options.prescale, options.postscale, (uint32_t)n);
    for (int s = 0; s < n; s++)
        work->sources[s] = work->memory + (size_t)(s + 1) * bytes;
    for (int s = 0; s < n; s++)
        work->weights[s] = 1 + 0.25 * s;
    fill(work);
    return 0;
}

static void row(int32_t dtype, int32_t op, int n, size_t bytes)
{
    struct work work;
    void (*run)(struct work *) = op == RONDE_ADASUM             ? adasum
                                 : op == RONDE_WEIGHTED_AVERAGE ? reduce_weighted
                                                                : reduce;
    if (open_work(&work, dtype, op, n, bytes)) {
        fprintf(stderr, "no memory for %d sources of %zu bytes\n", n, bytes);
        return;
    }
    double copied = speed_of(copy_plain, &work);
    fill(&work);
    for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
        if ((options.simd >= 0 && simd != options.simd) || ronde__reduce_choose(simd))
            continue;
        double speed = speed_of(run, &work);
        double elements = speed / (n + 1) / (double)ronde_dtype_bytes(dtype);
        printf("%-9s %-16s %3d %10zu %-9s %8.1f %8.1f %6.2f %8.2f\n", ronde_dtype_name(dtype),
               ronde_op_name(op), n, bytes, ronde__simd_name(simd), speed, copied, speed / copied,
               elements);
    }
    fflush(stdout);
    free(work.memory);
}

static void stream_row(size_t bytes)
{
    struct work work;
    if (open_work(&work, RONDE_UINT8, RONDE_SUM, 1, bytes))
        return;
    double copied = speed_of(copy_plain, &work);
    for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
        if ((options.simd >= 0 && simd != options.simd) || ronde__reduce_choose(simd))
            continue;
        double speed = speed_of(copy_streaming, &work);
        printf("%-9s %-16s %3d %10zu %-9s %8.1f %8.1f %6.2f\n", "bytes", "stream", 1, bytes,
               ronde__simd_name(simd), speed, copied, speed / copied);
    }
    free(work.memory);
}

static int is_wanted(const char *wanted, const char *name, const char *selection)
{
    return wanted ? strcmp(wanted, name) == 0 : strstr(selection, name) != NULL;
}

static void table_of(size_t bytes)
{
    static const int selection[] = {2, 3, 4, 8};
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++) {
        if (!is_wanted(options.dtype, ronde_dtype_name(dtype),
                       "int32 float16 bfloat16 float32 float64"))
            continue;
        for (int32_t op = 0; op < RONDE__OPS; op++) {
            if (!ronde__op_fits(op, dtype) ||
                !is_wanted(options.op, ronde_op_name(op), "sum average min"))
                continue;
            for (size_t i = 0; i < sizeof selection / sizeof *selection; i++)
                if (!options.n || i == 0)
                    row(dtype, op, options.n ? options.n : selection[i], bytes);
        }
    }
    stream_row(bytes);
}

static size_t bytes_from(const char *text)
{
    char *end;
    size_t value = strtoull(text, &end, 10);
    return value << (*end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0);
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "b:d:o:n:s:w:p:q:")) != -1)
        switch (option) {
        case 'b': options.bytes = bytes_from(optarg) / 8 * 8; break;
        case 'd': options.dtype = optarg; break;
        case 'o': options.op = optarg; break;
        case 'n': options.n = atoi(optarg); break;
        case 's': options.simd = atoi(optarg); break;
        case 'w': options.round_seconds = atof(optarg); break;
        case 'p': options.prescale = atof(optarg); break;
        case 'q': options.postscale = atof(optarg); break;
        default:
            fprintf(stderr,
                    "usage: %s [-b BYTES[K|M|G]] [-d DTYPE] [-o OP] [-n SOURCES]\n"
                    "       [-s SIMD (0 portable, 1 avx2, 2 avx512, 3 neon)] [-w SECONDS a round]\n"
                    "       [-p PRESCALE] [-q POSTSCALE]\n",
                    argv[0]);
            return 1;
        }
    printf("%-9s %-16s %3s %10s %-9s %8s %8s %6s %8s\n", "dtype", "op", "n", "bytes", "simd",
           "GB/s", "memcpy", "ratio", "G/s");
    if (options.bytes) {
        table_of(options.bytes);
        return 0;
    }
    table_of(4 << 10);
    table_of(64 << 10);
    table_of(32 << 20);
    return 0;
}
