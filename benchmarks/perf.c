/* ronde-perf: times Ronde's collectives, and MPI's beside them. See --help for use and method.
 *
 * One run: options, MPI, Ronde; buffers of the largest size in each kind of memory that is asked
 * for; then for each size the variants (implementation x path x memory) are measured against each
 * other and reported. A `steps` run is that with one size, whose pieces are a list's tensors. */
#include <errno.h>
#include <mpi.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "perf/lists.h"
#include "perf/machine.h"
#include "perf/session.h"
#include "ronde_mpi.h"

void die(const char *format, ...)
{
    int rank = 0;
    va_list values;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    fflush(stdout);
    fprintf(stderr, "ronde-perf: rank %d: ", rank);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    MPI_Abort(MPI_COMM_WORLD, 1);
    abort();
}

int refuse(const struct work *w, const char *text)
{
    if (w->rank == 0)
        fprintf(stderr, "ronde-perf: %s\n", text);
    return 2;
}

static int count_hosts(void)
{
    MPI_Comm node;
    int rank, first, hosts;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank);
    MPI_Comm_free(&node);
    first = rank == 0;
    MPI_Allreduce(&first, &hosts, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return hosts;
}

static int open_algo(struct session *s, const char *name, size_t length)
{
    struct algo *algo = &s->algos[s->algo_number];
    const char *given = s->options.settings ? s->options.settings : "";
    char settings[1024];
    ronde_options options;
    if (!length)
        return refuse(&s->work, "--algo has an empty name");
    if (s->algo_number == MOST_ALGOS || length >= sizeof algo->name)
        return refuse(&s->work, "too much in --algo");
    memcpy(algo->name, name, length);
    int is_default = !strcmp(algo->name, "default");
    int needed = is_default ? snprintf(settings, sizeof settings, "%s", given)
                            : snprintf(settings, sizeof settings, "%s%sallreduce=%s,%s/halves",
                                       given, *given ? ";" : "", algo->name, algo->name);
    if (needed >= (int)sizeof settings)
        return refuse(&s->work, "too much in --settings");
    ronde_options_init(&options, sizeof options);
    options.settings = settings;
    if (ronde_open_mpi(MPI_COMM_WORLD, &options, &algo->context))
        return refuse(&s->work, ronde_last_error());
    s->algo_number++;
    s->work.context = s->algos[0].context;
    return 0;
}

static int open_ronde(struct session *s)
{
    const char *at = s->options.algos ? s->options.algos : "default";
    int status = 0;
    for (int wire = 0; wire < WIRES; wire++) {
        ronde_call_init(&s->calls[wire], sizeof s->calls[wire]);
        s->calls[wire].wire = wire;
    }
    for (int more = 1; more && !status;) {
        size_t length = strcspn(at, ",");
        status = open_algo(s, at, length);
        more = at[length] == ',';
        at += length + 1;
    }
    return status;
}

static void prepare_work(struct session *s)
{
    struct work *w = &s->work;
    w->collective = s->options.collective;
    w->dtype = s->options.dtype;
    w->op = s->options.op;
    w->root = s->options.root;
    w->in_place = s->options.in_place;
    w->element_bytes = ronde_dtype_bytes(w->dtype);
    MPI_Comm_rank(MPI_COMM_WORLD, &w->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &w->ranks);
    w->hosts = count_hosts();
}

/* Rank 0 opens the file; all hear whether it could. */
static int open_report(struct session *s)
{
    int bad = 0;
    if (s->work.rank == 0 && report_open(&s->report, s->options.json)) {
        bad = 2;
        fprintf(stderr, "ronde-perf: cannot write '%s' of --json: %s\n", s->options.json,
                strerror(errno));
    }
    if (s->options.algos || s->options.wires != WIRE_AS_IS)
        s->report.path_width = 25; /* direct:circulant:bfloat16 */
    MPI_Bcast(&bad, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return bad;
}

static int finish_report(struct session *s)
{
    int bad = 0;
    if (s->work.rank == 0) {
        if (report_close(&s->report))
            die("cannot write '%s' of --json: %s", s->options.json, strerror(errno));
        if (s->report.wrong_rows)
            printf("# %zu of %zu rows have wrong results\n", s->report.wrong_rows, s->report.rows);
        bad = s->report.wrong_rows > 0;
    }
    MPI_Bcast(&bad, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return bad;
}

static void close_ronde(struct session *s)
{
    while (s->algo_number)
        if (ronde_close(&s->algos[--s->algo_number].context))
            die("closing: %s", ronde_last_error());
}

static int measure_all(struct session *s)
{
    char text[96];
    const char *why;
    int status;
    if (s->options.root >= s->work.ranks) {
        snprintf(text, sizeof text, "root %d (-r) is not one of the %d ranks", (int)s->options.root,
                 s->work.ranks);
        return refuse(&s->work, text);
    }
    if ((status = open_report(s)))
        return status;
    if (s->options.impls & IMPL_RONDE && (status = open_ronde(s)))
        return status;
    if (s->options.impls & IMPL_GLOO && (why = gloo_open(&s->work)))
        return refuse(&s->work, why);
    if (s->work.rank == 0)
        machine_print(&s->options, &s->work);
    status = session_run(s);
    int wrong = finish_report(s);
    session_free(s);
    gloo_close();
    close_ronde(s);
    return status ? status : wrong;
}

static int show_list(const struct session *s)
{
    char error[512];
    struct pieces list;
    if (list_make(s->options.list, s->work.element_bytes, &list, error, sizeof error))
        return refuse(&s->work, error);
    if (s->work.rank == 0)
        list_print(&list, stdout);
    list_free(&list);
    return 0;
}

static int start(struct session *s, int argc, char **argv)
{
    char error[512];
    if (options_parse(&s->options, argc, argv, error, sizeof error))
        return refuse(&s->work, error);
    if (s->options.help) {
        if (s->work.rank == 0)
            options_help(stdout);
        return 0;
    }
    prepare_work(s);
    return s->options.show_list ? show_list(s) : measure_all(s);
}

/* The thread level is among the options, and MPI may want to see the arguments first: so options
 * are read twice, here for the level alone, and again where every rank knows whether to speak. */
int main(int argc, char **argv)
{
    static struct session session;
    char error[512];
    int provided, level = MPI_THREAD_SERIALIZED;
    if (!options_parse(&session.options, argc, argv, error, sizeof error) && !session.options.help)
        level = session.options.thread_level;
    MPI_Init_thread(&argc, &argv, level, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &session.work.rank);
    int status = start(&session, argc, argv);
    MPI_Finalize();
    return status;
}
