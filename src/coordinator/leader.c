#include "coordinator/leader.h"

#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "fusion/plan.h"

/* Nodes form a binary tree by number: the parent of node n is (n - 1) / 2. A node's leader is its
 * local rank 0. */
static void find_family(struct leader *leader)
{
    struct net *net = leader->at.net;
    leader->is_root = net->node == 0;
    leader->parent = ronde__net_rank_at(net, leader->is_root ? 0 : (net->node - 1) / 2, 0);
    for (int node = 2 * net->node + 1; node <= 2 * net->node + 2 && node < net->nodes; node++)
        leader->child[leader->children++] = ronde__net_rank_at(net, node, 0);
}

/* The local rank, or the child in whose subtree the rank's node is. */
static int contributor_of(const struct leader *leader, int rank)
{
    const struct net *net = leader->at.net;
    int node = net->node_of[rank];
    if (node == net->node)
        return net->local_rank_of[rank];
    for (; node > net->node; node = (node - 1) / 2)
        for (int i = 0; i < leader->children; i++)
            if (node == net->node_of[leader->child[i]])
                return net->local_size + i;
    return -1;
}

int32_t ronde__leader_open(struct leader *leader, const struct leader_place *place)
{
    struct net *net = place->net;
    *leader = (struct leader){.at = *place};
    find_family(leader);
    leader->contributor_of = calloc((size_t)net->size, sizeof(*leader->contributor_of));
    leader->text = malloc(STALL_TEXT_BYTES);
    if (!leader->contributor_of || !leader->text)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to lead a node of %d ranks",
                           net->local_size);
    for (int rank = 0; rank < net->size; rank++)
        leader->contributor_of[rank] = contributor_of(leader, rank);
    const struct family family = {.contributors = net->local_size + leader->children,
                                  .size = net->size,
                                  .contributor_of = leader->contributor_of,
                                  .global = place->global,
                                  .is_root = leader->is_root};
    return ronde__negotiation_open(&leader->negotiation, &family, place->settings->cache_capacity);
}

void ronde__leader_close(struct leader *leader)
{
    ronde__negotiation_close(leader->negotiation);
    ronde__batches_close(&leader->batches);
    ronde__writer_free(&leader->up);
    ronde__writer_free(&leader->down);
    ronde__writer_free(&leader->mail);
    for (size_t i = 0; i < leader->held_count; i++)
        free(leader->held[i].entry);
    free(leader->held);
    free(leader->contributor_of);
    free(leader->ready);
    free(leader->ready_batches);
    free(leader->items);
    free(leader->bin_of);
    free(leader->sorted);
    free(leader->bin_from);
    free(leader->rows.word);
    free(leader->text);
}

int32_t ronde__leader_room(struct leader *leader, size_t count)
{
    if (count > leader->rows.room) {
        uint64_t *grown = realloc(leader->rows.word, count * sizeof(*grown));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu words of a decision", count);
        leader->rows.word = grown;
        leader->rows.room = count;
    }
    if (count)
        memset(leader->rows.word, 0, count * sizeof(uint64_t));
    return RONDE_OK;
}

/* ---- upwards --------------------------------------------------------------------------------- */

/* Do all local ranks wait, and all subtrees below? Then nobody is about to submit more. */
int ronde__leader_subtree_waits(const struct leader *leader)
{
    for (int rank = 0; rank < leader->at.net->local_size; rank++)
        if (!atomic_load_explicit(&leader->at.lobby->of[leader->at.lobby_ranks[rank]].waiting,
                                  memory_order_relaxed))
            return 0;
    return leader->child_waits == (1u << leader->children) - 1;
}

static void write_up(struct leader *leader, struct record *record)
{
    record->waiting = (uint32_t)ronde__leader_subtree_waits(leader);
    record->lamport = ++*leader->at.lamport;
    ronde__record_write(&leader->up, record);
}

