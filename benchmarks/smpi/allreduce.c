/* One allreduce by the library's own executor, flows and schedules, over plain MPI calls: what
 * SimGrid SMPI can run (one process, ranks without threads), to hold ronde-sim against. See
 * benchmarks/smpi.sh for use, docs/simulation.md for what came out.
 *
 *   allreduce ALGORITHM BYTES [folded]
 *
 * Rank 0 prints the seconds from the start of the ranks, which must begin together, to the end of
 * the last one. The data are 32-bit counters whose sum is checked. "folded": nothing is added or
 * checked, and a send is done when it has begun, so that ranks may share one memory. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/status.h"
#include "collectives/executor.h"
#include "fusion/layout.h"

enum { MOST_MESSAGES = 256, TAG = 7 };

/* A request's state points to its message. */
struct plain_net {
    struct net base;                    /* first */
    MPI_Request message[MOST_MESSAGES]; /* MPI_REQUEST_NULL: has ended, or is spare */
    char in_use[MOST_MESSAGES];
    MPI_Request *loose; /* sends that the executor takes for done */
    size_t first_loose, loose_count, loose_room;
};

static int is_folded; /* the same on all ranks: SMPI's are in one process */

/* ---- the network ----------------------------------------------------------------------------- */

static MPI_Request *take_message(struct net *base, struct net_request *request)
{
    struct plain_net *net = (struct plain_net *)base;
    for (int i = 0; i < MOST_MESSAGES; i++)
        if (!net->in_use[i]) {
            net->in_use[i] = 1;
            request->state = &net->message[i];
            return &net->message[i];
        }
    fprintf(stderr, "more than %d messages under way\n", MOST_MESSAGES);
    MPI_Abort(MPI_COMM_WORLD, 1);
    abort();
}

