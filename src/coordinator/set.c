/* Opening, closing, submitting, and one step of a process set. */
#include "coordinator/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "coordinator/coordinator.h"

/* ---- memory ---------------------------------------------------------------------------------- */

/* Parts begin at a line of their own: all sizes are multiples of one. */
static size_t rounded(size_t bytes)
{
    return (bytes + LOBBY_LINE - 1) / LOBBY_LINE * LOBBY_LINE;
}

static size_t link_at(const struct coordinator *c, const struct net *net)
{
    return rounded(ronde__communicator_bytes(net, c->settings));
}

static size_t boxes_at(const struct coordinator *c, const struct net *net)
{
    return link_at(c, net) + rounded(ronde__link_bytes(net));
}

size_t ronde__set_bytes(const struct coordinator *c, const struct net *net)
{
    return boxes_at(c, net) + ronde__transfers_bytes(net);
}

void ronde__set_place_memory(const struct coordinator *c, const struct net *net, char *memory)
{
    ronde__link_place(memory + link_at(c, net), net);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int32_t allocate(struct set *set, const int *global)
{
    size_t size = (size_t)set->net->size, local = (size_t)set->net->local_size;
    struct job *job = &set->job;
    set->global = calloc(size, sizeof(*set->global));
    set->lobby_ranks = calloc(local, sizeof(*set->lobby_ranks));
    set->bells = calloc(local, sizeof(struct bell *));
    job->bytes_of = calloc(size, sizeof(*job->bytes_of));
    job->sends = calloc(size, sizeof(*job->sends));
    job->receives = calloc(size, sizeof(*job->receives));
    job->weights = calloc(size, sizeof(*job->weights));
    job->local_bytes = calloc(local * local, sizeof(*job->local_bytes));
    if (!set->global || !set->lobby_ranks || !set->bells || !job->bytes_of || !job->sends ||
        !job->receives || !job->weights || !job->local_bytes)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a process set of %zu ranks", size);
    memcpy(set->global, global, size * sizeof(*set->global));
    for (size_t i = 0; i < local; i++) {
        int rank = ronde__net_rank_at(set->net, set->net->node, (int)i);
        set->lobby_ranks[i] = set->c->net->local_rank_of[set->global[rank]];
        set->bells[i] = set->c->lobby.named[set->lobby_ranks[i]];
    }
    return RONDE_OK;
}

static int32_t open_leader(struct set *set)
{
    if (set->net->local_rank != 0)
        return RONDE_OK;
    set->leader = calloc(1, sizeof(*set->leader));
    if (!set->leader)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a leader");
    const struct leader_place place = {.net = set->net,
                                       .set = (uint32_t)set->id,
                                       .link = &set->link,
                                       .lobby = &set->c->lobby,
                                       .lobby_ranks = set->lobby_ranks,
                                       .global = set->global,
                                       .settings = set->c->settings,
                                       .log = set->c->log,
                                       .tuner = &set->c->tuner,
                                       .lamport = &set->c->lamport};
    return ronde__leader_open(set->leader, &place);
}

static int32_t open_rooms(struct set *set)
{
    struct coordinator *c = set->c;
    const struct communicator_place place = {.memory = set->memory,
                                             .bells = set->bells,
                                             .arena = c->arena,
                                             .arena_ranks = set->lobby_ranks,
                                             .global = set->global,
                                             .process_set = set->id};
    int32_t status = ronde__communicator_open(&set->communicator, set->net, &place, c->settings,
                                              set->slot * TAGS_PER_SET + TAG_NAMED);
    if (status)
        return status;
    set->transfers.boxes = (struct mailbox *)(void *)(set->memory + boxes_at(c, set->net));
    status = ronde__link_open(&set->link, set->memory + link_at(c, set->net), set->net);
    if (!status)
        status = ronde__queue_open(&set->queue, set->net->size);
    if (!status)
        status = open_leader(set);
    if (status)
        ronde__communicator_close(&set->communicator);
    return status;
}

static void free_set(struct set *set)
{
    struct job *job = &set->job;
    if (set->leader)
        ronde__leader_close(set->leader);
    free(set->leader);
    ronde__queue_close(&set->queue);
    ronde__link_close(&set->link);
    ronde__writer_free(&set->record);
    ronde__batches_close(&set->batches);
    ronde__transfers_drop(set);
    free(set->pieces);
    free(job->copy);
    free(job->out);
    free(job->bytes_of);
    free(job->splits);
    free(job->sends);
    free(job->receives);
    free(job->weights);
    free(job->local_bytes);
    free(set->global);
    free(set->lobby_ranks);
    free(set->bells);
    free(set);
}

int32_t ronde__set_open(struct set **opened, const struct set_place *place)
{
    struct set *set = calloc(1, sizeof(*set));
    if (!set)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a process set");
    set->id = place->id;
    set->slot = place->slot;
    set->c = place->c;
    set->net = place->net;
    set->memory = place->memory;
    int32_t status = allocate(set, place->global);
    if (!status)
        status = open_rooms(set);
    if (status) {
        free_set(set);
        return status;
    }
    *opened = set;
    return RONDE_OK;
}

void ronde__set_close(struct set *set)
{
    struct net *net = set->net;
    int owns = net != set->c->net;
    ronde__communicator_close(&set->communicator);
    free_set(set);
    if (owns)
        ronde__net_close(net);
}

int ronde__set_rank_of(const struct set *set, int global)
{
    int low = 0, high = set->net->size - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (set->global[middle] < global)
            low = middle + 1;
        else
            high = middle;
    }
    return set->global[low] == global ? low : -1;
}

