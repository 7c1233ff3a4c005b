/* Runs rank_test on every rank and keeps the time.
 *
 *   program [--threads N [--per-node K]] [--settings TEXT] [argument...]
 *
 * Without --threads this process is one rank of an MPI job. With it, N threads are N ranks, K of
 * them on each pretended node (all on one without K). A little before the test's time is up (the
 * environment's TEST_TIMEOUT, seconds) a watchdog prints what every context of the process is
 * doing, so that a hang leaves more than silence. */
#include "ranks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "context.h"
#include "net/net.h"

enum { PASSED = 0, FAILED = 1, SKIPPED = 77, TIMED_OUT = 124, MOST_RANKS = 64 };

struct rank {
    struct net *net;        /* NULL: MPI's */
    ronde_context *context; /* of the rank's thread; the watchdog reads it under `lock` */
    const struct arguments *arguments;
    int result;
};

struct arguments {
    int threads, per_node;
    const char *settings;
    int argc;
    char **argv;
};

static struct rank ranks[MOST_RANKS];
static int rank_count;
static int are_threads;

/* The watchdog ends the process at `deadline_ns` (0: never); failing brings it forward. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int64_t deadline_ns;
static int deadline_result;

int ranks_are_threads(void)
{
    return are_threads;
}

static void describe_contexts(void)
{
    static char text[16384];
    size_t needed;
    for (int i = 0; i < rank_count; i++) {
        if (!ranks[i].context)
            fprintf(stderr, "---- a rank is not open: opening, closing or done\n");
        else if (ronde_describe(ranks[i].context, text, sizeof text, &needed) == RONDE_OK)
            fprintf(stderr, "---- rank %d\n%s\n", ronde_rank(ranks[i].context), text);
    }
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (int64_t now = ronde__now_ns(); now < deadline_ns; now = ronde__now_ns()) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (deadline_ns - now) / 1000000000 + 1;
        pthread_cond_timedwait(&changed, &lock, &until);
    }
    alarm(5); /* should describing hang as well */
    describe_contexts();
    if (deadline_result == TIMED_OUT) /* tools/run-tests.sh knows this line */
        fprintf(stderr, "ronde-test: timed out\n");
    fflush(NULL);
    _exit(deadline_result);
}

