/* ronde-test: timeout=120 */
/* What ronde-sim is made of: events agree with formulas and with what the schedules say. */
#include <math.h>
#include <stdlib.h>

#include "../benchmarks/sim/events.h"
#include "../benchmarks/sim/formula.h"
#include "../benchmarks/sim/predict.h"
#include "../benchmarks/sim/share.h"
#include "check.h"

enum { MACHINES = 4, ELEMENT = 4 };

/* 1 Gbit/s without and with costs of CPUs, 100 Gbit/s, and one whose CPUs are the slowest part. */
static struct model machine(int which)
{
    static const double figures[MACHINES][5] = {{50e6, 0, 0, 8000, 0},
                                                {40e6, 5e6, 1e6, 8000, 200},
                                                {3e6, 1e6, 2e5, 80, 100},
                                                {1e6, 2e6, 0, 80, 1000}};
    const double *f = figures[which];
    return (struct model){.latency = (int64_t)f[0],
                          .overhead = (int64_t)f[1],
                          .gap = (int64_t)f[2],
                          .byte_ps = f[3],
                          .in_ps = f[3],
                          .reduce_ps = f[4],
                          .eager_bytes = 64 << 10};
}

static struct shape one_run(enum algorithm algorithm, int nodes, int lanes, size_t elements)
{
    return shape_of(algorithm, nodes, lanes, elements, ELEMENT, SIZE_MAX);
}

static const char *by_events(const struct model *model, const struct shape *shape,
                             struct outcome *outcome)
{
    return events_algorithm(model, shape, shape->runs, NULL, outcome);
}

/* Both ways; the name of what differs beside the time, or NULL. */
static const char *both_ways(const struct model *model, const struct shape *shape,
                             struct outcome *events, struct outcome *formula)
{
    const char *wrong = by_events(model, shape, events);
    if (!wrong)
        wrong = formula_count(shape, formula);
    if (!wrong)
        wrong = formula_time(model, shape, formula);
    if (wrong || shape->algorithm == ALGORITHM_CIRCULANT)
        return wrong;
    if (events->messages != formula->messages || events->rank_messages != formula->rank_messages)
        return "messages";
    if (events->rank_bytes != formula->rank_bytes || events->node_bytes != formula->node_bytes)
        return "bytes";
    return NULL;
}

static double above(const struct outcome *formula, const struct outcome *events)
{
    return (double)formula->time / (double)events->time - 1;
}

static int is_power(int p)
{
    return (p & (p - 1)) == 0;
}

/* ---- links ----------------------------------------------------------------------------------- */

static void note_rate(void *context, struct stream *stream)
{
    (void)context;
    stream->rate = stream->next_rate;
}

static void each_stream_gets_what_its_fullest_link_has_for_it(void)
{
    struct share share;
    struct stream a = {.links = 1, .link = {0}}, b = {.links = 2, .link = {0, 1}};
    struct stream c = {.links = 1, .link = {1}}, d = {.links = 1, .link = {1}};
    CHECK(share_open(&share, 2) == 0);
    CHECK(!share_add(&share, &a) && !share_add(&share, &b) && !share_add(&share, &c));
    CHECK(share_settle(&share, note_rate, NULL) == 0);
    CHECK(a.rate == 0.5 && b.rate == 0.5 && c.rate == 0.5);
    CHECK(!share_add(&share, &d) && !share_settle(&share, note_rate, NULL));
    CHECK(fabs(b.rate - 1 / 3.0) < 1e-12 && fabs(d.rate - 1 / 3.0) < 1e-12);
    CHECK_SAYING(fabs(a.rate - 2 / 3.0) < 1e-12, "%g", a.rate); /* what b cannot use */
    share_remove(&share, &b);
    CHECK(!share_settle(&share, note_rate, NULL));
    CHECK(a.rate == 1 && c.rate == 0.5 && d.rate == 0.5);
    share_close(&share);
}