/* Room for one more; those that have ended meanwhile, from the oldest on, are forgotten. */
static MPI_Request *add_loose(struct net *base)
{
    struct plain_net *net = (struct plain_net *)base;
    for (int done = 1; net->first_loose < net->loose_count; net->first_loose++) {
        MPI_Test(&net->loose[net->first_loose], &done, MPI_STATUS_IGNORE);
        if (!done)
            break;
    }
    if (net->loose_count == net->loose_room) {
        net->loose_room = 2 * net->loose_room + 64;
        net->loose = realloc(net->loose, net->loose_room * sizeof(MPI_Request));
        if (!net->loose)
            MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return &net->loose[net->loose_count++];
}

static int32_t send_data(struct net *net, const void *data, size_t bytes, int peer, int tag,
                         struct net_request *request)
{
    MPI_Request *message = is_folded ? add_loose(net) : take_message(net, request);
    return MPI_Isend(data, (int)bytes, MPI_BYTE, peer, tag, MPI_COMM_WORLD, message);
}

static int32_t recv_data(struct net *net, void *data, size_t bytes, int peer, int tag,
                         struct net_request *request)
{
    MPI_Request *message = take_message(net, request);
    return MPI_Irecv(data, (int)bytes, MPI_BYTE, peer, tag, MPI_COMM_WORLD, message);
}

static int32_t test_data(struct net *base, struct net_request *request, int *done)
{
    struct plain_net *net = (struct plain_net *)base;
    MPI_Request *message = request->state;
    *done = *message == MPI_REQUEST_NULL; /* Waitany took it in */
    if (!*done)
        MPI_Test(message, done, MPI_STATUS_IGNORE);
    if (*done) {
        net->in_use[message - net->message] = 0;
        request->state = NULL;
    }
    return RONDE_OK;
}

static const struct net_operations operations = {.send = send_data,
                                                 .recv = recv_data,
                                                 .test = test_data};

/* ---- arithmetic, in place of src/reduce: one process adds for all ranks ------------------------ */

void ronde__reduce(const struct reduction *reduction, void *dst, const void *const *sources, int n,
                   size_t count)
{
    (void)reduction;
    for (size_t i = 0; i < count && !is_folded; i++) {
        uint32_t sum = 0;
        for (int source = 0; source < n; source++)
            sum += ((const uint32_t *)sources[source])[i];
        ((uint32_t *)dst)[i] = sum;
    }
}

static void fill(uint32_t *data, size_t count, int rank)
{
    for (size_t i = 0; i < count && !is_folded; i++)
        data[i] = (uint32_t)i + 3 * (uint32_t)rank;
}

static int is_sum(const uint32_t *data, size_t count, int size)
{
    uint32_t p = (uint32_t)size, of_ranks = 3 * (p * (p - 1) / 2);
    for (size_t i = 0; i < count && !is_folded; i++)
        if (data[i] != (uint32_t)i * p + of_ranks)
            return 0;
    return 1;
}

/* ---- the collective -------------------------------------------------------------------------- */

static void run(struct executor *executor, struct plain_net *net)
{
    int32_t status;
    while ((status = ronde__executor_step(executor)) != RONDE__DONE) {
        int index; /* SMPI's clock stands still while nobody waits */
        if (status == RONDE__IDLE)
            MPI_Waitany(MOST_MESSAGES, net->message, &index, MPI_STATUS_IGNORE);
        else if (status != RONDE__MOVED)
            MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static void *get(size_t bytes)
{
    void *memory = calloc(1, bytes + 1);
    if (!memory) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return memory;
}

/* Returns whether the sum was right. */
static int allreduce(struct plain_net *net, enum algorithm algorithm, size_t bytes)
{
    int size = net->base.size, rank = net->base.rank;
    size_t count = bytes / sizeof(uint32_t);
    struct schedule *schedule = ronde__schedule(algorithm, size, rank, 0);
    size_t blocks = (size_t)schedule->blocks;
    int32_t *first = get((blocks + 1) * sizeof(*first));
    struct block_range *ranges = get(blocks * sizeof(*ranges));
    int *peers = get((size_t)size * sizeof(*peers));
    uint32_t *data = get(bytes);
    for (size_t b = 0; b < blocks; b++) {
        ronde__layout_part(count, (int32_t)blocks, (int32_t)b, &ranges[b].offset, &ranges[b].count);
        first[b + 1] = (int32_t)b + 1;
    }
    for (int peer = 0; peer < size; peer++)
        peers[peer] = peer;
    fill(data, count, rank);
    const struct block_map map = {first, ranges};
    const struct reduction sum = {0};
    struct executor *executor;
    if (ronde__executor_open(&executor, &net->base, schedule, peers, TAG, data, sizeof(*data), &map,
                             &sum))
        MPI_Abort(MPI_COMM_WORLD, 1);
    run(executor, net);
    ronde__executor_close(executor);
    int right = is_sum(data, count, size);
    free(data);
    free(peers);
    free(ranges);
    free(first);
    free(schedule);
    return right;
}

static int algorithm_of(const char *name)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        if (ronde__algorithms[a].is_allreduce && strcmp(ronde__algorithms[a].name, name) == 0)
            return a;
    return -1;
}

/* Every rank's start and end, and whether it was right. */
static int tell(const struct plain_net *net, double start, double end, int right)
{
    double mine[3] = {-start, end, (double)!right}, most[3];
    MPI_Reduce(mine, most, 3, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    MPI_Bcast(most, 3, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    if (net->base.rank == 0 && most[2] > 0)
        fprintf(stderr, "the sum is wrong\n");
    if (net->base.rank == 0)
        printf("%.12g\n", most[1] + most[0]);
    return most[2] > 0;
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    double start = MPI_Wtime();
    int algorithm = argc > 2 ? algorithm_of(argv[1]) : -1;
    if (algorithm < 0) {
        fprintf(stderr, "usage: allreduce ALGORITHM BYTES [folded]\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    is_folded = argc > 3;
    struct plain_net net = {.base = {.operations = &operations}};
    MPI_Comm_rank(MPI_COMM_WORLD, &net.base.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &net.base.size);
    for (int i = 0; i < MOST_MESSAGES; i++)
        net.message[i] = MPI_REQUEST_NULL;
    int right = allreduce(&net, (enum algorithm)algorithm, strtoull(argv[2], NULL, 10));
    double end = MPI_Wtime();
    for (; net.first_loose < net.loose_count; net.first_loose++)
        MPI_Wait(&net.loose[net.first_loose], MPI_STATUS_IGNORE);
    free(net.loose);
    int wrong = tell(&net, start, end, right);
    MPI_Finalize();
    return wrong;
}
