/* Messages. From a node's lane to another's goes a channel, in which sends and receives match in
 * their order. Before the links messages wait in lines: each channel has its own, or each card has
 * one, or nobody waits.
 *
 * Where one node stands for all (job->mirror), it sends to itself: what goes to one peer comes from
 * the one to whom this node is what that peer is to it. */
#include "wire.h"

#include <math.h>
#include <stdlib.h>

#include "base/status.h"

struct message;

/* What a request points to. */
struct end {
    struct message *message;
    int receives;
};

struct message {
    struct stream stream; /* first */
    struct message *next_made;
    struct message *next;       /* of the channel's that nobody has matched; of the spare ones */
    struct message *next_start; /* of those that wait for the links */
    struct channel *channel;
    struct end sender, receiver;
    size_t bytes;
    int64_t sent_at, posted_at; /* -1: not yet */
    int64_t since;              /* when `left` was so much */
    double left;                /* work, ps */
    uint64_t stamp;             /* of the event that ends it */
    int32_t users;              /* requests */
    int is_here;
};

/* Before the links. */
struct line {
    struct message *first, *last; /* waiting */
    int is_busy;
};

struct channel {
    uint64_t key;
    struct rank *from, *to;
    struct message *first, *last; /* unmatched: all sent, or all posted */
    struct line own, *line;
};

const char *const wire_out_of_memory = "out of memory for the simulation";

void wire_put(struct run *run, const struct event *event)
{
    if (heap_put(&run->heap, event))
        run->wrong = wire_out_of_memory;
}

void wire_wake(struct run *run, struct rank *rank)
{
    if (!rank->is_woken)
        run->woken[run->woken_count++] = rank;
    rank->is_woken = 1;
}

/* ---- channels -------------------------------------------------------------------------------- */

static struct channel **place_of(struct run *run, uint64_t key)
{
    size_t at = (size_t)(key * 0x9E3779B97F4A7C15u >> 20) & (run->channel_room - 1);
    while (run->channel[at] && run->channel[at]->key != key)
        at = (at + 1) & (run->channel_room - 1);
    return &run->channel[at];
}

static int grow_channels(struct run *run)
{
    size_t room = run->channel_room;
    struct channel **old = run->channel, **grown = calloc(2 * room, sizeof(struct channel *));
    if (!grown)
        return -1;
    run->channel = grown;
    run->channel_room = 2 * room;
    for (size_t c = 0; c < room; c++)
        if (old[c])
            *place_of(run, old[c]->key) = old[c];
    free(old);
    return 0;
}

/* From node `from`'s lane to this rank. */
static struct channel *channel_of(struct run *run, int32_t from, struct rank *to)
{
    uint64_t key = (uint64_t)from * (uint64_t)run->ranks + (uint64_t)(to - run->rank);
    struct channel **place = place_of(run, key);
    if (*place)
        return *place;
    struct channel *made = calloc(1, sizeof(*made));
    if (!made || (2 * run->channels >= run->channel_room && grow_channels(run))) {
        free(made);
        run->wrong = wire_out_of_memory;
        return NULL;
    }
    int32_t node = run->job->mirror ? 0 : from;
    *made = (struct channel){.key = key,
                             .from = &run->rank[node * run->job->lanes + to->lane],
                             .to = to};
    made->line = run->model->sharing == SHARING_CARDS ? &run->line[node] : &made->own;
    run->channels++;
    return *place_of(run, key) = made;
}

/* ---- on the links ---------------------------------------------------------------------------- */

static int32_t switch_of(const struct run *run, int32_t node)
{
    return run->model->switch_nodes ? node / run->model->switch_nodes : 0;
}

/* The links that a channel's messages pass; cards out, cards in, switches up, switches down. */
static void set_links(const struct run *run, struct stream *stream, const struct channel *channel)
{
    int32_t nodes = run->nodes, from = channel->from->node, to = channel->to->node;
    stream->links = 0;
    stream->link[stream->links++] = from;
    if (switch_of(run, from) != switch_of(run, to) && run->model->uplink_ps > 0) {
        stream->link[stream->links++] = 2 * nodes + switch_of(run, from);
        stream->link[stream->links++] = 3 * nodes + switch_of(run, to);
    }
    if (run->model->in_ps > 0)
        stream->link[stream->links++] = nodes + to;
}

