/* The node's collectives, with ranks as threads over one slots memory: every path, every mixture of
 * ranks that contribute nothing and results that nobody wants, and many operations in a row.
 *
 * Results are compared bit by bit with an addition in the order of local ranks, one element at a
 * time (reference.h); without weights the values are such that another order gives other bits. */
/* ronde-test: timeout=180 */
#include <stdio.h>

#include "collectives/node_stages.h"
#include "node_team.h"
#include "reference.h"
#include "shm/slots.h"

enum { PIECES = 4, PERIOD = 251 }; /* values repeat after a prime number of elements */
enum kind { ALLREDUCE, TO_WIRE, BROADCAST, EXCHANGE, BARRIER, KINDS };

/* One operation, told alike to all ranks. Sets of ranks are bits. */
struct trial {
    enum kind kind;
    int number;
    int in_place, cuts; /* cuts: an exchange's runs lie in so many pieces */
    unsigned in_arena, out_in_arena;
    uint64_t salt;
    /* of reductions and broadcasts */
    int32_t dtype, op;
    int pieces, weighted, root;
    size_t counts[PIECES];
    unsigned absent, unwanted[PIECES];
    /* of an exchange: by source, and by source and destination */
    size_t bytes[TEAM_MOST], from[TEAM_MOST][TEAM_MOST], wanted[TEAM_MOST][TEAM_MOST];
};

