/* Opening is collective and costs about a millisecond and some shared memory, so it waits until
 * what was passed on would have gained as much: a program that never gets there has lost nothing,
 * and one that does has lost twice the cost at most. The account is kept from what is alike on all
 * ranks, so all open at the same call. */
#include "preload/preload_comm.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "preload/preload.h"
#include "shm/slots.h"

enum {
    SLICE_BYTES = 256 << 10, /* as settings.c has them, which reads variables that are not ours */
    SLICES = 4,
    MOST_OPEN = 64, /* of a process; shared memory is often small */
    BELL_LINE = 128,
    PROGRESS_TAG = 32767 /* the highest that MPI promises: nobody's message to itself has it */
};
static const double OPENING_NS = 1e6;

static atomic_int open_communicators;

atomic_uint ronde__preload_era;
_Thread_local struct preload_last ronde__preload_last;

/* ---- what is known of a communicator --------------------------------------------------------- */

static void release(struct preload *preload)
{
    if (preload->state == PRELOAD_OPEN)
        atomic_fetch_sub(&open_communicators, 1);
    ronde__node_close(&preload->node);
    if (preload->region.base)
        ronde__region_close(&preload->region, &preload->net);
    if (preload->net.node_of)
        ronde__net_free_nodes(&preload->net);
    free(preload->bells);
    free(preload->runs);
    free(preload->pieces);
    free(preload->demand);
}

int ronde__preload_forget(MPI_Comm comm, int keyval, void *attribute, void *extra)
{
    (void)comm, (void)keyval, (void)extra;
    atomic_fetch_add(&ronde__preload_era, 1);
    release(attribute);
    free(attribute);
    return MPI_SUCCESS;
}

/* Are all its ranks of our MPI_COMM_WORLD? Others were spawned, who knows where. */
static int is_within_world(MPI_Comm comm, int size)
{
    MPI_Group ours, world;
    int all = 1, *from = calloc(2 * (size_t)size, sizeof(*from));
    if (!from)
        return 0;
    PMPI_Comm_group(comm, &ours);
    PMPI_Comm_group(MPI_COMM_WORLD, &world);
    for (int i = 0; i < size; i++)
        from[i] = i;
    PMPI_Group_translate_ranks(ours, size, from, world, from + size);
    for (int i = 0; i < size; i++)
        all = all && from[size + i] != MPI_UNDEFINED;
    PMPI_Group_free(&ours);
    PMPI_Group_free(&world);
    free(from);
    return all;
}

static struct preload *attach(MPI_Comm comm, int keyval)
{
    struct preload *preload = calloc(1, sizeof(*preload));
    if (!preload || PMPI_Comm_set_attr(comm, keyval, preload) != MPI_SUCCESS) {
        fprintf(stderr, "ronde-mpi: no memory to remember a communicator\n");
        PMPI_Abort(comm, 1); /* the others would wait for this rank */
        return NULL;
    }
    int between = 0;
    preload->comm = comm;
    PMPI_Comm_rank(comm, &preload->net.rank);
    PMPI_Comm_size(comm, &preload->net.size);
    PMPI_Comm_test_inter(comm, &between);
    if (between || preload->net.size == 1 || !is_within_world(comm, preload->net.size))
        preload->state = PRELOAD_REFUSED;
    preload->is_brief = !ronde__preload_process()->logs && !ronde__preload_process()->all;
    for (int kind = 0; kind < PRELOAD_KINDS; kind++)
        preload->spans[kind] = ronde__preload_process()->all
                                   ? (struct preload_span){0, SIZE_MAX}
                                   : ronde__preload_span(kind, preload->net.size);
    return preload;
}

