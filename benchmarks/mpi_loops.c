/* Loops of MPI collectives as the usual benchmarks of MPI have them, to see what libronde-mpi.so
 * does for a program that knows MPI only (drop-in.sh runs it with and without).
 *
 *   -l osu   the same buffers at each call; each call is timed alone, a barrier lies between calls
 *   -l imb   calls back to back, timed together; the buffers are the same
 *   -l off   the same, but the buffers wander through memory larger than the caches
 *
 * One row a collective and size: the loop, the collective, bytes of the whole vector (all ranks'
 * parts together), and microseconds a call by MPI_Allreduce, say, and by PMPI_Allreduce, which is
 * MPI's own whatever was preloaded. The two take turns, since the machine drifts; each time is the
 * median of the turns, of which each is the mean over its calls, of the slowest rank. */
#include <getopt.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *loop, *calls;
    size_t least, most, memory;
    double seconds; /* of each row */
} options = {"osu", "", 4, 16 << 20, 128 << 20, 0.06};

enum { MOST_RANKS = 1024 };
static int ranks, me;

/* ---- the calls ------------------------------------------------------------------------------- */

/* The names that a library may take over, and MPI's own. */
static const struct functions {
    int (*allreduce)(const void *, void *, int, MPI_Datatype, MPI_Op, MPI_Comm);
    int (*reduce)(const void *, void *, int, MPI_Datatype, MPI_Op, int, MPI_Comm);
    int (*reduce_scatter)(const void *, void *, const int *, MPI_Datatype, MPI_Op, MPI_Comm);
    int (*reduce_scatter_block)(const void *, void *, int, MPI_Datatype, MPI_Op, MPI_Comm);
    int (*bcast)(void *, int, MPI_Datatype, int, MPI_Comm);
    int (*allgather)(const void *, int, MPI_Datatype, void *, int, MPI_Datatype, MPI_Comm);
    int (*alltoall)(const void *, int, MPI_Datatype, void *, int, MPI_Datatype, MPI_Comm);
    int (*barrier)(MPI_Comm);
} by_name = {MPI_Allreduce, MPI_Reduce,    MPI_Reduce_scatter, MPI_Reduce_scatter_block,
             MPI_Bcast,     MPI_Allgather, MPI_Alltoall,       MPI_Barrier},
  by_mpi = {PMPI_Allreduce, PMPI_Reduce,    PMPI_Reduce_scatter, PMPI_Reduce_scatter_block,
            PMPI_Bcast,     PMPI_Allgather, PMPI_Alltoall,       PMPI_Barrier};

enum call {
    ALLREDUCE,
    REDUCE,
    BCAST,
    ALLGATHER,
    REDUCE_SCATTER,
    REDUCE_SCATTER_BLOCK,
    ALLTOALL,
    BARRIER,
    CALLS
};

static const struct {
    const char *name;
    int is_shared; /* each rank has a part */
} calls[CALLS] = {{"allreduce", 0}, {"reduce", 0},         {"bcast", 0},
                  {"allgather", 1}, {"reduce_scatter", 1}, {"reduce_scatter_block", 1},
                  {"alltoall", 1},  {"barrier", 0}};

struct work {
    enum call call;
    size_t bytes;
    char *in, *out; /* of as many bytes as options.memory, and a vector */
};

static const int *equal_counts(int each)
{
    static int counts[MOST_RANKS];
    for (int i = 0; i < ranks && counts[i] != each; i++)
        counts[i] = each;
    return counts;
}

