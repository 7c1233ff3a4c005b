/* ronde-test: timeout=120 */
/* What ronde-sim is made of: events agree with formulas and with what the schedules say. */
#include <math.h>
#include <stdlib.h>

#include "../benchmarks/sim/events.h"
#include "../benchmarks/sim/formula.h"
#include "../benchmarks/sim/predict.h"
#include "check.h"
#include "collectives/flow.h"

enum { MACHINES = 4, ELEMENT = 4 };

/* 1 Gbit/s without and with costs of CPUs, 100 Gbit/s, and one whose CPUs are the slowest part.
 * Segments of 256 KiB, which are offered before they are sent: what the formulas are for. */
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
                          .reduce_ps = f[4],
                          .eager_bytes = 64 << 10,
                          .segment_bytes = 256 << 10,
                          .segments = 1,
                          .segment_least = 1,
                          .window = 4};
}

/* The same with the executor's segments, which are sent at once. */
static struct model machine_today(int which)
{
    struct model model = machine(which);
    model.segment_bytes = FLOW_SEGMENT_BYTES;
    model.segments = FLOW_SEGMENTS;
    model.segment_least = FLOW_SEGMENT_LEAST;
    model.window = FLOW_WINDOW;
    return model;
}

/* Both ways; the name of what differs beside the time, or NULL. */
static const char *both_ways(const struct model *model, const struct shape *shape,
                             struct outcome *events, struct outcome *formula)
{
    const char *wrong = events_algorithm(model, shape, 0, events);
    formula_algorithm(model, shape, formula);
    if (wrong)
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

static void segments_are_those_of_the_executor(void)
{
    const struct model model = machine_today(0);
    const struct step step = {.kind = STEP_SEND, .count = 1};
    const int32_t first_range[] = {0, 1};
    for (size_t bytes = 0; bytes < 3000000; bytes += 1 + bytes / 7) {
        const struct block_range range = {0, bytes};
        const struct block_map map = {first_range, &range};
        size_t block_at[] = {0, bytes};
        const struct flow_data data = {.element_bytes = 1, .blocks = map, .block_at = block_at};
        struct pieces pieces = model_cut(&model, bytes);
        struct flow flow = {0};
        ronde__flow_open(&flow, &step, &data, 0);
        CHECK_SAYING(flow.segments == pieces.segments && flow.segment_bytes == pieces.segment_bytes,
                     "%zu bytes", bytes);
    }
}

static int has_exact_formula(int algorithm)
{
    return algorithm != ALGORITHM_CIRCULANT && algorithm != ALGORITHM_SPREAD &&
           algorithm != ALGORITHM_FLOOD;
}

static void one_message_a_block_is_exact(void)
{
    const size_t counts[] = {1, 7, 256, 1000, 10080, 16001};
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int m = 0; m < MACHINES && has_exact_formula(a); m++)
            for (int p = 2; p <= 64; p++)
                for (int n = 0; n < 6; n++) {
                    struct model model = machine(m);
                    struct shape shape = shape_of((enum algorithm)a, p, 1, counts[n], ELEMENT);
                    struct outcome events, formula;
                    const char *wrong = both_ways(&model, &shape, &events, &formula);
                    CHECK_SAYING(!wrong, "%s %d peers, %zu: %s", ronde__algorithms[a].name, p,
                                 counts[n], wrong);
                    CHECK_SAYING(events.time == formula.time,
                                 "%s %d peers, %zu elements, machine %d: %lld and %lld ps",
                                 ronde__algorithms[a].name, p, counts[n], m, (long long)events.time,
                                 (long long)formula.time);
                }
}

static void several_messages_are_within_1_5_percent(void)
{
    const size_t counts[] = {100003, 720720, 5040000};
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int m = 0; m < MACHINES && has_exact_formula(a); m++)
            for (int p = 2; p <= 64; p += 1 + p / 8)
                for (int n = 0; n < 3; n++) {
                    struct model model = machine(m);
                    struct shape shape = shape_of((enum algorithm)a, p, 1, counts[n], ELEMENT);
                    struct outcome events, formula;
                    const char *wrong = both_ways(&model, &shape, &events, &formula);
                    CHECK_SAYING(!wrong, "%s %d: %s", ronde__algorithms[a].name, p, wrong);
                    double more = above(&formula, &events);
                    CHECK_SAYING(more > -1e-9 && more < 0.015,
                                 "%s %d peers, %zu, machine %d: %+.4f", ronde__algorithms[a].name,
                                 p, counts[n], m, more);
                }
}