static void come_in(struct run *run, struct message *message)
{
    message->is_here = 1;
    wire_wake(run, message->channel->to);
    if (message->sender.message)
        wire_wake(run, message->channel->from);
}

static void begin(struct run *run, struct message *message)
{
    struct channel *channel = message->channel;
    message->left = (double)model_wire(run->model, message->bytes);
    message->since = run->now;
    channel->line->is_busy = 1;
    set_links(run, &message->stream, channel);
    if (share_add(&run->share, &message->stream))
        run->wrong = wire_out_of_memory;
}

static void end(struct run *run, struct message *message)
{
    struct line *line = message->channel->line;
    share_remove(&run->share, &message->stream);
    come_in(run, message);
    line->is_busy = 0;
    message = line->first;
    if (!message)
        return;
    line->first = message->next_start;
    begin(run, message);
}

void wire_take_event(struct run *run, const struct event *event)
{
    struct message *message = event->what;
    if (event->kind == EVENT_END && event->stamp == message->stamp)
        end(run, message);
    if (event->kind == EVENT_END)
        return;
    struct line *line = message->channel->line;
    if (!line->is_busy || run->model->sharing == SHARING_MESSAGES) {
        begin(run, message);
        return;
    }
    message->next_start = NULL;
    if (line->first)
        line->last->next_start = message;
    else
        line->first = message;
    line->last = message;
}

static void change(void *context, struct stream *stream)
{
    struct run *run = context;
    struct message *message = (struct message *)stream;
    message->left -= stream->rate * (double)(run->now - message->since);
    message->left = message->left > 0 ? message->left : 0;
    message->since = run->now;
    message->stamp = ++run->stamp;
    stream->rate = stream->next_rate;
    wire_put(run, &(struct event){.at = run->now + llround(message->left / stream->rate),
                                  .kind = EVENT_END,
                                  .stamp = message->stamp,
                                  .what = message});
}

void wire_settle(struct run *run)
{
    if (share_settle(&run->share, change, run))
        run->wrong = wire_out_of_memory;
}

/* ---- the network ----------------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The other side's message where it is there first, else a new one. NULL: no memory. */
static struct message *match(struct run *run, struct channel *channel, int sends)
{
    if (!channel)
        return NULL;
    struct message *message = channel->first;
    if (message && (sends ? message->sent_at : message->posted_at) < 0) {
        channel->first = message->next;
        return message;
    }
    message = run->spare;
    if (message) {
        run->spare = message->next;
    } else {
        message = calloc(1, sizeof(*message));
        if (!message) {
            run->wrong = wire_out_of_memory;
            return NULL;
        }
        message->next_made = run->made;
        run->made = message;
    }
    uint64_t seen = message->stream.seen;
    struct message *next_made = message->next_made;
    *message = (struct message){.stream.seen = seen,
                                .next_made = next_made,
                                .channel = channel,
                                .sent_at = -1,
                                .posted_at = -1};
    if (channel->first)
        channel->last->next = message;
    else
        channel->first = message;
    channel->last = message;
    return message;
}

/* Sent, posted, or both: it leaves if that suffices. */
static void go(struct run *run, struct message *message, int sends)
{
    int64_t latency = run->model->latency, at = message->sent_at;
    int offers = message->bytes > run->model->eager_bytes;
    if (offers ? message->sent_at < 0 || message->posted_at < 0 : !sends)
        return;
    if (offers)
        at = later(message->sent_at + latency, message->posted_at) + latency;
    wire_put(run, &(struct event){.at = at + latency, .kind = EVENT_START, .what = message});
}

