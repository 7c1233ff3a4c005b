/* A binary heap: event i is not later than 2i + 1 and 2i + 2. */
#include "heap.h"

#include <stdlib.h>

static int earlier(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

int heap_put(struct heap *heap, const struct event *event)
{
    if (heap->count == heap->room) {
        size_t room = heap->room ? 2 * heap->room : 256;
        struct event *grown = realloc(heap->event, room * sizeof(*grown));
        if (!grown)
            return -1;
        heap->event = grown;
        heap->room = room;
    }
    struct event new = *event;
    new.order = heap->order++;
    size_t at = heap->count++;
    for (; at && earlier(&new, &heap->event[(at - 1) / 2]); at = (at - 1) / 2)
        heap->event[at] = heap->event[(at - 1) / 2];
    heap->event[at] = new;
    return 0;
}

struct event heap_take(struct heap *heap)
{
    struct event first = heap->event[0], moved = heap->event[--heap->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && earlier(&heap->event[child + 1], &heap->event[child]))
            child++;
        if (!earlier(&heap->event[child], &moved))
            break;
        heap->event[at] = heap->event[child];
    }
    heap->event[at] = moved;
    return first;
}

void heap_free(struct heap *heap)
{
    free(heap->event);
    *heap = (struct heap){0};
}
