/* Links (cards, and where there are several switches theirs) pass a message on as it comes in; where
 * the next is busy it waits there, without holding up the link before. */
#include "wire.h"

#include <stdlib.h>

const char *const wire_out_of_memory = "out of memory for the simulation";

void wire_put(struct run *run, const struct event *event)
{
    if (heap_put(&run->heap, event))
        run->wrong = wire_out_of_memory;
}

struct partner *wire_partner(struct run *run, struct rank *me, int32_t node)
{
    static struct partner nobody;
    for (int32_t i = 0; i < me->partners; i++)
        if (me->partner[i].node == node)
            return &me->partner[i];
    struct partner *grown = realloc(me->partner, ((size_t)me->partners + 1) * sizeof(*grown));
    if (!grown) {
        run->wrong = wire_out_of_memory;
        return &nobody;
    }
    me->partner = grown;
    grown[me->partners] = (struct partner){.node = node};
    return &grown[me->partners++];
}

static int switch_of(const struct run *run, int32_t node)
{
    return run->model->switch_nodes ? node / run->model->switch_nodes : 0;
}

/* The links behind the sender's card: its switch's way up, the receiver's way down, the receiver's
 * card; only the last of these on one switch. `left` counts down to 1. */
static int64_t *link_of(struct run *run, const struct rank *from, const struct rank *to, int left)
{
    int nodes = run->job->nodes;
    switch (left) {
    case 3: return &run->free_at[2 * nodes + switch_of(run, from->node)];
    case 2: return &run->free_at[3 * nodes + switch_of(run, to->node)];
    default: return &run->free_at[nodes + to->node];
    }
}

/* Returns when the link begins with the message that has come before it. */
static int64_t pass(int64_t *free_at, int64_t now, int64_t takes)
{
    int64_t begin = *free_at > now ? *free_at : now;
    *free_at = begin + takes;
    return begin;
}

void wire_send(struct run *run, struct rank *me, int32_t flow)
{
    struct run_flow *f = &me->flow[flow];
    int32_t to = f->step->peer * run->job->lanes + me->lane, rank = (int32_t)(me - run->rank);
    size_t bytes = model_segment(&f->pieces, f->gone++);
    int64_t takes = model_wire(run->model, bytes);
    int64_t begin = pass(&run->free_at[me->node], run->now, takes);
    int links = switch_of(run, me->node) == switch_of(run, f->step->peer) ? 1 : 3;
    wire_put(run,
             &(struct event){.at = begin + takes, .kind = EVENT_LEFT, .rank = rank, .flow = flow});
    wire_put(run, &(struct event){.at = begin + run->model->latency,
                                  .last = begin + takes + run->model->latency,
                                  .kind = EVENT_HEAD,
                                  .bytes = bytes,
                                  .rank = to,
                                  .sender = rank,
                                  .flow = links});
    me->messages++;
    me->bytes += (int64_t)bytes;
    run->node_bytes[me->node] += (int64_t)bytes;
}

void wire_let_go(struct run *run, struct rank *me, int32_t flow)
{
    struct run_flow *f = &me->flow[flow];
    struct rank *to = &run->rank[f->step->peer * run->job->lanes + me->lane];
    int offers = f->pieces.segment_bytes > run->model->eager_bytes;
    for (; f->let_go < f->posted; f->let_go++) {
        int64_t at = run->now, offered = f->posted_at + run->model->latency;
        if (!offers) {
            wire_send(run, me, flow);
            continue;
        }
        if (wire_partner(run, to, me->node)->posted <= f->before + f->let_go)
            return;
        at = (offered > at ? offered : at) + run->model->latency;
        wire_put(run, &(struct event){.at = at,
                                      .kind = EVENT_GO,
                                      .rank = (int32_t)(me - run->rank),
                                      .flow = flow});
    }
}

void wire_take_head(struct run *run, struct event *event)
{
    const struct rank *from = &run->rank[event->sender], *to = &run->rank[event->rank];
    int64_t takes = model_wire(run->model, event->bytes);
    if (event->flow > 1)
        takes = (int64_t)((double)event->bytes * run->model->uplink_ps + 0.5);
    event->at = pass(link_of(run, from, to, event->flow), run->now, takes);
    event->last = event->last > event->at + takes ? event->last : event->at + takes;
    if (--event->flow == 0) {
        event->kind = EVENT_HERE;
        event->at = event->last;
    }
    wire_put(run, event);
}
