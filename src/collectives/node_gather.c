/* Allgather inside a node: everybody's run of elements, to everybody, on p ranks. `pieces` has one
 * entry per local rank: where that rank's run goes here, and how long it is; `in` counts for this
 * rank's own.
 *
 *   small    all runs <= 16 KiB: through the small slots, one synchronisation.
 *   slices   everybody copies its slices into its slots, and the others' slices out. As many slices
 *            as the longest run has. Moves 2 n + 2 (p - 1) n per rank for runs of n bytes. */
#include "base/bell.h"
#include "collectives/node_stages.h"

static void copy_own(const struct node *node)
{
    const struct piece *own = &node->work.pieces[node->me];
    if (own->count && own->in != own->out)
        memcpy(own->out, own->in, own->count * node->work.element_bytes);
}

static size_t longest_run(const struct node *node)
{
    size_t longest = 0;
    for (int rank = 0; rank < node->ranks; rank++)
        if (node->work.pieces[rank].count > longest)
            longest = node->work.pieces[rank].count;
    return longest;
}

static int32_t small_take(struct node *node)
{
    if (!ronde__node_all_answered(node))
        return RONDE__IDLE;
    ronde__node_own_next(node);
    for (int rank = 0; rank < node->ranks; rank++) {
        const struct piece *run = &node->work.pieces[rank];
        if (rank != node->me && run->count)
            memcpy(run->out, ronde__node_arrival(node, rank)->data,
                   run->count * node->work.element_bytes);
    }
    copy_own(node);
    ronde__node_ring_late(node);
    return RONDE__DONE;
}

static int32_t small_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    const struct piece *own = &node->work.pieces[node->me];
    if (own->count)
        memcpy(ronde__node_arrival(node, node->me)->data, own->in,
               own->count * node->work.element_bytes);
    ronde__node_arrive_quietly(node);
    node->stage = small_take;
    int32_t said = small_take(node);
    return said == RONDE__IDLE ? RONDE__MOVED : said;
}

/* Elements [*from, *from + length) of a rank's run that travel in slice s. */
static size_t part_of_run(const struct node *node, int rank, uint64_t s, size_t *from)
{
    size_t count = node->work.pieces[rank].count;
    *from = (size_t)s * node->slice_count;
    if (*from >= count)
        return 0;
    return count - *from < node->slice_count ? count - *from : node->slice_count;
}

static int slice_in(struct node *node)
{
    struct rank_slots *mine = &node->slots.of[node->me];
    uint64_t slice = node->slice + node->next_in;
    if (node->next_in == node->slices ||
        (slice >= node->slots.count &&
         !ronde__node_all_at_least(node, NODE_OUT, slice - node->slots.count + 1)))
        return 0;
    size_t from, length = part_of_run(node, node->me, node->next_in, &from);
    if (length)
        memcpy(ronde__slots_slice(&node->slots, node->me, slice),
               node->work.pieces[node->me].in + from * node->work.element_bytes,
               length * node->work.element_bytes);
    node->next_in++;
    atomic_store_explicit(&mine->reduced, slice + 1, memory_order_relaxed);
    ronde__node_publish(node, &mine->in, slice + 1);
    return 1;
}

static int slice_out(struct node *node)
{
    uint64_t slice = node->slice + node->next_out;
    if (node->next_out == node->next_in || !ronde__node_all_at_least(node, NODE_IN, slice + 1))
        return 0;
    for (int rank = 0; rank < node->ranks; rank++) {
        size_t from, length = part_of_run(node, rank, node->next_out, &from);
        if (rank != node->me && length)
            memcpy(node->work.pieces[rank].out + from * node->work.element_bytes,
                   ronde__slots_slice(&node->slots, rank, slice),
                   length * node->work.element_bytes);
    }
    node->next_out++;
    ronde__node_publish(node, &node->slots.of[node->me].out, slice + 1);
    return 1;
}

static int32_t slices_run(struct node *node)
{
    int moved = slice_in(node);
    moved |= slice_out(node);
    if (node->next_out < node->slices)
        return moved ? RONDE__MOVED : RONDE__IDLE;
    copy_own(node);
    return ronde__node_end_slices(node);
}

static int32_t slices_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    ronde__node_arrive(node);
    node->stage = slices_run;
    return RONDE__MOVED;
}

static int32_t alone(struct node *node)
{
    copy_own(node);
    return RONDE__DONE;
}

void ronde__node_start_gather(struct node *node, const struct node_work *work)
{
    node->work = *work;
    node->operation++;
    node->work.count = longest_run(node);
    ronde__node_begin_slices(node, node->slots.slice_bytes / work->element_bytes);
    if (node->ranks == 1)
        node->stage = alone;
    else if (node->work.count * work->element_bytes <= SLOTS_SMALL_BYTES)
        node->stage = small_arrive;
    else
        node->stage = slices_arrive;
}
