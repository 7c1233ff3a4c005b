/* Letters: o overhead, L latency, w a message's time on a card (gap included), W that of all of a
 * lane's messages of a step, c the time to take a message in, K lanes, T a round between two peers
 * who begin together, P the time from one round to the next of a lane that has K - 1 beside it, B what
 * the last lane waits for at first, (K - 1) W. */
#include "formula.h"

#include "collectives/schedule_algorithms.h"

/* A step of one lane: a block's bytes as messages. */
struct round {
    int64_t both, one; /* T: both send and receive; only one sends */
    int64_t send;      /* until a sender who receives nothing has sent */
    int64_t by_wire;   /* T if CPUs took no time but o for the first message, and c for the last */
    int64_t first;     /* w of the first message */
    int64_t wire;      /* W */
    int64_t answer;    /* H */
    int64_t period;    /* P */
    int64_t before;    /* what the last lane waits for at first, while the others go ahead of it */
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* One message: the sender's o, w on the wire, L, then c; H = 2L before w where it must be offered.
 * Several, V of them in flight: the wire is busy without a pause from the first to the last,
 * o + H + L + W + c(last), if a message is offered and answered while V - 1 others are on the wire,
 * else each costs (o + H + w)/V at least; or where messages cost a CPU more than the wire, the CPU
 * is busy, from the first one's arrival on: it has started V by then, if they do not take longer.
 * The time is the largest of these, or up to what a CPU does for a window of messages more. */
static struct round round_of(const struct model *model, size_t bytes, int reduces)
{
    struct pieces pieces = model_cut(model, bytes);
    int64_t o = model->overhead, L = model->latency, n = (int64_t)pieces.segments;
    if (n == 0)
        return (struct round){0};
    size_t first = model_segment(&pieces, 0), last = model_segment(&pieces, pieces.segments - 1);
    int64_t w = model_wire(model, first), w_last = model_wire(model, last);
    int64_t c = model_take(model, first, reduces), c_last = model_take(model, last, reduces);
    int64_t V = n < (int64_t)model->window ? n : (int64_t)model->window;
    int64_t H = pieces.segment_bytes > model->eager_bytes ? 2 * L : 0;
    struct round round = {.wire = (n - 1) * w + w_last, .first = w, .answer = H};
    int64_t flight = larger(round.wire, (n - 1) * ((o + H + w) / V) * (n > V) + w_last);
    int64_t by_wire = o + H + L + flight + c_last, takes = (n - 1) * c + c_last;
    round.by_wire = by_wire;
    round.both = larger(by_wire, larger(V * o, o + H + L + w) + (n - V) * o + takes);
    round.one = larger(by_wire, larger(n * o + H + L + w_last + c_last, o + H + L + w + takes));
    round.send = larger(o + H + flight, n * o + H + w_last);
    return round;
}

/* Lanes take turns on the card, a message each. Either it is busy all the time, or a lane has its
 * answer before its turn comes again. The last lane's last message leaves when all have left. */
static struct round lanes_round(const struct model *model, const struct shape *shape, int is_longer,
                                int reduces)
{
    struct round round = round_of(model, shape_bytes(shape, is_longer, 0), reduces);
    int64_t wires = round.wire, firsts = 0;
    for (int lane = 1; lane < shape->lanes; lane++) {
        struct round other = round_of(model, shape_bytes(shape, is_longer, lane), 0);
        wires += other.wire;
        firsts += other.first;
    }
    round.period = larger(round.both, wires);
    round.before = larger(wires - round.wire + round.by_wire, round.both + firsts) - round.both;
    return round;
}

static int64_t segments(const struct model *model, const struct shape *shape, int is_longer,
                        int lane)
{
    return (int64_t)model_cut(model, shape_bytes(shape, is_longer, lane)).segments;
}

static int64_t all_segments(const struct model *model, const struct shape *shape, int is_longer)
{
    int64_t all = 0;
    for (int lane = 0; lane < shape->lanes; lane++)
        all += segments(model, shape, is_longer, lane);
    return all;
}

/* ---- rings ----------------------------------------------------------------------------------- */

/* Of `turns` turns each passes on all blocks but one: the last `spared` of these, which are short
 * ones where there are any, are what the peer that sends most does not send. */
static void count_ring(const struct model *model, const struct shape *shape, int turns,
                       struct outcome *outcome)
{
    int64_t p = shape->nodes, longer = shape->longer, shorter = p - longer;
    int64_t short_ones = turns * shorter, long_ones = turns * longer;
    int64_t spared = larger(0, turns - shorter); /* that are long */
    int64_t mine_long = long_ones - spared, mine_short = short_ones - (turns - spared);
    size_t block_short = shape->elements * shape->element_bytes;
    outcome->rank_messages = mine_long * segments(model, shape, 1, 0) +
                             mine_short * segments(model, shape, 0, 0);
    outcome->rank_bytes = mine_long * (int64_t)shape_bytes(shape, 1, 0) +
                          mine_short * (int64_t)shape_bytes(shape, 0, 0);
    outcome->node_bytes = mine_long * (int64_t)(block_short + shape->element_bytes) +
                          mine_short * (int64_t)block_short;
    outcome->messages = turns * (p - 1) *
                        (longer * all_segments(model, shape, 1) +
                         shorter * all_segments(model, shape, 0));
}

/* Ring (schedule_ring.c), p peers: p - 1 rounds that reduce, and p - 1 that do not. All peers go in
 * step, and the longest block goes through all rounds, so
 *   time = B + (p - 1) P(reduce) + (p - 2) P(copy) + T(copy)
 * with K = 1: 2(p - 1)(2o + L + w) + (p - 1) n/p gamma. That is 2(p - 1) alpha + 2(p - 1)/p n beta
 * + (p - 1)/p n gamma of Patarasuk and Yuan, JPDC 69 (2009). A lane with no bytes in a block sends
 * nothing, and never waits. */
static void ring(const struct model *model, const struct shape *shape, struct outcome *outcome)
{
    int64_t p = shape->nodes;
    struct round reduce = lanes_round(model, shape, shape->longer > 0, 1);
    struct round copy = lanes_round(model, shape, shape->longer > 0, 0);
    outcome->time = copy.before + (p - 1) * reduce.period + (p - 2) * copy.period + copy.both;
    count_ring(model, shape, 2, outcome);
}

/* Half of it: B + (p - 2) P + T, hence (p - 1)(2o + L + w) with K = 1. */
static void ring_gather(const struct model *model, const struct shape *shape,
                        struct outcome *outcome)
{
    struct round copy = lanes_round(model, shape, shape->longer > 0, 0);
    outcome->time = copy.before + (shape->nodes - 2) * copy.period + copy.both;
    count_ring(model, shape, 1, outcome);
}

/* Schedules of one block: the sends of the peer that sends most, and of all. */
static void count_whole(const struct model *model, const struct shape *shape, int64_t most,
                        int64_t all, struct outcome *outcome)
{
    outcome->rank_messages = most * segments(model, shape, 0, 0);
    outcome->rank_bytes = most * (int64_t)shape_bytes(shape, 0, 0);
    outcome->node_bytes = most * (int64_t)(shape->elements * shape->element_bytes);
    outcome->messages = all * all_segments(model, shape, 0);
}

/* ---- doubling -------------------------------------------------------------------------------- */

static int bits_of(int value)
{
    int bits = 0;
    while (value >> bits)
        bits++;
    return bits;
}

/* Recursive doubling (schedule_doubling.c), p = q + pairs with q = 2^r members. Where all begin
 * together a round takes P, in all B + (r - 1) P + T: Thakur, Rabenseifner and Gropp,
 * IJHPCA 19 (2005), lg p (alpha + n beta + n gamma).
 *
 * Where p is no power of two the first `pairs` members begin later by the fold, F = T(one way,
 * reduce), and go on to the unfold, U = T(one way, copy). A round with a partner who was ready
 * earlier takes E = P - L only: his data have come, and mine need only leave. So after all rounds
 *   end(m) = r E + max over m' of (begin(m') + L hamming(m, m'))
 * since hamming(m, m') of the rounds pass on what m' had, and the others are m's own. From a folded
 * member to any member that is at most r; to another folded one bits(pairs - 1), as pairs - 1 and
 * its complement show. From one that is not folded: r. Hence
 *   time = B + r E + max(F + r L, U + max(F + bits(pairs - 1) L, r L)). */
static void doubling(const struct model *model, const struct shape *shape, struct outcome *outcome)
{
    int log, q = ronde__power_below(shape->nodes, &log), pairs = shape->nodes - q;
    struct round reduce = lanes_round(model, shape, 0, 1), copy = lanes_round(model, shape, 0, 0);
    int64_t r = log, L = model->latency;
    if (pairs == 0) {
        outcome->time = reduce.before + (r - 1) * reduce.period + reduce.both;
    } else {
        int64_t unfold = copy.one;
        /* Lanes of the fold go ahead of each other, unless a message waits for its receive. */
        int64_t fold = shape->lanes > 1 && reduce.answer ? reduce.period : reduce.one;
        int64_t folded = larger(fold + bits_of(pairs - 1) * L, r * L) + unfold;
        outcome->time = reduce.before + r * (reduce.period - L) + larger(fold + r * L, folded);
    }
    count_whole(model, shape, r + (pairs > 0), (int64_t)q * r + 2 * pairs, outcome);
}

/* ---- circulant ------------------------------------------------------------------------------- */

/* The time of a round that moves `moved` blocks, both ways, and what a lane has in them. */
static struct round circulant_round(const struct model *model, const struct shape *shape, int moved,
                                    int reduces, struct outcome *outcome)
{
    struct shape blocks = *shape;
    blocks.elements = (size_t)moved * (shape->elements + (shape->longer > 0));
    blocks.longer = 0;
    outcome->rank_messages += segments(model, &blocks, 0, 0);
    outcome->rank_bytes += (int64_t)shape_bytes(&blocks, 0, 0);
    outcome->node_bytes += (int64_t)(blocks.elements * blocks.element_bytes);
    outcome->messages += shape->nodes * all_segments(model, &blocks, 0);
    return lanes_round(model, &blocks, 0, reduces);
}

/* Circulant allreduce (schedule_circulant.c): rounds with half of what is left, and the same
 * backwards. All peers go in step. An estimate: blocks that go round the end are two steps, with
 * messages of their own, and blocks are taken to be all as long as the longest. */
static void circulant(const struct model *model, const struct shape *shape, struct outcome *outcome)
{
    for (int left = shape->nodes; left > 1; left -= left / 2) {
        struct round reduce = circulant_round(model, shape, left / 2, 1, outcome);
        struct round copy = circulant_round(model, shape, left / 2, 0, outcome);
        outcome->time += reduce.period + copy.period;
        if (left == shape->nodes) /* the largest round is the last, too */
            outcome->time += copy.before + copy.both - copy.period;
    }
}

/* ---- spread and flood ------------------------------------------------------------------------ */

/* Rounds in which everybody sends a block to everybody (schedule_spread.c). An estimate: blocks are
 * taken to be as long as the longest, and those of a round to be one message. */
static void everybody(const struct model *model, const struct shape *shape, int rounds,
                      struct outcome *outcome)
{
    int64_t others = shape->nodes - 1;
    struct shape all = *shape, block = *shape;
    block.elements = shape->elements + (shape->longer > 0);
    all.elements = (size_t)others * block.elements;
    all.longer = block.longer = 0;
    struct round reduce = lanes_round(model, &all, 0, 1), copy = lanes_round(model, &all, 0, 0);
    count_whole(model, &block, rounds * others, rounds * others * shape->nodes, outcome);
    outcome->time = rounds == 1 ? reduce.before + reduce.both
                                : reduce.period + copy.before + copy.both;
}

/* ---- binomial -------------------------------------------------------------------------------- */

/* Binomial broadcast (schedule_binomial.c) from peer 0. Peer v has the block after a receive, T, for
 * each 1 in v from the top; each 0 below which its ancestor there sent to somebody else costs that
 * sender's time, S <= T. The last to end is p - 1, whose ancestors send nothing at its zeros
 * (nobody is there), or one that first differs from p - 1 where that has a 1, and has ones below:
 *   time = max(ones(p - 1) T, over the ones j of p - 1: ones above j T + S + j T)
 * p = 2^r: r T. For one lane: with more, the next send of one stands before the first of another,
 * all the way down, and this is too little. Source of the tree: see there. */
static void binomial(const struct model *model, const struct shape *shape, struct outcome *outcome)
{
    struct round round = lanes_round(model, shape, 0, 0);
    int last = shape->nodes - 1, ones = 0;
    int64_t most = 0;
    for (int j = bits_of(last) - 1; j >= 0; j--)
        if (last >> j & 1) {
            most = larger(most, ones * round.one + round.send + j * round.one);
            ones++;
        }
    most = larger(most, ones * round.one);
    outcome->time = round.before + most;
    count_whole(model, shape, bits_of(last), last, outcome);
}

void formula_algorithm(const struct model *model, const struct shape *shape,
                       struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    if (shape->nodes == 1 || shape_bytes(shape, shape->longer > 0, 0) == 0)
        return;
    switch (shape->algorithm) {
    case ALGORITHM_RING: ring(model, shape, outcome); break;
    case ALGORITHM_DOUBLING: doubling(model, shape, outcome); break;
    case ALGORITHM_CIRCULANT: circulant(model, shape, outcome); break;
    case ALGORITHM_SPREAD: everybody(model, shape, 2, outcome); break;
    case ALGORITHM_FLOOD: everybody(model, shape, 1, outcome); break;
    case ALGORITHM_BINOMIAL: binomial(model, shape, outcome); break;
    case ALGORITHM_RING_GATHER: ring_gather(model, shape, outcome); break;
    }
}
