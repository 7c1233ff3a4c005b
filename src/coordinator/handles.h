/* Requests and the numbers that callers hold of them. A number is an index and a generation that
 * grows with each reuse, so that a stale one is told apart. One lock; any thread. */
#ifndef RONDE_COORDINATOR_HANDLES_H
#define RONDE_COORDINATOR_HANDLES_H

#include <pthread.h>

#include "coordinator/request.h"

enum { HANDLES_PER_CHUNK = 256, HANDLES_CHUNKS = 4096 };

struct handles {
    pthread_mutex_t lock;
    struct request *chunk[HANDLES_CHUNKS]; /* requests never move */
    uint32_t chunks;
    struct request *free;
    void *taken; /* what was handed over and not given back: a tree of tsearch */
};

void ronde__handles_open(struct handles *handles);
/* Frees everything; no request is running. */
void ronde__handles_close(struct handles *handles);

/* A cleared request in state RUNNING, or NULL with RONDE_ERR_MEMORY recorded. */
struct request *ronde__handles_take(struct handles *handles);
uint64_t ronde__handle_of(const struct request *request);
/* RONDE_PENDING, or a finished operation's status, with its text recorded. Another thread may
 * wait for it, and free it, at the same time. */
int32_t ronde__handles_poll(struct handles *handles, uint64_t handle);
/* Hands over what a finished operation's library-made output is; indices: of a sparse one, else NULL. */
int32_t ronde__handles_take_made(struct handles *handles, uint64_t handle, int64_t **indices,
                                 void **memory, size_t *rows);
/* Frees what take_made handed over; RONDE_ERR_ARGUMENT where `memory` is nothing of that, or not any
 * more. Closing frees the rest. */
int32_t ronde__handles_free_made(struct handles *handles, void *memory);
/* A finished request's status; its text becomes this thread's last error. */
int32_t ronde__request_status(const struct request *request);
/* The request of a number, or NULL with RONDE_ERR_HANDLE recorded, for a thread that will wait
 * on it and then give it: refused to a second one. */
struct request *ronde__handles_claim(struct handles *handles, uint64_t handle);
/* 1 where the operation is done, without error and unclaimed: its handle is freed. Else nothing is
 * changed. */
int ronde__handles_finish(struct handles *handles, uint64_t handle);
/* Gives up the claim of a wait that ran out of time. */
void ronde__handles_unclaim(struct handles *handles, struct request *request);
/* Back to the free list; its number is stale from here. Frees what it owns. */
void ronde__handles_give(struct handles *handles, struct request *request);

#endif
