/* Opening and closing. */
#include "coordinator/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/status.h"
#include "base/thread.h"

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
    c->has_thread = 1;
    int error = ronde__thread_start(&c->thread, ronde__coordinator_thread, c);
    c->has_thread = !error;
    if (error)
        return ronde__fail(RONDE_ERR_SYSTEM, "starting the coordinator thread: %s",
                           strerror(error));
    atomic_store(&c->lobby.of[c->net->local_rank].answers, 1);
    return RONDE_OK;
}

int32_t ronde__coordinator_open(struct coordinator **coordinator, struct net *net,
                                struct arena *arena, const struct settings *settings,
                                const struct log *log)
{
    struct coordinator *c = calloc(1, sizeof(*c));
    if (!c)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a coordinator");
    c->net = net;
    c->arena = arena;
    c->settings = settings;
    c->log = log;
    ronde__handles_open(&c->handles);
    int32_t status = ronde__lobby_open(&c->lobby, net);
    if (status)
        goto free_memory;
    c->bell = c->lobby.named[net->local_rank];
    c->patience = ronde__patience(net->local_size, settings->spin_us);
    atomic_store(&c->spin_now_ns, c->patience.spin_ns);
    status = ronde__tuner_open(&c->tuner, settings, net, log);
    if (!status)
        status = ronde__watch_open(&c->watch, c);
    if (!status)
        status = ronde__sets_open(c); /* collective: what fails before fails alike everywhere */
    if (!status)
        status = start_thread(c);
    if (status) {
        ronde__coordinator_close(c);
        return status;
    }
    *coordinator = c;
    return RONDE_OK;

free_memory:
    ronde__handles_close(&c->handles);
    free(c);
    return status;
}

/* ---- closing --------------------------------------------------------------------------------- */

static int32_t submit_closing(struct set *set, struct request **request)
{
    *request = ronde__handles_take(&set->c->handles);
    if (!*request)
        return RONDE_ERR_MEMORY;
    (*request)->signature = (struct signature){.kind = KIND_ALLGATHER,
                                               .dtype = RONDE_UINT8,
                                               .dimensions = 2,
                                               .prescale = 1,
                                               .postscale = 1};
    return ronde__set_submit_ours(set, COORDINATOR_CLOSING, *request);
}

/* Closing is an operation like others, in every set, so that who waits for whom is reported, and that
 * a rank which is lost, or says that all is lost, ends it. It gathers no rows; when it runs, what is
 * not decided in its set ends. */
int32_t ronde__coordinator_meet(struct coordinator *c)
{
    struct request *requests[SETS] = {0};
    int32_t first = RONDE_OK;
    for (int i = 0; i < c->sets; i++) {
        int32_t status = submit_closing(c->set[i], &requests[i]);
        first = first ? first : status;
        ronde__queue_shut(&c->set[i]->queue, RONDE_ERR_CLOSED, "the context is closing");
    }
    ronde__coordinator_wait(c, NULL, 0);
    for (int i = 0; i < c->sets; i++) {
        if (!requests[i])
            continue;
        int32_t status = first ? first : ronde__request_status(requests[i]);
        first = status;
        ronde__handles_give(&c->handles, requests[i]);
    }
    return first;
}

void ronde__coordinator_give_up(struct coordinator *c, int32_t status)
{
    enum { TRIES = 50 };
    const struct timespec moment = {.tv_nsec = 1000000};
    char *text = ronde__text("%s", ronde_last_error());
    ronde__lobby_tell_fatal(&c->lobby, status, text ? text : "no memory for the text");
    for (int tries = 0; tries < TRIES && !atomic_load(&c->fatal); tries++) {
        int64_t nap_ns;
        ronde__coordinator_step(c, &nap_ns); /* finds what the lobby was told */
        nanosleep(&moment, NULL);
    }
    /* What goes to other nodes must leave this one before the process may end. */
    for (int tries = 0; tries < TRIES && c->net->nodes > 1; tries++) {
        int from;
        void *message = NULL;
        size_t bytes;
        if (ronde__net_poll(c->net, &from, &message, &bytes))
            break;
        free(message);
        nanosleep(&moment, NULL);
    }
    if (text)
        ronde__fail_text(status, text);
    free(text);
}

void ronde__coordinator_stop(struct coordinator *c)
{
    if (!c->has_thread)
        return;
    atomic_store(&c->stopping, 1);
    ronde__coordinator_wake(c);
    pthread_join(c->thread, NULL);
    atomic_store(&c->lobby.of[c->net->local_rank].answers, 0);
    c->has_thread = 0;
}

void ronde__coordinator_close(struct coordinator *c)
{
    ronde__sets_close(c);
    for (struct early *early = c->early, *next; early; early = next) {
        next = early->next;
        free(early->message);
        free(early);
    }
    ronde__timeline_stop(c->timeline);
    ronde__watch_close(&c->watch);
    ronde__handles_close(&c->handles);
    ronde__lobby_close(&c->lobby);
    free(c);
}
