/* The collectives over all ranks of a net, as one state machine: inside the node through the shared
 * slots, between nodes by schedules and plain messages. One operation at a time; all ranks start
 * the same operations in the same order. A context has one communicator for named and one for
 * direct operations.
 *
 * Between nodes, lane k is carried by local rank k of every node, for as many lanes as the smallest
 * node has ranks: an allreduce is reduced inside each node to its wire buffer, each lane exchanges
 * its share of every block with its peers, and everybody copies the result out. What does not fit
 * goes in rounds, which overlap: the wire buffer has two parts. */
#ifndef RONDE_COMMUNICATOR_COMMUNICATOR_H
#define RONDE_COMMUNICATOR_COMMUNICATOR_H

#include "base/piece.h"
#include "base/settings.h"
#include "base/timeline.h"
#include "collectives/exchange.h"
#include "collectives/executor.h"
#include "collectives/node.h"
#include "collectives/schedule.h"
#include "collectives/trace.h"
#include "fusion/layout.h"
#include "net/net.h"
#include "reduce/reduce.h"
#include "shm/arena.h"

/* What is reused from one operation between nodes to the next. */
struct lane_plan {
    struct schedule *schedule;
    struct executor *executor;
};

enum { WIRE_PARTS = 2 }; /* one on the wire, one being filled or emptied */

/* A part of the wire buffer, and the round of an allreduce that is in it. */
struct wire_part {
    struct piece *pieces;
    size_t piece_room;
    int32_t piece_count;
    size_t *block_from;         /* [nodes + 1] */
    struct block_range *ranges; /* [nodes] my lane's */
};

struct adasum;

struct communicator {
    struct net *net;
    struct node node;
    int tag;
    int lanes;
    int *peers;    /* [nodes] the ranks of my lane; NULL where I carry none */
    int *carriers; /* [nodes] who carries a broadcast or allgather */
    int on_wire;   /* what is running waits for the network */
    int32_t (*stage)(struct communicator *);
    int32_t (*next)(struct communicator *); /* begins what follows the stages; NULL: nothing */

    /* the running operation */
    struct reduction whole, start, middle, finish;
    const struct piece *tensors;
    size_t element_bytes;      /* of the tensors */
    size_t wire_element_bytes; /* between nodes */
    enum algorithm algorithm;
    struct layout layout;
    int32_t rounds_begun, rounds_ended;
    int32_t (*part_stage)(struct communicator *); /* what is done beside the wire */
    struct executor *wire;   /* of my lane; NULL: I carry none, or nothing yet */
    uint64_t runs_before;    /* that the executor had before this operation */
    int32_t next_piece;      /* to unpack ... */
    const char *unpack_from; /* ... from here */
    char *wire_buffer;
    struct wire_part parts[WIRE_PARTS];
    const unsigned char *present; /* who contributes, of this node; NULL: all */
    const double *weights;        /* how much, of this node; NULL: 1 */
    struct exchange exchange;
    struct adasum *adasum;       /* NULL where none runs */
    struct trace trace;          /* what is recorded of it */
    struct timeline_event phase; /* the running one; begin_ns 0: none */
    struct lane_plan lanes_by_algorithm[RONDE__ALGORITHMS];

    /* scratch, grown and kept */
    struct piece *pieces;
    size_t piece_room;
    int32_t piece_count;
    struct block_range *ranges;
    size_t range_room;
    int32_t *first_range;
    int32_t *one_range;          /* [nodes + 1] of blocks of one range each */
    struct block_map map;        /* of the two */
    struct node_run *node_runs;  /* [local size] */
    struct run *sends;           /* [size] of an exchange between nodes */
    struct run *receives;        /* [size] */
    unsigned char *present_here; /* [local size] */
    double *weights_here;        /* [local size] */
    struct executor *once;       /* of a broadcast */
    struct schedule *once_schedule;
};