/* ---- submitting ------------------------------------------------------------------------------ */

static int32_t submit(struct set *set, const char *name, enum naming naming,
                      struct request *request)
{
    request->set = set;
    atomic_fetch_add(&set->c->outstanding, 1);
    int32_t status = ronde__queue_submit(&set->queue, name, naming, request);
    if (status)
        atomic_fetch_sub(&set->c->outstanding, 1);
    return status;
}

/* The name that an unnamed operation goes by, which the two ends of a pair draw alike. */
static const char *draw_name(char *drawn, size_t room, enum kind kind, uint64_t number)
{
    snprintf(drawn, room, "%s#%llu", ronde__kind_name(kind == KIND_RECV ? KIND_SEND : kind),
             (unsigned long long)number);
    return drawn;
}

int32_t ronde__set_submit(struct set *set, const char *name, uint64_t unnamed_number,
                          struct request *request)
{
    enum kind kind = (enum kind)request->signature.kind;
    char number[48], of_pair[NAME_ROOM + 1];
    const char *given = name ? name : draw_name(number, sizeof(number), kind, unnamed_number);
    if (kind != KIND_SEND && kind != KIND_RECV)
        return submit(set, given, name ? NAMING_USER : NAMING_DRAWN, request);
    /* Each pair has names of its own, and keeps no numbers: only the root tallies them. */
    int from = kind == KIND_SEND ? set->net->rank : request->peer;
    int to = kind == KIND_SEND ? request->peer : set->net->rank;
    snprintf(of_pair, sizeof(of_pair), "%d>%d:%s", from, to, given);
    return submit(set, of_pair, NAMING_DRAWN, request);
}

int32_t ronde__set_submit_join(struct set *set, struct request *request)
{
    return submit(set, COORDINATOR_JOIN, NAMING_DRAWN, request);
}

int32_t ronde__set_submit_ours(struct set *set, const char *name, struct request *request)
{
    return submit(set, name, NAMING_OURS, request);
}

int32_t ronde__set_submit_group(struct set *set, char *const *names, struct request **requests,
                                size_t n)
{
    for (size_t i = 0; i < n; i++)
        requests[i]->set = set;
    atomic_fetch_add(&set->c->outstanding, (uint32_t)n);
    int32_t status = ronde__queue_submit_all(&set->queue, names, requests, n);
    if (status)
        atomic_fetch_sub(&set->c->outstanding, (uint32_t)n);
    return status;
}

/* ---- completing ------------------------------------------------------------------------------ */

struct timeline_event ronde__set_event(const struct set *set, const struct request *r)
{
    const struct tensor *tensor = r->tensor;
    return (struct timeline_event){.name = tensor ? ronde__shown_name(tensor->kind, tensor->name)
                                                  : NULL,
                                   .kind = ronde__kind_name((enum kind)r->signature.kind),
                                   .bytes = r->count * ronde_dtype_bytes(r->signature.dtype),
                                   .lamport = set->c->lamport,
                                   .id = ronde__handle_of(r),
                                   .peer = -1,
                                   .process_set = set->id};
}

/* A pair's message, if there was one. Both ends call it the same, so that they can be matched. */
static void record_message(struct set *set, const struct request *r, struct timeline_event event)
{
    event.phase = r->signature.kind == KIND_SEND ? TIMELINE_SEND : TIMELINE_RECV;
    event.kind = ronde__kind_name(KIND_SEND);
    event.begin_ns = r->decided_ns;
    event.lamport = 0; /* data carry no stamp */
    event.peer = set->global[r->peer];
    if (event.bytes && r->decided_ns && !r->status)
        ronde__timeline_record(set->c->timeline, &event);
}

