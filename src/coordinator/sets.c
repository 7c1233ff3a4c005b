/* Process sets: opening the world, and making and removing sets of some of its ranks.
 *
 * All ranks of the context meet by gathers in set 0, so a rank that is lost or late is told as ever:
 *
 *   gather 1    what each rank wants: all check alike
 *   members     the first of each node takes shared memory from its part of the arena, lays it out
 *   gather 2    where, or why not: all know the outcome; members open
 *   gather 3    all have opened, or all undo it
 *
 * The first gather of a call may stall like any operation, and is an error then (gathering.c); those
 * after it only wait, so that the call ends alike on all ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "coordinator/coordinator.h"
#include "net/net_subset.h"

/* ---- the lists ------------------------------------------------------------------------------- */

const struct set_list *ronde__sets_find(const struct coordinator *c, int32_t id)
{
    if (id < 0)
        return NULL;
    /* pairs with the release in publish */
    const struct set_list *list = atomic_load_explicit(&c->list[id % SETS], memory_order_acquire);
    return list && list->id == id ? list : NULL;
}

static struct set_list *make_list(struct coordinator *c, const int32_t *ranks, int n)
{
    struct set_list *list = calloc(1, sizeof(*list));
    int *copy = calloc((size_t)n, sizeof(*copy));
    if (!list || !copy) {
        free(list);
        free(copy);
        ronde__fail(RONDE_ERR_MEMORY, "no memory for a process set of %d ranks", n);
        return NULL;
    }
    for (int i = 0; i < n; i++)
        copy[i] = ranks[i];
    *list = (struct set_list){.n = n, .ranks = copy, .older = c->lists};
    c->lists = list; /* one call at a time; freed at closing */
    return list;
}

/* The next number whose slot is free: the same on all ranks, since all make the same sets. */
static int32_t next_id(const struct coordinator *c)
{
    for (int32_t id = c->next_id; id < c->next_id + SETS; id++)
        if (!atomic_load_explicit(&c->list[id % SETS], memory_order_relaxed))
            return id;
    return -1;
}

static void publish(struct coordinator *c, struct set_list *list)
{
    ronde__coordinator_take(c);
    if (list->set) {
        c->set[c->sets++] = list->set;
        if (list->set->leader && list->set->net->nodes > 1)
            atomic_fetch_add(&c->polls, 1);
        ronde__communicator_trace(&list->set->communicator, c->timeline);
    }
    atomic_store_explicit(&c->list[list->id % SETS], list, memory_order_release);
    ronde__coordinator_release(c);
}

static void unpublish(struct coordinator *c, struct set_list *list)
{
    ronde__coordinator_take(c);
    int at = 0;
    while (at < c->sets && c->set[at] != list->set)
        at++;
    if (at < c->sets) {
        if (list->set->leader && list->set->net->nodes > 1)
            atomic_fetch_sub(&c->polls, 1);
        memmove(&c->set[at], &c->set[at + 1], (size_t)(c->sets - at - 1) * sizeof(c->set[0]));
        c->sets--;
    }
    list->removed = 1;
    atomic_store_explicit(&c->list[list->id % SETS], NULL, memory_order_release);
    ronde__coordinator_release(c);
}

/* ---- opening a set --------------------------------------------------------------------------- */

/* What a rank says in the second gather. */
struct offer {
    int64_t offset; /* of the memory in its part of the arena; for the first member of a node */
    int32_t status;
    char text[244];
};

static int32_t take_memory(struct coordinator *c, const struct net *net, struct offer *offer,
                           void **block)
{
    size_t bytes = ronde__set_bytes(c, net);
    int32_t status = net->local_rank ? RONDE_OK
                                     : ronde__arena_take(c->arena, bytes + LOBBY_LINE, block);
    if (!status && *block) {
        char *memory = (char *)*block + -(uintptr_t)*block % LOBBY_LINE;
        memset(memory, 0, bytes);
        ronde__set_place_memory(c, net, memory);
        offer->offset = ronde__arena_offset(c->arena, memory, bytes);
    }
    return status;
}

/* All ranks gather offers; the first failure is everybody's. */
static int32_t agree(struct coordinator *c, struct offer *mine, int32_t status,
                     struct offer **offers)
{
    void *all;
    mine->status = status;
    if (status)
        snprintf(mine->text, sizeof(mine->text), "%s", ronde_last_error());
    int32_t met = ronde__coordinator_gather(c, GATHERING_PART, mine, sizeof(*mine), &all, NULL);
    if (met)
        return met;
    *offers = all;
    for (int rank = 0; rank < c->net->size; rank++)
        if ((*offers)[rank].status)
            return ronde__fail((*offers)[rank].status, "rank %d: %.*s", rank,
                               (int)sizeof(mine->text), (*offers)[rank].text);
    return RONDE_OK;
}

