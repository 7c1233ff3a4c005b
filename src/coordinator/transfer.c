#include "coordinator/transfer.h"

#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/dtype.h"
#include "base/status.h"
#include "coordinator/coordinator.h"
#include "coordinator/set.h"

/* A quarter of a core's second-level cache: two of them and the copy's other side stay there. */
enum { CHUNK_BYTES = 256 << 10 };

size_t ronde__transfers_bytes(const struct net *net)
{
    return (size_t)net->local_size * (size_t)net->local_size * sizeof(struct mailbox);
}

int32_t ronde__transfer_start(struct set *set, struct request *request)
{
    struct transfers *all = &set->transfers;
    struct transfer *t = calloc(1, sizeof(*t));
    if (!t)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a transfer");
    t->request = request;
    t->sends = request->signature.kind == KIND_SEND;
    t->peer = (int)request->peer;
    t->bytes = request->count * ronde_dtype_bytes(request->signature.dtype);
    *(all->last ? &all->last->next : &all->first) = t;
    all->last = t;
    return RONDE__MOVED;
}

static struct mailbox *box_of(const struct set *set, const struct transfer *t)
{
    int peer = set->net->local_rank_of[t->peer], me = set->net->local_rank;
    size_t from = (size_t)(t->sends ? me : peer), to = (size_t)(t->sends ? peer : me);
    return &set->transfers.boxes[from * (size_t)set->net->local_size + to];
}

static int is_near(const struct set *set, const struct transfer *t)
{
    return set->net->node_of[t->peer] == set->net->node;
}

static void ring_peer(const struct set *set, const struct transfer *t)
{
    ronde__bell_ring(set->bells[set->net->local_rank_of[t->peer]]);
}

/* ---- inside the node ------------------------------------------------------------------------- */

/* Data in the arena go as one chunk; others by chunks through a stage there. RONDE__IDLE: no room. */
static int32_t start_near(struct set *set, struct transfer *t)
{
    t->chunk_bytes = t->bytes < CHUNK_BYTES ? t->bytes : CHUNK_BYTES;
    if (t->sends) {
        struct arena *arena = set->c->arena;
        int in_arena = ronde__arena_offset(arena, t->request->in, t->bytes) != ARENA_NOWHERE;
        void *stage = NULL;
        if (!in_arena && ronde__arena_take(arena, 2 * t->chunk_bytes, &stage))
            return RONDE__IDLE; /* others may give some back; a stall says so if not */
        t->stage = stage;
    }
    t->chunks = (t->bytes + t->chunk_bytes - 1) / t->chunk_bytes;
    t->started = 1;
    return RONDE__MOVED;
}

static size_t chunk_length(const struct transfer *t)
{
    size_t at = (size_t)t->done * t->chunk_bytes, left = t->bytes - at;
    return left < t->chunk_bytes ? left : t->chunk_bytes;
}

static int32_t send_near(struct set *set, struct transfer *t)
{
    struct mailbox *box = box_of(set, t);
    uint64_t posted = atomic_load_explicit(&box->posted, memory_order_relaxed);
    /* pairs with the release in receive_near: a chunk taken may be overwritten */
    uint64_t taken = atomic_load_explicit(&box->taken, memory_order_acquire);
    if (t->done == t->chunks) {
        if (taken < posted)
            return RONDE__IDLE;
        if (t->stage)
            ronde__arena_give(set->c->arena, t->stage);
        return RONDE__DONE;
    }
    if (posted - taken == 2)
        return RONDE__IDLE;
    const char *from = (const char *)t->request->in + t->done * t->chunk_bytes;
    if (t->stage) {
        char *place = t->stage + t->done % 2 * t->chunk_bytes;
        memcpy(place, from, chunk_length(t));
        from = place;
    }
    box->offset[posted % 2] = ronde__arena_offset(set->c->arena, from, 1);
    t->done++;
    /* pairs with the acquire in receive_near */
    atomic_store_explicit(&box->posted, posted + 1, memory_order_release);
    ring_peer(set, t);
    return RONDE__MOVED;
}

