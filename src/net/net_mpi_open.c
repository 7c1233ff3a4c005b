/* Opening and closing over MPI: two duplicates of the caller's communicator (one for data, one for
 * control messages, so that neither matches the other's tags) and the ranks of each node. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "net/net_mpi.h"

static void free_communicator(MPI_Comm *communicator)
{
    if (*communicator != MPI_COMM_NULL)
        MPI_Comm_free(communicator);
}

static void close_net(struct net *base)
{
    struct mpi_net *net = ronde__mpi_net_of(base);
    if (ronde__mpi_enter(net) != RONDE_OK)
        return; /* on a thread that MPI forbids: leave all as it is */

    /* If not, then the caller has finalised MPI, which took its part along. */
    if (ronde__mpi_is_running()) {
        ronde__mpi_finish_letters(net);
        free_communicator(&net->control);
        free_communicator(&net->data);
    }
    ronde__mpi_exit(net);
    while (net->spare_transfers) {
        struct mpi_transfer *transfer = net->spare_transfers;
        net->spare_transfers = transfer->next;
        free(transfer);
    }
    ronde__net_free_nodes(base);
    pthread_mutex_destroy(&net->lock);
    ronde__mpi_bear_no_losses(net);
    free(net);
    ronde__mpi_leave();
}

/* Which of our ranks are those of the group? */
static int32_t translate(struct mpi_net *net, MPI_Group theirs, int **ranks, int *n)
{
    MPI_Group ours;
    int32_t status = ronde__mpi_status(MPI_Comm_group(net->data, &ours), "looking at a group");
    if (status != RONDE_OK)
        return status;
    MPI_Group_size(theirs, n);
    int *from = malloc(((size_t)*n + 1) * sizeof(*from)),
        *to = malloc(((size_t)*n + 1) * sizeof(*to));
    if (!from || !to)
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory for a group of %d ranks", *n);
    for (int i = 0; i < *n && !status; i++)
        from[i] = i;
    if (!status)
        status = ronde__mpi_status(MPI_Group_translate_ranks(theirs, *n, from, ours, to),
                                   "translating the ranks of a communicator");
    for (int i = 0; i < *n && !status; i++)
        if (to[i] == MPI_UNDEFINED)
            status = ronde__fail(RONDE_ERR_ARGUMENT,
                                 "rank %d of the communicator is no rank of the context", i);
    MPI_Group_free(&ours);
    free(from);
    if (status)
        free(to);
    else
        *ranks = to;
    return status;
}

static int32_t ranks_of(struct net *base, int32_t fortran_communicator, int **ranks, int *n)
{
    struct mpi_net *net = ronde__mpi_net_of(base);
    MPI_Comm communicator = MPI_Comm_f2c((MPI_Fint)fortran_communicator);
    MPI_Group theirs;
    *ranks = NULL;
    *n = 0;
    if (communicator == MPI_COMM_NULL)
        return RONDE_OK;
    int32_t status = ronde__mpi_check_communicator(communicator);
    if (status != RONDE_OK || (status = ronde__mpi_enter(net)) != RONDE_OK)
        return status;
    status = ronde__mpi_status(MPI_Comm_group(communicator, &theirs), "looking at a communicator");
    if (status == RONDE_OK) {
        status = translate(net, theirs, ranks, n);
        MPI_Group_free(&theirs);
    }
    ronde__mpi_exit(net);
    return status;
}

static const struct net_operations operations = {
    .send = ronde__mpi_send,
    .recv = ronde__mpi_recv,
    .test = ronde__mpi_test,
    .post = ronde__mpi_post,
    .poll = ronde__mpi_poll,
    .allgather = ronde__mpi_allgather,
    .check_thread = ronde__mpi_check_thread,
    .ranks_of = ranks_of,
    .close = close_net,
};

static int32_t duplicate(MPI_Comm communicator, MPI_Comm *copy)
{
    int32_t status = ronde__mpi_status(MPI_Comm_dup(communicator, copy),
                                       "duplicating the communicator");
    if (status == RONDE_OK)
        status = ronde__mpi_status(MPI_Comm_set_errhandler(*copy, MPI_ERRORS_RETURN),
                                   "asking MPI to return errors");
    return status;
}

/* The lowest rank of this rank's host, as MPI sees hosts. */
static int32_t find_host(const struct mpi_net *net, int *lowest)
{
    MPI_Comm host = MPI_COMM_NULL;
    int code = MPI_Comm_split_type(net->data, MPI_COMM_TYPE_SHARED, net->base.rank, MPI_INFO_NULL,
                                   &host);
    if (code == MPI_SUCCESS) {
        *lowest = net->base.rank; /* ranks are ordered by it: the first one's is the lowest */
        code = MPI_Bcast(lowest, 1, MPI_INT, 0, host);
    }
    free_communicator(&host);
    return ronde__mpi_status(code, "finding the ranks of this host");
}

/* What each rank tells the others when it opens. */
struct hello {
    int32_t status;
    int host; /* lowest rank of its host */
    int era;  /* nets that its process has opened */
};

static _Atomic int eras;

