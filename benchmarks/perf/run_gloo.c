/* Gloo's variant, by way of its shim (gloo/peer.h), which is looked for beside the program. Gloo
 * has several ways of doing a thing; each piece gets the one that is fastest on it here and now. */
#include <dlfcn.h>
#include <ifaddrs.h>
#include <mpi.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../gloo/peer.h"
#include "options.h"
#include "work.h"

enum { MOST_WAYS = 4, TRIALS = 3 };
#define HOPELESS 3.0 /* times as slow as another way at the first trial */

static struct {
    const struct gloo_peer *peer;
    void *shim, *open;
    char text[1024];
} gloo;

/* ---- opening --------------------------------------------------------------------------------- */

/* bin/ronde-perf has ../lib/ronde-perf-gloo.so. */
static void shim_path(char *path, size_t bytes)
{
    char program[512];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    char *name = strrchr(program, '/');
    if (name)
        *name = 0;
    snprintf(path, bytes, "%s/../lib/ronde-perf-gloo.so", program);
}

static int load(void)
{
    char path[600];
    shim_path(path, sizeof path);
    gloo.shim = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    gloo.peer = gloo.shim ? dlsym(gloo.shim, GLOO_PEER_SYMBOL) : NULL;
    if (!gloo.peer) {
        const char *why = dlerror();
        snprintf(gloo.text, sizeof gloo.text,
                 "gloo is not to be had here (%s): make builds it where libgloo-dev and a C++ "
                 "compiler are installed",
                 why ? why : path);
    }
    return gloo.peer ? 0 : -1;
}

/* On one host the loopback; else the first other interface that is up. GLOO_SOCKET_IFNAME, which
 * programs over Gloo know, says better. */
static void choose_interface(int hosts, char *name, size_t bytes)
{
    struct ifaddrs *all = NULL;
    const char *wish = getenv("GLOO_SOCKET_IFNAME");
    snprintf(name, bytes, "%s", wish && *wish ? wish : "lo");
    if ((wish && *wish) || hosts == 1 || getifaddrs(&all))
        return;
    for (struct ifaddrs *one = all; one; one = one->ifa_next) {
        unsigned flags = one->ifa_flags;
        if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET && flags & IFF_UP &&
            !(flags & IFF_LOOPBACK)) {
            snprintf(name, bytes, "%s", one->ifa_name);
            break;
        }
    }
    freeifaddrs(all);
}

static void gather(const void *mine, size_t bytes, void *all)
{
    MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
}

/* Ranks of this host, against the CPUs that this rank may use. */
static int has_cpu_each(void)
{
    MPI_Comm node;
    cpu_set_t mask;
    int ranks, cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), fits, all;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &ranks);
    MPI_Comm_free(&node);
    if (!sched_getaffinity(0, sizeof mask, &mask) && CPU_COUNT(&mask) > 1)
        cpus = CPU_COUNT(&mask);
    fits = ranks <= cpus;
    MPI_Allreduce(&fits, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    return all;
}

