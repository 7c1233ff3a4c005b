/* Following decisions: the same ones in the same order on every rank of the set. */
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

/* ---- running --------------------------------------------------------------------------------- */

static int is_absent(const struct record *run, int rank)
{
    for (uint32_t i = 0; i < run->absent_words; i++)
        if (ronde__record_word(run->absent, i) == (uint64_t)rank)
            return 1;
    return 0;
}

/* This rank has joined, but all must take part. */
static struct request *make_ghost(const struct record *run)
{
    struct request *ghost = calloc(1, sizeof(*ghost));
    if (!ghost) {
        ronde__fail(RONDE_ERR_MEMORY, "no memory for a part in '%s'",
                    ronde__short_name(run->name, run->name_bytes).text);
        return NULL;
    }
    ghost->ghost = 1;
    ghost->signature = run->signature;
    ghost->announced = 1;
    if (run->kind == KIND_ALLREDUCE || run->kind == KIND_REDUCE ||
        run->kind == KIND_REDUCESCATTER || run->kind == KIND_BROADCAST)
        ghost->count = ronde__signature_count(&run->signature);
    ghost->allocate = 1;
    return ghost;
}

static int32_t keep_present(struct set *set, struct request *request, const struct record *run)
{
    size_t size = (size_t)set->net->size;
    request->present = malloc(size);
    if (!request->present)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to list who contributes");
    memset(request->present, 1, size);
    for (uint32_t i = 0; i < run->absent_words; i++) {
        uint64_t rank = ronde__record_word(run->absent, i);
        if (rank < size)
            request->present[rank] = 0;
    }
    return RONDE_OK;
}

static int32_t keep_rows(struct set *set, struct request *request, const struct record *run)
{
    if (run->row_words != (uint32_t)set->net->size)
        return ronde__fail(RONDE_ERR_SYSTEM, "rows of %u ranks for %d", run->row_words,
                           set->net->size);
    request->all_rows = malloc(run->row_words * sizeof(uint64_t));
    if (!request->all_rows)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the rows of %u ranks", run->row_words);
    memcpy(request->all_rows, run->rows, run->row_words * sizeof(uint64_t));
    return RONDE_OK;
}

static void record_negotiation(struct set *set, struct request *r)
{
    if (!set->c->timeline || !r->submitted_ns)
        return;
    struct timeline_event event = ronde__set_event(set, r);
    event.phase = TIMELINE_NEGOTIATE;
    event.begin_ns = r->submitted_ns;
    event.end_ns = r->decided_ns = ronde__now_ns();
    ronde__timeline_record(set->c->timeline, &event);
}

static void append(struct set *set, struct request *request)
{
    request->decided = 1;
    record_negotiation(set, request);
    request->next = NULL;
    set->whole_bins += request->last_of_bin;
    *(set->bins_last ? &set->bins_last->next : &set->bins) = request;
    set->bins_last = request;
}

static int32_t missing(const struct record *run)
{
    return ronde__fail(RONDE_ERR_SYSTEM,
                       "told to run '%s' (number %u), which is not outstanding "
                       "here",
                       ronde__short_name(run->name, run->name_bytes).text, run->id);
}

static int32_t follow_tensor(struct set *set, const struct record *run)
{
    /* Of that name this rank may still have a use from before it joined, which is decided and waits to
     * run. */
    int absent = is_absent(run, set->net->rank);
    struct request *request = absent ? NULL : ronde__queue_match(&set->queue, run->kind, run);
    int32_t status = RONDE_OK;
    if (absent) {
        ronde__queue_miss(&set->queue, run);
        request = make_ghost(run);
        status = request ? RONDE_OK : RONDE_ERR_MEMORY;
    } else if (!request) {
        return missing(run);
    }
    if (!status && run->absent_words)
        status = keep_present(set, request, run);
    if (!status && run->row_words)
        status = keep_rows(set, request, run);
    if (status)
        return status;
    request->algorithm = run->algorithm;
    request->last_of_bin = run->flags & RECORD_LAST ? 1 : 0;
    append(set, request);
    return RONDE_OK;
}

/* Both ends, where they are here. */
static int32_t follow_pair(struct set *set, const struct record *run)
{
    int32_t status = RONDE_OK;
    for (int kind = KIND_SEND; kind <= KIND_RECV && status >= 0; kind++) {
        struct request *request = ronde__queue_match(&set->queue, kind, run);
        if (request) {
            request->decided = 1;
            record_negotiation(set, request);
            status = ronde__transfer_start(set, request);
        }
    }
    return status < 0 ? status : RONDE_OK;
}

static int32_t follow_at_once(struct set *set, const struct record *run)
{
    struct request *request = ronde__queue_match(&set->queue, run->kind, run);
    if (request && request->last_rank && run->kind == KIND_JOIN && run->rank >= 0 &&
        run->rank < set->net->size)
        *request->last_rank = set->global[run->rank];
    if (run->kind == KIND_JOIN)
        ronde__queue_renumber(&set->queue);
    if (request) {
        record_negotiation(set, request);
        ronde__set_complete(set, request, RONDE_OK, NULL);
    }
    return RONDE_OK;
}

