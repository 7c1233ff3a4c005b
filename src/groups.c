/* Groups: requests that are kept until all of them are there, and then queued together or not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "context.h"

struct group {
    struct group *next;
    uint64_t id;
    struct set *set;
    char **names;
    struct request **requests;
    size_t count, room;
    int32_t refused; /* the first refusal's status */
    char *refusals;  /* the texts of all */
};

void ronde__groups_open(struct groups *groups)
{
    *groups = (struct groups){0};
    pthread_mutex_init(&groups->lock, NULL);
}

/* The link to the group of that number, or to NULL. The lock is held. */
static struct group **link_of(struct groups *groups, uint64_t id)
{
    struct group **link = &groups->first;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static struct group *find(struct groups *groups, uint64_t id)
{
    pthread_mutex_lock(&groups->lock);
    struct group *group = *link_of(groups, id);
    pthread_mutex_unlock(&groups->lock);
    if (!group)
        ronde__fail(RONDE_ERR_ARGUMENT, "there is no group %llu: begin one, and end it once",
                    (unsigned long long)id);
    return group;
}

static struct group *take_out(struct groups *groups, uint64_t id)
{
    pthread_mutex_lock(&groups->lock);
    struct group **link = link_of(groups, id), *group = *link;
    if (group)
        *link = group->next;
    pthread_mutex_unlock(&groups->lock);
    if (!group)
        ronde__fail(RONDE_ERR_ARGUMENT, "there is no group %llu: begin one, and end it once",
                    (unsigned long long)id);
    return group;
}

/* Those of its requests that were not queued are forgotten. */
static void free_group(struct group *group, struct handles *handles, int queued)
{
    for (size_t i = 0; i < group->count; i++) {
        free(group->names[i]);
        if (!queued)
            ronde__handles_give(handles, group->requests[i]);
    }
    free(group->names);
    free(group->requests);
    free(group->refusals);
    free(group);
}

void ronde__groups_close(ronde_context *context)
{
    struct groups *groups = &context->groups;
    while (groups->first) {
        struct group *group = groups->first;
        groups->first = group->next;
        free_group(group, &context->coordinator->handles, 0);
    }
    pthread_mutex_destroy(&groups->lock);
}

int32_t ronde_group_begin(ronde_context *context, uint64_t *id)
{
    int32_t status = ronde__check_open(context);
    if (!status && !id)
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the place for the group is NULL");
    struct group *group = status ? NULL : calloc(1, sizeof(*group));
    if (!status && !group)
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory for a group");
    if (status)
        return status;
    struct groups *groups = &context->groups;
    pthread_mutex_lock(&groups->lock);
    group->id = ++groups->last_id;
    group->next = groups->first;
    groups->first = group;
    pthread_mutex_unlock(&groups->lock);
    *id = group->id;
    return RONDE_OK;
}

/* ---- submissions ----------------------------------------------------------------------------- */

/* Every refusal is told at the end, the first one's status counts. */
static int32_t refuse(struct group *group, int32_t status)
{
    char *text = group->refusals ? ronde__text("%s; %s", group->refusals, ronde_last_error())
                                 : ronde__text("%s", ronde_last_error());
    if (!group->refused)
        group->refused = status;
    if (text) {
        free(group->refusals);
        group->refusals = text;
    }
    return status;
}

static int32_t room_for_one(struct group *group)
{
    if (group->count < group->room)
        return RONDE_OK;
    size_t room = 2 * group->room + 16;
    char **names = realloc(group->names, room * sizeof(char *));
    group->names = names ? names : group->names;
    struct request **requests = realloc(group->requests, room * sizeof(struct request *));
    group->requests = requests ? requests : group->requests;
    if (!names || !requests)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a group of %zu", room);
    group->room = room;
    return RONDE_OK;
}

static char *name_of(const struct demand *demand, uint64_t number)
{
    return demand->name
               ? ronde__text("%s", demand->name)
               : ronde__text("%s#%llu", ronde__kind_name(demand->kind), (unsigned long long)number);
}

/* Has another the name already? */
static int32_t check_twice(const struct group *group, struct set *set, int kind, const char *name)
{
    if (ronde__queue_is_outstanding(&set->queue, kind, name))
        return ronde__fail(RONDE_ERR_DUPLICATE,
                           "%s '%s' is already outstanding on this rank: wait for it first",
                           ronde__kind_name((enum kind)kind),
                           ronde__short_name(name, NAME_ROOM).text);
    for (size_t i = 0; i < group->count; i++)
        if (group->requests[i]->signature.kind == kind && strcmp(group->names[i], name) == 0)
            return ronde__fail(RONDE_ERR_DUPLICATE, "%s '%s' is twice in the group",
                               ronde__kind_name((enum kind)kind),
                               ronde__short_name(name, NAME_ROOM).text);
    return RONDE_OK;
}

static int32_t take(ronde_context *context, struct group *group, const struct demand *demand,
                    uint64_t number, struct request **request)
{
    if (group->set && group->set != demand->set)
        return ronde__fail(RONDE_ERR_ARGUMENT,
                           "a group is of one process set: this one of %d, the call has %d",
                           group->set->id, demand->set->id);
    int32_t status = room_for_one(group);
    if (status)
        return status;
    char *name = name_of(demand, number);
    if (!name)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a name");
    status = check_twice(group, demand->set, demand->kind, name);
    if (!status)
        status = ronde__make_request(context, demand, 0, request);
    if (status) {
        free(name);
        return status;
    }
    group->set = demand->set;
    (*request)->staged = 1;
    group->names[group->count] = name;
    group->requests[group->count++] = *request;
    return RONDE_OK;
}

int32_t ronde__group_take(ronde_context *context, uint64_t id, const struct demand *demand,
                          uint64_t number, int32_t status, uint64_t *handle)
{
    if (status) { /* the last error's text is the refusal's */
        pthread_mutex_lock(&context->groups.lock);
        struct group *group = *link_of(&context->groups, id);
        pthread_mutex_unlock(&context->groups.lock);
        return group ? refuse(group, status) : status;
    }
    struct group *group = find(&context->groups, id);
    if (!group)
        return RONDE_ERR_ARGUMENT;
    struct request *request;
    status = take(context, group, demand, number, &request);
    if (status)
        return refuse(group, status);
    *handle = ronde__handle_of(request);
    return RONDE_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The same for the same kinds and names in any order: FNV-1a of each, added up. Never 0. */
static uint64_t identity(const struct group *group)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < group->count; i++) {
        uint64_t hash = 14695981039346656037u ^ group->requests[i]->signature.kind;
        for (const char *c = group->names[i]; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        sum += hash ^ hash >> 32;
    }
    return sum ? sum : 1;
}

static void bind(struct group *group)
{
    uint64_t id = identity(group);
    for (size_t i = 0; i < group->count; i++) {
        struct request *request = group->requests[i];
        request->staged = 0;
        request->mates = group->requests[(i + 1) % group->count];
        request->signature.group = id;
        request->signature.group_size = (uint32_t)group->count;
    }
}

int32_t ronde_group_end(ronde_context *context, uint64_t id)
{
    int32_t status = ronde__check_open(context);
    struct group *group = status ? NULL : take_out(&context->groups, id);
    if (!group)
        return status ? status : RONDE_ERR_ARGUMENT;
    struct handles *handles = &context->coordinator->handles;
    if (group->refused)
        status = ronde__fail_text(group->refused,
                                  group->refusals ? group->refusals : "no memory for the text");
    if (!status && group->count) {
        bind(group);
        status = ronde__set_submit_group(group->set, group->names, group->requests, group->count);
    }
    int queued = !status && group->count;
    free_group(group, handles, queued);
    if (queued)
        ronde__coordinator_wake(context->coordinator);
    return status;
}

int32_t ronde_group_cancel(ronde_context *context, uint64_t id)
{
    int32_t status = ronde__check_open(context);
    struct group *group = status ? NULL : take_out(&context->groups, id);
    if (!group)
        return status ? status : RONDE_ERR_ARGUMENT;
    free_group(group, &context->coordinator->handles, 0);
    return RONDE_OK;
}
