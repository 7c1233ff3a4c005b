/* ronde_describe: versions, topology, CPU and settings as text. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/status.h"
#include "context.h"
#include "reduce/reduce.h"

/* Grows past the caller's room only as a count. */
struct page {
    char *text;
    size_t room, used;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t left = page->used < page->room ? page->room - page->used : 0;
    int n = vsnprintf(left ? page->text + page->used : NULL, left, format, arguments);
    va_end(arguments);
    page->used += n > 0 ? (size_t)n : 0;
}

static void put_topology(struct page *page, const ronde_context *context)
{
    const struct net *net = context->net;
    put(page, "rank              %d of %d\n", net->rank, net->size);
    put(page, "nodes             %d, with", net->nodes);
    for (int node = 0; node < net->nodes && node < 16; node++)
        put(page, "%s %d", node ? "," : "", net->local_size_of[node]);
    put(page, "%s ranks\n", net->nodes > 16 ? ", ..." : "");
    put(page, "this node         number %d, local rank %d of %d\n", net->node, net->local_rank,
        net->local_size);
    put(page, "coordinator       %s\n",
        context->coordinator->has_thread ? "a thread, and callers that wait"
                                         : "callers that poll or wait");
    put(page, "outstanding       %u operations\n", atomic_load(&context->coordinator->outstanding));
}

static void put_settings(struct page *page, const struct settings *settings)
{
    const char *name, *origin, *help;
    char value[300];
    for (size_t row = 0;
         ronde__settings_row(settings, row, &name, value, sizeof(value), &origin, &help); row++)
        put(page, "%-17s %-12s %-12s %s\n", name, *value ? value : "-", origin, help);
}

int32_t ronde_describe(ronde_context *context, char *text, size_t bytes, size_t *needed)
{
    if (!text && bytes)
        return ronde__fail(RONDE_ERR_ARGUMENT, "the place for the text is NULL");
    struct settings read;
    int32_t status = context ? RONDE_OK : ronde__settings_read(&read, NULL);
    if (status)
        return status;
    struct page page = {text, bytes, 0};
    put(&page, "ronde             %s\n", ronde_version());
    put(&page, "mpi               %s, %s\n", ronde__net_library(), ronde__net_thread_level());
    put(&page, "cpus              %d for this process, %d on the node\n", ronde__cpu_count(),
        ronde__cpu_count_of_node());
    put(&page, "instructions      %s (kernels: %s)\n", ronde__simd_name(ronde__cpu_simd()),
        ronde__simd_name(ronde__reduce_simd()));
    put(&page, "shared memory     %zu MiB\n", ronde__region_capacity() >> 20);
    if (context)
        put_topology(&page, context);
    put(&page, "\n%-17s %-12s %-12s %s\n", "setting", "value", "from", "meaning");
    put_settings(&page, context ? &context->settings : &read);
    if (needed)
        *needed = page.used + 1;
    return RONDE_OK;
}