int32_t ronde__leader_completed(struct leader *leader, struct entry *entry, int64_t now)
{
    if (leader->is_root)
        return ronde__leader_make_ready(leader, entry, now);
    struct record up = ronde__negotiation_up(entry, now);
    up.seen = leader->decisions; /* what these have made void is not in it any more */
    write_up(leader, &up);
    return RONDE_OK;
}

/* A rank has joined: what waited for it alone is complete now. That goes up before the news. */
static int32_t take_join(struct leader *leader, struct record *record, int64_t now)
{
    struct negotiation *n = leader->negotiation;
    /* Joined ranks announce no batches, so others' are whole no more. */
    int32_t status = ronde__leader_spread_old_batches(leader, now, -1);
    if (!ronde__negotiation_joined(n))
        leader->join_reported = 0;
    ronde__negotiation_join(n, record->rank);
    leader->last_joined = record->rank;
    for (struct entry *e = ronde__negotiation_oldest(n); e && !status; e = e->later) {
        int completes;
        status = ronde__negotiation_completes(n, e, &completes);
        if (!status && completes)
            status = ronde__leader_completed(leader, e, now);
    }
    if (status || leader->is_root)
        return status;
    write_up(leader, record);
    return RONDE_OK;
}

/* No more rows than ranks can tell; the joined ranks are the contributor's own. */
static int32_t check_words(const struct leader *leader, int contributor,
                           const struct record *record)
{
    uint32_t size = (uint32_t)leader->at.net->size, below = 0;
    int fit = record->row_words <= (record->type == RECORD_PARTIAL ? size : 2 * size);
    for (uint32_t rank = 0; rank < size && record->absent_words; rank++)
        below += leader->contributor_of[rank] == contributor;
    fit &= record->absent_words <= below;
    for (uint32_t i = 0; i < record->absent_words && fit; i++) {
        uint64_t rank = ronde__record_word(record->absent, i);
        fit = rank < size && leader->contributor_of[rank] == contributor;
    }
    return fit ? RONDE_OK
               : ronde__fail(RONDE_ERR_SYSTEM, "%u rows and %u joined ranks from rank %d of %u",
                             record->row_words, record->absent_words, record->rank, size);
}

static int32_t take_record(struct leader *leader, int contributor, struct record *record,
                           int64_t now)
{
    if (record->rank < 0 || record->rank >= leader->at.net->size ||
        leader->contributor_of[record->rank] != contributor)
        return ronde__fail(RONDE_ERR_SYSTEM, "an announcement of rank %d of %d from contributor %d",
                           record->rank, leader->at.net->size, contributor);
    int32_t status = check_words(leader, contributor, record);
    if (status)
        return status;
    if (*leader->at.lamport < record->lamport)
        *leader->at.lamport = record->lamport;
    if (record->type == RECORD_BATCH)
        return ronde__leader_take_batch(leader, contributor, record, now);
    if (record->kind == KIND_JOIN)
        return take_join(leader, record, now);
    if (record->kind == KIND_SEND && !leader->is_root) {
        write_up(leader, record);
        return RONDE_OK;
    }
    struct entry *entry, *complete;
    status = ronde__negotiation_open_entry(leader->negotiation, record, &entry);
    /* Those who have announced its batch have announced it. */
    struct batch *batch = status ? NULL : ronde__batches_get(&leader->batches, entry->batch);
    if (batch && batch->announced)
        status = ronde__leader_spread_batch(leader, batch, now);
    if (batch)
        batch->split = 1;
    if (!status)
        status = ronde__negotiation_add(leader->negotiation, contributor, entry, record, now,
                                        &complete);
    return status || !complete ? status : ronde__leader_completed(leader, complete, now);
}

