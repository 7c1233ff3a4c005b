/* All-to-all. What goes to ranks of the same node travels through the slots, the rest as messages,
 * each rank its own; both at once, the messages first, so that the wire is busy meanwhile. */
#include "base/status.h"
#include "communicator/communicator_stages.h"

static int32_t run_wire(struct communicator *c)
{
    int32_t said = ronde__exchange_step(&c->exchange);
    if (said == RONDE__DONE)
        c->on_wire = 0;
    return said;
}

static int32_t run_both(struct communicator *c)
{
    int32_t wire = run_wire(c);
    if (wire == RONDE__DONE)
        c->stage = ronde__communicator_run_last;
    if (wire < 0 || wire == RONDE__DONE)
        return wire < 0 ? wire : RONDE__MOVED;
    int32_t inside = ronde__node_step(&c->node);
    if (inside != RONDE__DONE)
        return ronde__both(inside, wire);
    c->stage = run_wire;
    return RONDE__MOVED;
}

static void begin_wire(struct communicator *c, const struct run *sends, const struct run *receives)
{
    for (int rank = 0; rank < c->net->size; rank++) {
        int is_here = c->net->node_of[rank] == c->net->node;
        c->sends[rank] = is_here ? (struct run){0} : sends[rank];
        c->receives[rank] = is_here ? (struct run){0} : receives[rank];
    }
    ronde__exchange_start(&c->exchange, c->net, c->tag, c->sends, c->receives);
    ronde__exchange_trace(&c->exchange, &c->trace);
    c->on_wire = 1;
}

/* The run of a local rank is what it sends to local rank 0, to 1, ... Mine is the one to me. */
static struct node_run run_inside(const struct communicator *c, const size_t *bytes_to, char *out)
{
    struct node_run run = {.wanted = bytes_to[c->net->local_rank], .out = out};
    for (int local = 0; local < c->net->local_size; local++) {
        run.bytes += bytes_to[local];
        run.from += local < c->net->local_rank ? bytes_to[local] : 0;
    }
    return run;
}

int32_t ronde__communicator_start_exchange(struct communicator *c, const struct run *sends,
                                           const struct run *receives, const size_t *local_bytes)
{
    struct net *net = c->net;
    int here = net->local_size;
    size_t bytes = 0;
    int32_t status = ronde__communicator_room(c, (size_t)here);
    if (status)
        return status;
    for (int local = 0; local < here; local++) {
        int rank = ronde__net_rank_at(net, net->node, local);
        const size_t *bytes_to = local_bytes + (size_t)local * (size_t)here;
        c->pieces[local] = (struct piece){.in = sends[rank].data, .count = sends[rank].bytes};
        c->node_runs[local] = run_inside(c, bytes_to, receives[rank].data);
    }
    for (int rank = 0; rank < net->size; rank++)
        bytes += receives[rank].bytes;
    ronde__communicator_phase(c, TIMELINE_EXCHANGE, "alltoall", bytes);
    if (net->nodes > 1)
        begin_wire(c, sends, receives);
    ronde__node_start_exchange(&c->node, c->node_runs, c->pieces, here);
    c->stage = net->nodes > 1 ? run_both : ronde__communicator_run_last;
    return RONDE_OK;
}
