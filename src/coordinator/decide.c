/* The root's part: when to decide, and what. */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/dtype.h"
#include "base/status.h"
#include "coordinator/leader.h"
#include "fusion/plan.h"

enum {
    /* While ranks still submit, more is worth waiting for, as long as it keeps coming this often. A
     * submission takes under a microsecond, so this is a generous gap between two. */
    QUIET_NS = 30000,
    LONGEST_HOLD_NS = 1000000 /* however steadily more comes */
};

/* ---- becoming ready -------------------------------------------------------------------------- */

static int32_t room_for_ready(struct leader *leader, size_t more)
{
    if (leader->ready_count + more <= leader->ready_room)
        return RONDE_OK;
    size_t room = 2 * (leader->ready_count + more) + 64;
    struct entry **ready = realloc(leader->ready, room * sizeof(struct entry *));
    leader->ready = ready ? ready : leader->ready;
    struct plan_item *items = realloc(leader->items, room * sizeof(*items));
    leader->items = items ? items : leader->items;
    int32_t *bin_of = realloc(leader->bin_of, room * sizeof(*bin_of));
    leader->bin_of = bin_of ? bin_of : leader->bin_of;
    struct entry **sorted = realloc(leader->sorted, room * sizeof(struct entry *));
    leader->sorted = sorted ? sorted : leader->sorted;
    size_t *bin_from = realloc(leader->bin_from, (room + 1) * sizeof(*bin_from));
    leader->bin_from = bin_from ? bin_from : leader->bin_from;
    if (!ready || !items || !bin_of || !sorted || !bin_from)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to list %zu ready tensors", room);
    leader->ready_room = room;
    return RONDE_OK;
}

static int32_t push_ready(struct leader *leader, struct entry *entry, int64_t now)
{
    int32_t status = room_for_ready(leader, 1);
    if (status)
        return status;
    if (!leader->ready_count)
        leader->ready_ns = now;
    leader->ready[leader->ready_count++] = entry;
    leader->ready_bytes += ronde__signature_bytes(&entry->signature);
    return RONDE_OK;
}

static struct held *find_held(struct leader *leader, const struct signature *s)
{
    for (size_t i = 0; i < leader->held_count; i++)
        if (leader->held[i].group == s->group)
            return &leader->held[i];
    if (leader->held_count == leader->held_room) {
        size_t room = 2 * leader->held_room + 8;
        struct held *grown = realloc(leader->held, room * sizeof(*grown));
        if (!grown)
            return NULL;
        leader->held = grown;
        leader->held_room = room;
    }
    struct held *held = &leader->held[leader->held_count];
    *held = (struct held){.group = s->group, .size = s->group_size};
    leader->held_count++;
    return held;
}

/* The size is what ranks say: there is room for so many as have come. */
static int32_t keep_held(struct held *held, struct entry *entry)
{
    if ((held->count & (held->count - 1)) == 0) { /* full at 0, 1, 2, 4, ... */
        size_t room = 2 * (size_t)held->count + 1;
        struct entry **grown = realloc(held->entry, room * sizeof(struct entry *));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for a group of %zu tensors", room);
        held->entry = grown;
    }
    held->entry[held->count++] = entry;
    return RONDE_OK;
}

/* All or nothing: a group is ready when all of it is. */
static int32_t hold(struct leader *leader, struct entry *entry, int64_t now)
{
    struct held *held = find_held(leader, &entry->signature);
    if (!held)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a group of %u tensors",
                           entry->signature.group_size);
    if (held->size != entry->signature.group_size)
        return ronde__fail(RONDE_ERR_SYSTEM, "a group of %u tensors is one of %u for '%s'",
                           held->size, entry->signature.group_size,
                           ronde__short_name(entry->name, NAME_ROOM).text);
    int32_t status = keep_held(held, entry);
    if (status || held->count < held->size)
        return status;
    for (uint32_t i = 0; i < held->count && !status; i++)
        status = push_ready(leader, held->entry[i], now);
    free(held->entry);
    *held = leader->held[--leader->held_count];
    return status;
}

