#include "buffers.h"

#include <stdlib.h>
#include <string.h>

static char *take(ronde_context *context, enum memory memory, size_t bytes)
{
    void *at = NULL;
    size_t pages = bytes / 4096 + 1;
    if (memory == MEMORY_ARENA) {
        int32_t status = ronde_malloc(context, bytes, &at);
        if (status)
            die("%zu bytes of arena memory: %s: %s", bytes, ronde_status_name(status),
                ronde_last_error());
    } else if (!(at = aligned_alloc(4096, pages * 4096))) {
        die("out of memory for %zu bytes: give a smaller -e", bytes);
    }
    memset(at, 0, bytes);
    return at;
}

static void release(ronde_context *context, enum memory memory, void *at)
{
    if (memory == MEMORY_ARENA)
        ronde_free(context, at);
    else
        free(at);
}

void buffers_make(struct buffers *b, ronde_context *context, enum memory memory, size_t in_bytes,
                  size_t out_bytes, int in_place)
{
    *b = (struct buffers){.memory = memory, .in_place = in_place};
    b->out = take(context, memory, out_bytes);
    b->in = in_place ? b->out : take(context, memory, in_bytes);
}

void buffers_place_input(struct buffers *b, size_t offset_bytes)
{
    if (b->out && b->in_place)
        b->in = b->out + offset_bytes;
}

void buffers_free(struct buffers *b, ronde_context *context)
{
    if (b->in && !b->in_place)
        release(context, b->memory, b->in);
    if (b->out)
        release(context, b->memory, b->out);
    *b = (struct buffers){0};
}
