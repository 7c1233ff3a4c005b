/* Opening, submitting and closing. */
#include "coordinator/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/status.h"

/* A pair of tags of the net: named and direct operations never meet. */
enum { TAG_NAMED = 1 };

static int32_t submit(struct coordinator *c, const char *name, int unnamed, struct request *request)
{
    atomic_fetch_add(&c->outstanding, 1);
    int32_t status = ronde__queue_submit(&c->queue, name, unnamed, request);
    if (status)
        atomic_fetch_sub(&c->outstanding, 1);
    return status;
}

int32_t ronde__coordinator_submit(struct coordinator *c, const char *name, uint64_t unnamed_number,
                                  struct request *request)
{
    char drawn[48];
    if (!name)
        snprintf(drawn, sizeof(drawn), "%s#%llu",
                 ronde__kind_name((enum kind)request->signature.kind),
                 (unsigned long long)unnamed_number);
    return submit(c, name ? name : drawn, !name, request);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int32_t start_thread(struct coordinator *c)
{
    int wanted = c->settings->progress != RONDE__PROGRESS_CALLER;
    if (c->net->nodes > 1 && !c->net->background) {
        if (c->settings->progress == RONDE__PROGRESS_THREAD)
            return ronde__fail(RONDE_ERR_THREADS,
                               "progress=thread over several nodes needs MPI_THREAD_MULTIPLE: "
                               "initialise MPI with it, or set progress to auto or caller");
        wanted = 0;
    }
    if (!wanted)
        return RONDE_OK;
    int error = pthread_create(&c->thread, NULL, ronde__coordinator_thread, c);
    if (error)
        return ronde__fail(RONDE_ERR_SYSTEM, "starting the coordinator thread: %s",
                           strerror(error));
    c->has_thread = 1;
    return RONDE_OK;
}

static int32_t open_leader(struct coordinator *c)
{
    if (c->net->local_rank != 0)
        return RONDE_OK;
    c->leader = calloc(1, sizeof(*c->leader));
    if (!c->leader)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the node's leader");
    return ronde__leader_open(c->leader, c->net, &c->link, c->communicator.node.slots.bells,
                              c->settings, c->log, &c->select);
}

int32_t ronde__coordinator_open(struct coordinator **coordinator, struct net *net,
                                const struct arena *arena, const struct settings *settings,
                                const struct log *log)
{
    struct coordinator *c = calloc(1, sizeof(*c));
    if (!c)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a coordinator");
    c->net = net;
    c->settings = settings;
    c->log = log;
    ronde__handles_open(&c->handles);
    int32_t status = ronde__communicator_open(&c->communicator, net, arena, settings, TAG_NAMED);
    if (status)
        goto free_memory;
    status = ronde__link_open(&c->link, net);
    if (status)
        goto close_communicator;
    c->bell = ronde__communicator_bell(&c->communicator);
    c->patience = ronde__patience(net->local_size, settings->spin_us);
    atomic_store(&c->spin_now_ns, c->patience.spin_ns);
    status = ronde__select_read(&c->select, settings->allreduce);
    if (!status)
        status = ronde__queue_open(&c->queue);
    c->bytes_of = calloc((size_t)net->size, sizeof(*c->bytes_of));
    if (!status && !c->bytes_of)
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory for the rows of %d ranks", net->size);
    if (!status)
        status = open_leader(c);
    if (!status)
        status = start_thread(c);
    if (status) {
        ronde__coordinator_close(c);
        return status;
    }
    *coordinator = c;
    return RONDE_OK;

close_communicator:
    ronde__communicator_close(&c->communicator);
free_memory:
    ronde__handles_close(&c->handles);
    free(c);
    return status;
}

/* Closing is an operation like others, so that who waits for whom is reported, and that a rank
 * which is lost, or says that all is lost, ends it. It gathers no rows. */
int32_t ronde__coordinator_meet(struct coordinator *c)
{
    struct request *request = ronde__handles_take(&c->handles);
    if (!request)
        return RONDE_ERR_MEMORY;
    request->signature = (struct signature){.kind = KIND_ALLGATHER,
                                            .dtype = RONDE_UINT8,
                                            .dimensions = 2,
                                            .prescale = 1,
                                            .postscale = 1};
    int32_t status = submit(c, COORDINATOR_CLOSING, 1, request);
    ronde__queue_shut(&c->queue, RONDE_ERR_CLOSED, "the context is closing");
    ronde__coordinator_wait(c, NULL, 0);
    if (!status)
        status = ronde__request_status(request);
    ronde__handles_give(&c->handles, request);
    return status;
}

void ronde__coordinator_give_up(struct coordinator *c, int32_t status)
{
    enum { TRIES = 50 };
    const struct timespec moment = {.tv_nsec = 1000000};
    ronde__link_tell_fatal(&c->link, status, ronde_last_error());
    for (int tries = 0; tries < TRIES && !atomic_load(&c->fatal); tries++) {
        int64_t nap_ns;
        ronde__coordinator_step(c, &nap_ns); /* finds what the link was told */
        nanosleep(&moment, NULL);
    }
    /* What goes to other nodes must leave this one before the process may end. */
    for (int tries = 0; tries < TRIES && c->net->nodes > 1; tries++) {
        int from;
        void *message = NULL;
        size_t bytes;
        if (ronde__net_poll(c->net, &from, &message, &bytes))
            return;
        free(message);
        nanosleep(&moment, NULL);
    }
}

void ronde__coordinator_stop(struct coordinator *c)
{
    if (!c->has_thread)
        return;
    atomic_store(&c->stopping, 1);
    ronde__coordinator_wake(c);
    pthread_join(c->thread, NULL);
    c->has_thread = 0;
}

void ronde__coordinator_close(struct coordinator *c)
{
    if (c->leader)
        ronde__leader_close(c->leader);
    free(c->leader);
    ronde__writer_free(&c->record);
    free(c->pieces);
    free(c->bytes_of);
    free(c->gather_copy);
    free(c->gather_out);
    ronde__queue_close(&c->queue);
    ronde__handles_close(&c->handles);
    ronde__link_close(&c->link, c->net);
    ronde__communicator_close(&c->communicator);
    free(c);
}