/* Not of what was submitted before recording began, or is the library's own. */
static void record_operation(struct set *set, const struct request *r)
{
    struct timeline_event event = ronde__set_event(set, r);
    int is_pair = r->signature.kind == KIND_SEND || r->signature.kind == KIND_RECV;
    ronde__watch_tell_clock(set->c);
    if (!r->submitted_ns)
        return;
    event.phase = TIMELINE_OPERATION;
    event.begin_ns = r->submitted_ns;
    event.end_ns = ronde__now_ns();
    event.lamport = ++set->c->lamport;
    event.status = r->status;
    if (is_pair)
        record_message(set, r, event);
    ronde__timeline_record(set->c->timeline, &event);
}

/* The request is its waiter's from here. */
static void publish(struct set *set, struct request *request)
{
    struct coordinator *c = set->c;
    ronde__queue_finish(&set->queue, request);
    atomic_fetch_add_explicit(&c->counts.operations, 1, memory_order_relaxed);
    /* pairs with the acquire in is_done: the result is there */
    atomic_store_explicit(&request->state, REQUEST_DONE, memory_order_release);
    atomic_fetch_sub(&c->outstanding, 1);
    ronde__bell_ring(c->bell);
}

/* All of a group together: under the handles' lock, so that who sees one done sees all. */
static void publish_group(struct set *set, struct request *request)
{
    for (const struct request *r = request->mates; r != request; r = r->mates)
        if (!r->finished)
            return;
    pthread_mutex_lock(&set->c->handles.lock);
    struct request *r = request;
    size_t n = 1;
    for (const struct request *mate = r->mates; mate != request; mate = mate->mates)
        n++;
    for (; n > 0; n--) {
        struct request *next = r->mates;
        publish(set, r);
        r = next;
    }
    pthread_mutex_unlock(&set->c->handles.lock);
}

void ronde__set_complete(struct set *set, struct request *request, int32_t status, const char *text)
{
    struct coordinator *c = set->c;
    if (request->ghost) {
        free(request->all_rows);
        free(request->present);
        free(request->made);
        free(request);
        return;
    }
    request->status = status;
    request->text = status ? strdup(text) : NULL;
    if (c->timeline)
        record_operation(set, request);
    request->finished = 1;
    if (request->mates)
        publish_group(set, request);
    else
        publish(set, request);
}

static void free_ghosts(struct request *first)
{
    for (struct request *r = first, *next; r; r = next) {
        next = r->next;
        if (r->ghost) {
            free(r->all_rows);
            free(r->present);
            free(r->made);
            free(r);
        }
    }
}

void ronde__set_end(struct set *set, int undecided, int32_t status, const char *text)
{
    if (!undecided) {
        free_ghosts(set->bins);
        free_ghosts(set->job.first);
        set->bins = set->bins_last = set->job.first = NULL;
        set->whole_bins = 0;
        ronde__transfers_drop(set);
    }
    set->to_announce = NULL;
    ronde__set_let_go(set);
    for (struct request *r; (r = ronde__queue_any(&set->queue, undecided));)
        ronde__set_complete(set, r, status, text);
}

/* ---- the step -------------------------------------------------------------------------------- */

int32_t ronde__set_step(struct set *set)
{
    /* Following comes first: what was decided before a request is announced is none of its
     * business. */
    int32_t said = ronde__set_follow(set);
    if (said >= 0)
        said = ronde__both(said, ronde__set_announce(set));
    if (said >= 0 && set->leader)
        said = ronde__both(said, ronde__leader_step(set->leader));
    if (said >= 0)
        said = ronde__both(said, ronde__set_follow(set));
    if (said >= 0)
        said = ronde__both(said, ronde__set_run(set));
    if (said >= 0 && set->transfers.first)
        said = ronde__both(said, ronde__transfers_step(set));
    return said;
}

static void at_most(int64_t *nap, int64_t ns)
{
    if (!*nap || ns < *nap)
        *nap = ns;
}

/* MPI rings no bell, and tensors that wait for their batch have a clock. */
int64_t ronde__set_nap_ns(const struct set *set)
{
    enum { WIRE_NS = 50000, NEGOTIATION_NS = 100000, RELAY_NS = 1000000 };
    int64_t nap = 0;
    int waits = atomic_load(&set->c->outstanding) > 0;
    if ((set->communicator.on_wire && set->job.first) || set->transfers.on_wire)
        at_most(&nap, WIRE_NS);
    if (set->leader && set->leader->nap_ns)
        at_most(&nap, set->leader->nap_ns);
    if (set->held)
        at_most(&nap, SET_HOLD_NS);
    if (set->leader && set->net->nodes > 1 && !set->job.first) {
        if (waits)
            at_most(&nap, NEGOTIATION_NS);
        else if (ronde__leader_is_busy(set->leader))
            at_most(&nap, RELAY_NS);
    }
    return nap;
}
