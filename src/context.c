/* Opening and closing, and what a context knows of itself. */
#include "context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/status.h"
#include "reduce/reduce.h"

void ronde_options_init(ronde_options *options, size_t size)
{
    ronde_options defaults = {.size = (uint32_t)size};
    if (!options)
        return;
    memset(options, 0, size);
    memcpy(options, &defaults, size < sizeof(defaults) ? size : sizeof(defaults));
}

/* What became of a rank's part of opening: the first failure is everybody's. */
struct outcome {
    int32_t status;
    char text[300];
};

static struct outcome outcome_of(int32_t status)
{
    struct outcome outcome = {.status = status};
    snprintf(outcome.text, sizeof(outcome.text), "%s", status ? ronde_last_error() : "");
    return outcome;
}

static int32_t judge_rank(const struct outcome *outcome, int rank)
{
    return outcome->status ? ronde__fail(outcome->status, "rank %d: %s", rank, outcome->text)
                           : RONDE_OK;
}

/* What a rank tells all others when they meet. */
struct verdict {
    struct outcome outcome;
    struct settings settings;
};

/* Where there is no failure the settings must agree. */
static int32_t judge(const struct verdict *all, int ranks)
{
    int32_t status = RONDE_OK;
    for (int rank = 0; rank < ranks && !status; rank++)
        status = judge_rank(&all[rank].outcome, rank);
    for (int rank = 1; rank < ranks && !status; rank++)
        status = ronde__settings_compare(&all[0].settings, 0, &all[rank].settings, rank);
    return status;
}

/* All ranks meet here, whatever became of each. */
static int32_t agree(struct net *net, const struct settings *settings, int32_t status)
{
    struct verdict *all = calloc((size_t)net->size + 1, sizeof(*all));
    if (!all)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to meet %d ranks", net->size);
    struct verdict *mine = &all[net->size];
    mine->outcome = outcome_of(status);
    mine->settings = *settings;
    int32_t met = ronde__net_allgather(net, mine, sizeof(*mine), all);
    if (!status)
        status = met ? met : judge(all, net->size);
    free(all);
    return status;
}

/* A page that the system clears in forked children. Where it cannot, children are not told
 * apart. */
static int32_t mark_ours(ronde_context *context)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    char *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a page");
    madvise(page, bytes, MADV_WIPEONFORK);
    *page = 1;
    context->ours = page;
    return RONDE_OK;
}

static void free_context(ronde_context *context)
{
    if (context->ours)
        munmap((void *)(uintptr_t)context->ours, (size_t)sysconf(_SC_PAGESIZE));
    free(context);
}

/* What every rank must do alike, or none. */
static int32_t prepare(ronde_context *context, const char *settings)
{
    int32_t status = mark_ours(context);
    if (!status)
        status = ronde__settings_read(&context->settings, settings);
    if (status)
        return status;
    context->log = (struct log){context->settings.log, context->net->rank};
    struct select_table table; /* others read their own; here all ranks can still refuse */
    char label[300];           /* as for the process sets, which are made when all is open */
    ronde__settings_label(&context->settings, "allreduce", label, sizeof(label));
    status = ronde__select_read_as(&table, context->settings.allreduce, label);
    if (status)
        return status;
    ronde__settings_label(&context->settings, "process_sets", label, sizeof(label));
    status = ronde__sets_check_text(context->settings.process_sets, context->net->size, label);
    if (status)
        return status;
    return ronde__reduce_choose(context->settings.simd);
}

/* All ranks open their rooms, or none does. Opening one is collective, so all must have the one before
 * it; and ranks may be threads and share their memory, which goes when nobody looks any more. */
static int32_t open_rooms(ronde_context *context)
{
    struct net *net = context->net;
    const struct settings *settings = &context->settings;
    int32_t coordinator = RONDE_PENDING, direct = RONDE_PENDING;
    int32_t arena = ronde__arena_open(&context->arena, net, settings->arena_bytes);
    int32_t status = agree(net, settings, arena);
    if (!status) {
        coordinator = ronde__coordinator_open(&context->coordinator, net, context->arena, settings,
                                              &context->log);
        status = agree(net, settings, coordinator);
    }
    if (!status) {
        direct = ronde__direct_open(&context->direct, net, context->coordinator, settings);
        status = agree(net, settings, direct);
    }
    if (!status) {
        ronde__groups_open(&context->groups);
        return RONDE_OK;
    }
    if (!coordinator)
        ronde__coordinator_stop(context->coordinator);
    agree(net, settings, status);
    if (!direct)
        ronde__direct_close(&context->direct, net);
    if (!coordinator)
        ronde__coordinator_close(context->coordinator);
    if (!arena)
        ronde__arena_close(context->arena, net);
    return status;
}