/* Looking at few streams finds what looking at all does. */
static void shares_are_the_same_wherever_one_begins(void)
{
    enum { LINKS = 30, STREAMS = 80 };
    static struct stream stream[STREAMS], fresh[STREAMS];
    struct share share, whole;
    unsigned random = 1;
    CHECK(share_open(&share, LINKS) == 0);
    for (int step = 0; step < 2000; step++) {
        random = random * 1103515245 + 12345;
        int s = (int)(random >> 16) % STREAMS, from = (int)(random >> 8) % LINKS;
        if (stream[s].links) {
            share_remove(&share, &stream[s]);
            stream[s].links = 0;
        } else {
            stream[s] = (struct stream){.links = 2,
                                        .link = {from, (from + 1 + s % (LINKS - 1)) % LINKS}};
            CHECK(share_add(&share, &stream[s]) == 0);
        }
        CHECK(share_settle(&share, note_rate, NULL) == 0);
        CHECK(share_open(&whole, LINKS) == 0);
        for (int i = 0; i < STREAMS; i++) {
            fresh[i] = (struct stream){.links = stream[i].links};
            for (int l = 0; l < stream[i].links; l++)
                fresh[i].link[l] = stream[i].link[l];
            CHECK(share_add(&whole, &fresh[i]) == 0);
        }
        CHECK(share_settle(&whole, note_rate, NULL) == 0);
        for (int i = 0; i < STREAMS; i++)
            CHECK_SAYING(!stream[i].links || fabs(stream[i].rate - fresh[i].rate) < 1e-6,
                         "step %d: %g and %g", step, stream[i].rate, fresh[i].rate);
        share_close(&whole);
    }
    share_close(&share);
}

/* ---- events and formulas --------------------------------------------------------------------- */

static void hold_between(enum algorithm algorithm, int p, int lanes, size_t count, int m,
                         double least, double most)
{
    struct model model = machine(m);
    struct shape shape = one_run(algorithm, p, lanes, count);
    struct outcome events, formula;
    const char *wrong = both_ways(&model, &shape, &events, &formula);
    CHECK_SAYING(!wrong, "%s %d x %d: %s", ronde__algorithms[algorithm].name, p, lanes, wrong);
    double more = above(&formula, &events);
    CHECK_SAYING(more >= least && more <= most, "%s %d x %d, %zu, machine %d: %+.4f",
                 ronde__algorithms[algorithm].name, p, lanes, count, m, more);
}

static void hold(enum algorithm algorithm, int p, int lanes, size_t count, int m, double within)
{
    hold_between(algorithm, p, lanes, count, m, -within, within);
}

static void one_lane_is_exact(void)
{
    const size_t counts[] = {1, 7, 256, 1000, 10080, 16001, 100003};
    for (int m = 0; m < MACHINES; m++)
        for (int p = 2; p <= 64; p += 1 + p / 12)
            for (int n = 0; n < 7; n++) {
                int is_one_message = counts[n] / (size_t)p * ELEMENT < 16 << 10;
                hold(ALGORITHM_RING, p, 1, counts[n], m, is_one_message ? 1e-9 : 3e-4);
                hold(ALGORITHM_DOUBLING, p, 1, counts[n], m, 1e-9);
            }
}

static void large_data_are_within_a_hundredth(void)
{
    for (int m = 0; m < MACHINES; m++)
        for (int p = 2; p <= 64; p += 1 + p / 4) {
            hold(ALGORITHM_RING, p, 1, 720720, m, 1e-3);
            hold(ALGORITHM_DOUBLING, p, 1, 720720, m, 1e-2);
        }
}

/* Up to 47 nodes all are simulated. */
static void circulant_is_estimated(void)
{
    const size_t counts[] = {1000, 10080, 100003, 720720};
    for (int m = 0; m < MACHINES; m++)
        for (int p = 2; p <= 64; p += 1 + p / 8)
            for (int n = 0; n < 4; n++)
                hold_between(ALGORITHM_CIRCULANT, p, 1, counts[n], m, p < 48 ? -1e-9 : -0.13,
                             p < 48 ? 1e-9 : 0.07);
    for (int n = 0; n < 3; n++)
        hold_between(ALGORITHM_CIRCULANT, 200, 1, counts[n], 0, -0.13, 0.07);
}

static void lanes_of_a_card_are_estimated(void)
{
    const size_t counts[] = {1, 7, 256, 1000, 10080, 100003, 720720};
    for (int m = 0; m < MACHINES; m++)
        for (int p = 2; p <= 47; p += 1 + p / 4)
            for (int lanes = 2; lanes <= 8; lanes *= 4)
                for (int n = 0; n < 7; n++) {
                    hold(ALGORITHM_RING, p, lanes, counts[n], m, 0.07);
                    hold(ALGORITHM_DOUBLING, p, lanes, counts[n], m, 0.07);
                }
}

