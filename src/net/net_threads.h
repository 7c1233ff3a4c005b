/* The threads network from inside: what its files share.
 *
 * Every rank has a mailbox. What is on its way to a rank lives in that rank's mailbox, under that
 * mailbox's lock: messages that nobody has asked for, receives that nothing has come for, control
 * messages. No thread holds two of these locks. */
#ifndef RONDE_NET_NET_THREADS_H
#define RONDE_NET_NET_THREADS_H

#include <pthread.h>

#include "net/net.h"

struct mailbox;

struct parcel {
    struct parcel *next;
    struct mailbox *mailbox;
    size_t bytes;      /* sent, or expected */
    size_t sent_bytes; /* of a receive that is done */
    int from, tag, done;
    const void *source; /* of a message: the sender's memory, or the copy behind this */
    void *target;       /* of a receive */
    int is_copy;        /* the sender has forgotten it: whoever receives it frees it */
};

struct letter {
    struct letter *next;
    void *message;
    size_t bytes;
    int from;
};

struct mailbox {
    pthread_mutex_t lock;
    struct parcel *arrived, *wanted; /* in order */
    struct letter *letters;          /* in order */
};

/* All that the ranks share. */
struct world {
    pthread_mutex_t lock; /* guards what follows, up to the mailboxes */
    pthread_cond_t all_here;
    int size, open;      /* ranks; those not yet closed */
    int waiting;         /* ranks that wait in the barrier */
    unsigned generation; /* barriers passed */
    const void **shown;  /* allgather: each rank's data */
    struct mailbox *mailboxes;
};

struct threads_net {
    struct net base; /* first, so that a struct net * is one of these */
    struct world *world;
};

static inline struct world *ronde__world_of(struct net *net)
{
    return ((struct threads_net *)net)->world;
}

int32_t ronde__threads_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                            struct net_request *request);
int32_t ronde__threads_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                            struct net_request *request);
int32_t ronde__threads_test(struct net *net, struct net_request *request, int *done);
int32_t ronde__threads_post(struct net *net, int peer, const void *message, size_t bytes);
int32_t ronde__threads_poll(struct net *net, int *from, void **message, size_t *bytes);

#endif