static char *memory_of(struct coordinator *c, const struct set_list *list, const struct net *net,
                       const struct offer *offers)
{
    int first = list->ranks[ronde__net_rank_at(net, net->node, 0)];
    return ronde__arena_at(c->arena, c->net->local_rank_of[first], offers[first].offset);
}

static int32_t open_set(struct coordinator *c, struct set_list *list, struct net *net,
                        const struct offer *offers)
{
    const struct set_place place = {.c = c,
                                    .id = list->id,
                                    .slot = list->id % SETS,
                                    .net = net,
                                    .global = list->ranks,
                                    .memory = memory_of(c, list, net, offers)};
    return ronde__set_open(&list->set, &place);
}

static int is_member(const struct set_list *list, int rank)
{
    for (int i = 0; i < list->n; i++)
        if (list->ranks[i] == rank)
            return 1;
    return 0;
}

/* Collective over all ranks: makes the set of list->ranks, members or not. */
static int32_t make_set(struct coordinator *c, struct set_list *list)
{
    struct offer mine = {0}, *offers = NULL;
    struct net *net = NULL;
    void *block = NULL;
    int member = is_member(list, c->net->rank);
    list->id = next_id(c);
    int32_t status = list->id < 0 ? ronde__fail(RONDE_ERR_MEMORY,
                                                "there are %d process sets "
                                                "already: remove some",
                                                SETS)
                                  : RONDE_OK;
    if (status)
        return status; /* alike on all ranks */
    if (member)
        status = ronde__net_open_subset(c->net, list->ranks, list->n, &net);
    if (!status && member)
        status = take_memory(c, net, &mine, &block);
    status = agree(c, &mine, status, &offers);
    if (!status && member)
        status = open_set(c, list, net, offers);
    free(offers);
    offers = NULL;
    if (!status || !mine.status) { /* where the second gather failed, it failed for all */
        int32_t opened = agree(c, &mine, status, &offers);
        status = status ? status : opened;
    }
    free(offers);
    if (status) {
        if (list->set)
            ronde__set_close(list->set);
        else if (net)
            ronde__net_close(net);
        if (block)
            ronde__arena_give(c->arena, block);
        list->set = NULL;
        return status;
    }
    if (list->set)
        list->set->block = block;
    c->next_id = list->id + 1;
    publish(c, list);
    ronde__coordinator_take(c);
    status = ronde__coordinator_take_early(c);
    ronde__coordinator_release(c);
    return status;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* A rank's wish as it travels: a status (refused here), and its sorted list. */
struct wish {
    int32_t status;
    int32_t n;
    int32_t ranks[];
};

static int32_t check_list(const struct coordinator *c, const int32_t *ranks, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (ranks[i] < 0 || ranks[i] >= c->net->size)
            return ronde__fail(RONDE_ERR_ARGUMENT, "rank %d is none of the %d ranks", ranks[i],
                               c->net->size);
        if (i && ranks[i] == ranks[i - 1])
            return ronde__fail(RONDE_ERR_ARGUMENT, "rank %d is twice in the list of a process set",
                               ranks[i]);
    }
    return RONDE_OK;
}

/* Everybody's wishes: wish[rank] points into *all. */
static int32_t gather_wishes(struct coordinator *c, enum gathering what, const int32_t *ranks,
                             int32_t n, int32_t least, void **all, struct wish **wish)
{
    int32_t known = n > 0 && ranks ? n : 0;
    struct wish *mine = calloc(1, sizeof(*mine) + (size_t)known * sizeof(int32_t));
    size_t *bytes_of = calloc((size_t)c->net->size, sizeof(*bytes_of));
    int32_t status = RONDE_ERR_MEMORY;
    if (!mine || !bytes_of) {
        ronde__fail(status, "no memory for a list of %d ranks", n);
        goto out;
    }
    if (known)
        memcpy(mine->ranks, ranks, (size_t)known * sizeof(int32_t));
    qsort(mine->ranks, (size_t)known, sizeof(int32_t), by_rank);
    mine->n = known;
    mine->status = known < least || n < 0
                       ? ronde__fail(RONDE_ERR_ARGUMENT, "a process set of %d ranks", n)
                       : check_list(c, mine->ranks, known);
    status = ronde__coordinator_gather(c, what, mine,
                                       sizeof(*mine) + (size_t)known * sizeof(int32_t), all,
                                       bytes_of);
    char *at = status ? NULL : *all;
    for (int rank = 0; rank < c->net->size && !status; rank++) {
        wish[rank] = (struct wish *)(void *)at;
        at += bytes_of[rank];
    }
    for (int rank = 0; rank < c->net->size && !status; rank++)
        if (wish[rank]->status) {
            check_list(c, wish[rank]->ranks, wish[rank]->n);
            status = mine->status
                         ? mine->status
                         : ronde__fail(wish[rank]->status,
                                       "rank %d passed a list that is no process set", rank);
        }
    if (status && mine->status) /* its text once more: other ranks' lists were looked at since */
        check_list(c, mine->ranks, known);
out:
    free(mine);
    free(bytes_of);
    return status;
}

