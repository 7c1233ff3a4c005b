#include "coordinator/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { FIRST_BUCKETS = 256 };

int32_t ronde__queue_open(struct queue *queue, int ranks)
{
    *queue = (struct queue){.buckets = FIRST_BUCKETS};
    queue->bucket = calloc(queue->buckets, sizeof(struct tensor *));
    queue->ranks = ranks;
    queue->unnamed_pairs = calloc(2 * (size_t)ranks, sizeof(*queue->unnamed_pairs));
    if (!queue->bucket || !queue->unnamed_pairs) {
        free(queue->bucket);
        free(queue->unnamed_pairs);
        queue->bucket = NULL;
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the table of names");
    }
    pthread_mutex_init(&queue->lock, NULL);
    return RONDE_OK;
}

static void free_tensor(struct tensor *tensor)
{
    free(tensor->name);
    free(tensor);
}

void ronde__queue_close(struct queue *queue)
{
    if (!queue->bucket)
        return;
    for (size_t i = 0; i < queue->buckets; i++)
        for (struct tensor *tensor = queue->bucket[i], *next; tensor; tensor = next) {
            next = tensor->next_of_hash;
            free_tensor(tensor);
        }
    free(queue->bucket);
    free(queue->by_id);
    free(queue->unnamed_pairs);
    free(queue->closed_text);
    pthread_mutex_destroy(&queue->lock);
}

uint64_t ronde__queue_draw(struct queue *queue, enum kind kind, int peer)
{
    int is_pair = (kind == KIND_SEND || kind == KIND_RECV) && peer >= 0;
    uint64_t *next = is_pair ? &queue->unnamed_pairs[2 * (size_t)peer + (kind == KIND_RECV)]
                             : &queue->unnamed[kind];
    pthread_mutex_lock(&queue->lock);
    uint64_t number = (*next)++;
    pthread_mutex_unlock(&queue->lock);
    return number;
}

void ronde__queue_renumber(struct queue *queue)
{
    enum { NUMBER_BITS = 40 };
    pthread_mutex_lock(&queue->lock);
    uint64_t first = ++queue->joins << NUMBER_BITS;
    for (int kind = 0; kind < KINDS; kind++)
        queue->unnamed[kind] = first;
    for (int i = 0; i < 2 * queue->ranks; i++)
        queue->unnamed_pairs[i] = first;
    pthread_mutex_unlock(&queue->lock);
}

/* ---- the table of names; the lock is held in all of these ------------------------------------ */

/* Eight bytes at a time, each word folded in by a multiplication whose halves are mixed. */
static size_t hash_of(int kind, const char *name, size_t bytes)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ (uint64_t)kind ^ (uint64_t)bytes << 32, word = 0;
    for (; bytes >= sizeof(word); name += sizeof(word), bytes -= sizeof(word)) {
        memcpy(&word, name, sizeof(word));
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    for (word = 0; bytes > 0; bytes--)
        word = word << 8 | (unsigned char)name[bytes - 1];
    hash = (hash ^ word) * 0xc4ceb9fe1a85ec53u;
    return (size_t)(hash ^ hash >> 32);
}

static struct tensor **link_of(struct queue *queue, int kind, const char *name, size_t bytes)
{
    struct tensor **link = &queue->bucket[hash_of(kind, name, bytes) & (queue->buckets - 1)];
    while (*link && !((*link)->kind == kind && (*link)->name_bytes == bytes &&
                      memcmp((*link)->name, name, bytes) == 0))
        link = &(*link)->next_of_hash;
    return link;
}

/* Twice the buckets; where memory is out, the chains grow instead. */
static void grow(struct queue *queue)
{
    size_t buckets = queue->buckets * 2;
    struct tensor **bucket = calloc(buckets, sizeof(struct tensor *));
    if (!bucket)
        return;
    for (size_t i = 0; i < queue->buckets; i++)
        for (struct tensor *tensor = queue->bucket[i], *next; tensor; tensor = next) {
            next = tensor->next_of_hash;
            size_t at = hash_of(tensor->kind, tensor->name, tensor->name_bytes) & (buckets - 1);
            tensor->next_of_hash = bucket[at];
            bucket[at] = tensor;
        }
    free(queue->bucket);
    queue->bucket = bucket;
    queue->buckets = buckets;
}