/* Where a communicator lives on this node. */
struct communicator_place {
    char *memory; /* zeroed, shared by the net's ranks of this node, 128-byte aligned */
    struct bell *const *bells; /* [local ranks] */
    const struct arena *arena;
    const int *arena_ranks; /* [local ranks]: whose part of the arena is whose; NULL: as numbered */
    const int *global;      /* [ranks]: their global ranks; NULL: as numbered */
    int32_t process_set;
};

/* Bytes of shared memory that one needs on this node. */
size_t ronde__communicator_bytes(const struct net *net, const struct settings *settings);
/* Local: nobody waits for anybody. The net, lists and arena stay the caller's. tag: this
 * communicator's own, the same on all ranks. */
int32_t ronde__communicator_open(struct communicator *communicator, struct net *net,
                                 const struct communicator_place *place,
                                 const struct settings *settings, int tag);
/* All ranks of the net are through with it. */
void ronde__communicator_close(struct communicator *communicator);

/* Who contributes to an allreduce and how much, by rank, alike on all ranks. NULL members: all, 1.
 * Of a rank that does not contribute, every `in` may be NULL. */
struct contributions {
    const unsigned char *present;
    const double *weights;
};

/* How an allreduce goes between nodes; the same for every tensor of a bin. */
struct crossing {
    enum algorithm algorithm;
    int32_t dtype; /* of the sums: the tensors', or, where that is float32, a half */
};

/* tensors: one piece each; stays the caller's until done. A piece whose
 * `out` is NULL is not wanted here (reduce, reduce-scatter).
 * contributions: NULL for all alike; read before this returns. */
int32_t ronde__communicator_start_allreduce(struct communicator *communicator,
                                            const struct piece *tensors, int32_t n,
                                            const struct reduction *whole,
                                            const struct crossing *crossing,
                                            const struct contributions *contributions);
/* root: rank of the net. Bytes of any dtypes; a piece's `in` counts on the root only, where `out`
 * may be NULL. The list is read before this returns. */
int32_t ronde__communicator_start_broadcast(struct communicator *communicator,
                                            const struct piece *tensors, int32_t n, int root);
/* All-to-all: sends[rank] to each rank, receives[rank] from each, this rank included; what one
 * receives is as long as what the other sends. local_bytes: [local size x local size], what local
 * rank i sends to local rank j at i * local size + j, alike on the node. The lists are read before
 * this returns. Inside a node through the slots, between nodes by messages, each rank its own. */
int32_t ronde__communicator_start_exchange(struct communicator *communicator,
                                           const struct run *sends, const struct run *receives,
                                           const size_t *local_bytes);
/* Adasum of one tensor of floats over all ranks, scaled; absent ranks (present[rank] 0; NULL: none)
 * contribute nothing, and their `in` may be NULL. out NULL: not wanted here. in and out are equal
 * or do not overlap. */
int32_t ronde__communicator_start_adasum(struct communicator *communicator, const void *in,
                                         void *out, size_t count, int32_t dtype, double scale,
                                         const unsigned char *present);
/* Allgather. bytes_of[rank]: every rank's run; they lie in `out` one after the other. The list is
 * read before this returns. */
int32_t ronde__communicator_start_gather(struct communicator *communicator, const void *in,
                                         void *out, const size_t *bytes_of);

/* From here what it does is recorded in the timeline (NULL: nothing is), without a name. */
void ronde__communicator_trace(struct communicator *communicator, struct timeline *timeline);
/* What its next operation is called there (NULL: nothing); the name stays the caller's until that
 * is done. The same on all ranks, or their messages cannot be matched. */
void ronde__communicator_label(struct communicator *communicator, const char *name, uint64_t id);

/* RONDE__IDLE, MOVED, DONE or an error, after which the communicator is of no more use.
 * `communicator` is a struct communicator *. */
int32_t ronde__communicator_step(void *communicator);

#endif