static void ring_is_what_the_book_says(void)
{
    struct model model = machine(1);
    struct outcome outcome;
    for (int p = 2; p <= 40; p++) {
        size_t block = 1000, bytes = block * (size_t)p * ELEMENT;
        struct shape shape = one_run(ALGORITHM_RING, p, 1, block * (size_t)p);
        CHECK(by_events(&model, &shape, &outcome) == NULL);
        int64_t k = (int64_t)block * ELEMENT;
        int64_t round = 2 * 5000000 + 40000000 + 1000000 + k * 8000;
        CHECK(outcome.time == 2 * (p - 1) * round + (p - 1) * k * 200);
        CHECK(outcome.rank_messages == 2 * (p - 1));
        CHECK(outcome.rank_bytes * p == 2 * (p - 1) * (int64_t)bytes);
        CHECK(outcome.messages == 2 * (int64_t)p * (p - 1));
    }
}

static void lanes_take_as_many_times_as_long_for_their_bytes(void)
{
    struct model model = machine(0);
    struct outcome one, lanes;
    for (int k = 2; k <= 8; k++) {
        model.latency = 0;
        struct shape shape = one_run(ALGORITHM_RING, 6, 1, 6000);
        CHECK(by_events(&model, &shape, &one) == NULL);
        shape = one_run(ALGORITHM_RING, 6, k, 6000 * (size_t)k);
        CHECK(by_events(&model, &shape, &lanes) == NULL);
        CHECK_SAYING(llabs(lanes.time - k * one.time) < 20, "%d lanes: %lld, one: %lld", k,
                     (long long)lanes.time, (long long)one.time);
        CHECK(lanes.node_bytes == k * one.node_bytes && lanes.rank_bytes == one.rank_bytes);
        /* They begin together, share the card, and so end together. */
        model.latency = (int64_t)1 << 40;
        CHECK(by_events(&model, &shape, &lanes) == NULL);
        CHECK(llabs(lanes.time - 10 * (model.latency + k * 4000 * 8000)) < 20);
    }
}

static void slow_links_between_switches_are_felt(void)
{
    struct model model = machine(0);
    struct outcome flat, switched;
    struct shape shape = one_run(ALGORITHM_DOUBLING, 16, 1, 10000);
    CHECK(by_events(&model, &shape, &flat) == NULL);
    model.switch_nodes = 4;
    model.uplink_ps = model.byte_ps / 4; /* as much as the four cards together */
    CHECK(by_events(&model, &shape, &switched) == NULL);
    CHECK(switched.time >= flat.time && switched.time < flat.time + flat.time / 2);
    /* Two of four rounds share it by four: the second of them has its bytes behind those of the
     * first, so the pause for the latency is gone. */
    model.uplink_ps = model.byte_ps;
    CHECK(by_events(&model, &shape, &switched) == NULL);
    double more = (double)(switched.time - flat.time) / (6 * 40000 * 8000.0);
    CHECK_SAYING(more > 0.85 && more < 1.01, "%g", more);
    CHECK(switched.rank_bytes == flat.rank_bytes);
}

/* Two senders share the receiver's card, unless it takes in as fast as you like. */
static void what_comes_in_shares_the_card(void)
{
    struct model model = machine(0);
    struct outcome shared, alone;
    struct shape shape = one_run(ALGORITHM_DOUBLING, 3, 1, 100000);
    CHECK(by_events(&model, &shape, &shared) == NULL);
    model.in_ps = 0;
    CHECK(by_events(&model, &shape, &alone) == NULL);
    /* Peer 2 sends to peer 0 as soon as the fold begins. So peer 0's card takes in two times the
     * data, and what the fold alone would have had it for comes later by as long. */
    double data = 400000 * 8000.0, more = (double)(shared.time - alone.time) / data;
    CHECK_SAYING(more > 0.05 && (double)shared.time < 3 * data, "%g and %g",
                 (double)alone.time / data, (double)shared.time / data);
}

/* Messages of one connection go one after the other, so that the first comes early; in SMPI they
 * all come late. */
static void connections_pass_on_sooner_than_messages_that_share(void)
{
    struct model model = machine(0);
    struct outcome connections, messages;
    struct shape shape = one_run(ALGORITHM_RING, 8, 1, 65536);
    CHECK(by_events(&model, &shape, &connections) == NULL);
    model.sharing = SHARING_CARDS; /* to one node only: the same */
    CHECK(by_events(&model, &shape, &messages) == NULL && messages.time == connections.time);
    model.sharing = SHARING_MESSAGES;
    CHECK(by_events(&model, &shape, &messages) == NULL);
    CHECK(connections.messages == messages.messages);
    CHECK((double)messages.time > 1.1 * (double)connections.time);
}

