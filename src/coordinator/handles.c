#include "coordinator/handles.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

void ronde__handles_open(struct handles *handles)
{
    *handles = (struct handles){0};
    pthread_mutex_init(&handles->lock, NULL);
}

/* Most own nothing, and there are many. */
static int owns_nothing(const struct request *r)
{
    return !r->all_rows && !r->text && !r->made && !r->made_indices && !r->present && !r->words &&
           !r->splits;
}

static void free_owned(struct request *request)
{
    if (owns_nothing(request))
        return;
    free(request->all_rows);
    free(request->text);
    free(request->made);
    free(request->made_indices);
    free(request->present);
    free(request->words);
    free(request->splits);
    request->all_rows = NULL;
    request->text = NULL;
    request->made = NULL;
    request->made_indices = NULL;
    request->present = NULL;
    request->words = NULL;
    request->splits = NULL;
}

void ronde__handles_close(struct handles *handles)
{
    for (uint32_t chunk = 0; chunk < handles->chunks; chunk++) {
        for (int i = 0; i < HANDLES_PER_CHUNK; i++)
            free_owned(&handles->chunk[chunk][i]);
        free(handles->chunk[chunk]);
    }
    tdestroy(handles->taken, free);
    pthread_mutex_destroy(&handles->lock);
}

/* With the lock held. */
static int add_chunk(struct handles *handles)
{
    struct request *chunk = NULL;
    if (handles->chunks < HANDLES_CHUNKS)
        chunk = calloc(HANDLES_PER_CHUNK, sizeof(*chunk));
    if (!chunk)
        return 0;
    for (uint32_t i = HANDLES_PER_CHUNK; i-- > 0;) {
        chunk[i].index = handles->chunks * HANDLES_PER_CHUNK + i;
        chunk[i].generation = 1;
        chunk[i].next = handles->free;
        handles->free = &chunk[i];
    }
    handles->chunk[handles->chunks++] = chunk;
    return 1;
}

/* All but its number, and the part of the shape that nobody reads before it is written. */
static void clear(struct request *request)
{
    const size_t from = offsetof(struct request, state);
    const size_t to = offsetof(struct request, signature) + offsetof(struct signature, shape);
    memset((char *)request + from, 0, to - from);
}

struct request *ronde__handles_take(struct handles *handles)
{
    struct request *request = NULL;
    pthread_mutex_lock(&handles->lock);
    if (handles->free || add_chunk(handles)) {
        request = handles->free;
        handles->free = request->next;
        clear(request);
        atomic_store_explicit(&request->state, REQUEST_RUNNING, memory_order_relaxed);
    }
    pthread_mutex_unlock(&handles->lock);
    if (!request)
        ronde__fail(RONDE_ERR_MEMORY, "no memory for another of %u outstanding operations",
                    handles->chunks * HANDLES_PER_CHUNK);
    return request;
}

uint64_t ronde__handle_of(const struct request *request)
{
    return (uint64_t)request->generation << 32 | request->index;
}

/* With the lock held. */
static struct request *find_locked(struct handles *handles, uint64_t handle)
{
    uint32_t index = (uint32_t)handle, generation = (uint32_t)(handle >> 32);
    if (index / HANDLES_PER_CHUNK >= handles->chunks)
        return NULL;
    struct request *request = &handles->chunk[index / HANDLES_PER_CHUNK][index % HANDLES_PER_CHUNK];
    int32_t state = atomic_load_explicit(&request->state, memory_order_relaxed);
    return request->generation == generation && state != REQUEST_FREE ? request : NULL;
}

static void refuse(uint64_t handle, const struct request *request)
{
    ronde__fail(RONDE_ERR_HANDLE,
                request && request->staged ? "handle %llu is of a group that has not ended"
                : request                  ? "handle %llu is being waited on by another thread"
                          : "handle %llu is stale or was never given: wait once for each operation",
                (unsigned long long)handle);
}

int32_t ronde__request_status(const struct request *request)
{
    if (!request->status)
        return RONDE_OK;
    return ronde__fail_text(request->status,
                            request->text ? request->text : "no memory for the text");
}

static int is_done(const struct request *request)
{
    /* pairs with the release in ronde__set_complete */
    return atomic_load_explicit(&request->state, memory_order_acquire) == REQUEST_DONE;
}

