/* Every rank goes through the ranks in an order of its own: in place k of p the rank r sends to
 * r + k and receives from r - k, modulo p; the last place is the rank itself. p = 4:
 *
 *   place     rank 0          rank 1          rank 2          rank 3
 *     1     to 1, from 3    to 2, from 0    to 3, from 1    to 0, from 2
 *     2     to 2, from 2    to 3, from 3    to 0, from 0    to 1, from 1
 *     3     to 3, from 1    to 0, from 2    to 1, from 3    to 2, from 0
 *     4     itself          itself          itself          itself
 *
 * So a place has one message to each rank, and nobody is flooded. Each way a window of messages is
 * in flight, started in the order of the places and ended in any. Nothing waits in a circle: of the
 * messages that have not ended, one of the lowest place was started on both sides, since all before
 * it have ended on both.
 *
 * Cost: at most p - 1 messages each way, every byte moved once. Source: the shifted (linear)
 * exchange of Thakur, Rabenseifner and Gropp, Optimization of collective communication operations
 * in MPICH, Int. J. High Performance Computing Applications 19 (2005), with a window. */
#include "collectives/exchange.h"

#include "base/bell.h"
#include "base/status.h"

void ronde__exchange_start(struct exchange *exchange, struct net *net, int tag,
                           const struct run *sends, const struct run *receives)
{
    *exchange = (struct exchange){.net = net,
                                  .tag = tag,
                                  .status = RONDE__IDLE,
                                  .sends = {.runs = sends},
                                  .receives = {.runs = receives}};
}

void ronde__exchange_trace(struct exchange *exchange, const struct trace *trace)
{
    exchange->trace = trace;
}

static int is_send(const struct exchange *exchange, const struct exchange_way *way)
{
    return way == &exchange->sends;
}

/* The rank of the next place that has a message, which is passed; -1 behind the last. */
static int next_rank(const struct exchange *exchange, struct exchange_way *way)
{
    int size = exchange->net->size, me = exchange->net->rank;
    while (way->places < size) {
        int place = ++way->places;
        int rank = is_send(exchange, way) ? (me + place) % size : (me - place + size) % size;
        if (way->runs[rank].bytes)
            return rank;
    }
    return -1;
}

static int32_t post(struct exchange *exchange, const struct exchange_way *way, int rank,
                    struct net_request *request)
{
    const struct run *run = &way->runs[rank];
    if (is_send(exchange, way))
        return ronde__net_send(exchange->net, run->data, run->bytes, rank, exchange->tag, request);
    return ronde__net_recv(exchange->net, run->data, run->bytes, rank, exchange->tag, request);
}

static void record(const struct exchange *exchange, const struct exchange_way *way, int slot)
{
    if (way->begun_ns[slot])
        ronde__trace_message(exchange->trace,
                             is_send(exchange, way) ? TIMELINE_SEND : TIMELINE_RECV,
                             way->rank[slot], way->runs[way->rank[slot]].bytes,
                             way->begun_ns[slot]);
}

/* Ends what has come through in one slot of the window, and starts what is next there. */
static int32_t step_slot(struct exchange *exchange, struct exchange_way *way, int slot, int *moved)
{
    struct net_request *request = &way->requests[slot];
    if (request->state) {
        int ended;
        int32_t status = ronde__net_test(exchange->net, request, &ended);
        if (status)
            return status;
        if (ended)
            record(exchange, way, slot);
        *moved |= ended;
    }
    while (!request->state) {
        int rank = next_rank(exchange, way);
        if (rank < 0)
            return RONDE_OK;
        *moved = 1;
        way->rank[slot] = rank;
        way->begun_ns[slot] = ronde__trace_begin(exchange->trace);
        int32_t status = post(exchange, way, rank, request);
        if (status)
            return status;
        if (!request->state) /* gone at once */
            record(exchange, way, slot);
    }
    return RONDE_OK;
}

static int32_t step_way(struct exchange *exchange, struct exchange_way *way, int *moved)
{
    int32_t status = RONDE_OK;
    for (int slot = 0; slot < EXCHANGE_WINDOW && !status; slot++)
        status = step_slot(exchange, way, slot, moved);
    return status;
}

static int is_over(const struct exchange *exchange, const struct exchange_way *way)
{
    int in_flight = 0;
    for (int slot = 0; slot < EXCHANGE_WINDOW; slot++)
        in_flight |= way->requests[slot].state != NULL;
    return way->places == exchange->net->size && !in_flight;
}

/* Receives first, so that what is sent finds its place. */
int32_t ronde__exchange_step(struct exchange *exchange)
{
    if (exchange->status != RONDE__IDLE)
        return exchange->status;
    int moved = 0;
    int32_t status = step_way(exchange, &exchange->receives, &moved);
    if (!status)
        status = step_way(exchange, &exchange->sends, &moved);
    if (status)
        return exchange->status = status;
    if (is_over(exchange, &exchange->receives) && is_over(exchange, &exchange->sends))
        return exchange->status = RONDE__DONE;
    return moved ? RONDE__MOVED : RONDE__IDLE;
}

/* What is still in flight afterwards. */
static int let_go(struct exchange *exchange, struct exchange_way *way)
{
    int in_flight = 0;
    for (int slot = 0; slot < EXCHANGE_WINDOW; slot++) {
        struct net_request *request = &way->requests[slot];
        int ended = 1; /* also where the test tells an error */
        if (request->state)
            ronde__net_test(exchange->net, request, &ended);
        in_flight |= !ended;
        *request = (struct net_request){0};
    }
    return in_flight;
}

int ronde__exchange_close(struct exchange *exchange)
{
    let_go(exchange, &exchange->sends);
    return let_go(exchange, &exchange->receives);
}
