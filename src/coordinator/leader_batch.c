/* Batches on their way up: who has announced which whole (batch.h). */
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/status.h"
#include "coordinator/leader.h"

static int contributors(const struct leader *leader)
{
    return leader->at.net->local_size + leader->children;
}

static int32_t spread_one(struct leader *leader, struct batch *batch, int contributor, int64_t now)
{
    const struct record record = {.type = RECORD_CACHED, .rank = batch->rank, .seen = batch->seen};
    int32_t status = RONDE_OK;
    for (uint32_t i = 0; i < batch->count && !status; i++) {
        struct entry *entry = ronde__negotiation_by_number(leader->negotiation, batch->ids[i]);
        struct entry *complete = NULL;
        if (!entry)
            return ronde__fail(RONDE_ERR_SYSTEM, "a batch has number %u, which nobody was given",
                               batch->ids[i]);
        status = ronde__negotiation_add(leader->negotiation, contributor, entry, &record, now,
                                        &complete);
        if (!status && complete && !batch->sent)
            status = ronde__leader_completed(leader, complete, now);
    }
    return status;
}

int32_t ronde__leader_spread_batch(struct leader *leader, struct batch *batch, int64_t now)
{
    int32_t status = RONDE_OK;
    batch->announced = 0;
    batch->split = 1; /* who announces it late is not to wait until it is old again */
    leader->batches.pending--;
    for (int c = 0; c < contributors(leader) && !status; c++)
        if (batch->by[c]) {
            batch->by[c] = 0;
            status = spread_one(leader, batch, c, now);
        }
    batch->sent = 0;
    return status;
}

static int32_t complete(struct leader *leader, uint32_t number, struct batch *batch)
{
    if (leader->is_root) {
        uint32_t *grown = realloc(leader->ready_batches,
                                  (leader->ready_batch_count + 1) * sizeof(*grown));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory to list ready batches");
        leader->ready_batches = grown;
        grown[leader->ready_batch_count++] = number;
        batch->sent = 1; /* it runs whole, whatever comes in between */
        return RONDE_OK;
    }
    const struct record up = {.type = RECORD_BATCH,
                              .id = number,
                              .rank = batch->rank,
                              .seen = batch->seen,
                              .waiting = (uint32_t)ronde__leader_subtree_waits(leader),
                              .lamport = ++*leader->at.lamport};
    ronde__record_write(&leader->up, &up);
    batch->sent = 1;
    return RONDE_OK;
}

int32_t ronde__leader_take_batch(struct leader *leader, int contributor,
                                 const struct record *record, int64_t now)
{
    struct batch *batch = ronde__batches_get(&leader->batches, record->id);
    if (!batch)
        return ronde__fail(RONDE_ERR_SYSTEM, "rank %d announced batch %u, which is none",
                           record->rank, record->id);
    if (!batch->by)
        batch->by = calloc((size_t)contributors(leader), 1);
    if (!batch->by)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the tally of a batch");
    if (batch->by[contributor])
        return ronde__fail(RONDE_ERR_SYSTEM,
                           "batch %u was announced twice by the subtree of rank %d", record->id,
                           record->rank);
    if (!batch->announced) {
        batch->seen = UINT64_MAX;
        batch->rank = INT32_MAX;
        batch->since_ns = now;
        leader->batches.pending++;
    }
    batch->by[contributor] = 1;
    batch->seen = record->seen < batch->seen ? record->seen : batch->seen;
    batch->rank = record->rank < batch->rank ? record->rank : batch->rank;
    batch->announced++;
    /* Joined ranks announce no batch, and what has begun one by one goes on so. */
    if (ronde__negotiation_joined(leader->negotiation) || batch->split)
        return ronde__leader_spread_batch(leader, batch, now);
    return batch->announced == contributors(leader) ? complete(leader, record->id, batch)
                                                    : RONDE_OK;
}

/* What is measured is each tensor, as if it were decided by itself. */
static void note_batch(struct leader *leader, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count && ronde__tuner_listens(leader->at.tuner); i++) {
        const struct entry *entry = ronde__negotiation_by_number(leader->negotiation,
                                                                 batch->ids[i]);
        ronde__tuner_note(leader->at.tuner, leader->at.set, batch->ids[i],
                          ronde__signature_wire_bytes(&entry->agreed));
    }
}