static int32_t take_announcement(struct leader *leader, int contributor, const void *bytes,
                                 size_t n, int64_t now)
{
    struct record record;
    if (!ronde__record_read(&record, bytes, n) || record.type > RECORD_PARTIAL)
        return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from contributor %d are no announcement", n,
                           contributor);
    int child = contributor - leader->at.net->local_size;
    if (child >= 0)
        leader->child_waits = (leader->child_waits & ~(1u << child)) |
                              (uint32_t)(record.waiting != 0) << child;
    return take_record(leader, contributor, &record, now);
}

static void ring_local(struct leader *leader, int rank)
{
    ronde__bell_ring(leader->at.lobby->named[leader->at.lobby_ranks[rank]]);
}

static int32_t gather_local(struct leader *leader, int64_t now)
{
    int32_t said = RONDE__IDLE;
    for (int rank = 0; rank < leader->at.net->local_size; rank++) {
        size_t n, made_room = 0;
        const void *record;
        while ((record = ronde__ring_peek(leader->at.link->up[rank], 0, &n))) {
            int32_t status = take_announcement(leader, rank, record, n, now);
            if (status)
                return status;
            ronde__ring_pass(leader->at.link->up[rank], 0);
            made_room += n;
            said = RONDE__MOVED;
        }
        if (made_room >= LINK_MUCH_BYTES && rank != leader->at.net->local_rank)
            ring_local(leader, rank);
    }
    if (said)
        leader->arrived_ns = now;
    return said;
}

/* ---- the network ----------------------------------------------------------------------------- */

/* Posts records to a leader, with the head that says whose they are. */
static int32_t post(struct leader *leader, int to, const char *records, size_t bytes)
{
    struct writer *mail = &leader->mail;
    const struct message_head head = {.set = leader->at.set};
    size_t needed = sizeof(head) + bytes;
    if (needed > mail->room) {
        char *grown = realloc(mail->data, needed);
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for a message of %zu bytes", needed);
        mail->data = grown;
        mail->room = needed;
    }
    memcpy(mail->data, &head, sizeof(head));
    memcpy(mail->data + sizeof(head), records, bytes);
    return ronde__net_post(leader->at.net, to, mail->data, needed);
}

static int32_t send_up(struct leader *leader)
{
    struct writer *up = &leader->up;
    if (up->failed)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for announcements to rank %d",
                           leader->at.global[leader->parent]);
    if (!up->bytes)
        return RONDE__IDLE;
    int32_t status = post(leader, leader->parent, up->data, up->bytes);
    up->bytes = 0;
    return status ? status : RONDE__MOVED;
}

/* ---- downwards ------------------------------------------------------------------------------- */

static int32_t follow_batch(struct leader *leader, uint32_t number)
{
    struct batch *batch = ronde__batches_get(&leader->batches, number);
    if (!batch)
        return ronde__fail(RONDE_ERR_SYSTEM, "told to run batch %u, which is none", number);
    for (uint32_t i = 0; i < batch->count && !batch->announced; i++) {
        struct entry *entry = ronde__negotiation_by_number(leader->negotiation, batch->ids[i]);
        if (entry)
            ronde__negotiation_ran(leader->negotiation, entry);
    }
    ronde__batch_reset(&leader->batches, batch, leader->at.net->local_size + leader->children);
    return RONDE_OK;
}

/* The tensors of a bin that has run belong to its batch from now on, or to none. */
static void enter_batch(struct leader *leader, const struct record *run)
{
    struct batch *batch = ronde__batches_get(&leader->batches, run->batch);
    if (!(run->flags & RECORD_LAST))
        return;
    if (batch) {
        batch->split = 0;
        batch->bytes = 0; /* shapes may have changed */
        batch->together = 0;
    }
    for (uint32_t i = 0; i < leader->batches.id_count; i++) {
        struct entry *entry = ronde__negotiation_by_number(leader->negotiation,
                                                           leader->batches.ids[i]);
        if (entry)
            entry->batch = batch ? run->batch : NO_ID;
    }
}

