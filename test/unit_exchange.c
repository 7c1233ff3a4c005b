/* All-to-all over the threads network, 1 to 20 ranks: whatever the lengths, every byte comes from
 * the right rank, in the right order, and nothing beside it is written. */
/* ronde-test: timeout=60 */
#include "collectives/exchange.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/status.h"
#include "check.h"

enum { MOST_RANKS = 20, TAG = 9, GUARD = 0x5a, GUARD_BYTES = 3 };

/* ---- who sends how much ---------------------------------------------------------------------- */

static uint32_t mix(uint32_t a, uint32_t b)
{
    uint32_t x = a * 0x9e3779b1u + b * 0x85ebca77u + 0x27d4eb2fu;
    x ^= x >> 15;
    x *= 0xc2b2ae3du;
    return x ^ (x >> 13);
}

/* A pure function, so that both sides know. */
typedef size_t lengths_function(uint32_t turn, int from, int to);

static size_t random_lengths(uint32_t turn, int from, int to)
{
    uint32_t x = mix(turn, (uint32_t)(from * MOST_RANKS + to));
    switch (x % 5) {
    case 0: return 0;
    case 1: return x / 5 % 100;            /* short: the network copies it */
    case 2: return 100 + x / 5 % 100;      /* around the border */
    case 3: return 1000 + x / 5 % 5000;    /* long: waits for its receive */
    default: return turn % 8 ? 1 : 300001; /* more than a pipe or cache line could hide */
    }
}

static size_t no_length(uint32_t turn, int from, int to)
{
    (void)turn, (void)from, (void)to;
    return 0;
}

static size_t one_long_message(uint32_t turn, int from, int to)
{
    return from == 1 && to == 0 ? 5000 + turn : 0;
}

static size_t all_long(uint32_t turn, int from, int to)
{
    (void)turn, (void)from, (void)to;
    return 700;
}

/* ---- one rank -------------------------------------------------------------------------------- */

struct rank {
    struct net *net;
    lengths_function *lengths;
    uint32_t turns;
    pthread_t thread;
};

/* Tells sender, receiver, turn and index apart. */
static char byte_of(uint32_t turn, int from, int to, size_t index)
{
    return (char)((index + 7u * (unsigned)from + 53u * (unsigned)to + 101u * turn) % 251);
}

static void open_runs(const struct rank *rank, uint32_t turn, struct run *sends,
                      struct run *receives)
{
    int me = rank->net->rank;
    for (int peer = 0; peer < rank->net->size; peer++) {
        sends[peer].bytes = rank->lengths(turn, me, peer);
        sends[peer].data = sends[peer].bytes ? malloc(sends[peer].bytes) : NULL;
        for (size_t i = 0; i < sends[peer].bytes; i++)
            sends[peer].data[i] = byte_of(turn, me, peer, i);
        receives[peer].bytes = rank->lengths(turn, peer, me);
        receives[peer].data = malloc(receives[peer].bytes + GUARD_BYTES);
        memset(receives[peer].data, GUARD, receives[peer].bytes + GUARD_BYTES);
    }
}

static void close_runs(const struct rank *rank, struct run *sends, struct run *receives)
{
    for (int peer = 0; peer < rank->net->size; peer++) {
        free(sends[peer].data);
        free(receives[peer].data);
    }
}

static void check_runs(const struct rank *rank, uint32_t turn, const struct run *sends,
                       const struct run *receives)
{
    int me = rank->net->rank;
    for (int peer = 0; peer < rank->net->size; peer++) {
        const struct run *run = &receives[peer];
        for (size_t i = 0; i < run->bytes; i++)
            CHECK_SAYING(run->data[i] == byte_of(turn, peer, me, i),
                         "turn %u of %d ranks: byte %zu of %zu from %d to %d is wrong", turn,
                         rank->net->size, i, run->bytes, peer, me);
        for (size_t i = 0; i < GUARD_BYTES; i++)
            CHECK_SAYING(run->data[run->bytes + i] == GUARD, "bytes behind %zu from %d to %d",
                         run->bytes, peer, me);
        for (size_t i = 0; i < sends[peer].bytes; i++)
            CHECK(sends[peer].data[i] == byte_of(turn, me, peer, i));
    }
}

static int32_t finish(struct exchange *exchange)
{
    for (;;) {
        int32_t status = ronde__exchange_step(exchange);
        if (status < 0 || status == RONDE__DONE)
            return status;
        if (status == RONDE__IDLE)
            sched_yield();
    }
}