static size_t batch_bytes(struct leader *leader, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count && !batch->bytes; i++)
        batch->bytes += ronde__signature_bytes(
            &ronde__negotiation_by_number(leader->negotiation, batch->ids[i])->agreed);
    return batch->bytes;
}

static int fit_together(struct leader *leader, struct batch *a, struct batch *b)
{
    const struct entry *x = ronde__negotiation_by_number(leader->negotiation, a->ids[0]);
    const struct entry *y = ronde__negotiation_by_number(leader->negotiation, b->ids[0]);
    return !(a->alone && b->alone) && a->count + b->count <= BIN_TENSORS &&
           batch_bytes(leader, a) + batch_bytes(leader, b) <=
               ronde__tuner_threshold(leader->at.tuner) &&
           ronde__leader_same_kin(leader, &x->agreed, &y->agreed);
}

/* Has the ready batch `i` a neighbour that its bin has room for, and that has had as much company? */
static int has_company(struct leader *leader, size_t i, int times)
{
    struct batch *one = ronde__batches_get(&leader->batches, leader->ready_batches[i]);
    for (size_t k = i ? i - 1 : 0; k < leader->ready_batch_count && k <= i + 1; k++) {
        struct batch *other = ronde__batches_get(&leader->batches, leader->ready_batches[k]);
        if (k != i && other->together >= times && fit_together(leader, one, other))
            return 1;
    }
    return 0;
}

/* Batches that keep becoming ready together are to be planned anew. The first bins are what happened
 * to be there; so they grow to what the ranks submit in one go. What is then no longer submitted in
 * one go falls apart by itself (announce.c). */
static int is_to_grow(struct leader *leader, size_t i)
{
    enum { TIMES = 3 };
    const struct batch *one = ronde__batches_get(&leader->batches, leader->ready_batches[i]);
    return one->together >= TIMES && has_company(leader, i, TIMES);
}

static void note_company(struct leader *leader)
{
    for (size_t i = 0; i < leader->ready_batch_count; i++) {
        struct batch *one = ronde__batches_get(&leader->batches, leader->ready_batches[i]);
        one->together = has_company(leader, i, 0) ? one->together + 1 : 0;
    }
}

/* What all have announced whole runs whole, unless its tensors are to be planned anew. */
int32_t ronde__leader_decide_batches(struct leader *leader, int64_t now)
{
    int32_t status = RONDE_OK;
    /* Who has joined since has announced the batch, and would count as absent. */
    int may_renew = !ronde__negotiation_joined(leader->negotiation);
    int renews = may_renew && ronde__tuner_renews(leader->at.tuner);
    note_company(leader);
    for (size_t i = 0; i < leader->ready_batch_count && !status; i++) {
        struct batch *batch = ronde__batches_get(&leader->batches, leader->ready_batches[i]);
        if (renews || (may_renew && is_to_grow(leader, i))) {
            batch->sent = 0; /* it does not run whole after all */
            status = ronde__leader_spread_batch(leader, batch, now);
            continue;
        }
        note_batch(leader, batch);
        const struct entry *entry = ronde__negotiation_by_number(leader->negotiation,
                                                                 batch->ids[0]);
        struct record run = {.type = RECORD_RUN_BATCH,
                             .algorithm = (uint8_t)ronde__leader_algorithm(leader, &entry->agreed),
                             .flags = RECORD_LAST,
                             .id = leader->ready_batches[i],
                             .batch = leader->ready_batches[i]};
        status = ronde__leader_pass_down(leader, &run);
    }
    leader->ready_batch_count = 0;
    return status ? status : RONDE__MOVED;
}

int32_t ronde__leader_spread_old_batches(struct leader *leader, int64_t now, int64_t age_ns)
{
    int32_t status = RONDE_OK;
    for (uint32_t i = 0; i < leader->batches.count && leader->batches.pending && !status; i++) {
        struct batch *batch = ronde__batches_get(&leader->batches, i);
        if (batch && batch->announced && !batch->sent && now - batch->since_ns > age_ns)
            status = ronde__leader_spread_batch(leader, batch, batch->since_ns);
    }
    return status;
}