/* Messages to two nodes: side by side both come late. */
static void cards_send_one_after_the_other(void)
{
    struct model model = machine(0);
    struct outcome connections, cards;
    struct shape shape = one_run(ALGORITHM_CIRCULANT, 6, 1, 65536);
    CHECK(by_events(&model, &shape, &connections) == NULL);
    model.sharing = SHARING_CARDS;
    CHECK(by_events(&model, &shape, &cards) == NULL);
    CHECK_SAYING((double)connections.time > 1.1 * (double)cards.time, "%g",
                 (double)connections.time / (double)cards.time);
    CHECK(cards.node_bytes == connections.node_bytes && cards.time > cards.node_bytes * 8000);
}

/* Nothing is passed on: all that a node sends leaves its card at once, twice with spread, and what
 * comes is reduced when all has. */
static void spread_and_flood_are_what_the_book_says(void)
{
    struct model model = machine(0);
    struct outcome outcome;
    model.reduce_ps = 300;
    for (int p = 2; p <= 9; p++) {
        struct shape shape = one_run(ALGORITHM_SPREAD, p, 1, 1000 * (size_t)p);
        int64_t others = (p - 1) * 4000LL;
        CHECK(by_events(&model, &shape, &outcome) == NULL);
        int64_t wanted = 2 * (50000000 + others * 8000) + others * 300;
        CHECK_SAYING(llabs(outcome.time - wanted) < 20, "%d nodes: %lld", p,
                     (long long)outcome.time);
        CHECK(outcome.rank_bytes == 2 * others && outcome.rank_messages == 2 * (p - 1));
        shape = one_run(ALGORITHM_FLOOD, p, 1, 1000);
        CHECK(by_events(&model, &shape, &outcome) == NULL);
        CHECK(llabs(outcome.time - (50000000 + others * 8300)) < 20);
        hold(ALGORITHM_FLOOD, p, 1, 1000, 0, 1e-9);
        hold(ALGORITHM_SPREAD, p, 1, 1000 * (size_t)p, 0, 1e-9);
    }
}

/* Segments of a round overlap with those of others: the wire is never without one. */
static void a_ring_of_several_segments_fills_the_wire(void)
{
    struct model model = machine(0);
    struct outcome outcome;
    struct shape shape = one_run(ALGORITHM_RING, 4, 1, 1 << 20);
    CHECK(by_events(&model, &shape, &outcome) == NULL);
    double bound = 1.5 * (4 << 20) * 8000;
    CHECK_SAYING((double)outcome.time < 1.003 * bound, "%g", (double)outcome.time / bound);
}

static void nodes_stages_run_beside_the_wire(void)
{
    struct model model = machine(0);
    struct collective c = {ALGORITHM_RING, 4, 2, 64 << 20, ELEMENT, 4 << 20};
    struct outcome wire, both, node;
    CHECK(predict(&model, &c, METHOD_EVENTS, &wire) == NULL);
    model.node_ps = 4000;
    CHECK(predict(&model, &c, METHOD_EVENTS, &both) == NULL);
    /* The first part is prepared before, the last one looked after behind. */
    double more = (double)(both.time - wire.time) / (4000.0 * (2 << 20));
    CHECK_SAYING(more > 0.99 && more < 1.5, "%g parts", more);
    model.node_ps = 40000;
    CHECK(predict(&model, &c, METHOD_EVENTS, &node) == NULL);
    CHECK_SAYING((double)node.time >= 40000.0 * (64 << 20) && node.time < 40000LL * (66 << 20),
                 "%g parts", (double)node.time / (40000.0 * (2 << 20)));
}

static void the_same_run_has_the_same_outcome(void)
{
    struct model model = machine(2);
    struct outcome first, second;
    struct shape shape = one_run(ALGORITHM_DOUBLING, 23, 4, 100003);
    CHECK(by_events(&model, &shape, &first) == NULL);
    CHECK(by_events(&model, &shape, &second) == NULL);
    CHECK(first.time == second.time && first.messages == second.messages);
}

static void a_missing_send_is_found(void)
{
    struct model model = machine(0);
    struct outcome outcome;
    struct schedule *lists[3];
    size_t bytes[3] = {400, 400, 400};
    for (int n = 0; n < 3; n++)
        lists[n] = ronde__schedule(ALGORITHM_RING, 3, n, 0);
    CHECK(lists[0] && lists[1] && lists[2]);
    const struct schedule *const as_given[] = {lists[0], lists[1], lists[2]};
    const struct job job = {3, 1, as_given, 1, bytes, bytes, NULL};
    int64_t ended_at;
    CHECK(events_run(&model, &job, &outcome, &ended_at) == NULL);
    lists[1]->steps--; /* the last send */
    CHECK(events_run(&model, &job, &outcome, &ended_at) != NULL);
    for (int n = 0; n < 3; n++)
        free(lists[n]);
}

