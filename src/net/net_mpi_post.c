/* Control messages over MPI, on a communicator of their own. Outgoing ones are copied and sent by
 * MPI_Isend; incoming ones are matched by MPI_Improbe, which unlike MPI_Probe keeps two threads
 * from meeting the same message, and received without waiting, because a long one arrives only
 * while its sender calls MPI too. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/status.h"
#include "net/net_mpi.h"

/* Outgoing letters up to this size are kept and used again, so that a steady exchange of small
 * messages allocates nothing. */
enum { SMALL = 1024 };

/* How long closing waits for MPI to let go of outgoing messages. Ranks that close have agreed to,
 * so that only a lost one needs so long. */
static const int64_t PATIENCE_NS = 5000000000;

static void append(struct mpi_letters *letters, struct mpi_letter *letter)
{
    letter->next = NULL;
    if (!letters->first)
        letters->end = &letters->first;
    *letters->end = letter;
    letters->end = &letter->next;
}

static void take_out(struct mpi_letters *letters, struct mpi_letter **at)
{
    struct mpi_letter *letter = *at;
    *at = letter->next;
    if (letters->end == &letter->next)
        letters->end = at;
}

/* ---- outgoing -------------------------------------------------------------------------------- */

static struct mpi_letter *new_letter(struct mpi_net *net, size_t bytes)
{
    struct mpi_letter *letter = net->spare_letters;
    if (bytes <= SMALL && letter) {
        net->spare_letters = letter->next;
        return letter;
    }
    size_t capacity = bytes <= SMALL ? SMALL : bytes;
    letter = malloc(sizeof(*letter) + capacity);
    if (letter) {
        letter->capacity = capacity;
        letter->message = letter + 1;
    }
    return letter;
}

static void free_letter(struct mpi_net *net, struct mpi_letter *letter)
{
    if (letter->capacity != SMALL) {
        free(letter);
        return;
    }
    letter->next = net->spare_letters;
    net->spare_letters = letter;
}

/* Frees the outgoing messages that MPI has finished with, oldest first. One that is not finished
 * holds up the freeing of younger ones, not their sending; so this costs one MPI_Test. */
static int32_t free_sent(struct mpi_net *net)
{
    while (net->outgoing.first) {
        struct mpi_letter *letter = net->outgoing.first;
        int done = 0, code = MPI_Test(&letter->request, &done, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS && !done)
            return RONDE_OK;
        int32_t status = ronde__mpi_status(code,
                                           "sending a control message of %zu bytes to rank %d",
                                           letter->bytes, letter->peer);
        take_out(&net->outgoing, &net->outgoing.first);
        free_letter(net, letter);
        if (status != RONDE_OK)
            return status;
    }
    return RONDE_OK;
}

static int32_t send_letter(struct mpi_net *net, struct mpi_letter *letter)
{
    MPI_Datatype type;
    int count, code = ronde__mpi_type_of(letter->bytes, &type, &count);
    if (code == MPI_SUCCESS)
        code = MPI_Isend(letter->message, count, type, letter->peer, net->era, net->control,
                         &letter->request);
    ronde__mpi_forget_type(&type);
    return ronde__mpi_status(code, "sending a control message of %zu bytes to rank %d",
                             letter->bytes, letter->peer);
}

static int32_t post_locked(struct mpi_net *net, int peer, const void *message, size_t bytes)
{
    int32_t status = free_sent(net);
    if (status != RONDE_OK)
        return status;
    struct mpi_letter *letter = new_letter(net, bytes);
    if (!letter)
        return ronde__fail(RONDE_ERR_MEMORY,
                           "no memory for a control message of %zu bytes to rank %d", bytes, peer);
    letter->bytes = bytes;
    letter->peer = peer;
    letter->done = 0;
    if (bytes)
        memcpy(letter->message, message, bytes);
    status = send_letter(net, letter);
    if (status == RONDE_OK)
        append(&net->outgoing, letter);
    else
        free_letter(net, letter);
    return status;
}

int32_t ronde__mpi_post(struct net *base, int peer, const void *message, size_t bytes)
{
    struct mpi_net *net = ronde__mpi_net_of(base);
    int32_t status = ronde__mpi_enter(net);
    if (status != RONDE_OK)
        return status;
    pthread_mutex_lock(&net->lock);
    status = post_locked(net, peer, message, bytes);
    pthread_mutex_unlock(&net->lock);
    ronde__mpi_exit(net);
    return status;
}

/* ---- incoming -------------------------------------------------------------------------------- */

static int32_t receive_letter(struct mpi_letter *letter, MPI_Message *matched)
{
    MPI_Datatype type;
    int count, code = ronde__mpi_type_of(letter->bytes, &type, &count);
    if (code == MPI_SUCCESS)
        code = MPI_Imrecv(letter->message, count, type, matched, &letter->request);
    ronde__mpi_forget_type(&type);
    return ronde__mpi_status(code, "receiving a control message of %zu bytes from rank %d",
                             letter->bytes, letter->peer);
}

