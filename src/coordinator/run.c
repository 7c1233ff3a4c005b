/* Running what was decided: a bin at a time, in the order of the decisions. Reductions and broadcasts
 * here, which are fused; what moves rows is in run_move.c. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dtype.h"
#include "base/status.h"
#include "collectives/select.h"
#include "coordinator/coordinator.h"
#include "fusion/layout.h"

static int32_t room_for_pieces(struct set *set, size_t n)
{
    if (n <= set->piece_room)
        return RONDE_OK;
    struct piece *grown = realloc(set->pieces, n * sizeof(*grown));
    if (!grown)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a bin of %zu pieces", n);
    set->pieces = grown;
    set->piece_room = n;
    return RONDE_OK;
}

static size_t bin_size(const struct request *first)
{
    size_t n = 1;
    for (const struct request *r = first; !r->last_of_bin; r = r->next)
        n++;
    return n;
}

/* ---- reductions ------------------------------------------------------------------------------ */

/* Inside a node a scattered tensor goes as the ranks' shares, of which this rank wants its own. Between
 * nodes it goes as a whole, since what block an element is in, and so its bits, must not depend on
 * the shares; this rank's is taken from the whole result. */
static int is_shared_out(const struct set *set, const struct request *r)
{
    return r->signature.kind == KIND_REDUCESCATTER && set->net->nodes == 1;
}

static size_t pieces_of(const struct set *set, const struct request *r)
{
    return is_shared_out(set, r) ? (size_t)set->net->size : 1;
}

static void scatter_pieces(const struct set *set, const struct request *r, struct piece *pieces)
{
    size_t row = ronde__signature_row_count(&r->signature);
    size_t bytes = row * ronde_dtype_bytes(r->signature.dtype);
    size_t rows = (size_t)r->signature.shape[0];
    for (int rank = 0; rank < set->net->size; rank++) {
        size_t from, length;
        ronde__layout_part(rows, set->net->size, rank, &from, &length);
        pieces[rank] = (struct piece){.in = r->in ? (const char *)r->in + from * bytes : NULL,
                                      .out = rank == set->net->rank ? r->out : NULL,
                                      .count = length * row};
    }
}

static void fill_pieces(const struct set *set, const struct request *r, struct piece *pieces)
{
    if (is_shared_out(set, r)) {
        scatter_pieces(set, r, pieces);
        return;
    }
    if (r->signature.kind == KIND_REDUCESCATTER) {
        pieces[0] = (struct piece){r->in, (char *)r->words, r->count};
        return;
    }
    int wants = r->signature.kind != KIND_REDUCE || r->signature.root == set->c->net->rank;
    pieces[0] = (struct piece){r->in, wants ? r->out : NULL, r->count};
}

static uint32_t contributors(const struct set *set, const struct request *r)
{
    uint32_t n = (uint32_t)set->net->size;
    if (r->signature.flags & SIGNATURE_DIVIDE_SIZE)
        return n;
    for (int rank = 0; rank < set->net->size && r->present; rank++)
        n -= !r->present[rank];
    return n;
}

/* The reduction, and what each rank's contribution counts. */
static struct reduction reduction_of(struct set *set, const struct request *r)
{
    const struct signature *s = &r->signature;
    struct job *job = &set->job;
    job->contributions = (struct contributions){.present = r->present};
    if (s->op != RONDE_WEIGHTED_AVERAGE)
        return ronde__reduction(s->dtype, s->op, s->prescale, s->postscale, contributors(set, r));
    double total = 0;
    for (int rank = 0; rank < set->net->size; rank++) {
        memcpy(&job->weights[rank], &r->all_rows[rank], sizeof(double));
        total += job->weights[rank];
    }
    job->contributions.weights = job->weights;
    return ronde__reduction_weighted(s->dtype, s->prescale, s->postscale, total);
}

/* The result may be written over the input, but a scattered share only where it comes from. */
static int32_t make_room(struct set *set, struct request *r)
{
    size_t bytes = r->count * ronde_dtype_bytes(r->signature.dtype);
    if (!r->ghost && r->allocate && !r->made) {
        size_t row = ronde__signature_row_count(&r->signature), from, rows;
        ronde__layout_part((size_t)r->signature.shape[0], set->net->size, set->net->rank, &from,
                           &rows);
        r->made_rows = rows;
        r->made = malloc(rows * row * ronde_dtype_bytes(r->signature.dtype) + 1);
        r->out = r->made;
        if (!r->made)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for the result of '%s'",
                               ronde__short_name(r->tensor->name, NAME_ROOM).text);
    }
    int in_place = r->in == r->out && set->net->rank > 0;
    if (r->ghost || !bytes || !(in_place || set->net->nodes > 1))
        return RONDE_OK;
    free(r->words); /* unused by this kind: holds a copy until the request is freed */
    r->words = malloc(bytes);
    if (!r->words)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to copy '%s'",
                           ronde__short_name(r->tensor->name, NAME_ROOM).text);
    if (is_shared_out(set, r)) {
        memcpy(r->words, r->in, bytes);
        r->in = r->words;
    }
    return RONDE_OK;
}