/* The first rank whose opening went wrong makes it fail on all, so that none is left waiting. */
static int32_t agree(const struct hello *hellos, int size)
{
    for (int rank = 0; rank < size; rank++)
        if (hellos[rank].status != RONDE_OK)
            return ronde__fail(hellos[rank].status,
                               "rank %d could not open its network (%s): see its message", rank,
                               ronde_status_name(hellos[rank].status));
    return RONDE_OK;
}

static int32_t read_hellos(struct mpi_net *net, const struct hello *hellos, size_t ranks_per_node,
                           int *colour)
{
    int32_t status = agree(hellos, net->base.size);
    if (status != RONDE_OK)
        return status;
    for (int rank = 0; rank < net->base.size; rank++) {
        colour[rank] = hellos[rank].host;
        net->era = hellos[rank].era > net->era ? hellos[rank].era : net->era;
    }
    int known = atomic_load(&eras); /* one past the highest that any of us has used */
    while (known <= net->era && !atomic_compare_exchange_weak(&eras, &known, net->era + 1))
        ;
    net->era %= 32767; /* MPI promises tags up to here */
    ronde__net_split_nodes(net->base.size, ranks_per_node, colour);
    return ronde__net_set_nodes(&net->base, colour);
}

static int32_t find_nodes(struct mpi_net *net, const struct hello *mine, size_t ranks_per_node)
{
    size_t size = (size_t)net->base.size;
    int *colour = malloc(size * sizeof(*colour));
    struct hello *hellos = malloc(size * sizeof(*hellos));
    int32_t status = RONDE_ERR_MEMORY;
    if (!colour || !hellos) {
        ronde__fail(status, "no memory for the hosts of %zu ranks", size);
        goto out;
    }
    status = ronde__mpi_allgather(&net->base, mine, sizeof(*mine), hellos);
    if (status == RONDE_OK)
        status = mine->status != RONDE_OK ? mine->status
                                          : read_hellos(net, hellos, ranks_per_node, colour);
out:
    free(hellos);
    free(colour);
    return status;
}

/* Ronde's own thread may call MPI beside the caller where MPI takes any call at any time, or where
 * the caller leaves MPI to us. */
static int may_run_in_background(int level)
{
    return level == MPI_THREAD_MULTIPLE || (level == MPI_THREAD_SERIALIZED && ronde__mpi_is_ours());
}

static int32_t check_thread(struct mpi_net *net)
{
    int is_main = 0;
    MPI_Query_thread(&net->level);
    MPI_Is_thread_main(&is_main);
    net->opener = pthread_self();
    net->base.background = may_run_in_background(net->level);
    if (is_main || net->level >= MPI_THREAD_SERIALIZED)
        return RONDE_OK;
    return ronde__fail(RONDE_ERR_THREADS,
                       "MPI was initialised at %s: open from the thread that initialised it",
                       ronde__net_thread_level());
}

/* Duplicating may block below MPI_THREAD_MULTIPLE with our turn held, so that no other net of this
 * process moves. Hence all ranks meet first, letting the turn go while they wait. */
static int32_t duplicate_both(MPI_Comm communicator, struct mpi_net *net)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int code = MPI_Ibarrier(communicator, &request);
    if (code == MPI_SUCCESS)
        code = ronde__mpi_wait(net, &request);
    int32_t status = ronde__mpi_status(code, "meeting the ranks of the communicator");
    if (status == RONDE_OK)
        status = duplicate(communicator, &net->data);
    if (status == RONDE_OK)
        status = duplicate(net->data, &net->control);
    return status;
}

static int32_t open_over(MPI_Comm communicator, size_t ranks_per_node, struct mpi_net *net)
{
    int32_t status = ronde__mpi_check_communicator(communicator);
    if (status != RONDE_OK || (status = check_thread(net)) != RONDE_OK)
        return status;
    struct hello mine = {.era = atomic_load(&eras)};
    ronde__mpi_enter(net); /* this thread is the opener */
    status = duplicate_both(communicator, net);
    if (status == RONDE_OK) {
        MPI_Comm_rank(net->data, &net->base.rank);
        MPI_Comm_size(net->data, &net->base.size);
        mine.status = find_host(net, &mine.host);
    }
    ronde__mpi_exit(net);
    return status == RONDE_OK ? find_nodes(net, &mine, ranks_per_node) : status;
}

static struct mpi_net *new_net(void)
{
    struct mpi_net *net = calloc(1, sizeof(*net));
    if (!net)
        return NULL;
    net->base.operations = &operations;
    net->data = net->control = MPI_COMM_NULL;
    net->level = MPI_THREAD_MULTIPLE; /* until known: takes no turn */
    pthread_mutex_init(&net->lock, NULL);
    return net;
}

int32_t ronde__net_open_mpi(int32_t fortran_communicator, int owns_mpi, size_t ranks_per_node,
                            struct net **opened)
{
    int32_t status = ronde__mpi_join(owns_mpi);
    if (status != RONDE_OK)
        return status;
    struct mpi_net *net = new_net();
    if (!net) {
        ronde__mpi_leave();
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a network");
    }
    MPI_Comm communicator = owns_mpi ? MPI_COMM_WORLD : MPI_Comm_f2c(fortran_communicator);
    status = open_over(communicator, ranks_per_node, net);
    if (status != RONDE_OK) {
        close_net(&net->base);
        return status;
    }
    ronde__mpi_bear_losses(net);
    *opened = &net->base;
    return RONDE_OK;
}
