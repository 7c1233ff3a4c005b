#include "preload/preload.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "preload/preload_comm.h"

#if defined OPEN_MPI
static const char family[] = "Open MPI";
#elif defined MPICH
static const char family[] = "MPICH";
#else
#error "the drop-in library knows Open MPI and MPICH"
#endif

static struct preload_process process;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int decided; /* `process` is valid; pairs with the release in decide */
static atomic_int finished;
static _Atomic uint64_t counted[PRELOAD_KINDS][2];

static int number_in(const char *variable)
{
    const char *text = getenv(variable);
    return text ? atoi(text) : 0;
}

/* Launchers say how many ranks they have put on this node. Who says nothing may have put some on
 * others, whose environment may lack this library: asking them could wait for ever. */
static int is_one_node(int ranks)
{
    static const char *const local_ranks[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < sizeof(local_ranks) / sizeof(local_ranks[0]); i++)
        if (getenv(local_ranks[i]))
            return number_in(local_ranks[i]) == ranks;
    return number_in("SLURM_STEP_NUM_NODES") == 1;
}

/* A program of another MPI has other handles; it shall run as if this library were not there. */
static int is_our_mpi(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 8192 /* another MPI's may be longer */] = "";
    int length = 0;
    PMPI_Get_library_version(text, &length);
    return strncmp(text, family, strlen(family)) == 0;
}

static int has_word(const char *text, const char *word)
{
    for (size_t length; *text; text += length + (text[length] == ',')) {
        length = strcspn(text, ",");
        if (length == strlen(word) && !strncmp(text, word, length))
            return 1;
    }
    return 0;
}

static int is_known(const char *text)
{
    static const char *const words[] = {"on", "off", "log", "all"};
    size_t known = 0, commas = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        known += (size_t)has_word(text, words[i]);
    for (const char *p = text; *p; p++)
        commas += *p == ',';
    return known == commas + 1;
}

static const char *decide_whether(const char *mode)
{
    int ranks;
    if (!is_our_mpi())
        return "it was built for another MPI";
    PMPI_Comm_rank(MPI_COMM_WORLD, &process.rank);
    PMPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (!is_known(mode)) {
        if (!process.rank)
            fprintf(stderr, "ronde-mpi: RONDE_MPI=%s is none of off, log, all\n", mode);
        return "of a bad RONDE_MPI";
    }
    if (has_word(mode, "off"))
        return "RONDE_MPI=off";
    if (!is_one_node(ranks))
        return "there are several nodes, or the launcher does not say";
    if (PMPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, ronde__preload_forget, &process.keyval,
                                NULL) != MPI_SUCCESS)
        return "MPI has no attributes left";
    process.has_cpus = ranks <= ronde__cpu_count_of_node();
    ronde__preload_learn_types();
    return NULL;
}

static void decide(void)
{
    const char *mode = getenv("RONDE_MPI");
    mode = mode && *mode ? mode : "on";
    process.logs = has_word(mode, "log");
    process.all = has_word(mode, "all");
    const char *why = decide_whether(mode);
    process.takes = !why;
    atomic_store_explicit(&decided, 1, memory_order_release);
    if (why && !process.rank)
        ronde__preload_log("everything is passed on: %s", why);
}

const struct preload_process *ronde__preload_process(void)
{
    if (atomic_load_explicit(&finished, memory_order_relaxed))
        return NULL;
    if (atomic_load_explicit(&decided, memory_order_acquire))
        return &process;
    int initialised = 0, finalised = 0;
    PMPI_Initialized(&initialised);
    PMPI_Finalized(&finalised);
    if (!initialised || finalised)
        return NULL;
    pthread_mutex_lock(&lock);
    if (!atomic_load_explicit(&decided, memory_order_relaxed))
        decide();
    pthread_mutex_unlock(&lock);
    return &process;
}

int ronde__preload_note(enum preload_kind kind, int taken)
{
    if (atomic_load_explicit(&decided, memory_order_acquire) && process.logs)
        atomic_fetch_add_explicit(&counted[kind][taken], 1, memory_order_relaxed);
    return taken;
}

void ronde__preload_log(const char *format, ...)
{
    char text[400];
    va_list arguments;
    if (!atomic_load_explicit(&decided, memory_order_acquire) || !process.logs)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "ronde-mpi[%d]: %s\n", process.rank, text);
}

void ronde__preload_finish(void)
{
    static const char *const names[PRELOAD_KINDS] = {
        [PRELOAD_ALLREDUCE] = "allreduce",           [PRELOAD_REDUCE] = "reduce",
        [PRELOAD_REDUCE_SCATTER] = "reduce_scatter", [PRELOAD_BROADCAST] = "bcast",
        [PRELOAD_ALLGATHER] = "allgather",           [PRELOAD_ALLTOALL] = "alltoall",
        [PRELOAD_ALLTOALLV] = "alltoallv",           [PRELOAD_BARRIER] = "barrier",
    };
    char text[400] = "";
    size_t used = 0;
    for (int kind = 0; kind < PRELOAD_KINDS; kind++) {
        unsigned long long passed = counted[kind][0], taken = counted[kind][1];
        if (passed + taken && used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %llu of %llu",
                                     used ? ", " : "", names[kind], taken, passed + taken);
    }
    if (used)
        ronde__preload_log("taken: %s", text);
    atomic_store(&finished, 1);
    ronde__preload_forget_all();
}
