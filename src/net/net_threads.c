/* Messages of the network's twin, whose ranks are threads of one process. It is strict rather than
 * fast: a short message is copied when it is sent; a longer one stays in the sender's memory until
 * the receiver asks for it, as in MPI's rendezvous, so that a schedule that counts on buffering
 * hangs here too, and one that reuses its memory early is a race that the thread sanitizer sees. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "net/net_threads.h"

enum { EAGER_BYTES = 128 }; /* small, so that small tests meet both ways */

static struct mailbox *mailbox_of(struct net *net, int rank)
{
    assert(rank >= 0 && rank < net->size);
    return &ronde__world_of(net)->mailboxes[rank];
}

/* ---- data ------------------------------------------------------------------------------------ */

/* The first of this sender and tag, out of the queue; or NULL. */
static struct parcel *take_parcel(struct parcel **queue, int from, int tag)
{
    for (; *queue; queue = &(*queue)->next) {
        struct parcel *parcel = *queue;
        if (parcel->from == from && parcel->tag == tag) {
            *queue = parcel->next;
            return parcel;
        }
    }
    return NULL;
}

static void append_parcel(struct parcel **queue, struct parcel *parcel)
{
    while (*queue)
        queue = &(*queue)->next;
    *queue = parcel;
}

/* As MPI: what exceeds the receiver's memory is cut off, and reported. */
static void copy_data(void *target, size_t room, const void *source, size_t bytes)
{
    size_t fits = bytes < room ? bytes : room;
    if (fits)
        memcpy(target, source, fits);
}

static int32_t check_length(int from, int tag, size_t sent, size_t expected)
{
    if (sent == expected)
        return RONDE_OK;
    return ronde__fail(RONDE_ERR_MPI, "rank %d sent %zu bytes with tag %d where %zu were expected",
                       from, sent, tag, expected);
}

static struct parcel *new_parcel(struct mailbox *mailbox, size_t bytes, int from, int tag,
                                 size_t extra)
{
    struct parcel *parcel = calloc(1, sizeof(*parcel) + extra);
    if (!parcel) {
        ronde__fail(RONDE_ERR_MEMORY, "no memory for a message of %zu bytes", bytes);
        return NULL;
    }
    parcel->mailbox = mailbox;
    parcel->bytes = bytes;
    parcel->from = from;
    parcel->tag = tag;
    return parcel;
}

/* Leaves a message for a receive that has not come yet. */
static int32_t leave_message(struct net *net, const void *data, size_t bytes, int peer, int tag,
                             struct net_request *request)
{
    struct mailbox *mailbox = mailbox_of(net, peer);
    int is_copy = bytes <= EAGER_BYTES;
    struct parcel *parcel = new_parcel(mailbox, bytes, net->rank, tag, is_copy ? bytes : 0);
    if (!parcel)
        return RONDE_ERR_MEMORY;
    parcel->is_copy = is_copy;
    parcel->source = data;
    if (is_copy) {
        copy_data(parcel + 1, bytes, data, bytes);
        parcel->source = parcel + 1;
    }
    append_parcel(&mailbox->arrived, parcel);
    request->state = is_copy ? NULL : parcel;
    return RONDE_OK;
}

int32_t ronde__threads_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    struct mailbox *mailbox = mailbox_of(net, peer);
    int32_t status = RONDE_OK;
    pthread_mutex_lock(&mailbox->lock);
    struct parcel *receive = take_parcel(&mailbox->wanted, net->rank, tag);
    if (receive) {
        copy_data(receive->target, receive->bytes, data, bytes);
        receive->sent_bytes = bytes;
        receive->done = 1; /* the receiver finds it in test */
    } else {
        status = leave_message(net, data, bytes, peer, tag, request);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return status;
}

static int32_t take_message(struct parcel *message, void *data, size_t bytes)
{
    int32_t status = check_length(message->from, message->tag, message->bytes, bytes);
    copy_data(data, bytes, message->source, message->bytes);
    if (message->is_copy)
        free(message);
    else
        message->done = 1; /* the sender finds it in test */
    return status;
}

static int32_t leave_receive(struct mailbox *mailbox, void *data, size_t bytes, int peer, int tag,
                             struct net_request *request)
{
    struct parcel *receive = new_parcel(mailbox, bytes, peer, tag, 0);
    if (!receive)
        return RONDE_ERR_MEMORY;
    receive->target = data;
    append_parcel(&mailbox->wanted, receive);
    request->state = receive;
    return RONDE_OK;
}

int32_t ronde__threads_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    struct mailbox *mailbox = mailbox_of(net, net->rank);
    assert(peer >= 0 && peer < net->size);
    pthread_mutex_lock(&mailbox->lock);
    struct parcel *message = take_parcel(&mailbox->arrived, peer, tag);
    int32_t status = message ? take_message(message, data, bytes)
                             : leave_receive(mailbox, data, bytes, peer, tag, request);
    pthread_mutex_unlock(&mailbox->lock);
    return status;
}

int32_t ronde__threads_test(struct net *net, struct net_request *request, int *done)
{
    struct parcel *parcel = request->state;
    int32_t status = RONDE_OK;
    (void)net;
    pthread_mutex_lock(&parcel->mailbox->lock);
    int finished = parcel->done;
    pthread_mutex_unlock(&parcel->mailbox->lock);
    *done = finished;
    if (!finished)
        return RONDE_OK;
    if (!parcel->source) /* a receive */
        status = check_length(parcel->from, parcel->tag, parcel->sent_bytes, parcel->bytes);
    free(parcel);
    request->state = NULL;
    return status;
}

/* ---- control --------------------------------------------------------------------------------- */

int32_t ronde__threads_post(struct net *net, int peer, const void *message, size_t bytes)
{
    struct mailbox *mailbox = mailbox_of(net, peer);
    struct letter *letter = calloc(1, sizeof(*letter));
    void *copy = malloc(bytes ? bytes : 1);
    if (!letter || !copy) {
        free(letter);
        free(copy);
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a control message of %zu bytes", bytes);
    }
    copy_data(copy, bytes, message, bytes);
    *letter = (struct letter){.message = copy, .bytes = bytes, .from = net->rank};
    pthread_mutex_lock(&mailbox->lock);
    struct letter **end = &mailbox->letters;
    while (*end)
        end = &(*end)->next;
    *end = letter;
    pthread_mutex_unlock(&mailbox->lock);
    return RONDE_OK;
}

int32_t ronde__threads_poll(struct net *net, int *from, void **message, size_t *bytes)
{
    struct mailbox *mailbox = mailbox_of(net, net->rank);
    pthread_mutex_lock(&mailbox->lock);
    struct letter *letter = mailbox->letters;
    if (letter)
        mailbox->letters = letter->next;
    pthread_mutex_unlock(&mailbox->lock);
    *message = letter ? letter->message : NULL;
    *bytes = letter ? letter->bytes : 0;
    if (letter)
        *from = letter->from;
    free(letter);
    return RONDE_OK;
}
