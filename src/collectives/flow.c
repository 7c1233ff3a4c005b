#include "collectives/flow.h"

#include <assert.h>
#include <string.h>

#include "base/status.h"

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Takes at most `most` bytes off the cursor as one contiguous run, across ranges that lie one
 * behind the other. As many bytes are left. */
static size_t take_run(struct flow_cursor *cursor, const struct flow_data *data, size_t most,
                       char **address)
{
    size_t bytes = data->element_bytes, run = 0;
    while (cursor->done_bytes == cursor->range->count * bytes)
        *cursor = (struct flow_cursor){cursor->range + 1, 0};
    *address = data->data + cursor->range->offset * bytes + cursor->done_bytes;
    for (;;) {
        size_t more = smaller(cursor->range->count * bytes - cursor->done_bytes, most - run);
        cursor->done_bytes += more;
        run += more;
        if (run == most)
            return run;
        const struct block_range *next = cursor->range + 1;
        while (next->count == 0)
            next++;
        if (data->data + next->offset * bytes != *address + run)
            return run;
        *cursor = (struct flow_cursor){next, 0};
    }
}

/* Where the next `bytes` bytes lie if that is in one run, else NULL. Does not move the cursor. */
static char *single_run(struct flow_cursor cursor, const struct flow_data *data, size_t bytes)
{
    char *address;
    return take_run(&cursor, data, bytes, &address) == bytes ? address : NULL;
}

/* Segments of nearly equal length, of whole cache lines: two of 50 KiB overlap better than one of
 * 60 and one of 40. */
static void cut(struct flow *flow)
{
    size_t most = flow->bytes / FLOW_SEGMENTS;
    most = most < FLOW_SEGMENT_LEAST ? FLOW_SEGMENT_LEAST : smaller(most, FLOW_SEGMENT_BYTES);
    size_t least = (flow->bytes + most - 1) / most;
    if (least == 0)
        return;
    flow->segment_bytes = ((flow->bytes + least - 1) / least + 63) / 64 * 64;
    flow->segments = (flow->bytes + flow->segment_bytes - 1) / flow->segment_bytes;
}

size_t ronde__flow_open(struct flow *flow, const struct step *step, const struct flow_data *data,
                        uint64_t run)
{
    const struct block_map *map = &data->blocks;
    const struct block_range *first = map->ranges + map->first_range[step->first];
    size_t from = data->block_at[step->first];
    *flow = (struct flow){.step = step,
                          .data = data,
                          .run = run,
                          .from = from,
                          .bytes = data->block_at[step->first + step->count] - from,
                          .at_post = {first, 0},
                          .at_finish = {first, 0},
                          .scratch = flow->scratch,
                          .scratch_bytes = flow->scratch_bytes};
    cut(flow);
    if (flow->segments == 0 ||
        (!ronde__flow_reduces(flow) && single_run(flow->at_post, data, flow->bytes)))
        return 0;
    return smaller(flow->segments, FLOW_WINDOW) * flow->segment_bytes;
}

int ronde__flow_meets(const struct flow *flow, size_t segment, const struct flow *other)
{
    size_t from = flow->from + segment * flow->segment_bytes;
    size_t to = smaller(from + flow->segment_bytes, flow->from + flow->bytes);
    size_t other_to = other->from + other->bytes;
    size_t other_from = smaller(other->from + other->finished * other->segment_bytes, other_to);
    return from < other_to && other_from < to;
}

static size_t length_of(const struct flow *flow, size_t segment)
{
    return smaller(flow->segment_bytes, flow->bytes - segment * flow->segment_bytes);
}

static char *slot_of(const struct flow *flow, size_t segment)
{
    return flow->scratch + segment % FLOW_WINDOW * flow->segment_bytes;
}

/* mine = theirs op mine, or mine op theirs, as the schedule says. */
static void combine(const struct flow *flow, char *mine, const char *theirs, size_t bytes)
{
    const struct flow_data *data = flow->data;
    const void *sources[2] = {theirs, mine};
    if (flow->step->kind == STEP_RECV_REDUCE_INTO) {
        sources[0] = mine;
        sources[1] = theirs;
    }
    ronde__reduce(data->reduction, mine, sources, 2, bytes / data->element_bytes);
}

