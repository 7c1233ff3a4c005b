#include "net/net_subset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

struct subset {
    struct net net; /* first: what callers hold */
    struct net *whole;
    int *global;
};

static struct subset *subset_of(struct net *net)
{
    return (struct subset *)(void *)net;
}

static int32_t subset_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                           struct net_request *request)
{
    struct subset *s = subset_of(net);
    return ronde__net_send(s->whole, data, bytes, s->global[peer], tag, request);
}

static int32_t subset_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                           struct net_request *request)
{
    struct subset *s = subset_of(net);
    return ronde__net_recv(s->whole, data, bytes, s->global[peer], tag, request);
}

static int32_t subset_test(struct net *net, struct net_request *request, int *done)
{
    return ronde__net_test(subset_of(net)->whole, request, done);
}

static int32_t subset_post(struct net *net, int peer, const void *message, size_t bytes)
{
    struct subset *s = subset_of(net);
    return ronde__net_post(s->whole, s->global[peer], message, bytes);
}

static int32_t subset_check_thread(struct net *net)
{
    return ronde__net_check_thread(subset_of(net)->whole);
}

static void subset_close(struct net *net)
{
    struct subset *s = subset_of(net);
    ronde__net_free_nodes(net);
    free(s->global);
    free(s);
}

static const struct net_operations operations = {
    .send = subset_send,
    .recv = subset_recv,
    .test = subset_test,
    .post = subset_post,
    .check_thread = subset_check_thread,
    .close = subset_close,
};

int32_t ronde__net_open_subset(struct net *whole, const int *ranks, int n, struct net **net)
{
    struct subset *s = calloc(1, sizeof(*s));
    int *global = calloc((size_t)n, sizeof(*global));
    int *colour = calloc((size_t)n, sizeof(*colour));
    int32_t status = RONDE_ERR_MEMORY;
    if (!s || !global || !colour) {
        ronde__fail(status, "no memory for a process set of %d ranks", n);
        goto free_memory;
    }
    s->whole = whole;
    s->global = global;
    s->net = (struct net){.operations = &operations,
                          .rank = -1,
                          .size = n,
                          .one_process = whole->one_process,
                          .background = whole->background};
    for (int i = 0; i < n; i++) {
        global[i] = ranks[i];
        colour[i] = whole->node_of[ranks[i]];
        if (ranks[i] == whole->rank)
            s->net.rank = i;
    }
    assert(s->net.rank >= 0);
    status = ronde__net_set_nodes(&s->net, colour);
    if (status)
        goto free_memory;
    free(colour);
    *net = &s->net;
    return RONDE_OK;

free_memory:
    free(colour);
    free(global);
    free(s);
    return status;
}