static struct preload *look_up(MPI_Comm comm)
{
    int found = 0;
    void *attribute = NULL;
    unsigned now = atomic_load_explicit(&ronde__preload_era, memory_order_relaxed);
    const struct preload_process *process = ronde__preload_process();
    if (!process || !process->takes || comm == MPI_COMM_NULL || comm == (MPI_Comm)0)
        return NULL;
    if (PMPI_Comm_get_attr(comm, process->keyval, &attribute, &found) != MPI_SUCCESS)
        return NULL;
    struct preload *preload = found ? attribute : attach(comm, process->keyval);
    ronde__preload_last = (struct preload_last){comm, preload, now};
    return preload && preload->state != PRELOAD_REFUSED ? preload : NULL;
}

struct preload *ronde__preload_of(MPI_Comm comm)
{
    struct preload *preload = ronde__preload_last_of(comm);
    if (!preload)
        return look_up(comm);
    return preload->state != PRELOAD_REFUSED ? preload : NULL;
}

void ronde__preload_forget_all(void)
{
    atomic_fetch_add(&ronde__preload_era, 1);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int32_t allgather(struct net *net, const void *mine, size_t bytes, void *all)
{
    struct preload *preload = (struct preload *)net; /* its first member */
    int code = PMPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, preload->comm);
    return code == MPI_SUCCESS ? RONDE_OK : ronde__fail(RONDE_ERR_MPI, "MPI_Allgather");
}

static const struct net_operations operations = {.allgather = allgather};

static int everywhere(const struct preload *preload, int well)
{
    int all = 0;
    return PMPI_Allreduce(&well, &all, 1, MPI_INT, MPI_MIN, preload->comm) == MPI_SUCCESS && all;
}

/* Local. */
static int allocate(struct preload *preload)
{
    size_t ranks = (size_t)preload->net.size;
    int *one_node = calloc(ranks, sizeof(*one_node));
    preload->net.operations = &operations;
    preload->bells = calloc(ranks, sizeof(*preload->bells));
    preload->runs = calloc(ranks, sizeof(*preload->runs));
    preload->pieces = calloc(ranks, sizeof(*preload->pieces));
    preload->demand = calloc(ranks * ranks, sizeof(*preload->demand));
    int well = one_node && preload->bells && preload->runs && preload->pieces && preload->demand &&
               !ronde__net_set_nodes(&preload->net, one_node);
    free(one_node);
    return well;
}

/* Local. The bells come first. */
static int lay_out(struct preload *preload)
{
    struct slots slots;
    int ranks = preload->net.size;
    char *memory = preload->region.base;
    for (int i = 0; i < ranks; i++)
        preload->bells[i] = (struct bell *)(void *)(memory + i * BELL_LINE);
    ronde__slots_place(&slots, memory + ranks * BELL_LINE, ranks, SLICE_BYTES, SLICES, 0,
                       preload->bells);
    int spins = ronde__preload_process()->has_cpus;
    /* With a CPU for each rank waiting never sleeps: who is asleep does not drive MPI, and MPI
     * would not sleep either. Without, the CPU is given away at each step, and after a while it
     * sleeps. */
    enum { YIELD_NS = 300000, SPINS_PER_LOOK = 64, YIELDS_PER_LOOK = 4 };
    preload->patience.spin_ns = spins ? INT64_MAX / 4 : YIELD_NS;
    preload->steps_per_look = spins ? SPINS_PER_LOOK : YIELDS_PER_LOOK;
    preload->yields = !spins;
    return !ronde__node_open(&preload->node, &slots, preload->net.rank, NULL, NULL, spins);
}

static void open_all(struct preload *preload)
{
    size_t bytes = (size_t)preload->net.size * BELL_LINE +
                   ronde__slots_bytes(preload->net.size, SLICE_BYTES, SLICES, 0);
    int room = atomic_fetch_add(&open_communicators, 1) < MOST_OPEN;
    int well = everywhere(preload, allocate(preload) && room) &&
               !ronde__region_open(&preload->region, &preload->net, bytes, REGION_COMMITTED) &&
               everywhere(preload, lay_out(preload));
    preload->state = PRELOAD_OPEN;
    if (!well) {
        ronde__preload_log("a communicator of %d ranks is passed on: %s", preload->net.size,
                           room ? ronde_last_error() : "too many are open");
        release(preload);
        struct preload kept = {.comm = preload->comm, .state = PRELOAD_REFUSED};
        kept.net.rank = preload->net.rank;
        kept.net.size = preload->net.size;
        *preload = kept;
        return;
    }
    if (!preload->net.rank)
        ronde__preload_log("opened a communicator of %d ranks", preload->net.size);
}

