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
    struct net *net = leader->net;
    leader->is_root = net->node == 0;
    leader->parent = ronde__net_rank_at(net, leader->is_root ? 0 : (net->node - 1) / 2, 0);
    for (int node = 2 * net->node + 1; node <= 2 * net->node + 2 && node < net->nodes; node++)
        leader->child[leader->children++] = ronde__net_rank_at(net, node, 0);
}

int32_t ronde__leader_open(struct leader *leader, struct net *net, struct link *link,
                           struct bell *bells, const struct settings *settings,
                           const struct log *log, const struct select_table *select)
{
    *leader = (struct leader){.net = net,
                              .link = link,
                              .bells = bells,
                              .settings = settings,
                              .log = log,
                              .select = select};
    find_family(leader);
    leader->rows = calloc((size_t)net->size, sizeof(*leader->rows));
    leader->text = malloc(STALL_TEXT_BYTES);
    if (!leader->rows || !leader->text)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to lead a node of %d ranks",
                           net->local_size);
    return ronde__negotiation_open(&leader->negotiation, net->local_size + leader->children,
                                   net->size, settings->cache_capacity);
}

void ronde__leader_close(struct leader *leader)
{
    ronde__negotiation_close(leader->negotiation);
    ronde__writer_free(&leader->up);
    ronde__writer_free(&leader->down);
    free(leader->ready);
    free(leader->items);
    free(leader->bin_of);
    free(leader->rows);
    free(leader->text);
}

/* ---- upwards --------------------------------------------------------------------------------- */

static int32_t make_ready(struct leader *leader, struct entry *entry, int64_t now)
{
    if (!leader->ready_count)
        leader->ready_ns = now;
    if (leader->ready_count == leader->ready_room) {
        size_t room = leader->ready_room * 2 + 64;
        struct entry **ready = realloc(leader->ready, room * sizeof(struct entry *));
        leader->ready = ready ? ready : leader->ready;
        struct plan_item *items = realloc(leader->items, room * sizeof(*items));
        leader->items = items ? items : leader->items;
        int32_t *bin_of = realloc(leader->bin_of, room * sizeof(*bin_of));
        leader->bin_of = bin_of ? bin_of : leader->bin_of;
        if (!ready || !items || !bin_of)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory to list %zu ready tensors", room);
        leader->ready_room = room;
    }
    leader->ready[leader->ready_count++] = entry;
    leader->ready_bytes += ronde__signature_count(&entry->signature) *
                           ronde_dtype_bytes(entry->signature.dtype);
    return RONDE_OK;
}

/* Do all local ranks wait, and all subtrees below? Then nobody is about to submit more. */
int ronde__leader_subtree_waits(const struct leader *leader)
{
    for (int rank = 0; rank < leader->net->local_size; rank++)
        if (!atomic_load_explicit(&leader->link->of[rank].waiting, memory_order_relaxed))
            return 0;
    return leader->child_waits == (1u << leader->children) - 1;
}

static int32_t take_announcement(struct leader *leader, int contributor, const void *bytes,
                                 size_t n, int64_t now)
{
    struct record record;
    struct entry *complete;
    if (!ronde__record_read(&record, bytes, n) || record.type > RECORD_PARTIAL)
        return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from contributor %d are no announcement", n,
                           contributor);
    int child = contributor - leader->net->local_size;
    if (child >= 0)
        leader->child_waits = (leader->child_waits & ~(1u << child)) |
                              (uint32_t)(record.waiting != 0) << child;
    int32_t status = ronde__negotiation_add(leader->negotiation, contributor, &record, now,
                                            &complete);
    if (status || !complete)
        return status;
    if (leader->is_root)
        return make_ready(leader, complete, now);
    struct record up = ronde__negotiation_up(complete);
    up.waiting = (uint32_t)ronde__leader_subtree_waits(leader);
    ronde__record_write(&leader->up, &up);
    return RONDE_OK;
}

static int32_t gather_local(struct leader *leader, int64_t now)
{
    int32_t said = RONDE__IDLE;
    for (int rank = 0; rank < leader->net->local_size; rank++) {
        size_t n, made_room = 0;
        const void *record;
        while ((record = ronde__ring_peek(leader->link->up[rank], 0, &n))) {
            int32_t status = take_announcement(leader, rank, record, n, now);
            if (status)
                return status;
            ronde__ring_pass(leader->link->up[rank], 0);
            made_room += n;
            said = RONDE__MOVED;
        }
        if (made_room >= LINK_MUCH_BYTES && rank != leader->net->local_rank)
            ronde__bell_ring(&leader->bells[rank]);
    }
    if (said)
        leader->arrived_ns = now;
    return said;
}

static int32_t send_up(struct leader *leader)
{
    struct writer *up = &leader->up;
    if (up->failed)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for announcements to rank %d",
                           leader->parent);
    if (!up->bytes)
        return RONDE__IDLE;
    int32_t status = ronde__net_post(leader->net, leader->parent, up->data, up->bytes);
    up->bytes = 0;
    return status ? status : RONDE__MOVED;
}

/* ---- downwards ------------------------------------------------------------------------------- */

int32_t ronde__leader_pass_down(struct leader *leader, const struct record *decision)
{
    ronde__record_write(&leader->down, decision);
    leader->decisions++;
    if (leader->down.failed)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for decisions");
    ronde__negotiation_follow(leader->negotiation, decision, leader->decisions);
    return RONDE_OK;
}

