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

/* Is that rank's output its input? Then it was just read, and storing it past the caches saves nothing. */
static int is_in_place(const struct node *node, int rank, const struct board_entry *entry)
{
    int contributes = !node->work.present || node->work.present[rank];
    return contributes && entry->in == entry->out;
}

/* Finds the sources, and the outputs that are wanted: first, mine in front, those that go through the
 * caches, [0, *cached); then those that do not. Returns how many they are. */
static int find_memory(struct node *node, int32_t piece, size_t offset, int *cached)
{
    int wanted = 0;
    for (int i = 0; i < node->contributors; i++) {
        int rank = node->members[i];
        int64_t in = ronde__node_board(node, rank)[piece].in;
        node->sources[i] = ronde__node_arena_at(node, rank, in) + offset;
    }
    for (int past = 0; past <= node->streams; past++) {
        for (int i = 0; i < node->ranks; i++) {
            int rank = (node->me + i) % node->ranks;
            const struct board_entry *entry = &ronde__node_board(node, rank)[piece];
            int goes_past = node->streams && !is_in_place(node, rank, entry);
            if (entry->out != ARENA_NOWHERE && goes_past == past)
                node->places[wanted++] = ronde__node_arena_at(node, rank, entry->out) + offset;
        }
        *cached = past ? *cached : wanted;
    }
    return wanted;
}

/* `count` elements of one piece, `offset` bytes into it: reduced into one output, or where all go
 * past the caches into a block of our own, and copied from there while it is in the first cache. */
static void reduce_run(struct node *node, int32_t piece, size_t offset, size_t count)
{
    enum { BLOCK = 8192 }; /* a few of these, one per source, fit 48 KiB of first-level cache */
    _Alignas(64) char own[BLOCK];
    int cached, wanted = find_memory(node, piece, offset, &cached);
    const size_t block = BLOCK / node->work.element_bytes;
    for (size_t done = 0; wanted && done < count;) {
        size_t run = count - done < block ? count - done : block;
        size_t bytes = run * node->work.element_bytes;
        char *result = cached ? node->places[0] : own;
        ronde__node_combine(node, result, run);
        for (int i = 1; i < cached; i++)
            memcpy(node->places[i], result, bytes);
        for (int i = cached; i < wanted; i++)
            ronde__copy_streaming(node->places[i], result, bytes);
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