static void runs_of_the_wire_buffer_follow_each_other(void)
{
    const struct model model = machine(0);
    struct collective c = {ALGORITHM_RING, 5, 2, 1 << 20, ELEMENT, 4 << 20};
    struct outcome whole, runs, formula;
    CHECK(predict(&model, &c, METHOD_EVENTS, &whole) == NULL);
    c.buffer_bytes = 200000;
    CHECK(predict(&model, &c, METHOD_EVENTS, &runs) == NULL);
    CHECK(predict(&model, &c, METHOD_FORMULA, &formula) == NULL);
    CHECK(runs.time > whole.time && runs.node_bytes == whole.node_bytes);
    CHECK(runs.node_bytes == formula.node_bytes && runs.messages == formula.messages);
    CHECK_SAYING(fabs(above(&formula, &runs)) < 0.01, "%+.4f", above(&formula, &runs));
    /* Eleven; each begins while the last rounds of the one before are under way. */
    c.bytes = 200000 / 2 / 64 * 64;
    CHECK(predict(&model, &c, METHOD_EVENTS, &whole) == NULL);
    CHECK_SAYING(runs.time < 11 * whole.time && runs.time > 9 * whole.time, "%lld of %lld",
                 (long long)runs.time, (long long)whole.time);
}

/* Of many runs some are simulated. */
static void runs_that_are_not_simulated_take_as_long_as_others(void)
{
    const struct model model = machine(0);
    for (int p = 3; p <= 17; p += 7)
        for (int a = 0; a < RONDE__ALGORITHMS; a++) {
            struct collective c = {(enum algorithm)a, p, 1, 8 << 20, ELEMENT, 256 << 10};
            struct outcome all, some;
            if (!ronde__algorithms[a].is_allreduce)
                continue;
            CHECK(predict(&model, &c, METHOD_EVENTS, &all) == NULL);
            CHECK(predict(&model, &c, METHOD_AUTO, &some) == NULL);
            CHECK(some.messages >= all.messages || a == ALGORITHM_CIRCULANT);
            CHECK_SAYING(fabs(above(&some, &all)) < 0.02, "%s, %d nodes: %+.4f",
                         ronde__algorithms[a].name, p, above(&some, &all));
        }
}

static void a_negotiation_is_two_messages_a_leader_and_lg_n_hops(void)
{
    for (int m = 0; m < MACHINES; m++) {
        const struct model model = machine(m);
        int64_t before = 0;
        for (int n = 1; n <= 300; n++) {
            struct outcome events, formula;
            CHECK(predict_negotiation(&model, n, 64, 80, METHOD_EVENTS, &events) == NULL);
            CHECK(predict_negotiation(&model, n, 64, 80, METHOD_FORMULA, &formula) == NULL);
            CHECK(events.messages == 2 * (n - 1) && formula.messages == events.messages);
            CHECK_SAYING(events.rank_messages == formula.rank_messages, "%d nodes", n);
            CHECK_SAYING(events.rank_bytes == formula.rank_bytes, "%d nodes", n);
            CHECK_SAYING(events.time <= formula.time && events.time >= before, "%d nodes", n);
            if (is_power(n + 1))
                CHECK_SAYING(events.time == formula.time, "%d nodes: %lld and %lld", n,
                             (long long)events.time, (long long)formula.time);
            before = events.time;
        }
    }
}

int main(void)
{
    RUN(each_stream_gets_what_its_fullest_link_has_for_it);
    RUN(shares_are_the_same_wherever_one_begins);
    RUN(one_lane_is_exact);
    RUN(large_data_are_within_a_hundredth);
    RUN(circulant_is_estimated);
    RUN(lanes_of_a_card_are_estimated);
    RUN(ring_is_what_the_book_says);
    RUN(lanes_take_as_many_times_as_long_for_their_bytes);
    RUN(slow_links_between_switches_are_felt);
    RUN(what_comes_in_shares_the_card);
    RUN(connections_pass_on_sooner_than_messages_that_share);
    RUN(cards_send_one_after_the_other);
    RUN(spread_and_flood_are_what_the_book_says);
    RUN(a_ring_of_several_segments_fills_the_wire);
    RUN(nodes_stages_run_beside_the_wire);
    RUN(the_same_run_has_the_same_outcome);
    RUN(a_missing_send_is_found);
    RUN(runs_of_the_wire_buffer_follow_each_other);
    RUN(runs_that_are_not_simulated_take_as_long_as_others);
    RUN(a_negotiation_is_two_messages_a_leader_and_lg_n_hops);
    return check_result();
}