static int32_t pass_on(struct leader *leader, const char *message, size_t bytes)
{
    size_t at = 0, n;
    const char *place;
    while (ronde__record_next(message, bytes, &at, &place, &n)) {
        struct record record;
        if (!ronde__record_read(&record, place, n) || record.type < RECORD_RUN)
            return ronde__fail(RONDE_ERR_SYSTEM, "%zu bytes from rank %d are no decision", n,
                               leader->parent);
        int32_t status = ronde__leader_pass_down(leader, &record);
        if (status)
            return status;
    }
    return at == bytes ? RONDE_OK
                       : ronde__fail(RONDE_ERR_SYSTEM, "a decision from rank %d is cut off",
                                     leader->parent);
}

/* To the children at once; into the node's ring as far as there is room. */
static int32_t send_down(struct leader *leader)
{
    struct writer *down = &leader->down;
    if (!down->bytes)
        return RONDE__IDLE;
    size_t unsent = down->bytes - leader->down_sent;
    for (int i = 0; i < leader->children && unsent; i++) {
        int32_t status = ronde__net_post(leader->net, leader->child[i],
                                         down->data + leader->down_sent, unsent);
        if (status)
            return status;
    }
    leader->down_sent = down->bytes;
    size_t before = leader->down_at, at = before, n;
    const char *record;
    while (ronde__record_next(down->data, down->bytes, &at, &record, &n) &&
           ronde__ring_put(leader->link->down, record, n))
        leader->down_at = at;
    int moved = leader->down_at != before;
    /* A rank with nothing outstanding must read too, or the ring stays full. */
    for (int rank = 0; rank < leader->net->local_size && leader->down_at < down->bytes; rank++)
        ronde__bell_ring(&leader->link->of[rank].idle);
    if (leader->down_at == down->bytes)
        leader->down_at = leader->down_sent = down->bytes = 0;
    ronde__bell_ring_others(leader->bells, leader->net->local_size, leader->net->local_rank);
    return moved ? RONDE__MOVED : RONDE__IDLE;
}

/* ---- the network ----------------------------------------------------------------------------- */

static int contributor_of(const struct leader *leader, int rank)
{
    for (int i = 0; i < leader->children; i++)
        if (leader->child[i] == rank)
            return leader->net->local_size + i;
    return -1;
}

static int32_t be_told(struct leader *leader, const char *message, size_t bytes)
{
    size_t at = 0, n;
    const char *place;
    struct record record;
    if (!ronde__record_next(message, bytes, &at, &place, &n) ||
        !ronde__record_read(&record, place, n) || record.type != RECORD_FATAL)
        return RONDE_OK;
    leader->told = 1;
    return ronde__fail(record.status < 0 ? record.status : RONDE_ERR_SYSTEM, "%.*s",
                       (int)record.text_bytes, record.text);
}

void ronde__leader_tell_fatal(struct net *net, int32_t status, const char *text)
{
    struct writer message = {0};
    struct record fatal = {.type = RECORD_FATAL,
                           .id = RECORD_NO_ID,
                           .status = status,
                           .text = text,
                           .text_bytes = (uint32_t)strlen(text)};
    ronde__record_write(&message, &fatal);
    for (int node = 0; node < net->nodes && !message.failed; node++)
        if (node != net->node)
            ronde__net_post(net, ronde__net_rank_at(net, node, 0), message.data,
                            message.bytes); /* as far as it goes: this is the last thing said */
    ronde__writer_free(&message);
}

static int32_t take_message(struct leader *leader, int from, const char *message, size_t bytes,
                            int64_t now)
{
    int32_t told = be_told(leader, message, bytes);
    if (told)
        return told;
    int contributor = contributor_of(leader, from);
    if (contributor < 0)
        return pass_on(leader, message, bytes);
    size_t at = 0, n;
    const char *record;
    while (ronde__record_next(message, bytes, &at, &record, &n)) {
        int32_t status = take_announcement(leader, contributor, record, n, now);
        if (status)
            return status;
    }
    leader->arrived_ns = now;
    return at == bytes
               ? RONDE_OK
               : ronde__fail(RONDE_ERR_SYSTEM, "an announcement from rank %d is cut off", from);
}

static int32_t poll_net(struct leader *leader, int64_t now)
{
    int32_t said = RONDE__IDLE;
    for (;;) {
        int from;
        void *message = NULL;
        size_t bytes;
        int32_t status = ronde__net_poll(leader->net, &from, &message, &bytes);
        if (status || !message)
            return status ? status : said;
        status = take_message(leader, from, message, bytes, now);
        free(message);
        if (status)
            return status;
        said = RONDE__MOVED;
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

int ronde__leader_is_busy(const struct leader *leader)
{
    return ronde__negotiation_oldest(leader->negotiation) || leader->down.bytes || leader->up.bytes;
}

int32_t ronde__leader_step(struct leader *leader)
{
    int64_t now = ronde__now_ns();
    leader->nap_ns = 0;
    int32_t said = gather_local(leader, now);
    if (said >= 0 && leader->net->nodes > 1)
        said = ronde__both(said, poll_net(leader, now));
    if (said >= 0)
        said = ronde__both(said, send_up(leader));
    if (said >= 0 && leader->ready_count)
        said = ronde__both(said, ronde__leader_decide(leader, now));
    if (said >= 0)
        said = ronde__both(said, ronde__leader_check_stalls(leader, now));
    if (said >= 0)
        said = ronde__both(said, send_down(leader));
    return said;
}