/* Of the whole result, this rank's share. */
static int32_t finish_adasum(struct set *set, struct request *r)
{
    size_t row = ronde__signature_row_count(&r->signature) * ronde_dtype_bytes(r->signature.dtype);
    size_t from, rows;
    ronde__layout_part((size_t)r->signature.shape[0], set->net->size, set->net->rank, &from, &rows);
    if (!r->ghost && rows > 0 && row > 0)
        memcpy(r->out, (char *)set->job.out + from * row, rows * row);
    free(set->job.out);
    set->job.out = NULL;
    set->job.next = NULL;
    return RONDE__DONE;
}

static int32_t start_adasum(struct set *set, struct request *r)
{
    const struct signature *s = &r->signature;
    size_t count = r->count;
    int32_t made = s->kind == KIND_REDUCESCATTER ? make_room(set, r) : RONDE_OK;
    if (made || !count)
        return made ? made : RONDE__DONE;
    void *out = s->kind == KIND_REDUCE && s->root != set->c->net->rank ? NULL : r->out;
    if (s->kind == KIND_REDUCESCATTER) {
        out = set->job.out = malloc(count * ronde_dtype_bytes(s->dtype));
        if (!out)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for an adasum of %zu elements", count);
        set->job.next = finish_adasum;
    }
    int32_t status = ronde__communicator_start_adasum(&set->communicator, r->in, out, count,
                                                      s->dtype, s->prescale * s->postscale,
                                                      r->present);
    return status ? status : RONDE__MOVED;
}

/* Of the whole results, this rank's shares. */
static int32_t take_shares(struct set *set, struct request *first)
{
    set->job.next = NULL;
    for (struct request *r = first;; r = r->next) {
        size_t row = ronde__signature_row_count(&r->signature) *
                     ronde_dtype_bytes(r->signature.dtype);
        size_t from, rows;
        ronde__layout_part(r->signature.kind == KIND_REDUCESCATTER ? r->signature.shape[0] : 0,
                           set->net->size, set->net->rank, &from, &rows);
        if (r->words && !r->ghost && rows > 0 && row > 0)
            memcpy(r->out, (const char *)r->words + from * row, rows * row);
        if (r->last_of_bin)
            return RONDE__DONE;
    }
}

static int32_t start_reductions(struct set *set, struct request *first)
{
    const struct signature *s = &first->signature;
    if (s->op == RONDE_ADASUM)
        return start_adasum(set, first);
    size_t n = bin_size(first), pieces = 0, count = 0, at = 0;
    struct request *r = first;
    int32_t status = RONDE_OK;
    for (size_t i = 0; i < n && !status; i++, r = r->next) {
        pieces += pieces_of(set, r);
        count += r->count;
        int scatters = r->signature.kind == KIND_REDUCESCATTER;
        status = scatters ? make_room(set, r) : RONDE_OK;
        if (scatters && set->net->nodes > 1)
            set->job.next = take_shares;
    }
    if (!status)
        status = room_for_pieces(set, pieces);
    if (status)
        return status;
    if (!count) {
        set->job.next = NULL;
        return RONDE__DONE;
    }
    r = first;
    for (size_t i = 0; i < n; i++, r = r->next) {
        fill_pieces(set, r, set->pieces + at);
        at += pieces_of(set, r);
    }
    struct reduction whole = reduction_of(set, first);
    const struct crossing crossing = {(enum algorithm)first->algorithm,
                                      ronde__signature_wire_dtype(s)};
    status = ronde__communicator_start_allreduce(&set->communicator, set->pieces, (int32_t)pieces,
                                                 &whole, &crossing, &set->job.contributions);
    return status ? status : RONDE__MOVED;
}

/* ---- broadcasts ------------------------------------------------------------------------------ */

/* A rank that has joined passes it on, to nowhere. */
static int32_t make_sink(struct request *r, size_t bytes)
{
    if (!r->ghost || !bytes)
        return RONDE_OK;
    r->made = malloc(bytes);
    r->out = r->made;
    return r->made ? RONDE_OK : ronde__fail(RONDE_ERR_MEMORY, "no memory to pass %zu bytes", bytes);
}

static int32_t start_broadcasts(struct set *set, struct request *first)
{
    size_t n = bin_size(first), bytes = 0;
    int32_t status = room_for_pieces(set, n);
    struct request *r = first;
    for (size_t i = 0; i < n && !status; i++, r = r->next) {
        size_t all = r->count * ronde_dtype_bytes(r->signature.dtype);
        status = make_sink(r, all);
        set->pieces[i] = (struct piece){r->in, r->out, all};
        bytes += all;
    }
    if (status)
        return status;
    if (!bytes)
        return RONDE__DONE;
    status = ronde__communicator_start_broadcast(&set->communicator, set->pieces, (int32_t)n,
                                                 ronde__set_rank_of(set, first->signature.root));
    return status ? status : RONDE__MOVED;
}

