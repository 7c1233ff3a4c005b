/* Telling the node's leader what this rank has submitted. */
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

static int is_pair(const struct request *request)
{
    return request->signature.kind == KIND_SEND || request->signature.kind == KIND_RECV;
}

/* What it was last time, with nothing to say beside. */
static int is_as_agreed(const struct request *request)
{
    const struct tensor *tensor = request->tensor;
    return tensor->id != NO_ID && ronde__signature_equal(&tensor->agreed, &request->signature);
}

/* The word that this rank tells: its rows, or its weight. */
static uint64_t own_word(const struct request *request)
{
    uint64_t word = request->rows;
    if (ronde__signature_is_weighted(&request->signature))
        memcpy(&word, &request->weight, sizeof(word));
    return word;
}

static uint32_t deadline_ms(const struct request *request)
{
    double ms = request->deadline * 1000;
    return ms <= 0 ? 0 : ms >= INT32_MAX ? INT32_MAX : ms < 1 ? 1 : (uint32_t)ms;
}

/* By number where this is what it was last time, in full otherwise. */
static struct record announcement_of(struct set *set, const struct request *request,
                                     const uint64_t own[2])
{
    const struct tensor *tensor = request->tensor;
    int by_number = is_as_agreed(request);
    int tells = ronde__signature_has_rows(&request->signature) &&
                (request->signature.kind != KIND_SCATTER || request->words);
    struct record record = {
        .type = by_number ? RECORD_CACHED : RECORD_ANNOUNCE,
        .kind = is_pair(request) ? KIND_SEND : tensor->kind,
        .flags = (uint8_t)((tensor->cacheable ? RECORD_CACHEABLE : 0) |
                           (request->signature.kind == KIND_RECV ? RECORD_RECEIVES : 0)),
        .id = tensor->id,
        .rank = set->net->rank,
        .deadline_ms = deadline_ms(request),
        .seen = set->decisions,
        .lamport = ++set->c->lamport,
        .signature = request->signature,
        .name = tensor->name,
        .name_bytes = by_number ? 0 : tensor->name_bytes,
    };
    if (tells) {
        record.rows = request->words ? request->words : own;
        record.row_words = request->words ? 2 * (uint32_t)set->net->size : 2;
    }
    return record;
}

/* RONDE__IDLE: the ring is full, later. */
static int32_t put(struct set *set, const struct record *record)
{
    const size_t length_word = sizeof(uint32_t); /* the ring has its own */
    set->record.bytes = 0;
    ronde__record_write(&set->record, record);
    if (set->record.failed)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to announce a tensor");
    if (!ronde__ring_put(set->link.up[set->net->local_rank], set->record.data + length_word,
                         set->record.bytes - length_word))
        return RONDE__IDLE;
    return RONDE__MOVED;
}

static int32_t announce_one(struct set *set, struct request *request)
{
    const uint64_t own[2] = {(uint64_t)set->net->rank, own_word(request)};
    const struct record record = announcement_of(set, request, own);
    int32_t said = put(set, &record);
    if (said != RONDE__MOVED)
        return said;
    request->announced = 1;
    request->announced_seen = set->decisions;
    request->lamport = record.lamport;
    /* These the leader sees to even where it has nothing to do itself. */
    if (!set->leader && (is_pair(request) || request->signature.kind == KIND_JOIN))
        ronde__bell_ring(&set->c->lobby.of[set->lobby_ranks[0]].idle);
    atomic_fetch_add_explicit(&set->c->counts.announcements, 1, memory_order_relaxed);
    if (record.type == RECORD_CACHED)
        atomic_fetch_add_explicit(&set->c->counts.cached, 1, memory_order_relaxed);
    return RONDE__MOVED;
}

/* ---- batches --------------------------------------------------------------------------------- */

static struct batch *batch_of(struct set *set, const struct request *request)
{
    if (request->tensor->batch == NO_ID || request->deadline > 0 || !is_as_agreed(request))
        return NULL;
    return ronde__batches_get(&set->batches, request->tensor->batch);
}

