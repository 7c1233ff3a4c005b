/* The events to come, earliest first; of one time, in the order in which they were put. */
#ifndef RONDE_SIM_HEAP_H
#define RONDE_SIM_HEAP_H

#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_START, /* a message's first byte stands before the cards */
    EVENT_END,   /* its last byte has come */
    EVENT_WAKE,  /* a rank's CPU has done what it was at */
    EVENT_ADD    /* a node has the next run's data */
};

struct event {
    int64_t at; /* ps */
    uint64_t order;
    uint64_t stamp; /* END: void unless the message's is the same */
    void *what;     /* a message, a rank, a node */
    int32_t kind;   /* enum event_kind */
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
