/* Broadcast, allgather(v), all-to-all(v). MPI asks for the same bytes at both ends, but each rank
 * may describe them by a type of its own. So the bytes decide whether the rows cover a call, and
 * then all tell each other, in one small operation, whether they see the same bytes in plain
 * memory: where one does not, all pass the call on, and MPI unpacks, or complains. */
#include <stdlib.h>
#include <string.h>

#include "preload/preload.h"

/* ---- broadcast ------------------------------------------------------------------------------- */

int ronde__preload_broadcast(void *buffer, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
    int plain;
    struct preload *preload = ronde__preload_of(comm);
    if (!preload || count <= 0 || root < 0 || root >= preload->net.size)
        return ronde__preload_note(PRELOAD_BROADCAST, 0);
    size_t bytes = (size_t)count * ronde__preload_type_bytes(preload, type, &plain);
    plain = plain && buffer && buffer != MPI_IN_PLACE;
    if (!bytes || !ronde__preload_covers(preload, PRELOAD_BROADCAST, bytes))
        return ronde__preload_note(PRELOAD_BROADCAST, 0);
    if (!ronde__preload_agree(preload, plain ? bytes : 0))
        return ronde__preload_note(PRELOAD_BROADCAST,
                                   ronde__preload_in_vain(preload, PRELOAD_BROADCAST));
    preload->to_skip[PRELOAD_BROADCAST] = 0;
    const struct piece piece = {buffer, buffer, bytes};
    struct node_work work = {
        .pieces = &piece, .piece_count = 1, .count = bytes, .element_bytes = 1, .root = root};
    ronde__node_start_broadcast(&preload->node, &work);
    ronde__preload_run(preload);
    return ronde__preload_note(PRELOAD_BROADCAST, 1);
}

/* ---- what a side of a move is ---------------------------------------------------------------- */

static int count_of(const struct preload_side *side, int rank)
{
    return side->counts ? side->counts[rank] : side->count;
}

static size_t bytes_of(const struct preload_side *side, int rank, size_t size)
{
    return (size_t)count_of(side, rank) * size;
}

/* Where a rank's bytes begin. */
static char *place_of(const struct preload_side *side, int rank, size_t size)
{
    ptrdiff_t elements = side->at ? side->at[rank] : (ptrdiff_t)rank * side->count;
    return (char *)(uintptr_t)side->memory + elements * (ptrdiff_t)size;
}

/* Everybody's bytes; 0 too where a count is wrong. */
static size_t total_of(const struct preload_side *side, int ranks, size_t size)
{
    size_t total = 0;
    if (!side->counts)
        return side->count > 0 ? (size_t)side->count * size * (size_t)ranks : 0;
    for (int rank = 0; rank < ranks; rank++) {
        if (count_of(side, rank) < 0)
            return 0;
        total += bytes_of(side, rank, size);
    }
    return total;
}

static int is_place(const void *memory)
{
    return memory && memory != MPI_IN_PLACE;
}

/* ---- allgather ------------------------------------------------------------------------------- */

static void run_allgather(struct preload *preload, const char *mine, const struct preload_side *out,
                          size_t size)
{
    int me = preload->net.rank;
    for (int rank = 0; rank < preload->net.size; rank++) {
        size_t bytes = bytes_of(out, rank, size);
        preload->runs[rank] = (struct node_run){bytes, 0, bytes, place_of(out, rank, size)};
    }
    const struct piece piece = {mine, NULL, preload->runs[me].bytes};
    ronde__node_start_exchange(&preload->node, preload->runs, &piece, 1);
    ronde__preload_run(preload);
}

