/* How a time is taken. Variants are timed in turns, a sample each, and every round starts with
 * another one, so that drift of the machine meets all of them. Before a sample the variant runs
 * once untimed: caches, branch predictors and its own memory are then in the state that calling it
 * again and again would leave, whatever the others did; an MPI_Barrier removes the lead that a
 * broadcast's root has. Small operations are timed by the batch: the clock costs 20 to 50 ns twice
 * and the barrier's exits are as far apart as a small operation is long. A sample's time is the
 * maximum over ranks, taken after all samples by one MPI_Reduce. */
#include "measure.h"

#include <mpi.h>
#include <stdlib.h>
#include <time.h>

#include "values.h"

enum { LARGEST_BATCH = 50, SMALLEST_BATCH = 5, FEWEST_SAMPLES = 5, MOST_SAMPLES = 2000 };
#define SMALL_BYTES ((size_t)64 << 10) /* from here on a call is far longer than reading a clock */
#define ROW_SECONDS 0.1                /* 0.2 to 0.5 s a size with two to five variants */
#define WARM_US 30000.0                /* spent on warming up a row, unless one call takes longer */
#define BATCH_US 10000.0               /* a batch takes no longer, where each call is slow */

static double now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static void time_calls(const struct work *w, const struct variant *v, size_t calls, double *start,
                       double *end)
{
    MPI_Barrier(MPI_COMM_WORLD);
    *start = now_us();
    for (size_t i = 0; i < calls; i++)
        v->run(w, v);
    *end = now_us();
}

static void check(const struct work *w, struct variant *v)
{
    values_fill(w, v);
    MPI_Barrier(MPI_COMM_WORLD);
    v->run(w, v);
    unsigned long long wrong = v->from_first ? floor_wrong(w, v) : values_wrong(w, v), all;
    MPI_Allreduce(&wrong, &all, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, MPI_COMM_WORLD);
    v->wrong = (size_t)all;
}

static size_t clamp(double value, size_t low, size_t high)
{
    return value <= (double)low ? low : value >= (double)high ? high : (size_t)value;
}

static double time_on_all(const struct work *w, const struct variant *v, size_t calls)
{
    double start, end, time;
    time_calls(w, v, calls, &start, &end);
    time = (end - start) / (double)calls;
    MPI_Allreduce(MPI_IN_PLACE, &time, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return time > 0.01 ? time : 0.01;
}

/* Two calls first, of which a new name's negotiation is a part; then as many as asked for, but few
 * where they are slow. Their time is the estimate, so one is made in any case. */
static void warm_up(const struct options *o, const struct work *w, struct variant *v)
{
    size_t left = o->warmup;
    v->estimate_us = 0.01;
    if (left > 2) {
        v->estimate_us = time_on_all(w, v, 2);
        left -= 2;
    }
    v->estimate_us = time_on_all(w, v, clamp(WARM_US / v->estimate_us, 1, left ? left : 1));
}

static size_t choose_batch(const struct options *o, const struct work *w, const struct variant *v)
{
    if (o->batch)
        return o->batch;
    if (w->list || w->bytes >= SMALL_BYTES)
        return 1;
    return clamp(BATCH_US / v->estimate_us, SMALLEST_BATCH, LARGEST_BATCH);
}

/* One number for all variants, and the same on all ranks: estimates are. */
static size_t choose_samples(const struct options *o, const struct variant *variants,
                             const size_t *batches, size_t number)
{
    double round_us = 0;
    if (o->iterations)
        return o->iterations;
    for (size_t i = 0; i < number; i++)
        round_us += variants[i].estimate_us * (double)(batches[i] + 1);
    return clamp(ROW_SECONDS * 1e6 * (double)number / round_us, FEWEST_SAMPLES, MOST_SAMPLES);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarise(struct variant *v, double *times, size_t samples)
{
    qsort(times, samples, sizeof *times, by_value);
    v->min_us = times[0];
    v->p50_us = (times[(samples - 1) / 2] + times[samples / 2]) / 2;
    v->p99_us = times[(samples * 99 + 99) / 100 - 1];
}

static void to_root(const struct work *w, double *row, size_t samples, MPI_Op op)
{
    const void *from = w->rank == 0 ? MPI_IN_PLACE : (const void *)row;
    MPI_Reduce(from, row, (int)samples, MPI_DOUBLE, op, 0, MPI_COMM_WORLD);
}

/* Ranks that take turns on a CPU, and do not wait for each other, start one after the other; their
 * time is that of all together. Such a variant is of one host, so of one clock. */
static void combine(const struct work *w, struct variant *v, double *starts, double *ends,
                    size_t batch, size_t samples)
{
    if (v->from_first) {
        to_root(w, starts, samples, MPI_MIN);
        to_root(w, ends, samples, MPI_MAX);
    }
    for (size_t s = 0; s < samples; s++)
        ends[s] = (ends[s] - starts[s]) / (double)batch;
    if (!v->from_first)
        to_root(w, ends, samples, MPI_MAX);
    if (w->rank == 0)
        summarise(v, ends, samples);
}

void measure(const struct options *o, const struct work *w, struct variant *variants, size_t number)
{
    size_t *batches = calloc(number, sizeof *batches);
    for (size_t i = 0; i < number; i++) {
        if (o->check)
            check(w, &variants[i]);
        warm_up(o, w, &variants[i]);
        if (batches)
            batches[i] = choose_batch(o, w, &variants[i]);
    }
    size_t samples = batches ? choose_samples(o, variants, batches, number) : 0;
    double *starts = calloc(2 * number * samples, sizeof *starts);
    if (!batches || !starts)
        die("out of memory for the times of %zu samples: give a smaller -n", samples);
    double *ends = starts + number * samples;
    for (size_t s = 0; s < samples; s++)
        for (size_t k = 0; k < number; k++) {
            size_t i = (k + s) % number, at = i * samples + s;
            variants[i].run(w, &variants[i]);
            time_calls(w, &variants[i], batches[i], &starts[at], &ends[at]);
        }
    for (size_t i = 0; i < number; i++)
        combine(w, &variants[i], starts + i * samples, ends + i * samples, batches[i], samples);
    free(starts);
    free(batches);
}
