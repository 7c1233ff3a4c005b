#include "report.h"
#include "ronde.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The final lines' second column begins below the first character after this. */
#define INDENT "                                   "

static const char *split_name(const struct dataset *data)
{
    return data->is_own ? "our stratified split" : "the files' own split";
}

static void print_model(const struct model *model, const char *dtype)
{
    printf("  network   %zu", model->width[0]);
    for (int i = 1; i <= model->layers; i++)
        printf("-%zu", model->width[i]);
    printf(", ReLU, softmax; %zu parameters in %d tensors, %s\n", model_parameters(model),
           model_tensors(model), dtype);
}

void report_header(const struct options *options, const struct dataset *data,
                   const struct model *model, const struct job *job)
{
    const char *dtype = ronde_dtype_name(options->fp64 ? RONDE_FLOAT64 : RONDE_FLOAT32);
    size_t ranks = (size_t)job->ranks;
    size_t least = options->batch / ranks, most = (options->batch + ranks - 1) / ranks;
    printf("digits, trained by Ronde %s\n", ronde_version());
    printf("  data      %zu images for training, %zu for testing (%s), %zux%zu pixels\n"
           "            from %s\n",
           data->train.count, data->test.count, split_name(data), data->height, data->width,
           data->folder);
    print_model(model, dtype);
    printf("  training  SGD, rate %g, momentum %g, %d epochs, seed %llu\n", options->rate,
           options->momentum, options->epochs, (unsigned long long)options->seed);
    printf("  ranks     %d on %d node%s; %zu samples per step, ", job->ranks, job->nodes,
           job->nodes == 1 ? "" : "s", options->batch);
    if (least == most)
        printf("%zu per rank\n", most);
    else
        printf("%zu or %zu per rank\n", least, most);
    printf("  gradients in %s\n\n",
           options->private_memory ? "private memory" : "the node's shared segment (ronde_malloc)");
    printf("  epoch        loss   test accuracy   samples/s   communicating\n");
}

void report_epoch(int epoch, double loss, double accuracy, double samples_per_second,
                  double communicating)
{
    printf("  %5d  %10.6f   %11.2f %%  %10.0f   %11.1f %%\n", epoch, loss, 100 * accuracy,
           samples_per_second, 100 * communicating);
    fflush(stdout);
}

void report_accuracy(const struct dataset *data, size_t correct)
{
    printf("\nfinal test accuracy:               %.2f %% (%zu of the %zu test images, %s)\n",
           100.0 * (double)correct / (double)data->test.count, correct, data->test.count,
           split_name(data));
}

void report_identity(int identical, uint64_t checksum)
{
    if (identical)
        printf("parameters identical on all ranks: yes (checksum %016llx)\n",
               (unsigned long long)checksum);
    else
        printf("parameters identical on all ranks: NO\n");
    fflush(stdout);
}

static void note_difference(double a, double b, double *largest)
{
    double difference = fabs(a - b);
    if (isnan(difference) || difference > *largest)
        *largest = difference;
}

static void compare_tensors(const struct model *a, const struct model *b, int number,
                            struct comparison *comparison)
{
    size_t bytes = a->kernels->bytes;
    const char *x = a->tensor[number].value, *y = b->tensor[number].value;
    for (size_t i = 0; i < a->tensor[number].count; i++) {
        comparison->parameters++;
        comparison->equal_parameters += memcmp(x + i * bytes, y + i * bytes, bytes) == 0;
        note_difference(a->kernels->get(x, i), b->kernels->get(y, i), &comparison->parameter);
    }
}

void compare_runs(const struct model *a, const double *losses_a, const struct model *b,
                  const double *losses_b, size_t steps, struct comparison *comparison)
{
    memset(comparison, 0, sizeof *comparison);
    for (int i = 0; i < model_tensors(a); i++)
        compare_tensors(a, b, i, comparison);
    comparison->steps = steps;
    for (size_t i = 0; i < steps; i++) {
        comparison->equal_steps += memcmp(&losses_a[i], &losses_b[i], sizeof(double)) == 0;
        note_difference(losses_a[i], losses_b[i], &comparison->loss);
    }
}

void report_comparing(void)
{
    printf("compared with one rank:            ");
    fflush(stdout);
}

void report_comparison(const struct comparison *c, const struct job *job)
{
    if (c->equal_parameters == c->parameters && c->equal_steps == c->steps) {
        printf("identical: every bit of %zu parameters and %zu losses\n", c->parameters, c->steps);
        return;
    }
    printf("equal bits in %zu of %zu parameters, %zu of %zu losses\n" INDENT
           "largest difference %.1e in a parameter, %.1e in a loss\n",
           c->equal_parameters, c->parameters, c->equal_steps, c->steps, c->parameter, c->loss);
    if (job->ranks > 1)
        printf(INDENT "(the same sums, added in another order: each rank its\n" INDENT
                      " samples, then the ranks; so they round otherwise)\n");
}