static int has(unsigned set, int rank)
{
    return set >> rank & 1;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Repeats the first `done` bytes. */
static void repeat(char *data, size_t bytes, size_t done)
{
    for (; done && done < bytes; done *= 2)
        memcpy(data + done, data, done < bytes - done ? done : bytes - done);
}

static int repeats(const char *data, size_t bytes, const char *period, size_t period_bytes)
{
    for (size_t at = 0; at < bytes; at += period_bytes)
        if (memcmp(data + at, period, bytes - at < period_bytes ? bytes - at : period_bytes))
            return 0;
    return 1;
}

static size_t period_of(size_t count)
{
    return count < PERIOD ? count : PERIOD;
}

/* One failure makes many: the first are enough. */
static int is_told(void)
{
    return __atomic_load_n(&check_failures, __ATOMIC_RELAXED) > 20;
}

/* ---- reductions: values ---------------------------------------------------------------------- */

static const double weight_of[TEAM_MOST] = {0.5, 3, 1, 2, 0.25, 1, 0, 4};

/* Small ones for weighted sums, which are exact then; else of magnitudes so different that floats
 * round at every addition. */
static double value_of(const struct trial *trial, int rank, int piece, size_t index)
{
    uint64_t random = mix(trial->salt + 8 * (uint64_t)(251 * index + (uint64_t)rank) +
                          (uint64_t)piece);
    if (trial->weighted)
        return ((double)(random % 31) - 15) * weight_of[rank];
    if (trial->dtype == RONDE_UINT8)
        return (double)(random % 256);
    int most = trial->dtype == RONDE_FLOAT16 ? 4 : 24;
    return ldexp((double)(random % 2001) - 1000, (int)(random >> 20 & 255) % most);
}

static void store_value(int32_t dtype, char *at, double value)
{
    if (dtype == RONDE_FLOAT64)
        memcpy(at, &value, 8);
    else if (dtype == RONDE_UINT8)
        *(unsigned char *)at = (unsigned char)value;
    else
        store_float(dtype, at, (float)value);
}

/* What a rank puts in: `weighed` makes it what is added. */
static void fill_input(const struct trial *trial, int rank, int piece, char *in)
{
    size_t size = ronde_dtype_bytes(trial->dtype), first = period_of(trial->counts[piece]);
    double weight = trial->weighted && weight_of[rank] != 0 ? weight_of[rank] : 1;
    for (size_t i = 0; i < first; i++)
        store_value(trial->dtype, in + i * size, value_of(trial, rank, piece, i) / weight);
    repeat(in, trial->counts[piece] * size, first * size);
}

static struct reduction reduction_of(const struct trial *trial, int ranks)
{
    uint32_t contributors = 0;
    for (int rank = 0; rank < ranks; rank++)
        contributors += !has(trial->absent, rank);
    return ronde__reduction(trial->dtype, trial->op, 1, 1, contributors);
}

/* One period of a piece's result. */
static void expected_period(const struct trial *trial, int ranks, int piece, char *out)
{
    struct reduction reduction = reduction_of(trial, ranks);
    size_t size = ronde_dtype_bytes(trial->dtype);
    for (size_t i = 0; i < period_of(trial->counts[piece]); i++) {
        char values[TEAM_MOST][8];
        const char *sources[TEAM_MOST];
        int n = 0;
        for (int rank = 0; rank < ranks; rank++)
            if (trial->kind == BROADCAST ? rank == trial->root : !has(trial->absent, rank)) {
                store_value(trial->dtype, values[n], value_of(trial, rank, piece, i));
                sources[n] = values[n];
                n++;
            }
        if (n && trial->kind == BROADCAST)
            memcpy(out + i * size, values[0], size);
        else if (n)
            reference_element(&reduction, out + i * size, sources, n);
        else
            ronde__reduce_identity(&reduction, out + i * size, 1);
    }
}

/* ---- reductions: a rank's part --------------------------------------------------------------- */

/* The memory that one rank gave. */
struct tensors {
    struct piece pieces[PIECES];
    char *in[PIECES], *out[PIECES]; /* NULL: none */
};

static int gives(const struct trial *trial, int rank)
{
    return trial->kind == BROADCAST ? rank == trial->root : !has(trial->absent, rank);
}

static void place_tensors(const struct trial *trial, int me, char *const *areas,
                          struct tensors *tensors)
{
    size_t size = ronde_dtype_bytes(trial->dtype), at_in = 0, at_out = 0;
    char *ins = areas[has(trial->in_arena, me) ? ARENA_IN : PRIVATE_IN];
    char *outs = areas[has(trial->out_in_arena, me) ? ARENA_OUT : PRIVATE_OUT];
    for (int i = 0; i < trial->pieces; i++) {
        size_t bytes = trial->counts[i] * size;
        int wanted = !has(trial->unwanted[i], me) && trial->kind != TO_WIRE;
        char *in = NULL, *out = NULL;
        /* the `in` of a rank that gives nothing: none, or what must not be read */
        if (gives(trial, me) || trial->in_place || trial->salt % 2)
            in = team_place(ins, &at_in, bytes, (size_t)i % 3 * size);
        if (gives(trial, me))
            fill_input(trial, me, i, in);
        if (wanted)
            out = trial->in_place ? in : team_place(outs, &at_out, bytes, (size_t)i % 2 * size);
        tensors->in[i] = in;
        tensors->out[i] = out;
        tensors->pieces[i] = (struct piece){in, out, trial->counts[i]};
    }
}

static void check_tensors(const struct trial *trial, int ranks, const struct node *node,
                          const struct tensors *tensors)
{
    char period[PERIOD * 8], given[PERIOD * 8];
    const char *wire = node->slots.wire;
    size_t size = ronde_dtype_bytes(trial->dtype);
    for (int i = 0; i < trial->pieces && !is_told(); i++) {
        size_t bytes = trial->counts[i] * size, period_bytes = period_of(trial->counts[i]) * size;
        const char *in = tensors->in[i], *out = tensors->out[i];
        struct trial first = *trial;
        first.counts[i] = period_of(trial->counts[i]);
        expected_period(trial, ranks, i, period);
        if (trial->kind == TO_WIRE)
            CHECK_SAYING(repeats(wire, bytes, period, period_bytes),
                         "trial %d, rank %d of %d, piece %d of %zu: wrong on the wire",
                         trial->number, node->me, ranks, i, trial->counts[i]);
        wire += bytes;
        if (out)
            CHECK_SAYING(repeats(out, bytes, period, period_bytes) && team_guards_stand(out, bytes),
                         "trial %d, rank %d of %d, piece %d of %zu: wrong result", trial->number,
                         node->me, ranks, i, trial->counts[i]);
        if (!in || in == out)
            continue;
        if (gives(trial, node->me))
            fill_input(&first, node->me, i, given);
        else
            memset(given, 0xAA, period_bytes);
        CHECK_SAYING(repeats(in, bytes, given, period_bytes) && team_guards_stand(in, bytes),
                     "trial %d, rank %d of %d, piece %d of %zu: the input was written",
                     trial->number, node->me, ranks, i, trial->counts[i]);
    }
}

static size_t bytes_of_all(const struct trial *trial)
{
    size_t bytes = 0;
    for (int i = 0; i < trial->pieces; i++)
        bytes += trial->counts[i] * ronde_dtype_bytes(trial->dtype);
    return bytes;
}

/* 1 where a rank's private memory is not needed. */
static int is_in_arena(const struct trial *trial, int rank)
{
    for (int i = 0; i < trial->pieces; i++) {
        int wanted = !has(trial->unwanted[i], rank);
        unsigned outs = trial->in_place ? trial->in_arena : trial->out_in_arena;
        if (trial->counts[i] && ((!has(trial->absent, rank) && !has(trial->in_arena, rank)) ||
                                 (wanted && !has(outs, rank))))
            return 0;
    }
    return 1;
}

/* How many ranks say that the operation can be zero-copy: between small and large it is not worth
 * it to a rank without a CPU of its own. */
static int how_many_in_arena(const struct trial *trial, int ranks, int is_medium)
{
    int n = 0;
    for (int rank = 0; rank < ranks; rank++)
        n += is_in_arena(trial, rank) && !(is_medium && ranks == TEAM_SLEEPY && rank == 2);
    return n;
}

/* How many slices the operation counts, which tells the path it takes. */
static uint64_t reduction_slices(const struct trial *trial, int ranks)
{
    size_t bytes = bytes_of_all(trial), slices = (bytes + TEAM_SLICE_BYTES - 1) / TEAM_SLICE_BYTES;
    int is_allreduce = trial->kind == ALLREDUCE;
    int is_small = bytes <= SLOTS_SMALL_BYTES, is_medium = is_small && bytes >= NODE_MEDIUM_BYTES;
    if (trial->kind == TO_WIRE)
        return slices;
    if (trial->kind == BARRIER || ranks == 1 || (is_small && !(is_allreduce && is_medium)))
        return 0;
    int in_arena = is_allreduce ? how_many_in_arena(trial, ranks, is_medium) : 0;
    if (in_arena == ranks)
        return 1;
    return is_medium && !in_arena ? 0 : slices;
}

static int run_reduction(const struct trial *trial, struct team *team, struct node *node,
                         char *const *areas)
{
    struct tensors tensors;
    unsigned char present[TEAM_MOST];
    struct reduction reduction = reduction_of(trial, team->ranks);
    place_tensors(trial, node->me, areas, &tensors);
    for (int rank = 0; rank < team->ranks; rank++)
        present[rank] = !has(trial->absent, rank);
    struct node_work work = {.pieces = tensors.pieces,
                             .piece_count = trial->pieces,
                             .element_bytes = ronde_dtype_bytes(trial->dtype),
                             .wire_element_bytes = ronde_dtype_bytes(trial->dtype),
                             .reduction = &reduction,
                             .present = trial->absent || trial->salt % 4 == 0 ? present : NULL,
                             .weights = trial->weighted ? weight_of : NULL,
                             .root = trial->root};
    work.count = bytes_of_all(trial) / work.element_bytes;
    if (trial->kind == ALLREDUCE)
        ronde__node_start_allreduce(node, &work);
    else if (trial->kind == TO_WIRE)
        ronde__node_start_reduce_to_wire(node, &work);
    else if (trial->kind == BROADCAST)
        ronde__node_start_broadcast(node, &work);
    else
        ronde__node_start_barrier(node);
    if (!team_finish(team, node))
        return 0;
    if (trial->kind != BARRIER)
        check_tensors(trial, team->ranks, node, &tensors);
    return 1;
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static char byte_of(const struct trial *trial, int source, size_t index)
{
    return (char)((index + 7 * (size_t)source + trial->salt) % PERIOD);
}

/* The pieces of my run, some of them empty. */
static int32_t place_run(const struct trial *trial, int me, char *area, struct piece *mine)
{
    size_t at = 0, done = 0, bytes = trial->bytes[me];
    int32_t pieces = trial->in_place ? 1 : trial->cuts;
    for (int32_t i = 0; i < pieces; i++) {
        size_t left = bytes - done;
        size_t count = i == pieces - 1 ? left : (left / 2 + (size_t)i) % (left + 1);
        char *in = team_place(area, &at, count, (size_t)i * 5 % 16);
        for (size_t b = 0; b < count && b < PERIOD; b++)
            in[b] = byte_of(trial, me, done + b);
        repeat(in, count, period_of(count));
        done += count;
        mine[i] = (struct piece){count ? in : NULL, NULL, count};
    }
    return pieces;
}

static void check_exchange(const struct trial *trial, int ranks, int me,
                           const struct node_run *runs, const struct piece *mine, int32_t pieces)
{
    char period[PERIOD];
    for (int source = 0; source < ranks && !is_told(); source++) {
        const struct node_run *run = &runs[source];
        for (size_t b = 0; b < PERIOD; b++)
            period[b] = byte_of(trial, source, run->from + b);
        int is_mine = trial->in_place && source == me;
        if (run->wanted)
            CHECK_SAYING(repeats(run->out, run->wanted, period, PERIOD) &&
                             (is_mine || team_guards_stand(run->out, run->wanted)),
                         "trial %d, rank %d of %d: wrong bytes of rank %d, of %zu from %zu",
                         trial->number, me, ranks, source, run->wanted, run->from);
    }
    size_t done = 0;
    for (int32_t i = 0; i < pieces && !is_told(); i++) {
        for (size_t b = 0; b < PERIOD; b++)
            period[b] = byte_of(trial, me, done + b);
        CHECK_SAYING(!mine[i].count || (repeats(mine[i].in, mine[i].count, period, PERIOD) &&
                                        team_guards_stand(mine[i].in, mine[i].count)),
                     "trial %d, rank %d of %d: the input was written", trial->number, me, ranks);
        done += mine[i].count;
    }
}

static uint64_t exchange_slices(const struct trial *trial, int ranks)
{
    size_t longest = 0;
    int in_arena = 1;
    for (int rank = 0; rank < ranks; rank++) {
        longest = trial->bytes[rank] > longest ? trial->bytes[rank] : longest;
        in_arena &= !trial->bytes[rank] || has(trial->in_arena, rank);
    }
    if (longest <= SLOTS_SMALL_BYTES || ranks == 1)
        return 0;
    return in_arena ? 1 : (longest + TEAM_SLICE_BYTES - 1) / TEAM_SLICE_BYTES;
}

static int run_exchange(const struct trial *trial, struct team *team, struct node *node,
                        char *const *areas)
{
    struct node_run runs[TEAM_MOST];
    struct piece mine[PIECES];
    int me = node->me;
    char *ins = areas[has(trial->in_arena, me) ? ARENA_IN : PRIVATE_IN];
    char *outs = areas[has(trial->out_in_arena, me) ? ARENA_OUT : PRIVATE_OUT];
    int32_t pieces = place_run(trial, me, ins, mine);
    size_t at = 0;
    for (int source = 0; source < team->ranks; source++) {
        size_t from = trial->from[source][me], wanted = trial->wanted[source][me];
        char *out = NULL;
        if (trial->in_place && source == me && wanted)
            out = (char *)(uintptr_t)mine[0].in + from;
        else if (wanted)
            out = team_place(outs, &at, wanted, (size_t)source * 3 % 16);
        runs[source] = (struct node_run){trial->bytes[source], from, wanted, out};
    }
    ronde__node_start_exchange(node, runs, mine, pieces);
    if (!team_finish(team, node))
        return 0;
    check_exchange(trial, team->ranks, me, runs, mine, pieces);
    return 1;
}

/* ---- running trials -------------------------------------------------------------------------- */

/* Runs a trial on this rank; 0 where it is no use to go on. */
static int run_trial(const struct trial *trial, struct team *team, struct node *node,
                     char *const *areas)
{
    uint64_t before = node->slice, slices;
    int came, is_exchange = trial->kind == EXCHANGE;
    came = (is_exchange ? run_exchange : run_reduction)(trial, team, node, areas);
    slices = (is_exchange ? exchange_slices : reduction_slices)(trial, team->ranks);
    if (!came || node->slice != before + slices) {
        check_fail(__FILE__, __LINE__, "trial %d, kind %d, rank %d of %d: %s, %llu slices for %llu",
                   trial->number, (int)trial->kind, node->me, team->ranks,
                   came ? "ended" : "did not end", (unsigned long long)(node->slice - before),
                   (unsigned long long)slices);
        return 0;
    }
    return 1;
}

static const int team_sizes[] = {1, 2, 3, 4, 5, 8};
enum { TEAM_SIZES = sizeof(team_sizes) / sizeof(*team_sizes) };

/* ---- every combination, of few ranks --------------------------------------------------------- */

/* Two pieces, of which the second is wanted by the ranks that do not want the first, and by
 * rank 0. */
static void try_every_combination(struct team *team, struct node *node, char *const *areas)
{
    static const size_t counts[][2] = {{3, 5}, {700, 0}, {500, 4000}};
    unsigned all = (1u << team->ranks) - 1;
    int number = 0;
    for (size_t size = 0; size < sizeof(counts) / sizeof(*counts); size++)
        for (unsigned absent = 0; absent <= all; absent++)
            for (unsigned unwanted = 0; unwanted <= all; unwanted++)
                for (unsigned way = 0; way < 32; way++) {
                    struct trial trial = {
                        .kind = way & 16 && unwanted == 0 ? TO_WIRE : ALLREDUCE,
                        .number = number++,
                        .in_place = way & 1,
                        .weighted = way >> 1 & 1,
                        .in_arena = way & 4 ? all : 0,
                        .out_in_arena = way & 8 ? all : 0,
                        .salt = way & 16 ? 1 : 2,
                        .dtype = RONDE_FLOAT32,
                        .op = RONDE_SUM,
                        .pieces = 2,
                        .counts = {counts[size][0], counts[size][1]},
                        .absent = absent,
                        .unwanted = {unwanted, all & ~unwanted & ~1u},
                    };
                    if (!run_trial(&trial, team, node, areas))
                        return;
                }
}

static void every_combination_of_absent_and_unwanted_gives_the_ordered_sum(void)
{
    for (int ranks = 1; ranks <= 3; ranks++)
        team_run(ranks, 0, try_every_combination);
}

/* Reduce to a root, and reduce-scatter as an allreduce of pieces of which each is wanted by one. */
static void try_one_owner(struct team *team, struct node *node, char *const *areas)
{
    static const int32_t dtypes[] = {RONDE_UINT8, RONDE_FLOAT16, RONDE_FLOAT32, RONDE_FLOAT64};
    unsigned all = (1u << team->ranks) - 1;
    for (int number = 0; number < 96; number++) {
        struct trial trial = {
            .number = number,
            .in_place = number & 1,
            .in_arena = number & 2 ? all : 0,
            .out_in_arena = number & 4 ? all : 0,
            .salt = (uint64_t)number,
            .dtype = dtypes[number / 8 % 4],
            .op = number % 3 == 0   ? RONDE_AVERAGE
                  : number % 3 == 1 ? RONDE_MIN
                                    : RONDE_SUM,
            .pieces = PIECES,
        };
        for (int i = 0; i < PIECES; i++) {
            trial.counts[i] = number / 32 == 0 ? (size_t)i : number / 32 == 1 ? 50 : 7001;
            trial.unwanted[i] = all & ~(1u << (i + number) % team->ranks);
        }
        if (!run_trial(&trial, team, node, areas))
            return;
    }
}

static void a_piece_may_be_wanted_by_one_rank_only(void)
{
    for (int i = 0; i < TEAM_SIZES; i++)
        team_run(team_sizes[i], 1, try_one_owner);
}

/* ---- counts ---------------------------------------------------------------------------------- */

static void try_counts(struct team *team, struct node *node, char *const *areas)
{
    static const int32_t dtypes[] = {RONDE_UINT8, RONDE_FLOAT16, RONDE_FLOAT32, RONDE_FLOAT64};
    static const size_t limits[] = {
        0,      1, 52, SLOTS_SMALL_BYTES, 5 * TEAM_SLICE_BYTES, (TEAM_SLOTS + 4) * TEAM_SLICE_BYTES,
        5 << 19};
    unsigned all = (1u << team->ranks) - 1;
    int number = 0;
    for (size_t limit = 0; limit < sizeof(limits) / sizeof(*limits); limit++)
        for (int off = -1; off <= 1; off++)
            for (int way = 0; way < 8; way++, number++) {
                struct trial trial = {.kind = way < 6    ? ALLREDUCE
                                              : way == 6 ? TO_WIRE
                                                         : BROADCAST,
                                      .number = number,
                                      .in_place = way & 1,
                                      .in_arena = way & 2 ? all : 0,
                                      .out_in_arena = way & 2 ? all : 0,
                                      .salt = (uint64_t)way,
                                      .dtype = dtypes[way % 4],
                                      .op = RONDE_SUM,
                                      .root = number % team->ranks,
                                      .pieces = 1};
                size_t count = limits[limit] / ronde_dtype_bytes(trial.dtype);
                if (limits[limit] == 1)
                    count = (size_t)team->ranks;
                trial.counts[0] = count || off > 0 ? count + (size_t)off : 0;
                if ((trial.kind != TO_WIRE || bytes_of_all(&trial) <= TEAM_WIRE_BYTES) &&
                    !run_trial(&trial, team, node, areas))
                    return;
            }
}

static void counts_may_lie_on_either_side_of_every_limit(void)
{
    for (int i = 0; i < TEAM_SIZES; i++)
        team_run(team_sizes[i], 0, try_counts);
}

/* ---- kinds of exchange ----------------------------------------------------------------------- */

/* Fills in the lengths of a trial: allgather, gather, scatter, all-to-all (uneven, with nothing for
 * some), and ranges that overlap. Longest run: some `unit` x ranks. */
static void choose_lengths(struct trial *trial, int kind, int ranks, size_t unit)
{
    enum { ALLGATHER, GATHER, SCATTER, ALLTOALL };
    for (int source = 0; source < ranks; source++) {
        size_t at = 0, whole = unit + (size_t)source * (unit / 9);
        for (int to = 0; to < ranks; to++) {
            uint64_t random = mix(trial->salt + (uint64_t)(source * TEAM_MOST + to));
            size_t part = random % 4 ? unit / 2 + random % (unit + 1) / 2 : 0;
            size_t *from = &trial->from[source][to], *wanted = &trial->wanted[source][to];
            *from = kind == SCATTER || kind == ALLTOALL ? at : 0;
            if (kind == ALLGATHER || (kind == GATHER && to == trial->root))
                *wanted = whole;
            else if (kind == ALLTOALL || (kind == SCATTER && source == trial->root))
                *wanted = part;
            else if (kind > ALLTOALL) {
                *from = random % (whole + 1);
                *wanted = (random >> 32) % (whole - *from + 1);
            }
            at += *wanted;
        }
        trial->bytes[source] = kind == SCATTER || kind == ALLTOALL ? at : whole;
    }
}

static void try_exchanges(struct team *team, struct node *node, char *const *areas)
{
    static const size_t units[] = {0, 1, 52, 2000, SLOTS_SMALL_BYTES, 5 * TEAM_SLICE_BYTES, 120000};
    unsigned all = (1u << team->ranks) - 1;
    int number = 0;
    for (size_t unit = 0; unit < sizeof(units) / sizeof(*units); unit++)
        for (int kind = 0; kind < 5; kind++)
            for (int way = 0; way < 12; way++, number++) {
                struct trial trial = {.kind = EXCHANGE,
                                      .number = number,
                                      .in_place = way & 1,
                                      .cuts = 1 + way % PIECES,
                                      .in_arena = way / 4 == 0   ? all
                                                  : way / 4 == 1 ? 0
                                                                 : all & 0x55,
                                      .out_in_arena = way & 2 ? all : 0,
                                      .salt = (uint64_t)(7 * number),
                                      .root = number % team->ranks};
                choose_lengths(&trial, kind, team->ranks, units[unit] + (size_t)(way % 3));
                if (!run_trial(&trial, team, node, areas))
                    return;
            }
}

static void exchanges_move_whatever_is_wanted(void)
{
    for (int i = 0; i < TEAM_SIZES; i++)
        team_run(team_sizes[i], i % 3, try_exchanges);
}

/* ---- past the caches ------------------------------------------------------------------------- */

/* Large enough that the choice is learnt. */
enum { LARGE = 2 << 20 };

/* As if it had been learnt, and most stores of the next operation go that way. */
static void have_learnt(struct node *node, int past)
{
    const struct stores learnt = {.past = past, .count = 2 * STORES_SAMPLES};
    node->to_slots = learnt;
    for (int kind = 0; kind < NODE_OUTS; kind++)
        for (int size = 0; size < NODE_OUT_SIZES; size++)
            node->to_out[kind][size] = learnt;
}

/* Rank 1 does not want the second piece. `in` and `out` hold both. */
static void reduce_large(struct team *team, struct node *node, const char *in, char *out, int past)
{
    struct reduction sum = ronde__reduction(RONDE_UINT8, RONDE_SUM, 1, 1, 2);
    struct piece pieces[2] = {{in, out, LARGE}, {in + LARGE, out + LARGE, LARGE}};
    if (node->me == 1)
        pieces[1].out = NULL;
    struct node_work work = {.pieces = pieces,
                             .piece_count = 2,
                             .count = 2 * (size_t)LARGE,
                             .element_bytes = 1,
                             .reduction = &sum};
    memset(out, 0xAA, 2 * (size_t)LARGE);
    have_learnt(node, past);
    ronde__node_start_allreduce(node, &work);
    CHECK(node->out_past == past);
    CHECK(team_finish(team, node));
    for (size_t i = 0; i < 2 * (size_t)LARGE; i++) {
        int wanted = i < LARGE || node->me == 0;
        char right = wanted ? (char)(2 * (i % PERIOD)) : (char)0xAA;
        CHECK_SAYING(out[i] == right, "rank %d, element %zu", node->me, i);
    }
}

/* Everybody takes both ranks' halves. */
static void gather_large(struct team *team, struct node *node, const char *in, char *out, int past)
{
    struct piece mine = {in + (node->me ? LARGE : 0), NULL, LARGE};
    const struct node_run runs[] = {{LARGE, 0, LARGE, out}, {LARGE, 0, LARGE, out + LARGE}};
    have_learnt(node, past);
    ronde__node_start_exchange(node, runs, &mine, 1);
    CHECK(node->out_past == past);
    CHECK(team_finish(team, node));
    CHECK(!memcmp(out, in, 2 * (size_t)LARGE));
}

static void try_large(struct team *team, struct node *node, char *const *areas)
{
    (void)areas;
    char *in = malloc(2 * (size_t)LARGE), *out = malloc(2 * (size_t)LARGE);
    CHECK(in && out);
    for (size_t i = 0; i < 2 * (size_t)LARGE; i++)
        in[i] = (char)(i % PERIOD);
    for (int past = 0; past < 2; past++) {
        reduce_large(team, node, in, out, past);
        gather_large(team, node, in, out, past);
    }
    free(in);
    free(out);
}

static void data_may_go_past_the_caches(void)
{
    team_run(2, 0, try_large);
}

/* ---- many operations in a row ---------------------------------------------------------------- */

static struct trial random_trial(int number, int ranks)
{
    static const int32_t dtypes[] = {RONDE_UINT8, RONDE_FLOAT16, RONDE_FLOAT32, RONDE_FLOAT64};
    uint64_t dice = mix((uint64_t)(number + 1) * 1000003 + (uint64_t)ranks), more = mix(dice);
    unsigned all = (1u << ranks) - 1, some = (unsigned)(more >> 32) & all;
    struct trial trial = {.kind = (enum kind)(dice % KINDS),
                          .number = number,
                          .in_place = dice >> 8 & 1,
                          .cuts = 1 + (int)((dice >> 9) % PIECES),
                          .in_arena = dice >> 12 & 1   ? all
                                      : dice >> 13 & 1 ? some
                                                       : 0,
                          .out_in_arena = dice >> 14 & 1 ? all : 0,
                          .salt = more,
                          .dtype = dtypes[dice >> 16 & 3],
                          .op = dice >> 18 & 1 ? RONDE_SUM : RONDE_AVERAGE,
                          .pieces = (int)((dice >> 20) % (PIECES + 1)),
                          .root = (int)((dice >> 32) % (unsigned)ranks),
                          .absent = dice >> 26 & 1 ? (unsigned)(dice >> 40) & all : 0};
    trial.weighted = trial.dtype != RONDE_UINT8 && trial.op == RONDE_SUM && dice >> 27 & 1;
    size_t most = more % 8 == 0 ? 30000 : more % 8 < 4 ? 3000 : 20;
    for (int i = 0; i < trial.pieces; i++) {
        trial.counts[i] = mix(more + (uint64_t)i) % most;
        trial.unwanted[i] = dice >> 28 & 1 ? (unsigned)mix(dice + (uint64_t)i) & all : 0;
    }
    if (trial.kind == EXCHANGE)
        choose_lengths(&trial, (int)((more >> 8) % 5), ranks, most);
    if (trial.kind == BROADCAST || trial.kind == BARRIER)
        trial.weighted = 0;
    return trial;
}

static void try_at_random(struct team *team, struct node *node, char *const *areas)
{
    for (int number = 0; number < 1000; number++) {
        struct trial trial = random_trial(number, team->ranks);
        if (!run_trial(&trial, team, node, areas))
            return;
    }
}

static void operations_of_all_kinds_follow_each_other(void)
{
    for (int i = 0; i < TEAM_SIZES; i++)
        team_run(team_sizes[i], i % 2, try_at_random);
}

int main(void)
{
    RUN(every_combination_of_absent_and_unwanted_gives_the_ordered_sum);
    RUN(a_piece_may_be_wanted_by_one_rank_only);
    RUN(counts_may_lie_on_either_side_of_every_limit);
    RUN(exchanges_move_whatever_is_wanted);
    RUN(data_may_go_past_the_caches);
    RUN(operations_of_all_kinds_follow_each_other);
    return check_result();
}
