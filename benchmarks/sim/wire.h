/* The state of a simulation, and its network, which executors use like any other: events.c (ranks)
 * and wire.c (messages) share it, for these alone. */
#ifndef RONDE_SIM_WIRE_H
#define RONDE_SIM_WIRE_H

#include "collectives/executor.h"
#include "events.h"
#include "heap.h"
#include "share.h"

struct rank {
    struct net net;             /* first; peers are nodes */
    struct reduction reduction; /* by whose address ronde__reduce finds the rank */
    struct run *run;
    struct executor *executor;
    int32_t node, lane;
    uint64_t ended;   /* runs */
    int64_t cpu_free; /* when its CPU has done what it is at */
    int64_t wake_at;  /* the last event that wakes it */
    int is_woken;
};

struct node {
    int64_t free_at;        /* its stages */
    int64_t lanes_until;    /* its CPUs, as far as they are through with runs */
    int32_t given;          /* runs whose data are ready */
    int32_t lanes_ended[2]; /* of the runs at hand, even and odd */
};

struct run {
    const struct model *model;
    const struct job *job;
    struct heap heap;
    struct share share;
    int64_t now;
    struct rank *rank;
    struct node *node;
    int32_t nodes, ranks; /* simulated */
    struct rank **woken;
    int32_t woken_count;
    struct channel **channel; /* hashed */
    size_t channels, channel_room;
    struct line *line; /* before each node's card */
    struct message *made, *spare;
    uint64_t stamp;
    int64_t *ended_at;     /* of each run, on the last node */
    struct block_map *map; /* of lane l; of the last run's, lanes + l */
    struct block_range *ranges;
    int32_t *first_range;
    int *peers;
    void *data;
    int32_t runs_over; /* on a node, all nodes counted */
    int is_closing;
    const char *wrong;
};

extern const struct net_operations wire_operations;
extern const char *const wire_out_of_memory;

/* 0, or -1 with run->wrong. */
int wire_open(struct run *run);
void wire_close(struct run *run);
/* Sets run->wrong where memory is out. */
void wire_put(struct run *run, const struct event *event);
/* The rank's executor is to be looked at. */
void wire_wake(struct run *run, struct rank *rank);
/* START or END. */
void wire_take_event(struct run *run, const struct event *event);
/* The cards' shares, once all that happens now has. */
void wire_settle(struct run *run);

#endif