int ronde__preload_covers(struct preload *preload, enum preload_kind kind, size_t bytes)
{
    double gain_ns = 0;
    if (!ronde__preload_may_cover(preload, kind, bytes))
        return 0;
    int all = ronde__preload_process()->all;
    if (!all && !ronde__preload_row(kind, preload->net.size, bytes, &gain_ns))
        return 0;
    if (!all && preload->skipped[kind] > 0) {
        preload->skipped[kind]--;
        return 0;
    }
    if (preload->state == PRELOAD_UNOPENED) {
        preload->owed_ns += gain_ns;
        if (!all && preload->owed_ns < OPENING_NS)
            return 0;
        open_all(preload);
    }
    return preload->state == PRELOAD_OPEN;
}

int ronde__preload_in_vain(struct preload *preload, enum preload_kind kind)
{
    enum { MOST_SKIPPED = 1024 };
    int next = 2 * preload->to_skip[kind] + 1;
    preload->skipped[kind] = preload->to_skip[kind];
    preload->to_skip[kind] = next < MOST_SKIPPED ? next : MOST_SKIPPED;
    return 0;
}

/* ---- running --------------------------------------------------------------------------------- */

/* MPI moves its own messages while a call of it runs: a look for a message that cannot come. */
static void drive_mpi(struct preload *preload)
{
    /* Asleep between looks for a 16th of the time waited so far: messages under way get on, and a
     * long wait costs some percent of a CPU. */
    enum { LEAST_NAP_NS = 50000, MOST_NAP_NS = 200000 };
    int flag;
    PMPI_Iprobe(0, PROGRESS_TAG, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE);
    if (!preload->yields)
        return;
    int64_t now = ronde__now_ns();
    if (!preload->waiting_since)
        preload->waiting_since = now;
    int64_t nap = (now - preload->waiting_since) / 16;
    nap = nap > LEAST_NAP_NS ? nap : LEAST_NAP_NS;
    preload->patience.nap_ns = nap < MOST_NAP_NS ? nap : MOST_NAP_NS;
}

static int32_t step(void *state)
{
    struct preload *preload = state;
    int32_t said = ronde__node_step(&preload->node);
    if (said != RONDE__IDLE)
        return said;
    if (++preload->idle_steps % preload->steps_per_look == 0)
        drive_mpi(preload);
    if (preload->yields)
        sched_yield();
    return said;
}

void ronde__preload_run(struct preload *preload)
{
    preload->idle_steps = 0;
    preload->waiting_since = 0;
    preload->patience.spin_now_ns = preload->patience.spin_ns;
    int32_t said = ronde__wait_for(preload->bells[preload->net.rank], &preload->patience, step,
                                   preload);
    if (said != RONDE__DONE) {
        fprintf(stderr, "ronde-mpi[%d]: %s\n", ronde__preload_process()->rank, ronde_last_error());
        PMPI_Abort(preload->comm, 1);
    }
}

int ronde__preload_agree(struct preload *preload, size_t bytes)
{
    static const struct reduction least = {RONDE_UINT64, RONDE_MIN, 1, 1, 1, 1, RONDE_BOOL};
    uint64_t said[2] = {bytes, ~(uint64_t)bytes}, all[2];
    const struct piece piece = {(const char *)said, (char *)all, 2};
    struct node_work work = {.pieces = &piece,
                             .piece_count = 1,
                             .count = 2,
                             .element_bytes = sizeof(said[0]),
                             .reduction = &least};
    ronde__node_start_allreduce(&preload->node, &work);
    ronde__preload_run(preload);
    return all[0] && all[0] == ~all[1];
}