static void *run_turns(void *context)
{
    struct rank *rank = context;
    struct run sends[MOST_RANKS], receives[MOST_RANKS];
    struct exchange exchange = {0};
    for (uint32_t turn = 0; turn < rank->turns; turn++) {
        open_runs(rank, turn, sends, receives);
        ronde__exchange_start(&exchange, rank->net, TAG, sends, receives);
        int32_t said = finish(&exchange), again = ronde__exchange_step(&exchange);
        check_runs(rank, turn, sends, receives);
        close_runs(rank, sends, receives);
        if (said != RONDE__DONE || again != RONDE__DONE)
            check_fail(__FILE__, __LINE__, "turn %u ended with %d, then %d", turn, said, again);
    }
    if (ronde__exchange_close(&exchange))
        check_fail(__FILE__, __LINE__, "something is on its way after the end");
    return NULL;
}

static void with_ranks(struct rank *ranks, int p, const struct net_operations *operations,
                       void *(*function)(void *))
{
    int node_of[MOST_RANKS] = {0};
    struct net *nets[MOST_RANKS];
    for (int r = 0; r < p; r++)
        node_of[r] = r;
    CHECK(ronde__net_open_threads(p, node_of, nets) == RONDE_OK);
    for (int r = 0; r < p; r++) {
        if (operations)
            nets[r]->operations = operations;
        ranks[r].net = nets[r];
        CHECK(pthread_create(&ranks[r].thread, NULL, function, &ranks[r]) == 0);
    }
    for (int r = 0; r < p; r++)
        pthread_join(ranks[r].thread, NULL);
    for (int r = 0; r < p; r++)
        ronde__net_close(nets[r]);
}

static void run_on(int p, lengths_function *lengths, uint32_t turns,
                   const struct net_operations *operations)
{
    struct rank ranks[MOST_RANKS];
    for (int r = 0; r < p; r++)
        ranks[r] = (struct rank){.lengths = lengths, .turns = turns};
    with_ranks(ranks, p, operations, run_turns);
}

/* ---- a network that watches ------------------------------------------------------------------ */

/* The network of the threads, as it is. */
static struct net_operations learn_operations(void)
{
    const int node_of = 0;
    struct net *net;
    ronde__net_open_threads(1, &node_of, &net);
    struct net_operations operations = *net->operations;
    ronde__net_close(net);
    return operations;
}

static struct net_operations plain;

struct watch {
    int in_flight[2], most[2]; /* receives, sends */
    int messages[2];
    int last_place[2];
    int out_of_order;
};

static struct watch watches[MOST_RANKS];

static void watch(struct net *net, int sends, int peer)
{
    struct watch *mine = &watches[net->rank];
    int ahead = sends ? peer - net->rank : net->rank - peer;
    int place = (ahead + net->size - 1) % net->size; /* itself comes last */
    mine->out_of_order |= place <= mine->last_place[sends];
    mine->last_place[sends] = place;
    mine->messages[sends]++;
    if (++mine->in_flight[sends] > mine->most[sends])
        mine->most[sends] = mine->in_flight[sends];
}

static int32_t watched_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    watch(net, 1, peer);
    int32_t status = plain.send(net, data, bytes, peer, tag, request);
    watches[net->rank].in_flight[1] -= !request->state;
    return status;
}

static int32_t watched_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    watch(net, 0, peer);
    int32_t status = plain.recv(net, data, bytes, peer, tag, request);
    watches[net->rank].in_flight[0] -= !request->state;
    return status;
}

/* A test does not say what it ends; the address of the request does. */
static _Thread_local const struct exchange *watched;

static int32_t watched_test(struct net *net, struct net_request *request, int *done)
{
    int32_t status = plain.test(net, request, done);
    const struct net_request *sends = watched->sends.requests;
    int is_send = request >= sends && request < sends + EXCHANGE_WINDOW;
    watches[net->rank].in_flight[is_send] -= *done;
    return status;
}

static void *run_watched(void *context)
{
    struct rank *rank = context;
    struct run sends[MOST_RANKS], receives[MOST_RANKS];
    struct exchange exchange;
    watched = &exchange;
    watches[rank->net->rank] = (struct watch){.last_place = {-1, -1}};
    open_runs(rank, 0, sends, receives);
    ronde__exchange_start(&exchange, rank->net, TAG, sends, receives);
    int32_t said = finish(&exchange);
    check_runs(rank, 0, sends, receives);
    close_runs(rank, sends, receives);
    if (said != RONDE__DONE)
        check_fail(__FILE__, __LINE__, "it ended with %d", said);
    return NULL;
}

