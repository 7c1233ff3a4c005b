/* Broadcast and barrier inside a node, on p ranks and n bytes.
 *
 *   small    n <= 16 KiB: the root writes its small slot and announces it; the others copy out.
 *   slices   the root copies slice after slice into its slots, the others copy out behind it; all
 *            counters move, so that they agree again at the end. Moves 2 n per rank.
 *
 * The root is done when its data are in the slots, or in flight through them. */
#include "base/bell.h"
#include "collectives/node_stages.h"

static int is_root(const struct node *node)
{
    return node->me == node->work.root;
}

/* The root's own output, where it is not its input. */
static void copy_own(struct node *node)
{
    for (int32_t i = 0; i < node->work.piece_count; i++) {
        const struct piece *piece = &node->work.pieces[i];
        if (piece->count && piece->out && piece->in != piece->out)
            memcpy(piece->out, piece->in, piece->count * node->work.element_bytes);
    }
}

static int32_t small_take(struct node *node)
{
    struct arrival *slot = ronde__node_arrival(node, node->work.root);
    /* pairs with the release in ronde__node_arrive */
    if (atomic_load_explicit(&slot->operation, memory_order_acquire) < node->operation)
        return RONDE__IDLE;
    size_t bytes = node->work.count * node->work.element_bytes;
    struct piece_cursor cursor = ronde__node_first_piece(node);
    ronde__node_scatter(node, &cursor, 0, node->work.count, ronde__node_small(slot, bytes));
    return RONDE__DONE;
}

static int32_t small_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    size_t bytes = node->work.count * node->work.element_bytes;
    struct piece_cursor cursor = ronde__node_first_piece(node);
    if (is_root(node))
        ronde__node_gather(node, &cursor, 0, node->work.count,
                           ronde__node_small(ronde__node_arrival(node, node->me), bytes));
    ronde__node_arrive(node);
    if (is_root(node)) {
        copy_own(node);
        return RONDE__DONE;
    }
    node->stage = small_take;
    return RONDE__MOVED;
}

static int32_t slices_give(struct node *node)
{
    if (!ronde__node_slot_is_free(node))
        return RONDE__IDLE;
    struct rank_slots *mine = ronde__node_mine(node);
    uint64_t slice = node->slice + node->next_in;
    size_t from, to;
    ronde__node_slice(node, node->next_in, &from, &to);
    ronde__node_fill_slot(node, &node->in_at, from, to,
                          ronde__slots_slice(&node->slots, node->me, slice));
    node->next_in++;
    atomic_store_explicit(&mine->reduced, slice + 1, memory_order_release);
    atomic_store_explicit(&mine->out, slice + 1, memory_order_release);
    ronde__node_publish(node, &mine->in, slice + 1);
    if (node->next_in < node->slices)
        return RONDE__MOVED;
    copy_own(node);
    return ronde__node_end_slices(node);
}

static int32_t slices_take(struct node *node)
{
    struct rank_slots *mine = ronde__node_mine(node);
    uint64_t slice = node->slice + node->next_out;
    /* pairs with the release in ronde__node_publish */
    if (atomic_load_explicit(&node->slots.of[node->work.root].in, memory_order_acquire) <= slice)
        return RONDE__IDLE;
    size_t from, to;
    ronde__node_slice(node, node->next_out, &from, &to);
    size_t bytes = (to - from) * node->work.element_bytes;
    ronde__node_begin_out(node, bytes);
    ronde__node_scatter(node, &node->out_at, from, to,
                        ronde__slots_slice(&node->slots, node->work.root, slice));
    ronde__node_end_out(node, bytes);
    node->next_out++;
    atomic_store_explicit(&mine->in, slice + 1, memory_order_release);
    atomic_store_explicit(&mine->reduced, slice + 1, memory_order_release);
    ronde__node_publish(node, &mine->out, slice + 1);
    return node->next_out < node->slices ? RONDE__MOVED : ronde__node_end_slices(node);
}

static int32_t slices_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    ronde__node_arrive(node);
    ronde__node_begin_slices(node, node->slots.slice_bytes / node->work.element_bytes);
    node->stage = is_root(node) ? slices_give : slices_take;
    return RONDE__MOVED;
}

static int32_t alone(struct node *node)
{
    copy_own(node);
    return RONDE__DONE;
}

void ronde__node_start_broadcast(struct node *node, const struct node_work *work)
{
    ronde__node_begin(node, work);
    if (node->ranks == 1)
        node->stage = alone;
    else
        node->stage = work->count * work->element_bytes <= SLOTS_SMALL_BYTES ? small_arrive
                                                                             : slices_arrive;
}

static int32_t barrier_wait(struct node *node)
{
    return ronde__node_all_arrived(node, node->operation) ? RONDE__DONE : RONDE__IDLE;
}

static int32_t barrier_arrive(struct node *node)
{
    if (!ronde__node_all_arrived(node, node->operation - 1))
        return RONDE__IDLE;
    ronde__node_arrive(node);
    node->stage = barrier_wait;
    int32_t said = barrier_wait(node);
    return said == RONDE__IDLE ? RONDE__MOVED : said;
}

void ronde__node_start_barrier(struct node *node)
{
    node->operation++;
    node->stage = barrier_arrive;
}