static void set_deadline(double seconds, int result)
{
    int64_t deadline = ronde__now_ns() + (int64_t)(seconds * 1e9);
    pthread_mutex_lock(&lock);
    if (deadline_ns == 0 || deadline < deadline_ns) {
        deadline_ns = deadline;
        deadline_result = result;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* 4 seconds before ctest kills everything without a word. */
static void start_watchdog(void)
{
    const char *limit = getenv("TEST_TIMEOUT");
    double seconds = limit ? atof(limit) - 4 : 0;
    pthread_t thread;
    set_deadline(seconds > 0 ? seconds : 24 * 3600.0, TIMED_OUT);
    if (pthread_create(&thread, NULL, watch, NULL) == 0)
        pthread_detach(thread);
}

static void show_context(struct rank *rank, ronde_context *context)
{
    pthread_mutex_lock(&lock);
    rank->context = context;
    pthread_mutex_unlock(&lock);
}

static int32_t open_context(const struct rank *rank, ronde_context **context)
{
    ronde_options options;
    if (rank->net)
        return ronde__open_net(rank->net, rank->arguments->settings, context);
    ronde_options_init(&options, sizeof options);
    options.settings = rank->arguments->settings;
    return ronde_open(&options, context);
}

static void *run_rank(void *state)
{
    struct rank *rank = state;
    const struct arguments *arguments = rank->arguments;
    ronde_context *context = NULL;
    int64_t start_ns = ronde__now_ns();
    int me, size, nodes;

    rank->result = FAILED;
    if (open_context(rank, &context) != RONDE_OK) {
        fprintf(stderr, "opening: %s\n", ronde_last_error());
        set_deadline(5, FAILED); /* the others may wait for this rank */
        return NULL;
    }
    show_context(rank, context);
    me = ronde_rank(context);
    size = ronde_size(context);
    nodes = ronde_cross_size(context);
    rank->result = rank_test(context, arguments->argc, arguments->argv);
    if (rank->result == FAILED)
        set_deadline(10, FAILED); /* closing may wait for ranks that wait for this one */
    show_context(rank, NULL);
    if (ronde_close(&context) != RONDE_OK) {
        fprintf(stderr, "closing: %s\n", ronde_last_error());
        rank->result = FAILED;
    }
    if (rank->result == FAILED)
        fprintf(stderr, "%s: rank %d of %d: failed\n", arguments->argv[0], me, size);
    else if (me == 0 && rank->result == PASSED)
        printf("%s: %d ranks, %d nodes: passed, %.2f s\n", arguments->argv[0], size, nodes,
               (double)(ronde__now_ns() - start_ns) / 1e9);
    return NULL;
}

static int open_threads(const struct arguments *arguments)
{
    struct net *nets[MOST_RANKS];
    int node_of[MOST_RANKS];
    for (int r = 0; r < arguments->threads; r++)
        node_of[r] = arguments->per_node ? r / arguments->per_node : 0;
    if (ronde__net_open_threads(arguments->threads, node_of, nets) != RONDE_OK) {
        fprintf(stderr, "opening ranks as threads: %s\n", ronde_last_error());
        return 0;
    }
    for (int r = 0; r < arguments->threads; r++)
        ranks[r].net = nets[r];
    return 1;
}

/* One failure fails; otherwise one skip skips. */
static int combine(void)
{
    int result = PASSED;
    for (int r = 0; r < rank_count; r++) {
        if (ranks[r].result == SKIPPED && result == PASSED)
            result = SKIPPED;
        else if (ranks[r].result != PASSED && ranks[r].result != SKIPPED)
            result = FAILED;
    }
    return result;
}

static int run_threads(const struct arguments *arguments)
{
    pthread_t threads[MOST_RANKS];
    if (!open_threads(arguments))
        return FAILED;
    for (int r = 0; r < rank_count; r++) {
        int error = pthread_create(&threads[r], NULL, run_rank, &ranks[r]);
        if (error) {
            fprintf(stderr, "starting rank %d: %s\n", r, strerror(error));
            return FAILED;
        }
    }
    for (int r = 0; r < rank_count; r++)
        pthread_join(threads[r], NULL);
    return combine();
}

/* Takes our options off the front; 0 where one is bad. */
static int read_arguments(struct arguments *arguments, int argc, char **argv)
{
    int used = 1;
    for (; used + 1 < argc; used += 2) {
        if (strcmp(argv[used], "--threads") == 0)
            arguments->threads = atoi(argv[used + 1]);
        else if (strcmp(argv[used], "--per-node") == 0)
            arguments->per_node = atoi(argv[used + 1]);
        else if (strcmp(argv[used], "--settings") == 0)
            arguments->settings = argv[used + 1];
        else
            break;
    }
    argv[used - 1] = program_invocation_short_name;
    arguments->argc = argc - used + 1;
    arguments->argv = argv + used - 1;
    return arguments->threads >= 0 && arguments->threads <= MOST_RANKS && arguments->per_node >= 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0, 0, NULL, 0, NULL};
    if (!read_arguments(&arguments, argc, argv)) {
        fprintf(stderr, "%s: --threads takes 1 to %d, --per-node 1 or more\n", argv[0], MOST_RANKS);
        return 2;
    }
    are_threads = arguments.threads > 0;
    rank_count = are_threads ? arguments.threads : 1;
    for (int r = 0; r < rank_count; r++)
        ranks[r].arguments = &arguments;
    start_watchdog();
    if (are_threads)
        return run_threads(&arguments);
    run_rank(&ranks[0]);
    return ranks[0].result;
}
