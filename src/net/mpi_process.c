/* MPI as this process has it. One MPI serves all nets of the process: who initialised it, how many
 * nets are open, and the lock that a low thread level asks for are the process's, not a net's. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "net/net_mpi.h"

static struct {
    pthread_mutex_t lock;
    int open;  /* nets */
    int ours;  /* MPI was initialised here */
    pid_t pid; /* by this process, of which a fork has the memory but not the MPI */
    int pipes; /* nets whose peers' ends may break */
    int ignores; /* SIGPIPE was left to its default, which is to end the process, and is ignored now */
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Below MPI_THREAD_MULTIPLE: held around each call. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

int ronde__mpi_is_running(void)
{
    int initialised = 0, finalised = 0;
    MPI_Initialized(&initialised);
    MPI_Finalized(&finalised);
    return initialised && !finalised;
}

static int32_t refuse_finalised(void)
{
    return ronde__fail(RONDE_ERR_MPI, "MPI was already finalised in this process and cannot be "
                                      "initialised again: open before MPI_Finalize");
}

static int32_t initialise(void)
{
    int level;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level);
    if (code != MPI_SUCCESS)
        return ronde__mpi_status(code, "initialising MPI");
    process.ours = 1;
    process.pid = getpid();
    return RONDE_OK;
}

static int32_t join_locked(int may_initialise)
{
    int initialised = 0, finalised = 0;
    MPI_Initialized(&initialised);
    MPI_Finalized(&finalised);
    if (finalised)
        return refuse_finalised();
    if (!initialised && !may_initialise)
        return ronde__fail(RONDE_ERR_MPI, "a communicator was given but MPI is not initialised: "
                                          "call MPI_Init_thread first");
    return initialised ? RONDE_OK : initialise();
}

int32_t ronde__mpi_join(int may_initialise)
{
    pthread_mutex_lock(&process.lock);
    int32_t status = join_locked(may_initialise);
    if (status == RONDE_OK)
        process.open++;
    pthread_mutex_unlock(&process.lock);
    return status;
}

void ronde__mpi_leave(void)
{
    pthread_mutex_lock(&process.lock);
    process.open--;
    pthread_mutex_unlock(&process.lock);
}

static int handler_is(void (*handler)(int))
{
    struct sigaction now;
    return !sigaction(SIGPIPE, NULL, &now) && !(now.sa_flags & SA_SIGINFO) &&
           now.sa_handler == handler;
}

void ronde__mpi_bear_losses(struct mpi_net *net)
{
    if (net->bears_losses || net->base.nodes == 1)
        return;
    net->bears_losses = 1;
    pthread_mutex_lock(&process.lock);
    if (!process.pipes++ && handler_is(SIG_DFL)) {
        signal(SIGPIPE, SIG_IGN);
        process.ignores = 1;
    }
    pthread_mutex_unlock(&process.lock);
}

void ronde__mpi_bear_no_losses(struct mpi_net *net)
{
    if (!net->bears_losses)
        return;
    net->bears_losses = 0;
    pthread_mutex_lock(&process.lock);
    if (!--process.pipes && process.ignores) {
        process.ignores = 0;
        if (handler_is(SIG_IGN))
            signal(SIGPIPE, SIG_DFL);
    }
    pthread_mutex_unlock(&process.lock);
}

int ronde__mpi_is_ours(void)
{
    pthread_mutex_lock(&process.lock);
    int ours = process.ours;
    pthread_mutex_unlock(&process.lock);
    return ours;
}

/* Runs when the process exits, after every atexit handler, or when the library is unloaded; see
 * ronde__net_open_mpi. Tried with Open MPI 4.1.4 (ob1 and ucx) and MPICH 4.0.2 (ucx), linked
 * statically, shared, and loaded by Python. No lock: a thread that was killed may hold it. */
__attribute__((destructor)) static void finalise(void)
{
    if (process.ours && !process.open && process.pid == getpid() && ronde__mpi_is_running())
        MPI_Finalize();
}

int32_t ronde__mpi_check_communicator(MPI_Comm communicator)
{
    int is_inter = 0, finalised = 0;
    MPI_Finalized(&finalised);
    if (finalised)
        return refuse_finalised();
    if (!ronde__mpi_is_running())
        return ronde__fail(RONDE_ERR_MPI, "a communicator was given but MPI is not initialised: "
                                          "call MPI_Init_thread first");
    if (communicator == MPI_COMM_NULL || communicator == (MPI_Comm)0)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the communicator is MPI_COMM_NULL or no "
                                               "communicator: only members of one may open it");
    int32_t status = ronde__mpi_status(MPI_Comm_test_inter(communicator, &is_inter),
                                       "looking at the communicator");
    if (status == RONDE_OK && is_inter)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the communicator is an intercommunicator: merge "
                                               "it with MPI_Intercomm_merge first");
    return status;
}

static const char *level_name(int level)
{
    return level == MPI_THREAD_SINGLE       ? "MPI_THREAD_SINGLE"
           : level == MPI_THREAD_FUNNELED   ? "MPI_THREAD_FUNNELED"
           : level == MPI_THREAD_SERIALIZED ? "MPI_THREAD_SERIALIZED"
                                            : "MPI_THREAD_MULTIPLE";
}

int32_t ronde__mpi_check_thread(struct net *base)
{
    const struct mpi_net *net = ronde__mpi_net_of(base);
    if (net->level < MPI_THREAD_SERIALIZED && !pthread_equal(net->opener, pthread_self()))
        return ronde__fail(RONDE_ERR_THREADS,
                           "MPI was initialised at %s, so only the thread that opened the context "
                           "may move data between nodes: ask MPI_Init_thread for "
                           "MPI_THREAD_MULTIPLE, or make this call from that thread",
                           level_name(net->level));
    return RONDE_OK;
}

int32_t ronde__mpi_enter(struct mpi_net *net)
{
    if (net->level == MPI_THREAD_MULTIPLE)
        return RONDE_OK;
    int32_t status = ronde__mpi_check_thread(&net->base);
    if (status)
        return status;
    pthread_mutex_lock(&turn);
    return RONDE_OK;
}

void ronde__mpi_exit(const struct mpi_net *net)
{
    if (net->level != MPI_THREAD_MULTIPLE)
        pthread_mutex_unlock(&turn);
}

int32_t ronde__mpi_status(int code, const char *format, ...)
{
    if (code == MPI_SUCCESS)
        return RONDE_OK;
    char doing[160], reason[MPI_MAX_ERROR_STRING + 1] = "no text";
    int length = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(doing, sizeof(doing), format, arguments);
    va_end(arguments);
    MPI_Error_string(code, reason, &length);
    for (char *p = reason; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return ronde__fail(RONDE_ERR_MPI, "%s: MPI says: %s", doing, reason);
}

/* The first line of MPI's own text, up to the packager's words. */
static char library[128];

static void read_library(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
    int length = 0;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, "\r\n,")] = '\0';
    size_t used = 0;
    for (const char *p = text; *p && used + 1 < sizeof(library); p++)
        library[used++] = *p == '\t' ? ' ' : *p;
}

const char *ronde__net_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_library);
    return library;
}

const char *ronde__net_thread_level(void)
{
    int level = MPI_THREAD_SINGLE;
    if (!ronde__mpi_is_running())
        return "MPI is not running";
    MPI_Query_thread(&level);
    return level_name(level);
}