/* Blocks that go round the end, and short ones beside long ones, are not in the formula. */
static void circulant_is_estimated(void)
{
    const size_t counts[] = {1000, 10080, 100003, 720720, 5040000};
    for (int m = 0; m < MACHINES; m++)
        for (int p = 2; p <= 64; p += 1 + p / 8)
            for (int n = 0; n < 5; n++) {
                struct model model = machine_today(m);
                struct shape shape = shape_of(ALGORITHM_CIRCULANT, p, 1, counts[n], ELEMENT);
                struct outcome events, formula;
                CHECK(events_algorithm(&model, &shape, 0, &events) == NULL);
                formula_algorithm(&model, &shape, &formula);
                double more = above(&formula, &events);
                CHECK_SAYING(more > -0.3 && more < 0.07, "%d peers, %zu, machine %d: %+.4f", p,
                             counts[n], m, more);
                double bytes = (double)formula.node_bytes / (double)events.node_bytes - 1;
                CHECK_SAYING(bytes > -1e-9 && bytes < 0.07, "%d peers, %zu: %+.4f", p, counts[n],
                             bytes);
            }
}

static void lanes_of_a_card_are_estimated(void)
{
    const size_t counts[] = {1, 7, 256, 1000, 10080, 100003, 720720};
    const enum algorithm algorithms[] = {ALGORITHM_RING, ALGORITHM_DOUBLING, ALGORITHM_RING_GATHER};
    for (int a = 0; a < 3; a++)
        for (int m = 0; m < MACHINES; m++)
            for (int p = 2; p <= 47; p += 1 + p / 4)
                for (int lanes = 2; lanes <= 8; lanes *= 4)
                    for (int n = 0; n < 7; n++) {
                        struct model model = machine(m);
                        struct shape shape = shape_of(algorithms[a], p, lanes, counts[n], ELEMENT);
                        struct outcome events, formula;
                        const char *wrong = both_ways(&model, &shape, &events, &formula);
                        CHECK_SAYING(!wrong, "algorithm %d of %d x %d: %s", a, p, lanes, wrong);
                        double more = fabs(above(&formula, &events));
                        CHECK_SAYING(more < (algorithms[a] == ALGORITHM_DOUBLING ? 0.25 : 0.07),
                                     "algorithm %d of %d x %d, %zu, machine %d: %.4f", a, p, lanes,
                                     counts[n], m, more);
                    }
}

/* With the executor's segments the formulas are rougher: these bounds say how rough they are, not
 * how rough they may be. */
static void what_the_formulas_miss_of_todays_segments_is_known(void)
{
    const size_t counts[] = {1, 1000, 10080, 100003, 720720};
    const enum algorithm algorithms[] = {ALGORITHM_RING, ALGORITHM_DOUBLING, ALGORITHM_RING_GATHER};
    for (int a = 0; a < 3; a++)
        for (int m = 0; m < MACHINES; m++)
            for (int p = 2; p <= 47; p += 1 + p / 4)
                for (int lanes = 1; lanes <= 8; lanes *= 8)
                    for (int n = 0; n < 5; n++) {
                        struct model model = machine_today(m);
                        struct shape shape = shape_of(algorithms[a], p, lanes, counts[n], ELEMENT);
                        struct outcome events, formula;
                        const char *wrong = both_ways(&model, &shape, &events, &formula);
                        CHECK_SAYING(!wrong, "algorithm %d of %d x %d: %s", a, p, lanes, wrong);
                        double more = fabs(above(&formula, &events));
                        CHECK_SAYING(more < (algorithms[a] == ALGORITHM_DOUBLING ? 0.5 : 0.2),
                                     "algorithm %d of %d x %d, %zu, machine %d: %.4f", a, p, lanes,
                                     counts[n], m, more);
                    }
}