/* What is decided of one tensor takes the tally of its batch apart. */
static int32_t spread_decided(struct leader *leader, const struct record *decision)
{
    const struct entry *entry = decision->name_bytes
                                    ? ronde__negotiation_find(leader->negotiation, decision->kind,
                                                              decision->name, decision->name_bytes)
                                    : ronde__negotiation_by_number(leader->negotiation,
                                                                   decision->id);
    struct batch *batch = entry ? ronde__batches_get(&leader->batches, entry->batch) : NULL;
    /* A failure may make void what is on its way here: each contributor's is looked at by itself. */
    if (batch && decision->type == RECORD_ERROR)
        batch->split = 1;
    return batch && batch->announced ? ronde__leader_spread_batch(leader, batch, batch->since_ns)
                                     : RONDE_OK;
}

/* Those whose tallies a failure has ended are complete no more. */
static void drop_incomplete(struct leader *leader)
{
    size_t ready = 0;
    for (size_t i = 0; i < leader->ready_count; i++)
        if (leader->ready[i]->complete)
            leader->ready[ready++] = leader->ready[i];
    leader->ready_count = ready;
    for (size_t i = 0; i < leader->held_count; i++) {
        struct held *held = &leader->held[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < held->count; k++)
            if (held->entry[k]->complete)
                held->entry[kept++] = held->entry[k];
        held->count = kept;
    }
}

static int32_t follow(struct leader *leader, const struct record *decision)
{
    if (decision->type == RECORD_RUN_BATCH)
        return follow_batch(leader, decision->id);
    if (decision->type == RECORD_RUN && decision->kind == KIND_JOIN) {
        ronde__negotiation_unjoin(leader->negotiation);
        return RONDE_OK;
    }
    int32_t status = spread_decided(leader, decision);
    if (!status && decision->type == RECORD_RUN)
        status = ronde__batches_follow(&leader->batches, decision->id,
                                       decision->flags & RECORD_LAST, decision->batch);
    if (!status)
        status = ronde__negotiation_follow(leader->negotiation, decision, leader->decisions);
    if (!status && decision->type == RECORD_RUN)
        enter_batch(leader, decision);
    if (decision->type == RECORD_ERROR)
        drop_incomplete(leader);
    return status;
}

/* What was announced in a group with the failing tensor fails too, for those as well who announced it
 * alone or in another group: on the others it has ended. */
static int32_t fail_mates(struct leader *leader, const struct record *failure)
{
    struct entry *mate = ronde__negotiation_next_mate(leader->negotiation);
    if (!mate)
        return RONDE_OK;
    char *text = ronde__text("%.*s", (int)failure->text_bytes, failure->text);
    if (!text)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to describe a mismatch");
    struct record error = ronde__record_error(mate->kind, mate->name, mate->name_bytes,
                                              failure->status, text);
    error.seen = failure->seen;
    error.flags = RECORD_VOIDS;
    int32_t status = ronde__leader_pass_down(leader, &error); /* which sees to the next */
    free(text);
    return status;
}

int32_t ronde__leader_pass_down(struct leader *leader, struct record *decision)
{
    if (*leader->at.lamport < decision->lamport)
        *leader->at.lamport = decision->lamport;
    decision->lamport = ++*leader->at.lamport;
    ronde__record_write(&leader->down, decision);
    leader->decisions++;
    if (leader->down.failed)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for decisions");
    int32_t status = follow(leader, decision);
    return !status && decision->type == RECORD_ERROR && leader->is_root
               ? fail_mates(leader, decision)
               : status;
}

