/* What one rank does in a collective between p peers, as data: a pure function of (algorithm, p,
 * me).
 *
 * The data are `blocks` blocks, equal in number on all peers, each of any length, 0 included.
 * Steps of one round are independent of each other; a round begins when the one before has
 * finished. Sends and receives between two peers match in the order of the lists. What a round
 * sends is what the blocks held when the round began: a block that a round reduces may also be
 * sent in it (whole steps with equal first and count), a block received over may not. */
#ifndef RONDE_COLLECTIVES_SCHEDULE_H
#define RONDE_COLLECTIVES_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

enum step_kind {
    STEP_SEND,             /* blocks [first, first + count) to peer */
    STEP_RECV,             /* the same from peer, over what is there */
    STEP_RECV_REDUCE,      /* from peer; block = peer's op mine */
    STEP_RECV_REDUCE_INTO, /* from peer; block = mine op peer's */
    STEP_RECV_COMBINE      /* from each peer one, listed in their order, of the same blocks;
                         block = all of theirs and mine, in the order of peers, in one pass */
};

struct step {
    int32_t kind; /* enum step_kind */
    int32_t peer;
    int32_t first, count; /* blocks */
    int32_t round;        /* never falls along the list */
};

struct schedule {
    int32_t blocks;
    int32_t steps;
    struct step step[];
};

/* Above each definition stand its table, its cost and its source. */
enum algorithm {
    ALGORITHM_RING,       /* allreduce, p blocks */
    ALGORITHM_DOUBLING,   /* allreduce, 1 block */
    ALGORITHM_CIRCULANT,  /* allreduce, p blocks */
    ALGORITHM_SPREAD,     /* allreduce, p blocks */
    ALGORITHM_FLOOD,      /* allreduce, 1 block */
    ALGORITHM_BINOMIAL,   /* broadcast, 1 block, from root */
    ALGORITHM_RING_GATHER /* allgather, p blocks, block b from peer b */
};

enum { RONDE__ALGORITHMS = ALGORITHM_RING_GATHER + 1 };

struct algorithm_entry {
    const char *name; /* as in RONDE_ALLREDUCE */
    const char *good_for;
    int is_allreduce;
    int most_peers;    /* with which it may be worth trying ... */
    size_t most_bytes; /* ... and up to which; right for any number */
    int32_t (*blocks)(int p);
    /* At most this many steps for a peer. */
    int32_t (*most_steps)(int p);
    /* Writes the steps of peer `me`, returns their number. root: broadcast only. */
    int32_t (*write)(struct step *steps, int p, int me, int root);
};

extern const struct algorithm_entry ronde__algorithms[RONDE__ALGORITHMS];

/* malloc'd; NULL where memory is out. p = 1 gives no steps. */
struct schedule *ronde__schedule(enum algorithm algorithm, int p, int me, int root);

/* Proves an algorithm for p <= 64 peers: sends match receives in order, nothing deadlocks, each
 * contribution arrives exactly once, all peers end with the same blocks combined in the same order
 * (so: the same bits), and the blocks sent per peer are at most the algorithm's bound. Returns
 * NULL, or a static or malloc'd sentence that says what is wrong (the caller need not free it). */
const char *ronde__schedule_check(enum algorithm algorithm, int p, int root);
/* The same of schedules given one by one: what the checker's own tests break on purpose. */
const char *ronde__schedule_check_lists(enum algorithm algorithm, int p, int root,
                                        const struct schedule *const *lists);

#endif