static int32_t accept_letter(struct mpi_net *net, MPI_Message *matched, MPI_Status *found)
{
    MPI_Count bytes = 0;
    MPI_Get_elements_x(found, MPI_BYTE, &bytes);
    struct mpi_letter *letter = malloc(sizeof(*letter));
    void *message = malloc(bytes ? (size_t)bytes : 1);
    if (!letter || !message) {
        free(letter);
        free(message);
        return ronde__fail(RONDE_ERR_MEMORY,
                           "no memory for a control message of %zu bytes from rank %d",
                           (size_t)bytes, found->MPI_SOURCE);
    }
    *letter = (struct mpi_letter){.bytes = (size_t)bytes,
                                  .peer = found->MPI_SOURCE,
                                  .message = message};
    int32_t status = receive_letter(letter, matched);
    if (status == RONDE_OK) {
        append(&net->incoming, letter);
    } else {
        free(message);
        free(letter);
    }
    return status;
}

static int is_blocked(const struct mpi_net *net, const struct mpi_letter *letter)
{
    const struct mpi_letter *earlier = net->incoming.first;
    while (earlier != letter && earlier->peer != letter->peer)
        earlier = earlier->next;
    return earlier != letter;
}

/* The first message that is complete and has no earlier one of its sender before it, out of the
 * queue; NULL where there is none. The queue holds only long messages on their way. */
static int32_t take_arrived(struct mpi_net *net, struct mpi_letter **taken)
{
    *taken = NULL;
    for (struct mpi_letter **at = &net->incoming.first; *at; at = &(*at)->next) {
        struct mpi_letter *letter = *at;
        int code = letter->done ? MPI_SUCCESS
                                : MPI_Test(&letter->request, &letter->done, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS && (!letter->done || is_blocked(net, letter)))
            continue;
        take_out(&net->incoming, at);
        *taken = letter;
        return ronde__mpi_status(code, "receiving a control message of %zu bytes from rank %d",
                                 letter->bytes, letter->peer);
    }
    return RONDE_OK;
}

static int32_t poll_locked(struct mpi_net *net, struct mpi_letter **taken)
{
    MPI_Message matched = MPI_MESSAGE_NULL;
    MPI_Status found;
    int any = 0;
    *taken = NULL;
    int32_t status = free_sent(net);
    if (status != RONDE_OK)
        return status;
    int code = MPI_Improbe(MPI_ANY_SOURCE, net->era, net->control, &any, &matched, &found);
    status = ronde__mpi_status(code, "looking for control messages");
    if (status == RONDE_OK && any)
        status = accept_letter(net, &matched, &found);
    return status == RONDE_OK ? take_arrived(net, taken) : status;
}

int32_t ronde__mpi_poll(struct net *base, int *from, void **message, size_t *bytes)
{
    struct mpi_net *net = ronde__mpi_net_of(base);
    struct mpi_letter *letter = NULL;
    int32_t status = ronde__mpi_enter(net);
    if (status != RONDE_OK)
        return status;
    pthread_mutex_lock(&net->lock);
    status = poll_locked(net, &letter);
    pthread_mutex_unlock(&net->lock);
    ronde__mpi_exit(net);
    if (status == RONDE_OK) {
        *message = letter ? letter->message : NULL;
        *bytes = letter ? letter->bytes : 0;
        if (letter)
            *from = letter->peer;
    } else if (letter) {
        free(letter->message);
    }
    free(letter);
    return status;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Takes one message that nobody asked for; 0 where there is none. */
static int discard_one(struct mpi_net *net)
{
    struct mpi_letter *letter = NULL;
    poll_locked(net, &letter); /* of an error here nobody could make use */
    if (!letter)
        return 0;
    free(letter->message);
    free(letter);
    return 1;
}

/* The letters stay allocated: MPI may still read or write their memory. */
static void abandon(struct mpi_letters *letters)
{
    for (struct mpi_letter *letter = letters->first; letter; letter = letter->next)
        if (letter->request != MPI_REQUEST_NULL)
            MPI_Request_free(&letter->request);
    letters->first = NULL;
}

/* Messages to a rank that closes too are done when that rank discards them, so everybody does. */
void ronde__mpi_finish_letters(struct mpi_net *net)
{
    const struct timespec nap = {.tv_nsec = 100000};
    int64_t deadline = ronde__now_ns() + PATIENCE_NS;
    if (net->control == MPI_COMM_NULL)
        return; /* closing what did not open */
    while (discard_one(net) ||
           ((net->outgoing.first || net->incoming.first) && ronde__now_ns() < deadline))
        nanosleep(&nap, NULL);
    abandon(&net->outgoing);
    abandon(&net->incoming);
    while (net->spare_letters) {
        struct mpi_letter *letter = net->spare_letters;
        net->spare_letters = letter->next;
        free(letter);
    }
}
