/* Ranks as threads of one process: the network's twin, for sanitizers and unit tests. Here the
 * world that the ranks share, opening, closing and allgather; messages are in net_threads.c. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "net/net_threads.h"

/* ---- allgather ------------------------------------------------------------------------------- */

/* With the world's lock held. */
static void wait_for_all(struct world *world)
{
    unsigned generation = world->generation;
    if (++world->waiting == world->size) {
        world->waiting = 0;
        world->generation++;
        pthread_cond_broadcast(&world->all_here);
    }
    while (generation == world->generation)
        pthread_cond_wait(&world->all_here, &world->lock);
}

/* Everybody shows their data, takes the others', and leaves when all have taken. */
static int32_t allgather(struct net *net, const void *mine, size_t bytes, void *all)
{
    struct world *world = ronde__world_of(net);
    pthread_mutex_lock(&world->lock);
    world->shown[net->rank] = mine;
    wait_for_all(world);
    for (int rank = 0; rank < world->size; rank++)
        if (bytes)
            memcpy((char *)all + (size_t)rank * bytes, world->shown[rank], bytes);
    wait_for_all(world);
    pthread_mutex_unlock(&world->lock);
    return RONDE_OK;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void free_parcels(struct parcel *parcel)
{
    while (parcel) {
        struct parcel *next = parcel->next;
        free(parcel);
        parcel = next;
    }
}

static void free_mailbox(struct mailbox *mailbox)
{
    free_parcels(mailbox->arrived);
    free_parcels(mailbox->wanted);
    while (mailbox->letters) {
        struct letter *letter = mailbox->letters;
        mailbox->letters = letter->next;
        free(letter->message);
        free(letter);
    }
    pthread_mutex_destroy(&mailbox->lock);
}

static void free_world(struct world *world)
{
    for (int rank = 0; rank < world->size; rank++)
        free_mailbox(&world->mailboxes[rank]);
    pthread_cond_destroy(&world->all_here);
    pthread_mutex_destroy(&world->lock);
    free(world->mailboxes);
    free(world->shown);
    free(world);
}

static struct world *new_world(int size)
{
    struct world *world = calloc(1, sizeof(*world));
    if (!world)
        return NULL;
    world->mailboxes = calloc((size_t)size, sizeof(*world->mailboxes));
    world->shown = calloc((size_t)size, sizeof(*world->shown));
    if (!world->mailboxes || !world->shown) {
        free(world->mailboxes);
        free(world->shown);
        free(world);
        return NULL;
    }
    world->size = size;
    pthread_mutex_init(&world->lock, NULL);
    pthread_cond_init(&world->all_here, NULL);
    for (int rank = 0; rank < size; rank++)
        pthread_mutex_init(&world->mailboxes[rank].lock, NULL);
    return world;
}

static void free_net(struct net *net)
{
    ronde__net_free_nodes(net);
    free(net);
}

/* The last to close takes the mailboxes, with what lies in them, along. */
static void close_net(struct net *net)
{
    struct world *world = ronde__world_of(net);
    pthread_mutex_lock(&world->lock);
    int left = --world->open;
    pthread_mutex_unlock(&world->lock);
    if (left == 0)
        free_world(world);
    free_net(net);
}

static const struct net_operations operations = {
    .send = ronde__threads_send,
    .recv = ronde__threads_recv,
    .test = ronde__threads_test,
    .post = ronde__threads_post,
    .poll = ronde__threads_poll,
    .allgather = allgather,
    .close = close_net,
};

static struct net *new_net(struct world *world, int rank, const int *node_of)
{
    struct threads_net *net = calloc(1, sizeof(*net));
    if (!net)
        return NULL;
    net->world = world;
    net->base.operations = &operations;
    net->base.rank = rank;
    net->base.size = world->size;
    net->base.one_process = 1;
    net->base.background = 1;
    if (ronde__net_set_nodes(&net->base, node_of) != RONDE_OK) {
        free(net);
        return NULL;
    }
    return &net->base;
}

int32_t ronde__net_open_threads(int size, const int *node_of, struct net **nets)
{
    struct world *world = new_world(size);
    if (!world)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %d ranks as threads", size);
    for (world->open = 0; world->open < size; world->open++) {
        nets[world->open] = new_net(world, world->open, node_of);
        if (!nets[world->open])
            goto undo;
    }
    return RONDE_OK;

undo:
    while (world->open > 0)
        free_net(nets[--world->open]);
    free_world(world);
    return ronde__fail(RONDE_ERR_MEMORY, "no memory for %d ranks as threads", size);
}