/* Every rank knows what every rank gives, from the receiving side; it must be what it sends. */
int ronde__preload_allgather(const struct preload_side *in, const struct preload_side *out,
                             MPI_Comm comm)
{
    int plain, plain_in = 1;
    struct preload *preload = ronde__preload_of(comm);
    if (!preload)
        return ronde__preload_note(PRELOAD_ALLGATHER, 0);
    int me = preload->net.rank;
    size_t size = ronde__preload_type_bytes(preload, out->type, &plain);
    size_t total = total_of(out, preload->net.size, size);
    if (!total || !ronde__preload_covers(preload, PRELOAD_ALLGATHER, total))
        return ronde__preload_note(PRELOAD_ALLGATHER, 0);
    const char *mine = in->memory;
    plain = plain && is_place(out->memory);
    if (in->memory == MPI_IN_PLACE)
        mine = plain ? place_of(out, me, size) : NULL;
    else if (count_of(out, me) || in->count)
        plain = plain && in->count >= 0 && is_place(mine) &&
                (size_t)in->count * ronde__preload_type_bytes(preload, in->type, &plain_in) ==
                    bytes_of(out, me, size);
    if (!ronde__preload_agree(preload, plain && plain_in ? total : 0))
        return ronde__preload_note(PRELOAD_ALLGATHER,
                                   ronde__preload_in_vain(preload, PRELOAD_ALLGATHER));
    preload->to_skip[PRELOAD_ALLGATHER] = 0;
    run_allgather(preload, mine, out, size);
    return ronde__preload_note(PRELOAD_ALLGATHER, 1);
}

/* ---- all-to-all ------------------------------------------------------------------------------ */

/* What I send to everybody as one run, `pieces` of it, from everybody's run the part to me.
 * demand[from * ranks + to] is known to all. */
static void run_alltoall(struct preload *preload, const char *const base,
                         const struct preload_side *in, size_t in_size,
                         const struct preload_side *out, size_t out_size)
{
    int ranks = preload->net.size, me = preload->net.rank;
    const char *at = base;
    for (int rank = 0; rank < ranks; rank++) {
        const struct preload_demand *row = preload->demand + (size_t)rank * (size_t)ranks;
        struct node_run run = {.wanted = row[me].sends, .out = place_of(out, rank, out_size)};
        for (int to = 0; to < ranks; to++) {
            run.bytes += row[to].sends;
            run.from += to < me ? row[to].sends : 0;
        }
        preload->runs[rank] = run;
        size_t bytes = preload->demand[(size_t)me * (size_t)ranks + (size_t)rank].sends;
        preload->pieces[rank] = (struct piece){base ? at : place_of(in, rank, in_size), NULL,
                                               bytes};
        at += base ? bytes : 0;
    }
    ronde__node_start_exchange(&preload->node, preload->runs, preload->pieces, ranks);
    ronde__preload_run(preload);
}

/* In place what is sent lies where it will be overwritten: a copy, in the order of the ranks. */
static char *copy_of(const struct preload_side *out, int ranks, size_t size)
{
    size_t total = total_of(out, ranks, size);
    char *copy = malloc(total ? total : 1), *at = copy;
    for (int rank = 0; rank < ranks && copy; rank++) {
        size_t bytes = bytes_of(out, rank, size);
        if (bytes)
            memcpy(at, place_of(out, rank, size), bytes);
        at += bytes;
    }
    return copy;
}

static void fill_demand(struct preload *preload, const struct preload_side *in, size_t in_size,
                        const struct preload_side *out, size_t out_size, int usable)
{
    int ranks = preload->net.size;
    struct preload_demand *mine = preload->demand + (size_t)preload->net.rank * (size_t)ranks;
    for (int rank = 0; rank < ranks; rank++)
        mine[rank] = (struct preload_demand){
            .usable = (uint64_t)usable,
            .sends = usable ? bytes_of(in, rank, in_size) : 0,
            .receives = usable ? bytes_of(out, rank, out_size) : 0,
        };
}