static int same_list(const struct wish *a, const struct wish *b)
{
    return a->n == b->n && memcmp(a->ranks, b->ranks, (size_t)a->n * sizeof(int32_t)) == 0;
}

static void write_list(const struct wish *wish, char *text, size_t bytes)
{
    size_t at = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < wish->n && at < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%d", i ? "," : "", wish->ranks[i]);
}

static int32_t lists_differ(const struct wish *a, int rank_a, const struct wish *b, int rank_b)
{
    char of_a[120], of_b[120];
    write_list(a, of_a, sizeof(of_a));
    write_list(b, of_b, sizeof(of_b));
    return ronde__fail(
        RONDE_ERR_MISMATCH,
        "process set: ranks differ: rank %d has [%s], rank %d has [%s]; pass the same "
        "on every rank",
        rank_a, of_a, rank_b, of_b);
}

static int32_t make_wished(struct coordinator *c, const struct wish *wish, int32_t *id)
{
    struct set_list *list = make_list(c, wish->ranks, wish->n);
    /* A rank without memory for the list must still take part: it cannot; all hear of it. */
    int32_t status = list ? make_set(c, list) : RONDE_ERR_MEMORY;
    if (!status)
        *id = list->id;
    return status;
}

int32_t ronde__sets_add(struct coordinator *c, const int32_t *ranks, int32_t n, int32_t *id)
{
    struct wish **wish = calloc((size_t)c->net->size, sizeof(struct wish *));
    void *all = NULL;
    if (!wish)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %d lists", c->net->size);
    int32_t status = gather_wishes(c, GATHERING_ADD, ranks, n, 1, &all, wish);
    for (int rank = 1; rank < c->net->size && !status; rank++)
        if (!same_list(wish[0], wish[rank]))
            status = lists_differ(wish[0], 0, wish[rank], rank);
    if (!status)
        status = make_wished(c, wish[0], id);
    free(all);
    free(wish);
    return status;
}

/* Every rank of a list must have passed the same list. */
static int32_t check_split(struct coordinator *c, struct wish *const *wish)
{
    for (int rank = 0; rank < c->net->size; rank++)
        for (int32_t i = 0; i < wish[rank]->n; i++)
            if (!same_list(wish[rank], wish[wish[rank]->ranks[i]]))
                return lists_differ(wish[rank], rank, wish[wish[rank]->ranks[i]],
                                    wish[rank]->ranks[i]);
    return RONDE_OK;
}

int32_t ronde__sets_split(struct coordinator *c, const int32_t *ranks, int32_t n, int32_t *id)
{
    struct wish **wish = calloc((size_t)c->net->size, sizeof(struct wish *));
    void *all = NULL;
    int32_t mine = -1;
    if (!wish)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %d lists", c->net->size);
    int32_t status = gather_wishes(c, GATHERING_LISTS, ranks, n, 0, &all, wish);
    if (!status)
        status = check_split(c, wish);
    for (int rank = 0; rank < c->net->size && !status; rank++) {
        int32_t made = -1;
        if (!wish[rank]->n || wish[rank]->ranks[0] != rank)
            continue; /* a list belongs to its first rank */
        status = make_wished(c, wish[rank], &made);
        if (same_list(wish[rank], wish[c->net->rank]))
            mine = made;
    }
    if (!status)
        *id = mine;
    free(all);
    free(wish);
    return status;
}