static int is_closing(const struct record *run)
{
    return run->kind == KIND_ALLGATHER && run->name_bytes == sizeof(COORDINATOR_CLOSING) - 1 &&
           memcmp(run->name, COORDINATOR_CLOSING, run->name_bytes) == 0;
}

static int32_t follow_run(struct set *set, const struct record *run)
{
    int32_t status = ronde__batches_follow(&set->batches, run->id, run->flags & RECORD_LAST,
                                           run->batch);
    if (status)
        return status;
    if (run->flags & RECORD_LAST)
        atomic_fetch_add_explicit(&set->c->counts.negotiated, 1, memory_order_relaxed);
    if (run->kind == KIND_SEND)
        return follow_pair(set, run);
    if (run->kind == KIND_JOIN || run->kind == KIND_BARRIER)
        return follow_at_once(set, run);
    status = follow_tensor(set, run);
    if (!status && run->flags & RECORD_LAST)
        ronde__queue_enter_batch(&set->queue, set->batches.ids, set->batches.id_count,
                                 ronde__batches_get(&set->batches, run->batch) ? run->batch
                                                                               : NO_ID);
    if (!status && is_closing(run)) /* what is not decided by now never will be */
        ronde__set_end(set, 1, RONDE_ERR_CLOSED,
                       "all ranks close the context, and some have not submitted this");
    return status;
}

static int32_t follow_run_batch(struct set *set, const struct record *run)
{
    struct batch *batch = ronde__batches_get(&set->batches, run->id);
    struct request *first = batch ? ronde__queue_match_batch(&set->queue, batch->ids, batch->count)
                                  : NULL;
    if (!first)
        return missing(run);
    for (struct request *r = first, *next; r; r = next) {
        next = r->next;
        r->last_of_bin = !next;
        r->algorithm = run->algorithm;
        append(set, r);
    }
    return RONDE_OK;
}

/* ---- failing --------------------------------------------------------------------------------- */

static void unlink_unannounced(struct set *set, const struct request *request)
{
    struct request **link = &set->to_announce;
    while (*link && *link != request)
        link = &(*link)->next;
    if (*link)
        *link = request->next;
}

/* The request and the rest of its group. */
static void fail_group(struct set *set, struct request *request, int32_t status, const char *text)
{
    struct request *mate = request->mates, *next;
    for (; mate && mate != request; mate = next) {
        next = mate->mates;
        if (!mate->announced)
            unlink_unannounced(set, mate);
        ronde__set_complete(set, mate, status, text);
    }
    ronde__set_complete(set, request, status, text);
}

/* An error may name a tensor that this rank has not submitted; or not announced, or announced anew
 * since: then its announcement says that it has seen this decision, and counts; or one that is decided
 * and waits to run here, while another rank, through with it, has stalled on its next use. */
static int32_t follow_error(struct set *set, const struct record *error)
{
    int last = error->kind == KIND_SEND ? KIND_RECV : error->kind;
    for (int kind = error->kind; kind <= last; kind++) {
        struct request *request = ronde__queue_match(&set->queue, kind, error);
        if (!request || !request->announced || request->decided ||
            request->announced_seen > error->seen)
            continue;
        char *text = ronde__text("%.*s", (int)error->text_bytes, error->text);
        fail_group(set, request, error->status, text ? text : "no memory for the text");
        free(text);
    }
    return RONDE_OK;
}

static int32_t follow_record(struct set *set, const void *place, size_t bytes)
{
    struct record record;
    if (!ronde__record_read(&record, place, bytes) || record.type < RECORD_RUN ||
        record.type > RECORD_ERROR)
        return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from the leader are no decision", bytes);
    set->decisions++;
    if (set->c->lamport < record.lamport)
        set->c->lamport = record.lamport;
    set->c->lamport++;
    if (record.type == RECORD_RUN)
        return follow_run(set, &record);
    if (record.type == RECORD_RUN_BATCH)
        return follow_run_batch(set, &record);
    return follow_error(set, &record);
}

int32_t ronde__set_follow(struct set *set)
{
    int32_t said = RONDE__IDLE;
    size_t bytes, made_room = 0;
    const void *place;
    uint32_t me = (uint32_t)set->net->local_rank;
    while ((place = ronde__ring_peek(set->link.down, me, &bytes))) {
        int32_t status = follow_record(set, place, bytes);
        ronde__ring_pass(set->link.down, me);
        made_room += bytes;
        said = RONDE__MOVED;
        if (status)
            return status;
    }
    if (made_room >= LINK_MUCH_BYTES && !set->leader)
        ronde__bell_ring(set->bells[0]);
    return said;
}