/* What only all contributions together show to be wrong. */
static int32_t check_weights(struct entry *entry)
{
    double sum = 0;
    for (size_t i = 1; i < entry->rows.count; i += 2) {
        double weight;
        memcpy(&weight, &entry->rows.word[i], sizeof(weight));
        sum += weight;
    }
    /* The sum divides, in the type that the contributions are added in. */
    int is_double = entry->signature.dtype == RONDE_FLOAT64 ||
                    !ronde__dtype_is_float(entry->signature.dtype);
    double least = is_double ? DBL_MIN : FLT_MIN, most = is_double ? DBL_MAX : FLT_MAX;
    if (sum >= least && sum <= most)
        return RONDE_OK;
    entry->conflict = ronde__text("%s '%s': the weights of all ranks add up to %g: make that %.3g "
                                  "to %.3g",
                                  ronde__kind_name((enum kind)entry->kind),
                                  ronde__short_name(entry->name, NAME_ROOM).text, sum, least, most);
    return entry->conflict ? RONDE_OK
                           : ronde__fail(RONDE_ERR_MEMORY, "no memory to describe a mismatch");
}

int32_t ronde__leader_make_ready(struct leader *leader, struct entry *entry, int64_t now)
{
    const struct signature *s = &entry->signature;
    if (ronde__signature_is_weighted(s) && !entry->conflict) {
        int32_t status = check_weights(entry);
        if (status)
            return status;
    }
    if (entry->signature.group && !entry->conflict)
        return hold(leader, entry, now);
    return push_ready(leader, entry, now);
}

/* ---- when ------------------------------------------------------------------------------------ */

/* More is about to come unless everybody waits, or it has been quiet, or there is a binful. */
static int64_t hold_ns(const struct leader *leader, int64_t now)
{
    if (ronde__leader_subtree_waits(leader) ||
        leader->ready_bytes >= ronde__tuner_threshold(leader->at.tuner))
        return 0;
    int64_t quiet = leader->arrived_ns + QUIET_NS, latest = leader->ready_ns + LONGEST_HOLD_NS;
    int64_t left = (quiet < latest ? quiet : latest) - now;
    return left > 0 ? left : 0;
}

/* ---- what fuses with what -------------------------------------------------------------------- */

static int is_reduction(int kind)
{
    return kind == KIND_ALLREDUCE || kind == KIND_REDUCE || kind == KIND_REDUCESCATTER;
}

static int may_fuse(const struct entry *entry)
{
    const struct signature *s = &entry->signature;
    if (entry->conflict || entry->absent.count)
        return 0;
    if (is_reduction(s->kind))
        return s->op != RONDE_ADASUM && s->op != RONDE_WEIGHTED_AVERAGE;
    return s->kind == KIND_BROADCAST;
}

enum algorithm ronde__leader_algorithm(const struct leader *leader, const struct signature *s)
{
    return ronde__signature_algorithm(s, ronde__tuner_select(leader->at.tuner),
                                      leader->at.net->nodes);
}

static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

int ronde__leader_same_kin(const struct leader *leader, const struct signature *x,
                           const struct signature *y)
{
    if (x->kind == KIND_BROADCAST || y->kind == KIND_BROADCAST)
        return x->kind == y->kind && x->root == y->root;
    return x->dtype == y->dtype && x->wire == y->wire && x->op == y->op &&
           same_bits(x->prescale, y->prescale) && same_bits(x->postscale, y->postscale) &&
           ronde__leader_algorithm(leader, x) == ronde__leader_algorithm(leader, y);
}

/* Kin numbers: 1 + the first ready tensor of the same kin, looking back over the kins seen. */
static void describe(struct leader *leader)
{
    enum { KINS = 64 }; /* more at once than anybody has; beyond them a tensor runs alone */
    size_t first[KINS];
    size_t kins = 0;
    for (size_t i = 0; i < leader->ready_count; i++) {
        struct entry *entry = leader->ready[i];
        struct plan_item *item = &leader->items[i];
        *item = (struct plan_item){.bytes = ronde__signature_bytes(&entry->signature)};
        if (!may_fuse(entry))
            continue;
        size_t kin = 0;
        while (kin < kins && !ronde__leader_same_kin(leader, &leader->ready[first[kin]]->signature,
                                                     &entry->signature))
            kin++;
        if (kin < kins || kins < KINS)
            item->kin = kin + 1;
        if (kin == kins && kins < KINS)
            first[kins++] = i;
    }
}