int32_t ronde__sets_add_text(struct coordinator *c, const char *text)
{
    int32_t *ranks = calloc((size_t)c->net->size + 1, sizeof(*ranks)), id;
    int32_t status = ranks ? RONDE_OK
                           : ronde__fail(RONDE_ERR_MEMORY, "no memory for a list of ranks");
    while (*text && !status) {
        int32_t n = 0;
        status = ronde__sets_read_list(&text, c->net->size, ranks, &n);
        if (!status)
            status = ronde__sets_add(c, ranks, n, &id);
    }
    free(ranks);
    return status;
}

/* ---- removing -------------------------------------------------------------------------------- */

/* All ranks have the same number in mind. */
static int32_t agree_on_removal(struct coordinator *c, int32_t id)
{
    void *all;
    int32_t status = ronde__coordinator_gather(c, GATHERING_REMOVE, &id, sizeof(id), &all, NULL);
    if (status)
        return status;
    const int32_t *ids = all;
    for (int rank = 0; rank < c->net->size && !status; rank++)
        if (ids[rank] != ids[0])
            status = ronde__fail(RONDE_ERR_MISMATCH,
                                 "removing a process set: rank 0 has %d, rank %d has %d; pass the "
                                 "same on every rank",
                                 ids[0], rank, ids[rank]);
    free(all);
    if (!status && id == 0)
        status = ronde__fail(RONDE_ERR_PROCESS_SET, "process set 0 is all ranks: it stays");
    if (!status && !ronde__sets_find(c, id))
        status = ronde__fail(RONDE_ERR_PROCESS_SET, "unknown process set %d", id);
    return status;
}

/* Nobody is done before all are: all know that the set goes, so a part that stalls begins again. */
static int32_t meet(struct coordinator *c)
{
    void *all = NULL;
    int32_t status = ronde__coordinator_gather(c, GATHERING_PART, NULL, 0, &all, NULL);
    free(all);
    return status;
}

int32_t ronde__sets_remove(struct coordinator *c, int32_t id)
{
    int32_t status = agree_on_removal(c, id);
    if (status)
        return status;
    struct set_list *list = atomic_load(&c->list[id % SETS]);
    struct request *pending;
    if (list->set)
        ronde__queue_shut(&list->set->queue, RONDE_ERR_PROCESS_SET, "the process set is removed");
    while (list->set && (pending = ronde__queue_any(&list->set->queue, 0)))
        ronde__coordinator_wait(c, pending, 0);
    status = meet(c); /* all are through */
    if (status)
        return status;
    unpublish(c, list);
    status = meet(c); /* nobody looks any more */
    if (!list->set || status)
        return status;
    void *block = list->set->block;
    ronde__set_close(list->set);
    list->set = NULL;
    return block ? ronde__arena_give(c->arena, block) : RONDE_OK;
}

/* ---- the world ------------------------------------------------------------------------------- */

int32_t ronde__sets_open(struct coordinator *c)
{
    struct net *net = c->net;
    int32_t *ranks = calloc((size_t)net->size, sizeof(*ranks));
    struct set_list *list = NULL;
    struct region region;
    int32_t status = ronde__region_open(&region, net, ronde__set_bytes(c, net), REGION_COMMITTED);
    if (status) {
        free(ranks);
        return status;
    }
    for (int rank = 0; rank < net->size && ranks; rank++)
        ranks[rank] = rank;
    if (ranks)
        list = make_list(c, ranks, net->size);
    free(ranks);
    if (net->local_rank == 0)
        ronde__set_place_memory(c, net, region.base);
    /* Nobody looks at the rings before they are placed. */
    char here = 0, *all = calloc((size_t)net->size, 1);
    status = all ? ronde__net_allgather(net, &here, 1, all) : RONDE_ERR_MEMORY;
    free(all);
    if (!status && list) {
        const struct set_place place = {.c = c,
                                        .net = net,
                                        .global = list->ranks,
                                        .memory = region.base};
        status = ronde__set_open(&list->set, &place);
    }
    if (status || !list) {
        ronde__region_close(&region, net);
        return status ? status : ronde__fail(RONDE_ERR_MEMORY, "no memory for %d ranks", net->size);
    }
    list->set->region = region;
    c->next_id = 1;
    publish(c, list);
    return RONDE_OK;
}

void ronde__sets_close(struct coordinator *c)
{
    for (struct set_list *list = c->lists, *older; list; list = older) {
        older = list->older;
        if (list->set) {
            struct region region = list->set->region;
            int is_world = list->id == 0;
            ronde__set_close(list->set);
            if (is_world)
                ronde__region_close(&region, c->net);
        }
        free(list->ranks);
        free(list);
    }
}
