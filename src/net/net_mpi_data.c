/* Data messages over MPI: one MPI request each, of any size, on a communicator of their own; and
 * the one collective of opening and closing. */
#include <stdlib.h>
#include <time.h>

#include "base/status.h"
#include "net/net_mpi.h"

/* ---- sizes ----------------------------------------------------------------------------------- */

/* Largest message told as plain bytes. */
#define BLOCK ((size_t)1 << 30)

/* Beyond BLOCK: a type of whole blocks and the rest, so that one request moves it all. Both sides
 * may cut differently: MPI compares the bytes only. */
int ronde__mpi_type_of(size_t bytes, MPI_Datatype *type, int *count)
{
    *type = MPI_BYTE;
    *count = (int)bytes;
    if (bytes <= BLOCK)
        return MPI_SUCCESS;
    int lengths[2] = {(int)(bytes / BLOCK), (int)(bytes % BLOCK)};
    MPI_Aint places[2] = {0, (MPI_Aint)(bytes / BLOCK * BLOCK)};
    MPI_Datatype types[2] = {MPI_DATATYPE_NULL, MPI_BYTE};
    int code = MPI_Type_contiguous((int)BLOCK, MPI_BYTE, &types[0]);
    if (code != MPI_SUCCESS)
        return code;
    *count = 1;
    code = MPI_Type_create_struct(2, lengths, places, types, type);
    MPI_Type_free(&types[0]);
    return code == MPI_SUCCESS ? MPI_Type_commit(type) : code;
}

void ronde__mpi_forget_type(MPI_Datatype *type)
{
    if (*type != MPI_BYTE)
        MPI_Type_free(type); /* MPI keeps what its pending operations need */
}

/* ---- transfers ------------------------------------------------------------------------------- */

static struct mpi_transfer *take_transfer(struct mpi_net *net)
{
    pthread_mutex_lock(&net->lock);
    struct mpi_transfer *transfer = net->spare_transfers;
    if (transfer)
        net->spare_transfers = transfer->next;
    pthread_mutex_unlock(&net->lock);
    return transfer ? transfer : malloc(sizeof(*transfer));
}

static void give_transfer(struct mpi_net *net, struct mpi_transfer *transfer)
{
    pthread_mutex_lock(&net->lock);
    transfer->next = net->spare_transfers;
    net->spare_transfers = transfer;
    pthread_mutex_unlock(&net->lock);
}

static int32_t transfer_status(const struct mpi_transfer *transfer, int code)
{
    return ronde__mpi_status(code, "%s rank %d, %zu bytes with tag %d",
                             transfer->is_receive ? "receiving from" : "sending to", transfer->peer,
                             transfer->bytes, transfer->tag);
}

static int start_send(struct mpi_net *net, const void *data, struct mpi_transfer *transfer)
{
    MPI_Datatype type;
    int count, code = ronde__mpi_type_of(transfer->bytes, &type, &count);
    if (code == MPI_SUCCESS)
        code = MPI_Isend(data, count, type, transfer->peer, transfer->tag, net->data,
                         &transfer->request);
    ronde__mpi_forget_type(&type);
    return code;
}

static int start_recv(struct mpi_net *net, void *data, struct mpi_transfer *transfer)
{
    MPI_Datatype type;
    int count, code = ronde__mpi_type_of(transfer->bytes, &type, &count);
    if (code == MPI_SUCCESS)
        code = MPI_Irecv(data, count, type, transfer->peer, transfer->tag, net->data,
                         &transfer->request);
    ronde__mpi_forget_type(&type);
    return code;
}

/* `target` for a receive, else `source`. */
static int32_t start(struct mpi_net *net, const void *source, void *target,
                     const struct mpi_transfer *wanted, struct net_request *request)
{
    struct mpi_transfer *transfer = take_transfer(net);
    if (!transfer)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a message of rank %d", net->base.rank);
    *transfer = *wanted;
    int32_t status = ronde__mpi_enter(net);
    if (status == RONDE_OK) {
        int code = wanted->is_receive ? start_recv(net, target, transfer)
                                      : start_send(net, source, transfer);
        ronde__mpi_exit(net);
        status = transfer_status(transfer, code);
    }
    if (status == RONDE_OK)
        request->state = transfer;
    else
        give_transfer(net, transfer);
    return status;
}