static void ring_is_what_the_book_says(void)
{
    struct model model = machine(1);
    struct outcome outcome;
    for (int p = 2; p <= 40; p++) {
        size_t block = 1000, bytes = block * (size_t)p * ELEMENT;
        struct shape shape = shape_of(ALGORITHM_RING, p, 1, block * (size_t)p, ELEMENT);
        CHECK(events_algorithm(&model, &shape, 0, &outcome) == NULL);
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
        struct shape shape = shape_of(ALGORITHM_RING, 6, 1, 6000, ELEMENT);
        CHECK(events_algorithm(&model, &shape, 0, &one) == NULL);
        shape = shape_of(ALGORITHM_RING, 6, k, 6000 * (size_t)k, ELEMENT);
        CHECK(events_algorithm(&model, &shape, 0, &lanes) == NULL);
        CHECK_SAYING(lanes.time == k * one.time, "%d lanes: %lld, one: %lld", k,
                     (long long)lanes.time, (long long)one.time);
        CHECK(lanes.node_bytes == k * one.node_bytes && lanes.rank_bytes == one.rank_bytes);
        /* As long as the wire of all lanes is less than a round, they are not in each other's way
         * but at the start. */
        model.latency = (int64_t)1 << 40;
        CHECK(events_algorithm(&model, &shape, 0, &lanes) == NULL);
        CHECK(lanes.time == 10 * (model.latency + 4000 * 8000) + (k - 1) * 4000 * 8000);
    }
}

static void slow_links_between_switches_are_felt(void)
{
    struct model model = machine(0);
    struct outcome flat, switched;
    struct shape shape = shape_of(ALGORITHM_DOUBLING, 16, 1, 10000, ELEMENT);
    CHECK(events_algorithm(&model, &shape, 0, &flat) == NULL);
    model.switch_nodes = 4;
    model.uplink_ps = model.byte_ps / 4; /* as much as the four cards together */
    CHECK(events_algorithm(&model, &shape, 0, &switched) == NULL);
    CHECK(switched.time >= flat.time && switched.time < flat.time + flat.time / 2);
    /* Two of four rounds share it by four, the second of them without a pause for the latency. */
    model.uplink_ps = model.byte_ps;
    CHECK(events_algorithm(&model, &shape, 0, &switched) == NULL);
    CHECK_SAYING(switched.time == flat.time + 6 * 40000 * 8000 - model.latency, "%lld and %lld",
                 (long long)switched.time, (long long)flat.time);
    CHECK(switched.rank_bytes == flat.rank_bytes);
}

static void the_same_run_has_the_same_outcome(void)
{
    struct model model = machine(2);
    struct outcome first, second;
    struct shape shape = shape_of(ALGORITHM_DOUBLING, 23, 4, 100003, ELEMENT);
    CHECK(events_algorithm(&model, &shape, 0, &first) == NULL);
    CHECK(events_algorithm(&model, &shape, 0, &second) == NULL);
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
    const struct job job = {3, 1, as_given, bytes};
    CHECK(events_run(&model, &job, &outcome) == NULL);
    lists[1]->steps--; /* the last send */
    CHECK(events_run(&model, &job, &outcome) != NULL);
    for (int n = 0; n < 3; n++)
        free(lists[n]);
}

static void rounds_of_the_wire_buffer_add_up(void)
{
    const struct model model = machine(0);
    struct collective c = {ALGORITHM_RING, 5, 2, 1 << 20, ELEMENT, 4 << 20};
    struct outcome whole, rounds, formula;
    CHECK(predict(&model, &c, METHOD_EVENTS, &whole) == NULL);
    c.buffer_bytes = 100000;
    CHECK(predict(&model, &c, METHOD_EVENTS, &rounds) == NULL);
    CHECK(predict(&model, &c, METHOD_FORMULA, &formula) == NULL);
    CHECK(rounds.time > whole.time && rounds.messages == 11 * whole.messages);
    CHECK(rounds.node_bytes == whole.node_bytes);
    CHECK(rounds.node_bytes == formula.node_bytes && rounds.messages == formula.messages);
    c.buffer_bytes = 4 * ELEMENT;
    CHECK(predict(&model, &c, METHOD_AUTO, &rounds) != NULL);
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
    RUN(segments_are_those_of_the_executor);
    RUN(one_message_a_block_is_exact);
    RUN(several_messages_are_within_1_5_percent);
    RUN(circulant_is_estimated);
    RUN(lanes_of_a_card_are_estimated);
    RUN(what_the_formulas_miss_of_todays_segments_is_known);
    RUN(ring_is_what_the_book_says);
    RUN(lanes_take_as_many_times_as_long_for_their_bytes);
    RUN(slow_links_between_switches_are_felt);
    RUN(the_same_run_has_the_same_outcome);
    RUN(a_missing_send_is_found);
    RUN(rounds_of_the_wire_buffer_add_up);
    RUN(a_negotiation_is_two_messages_a_leader_and_lg_n_hops);
    return check_result();
}