static int32_t pass_on(struct leader *leader, int from, const char *message, size_t bytes)
{
    size_t at = 0, n;
    const char *place;
    while (ronde__record_next(message, bytes, &at, &place, &n)) {
        struct record record;
        if (!ronde__record_read(&record, place, n) || record.type < RECORD_RUN ||
            record.type > RECORD_ERROR)
            return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from rank %d are no decision", n,
                               leader->at.global[from]);
        uint32_t size = (uint32_t)leader->at.net->size;
        if ((record.row_words && record.row_words != size) || record.absent_words > size)
            return ronde__fail(RONDE_ERR_SYSTEM, "%u rows and %u joined ranks from rank %d of %u",
                               record.row_words, record.absent_words, leader->at.global[from],
                               size);
        int32_t status = ronde__leader_pass_down(leader, &record);
        if (status)
            return status;
    }
    return at == bytes ? RONDE_OK
                       : ronde__fail(RONDE_ERR_SYSTEM, "a decision from rank %d is cut off",
                                     leader->at.global[from]);
}

/* To the children at once; into the node's ring as far as there is room. */
static int32_t send_down(struct leader *leader)
{
    struct writer *down = &leader->down;
    const struct net *net = leader->at.net;
    if (!down->bytes)
        return RONDE__IDLE;
    size_t unsent = down->bytes - leader->down_sent;
    for (int i = 0; i < leader->children && unsent; i++) {
        int32_t status = post(leader, leader->child[i], down->data + leader->down_sent, unsent);
        if (status)
            return status;
    }
    leader->down_sent = down->bytes;
    size_t before = leader->down_at, at = before, n;
    const char *record;
    while (ronde__record_next(down->data, down->bytes, &at, &record, &n) &&
           ronde__ring_put(leader->at.link->down, record, n))
        leader->down_at = at;
    int moved = leader->down_at != before;
    /* A rank with nothing outstanding must read too, or the ring stays full. */
    for (int rank = 0; rank < net->local_size; rank++) {
        if (leader->down_at < down->bytes)
            ronde__bell_ring(&leader->at.lobby->of[leader->at.lobby_ranks[rank]].idle);
        if (rank != net->local_rank)
            ring_local(leader, rank);
    }
    if (leader->down_at == down->bytes)
        leader->down_at = leader->down_sent = down->bytes = 0;
    return moved ? RONDE__MOVED : RONDE__IDLE;
}

int32_t ronde__leader_take(struct leader *leader, int from, const char *message, size_t bytes)
{
    int64_t now = ronde__now_ns();
    int child = 0;
    while (child < leader->children && leader->child[child] != from)
        child++;
    if (child == leader->children && (leader->is_root || from != leader->parent))
        return ronde__fail(RONDE_ERR_SYSTEM, "a message of rank %d of the set, no neighbour", from);
    if (child == leader->children)
        return pass_on(leader, from, message, bytes);
    size_t at = 0, n;
    const char *record;
    while (ronde__record_next(message, bytes, &at, &record, &n)) {
        int32_t status = take_announcement(leader, leader->at.net->local_size + child, record, n,
                                           now);
        if (status)
            return status;
    }
    leader->arrived_ns = now;
    return at == bytes ? RONDE_OK
                       : ronde__fail(RONDE_ERR_SYSTEM, "an announcement from rank %d is cut off",
                                     leader->at.global[from]);
}

/* ---- the step -------------------------------------------------------------------------------- */

int ronde__leader_is_busy(const struct leader *leader)
{
    return ronde__negotiation_oldest(leader->negotiation) || leader->down.bytes ||
           leader->up.bytes || leader->batches.pending;
}

int32_t ronde__leader_step(struct leader *leader)
{
    int64_t now = ronde__now_ns();
    leader->nap_ns = 0;
    int32_t said = gather_local(leader, now);
    if (said >= 0)
        said = ronde__both(said, send_up(leader));
    if (said >= 0 && leader->is_root)
        said = ronde__both(said, ronde__leader_decide(leader, now));
    /* A failure takes its group off the table: never what is ready, which is decided soon. */
    if (said >= 0 && !leader->ready_count)
        said = ronde__both(said, ronde__leader_check_stalls(leader, now));
    if (said >= 0)
        said = ronde__both(said, send_up(leader));
    if (said >= 0)
        said = ronde__both(said, send_down(leader));
    return said;
}