/* ---- decisions ------------------------------------------------------------------------------- */

/* Words by rank from the (rank, word) pairs. */
static int32_t sort_words(struct leader *leader, const struct entry *entry)
{
    size_t ranks = (size_t)leader->at.net->size;
    int32_t status = ronde__leader_room(leader, ranks);
    for (size_t i = 0; i + 1 < entry->rows.count && !status; i += 2) {
        if (entry->rows.word[i] >= ranks)
            return ronde__fail(RONDE_ERR_SYSTEM, "a word of rank %llu for '%s' of %zu ranks",
                               (unsigned long long)entry->rows.word[i],
                               ronde__short_name(entry->name, NAME_ROOM).text, ranks);
        leader->rows.word[entry->rows.word[i]] = entry->rows.word[i + 1];
    }
    return status;
}

static int32_t fail_tensor(struct leader *leader, struct entry *entry, uint64_t seen)
{
    char *text = entry->conflict; /* which outlives the entry: its mates fail with it, too */
    entry->conflict = NULL;
    struct record error = ronde__record_error(entry->kind, entry->name, entry->name_bytes,
                                              RONDE_ERR_MISMATCH, text);
    error.seen = seen;
    int32_t status = ronde__leader_pass_down(leader, &error);
    free(text);
    return status;
}

static int32_t run_tensor(struct leader *leader, struct entry *entry, int last, uint32_t batch)
{
    /* Where somebody has told the name, all are told it: joined ranks may not know its number. */
    int known = entry->id != NO_ID && entry->cached_only && !entry->absent.count;
    struct record run = {.type = RECORD_RUN,
                         .kind = entry->kind,
                         .flags = (uint8_t)((last ? RECORD_LAST : 0) |
                                            (entry->absent.count ? RECORD_SIGNED : 0)),
                         .algorithm = (uint8_t)ronde__leader_algorithm(leader, &entry->signature),
                         .id = ronde__negotiation_number(leader->negotiation, entry),
                         .batch = batch,
                         .signature = entry->signature,
                         .name = known ? NULL : entry->name,
                         .name_bytes = known ? 0 : entry->name_bytes,
                         .absent = entry->absent.word,
                         .absent_words = (uint32_t)entry->absent.count};
    if (ronde__signature_has_rows(&entry->signature)) {
        run.rows = leader->rows.word;
        run.row_words = (uint32_t)leader->at.net->size;
    }
    return ronde__leader_pass_down(leader, &run);
}