static void close_rooms(ronde_context *context)
{
    ronde__groups_close(context);
    ronde__direct_close(&context->direct, context->net);
    ronde__coordinator_close(context->coordinator);
    ronde__arena_close(context->arena, context->net);
}

/* What the settings ask for beside: process sets, alike on all ranks, and a timeline. */
static int32_t begin(ronde_context *context)
{
    const struct settings *settings = &context->settings;
    int32_t status = ronde__watch_measure(context->coordinator);
    if (!status)
        status = ronde__sets_add_text(context->coordinator, settings->process_sets);
    if (!status && *settings->timeline)
        status = ronde_timeline_start(context, settings->timeline);
    return status;
}

/* The last step of opening: all hear what became of it, by the coordinator, so that a rank that is lost
 * meanwhile is told too, and that who waits helps the others on. */
static int32_t begin_together(ronde_context *context)
{
    const struct outcome mine = outcome_of(begin(context));
    void *all = NULL;
    int32_t status = ronde__coordinator_gather(context->coordinator, GATHERING_OPEN, &mine,
                                               sizeof(mine), &all, NULL);
    if (status) /* then closing does not wait for anybody either */
        context->direct.failed = status;
    for (int rank = 0; rank < context->net->size && !status; rank++)
        status = judge_rank((const struct outcome *)all + rank, rank);
    free(all);
    return status;
}

static int32_t close_after(ronde_context *context, int32_t status)
{
    char text[400];
    snprintf(text, sizeof(text), "%s", ronde_last_error());
    ronde_close(&context);
    return ronde__fail_text(status, text);
}

int32_t ronde__open_net(struct net *net, const char *settings, ronde_context **context)
{
    static const struct settings none;
    ronde_context *opened = calloc(1, sizeof(*opened));
    if (!opened) {
        agree(net, &none, ronde__fail(RONDE_ERR_MEMORY, "no memory for a context"));
        ronde__net_close(net);
        return RONDE_ERR_MEMORY;
    }
    opened->net = net;
    int32_t status = prepare(opened, settings);
    status = agree(net, &opened->settings, status);
    if (!status)
        status = open_rooms(opened);
    if (status) {
        ronde__net_close(net);
        free_context(opened);
        return status;
    }
    status = begin_together(opened);
    if (status)
        return close_after(opened, status);
    *context = opened;
    return RONDE_OK;
}

/* The launcher of one MPI with the library of another gives every rank a world of its own. */
static void warn_of_wrong_launcher(const ronde_context *context)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (int i = 0; i < 2 && context->net->size == 1; i++) {
        const char *ranks = getenv(variables[i]);
        if (ranks && atoi(ranks) > 1)
            ronde__log(&context->log, RONDE__LOG_WARN,
                       "a launcher started %s ranks, but MPI sees "
                       "one: is this mpirun of another MPI than %s?",
                       ranks, ronde__net_library());
    }
}

int32_t ronde_open(const ronde_options *options, ronde_context **context)
{
    ronde_options read;
    ronde_options_init(&read, sizeof(read));
    if (!context)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the place for the context is NULL");
    if (options && (options->size < sizeof(options->size) || options->size > 65536))
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "ronde_options has size %u: fill it with "
                           "ronde_options_init first",
                           options->size);
    if (options)
        memcpy(&read, options, options->size < sizeof(read) ? options->size : sizeof(read));
    /* The net is made before the settings are agreed on, but needs one of them. */
    struct settings settings;
    int32_t status = ronde__settings_read(&settings, read.settings);
    size_t ranks_per_node = status ? 0 : settings.ranks_per_node;
    struct net *net;
    status = ronde__net_open_mpi(read.communicator, !read.has_communicator, ranks_per_node, &net);
    if (!status)
        status = ronde__open_net(net, read.settings, context);
    if (!status && !read.has_communicator)
        warn_of_wrong_launcher(*context);
    return status;
}

