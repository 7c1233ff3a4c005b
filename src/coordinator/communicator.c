#include "coordinator/communicator.h"

#include <stdlib.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "coordinator/communicator_stages.h"
#include "shm/slots.h"

static int smallest_node(const struct net *net)
{
    int smallest = net->local_size_of[0];
    for (int node = 1; node < net->nodes; node++)
        if (net->local_size_of[node] < smallest)
            smallest = net->local_size_of[node];
    return smallest;
}

static int32_t allocate(struct communicator *c)
{
    size_t nodes = (size_t)c->net->nodes, size = (size_t)c->net->size;
    c->peers = calloc(nodes, sizeof(*c->peers));
    c->carriers = calloc(nodes, sizeof(*c->carriers));
    c->block_from = calloc(nodes + 1, sizeof(*c->block_from));
    c->first_range = calloc(nodes + 1, sizeof(*c->first_range));
    c->ranges = calloc(nodes + size, sizeof(*c->ranges));
    if (!c->peers || !c->carriers || !c->block_from || !c->first_range || !c->ranges)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a communicator of %d ranks",
                           c->net->size);
    c->map = (struct block_map){c->first_range, c->ranges};
    for (int node = 0; node < c->net->nodes && c->net->local_rank < c->lanes; node++)
        c->peers[node] = ronde__net_rank_at(c->net, node, c->net->local_rank);
    return RONDE_OK;
}

int32_t ronde__communicator_open(struct communicator *c, struct net *net, const struct arena *arena,
                                 const struct settings *settings, int tag)
{
    const size_t lines = ~(size_t)(SLOTS_LINE - 1);
    size_t wire_bytes = net->nodes > 1 ? settings->wire_buffer_bytes & lines : 0;
    size_t slice_bytes = settings->slice_bytes & lines;
    size_t bytes = ronde__slots_bytes(net->local_size, slice_bytes, settings->slots, wire_bytes);
    *c = (struct communicator){.net = net, .tag = tag, .lanes = smallest_node(net)};
    int32_t status = ronde__region_open(&c->region, net, bytes, REGION_COMMITTED);
    if (status)
        return status;
    struct slots slots;
    ronde__slots_place(&slots, c->region.base, net->local_size, slice_bytes, settings->slots,
                       wire_bytes);
    int spins = ronde__patience(net->local_size, settings->spin_us).spin_ns > 0;
    status = ronde__node_open(&c->node, &slots, net->local_rank, arena, spins);
    if (!status)
        status = ronde__region_hold(&c->region, net->local_rank);
    if (!status)
        status = allocate(c);
    if (status)
        ronde__communicator_close(c);
    return status;
}

void ronde__communicator_close(struct communicator *c)
{
    for (int i = 0; i < RONDE__ALGORITHMS; i++) {
        ronde__executor_close(c->lanes_by_algorithm[i].executor);
        free(c->lanes_by_algorithm[i].schedule);
    }
    ronde__executor_close(c->once);
    free(c->once_schedule);
    free(c->peers);
    free(c->carriers);
    free(c->block_from);
    free(c->first_range);
    free(c->ranges);
    free(c->pieces);
    ronde__node_close(&c->node);
    ronde__region_close(&c->region, c->net);
}

struct bell *ronde__communicator_bell(const struct communicator *c)
{
    return &c->node.slots.bells[c->node.me];
}

int32_t ronde__communicator_look_for_peers(struct communicator *c)
{
    int64_t now = ronde__now_ns();
    if (now - c->looked_ns < COMMUNICATOR_LOOK_NS)
        return RONDE_OK;
    c->looked_ns = now;
    for (int local = 0; local < c->net->local_size; local++)
        if (local != c->net->local_rank && !ronde__region_is_held(&c->region, local))
            return ronde__fail(RONDE_ERR_PEER,
                               "rank %d is lost: its process has ended; close the "
                               "context",
                               ronde__net_rank_at(c->net, c->net->node, local));
    return RONDE_OK;
}

int32_t ronde__communicator_step(void *state)
{
    struct communicator *c = state;
    return c->stage(c);
}

int32_t ronde__communicator_room(struct communicator *c, size_t pieces)
{
    if (pieces <= c->piece_room)
        return RONDE_OK;
    struct piece *grown = realloc(c->pieces, pieces * sizeof(*grown));
    if (!grown)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a list of %zu pieces", pieces);
    c->pieces = grown;
    c->piece_room = pieces;
    return RONDE_OK;
}

int32_t ronde__communicator_run_node(struct communicator *c, int32_t (*next)(struct communicator *))
{
    int32_t said = ronde__node_step(&c->node);
    if (said != RONDE__DONE)
        return said;
    return next ? next(c) : RONDE__DONE;
}

int32_t ronde__communicator_lane(struct communicator *c, enum algorithm algorithm, void *data,
                                 const int *peers, const struct reduction *middle)
{
    struct lane_plan *plan = &c->lanes_by_algorithm[algorithm];
    if (plan->executor)
        return ronde__executor_restart(plan->executor, data, c->element_bytes, &c->map, middle);
    if (!plan->schedule)
        plan->schedule = ronde__schedule(algorithm, c->net->nodes, c->net->node, 0);
    if (!plan->schedule)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a schedule of %d nodes", c->net->nodes);
    return ronde__executor_open(&plan->executor, c->net, plan->schedule, peers, c->tag, data,
                                c->element_bytes, &c->map, middle);
}
