/* The root's part: when to decide, and what. */
#include <string.h>

#include "base/bell.h"
#include "base/status.h"
#include "coordinator/leader.h"
#include "fusion/plan.h"

enum {
    /* While ranks still submit, more is worth waiting for, as long as it keeps coming this often. A
     * submission takes under a microsecond, so this is a generous gap between two. */
    QUIET_NS = 30000,
    LONGEST_HOLD_NS = 1000000, /* however steadily more comes */
    BIN_TENSORS = 2048         /* what a board of the node's slots can name */
};

/* More is about to come unless everybody waits, or it has been quiet, or there is a binful. */
static int64_t hold_ns(const struct leader *leader, int64_t now)
{
    if (ronde__leader_subtree_waits(leader) ||
        leader->ready_bytes >= leader->settings->fusion_threshold)
        return 0;
    int64_t quiet = leader->arrived_ns + QUIET_NS, latest = leader->ready_ns + LONGEST_HOLD_NS;
    int64_t left = (quiet < latest ? quiet : latest) - now;
    return left > 0 ? left : 0;
}

/* What may be fused shares all that the one pass over the bin has: dtype, op, scales, algorithm. */
static int same_kin(const struct leader *leader, const struct entry *a, const struct entry *b)
{
    const struct signature *x = &a->signature, *y = &b->signature;
    return x->kind == KIND_ALLREDUCE && y->kind == KIND_ALLREDUCE && x->dtype == y->dtype &&
           x->op == y->op && memcmp(&x->prescale, &y->prescale, sizeof(x->prescale)) == 0 &&
           memcmp(&x->postscale, &y->postscale, sizeof(x->postscale)) == 0 &&
           ronde__select(leader->select, ronde__signature_count(x) * ronde_dtype_bytes(x->dtype),
                         leader->net->nodes) ==
               ronde__select(leader->select,
                             ronde__signature_count(y) * ronde_dtype_bytes(y->dtype),
                             leader->net->nodes);
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
        *item = (struct plan_item){.bytes = ronde__signature_count(&entry->signature) *
                                            ronde_dtype_bytes(entry->signature.dtype)};
        if (entry->conflict || entry->kind != KIND_ALLREDUCE)
            continue;
        size_t kin = 0;
        while (kin < kins && !same_kin(leader, leader->ready[first[kin]], entry))
            kin++;
        if (kin < kins || kins < KINS)
            item->kin = kin + 1;
        if (kin == kins && kins < KINS)
            first[kins++] = i;
    }
}

/* Rows by rank from the (rank, rows) pairs. */
static int sort_rows(struct leader *leader, const struct entry *entry)
{
    size_t ranks = (size_t)leader->net->size;
    if (entry->row_words != 2 * ranks)
        return 0;
    for (size_t i = 0; i < entry->row_words; i += 2) {
        if (entry->rows[i] >= ranks)
            return 0;
        leader->rows[entry->rows[i]] = entry->rows[i + 1];
    }
    return 1;
}

static int32_t fail_tensor(struct leader *leader, struct entry *entry)
{
    struct record error = {.type = RECORD_ERROR,
                           .kind = entry->kind,
                           .id = RECORD_NO_ID,
                           .status = RONDE_ERR_MISMATCH,
                           .name = entry->name,
                           .name_bytes = entry->name_bytes,
                           .text = entry->conflict,
                           .text_bytes = (uint32_t)strlen(entry->conflict)};
    return ronde__leader_pass_down(leader, &error);
}

static int32_t run_tensor(struct leader *leader, struct entry *entry, int last)
{
    int known = entry->id != RECORD_NO_ID;
    struct record run = {.type = RECORD_RUN,
                         .kind = entry->kind,
                         .last = (uint8_t)last,
                         .id = ronde__negotiation_number(leader->negotiation, entry),
                         .name = known ? NULL : entry->name,
                         .name_bytes = known ? 0 : entry->name_bytes};
    if (entry->kind == KIND_ALLGATHER) {
        if (!sort_rows(leader, entry))
            return ronde__fail(RONDE_ERR_SYSTEM, "the rows of allgather '%s' are not one per rank",
                               entry->name);
        run.rows = leader->rows;
        run.row_words = (uint32_t)leader->net->size;
    }
    return ronde__leader_pass_down(leader, &run);
}

/* All tensors of one bin, starting at `first`, the lowest of it. */
static int32_t run_bin(struct leader *leader, size_t first)
{
    int32_t bin = leader->bin_of[first];
    size_t last = first;
    for (size_t i = first + 1; i < leader->ready_count; i++)
        if (leader->bin_of[i] == bin)
            last = i;
    for (size_t i = first; i <= last; i++) {
        if (leader->bin_of[i] != bin)
            continue;
        struct entry *entry = leader->ready[i];
        int32_t status = entry->conflict ? fail_tensor(leader, entry)
                                         : run_tensor(leader, entry, i == last);
        if (status)
            return status;
    }
    return RONDE_OK;
}

int32_t ronde__leader_decide(struct leader *leader, int64_t now_ns)
{
    leader->nap_ns = hold_ns(leader, now_ns);
    if (leader->nap_ns)
        return RONDE__IDLE;
    const struct plan_limits limits = {leader->settings->fusion_threshold, BIN_TENSORS};
    describe(leader);
    ronde__plan(leader->items, (int32_t)leader->ready_count, &limits, leader->bin_of);
    int32_t bins_run = 0;
    for (size_t i = 0; i < leader->ready_count; i++) {
        if (leader->bin_of[i] != bins_run)
            continue;
        int32_t status = run_bin(leader, i);
        if (status)
            return status;
        bins_run++;
    }
    leader->ready_count = 0;
    leader->ready_bytes = 0;
    return RONDE__MOVED;
}