/* ---- starting and ending --------------------------------------------------------------------- */

static int is_fused(const struct request *r)
{
    switch ((enum kind)r->signature.kind) {
    case KIND_ALLREDUCE:
    case KIND_REDUCE:
    case KIND_REDUCESCATTER:
    case KIND_BROADCAST: return 1;
    case KIND_ALLGATHER:
    case KIND_ALLTOALL:
    case KIND_GATHER:
    case KIND_SCATTER:
    case KIND_SPARSE:
    case KIND_BARRIER:
    case KIND_JOIN:
    case KIND_SEND:
    case KIND_RECV: break;
    }
    return 0;
}

static void record_queue(struct set *set, const struct request *r)
{
    struct timeline_event event = ronde__set_event(set, r);
    event.phase = TIMELINE_QUEUE;
    event.begin_ns = r->decided_ns;
    event.end_ns = set->job.begun_ns;
    if (r->decided_ns)
        ronde__timeline_record(set->c->timeline, &event);
}

/* A bin of one tensor goes by its name. */
static void record_start(struct set *set)
{
    const struct request *r = set->job.first;
    int is_one = r->last_of_bin && !r->ghost;
    set->job.begun_ns = ronde__now_ns();
    const struct timeline_event event = {.phase = TIMELINE_CYCLE,
                                         .kind = ronde__kind_name((enum kind)r->signature.kind),
                                         .begin_ns = set->job.begun_ns,
                                         .end_ns = set->job.begun_ns,
                                         .lamport = ++set->c->lamport,
                                         .peer = -1,
                                         .process_set = set->id};
    ronde__timeline_record(set->c->timeline, &event);
    ronde__communicator_label(&set->communicator,
                              is_one ? ronde__shown_name(r->tensor->kind, r->tensor->name) : NULL,
                              is_one ? ronde__handle_of(r) : 0);
    for (; !r->last_of_bin; r = r->next)
        record_queue(set, r);
    record_queue(set, r);
}

static int32_t start(struct set *set, struct request *first)
{
    if (set->c->timeline)
        record_start(set);
    set->job.next = NULL;
    if (!is_fused(first))
        return ronde__set_start_move(set, first);
    return first->signature.kind == KIND_BROADCAST ? start_broadcasts(set, first)
                                                   : start_reductions(set, first);
}

/* Several tensors, none of which is a ghost's or in a group: they can be completed under one lock. */
static int is_plain(const struct request *first)
{
    for (const struct request *r = first; r; r = r->next)
        if (r->ghost || r->mates)
            return 0;
    return !first->last_of_bin;
}

static void complete_bin(struct set *set)
{
    struct coordinator *c = set->c;
    struct request *request = set->job.first;
    set->job.first = NULL;
    atomic_fetch_add_explicit(&c->counts.bins, 1, memory_order_relaxed);
    if (!is_fused(request)) {
        int32_t status = ronde__set_finish_move(set, request);
        ronde__set_complete(set, request, status, status ? ronde_last_error() : NULL);
        return;
    }
    if (c->timeline || !is_plain(request)) {
        for (int last = 0; !last;) {
            struct request *next = request->next; /* completed, the request is its waiter's */
            last = request->last_of_bin;
            ronde__set_complete(set, request, RONDE_OK, NULL);
            request = next;
        }
        return;
    }
    ronde__queue_finish_bin(&set->queue, request);
    uint32_t n = 0;
    for (int last = 0; !last; n++) {
        struct request *next = request->next;
        last = request->last_of_bin;
        /* pairs with the acquire in is_done: the result is there */
        atomic_store_explicit(&request->state, REQUEST_DONE, memory_order_release);
        request = next;
    }
    atomic_fetch_add_explicit(&c->counts.operations, n, memory_order_relaxed);
    atomic_fetch_sub(&c->outstanding, n);
    ronde__bell_ring(c->bell);
}

/* ---- the step -------------------------------------------------------------------------------- */

static struct request *take_bin(struct set *set)
{
    struct request *first = set->bins, *last = first;
    while (!last->last_of_bin)
        last = last->next;
    set->bins = last->next;
    last->next = NULL;
    if (!set->bins)
        set->bins_last = NULL;
    set->whole_bins--;
    return first;
}

int32_t ronde__set_run(struct set *set)
{
    struct job *job = &set->job;
    if (!job->first && !set->whole_bins)
        return RONDE__IDLE;
    int32_t said;
    if (job->first) {
        said = ronde__communicator_step(&set->communicator);
        if (said == RONDE__DONE && job->next)
            said = job->next(set, job->first);
    } else {
        job->first = take_bin(set);
        said = start(set, job->first);
    }
    if (said != RONDE__DONE)
        return said;
    complete_bin(set);
    return RONDE__MOVED;
}
