#include "report.h"

#include "options.h"

/* doc/PERFORMANCE.md of nccl-tests: what a link of speed busbw would need for an optimal
 * algorithm, so that figures can be compared across numbers of ranks. */
static double bus_factor(const struct work *w)
{
    double p = w->ranks;
    switch (w->collective) {
    case BROADCAST: return 1;
    case ALLGATHER: return (p - 1) / p;
    default: return 2 * (p - 1) / p;
    }
}

static int reduces(const struct work *w)
{
    return w->collective == ALLREDUCE || w->collective == STEPS;
}

static const char *collective_name(int collective)
{
    switch (collective) {
    case BROADCAST: return "broadcast";
    case ALLGATHER: return "allgather";
    case STEPS: return "steps";
    default: return "allreduce";
    }
}

/* GB/s: bytes a nanosecond. */
static double algorithm_speed(const struct work *w, const struct variant *v)
{
    return v->p50_us > 0 ? (double)w->bytes / v->p50_us * 1e-3 : 0;
}

int report_open(struct report *report, const char *json)
{
    *report = (struct report){.path_width = 7};
    return json && !(report->json = fopen(json, "w")) ? -1 : 0;
}

void report_head(const struct report *report, int steps)
{
    int path_width = report->path_width;
    printf("#\n# %11s %12s %9s %8s %5s %6s %*s %8s %12s %12s %12s %8s %8s %7s %7s %7s\n", "size",
           steps ? "list" : "count", "type", "redop", "root", "impl", path_width, "path", "memory",
           "time min", "time p50", "time p99", "algbw", "busbw", "#wrong", "vs mpi", "floors");
    printf("# %11s %12s %9s %8s %5s %6s %*s %8s %12s %12s %12s %8s %8s %7s %7s %7s\n", "(B)",
           steps ? "" : "(elements)", "", "", "", "", path_width, "", "", "(us)", "(us)", "(us)",
           "(GB/s)", "(GB/s)", "", "(times)", "");
    fflush(stdout);
}

static void print_ratio(double over, double under, const char *end)
{
    if (over > 0 && under > 0)
        printf("%7.2f%s", over / under, end);
    else
        printf("%7s%s", "-", end);
}

static void print_row(const struct report *report, const struct work *w, const struct variant *v,
                      double mpi_us, double floor_us)
{
    double speed = algorithm_speed(w, v);
    char path[64];
    snprintf(path, sizeof path, "%s%s%s%s%s", v->path, v->algo ? ":" : "", v->algo ? v->algo : "",
             v->wire ? ":" : "", v->wire ? v->wire : "");
    printf("  %11zu ", w->bytes);
    if (w->list)
        printf("%12s ", w->list);
    else
        printf("%12zu ", w->count);
    printf("%9s %8s %5d %6s %*s %8s %12.2f %12.2f %12.2f %8.3f %8.3f %7zu ",
           ronde_dtype_name(w->dtype), reduces(w) ? ronde_op_name(w->op) : "none",
           w->collective == BROADCAST ? (int)w->root : -1, v->impl, report->path_width, path,
           v->memory, v->min_us, v->p50_us, v->p99_us, speed, speed * bus_factor(w), v->wrong);
    print_ratio(mpi_us, v->p50_us, " ");
    print_ratio(v->p50_us, floor_us, "\n");
    fflush(stdout);
}

static void write_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20)
            fprintf(to, "\\u%04x", (unsigned)*text);
        else
            fprintf(to, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    fputc('"', to);
}

static void write_row(FILE *to, const struct work *w, const struct variant *v)
{
    double speed = algorithm_speed(w, v);
    fprintf(to, "{\"impl\": \"%s\", \"op\": \"%s\", \"dtype\": \"%s\", \"redop\": \"%s\", ",
            v->impl, collective_name(w->collective), ronde_dtype_name(w->dtype),
            reduces(w) ? ronde_op_name(w->op) : "none");
    fprintf(to, "\"path\": \"%s\", \"memory\": \"%s\", \"ranks\": %d, \"hosts\": %d, ", v->path,
            v->memory, w->ranks, w->hosts);
    if (v->algo)
        fprintf(to, "\"algo\": \"%s\", ", v->algo);
    if (v->wire)
        fprintf(to, "\"wire\": \"%s\", ", v->wire);
    fprintf(to, "\"bytes\": %zu, ", w->bytes);
    if (w->list) {
        fputs("\"list\": ", to);
        write_text(to, w->list);
    } else {
        fprintf(to, "\"count\": %zu", w->count);
    }
    fprintf(to, ", \"time_us_min\": %.3f, \"time_us_p50\": %.3f, \"time_us_p99\": %.3f, ",
            v->min_us, v->p50_us, v->p99_us);
    fprintf(to, "\"algbw_gbs\": %.6g, \"busbw_gbs\": %.6g, \"wrong\": %zu}", speed,
            speed * bus_factor(w), v->wrong);
}

void report_row(struct report *report, const struct work *w, const struct variant *v, double mpi_us,
                double floor_us)
{
    print_row(report, w, v, mpi_us, floor_us);
    if (report->json) {
        fputs(report->rows ? ",\n " : "[\n ", report->json);
        write_row(report->json, w, v);
    }
    report->rows++;
    report->wrong_rows += v->wrong > 0;
}

int report_close(struct report *report)
{
    if (!report->json)
        return 0;
    fputs(report->rows ? "\n]\n" : "[]\n", report->json);
    int bad = ferror(report->json);
    return fclose(report->json) || bad ? -1 : 0;
}