static int by_number(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The ready entries bin after bin, each bin in the order of the tensors' numbers, so that the same
 * tensors make the same batch, whoever came first. bin_from[bin] receives where each begins. */
static void sort_by_bin(struct leader *leader, int32_t bins)
{
    size_t n = leader->ready_count, *from = leader->bin_from;
    memset(from, 0, ((size_t)bins + 1) * sizeof(*from));
    for (size_t i = 0; i < n; i++)
        from[leader->bin_of[i] + 1]++;
    for (int32_t bin = 0; bin < bins; bin++)
        from[bin + 1] += from[bin];
    for (size_t i = 0; i < n; i++)
        leader->sorted[from[leader->bin_of[i]]++] = leader->ready[i];
    for (int32_t bin = bins; bin > 0; bin--)
        from[bin] = from[bin - 1];
    from[0] = 0;
    for (int32_t bin = 0; bin < bins; bin++)
        if (from[bin + 1] - from[bin] > 1)
            qsort(&leader->sorted[from[bin]], from[bin + 1] - from[bin], sizeof(struct entry *),
                  by_number);
}

/* The number of the batch that this bin is from now on. */
static int32_t number_batch(struct leader *leader, struct entry *const *bin, size_t n,
                            uint32_t *number)
{
    int fit = n > 1;
    for (size_t i = 0; i < n && fit; i++)
        fit = bin[i]->cached_only && bin[i]->id != NO_ID && !bin[i]->absent.count &&
              !bin[i]->signature.group;
    *number = NO_ID;
    if (!fit)
        return RONDE_OK;
    uint32_t *ids = malloc(n * sizeof(*ids));
    if (!ids)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a batch of %zu tensors", n);
    for (size_t i = 0; i < n; i++)
        ids[i] = bin[i]->id;
    *number = ronde__batches_number(&leader->batches, ids, (uint32_t)n, bin[0]->batch);
    free(ids);
    return RONDE_OK;
}

static int32_t run_bin(struct leader *leader, struct entry *const *bin, size_t n)
{
    uint32_t number;
    int32_t status = number_batch(leader, bin, n, &number);
    for (size_t i = 0; i < n && !status; i++) {
        struct entry *entry = bin[i];
        if (ronde__signature_has_rows(&entry->signature))
            status = sort_words(leader, entry);
        entry->batch = number;
        ronde__tuner_note(leader->at.tuner, leader->at.set, entry->id,
                          ronde__signature_wire_bytes(&entry->signature));
        if (!status)
            status = run_tensor(leader, entry, i + 1 == n, number);
    }
    return status;
}

/* The first of them that ranks disagree about leaves the list; NULL: none does. */
static struct entry *take_failing(struct leader *leader)
{
    struct entry **ready = leader->ready;
    for (size_t i = 0; i < leader->ready_count; i++)
        if (ready[i]->conflict) {
            struct entry *entry = ready[i];
            memmove(&ready[i], &ready[i + 1], (--leader->ready_count - i) * sizeof(*ready));
            return entry;
        }
    return NULL;
}

/* Those that ranks disagree about go first: each takes its group with it. What they were announced
 * with was all announced before now. */
static int32_t decide_failures(struct leader *leader)
{
    uint64_t seen = leader->decisions;
    int32_t status = RONDE_OK;
    struct entry *entry;
    for (size_t i = 0; i < leader->ready_count; i++)
        leader->ready[i]->doomed = leader->ready[i]->conflict != NULL;
    while (!status && (entry = take_failing(leader)))
        status = fail_tensor(leader, entry, seen);
    return status;
}

/* Closing ends what is not decided before it, and batches may have been taken apart after it came. */
static void put_closing_last(struct leader *leader)
{
    size_t at = 0, n = leader->ready_count;
    while (at < n && !leader->ready[at]->needs_all)
        at++;
    if (at == n)
        return;
    struct entry *closing = leader->ready[at];
    memmove(&leader->ready[at], &leader->ready[at + 1], (n - 1 - at) * sizeof(*leader->ready));
    leader->ready[n - 1] = closing;
}

static int32_t decide_ready(struct leader *leader)
{
    int32_t status = decide_failures(leader);
    put_closing_last(leader);
    const struct plan_limits limits = {ronde__tuner_threshold(leader->at.tuner), BIN_TENSORS};
    describe(leader);
    int32_t bins = ronde__plan(leader->items, (int32_t)leader->ready_count, &limits,
                               leader->bin_of);
    sort_by_bin(leader, bins);
    for (int32_t bin = 0; bin < bins && !status; bin++)
        status = run_bin(leader, &leader->sorted[leader->bin_from[bin]],
                         leader->bin_from[bin + 1] - leader->bin_from[bin]);
    leader->ready_count = 0;
    leader->ready_bytes = 0;
    return status;
}

/* All have joined. */
static int32_t decide_join(struct leader *leader)
{
    struct record run = {.type = RECORD_RUN,
                         .kind = KIND_JOIN,
                         .flags = RECORD_LAST,
                         .id = NO_ID,
                         .batch = NO_ID,
                         .rank = leader->last_joined,
                         .name = COORDINATOR_JOIN,
                         .name_bytes = sizeof(COORDINATOR_JOIN) - 1};
    return ronde__leader_pass_down(leader, &run);
}

int32_t ronde__leader_decide(struct leader *leader, int64_t now_ns)
{
    int32_t said = RONDE__IDLE;
    ronde__tuner_step(leader->at.tuner, now_ns);
    if (leader->ready_batch_count)
        said = ronde__leader_decide_batches(leader, now_ns);
    if (said >= 0 && leader->ready_count) {
        leader->nap_ns = hold_ns(leader, now_ns);
        if (leader->nap_ns)
            return said;
        int32_t status = decide_ready(leader);
        said = status ? status : RONDE__MOVED;
    }
    if (said >= 0 && ronde__negotiation_joined(leader->negotiation) == leader->at.net->size) {
        int32_t status = decide_join(leader);
        said = status ? status : RONDE__MOVED;
    }
    return said;
}