/* The network takes its time to tell that a message has gone or come. */
static int32_t lazy_test(struct net *net, struct net_request *request, int *done)
{
    static _Thread_local uint32_t state = 1;
    state = 1664525 * state + 1013904223;
    *done = 0;
    return state >> 30 ? RONDE_OK : plain.test(net, request, done);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void any_lengths_arrive_for_1_to_20_ranks(void)
{
    for (int p = 1; p <= MOST_RANKS; p += p < 9 ? 1 : 11)
        run_on(p, random_lengths, 12, NULL);
}

static void nothing_and_next_to_nothing_come_to_an_end(void)
{
    for (int p = 1; p <= 5; p++)
        run_on(p, no_length, 3, NULL);
    for (int p = 2; p <= 5; p++)
        run_on(p, one_long_message, 40, NULL);
}

static void messages_that_end_in_any_order_are_fine(void)
{
    struct net_operations lazy = plain;
    lazy.test = lazy_test;
    run_on(5, random_lengths, 12, &lazy);
    run_on(MOST_RANKS, random_lengths, 12, &lazy);
    run_on(MOST_RANKS, all_long, 12, &lazy);
}

static void at_most_a_window_is_in_flight_in_the_shifted_order(void)
{
    struct net_operations watching = plain;
    watching.send = watched_send;
    watching.recv = watched_recv;
    watching.test = watched_test;
    struct rank ranks[MOST_RANKS];
    for (int r = 0; r < MOST_RANKS; r++)
        ranks[r] = (struct rank){.lengths = all_long};
    with_ranks(ranks, MOST_RANKS, &watching, run_watched);
    for (int r = 0; r < MOST_RANKS; r++)
        for (int way = 0; way < 2; way++) {
            const struct watch *seen = &watches[r];
            CHECK_SAYING(seen->messages[way] == MOST_RANKS, "%d messages", seen->messages[way]);
            CHECK_SAYING(seen->most[way] <= EXCHANGE_WINDOW, "%d in flight", seen->most[way]);
            CHECK(seen->in_flight[way] == 0 && !seen->out_of_order);
        }
    for (int r = 0; r < MOST_RANKS; r++)
        ranks[r].lengths = no_length;
    with_ranks(ranks, MOST_RANKS, &watching, run_watched);
    for (int r = 0; r < MOST_RANKS; r++)
        CHECK(watches[r].messages[0] == 0 && watches[r].messages[1] == 0);
}

/* ---- failure --------------------------------------------------------------------------------- */

static _Atomic int calls_left;

static int32_t failing_test(struct net *net, struct net_request *request, int *done)
{
    if (atomic_fetch_sub(&calls_left, 1) <= 1) {
        net->operations = &plain; /* the exchange must not go on all the same */
        *done = 0;
        return ronde__fail(RONDE_ERR_MPI, "the network is gone");
    }
    return plain.test(net, request, done);
}

static pthread_barrier_t all_failed;

static void *run_until_failure(void *context)
{
    struct rank *rank = context;
    struct run sends[MOST_RANKS], receives[MOST_RANKS];
    struct exchange exchange;
    open_runs(rank, 0, sends, receives);
    ronde__exchange_start(&exchange, rank->net, TAG, sends, receives);
    int32_t said = finish(&exchange), again = ronde__exchange_step(&exchange);
    pthread_barrier_wait(&all_failed); /* nobody sends into what is freed */
    int in_flight = ronde__exchange_close(&exchange);
    close_runs(rank, sends, receives);
    if (again != said || (said != RONDE__DONE && said != RONDE_ERR_MPI))
        check_fail(__FILE__, __LINE__, "it ended with %d, then %d", said, again);
    if (said == RONDE__DONE && in_flight)
        check_fail(__FILE__, __LINE__, "something is on its way after the end");
    if (ronde__exchange_close(&exchange))
        check_fail(__FILE__, __LINE__, "closing again finds something");
    return NULL;
}

static void a_network_error_comes_back_and_stays(void)
{
    struct net_operations failing = plain;
    failing.test = failing_test;
    for (int call = 1; call <= 40; call++) {
        struct rank ranks[MOST_RANKS];
        for (int r = 0; r < 4; r++)
            ranks[r] = (struct rank){.lengths = all_long};
        calls_left = call;
        pthread_barrier_init(&all_failed, NULL, 4);
        with_ranks(ranks, 4, &failing, run_until_failure);
        pthread_barrier_destroy(&all_failed);
    }
}

int main(void)
{
    plain = learn_operations();
    RUN(any_lengths_arrive_for_1_to_20_ranks);
    RUN(nothing_and_next_to_nothing_come_to_an_end);
    RUN(messages_that_end_in_any_order_are_fine);
    RUN(at_most_a_window_is_in_flight_in_the_shifted_order);
    RUN(a_network_error_comes_back_and_stays);
    return check_result();
}
