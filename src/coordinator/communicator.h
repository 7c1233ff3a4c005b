/* The collectives over all ranks of a net, as one state machine: inside the node through the shared
 * slots, between nodes by schedules. One operation at a time; all ranks start the same operations
 * in the same order. A context has one communicator for named and one for direct operations.
 *
 * Between nodes, lane k is carried by local rank k of every node, for as many lanes as the smallest
 * node has ranks: an allreduce is reduced inside each node to its wire buffer, each lane exchanges
 * its part of every block with its peers, and everybody copies the result out. */
#ifndef RONDE_COORDINATOR_COMMUNICATOR_H
#define RONDE_COORDINATOR_COMMUNICATOR_H

#include "base/piece.h"
#include "base/settings.h"
#include "collectives/executor.h"
#include "collectives/node.h"
#include "collectives/schedule.h"
#include "fusion/layout.h"
#include "net/net.h"
#include "reduce/reduce.h"
#include "shm/arena.h"
#include "shm/region.h"

enum { COMMUNICATOR_LOOK_NS = 200000000 }; /* between two looks; they cost a system call a rank */

/* What is reused from one operation between nodes to the next. */
struct lane_plan {
    struct schedule *schedule;
    struct executor *executor;
};

struct communicator {
    struct net *net;
    struct region region;
    struct node node;
    int tag;
    int lanes;
    int *peers;        /* [nodes] the ranks of my lane; NULL where I carry none */
    int *carriers;     /* [nodes] who carries a broadcast or allgather */
    int on_wire;       /* the running stage waits for the network */
    int64_t looked_ns; /* when the node's ranks were last looked for */
    int32_t (*stage)(struct communicator *);

    /* the running operation */
    struct reduction whole, start, middle, finish;
    const struct piece *tensors;
    size_t element_bytes;
    enum algorithm algorithm;
    struct layout layout;
    int32_t round;
    struct lane_plan lanes_by_algorithm[RONDE__ALGORITHMS];

    /* scratch, grown and kept */
    struct piece *pieces;
    size_t piece_room;
    int32_t piece_count;
    size_t *block_from;
    struct block_range *ranges;
    int32_t *first_range;
    struct block_map map;  /* of the two */
    struct executor *once; /* of a broadcast */
    struct schedule *once_schedule;
};

/* Collective over the net. tag: this communicator's own. */
int32_t ronde__communicator_open(struct communicator *communicator, struct net *net,
                                 const struct arena *arena, const struct settings *settings,
                                 int tag);
/* All ranks of the net are through with it. */
void ronde__communicator_close(struct communicator *communicator);

/* tensors: one piece each, all of `element_bytes`; stays the caller's until done. `algorithm` is
 * that of every tensor. */
int32_t ronde__communicator_start_allreduce(struct communicator *communicator,
                                            const struct piece *tensors, int32_t n,
                                            const struct reduction *whole,
                                            enum algorithm algorithm);
/* root: global rank. One contiguous run of bytes. */
int32_t ronde__communicator_start_broadcast(struct communicator *communicator, const void *in,
                                            void *out, size_t bytes, int root);
/* bytes_of[rank]: every rank's run; they lie in `out` one after the other. */
int32_t ronde__communicator_start_gather(struct communicator *communicator, const void *in,
                                         void *out, const size_t *bytes_of);

/* RONDE__IDLE, MOVED, DONE or an error, after which the communicator is of no more use.
 * `communicator` is a struct communicator *. */
int32_t ronde__communicator_step(void *communicator);

/* Every operation needs all ranks of the node. To be called when nothing moves: now and then it
 * looks whether their processes live. RONDE_ERR_PEER, naming the one that does not. */
int32_t ronde__communicator_look_for_peers(struct communicator *communicator);
/* The bell that peers ring for this rank. */
struct bell *ronde__communicator_bell(const struct communicator *communicator);

#endif
