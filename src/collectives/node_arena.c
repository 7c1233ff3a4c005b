/* Zero-copy allreduce, on p ranks and n bytes: all tensors of all ranks lie in arenas, so every
 * rank reaches them. Everybody tells where on its board; then rank r reduces its share r of the p
 * inputs and stores the result into all outputs that are wanted. Two synchronisations; moves 2 n
 * per rank. What nobody wants is not reduced. */
#include "base/bell.h"
#include "collectives/node_stages.h"

uint32_t ronde__node_fill_board(struct node *node)
{
    const struct node_work *work = &node->work;
    struct board_entry *board = ronde__node_board(node, node->me);
    if (!node->arena || work->piece_count > SLOTS_BOARD_PIECES)
        return 0;
    for (int32_t i = 0; i < work->piece_count; i++) {
        const struct piece *piece = &work->pieces[i];
        size_t bytes = piece->count * work->element_bytes;
        board[i].in = ronde__arena_offset(node->arena, piece->in, bytes);
        board[i].out = ronde__arena_offset(node->arena, piece->out, bytes);
        int lacks_in = node->own >= 0 && board[i].in == ARENA_NOWHERE;
        int lacks_out = piece->out && board[i].out == ARENA_NOWHERE;
        if (bytes && (lacks_in || lacks_out))
            return 0;
    }
    return 1;
}

/* Finds the sources, and the outputs that are wanted, mine first; returns how many those are. */
static int find_memory(struct node *node, int32_t piece, size_t offset)
{
    int64_t own = ronde__node_board(node, node->me)[piece].out;
    int wanted = 0;
    for (int i = 0; i < node->contributors; i++) {
        int rank = node->members[i];
        int64_t in = ronde__node_board(node, rank)[piece].in;
        node->sources[i] = ronde__node_arena_at(node, rank, in) + offset;
    }
    if (own != ARENA_NOWHERE)
        node->places[wanted++] = ronde__node_arena_at(node, node->me, own) + offset;
    for (int rank = 0; rank < node->ranks; rank++) {
        int64_t out = ronde__node_board(node, rank)[piece].out;
        if (rank != node->me && out != ARENA_NOWHERE)
            node->places[wanted++] = ronde__node_arena_at(node, rank, out) + offset;
    }
    return wanted;
}

/* `count` elements of one piece, `offset` bytes into it: reduced into one output, and copied from
 * there to the others while it is in the first cache. */
static void reduce_run(struct node *node, int32_t piece, size_t offset, size_t count)
{
    int wanted = find_memory(node, piece, offset);
    /* 8 KiB: a few of these, one per source, fit 48 KiB of first-level cache. */
    const size_t block = 8192 / node->work.element_bytes;
    for (size_t done = 0; wanted && done < count;) {
        size_t run = count - done < block ? count - done : block;
        size_t bytes = run * node->work.element_bytes;
        const char *result = node->places[0];
        ronde__node_combine(node, node->places[0], run);
        for (int i = 1; i < wanted; i++)
            memcpy(node->places[i], result, bytes);
        for (int i = 0; i < wanted; i++)
            node->places[i] += bytes;
        for (int i = 0; i < node->contributors; i++)
            node->sources[i] = (const char *)node->sources[i] + bytes;
        done += run;
    }
}

static int32_t reduce_share(struct node *node)
{
    const size_t most = NODE_STEP_BYTES / node->work.element_bytes;
    size_t from, to;
    ronde__node_share(node, node->work.count, node->me, &from, &to);
    size_t at = from + node->at;
    size_t stop = to - at < most ? to : at + most;
    while (at < stop) {
        size_t run = ronde__piece_seek(&node->reduce_at, at);
        run = run < stop - at ? run : stop - at;
        reduce_run(node, (int32_t)(node->reduce_at.piece - node->work.pieces),
                   (at - node->reduce_at.start) * node->work.element_bytes, run);
        at += run;
    }
    node->at = at - from;
    return at < to ? RONDE__MOVED : ronde__node_leave(node);
}

void ronde__node_begin_in_arena(struct node *node)
{
    node->at = 0;
    node->reduce_at = ronde__node_first_piece(node);
    node->stage = reduce_share;
}