enum walk { WALK_OVER, WALK_GATHER, WALK_SCATTER, WALK_REDUCE };

/* Moves the cursor over `bytes` bytes of the blocks, to or from a slot as `what` says. */
static void walk(const struct flow *flow, struct flow_cursor *cursor, char *slot, size_t bytes,
                 enum walk what)
{
    for (size_t done = 0; done < bytes;) {
        char *address;
        size_t run = take_run(cursor, flow->data, bytes - done, &address);
        switch (what) {
        case WALK_OVER: break;
        case WALK_GATHER: memcpy(slot + done, address, run); break;
        case WALK_SCATTER: memcpy(address, slot + done, run); break;
        case WALK_REDUCE: combine(flow, address, slot + done, run); break;
        }
        done += run;
    }
}

int32_t ronde__flow_post(struct flow *flow, struct net *net, int peer, int tag)
{
    assert(ronde__flow_may_post(flow));
    size_t bytes = length_of(flow, flow->posted);
    struct net_request *request = &flow->requests[flow->posted % FLOW_WINDOW];
    char *place = ronde__flow_reduces(flow) ? NULL : single_run(flow->at_post, flow->data, bytes);
    char *memory = place ? place : slot_of(flow, flow->posted);
    int gathers = ronde__flow_sends(flow) && !place;
    if (!ronde__flow_reduces(flow))
        walk(flow, &flow->at_post, memory, bytes, gathers ? WALK_GATHER : WALK_OVER);
    flow->posted++;
    if (ronde__flow_sends(flow))
        return ronde__net_send(net, memory, bytes, peer, tag, request);
    return ronde__net_recv(net, memory, bytes, peer, tag, request);
}

int32_t ronde__flow_test(struct flow *flow, struct net *net, int *arrived)
{
    struct net_request *request = &flow->requests[flow->finished % FLOW_WINDOW];
    *arrived = !request->state;
    return *arrived ? RONDE_OK : ronde__net_test(net, request, arrived);
}

void ronde__flow_finish(struct flow *flow)
{
    size_t bytes = length_of(flow, flow->finished);
    if (ronde__flow_reduces(flow))
        walk(flow, &flow->at_finish, slot_of(flow, flow->finished), bytes, WALK_REDUCE);
    else if (!ronde__flow_sends(flow) && single_run(flow->at_finish, flow->data, bytes))
        walk(flow, &flow->at_finish, NULL, bytes, WALK_OVER); /* it came in place */
    else if (!ronde__flow_sends(flow))
        walk(flow, &flow->at_finish, slot_of(flow, flow->finished), bytes, WALK_SCATTER);
    flow->finished++;
}

void ronde__flow_combine(struct flow *const *flows, int n, const void **sources)
{
    struct flow *first = flows[0];
    const struct flow_data *data = first->data;
    size_t bytes = length_of(first, first->finished), run;
    int me = 0;
    while (me < n && flows[me]->step->peer == me)
        me++;
    for (size_t done = 0; done < bytes; done += run) {
        char *mine;
        run = take_run(&first->at_finish, data, bytes - done, &mine);
        sources[me] = mine;
        for (int i = 0; i < n; i++)
            sources[i + (i >= me)] = slot_of(flows[i], first->finished) + done;
        ronde__reduce(data->reduction, mine, sources, n + 1, run / data->element_bytes);
    }
    for (int i = n - 1; i >= 0; i--)
        flows[i]->finished++;
}

int ronde__flow_abandon(struct flow *flow, struct net *net)
{
    int in_flight = 0;
    for (; flow->finished < flow->posted; flow->finished++) {
        int ended = 1; /* also where the test tells an error */
        ronde__flow_test(flow, net, &ended);
        in_flight |= !ended;
    }
    return in_flight && flow->scratch;
}