static int32_t send_data(struct net *net, const void *data, size_t bytes, int peer, int tag,
                         struct net_request *request)
{
    struct rank *me = (struct rank *)net;
    struct run *run = me->run;
    const struct job *job = run->job;
    struct rank *to = job->mirror ? me : &run->rank[peer * job->lanes + me->lane];
    int32_t from = job->mirror ? job->mirror(job->nodes, peer) : me->node;
    struct message *message = match(run, channel_of(run, from, to), 1);
    if (!message)
        return RONDE_ERR_MEMORY;
    (void)data;
    (void)tag;
    message->bytes = bytes;
    message->sent_at = me->cpu_free = later(run->now, me->cpu_free) + run->model->overhead;
    if (bytes > run->model->eager_bytes) {
        message->users++;
        message->sender = (struct end){message, 0};
        request->state = &message->sender;
    }
    go(run, message, 1);
    return RONDE_OK;
}

static int32_t recv_data(struct net *net, void *data, size_t bytes, int peer, int tag,
                         struct net_request *request)
{
    struct rank *me = (struct rank *)net;
    struct message *message = match(me->run, channel_of(me->run, peer, me), 0);
    if (!message)
        return RONDE_ERR_MEMORY;
    (void)data;
    (void)tag;
    if (message->sent_at >= 0 && message->bytes != bytes)
        me->run->wrong = "a message is longer or shorter than its receiver thinks";
    message->bytes = bytes;
    message->posted_at = me->run->now;
    message->users++;
    message->receiver = (struct end){message, 1};
    request->state = &message->receiver;
    go(me->run, message, 0);
    return RONDE_OK;
}

/* A CPU that is busy looks again when it is not. */
static int32_t test_data(struct net *net, struct net_request *request, int *done)
{
    struct rank *me = (struct rank *)net;
    struct run *run = me->run;
    const struct end *end = request->state;
    struct message *message = end->message;
    *done = run->is_closing;
    if (*done || !message->is_here)
        return RONDE_OK;
    if (me->cpu_free > run->now) {
        if (me->wake_at < me->cpu_free)
            wire_put(run, &(struct event){.at = me->cpu_free, .kind = EVENT_WAKE, .what = me});
        me->wake_at = me->cpu_free;
        return RONDE_OK;
    }
    *done = 1;
    request->state = NULL;
    if (end->receives)
        me->cpu_free = run->now + run->model->overhead;
    if (--message->users == 0) {
        message->next = run->spare;
        run->spare = message;
    }
    return RONDE_OK;
}

const struct net_operations wire_operations = {.send = send_data,
                                               .recv = recv_data,
                                               .test = test_data};

/* In place of src/reduce: nothing is added, it takes its time. Elements are bytes here. */
void ronde__reduce(const struct reduction *reduction, void *dst, const void *const *sources, int n,
                   size_t count)
{
    size_t offset = offsetof(struct rank, reduction);
    struct rank *me = (struct rank *)(uintptr_t)((const char *)reduction - offset);
    (void)dst;
    (void)sources;
    me->cpu_free += llround((double)count * (n - 1) * me->run->model->reduce_ps);
}

int wire_open(struct run *run)
{
    const struct model *model = run->model;
    run->channel_room = 64;
    run->channel = calloc(run->channel_room, sizeof(struct channel *));
    run->line = calloc((size_t)run->nodes, sizeof(*run->line));
    if (share_open(&run->share, 4 * run->nodes) || !run->channel || !run->line) {
        run->wrong = wire_out_of_memory;
        return -1;
    }
    for (int32_t l = run->nodes; l < 4 * run->nodes; l++) {
        double ps = l < 2 * run->nodes ? model->in_ps : model->uplink_ps;
        if (ps > 0)
            run->share.link[l].speed = model->byte_ps / ps;
    }
    return 0;
}

void wire_close(struct run *run)
{
    for (size_t c = 0; run->channel && c < run->channel_room; c++)
        free(run->channel[c]);
    free(run->channel);
    free(run->line);
    for (struct message *next; run->made; run->made = next) {
        next = run->made->next_made;
        free(run->made);
    }
    share_close(&run->share);
}
