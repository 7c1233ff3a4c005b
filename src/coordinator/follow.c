/* What every rank does with the leader: announces its requests upwards, follows decisions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

/* ---- announcing ------------------------------------------------------------------------------ */

/* By number where this is what it was last time, in full otherwise. */
static struct record announcement_of(const struct coordinator *c, const struct request *request,
                                     const uint64_t rows[2])
{
    const struct tensor *tensor = request->tensor;
    int by_number = tensor->id != RECORD_NO_ID &&
                    ronde__signature_equal(&tensor->agreed, &request->signature);
    return (struct record){
        .type = by_number ? RECORD_CACHED : RECORD_ANNOUNCE,
        .kind = tensor->kind,
        .cacheable = tensor->cacheable,
        .id = tensor->id,
        .rank = c->net->rank,
        .seen = c->decisions,
        .signature = request->signature,
        .name = tensor->name,
        .name_bytes = by_number ? 0 : tensor->name_bytes,
        .rows = rows,
        .row_words = tensor->kind == KIND_ALLGATHER ? 2 : 0,
    };
}

/* RONDE__IDLE: the ring is full, later. */
static int32_t announce_one(struct coordinator *c, struct request *request)
{
    const uint64_t rows[2] = {(uint64_t)c->net->rank, request->rows};
    struct record record = announcement_of(c, request, rows);
    c->record.bytes = 0;
    ronde__record_write(&c->record, &record);
    if (c->record.failed)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to announce a tensor");
    const size_t length_word = sizeof(uint32_t); /* the ring has its own */
    if (!ronde__ring_put(c->link.up[c->net->local_rank], c->record.data + length_word,
                         c->record.bytes - length_word))
        return RONDE__IDLE;
    request->announced = 1;
    atomic_fetch_add_explicit(&c->counts.announcements, 1, memory_order_relaxed);
    if (record.type == RECORD_CACHED)
        atomic_fetch_add_explicit(&c->counts.cached, 1, memory_order_relaxed);
    return RONDE__MOVED;
}

int32_t ronde__coordinator_announce(struct coordinator *c)
{
    if (!c->to_announce)
        c->to_announce = ronde__queue_take(&c->queue);
    if (!c->to_announce)
        return RONDE__IDLE;
    int32_t said = RONDE__MOVED, moved = RONDE__IDLE;
    while (c->to_announce && said == RONDE__MOVED) {
        struct request *next = c->to_announce->next; /* once announced, it may be decided */
        said = announce_one(c, c->to_announce);
        if (said == RONDE__MOVED) {
            c->to_announce = next;
            moved = RONDE__MOVED;
        }
    }
    if (!c->leader)
        ronde__bell_ring(&c->communicator.node.slots.bells[0]);
    return said < 0 ? said : moved;
}

/* ---- following ------------------------------------------------------------------------------- */

static int32_t follow_run(struct coordinator *c, const struct record *run)
{
    struct request *request = ronde__queue_match(&c->queue, run);
    if (!request)
        return ronde__fail(RONDE_ERR_SYSTEM,
                           "told to run '%.*s' (number %u), which is not "
                           "outstanding here",
                           (int)run->name_bytes, run->name, run->id);
    request->last_of_bin = run->last;
    request->decided = 1;
    if (run->row_words) {
        if (run->row_words != (uint32_t)c->net->size)
            return ronde__fail(RONDE_ERR_SYSTEM, "rows of %u ranks for an allgather of %d",
                               run->row_words, c->net->size);
        request->all_rows = malloc(run->row_words * sizeof(uint64_t));
        if (!request->all_rows)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for the rows of an allgather");
        memcpy(request->all_rows, run->rows, run->row_words * sizeof(uint64_t));
    }
    request->next = NULL;
    c->whole_bins += run->last;
    *(c->bins_last ? &c->bins_last->next : &c->bins) = request;
    c->bins_last = request;
    return RONDE__MOVED;
}

static int32_t follow_error(struct coordinator *c, const struct record *error)
{
    struct request *request = ronde__queue_match(&c->queue, error);
    /* A stall may name a tensor that this rank has not submitted; or not announced: then its
     * announcement will say that it has seen this decision, and counts; or one that is decided and
     * waits to run here, while another rank, through with it, has stalled on its next use. */
    if (!request || !request->announced || request->decided)
        return RONDE__MOVED;
    char *text = ronde__text("%.*s", (int)error->text_bytes, error->text);
    ronde__coordinator_complete(c, request, error->status, text ? text : "no memory for the text");
    free(text);
    return RONDE__MOVED;
}

int32_t ronde__coordinator_follow(struct coordinator *c)
{
    int32_t said = RONDE__IDLE;
    size_t bytes, made_room = 0;
    const void *place;
    uint32_t me = (uint32_t)c->net->local_rank;
    while ((place = ronde__ring_peek(c->link.down, me, &bytes))) {
        struct record record;
        if (!ronde__record_read(&record, place, bytes))
            return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from the leader are no decision",
                               bytes);
        c->decisions++;
        said = RONDE__MOVED;
        if (record.type == RECORD_RUN)
            said = follow_run(c, &record);
        else
            said = follow_error(c, &record);
        ronde__ring_pass(c->link.down, me);
        made_room += bytes;
        if (said < 0)
            return said;
    }
    if (made_room >= LINK_MUCH_BYTES && !c->leader)
        ronde__bell_ring(&c->communicator.node.slots.bells[0]);
    return said;
}
