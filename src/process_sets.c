/* Process sets, as callers ask for them. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "context.h"

/* Blocking and collective: the caller drives, where no thread of ours does. */
static int32_t check(const ronde_context *context, const int32_t *place)
{
    int32_t status = ronde__check_driver(context, 0);
    if (!status && !place)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the place for the process set is NULL");
    return status;
}

int32_t ronde_process_set_add(ronde_context *context, const int32_t *ranks, int32_t n,
                              int32_t *process_set)
{
    int32_t status = check(context, process_set);
    return status ? status : ronde__sets_add(context->coordinator, ranks, n, process_set);
}

int32_t ronde_process_set_split(ronde_context *context, int32_t colour, int32_t *process_set)
{
    int32_t status = check(context, process_set);
    if (status)
        return status;
    void *all;
    status = ronde__coordinator_gather(context->coordinator, GATHERING_SPLIT, &colour,
                                       sizeof(colour), &all, NULL);
    if (status)
        return status;
    const int32_t *colours = all;
    int32_t n = 0, *ranks = calloc((size_t)context->net->size, sizeof(*ranks));
    for (int32_t rank = 0; rank < context->net->size && ranks && colour >= 0; rank++)
        if (colours[rank] == colour)
            ranks[n++] = rank;
    /* Out of memory here is everybody's error: their lists do not find this rank's. */
    status = ronde__sets_split(context->coordinator, ranks, n, process_set);
    free(ranks);
    free(all);
    return status;
}

int32_t ronde_process_set_from_communicator(ronde_context *context, int32_t communicator,
                                            int32_t *process_set)
{
    int32_t status = check(context, process_set);
    if (status)
        return status;
    int *ranks = NULL, n = 0;
    int32_t found = ronde__net_ranks_of(context->net, communicator, &ranks, &n);
    /* Where this rank cannot tell, it still meets the others, with a list that is none. */
    const int32_t none = -1;
    status = ronde__sets_split(context->coordinator, found ? &none : ranks, found ? 1 : n,
                               process_set);
    free(ranks);
    return status;
}

int32_t ronde_process_set_remove(ronde_context *context, int32_t process_set)
{
    int32_t status = ronde__check_driver(context, 0);
    return status ? status : ronde__sets_remove(context->coordinator, process_set);
}

static const struct set_list *find(const ronde_context *context, int32_t process_set)
{
    if (ronde__check_open(context))
        return NULL;
    const struct set_list *list = ronde__sets_find(context->coordinator, process_set);
    if (!list)
        ronde__fail(RONDE_ERR_PROCESS_SET, "unknown process set %d: 0 is all ranks", process_set);
    return list;
}

int32_t ronde_process_set_rank(ronde_context *context, int32_t process_set)
{
    const struct set_list *list = find(context, process_set);
    return list && list->set ? list->set->net->rank : -1;
}

int32_t ronde_process_set_size(ronde_context *context, int32_t process_set)
{
    const struct set_list *list = find(context, process_set);
    return list ? list->n : -1;
}

int32_t ronde_process_set_ranks(ronde_context *context, int32_t process_set, int32_t *ranks,
                                int32_t room, int32_t *n)
{
    int32_t status = ronde__check_open(context);
    const struct set_list *list = status ? NULL : find(context, process_set);
    if (!list)
        return status ? status : RONDE_ERR_PROCESS_SET;
    if ((!ranks && room > 0) || !n)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the place for the %s is NULL",
                           n ? "ranks" : "number of ranks");
    for (int32_t i = 0; i < list->n && i < room; i++)
        ranks[i] = list->ranks[i];
    *n = list->n;
    return RONDE_OK;
}