static struct tensor *find_or_make(struct queue *queue, int kind, const char *name)
{
    size_t bytes = strlen(name);
    struct tensor **link = link_of(queue, kind, name, bytes);
    if (*link)
        return *link;
    if (queue->tensors >= queue->buckets) {
        grow(queue);
        link = link_of(queue, kind, name, bytes);
    }
    struct tensor *tensor = calloc(1, sizeof(*tensor));
    char *copy = strdup(name);
    if (!tensor || !copy) {
        free(tensor);
        free(copy);
        return NULL;
    }
    *tensor = (struct tensor){.name = copy,
                              .name_bytes = (uint32_t)bytes,
                              .kind = (uint8_t)kind,
                              .id = NO_ID,
                              .batch = NO_ID,
                              .cacheable = 1};
    *link = tensor;
    queue->tensors++;
    return tensor;
}

static void append(struct queue *queue, struct request *request)
{
    request->next = NULL;
    *(queue->last ? &queue->last->next : &queue->first) = request;
    queue->last = request;
}

static void forget(struct queue *queue, struct tensor *tensor)
{
    struct tensor **link = link_of(queue, tensor->kind, tensor->name, tensor->name_bytes);
    *link = tensor->next_of_hash;
    queue->tensors--;
    free_tensor(tensor);
}

/* Binds the request to its name. */
static int32_t name_locked(struct queue *queue, const char *name, enum naming naming,
                           struct request *request)
{
    if (queue->closed)
        return ronde__fail_text(queue->closed, queue->closed_text ? queue->closed_text : "closed");
    if (queue->joining && naming != NAMING_OURS)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "%s '%s': this rank has joined the process set: wait "
                           "for the join first",
                           ronde__kind_name((enum kind)request->signature.kind),
                           ronde__short_name(name, NAME_ROOM).text);
    struct tensor *tensor = find_or_make(queue, request->signature.kind, name);
    if (!tensor)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the name of a tensor");
    if (tensor->pending)
        return ronde__fail(RONDE_ERR_DUPLICATE,
                           "%s '%s' is already outstanding on this rank: wait for it first",
                           ronde__kind_name((enum kind)tensor->kind),
                           ronde__short_name(name, NAME_ROOM).text);
    if (naming != NAMING_USER)
        tensor->cacheable = 0;
    if (tensor->kind == KIND_JOIN)
        queue->joining = 1;
    tensor->pending = request;
    request->tensor = tensor;
    return RONDE_OK;
}

static void unname_locked(struct queue *queue, struct request *request)
{
    struct tensor *tensor = request->tensor;
    tensor->pending = NULL;
    request->tensor = NULL;
    if (tensor->kind == KIND_JOIN)
        queue->joining = 0;
    if (tensor->id == NO_ID)
        forget(queue, tensor);
}

int32_t ronde__queue_submit(struct queue *queue, const char *name, enum naming naming,
                            struct request *request)
{
    pthread_mutex_lock(&queue->lock);
    int32_t status = name_locked(queue, name, naming, request);
    if (!status)
        append(queue, request);
    pthread_mutex_unlock(&queue->lock);
    return status;
}

int32_t ronde__queue_submit_all(struct queue *queue, char *const *names, struct request **requests,
                                size_t n)
{
    int32_t status = RONDE_OK;
    size_t named = 0;
    pthread_mutex_lock(&queue->lock);
    for (; named < n && !status; named += !status)
        status = name_locked(queue, names[named], NAMING_USER, requests[named]);
    for (size_t i = 0; i < named && status; i++)
        unname_locked(queue, requests[i]);
    for (size_t i = 0; i < n && !status; i++)
        append(queue, requests[i]);
    pthread_mutex_unlock(&queue->lock);
    return status;
}

int ronde__queue_is_outstanding(struct queue *queue, int kind, const char *name)
{
    pthread_mutex_lock(&queue->lock);
    const struct tensor *tensor = *link_of(queue, kind, name, strlen(name));
    int is = tensor && tensor->pending;
    pthread_mutex_unlock(&queue->lock);
    return is;
}

struct request *ronde__queue_take(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct request *all = queue->first;
    queue->first = queue->last = NULL;
    pthread_mutex_unlock(&queue->lock);
    return all;
}