int32_t ronde_close(ronde_context **context)
{
    int32_t status = context ? ronde__check_open(*context)
                             : ronde__fail(RONDE_ERR_ARGUMENT, "the context's place is NULL");
    if (!status)
        status = ronde__net_check_thread((*context)->net);
    if (status)
        return status;
    ronde_context *closed = *context;
    struct net *net = closed->net;
    *context = NULL;
    /* Before anything is taken down all ranks must be here; but where something has failed
     * nobody waits for anybody any more. */
    status = closed->direct.failed;
    if (!status)
        status = ronde__coordinator_meet(closed->coordinator);
    if (status)
        ronde__coordinator_give_up(closed->coordinator, status);
    else
        status = agree(net, &closed->settings, RONDE_OK);
    ronde__coordinator_stop(closed->coordinator);
    if (!status)
        status = agree(net, &closed->settings, RONDE_OK);
    /* After a failure between nodes MPI may still write into our memory, and what MPI holds of a
     * job that has lost a rank cannot be given back: both are left to the end of the process. */
    if (!status || net->nodes == 1)
        close_rooms(closed);
    if (!status)
        ronde__net_close(net);
    if (!status || net->nodes == 1)
        free_context(closed);
    return status;
}

/* ---- who and where --------------------------------------------------------------------------- */

int32_t ronde_rank(const ronde_context *context)
{
    return context ? context->net->rank : -1;
}

int32_t ronde_size(const ronde_context *context)
{
    return context ? context->net->size : -1;
}

int32_t ronde_local_rank(const ronde_context *context)
{
    return context ? context->net->local_rank : -1;
}

int32_t ronde_local_size(const ronde_context *context)
{
    return context ? context->net->local_size : -1;
}

int32_t ronde_cross_rank(const ronde_context *context)
{
    return context ? context->net->node : -1;
}

int32_t ronde_cross_size(const ronde_context *context)
{
    return context ? context->net->nodes : -1;
}

int32_t ronde_is_homogeneous(const ronde_context *context)
{
    if (!context)
        return -1;
    for (int node = 1; node < context->net->nodes; node++)
        if (context->net->local_size_of[node] != context->net->local_size_of[0])
            return 0;
    return 1;
}

/* ---- memory ---------------------------------------------------------------------------------- */

int32_t ronde_malloc(ronde_context *context, size_t bytes, void **memory)
{
    int32_t status = ronde__check_open(context);
    if (!status && !memory)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the place for the memory is NULL");
    return status ? status : ronde__arena_take(context->arena, bytes, memory);
}

int32_t ronde_free(ronde_context *context, void *memory)
{
    int32_t status = ronde__check_open(context);
    if (status || !memory)
        return status;
    if (ronde__arena_offset(context->arena, memory, 1) != ARENA_NOWHERE)
        return ronde__arena_give(context->arena, memory);
    return ronde__handles_free_made(&context->coordinator->handles, memory);
}

/* ---- counters -------------------------------------------------------------------------------- */

int32_t ronde_counters_read(ronde_context *context, ronde_counters *counters, size_t size)
{
    int32_t status = ronde__check_open(context);
    if (!status && (!counters || size < sizeof(counters->size)))
        status = ronde__fail(RONDE_ERR_ARGUMENT, "counters of %zu bytes", counters ? size : 0);
    if (status)
        return status;
    const struct counts *counts = &context->coordinator->counts;
    pthread_mutex_lock(&context->direct.lock);
    uint64_t direct = context->direct.operations;
    pthread_mutex_unlock(&context->direct.lock);
    const ronde_counters read = {
        .size = (uint32_t)size,
        .operations = atomic_load(&counts->operations),
        .bins = atomic_load(&counts->bins),
        .announcements = atomic_load(&counts->announcements),
        .cached = atomic_load(&counts->cached),
        .messages_sent = atomic_load(&context->net->messages_sent),
        .bytes_sent = atomic_load(&context->net->bytes_sent),
        .thread_wakeups = atomic_load(&counts->wakeups),
        .thread_cpu_us = atomic_load(&counts->thread_cpu_us),
        .direct_operations = direct,
        .batches = atomic_load(&counts->batches),
        .negotiated = atomic_load(&counts->negotiated),
    };
    memset(counters, 0, size);
    memcpy(counters, &read, size < sizeof(read) ? size : sizeof(read));
    return RONDE_OK;
}
