/* Watching that the others are there, while somebody waits for them, and what their clocks show.
 * Nothing is sent while nobody waits, but for a few questions once a timeline starts.
 *
 * Inside a node: a rank that waits looks at the others' beats, which grow with every step of their
 * drivers. Whoever has not beaten for a quarter of the heartbeat is rung; whoever has not for a whole
 * one does not run any more: stopped, or stuck. (Ranks without a thread of the library cannot answer
 * while they compute: they are told dead only by their process ending.)
 * Between nodes: the leaders, neighbours in the tree of nodes. One that waits, or was told lately that
 * somebody does, asks its neighbours every quarter of the heartbeat, and is answered at once; any
 * message counts as a sign of life. So while one rank waits, every edge of the tree and every rank is
 * watched.
 * Clocks (watch_clock.c): questions and answers carry the time, from which the offset of the clocks
 * follows (Cristian 1989; four time stamps as in NTP, RFC 5905). They are measured when a context
 * opens, anew when a timeline starts, and whenever somebody waits. Leaders leave what they know in
 * the lobby: the ranks of a node have one clock. */
#ifndef RONDE_COORDINATOR_WATCH_H
#define RONDE_COORDINATOR_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct coordinator;
struct record;

enum { WATCH_NEIGHBOURS = 3 }; /* the parent, two children */

struct watch {
    int64_t heartbeat_ns;                 /* 0: nobody is watched */
    int64_t look_ns;                      /* when to look next */
    int64_t concern_ns[WATCH_NEIGHBOURS]; /* until then somebody waits, says that neighbour */
    uint64_t *beats;                      /* [local size] as last seen */
    int64_t *changed_ns; /* [local size] when they last had grown, or watching began */
    int watching, waits;
    int asking[WATCH_NEIGHBOURS];                /* whether it is being asked */
    int neighbours, neighbour[WATCH_NEIGHBOURS]; /* ranks: leaders of other nodes */
    int64_t heard_ns[WATCH_NEIGHBOURS], asked_ns[WATCH_NEIGHBOURS];
    /* this node's clock against node 0's: theirs = ours + offset, give or take error */
    int64_t offset_ns, error_ns;
    int64_t measured_ns;  /* 0: on node 0 itself, which does not drift */
    int asks;             /* questions still to be put to the parent about the clock ... */
    int64_t ask_again_ns; /* ... not before then, but for an answer */
    uint32_t told_turn;   /* of the lobby's clock: what the timeline was told */
};

int32_t ronde__watch_open(struct watch *watch, const struct coordinator *c);
void ronde__watch_close(struct watch *watch);
/* While this rank waits, or leads: RONDE_OK, or RONDE_ERR_PEER naming who does not answer. */
int32_t ronde__watch_look(struct coordinator *c, int64_t now_ns);
/* A message came from that rank. */
void ronde__watch_heard(struct coordinator *c, int from, int64_t now_ns);
/* Has the process that leads this node ended, or does it not run? */
int ronde__watch_leader_is_lost(const struct coordinator *c);
/* A PING or PONG. */
int32_t ronde__watch_take(struct coordinator *c, int from, const struct record *record);

/* ---- clocks ---------------------------------------------------------------------------------- */

/* Collective, blocking, when all is open: every node's clock is known from here. */
int32_t ronde__watch_measure(struct coordinator *c);
/* This node's clock against node 0's, as of now. Any thread. */
void ronde__watch_read_clock(const struct coordinator *c, int64_t *offset_ns, int64_t *error_ns);
/* The leader shall measure anew, soon. Any thread. */
void ronde__watch_want_clock(struct coordinator *c);
/* The timeline, which there is, is told what was measured since. */
void ronde__watch_tell_clock(struct coordinator *c);

/* Inside: four time stamps came from the parent; a question is to be asked, where one is wanted. */
enum { PONG_WORDS = 5 };
void ronde__watch_learn_clock(struct coordinator *c, const int64_t word[PONG_WORDS],
                              int64_t now_ns);
int32_t ronde__watch_ask_clock(struct coordinator *c, int64_t now_ns);
/* What a question of the time `asked_ns` is answered. */
void ronde__watch_answer(const struct coordinator *c, int64_t asked_ns, int64_t heard_ns,
                         int64_t word[PONG_WORDS]);
/* Posts a PING or PONG. */
int32_t ronde__watch_post(struct coordinator *c, int to, uint8_t type, const int64_t *words,
                          uint32_t n);

#endif