/* Remembers the number; 0 where memory is out. */
static int keep_number(struct queue *queue, struct tensor *tensor, uint32_t id)
{
    if (id >= queue->id_room) {
        size_t room = (size_t)id * 2 + 64;
        struct tensor **grown = realloc(queue->by_id, room * sizeof(struct tensor *));
        if (!grown)
            return 0;
        memset(grown + queue->id_room, 0, (room - queue->id_room) * sizeof(struct tensor *));
        queue->by_id = grown;
        queue->id_room = room;
    }
    queue->by_id[id] = tensor;
    tensor->id = id;
    return 1;
}

static struct tensor *decided_tensor(struct queue *queue, int kind, const struct record *decision)
{
    if (decision->name_bytes)
        return *link_of(queue, kind, decision->name, decision->name_bytes);
    return decision->id < queue->id_room ? queue->by_id[decision->id] : NULL;
}

struct request *ronde__queue_match(struct queue *queue, int kind, const struct record *decision)
{
    pthread_mutex_lock(&queue->lock);
    struct tensor *tensor = decided_tensor(queue, kind, decision);
    struct request *request = tensor ? tensor->pending : NULL;
    if (request && decision->type == RECORD_RUN) {
        ronde__signature_copy(&tensor->agreed, &request->signature);
        if (tensor->id == NO_ID && decision->id != NO_ID &&
            !keep_number(queue, tensor, decision->id))
            request = NULL;
    }
    pthread_mutex_unlock(&queue->lock);
    return request;
}

void ronde__queue_miss(struct queue *queue, const struct record *run)
{
    pthread_mutex_lock(&queue->lock);
    struct tensor *tensor = decided_tensor(queue, run->kind, run);
    if (tensor)
        tensor->agreed = run->signature;
    if (tensor)
        tensor->batch = NO_ID;
    pthread_mutex_unlock(&queue->lock);
}

void ronde__queue_enter_batch(struct queue *queue, const uint32_t *ids, uint32_t n, uint32_t batch)
{
    pthread_mutex_lock(&queue->lock);
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] < queue->id_room && queue->by_id[ids[i]])
            queue->by_id[ids[i]]->batch = batch;
    pthread_mutex_unlock(&queue->lock);
}

static struct request *match_batch_locked(struct queue *queue, const uint32_t *ids, uint32_t n)
{
    struct request *first = NULL, **link = &first;
    for (uint32_t i = 0; i < n; i++) {
        struct tensor *tensor = ids[i] < queue->id_room ? queue->by_id[ids[i]] : NULL;
        struct request *request = tensor ? tensor->pending : NULL;
        if (!request)
            return NULL;
        request->last_of_bin = 0;
        *link = request;
        link = &request->next;
    }
    *link = NULL;
    return first;
}

struct request *ronde__queue_match_batch(struct queue *queue, const uint32_t *ids, uint32_t n)
{
    pthread_mutex_lock(&queue->lock);
    struct request *first = match_batch_locked(queue, ids, n);
    pthread_mutex_unlock(&queue->lock);
    return first;
}

void ronde__queue_finish_bin(struct queue *queue, struct request *first)
{
    pthread_mutex_lock(&queue->lock);
    for (struct request *r = first;; r = r->next) {
        if (!r->ghost)
            unname_locked(queue, r);
        if (r->last_of_bin)
            break;
    }
    pthread_mutex_unlock(&queue->lock);
}

void ronde__queue_finish(struct queue *queue, struct request *request)
{
    pthread_mutex_lock(&queue->lock);
    unname_locked(queue, request);
    pthread_mutex_unlock(&queue->lock);
}

void ronde__queue_shut(struct queue *queue, int32_t status, const char *text)
{
    pthread_mutex_lock(&queue->lock);
    if (!queue->closed) {
        queue->closed = status;
        queue->closed_text = strdup(text);
    }
    pthread_mutex_unlock(&queue->lock);
}

struct request *ronde__queue_any(struct queue *queue, int undecided)
{
    struct request *found = NULL;
    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < queue->buckets && !found; i++)
        for (struct tensor *tensor = queue->bucket[i]; tensor && !found;
             tensor = tensor->next_of_hash)
            if (tensor->pending && !tensor->pending->finished &&
                !(undecided && tensor->pending->decided))
                found = tensor->pending;
    pthread_mutex_unlock(&queue->lock);
    return found;
}
