/* Timelines, as callers start and stop them. */
#include <stdlib.h>

#include "base/status.h"
#include "context.h"

static int32_t refuse_second(void)
{
    return ronde__fail(RONDE_ERR_ARGUMENT, "a timeline is being recorded: stop it first");
}

static int32_t check_start(const ronde_context *context, const char *path)
{
    int32_t status = ronde__check_open(context);
    if (!status && (!path || !*path))
        status = ronde__fail(RONDE_ERR_ARGUMENT, "the timeline needs the path of a file");
    if (!status && context->coordinator->timeline)
        status = refuse_second();
    return status;
}

int32_t ronde_timeline_start(ronde_context *context, const char *path)
{
    int32_t status = check_start(context, path);
    if (status)
        return status;
    struct coordinator *c = context->coordinator;
    struct timeline *timeline;
    int64_t offset_ns, error_ns;
    char *file = ronde__text("%s.%d.json", path, context->net->rank);
    if (!file)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a path");
    ronde__watch_read_clock(c, &offset_ns, &error_ns);
    status = ronde__timeline_start(&timeline, file, context->net->rank, offset_ns, error_ns,
                                   &context->log);
    free(file);
    if (status)
        return status;
    if (ronde__coordinator_swap_timeline(c, timeline)) { /* another thread has been faster */
        ronde__timeline_stop(timeline);
        return refuse_second();
    }
    ronde__watch_want_clock(c);
    return RONDE_OK;
}

int32_t ronde_timeline_stop(ronde_context *context)
{
    int32_t status = ronde__check_open(context);
    if (status)
        return status;
    struct timeline *timeline = ronde__coordinator_swap_timeline(context->coordinator, NULL);
    if (!timeline)
        return ronde__fail(RONDE_ERR_ARGUMENT, "no timeline is being recorded");
    ronde__direct_leave_timeline(&context->direct);
    return ronde__timeline_stop(timeline);
}
