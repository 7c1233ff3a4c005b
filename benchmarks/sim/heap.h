/* The events to come, earliest first; of one time, in the order in which they were put. */
#ifndef RONDE_SIM_HEAP_H
#define RONDE_SIM_HEAP_H

#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_CPU,  /* a rank's CPU has done what it was at */
    EVENT_GO,   /* a message that was offered may leave */
    EVENT_LEFT, /* a message's last byte has left */
    EVENT_HEAD, /* its first byte stands before a link */
    EVENT_HERE  /* its last byte has come */
};

struct event {
    int64_t at; /* ps */
    uint64_t order;
    int64_t last;   /* HEAD: when the last byte will be here, as far as is known */
    size_t bytes;   /* HEAD */
    int32_t kind;   /* enum event_kind */
    int32_t rank;   /* whose: the receiver's, from HEAD on */
    int32_t sender; /* HEAD, HERE: a rank */
    int32_t flow;   /* GO, LEFT: of the round; HEAD: links behind it */
};

struct heap {
    struct event *event;
    size_t count, room;
    uint64_t order;
};

/* 0, or -1: no memory. */
int heap_put(struct heap *heap, const struct event *event);
/* There is one. */
struct event heap_take(struct heap *heap);
void heap_free(struct heap *heap);

#endif