int32_t ronde__mpi_send(struct net *base, const void *data, size_t bytes, int peer, int tag,
                        struct net_request *request)
{
    struct mpi_transfer wanted = {.bytes = bytes, .peer = peer, .tag = tag};
    return start(ronde__mpi_net_of(base), data, NULL, &wanted, request);
}

int32_t ronde__mpi_recv(struct net *base, void *data, size_t bytes, int peer, int tag,
                        struct net_request *request)
{
    struct mpi_transfer wanted = {.bytes = bytes, .peer = peer, .tag = tag, .is_receive = 1};
    return start(ronde__mpi_net_of(base), NULL, data, &wanted, request);
}

/* MPI reports a message that is too long, not one that is too short. */
static int32_t check_length(const struct mpi_transfer *transfer, MPI_Status *status)
{
    MPI_Count received = 0;
    MPI_Get_elements_x(status, MPI_BYTE, &received);
    if ((size_t)received == transfer->bytes)
        return RONDE_OK;
    return ronde__fail(RONDE_ERR_MPI, "rank %d sent %zu bytes with tag %d where %zu were expected",
                       transfer->peer, (size_t)received, transfer->tag, transfer->bytes);
}

int32_t ronde__mpi_test(struct net *base, struct net_request *request, int *done)
{
    struct mpi_net *net = ronde__mpi_net_of(base);
    struct mpi_transfer *transfer = request->state;
    MPI_Status result;
    int finished = 0;
    int32_t status = ronde__mpi_enter(net);
    if (status != RONDE_OK)
        return status;
    int code = MPI_Test(&transfer->request, &finished, &result);
    ronde__mpi_exit(net);
    if (code == MPI_SUCCESS && !finished) {
        *done = 0;
        return RONDE_OK;
    }
    status = transfer_status(transfer, code);
    if (status == RONDE_OK && transfer->is_receive)
        status = check_length(transfer, &result);
    give_transfer(net, transfer);
    request->state = NULL;
    *done = 1;
    return status;
}

/* ---- collectives of opening and closing ------------------------------------------------------ */

/* Not MPI_Wait: another thread gets its turn in between, and ranks that outnumber the processors
 * do not spin them away (MPICH's wait does). */
int ronde__mpi_wait(struct mpi_net *net, MPI_Request *request)
{
    const struct timespec nap = {.tv_nsec = 50000}; /* nobody times opening and closing */
    int done = 0, code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
    for (int tries = 0; code == MPI_SUCCESS && !done; tries++) {
        ronde__mpi_exit(net);
        if (tries > 100)
            nanosleep(&nap, NULL);
        ronde__mpi_enter(net); /* not refused: it was not before */
        code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
    }
    return code;
}

static int gather(struct mpi_net *net, const void *mine, size_t bytes, void *all)
{
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Datatype type;
    int count, code = ronde__mpi_type_of(bytes, &type, &count);
    if (code == MPI_SUCCESS)
        code = MPI_Iallgather(mine, count, type, all, count, type, net->control, &request);
    ronde__mpi_forget_type(&type);
    return code == MPI_SUCCESS ? ronde__mpi_wait(net, &request) : code;
}

int32_t ronde__mpi_allgather(struct net *base, const void *mine, size_t bytes, void *all)
{
    struct mpi_net *net = ronde__mpi_net_of(base);
    int32_t status = ronde__mpi_enter(net);
    if (status != RONDE_OK)
        return status;
    int code = gather(net, mine, bytes, all);
    ronde__mpi_exit(net);
    return ronde__mpi_status(code, "gathering %zu bytes of each of %d ranks", bytes, base->size);
}
