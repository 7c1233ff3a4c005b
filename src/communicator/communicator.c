#include "communicator/communicator.h"

#include <stdlib.h>

#include "base/bell.h"
#include "base/status.h"
#include "communicator/communicator_stages.h"
#include "shm/slots.h"

static int smallest_node(const struct net *net)
{
    int smallest = net->local_size_of[0];
    for (int node = 1; node < net->nodes; node++)
        if (net->local_size_of[node] < smallest)
            smallest = net->local_size_of[node];
    return smallest;
}

static int32_t no_memory(const struct communicator *c)
{
    return ronde__fail(RONDE_ERR_MEMORY, "no memory for a communicator of %d ranks", c->net->size);
}

static int32_t allocate(struct communicator *c)
{
    size_t nodes = (size_t)c->net->nodes, size = (size_t)c->net->size;
    size_t here = (size_t)c->net->local_size;
    c->peers = calloc(nodes, sizeof(*c->peers));
    c->carriers = calloc(nodes, sizeof(*c->carriers));
    c->one_range = calloc(nodes + 1, sizeof(*c->one_range));
    c->first_range = calloc(nodes + 1, sizeof(*c->first_range));
    c->sends = calloc(size, sizeof(*c->sends));
    c->receives = calloc(size, sizeof(*c->receives));
    c->node_runs = calloc(here, sizeof(*c->node_runs));
    c->present_here = calloc(here, sizeof(*c->present_here));
    c->weights_here = calloc(here, sizeof(*c->weights_here));
    if (!c->peers || !c->carriers || !c->one_range || !c->first_range || !c->sends ||
        !c->receives || !c->node_runs || !c->present_here || !c->weights_here)
        return no_memory(c);
    c->map.first_range = c->first_range;
    for (int node = 0; node <= c->net->nodes; node++)
        c->one_range[node] = node;
    for (int i = 0; i < WIRE_PARTS; i++) {
        struct wire_part *part = &c->parts[i];
        part->block_from = calloc(nodes + 1, sizeof(*part->block_from));
        part->ranges = calloc(nodes, sizeof(*part->ranges));
        if (!part->block_from || !part->ranges)
            return no_memory(c);
    }
    for (int node = 0; node < c->net->nodes && c->net->local_rank < c->lanes; node++)
        c->peers[node] = ronde__net_rank_at(c->net, node, c->net->local_rank);
    return ronde__communicator_room_for_ranges(c, size);
}

enum { LINES = ~(SLOTS_LINE - 1) };

/* Whole lines for each part, and for each block of it, whatever the settings say. */
static size_t wire_bytes(const struct net *net, const struct settings *settings)
{
    size_t part = settings->wire_buffer_bytes / WIRE_PARTS & (size_t)LINES;
    size_t least = (size_t)net->nodes * SLOTS_LINE;
    return net->nodes > 1 ? WIRE_PARTS * (part > least ? part : least) : 0;
}

size_t ronde__communicator_bytes(const struct net *net, const struct settings *settings)
{
    return ronde__slots_bytes(net->local_size, settings->slice_bytes & (size_t)LINES,
                              settings->slots, wire_bytes(net, settings));
}

int32_t ronde__communicator_open(struct communicator *c, struct net *net,
                                 const struct communicator_place *place,
                                 const struct settings *settings, int tag)
{
    *c = (struct communicator){.net = net,
                               .tag = tag,
                               .lanes = smallest_node(net),
                               .trace = {.global = place->global,
                                         .process_set = place->process_set}};
    struct slots slots;
    ronde__slots_place(&slots, place->memory, net->local_size,
                       settings->slice_bytes & (size_t)LINES, settings->slots,
                       wire_bytes(net, settings), place->bells);
    int spins = !ronde__patience(net->local_size, settings->spin_us).yields;
    int32_t status = ronde__node_open(&c->node, &slots, net->local_rank, place->arena,
                                      place->arena_ranks, spins);
    c->wire_buffer = slots.wire;
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
    ronde__exchange_close(&c->exchange);
    ronde__adasum_forget(c);
    free(c->peers);
    free(c->carriers);
    free(c->one_range);
    for (int i = 0; i < WIRE_PARTS; i++) {
        free(c->parts[i].pieces);
        free(c->parts[i].block_from);
        free(c->parts[i].ranges);
    }
    free(c->first_range);
    free(c->ranges);
    free(c->pieces);
    free(c->sends);
    free(c->receives);
    free(c->node_runs);
    free(c->present_here);
    free(c->weights_here);
    ronde__node_close(&c->node);
}

int32_t ronde__communicator_step(void *state)
{
    struct communicator *c = state;
    int32_t said = c->stage(c);
    if (said == RONDE__DONE || said < 0)
        ronde__communicator_end_phase(c, said < 0 ? said : RONDE_OK);
    if (said != RONDE__DONE || !c->next)
        return said;
    int32_t (*next)(struct communicator *) = c->next;
    c->next = NULL;
    return next(c);
}

int32_t ronde__communicator_grow(struct piece **pieces, size_t *room, size_t wanted)
{
    if (wanted <= *room)
        return RONDE_OK;
    struct piece *grown = realloc(*pieces, wanted * sizeof(*grown));
    if (!grown)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a list of %zu pieces", wanted);
    *pieces = grown;
    *room = wanted;
    return RONDE_OK;
}

int32_t ronde__communicator_room(struct communicator *c, size_t pieces)
{
    return ronde__communicator_grow(&c->pieces, &c->piece_room, pieces);
}

int32_t ronde__communicator_room_for_ranges(struct communicator *c, size_t ranges)
{
    if (ranges <= c->range_room)
        return RONDE_OK;
    struct block_range *grown = realloc(c->ranges, ranges * sizeof(*grown));
    if (!grown)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a list of %zu ranges", ranges);
    c->map.ranges = c->ranges = grown;
    c->range_room = ranges;
    return RONDE_OK;
}

static int32_t run_nothing(struct communicator *c)
{
    (void)c;
    return RONDE__DONE;
}

int32_t ronde__communicator_start_nothing(struct communicator *c)
{
    c->stage = run_nothing;
    return RONDE_OK;
}

int32_t ronde__communicator_run_node(struct communicator *c, int32_t (*next)(struct communicator *))
{
    int32_t said = ronde__node_step(&c->node);
    if (said != RONDE__DONE)
        return said;
    return next(c);
}

int32_t ronde__communicator_run_last(struct communicator *c)
{
    return ronde__node_step(&c->node);
}

int32_t ronde__communicator_lane(struct communicator *c, enum algorithm algorithm, void *data,
                                 const struct block_map *map, const int *peers,
                                 const struct reduction *middle)
{
    struct lane_plan *plan = &c->lanes_by_algorithm[algorithm];
    if (plan->executor)
        return ronde__executor_add(plan->executor, data, c->wire_element_bytes, map, middle);
    if (!plan->schedule)
        plan->schedule = ronde__schedule(algorithm, c->net->nodes, c->net->node, 0);
    if (!plan->schedule)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a schedule of %d nodes", c->net->nodes);
    int32_t status = ronde__executor_open(&plan->executor, c->net, plan->schedule, peers, c->tag,
                                          data, c->wire_element_bytes, map, middle);
    if (!status)
        ronde__executor_trace(plan->executor, &c->trace);
    return status;
}