static int32_t receive_near(struct set *set, struct transfer *t)
{
    struct mailbox *box = box_of(set, t);
    if (t->done == t->chunks)
        return RONDE__DONE;
    uint64_t taken = atomic_load_explicit(&box->taken, memory_order_relaxed);
    if (atomic_load_explicit(&box->posted, memory_order_acquire) == taken)
        return RONDE__IDLE;
    int part = set->lobby_ranks[set->net->local_rank_of[t->peer]];
    memcpy((char *)t->request->out + t->done * t->chunk_bytes,
           ronde__arena_at(set->c->arena, part, box->offset[taken % 2]), chunk_length(t));
    t->done++;
    atomic_store_explicit(&box->taken, taken + 1, memory_order_release);
    ring_peer(set, t);
    return RONDE__MOVED;
}

/* ---- to oneself, and between nodes ----------------------------------------------------------- */

/* The send waits for its receive, which then does it for both. */
static int32_t step_self(struct set *set, struct transfer *t)
{
    struct transfer *other = set->transfers.first;
    if (t->done)
        return RONDE__DONE;
    while (other && !(other->sends != t->sends && other->peer == t->peer &&
                      strcmp(other->request->tensor->name, t->request->tensor->name) == 0))
        other = other->next;
    if (!other || t->sends)
        return RONDE__IDLE;
    memcpy(t->request->out, other->request->in, t->bytes);
    other->done = 1;
    return RONDE__DONE;
}

static int32_t step_far(struct set *set, struct transfer *t)
{
    int done, tag = set->slot * TAGS_PER_SET + TAG_TRANSFER;
    int32_t status = RONDE_OK;
    if (!t->started)
        status = t->sends ? ronde__net_send(set->net, t->request->in, t->bytes, t->peer, tag,
                                            &t->message)
                          : ronde__net_recv(set->net, t->request->out, t->bytes, t->peer, tag,
                                            &t->message);
    if (status)
        return status;
    int32_t said = t->started ? RONDE__IDLE : RONDE__MOVED;
    t->started = 1;
    status = ronde__net_test(set->net, &t->message, &done);
    return status ? status : done ? RONDE__DONE : said;
}

static int32_t step_one(struct set *set, struct transfer *t)
{
    if (!t->bytes)
        return RONDE__DONE;
    if (t->peer == set->net->rank)
        return step_self(set, t);
    if (!is_near(set, t))
        return step_far(set, t);
    int32_t said = t->started ? RONDE__IDLE : start_near(set, t);
    if (!t->started)
        return said;
    return ronde__both(said, t->sends ? send_near(set, t) : receive_near(set, t));
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Does an earlier one go the same way? Then this one waits. */
static int is_blocked(const struct set *set, const struct transfer *t)
{
    const struct transfer *earlier = set->transfers.first;
    while (earlier != t && !(earlier->peer == t->peer && earlier->sends == t->sends))
        earlier = earlier->next;
    return earlier != t;
}

static void end_transfer(struct set *set, struct transfer *before, struct transfer *t)
{
    struct transfers *all = &set->transfers;
    *(before ? &before->next : &all->first) = t->next;
    if (all->last == t)
        all->last = before;
    ronde__set_complete(set, t->request, RONDE_OK, NULL);
    free(t);
}

int32_t ronde__transfers_step(struct set *set)
{
    int32_t all_said = RONDE__IDLE;
    set->transfers.on_wire = 0;
    struct transfer *before = NULL;
    for (struct transfer *t = set->transfers.first, *next; t; t = next) {
        next = t->next;
        int32_t said = is_blocked(set, t) ? RONDE__IDLE : step_one(set, t);
        if (said < 0)
            return said;
        if (said & RONDE__DONE) {
            end_transfer(set, before, t);
            all_said = RONDE__MOVED;
            continue;
        }
        set->transfers.on_wire |= !is_near(set, t);
        all_said |= said;
        before = t;
    }
    return all_said;
}

void ronde__transfers_drop(struct set *set)
{
    for (struct transfer *t = set->transfers.first, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    set->transfers.first = set->transfers.last = NULL;
}