static void call_once(const struct work *work, const struct functions *f, size_t at)
{
    void *in = work->in + at, *out = work->out + at;
    int n = (int)(work->bytes / sizeof(float)), each = n / ranks;
    switch (work->call) {
    case ALLREDUCE: f->allreduce(in, out, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); break;
    case REDUCE: f->reduce(in, out, n, MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD); break;
    case BCAST: f->bcast(in, n, MPI_FLOAT, 0, MPI_COMM_WORLD); break;
    case ALLGATHER: f->allgather(in, each, MPI_FLOAT, out, each, MPI_FLOAT, MPI_COMM_WORLD); break;
    case REDUCE_SCATTER:
        f->reduce_scatter(in, out, equal_counts(each), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        break;
    case REDUCE_SCATTER_BLOCK:
        f->reduce_scatter_block(in, out, each, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        break;
    case ALLTOALL: f->alltoall(in, each, MPI_FLOAT, out, each, MPI_FLOAT, MPI_COMM_WORLD); break;
    case BARRIER:
    case CALLS: f->barrier(MPI_COMM_WORLD); break;
    }
}

/* ---- the loops ------------------------------------------------------------------------------- */

/* Seconds a call. */
static double run_apart(const struct work *work, const struct functions *f, int times)
{
    double sum = 0;
    for (int i = 0; i < times; i++) {
        double start = MPI_Wtime();
        call_once(work, f, 0);
        sum += MPI_Wtime() - start;
        f->barrier(MPI_COMM_WORLD);
    }
    return sum / times;
}

static double run_together(const struct work *work, const struct functions *f, int times)
{
    static size_t at; /* where the last turn has stopped: what it left in the caches lies behind */
    size_t apart = (work->bytes + 63) / 64 * 64;
    int wanders = strcmp(options.loop, "off") == 0;
    double start = MPI_Wtime();
    for (int i = 0; i < times; i++) {
        at = wanders && at + apart < options.memory ? at + apart : 0;
        call_once(work, f, at);
    }
    return (MPI_Wtime() - start) / times;
}

static double slowest(const struct work *work, const struct functions *f, int times)
{
    double mine, most;
    PMPI_Barrier(MPI_COMM_WORLD);
    f->barrier(MPI_COMM_WORLD);
    mine = strcmp(options.loop, "osu") ? run_together(work, f, times) : run_apart(work, f, times);
    PMPI_Allreduce(&mine, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return most;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* As many calls as a turn's time allows, alike on all ranks, after as many for nothing: long enough
 * for connections to be made, memory to be touched and libraries to make up their minds. */
static void row(const struct work *work)
{
    enum { TURNS = 9 };
    double seconds[2][TURNS], one = slowest(work, &by_name, 3);
    int times = 4;
    for (; one * times < options.seconds / 2 / TURNS / 2; times *= 2)
        one = slowest(work, &by_name, times);
    times = one > 0 ? (int)(options.seconds / 2 / TURNS / one) + 1 : times;
    slowest(work, &by_name, times);
    slowest(work, &by_mpi, times);
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < 2; i++) {
            int own = (turn + i) % 2;
            seconds[own][turn] = slowest(work, own ? &by_mpi : &by_name, times);
        }
    for (int own = 0; own < 2; own++)
        qsort(seconds[own], TURNS, sizeof(double), compare);
    if (!me)
        printf("%-4s %-20s %10zu %12.3f %12.3f\n", options.loop, calls[work->call].name,
               work->call == BARRIER ? 0 : work->bytes, seconds[0][TURNS / 2] * 1e6,
               seconds[1][TURNS / 2] * 1e6);
}

static int is_wanted(const char *name)
{
    size_t length = strlen(name);
    const char *found = options.calls;
    for (; (found = strstr(found, name)); found += length)
        if ((found == options.calls || found[-1] == ',') &&
            (!found[length] || found[length] == ','))
            return 1;
    return !*options.calls;
}

static void run_sizes(struct work *work)
{
    size_t unit = sizeof(float) * (calls[work->call].is_shared ? (size_t)ranks : 1);
    size_t least = options.least < unit ? unit : options.least;
    for (size_t bytes = least; bytes <= options.most; bytes *= 4) {
        work->bytes = bytes / unit * unit;
        row(work);
        if (work->call == BARRIER)
            break;
    }
    if (!me)
        fflush(stdout);
}

/* ---- options --------------------------------------------------------------------------------- */

static size_t bytes_from(const char *text)
{
    char *end;
    size_t value = strtoull(text, &end, 10);
    return value << (*end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0);
}

static int read_options(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "l:c:b:e:m:s:")) != -1)
        switch (option) {
        case 'l': options.loop = optarg; break;
        case 'c': options.calls = optarg; break;
        case 'b': options.least = bytes_from(optarg); break;
        case 'e': options.most = bytes_from(optarg); break;
        case 'm': options.memory = bytes_from(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        default: return -1;
        }
    if (!options.least || options.most > 1u << 30)
        return -1;
    return strcmp(options.loop, "osu") && strcmp(options.loop, "imb") && strcmp(options.loop, "off")
               ? -1
               : 0;
}

static char *memory_of_ones(size_t bytes)
{
    float *memory = malloc(bytes);
    for (size_t i = 0; memory && i < bytes / sizeof(float); i++)
        memory[i] = 1;
    return (char *)memory;
}

static void usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [-l osu|imb|off] [-c CALL,...] [-b LEAST[K|M|G]] [-e MOST] [-m MEMORY]\n"
            "       [-s SECONDS]   -m: what buffers wander through (%zuM); -s: of each row (%g)\n",
            name, options.memory >> 20, options.seconds);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int wrong = read_options(argc, argv) || ranks > MOST_RANKS;
    size_t room = (strcmp(options.loop, "off") ? 0 : options.memory) + options.most + 64;
    struct work work = {.in = wrong ? NULL : memory_of_ones(room),
                        .out = wrong ? NULL : memory_of_ones(room)};
    if (wrong && !me)
        usage(argv[0]);
    else if (!wrong && (!work.in || !work.out))
        fprintf(stderr, "no memory for two buffers of %zu bytes\n", room);
    for (int i = 0; work.in && work.out && i < CALLS; i++)
        if (is_wanted(calls[i].name)) {
            work.call = (enum call)i;
            run_sizes(&work);
        }
    wrong = wrong || !work.in || !work.out;
    free(work.in);
    free(work.out);
    MPI_Finalize();
    return wrong;
}