static int32_t poll_locked(struct handles *handles, uint64_t handle)
{
    const struct request *request = find_locked(handles, handle);
    if (!request) {
        refuse(handle, NULL);
        return RONDE_ERR_HANDLE;
    }
    return is_done(request) ? ronde__request_status(request) : RONDE_PENDING;
}

int32_t ronde__handles_poll(struct handles *handles, uint64_t handle)
{
    pthread_mutex_lock(&handles->lock);
    int32_t status = poll_locked(handles, handle);
    pthread_mutex_unlock(&handles->lock);
    return status;
}

/* ---- what the library made ------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    return (uintptr_t)a < (uintptr_t)b ? -1 : (uintptr_t)a > (uintptr_t)b;
}

/* Lists both, or neither; either may be NULL, which needs no place. With the lock held. */
static int32_t list_taken(struct handles *handles, void *memory, void *indices)
{
    int listed = !memory || tsearch(memory, &handles->taken, by_address);
    if (listed && (!indices || tsearch(indices, &handles->taken, by_address)))
        return RONDE_OK;
    if (listed && memory)
        tdelete(memory, &handles->taken, by_address);
    return ronde__fail(RONDE_ERR_MEMORY, "no memory to list a result that is taken");
}

int32_t ronde__handles_free_made(struct handles *handles, void *memory)
{
    pthread_mutex_lock(&handles->lock);
    int listed = tdelete(memory, &handles->taken, by_address) != NULL;
    pthread_mutex_unlock(&handles->lock);
    if (!listed)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "free of %p, which is free already or was never given", memory);
    free(memory);
    return RONDE_OK;
}

static int32_t take_made_locked(struct handles *handles, uint64_t handle, int64_t **indices,
                                void **memory, size_t *rows)
{
    int32_t status = poll_locked(handles, handle);
    if (status == RONDE_PENDING)
        return ronde__fail(RONDE_ERR_HANDLE, "the operation is not finished: poll until it is");
    if (status)
        return status;
    struct request *request = find_locked(handles, handle);
    int is_sparse = request->signature.kind == KIND_SPARSE;
    if (!request->allocate || is_sparse != (indices != NULL))
        return ronde__fail(RONDE_ERR_HANDLE, "the library made no result for this operation, or it "
                                             "was taken");
    status = list_taken(handles, request->made, request->made_indices);
    if (status)
        return status;
    *memory = request->made;
    *rows = request->made_rows;
    if (indices)
        *indices = request->made_indices;
    request->made_indices = NULL;
    request->made = NULL;
    request->allocate = 0;
    return RONDE_OK;
}

int32_t ronde__handles_take_made(struct handles *handles, uint64_t handle, int64_t **indices,
                                 void **memory, size_t *rows)
{
    pthread_mutex_lock(&handles->lock);
    int32_t status = take_made_locked(handles, handle, indices, memory, rows);
    pthread_mutex_unlock(&handles->lock);
    return status;
}

struct request *ronde__handles_claim(struct handles *handles, uint64_t handle)
{
    pthread_mutex_lock(&handles->lock);
    struct request *request = find_locked(handles, handle);
    int claimed = request && !request->waited && !request->staged;
    if (claimed)
        request->waited = 1;
    pthread_mutex_unlock(&handles->lock);
    if (claimed)
        return request;
    refuse(handle, request);
    return NULL;
}

/* With the lock held. */
static void give_locked(struct handles *handles, struct request *request)
{
    free_owned(request);
    atomic_store_explicit(&request->state, REQUEST_FREE, memory_order_relaxed);
    request->generation++;
    request->next = handles->free;
    handles->free = request;
}

int ronde__handles_finish(struct handles *handles, uint64_t handle)
{
    pthread_mutex_lock(&handles->lock);
    struct request *request = find_locked(handles, handle);
    int finished = request && !request->waited && is_done(request) && !request->status;
    if (finished)
        give_locked(handles, request);
    pthread_mutex_unlock(&handles->lock);
    return finished;
}

void ronde__handles_unclaim(struct handles *handles, struct request *request)
{
    pthread_mutex_lock(&handles->lock);
    request->waited = 0;
    pthread_mutex_unlock(&handles->lock);
}

void ronde__handles_give(struct handles *handles, struct request *request)
{
    pthread_mutex_lock(&handles->lock);
    give_locked(handles, request);
    pthread_mutex_unlock(&handles->lock);
}