/* All tell all what they send and expect. */
static void share_demand(struct preload *preload)
{
    size_t ranks = (size_t)preload->net.size, bytes = ranks * sizeof(*preload->demand);
    for (size_t rank = 0; rank < ranks; rank++)
        preload->runs[rank] = (struct node_run){bytes, 0, bytes,
                                                (char *)(preload->demand + rank * ranks)};
    const struct piece mine = {preload->runs[preload->net.rank].out, NULL, bytes};
    ronde__node_start_exchange(&preload->node, preload->runs, &mine, 1);
    ronde__preload_run(preload);
}

/* Does every rank expect what the others send it, and is it enough to be worth it? Alike on all. */
static int is_demand_covered(struct preload *preload)
{
    size_t ranks = (size_t)preload->net.size, total = 0;
    for (size_t from = 0; from < ranks; from++)
        for (size_t to = 0; to < ranks; to++) {
            const struct preload_demand *there = &preload->demand[from * ranks + to];
            if (!there->usable || there->sends != preload->demand[to * ranks + from].receives)
                return 0;
            total += there->sends;
        }
    return total && ronde__preload_covers(preload, PRELOAD_ALLTOALLV, total / ranks);
}

/* Of a regular one every rank knows all, once all have said that they see the same blocks. */
static int agree_on_blocks(struct preload *preload, size_t block, int usable)
{
    size_t ranks = (size_t)preload->net.size;
    if (!ronde__preload_agree(preload, usable ? block : 0))
        return 0;
    for (size_t i = 0; i < ranks * ranks; i++)
        preload->demand[i] = (struct preload_demand){1, block, block};
    return 1;
}

static int are_counts(const struct preload_side *side, int ranks)
{
    for (int rank = 0; rank < ranks; rank++)
        if (count_of(side, rank) < 0)
            return 0;
    return 1;
}

static int alltoall(struct preload *preload, const struct preload_side *in,
                    const struct preload_side *out, size_t in_size, size_t out_size, int usable)
{
    int ranks = preload->net.size, in_place = in == out;
    char *copy = in_place && usable ? copy_of(out, ranks, out_size) : NULL;
    usable = usable && (copy || !in_place);
    if (out->counts) {
        fill_demand(preload, in, in_size, out, out_size, usable);
        share_demand(preload);
        usable = is_demand_covered(preload);
    } else {
        size_t block = bytes_of(out, 0, out_size);
        usable = agree_on_blocks(preload, block, usable && bytes_of(in, 0, in_size) == block);
    }
    if (usable)
        run_alltoall(preload, copy, in, in_size, out, out_size);
    free(copy);
    return usable;
}

/* Of an irregular one a rank knows its own part only, so whether it is covered is decided in two
 * steps: that it may be, here; and of its bytes, once all know them. */
int ronde__preload_alltoall(const struct preload_side *in, const struct preload_side *out,
                            MPI_Comm comm)
{
    enum { LIKELY_BYTES = 1 << 20 };
    enum preload_kind kind = out->counts ? PRELOAD_ALLTOALLV : PRELOAD_ALLTOALL;
    struct preload *preload = ronde__preload_of(comm);
    if (!preload || (!out->counts && out->count <= 0))
        return ronde__preload_note(kind, 0);
    int ranks = preload->net.size, plain, plain_in;
    size_t size = ronde__preload_type_bytes(preload, out->type, &plain);
    size_t bytes = out->counts ? LIKELY_BYTES : bytes_of(out, 0, size) * (size_t)ranks;
    if (!bytes || !ronde__preload_covers(preload, kind, bytes))
        return ronde__preload_note(kind, 0);
    if (in->memory == MPI_IN_PLACE)
        in = out;
    size_t in_size = ronde__preload_type_bytes(preload, in->type, &plain_in);
    int usable = plain && plain_in && is_place(out->memory) && is_place(in->memory) &&
                 are_counts(in, ranks) && are_counts(out, ranks);
    if (!alltoall(preload, in, out, in_size, size, usable))
        return ronde__preload_note(kind, ronde__preload_in_vain(preload, kind));
    preload->to_skip[kind] = 0;
    return ronde__preload_note(kind, 1);
}