static int worst(int status)
{
    int all;
    MPI_Allreduce(&status, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return all;
}

const char *gloo_open(const struct work *w)
{
    char name[64], error[GLOO_ERROR_BYTES] = "";
    snprintf(gloo.text, sizeof gloo.text, "gloo is not to be had on every host");
    if (worst(load()))
        return gloo.text;
    choose_interface(w->hosts, name, sizeof name);
    struct gloo_world world = {.rank = w->rank,
                               .ranks = w->ranks,
                               .busy = has_cpu_each() && w->hosts == 1,
                               .interface = name,
                               .gather = gather};
    gloo.open = gloo.peer->open(&world, error);
    if (!gloo.open)
        die("gloo on interface %s: %s", name, error);
    return NULL;
}

/* Not before everybody is done with it: a connection that closes is an error to its other end. */
void gloo_close(void)
{
    if (!gloo.open)
        return;
    MPI_Barrier(MPI_COMM_WORLD);
    gloo.peer->close(gloo.open);
    gloo.open = NULL;
}

/* ---- ways ------------------------------------------------------------------------------------ */

static struct gloo_task task_of(const struct work *w, const struct variant *v,
                                const struct piece *piece)
{
    return (struct gloo_task){.collective = w->collective == BROADCAST   ? GLOO_BROADCAST
                                            : w->collective == ALLGATHER ? GLOO_ALLGATHER
                                                                         : GLOO_ALLREDUCE,
                              .dtype = w->dtype,
                              .op = w->op,
                              .root = w->root,
                              .in = v->in + piece->offset_bytes,
                              .out = v->out + piece->offset_bytes,
                              .count = piece->count};
}

const char *gloo_refuses(const struct work *w, size_t largest_count)
{
    struct variant none = {0};
    struct piece piece = {.count = largest_count};
    struct gloo_task task = task_of(w, &none, &piece);
    return gloo.peer->refuses(&task);
}

static void run_operation(void *operation)
{
    char error[GLOO_ERROR_BYTES];
    if (gloo.peer->run(operation, error))
        die("gloo: %s", error);
}

static void *prepare(const struct gloo_task *task, int way)
{
    char error[GLOO_ERROR_BYTES];
    void *operation = gloo.peer->prepare(gloo.open, task, way, error);
    if (!operation && error[0])
        die("gloo: %s", error);
    return operation;
}

static double trial_us(void *operation)
{
    MPI_Barrier(MPI_COMM_WORLD);
    double time = MPI_Wtime();
    run_operation(operation);
    time = (MPI_Wtime() - time) * 1e6;
    MPI_Allreduce(MPI_IN_PLACE, &time, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return time;
}

/* The least of some trials; of a way that is far behind at the first, that. Alike on all ranks. */
static double try_way(void *operation, double best_us)
{
    double least = trial_us(operation);
    for (int i = 1; i < TRIALS && (best_us <= 0 || least < HOPELESS * best_us); i++) {
        double time = trial_us(operation);
        least = time < least ? time : least;
    }
    return least;
}

static int fastest_way(const struct gloo_task *task)
{
    int best = 0;
    double best_us = 0;
    for (int way = 0; way < MOST_WAYS; way++) {
        void *operation = prepare(task, way);
        if (!operation)
            break;
        double time = try_way(operation, best_us);
        gloo.peer->drop(operation);
        if (best_us <= 0 || time < best_us) {
            best = way;
            best_us = time;
        }
    }
    return best;
}

/* Pieces that are equally long go the same way. */
static int way_of_piece(const struct pieces *pieces, const int *ways, size_t i,
                        const struct gloo_task *task)
{
    for (size_t j = 0; j < i; j++)
        if (pieces->at[j].count == pieces->at[i].count)
            return ways[j];
    return fastest_way(task);
}

void gloo_prepare(const struct work *w, struct variant *v)
{
    size_t number = v->pieces->number;
    int *ways = calloc(number, sizeof *ways);
    void **operations = calloc(number, sizeof *operations);
    if (!operations || !ways)
        die("out of memory");
    for (size_t i = 0; i < number; i++) {
        struct gloo_task task = task_of(w, v, &v->pieces->at[i]);
        ways[i] = way_of_piece(v->pieces, ways, i, &task);
        operations[i] = prepare(&task, ways[i]);
    }
    free(ways);
    v->state = operations;
}

void gloo_run(const struct work *w, const struct variant *v)
{
    void *const *operations = v->state;
    (void)w;
    for (size_t i = 0; i < v->pieces->number; i++)
        run_operation(operations[i]);
}

void gloo_drop(struct variant *v)
{
    void **operations = v->state;
    MPI_Barrier(MPI_COMM_WORLD);
    for (size_t i = 0; i < v->pieces->number; i++)
        gloo.peer->drop(operations[i]);
    free(operations);
    v->state = NULL;
}