static int32_t announce_batch(struct set *set, struct batch *batch)
{
    struct record record = {.type = RECORD_BATCH,
                            .id = batch->first->tensor->batch,
                            .rank = set->net->rank,
                            .seen = set->decisions,
                            .lamport = ++set->c->lamport};
    int32_t said = put(set, &record);
    if (said != RONDE__MOVED)
        return said;
    for (struct request *r = batch->first; r; r = r->next) {
        r->announced = 1;
        r->announced_seen = record.seen;
        r->lamport = record.lamport;
    }
    set->held -= batch->have;
    atomic_fetch_add_explicit(&set->c->counts.announcements, batch->have, memory_order_relaxed);
    atomic_fetch_add_explicit(&set->c->counts.cached, batch->have, memory_order_relaxed);
    atomic_fetch_add_explicit(&set->c->counts.batches, 1, memory_order_relaxed);
    batch->have = 0;
    batch->first = batch->last = NULL;
    return RONDE__MOVED;
}

static void hold(struct set *set, struct batch *batch, struct request *request)
{
    request->next = NULL;
    *(batch->last ? &batch->last->next : &batch->first) = request;
    batch->last = request;
    batch->have++;
    set->held++;
}

/* The rest does not come: one by one. */
static int32_t announce_held(struct set *set, struct batch *batch)
{
    int32_t said = RONDE__MOVED;
    while (batch->first && said == RONDE__MOVED) {
        struct request *request = batch->first, *next = request->next;
        said = announce_one(set, request);
        if (said != RONDE__MOVED)
            break;
        batch->first = next;
        batch->have--;
        set->held--;
    }
    if (!batch->first)
        batch->last = NULL;
    return said;
}

static int32_t announce_all_held(struct set *set)
{
    int32_t said = RONDE__MOVED;
    for (uint32_t i = 0; i < set->batches.count && set->held && said == RONDE__MOVED; i++) {
        struct batch *batch = ronde__batches_get(&set->batches, i);
        if (batch && batch->have)
            said = batch->have == batch->count ? announce_batch(set, batch)
                                               : announce_held(set, batch);
    }
    return said;
}

void ronde__set_let_go(struct set *set)
{
    for (uint32_t i = 0; i < set->batches.count && set->held; i++) {
        struct batch *batch = ronde__batches_get(&set->batches, i);
        if (batch) {
            set->held -= batch->have;
            batch->have = 0;
            batch->first = batch->last = NULL;
        }
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

/* RONDE__IDLE: the ring is full. */
static int32_t announce_next(struct set *set)
{
    struct request *request = set->to_announce, *next = request->next;
    struct batch *batch = batch_of(set, request);
    int32_t said = RONDE__MOVED;
    /* What was submitted before a join, or before closing, must be known before it. */
    if (set->held && !batch && !request->tensor->cacheable)
        said = announce_all_held(set);
    if (said != RONDE__MOVED)
        return said;
    if (!batch) {
        said = announce_one(set, request); /* once announced, it may be decided */
        if (said == RONDE__MOVED)
            set->to_announce = next;
        return said;
    }
    hold(set, batch, request);
    set->to_announce = next;
    return batch->have == batch->count ? announce_batch(set, batch) : said;
}

/* Nobody comes any more who would make the batches whole: who waits does not submit, and who has not
 * submitted for a while computes. */
static int holds_in_vain(struct set *set)
{
    if (atomic_load_explicit(&set->c->callers, memory_order_relaxed))
        return 1;
    return ronde__now_ns() - set->held_ns > SET_HOLD_NS;
}

int32_t ronde__set_announce(struct set *set)
{
    int32_t moved = RONDE__IDLE, said = RONDE__MOVED;
    if (!set->to_announce)
        set->to_announce = ronde__queue_take(&set->queue);
    if (set->to_announce) {
        while (set->to_announce && said == RONDE__MOVED) {
            said = announce_next(set);
            moved |= said == RONDE__MOVED; /* not where the ring was full */
        }
        if (set->held)
            set->held_ns = ronde__now_ns();
    }
    uint32_t held = set->held;
    if (held && said == RONDE__MOVED && holds_in_vain(set)) {
        said = announce_all_held(set);
        moved |= set->held < held;
    }
    if (moved && !set->leader)
        ronde__bell_ring(set->bells[0]);
    return said < 0 ? said : moved;
}
