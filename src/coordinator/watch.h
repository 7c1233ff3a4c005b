/* Watching that the others are there, while somebody waits for them. Nothing is sent while nobody
 * does.
 *
 * Inside a node: a rank that waits looks at the others' beats, which grow with every step of their
 * drivers. Whoever has not beaten for a quarter of the heartbeat is rung; whoever has not for a whole
 * one does not run any more: stopped, or stuck. (Ranks without a thread of the library cannot answer
 * while they compute: they are told dead only by their process ending.)
 * Between nodes: the leaders, neighbours in the tree of nodes. One that waits, or was told lately that
 * somebody does, asks its neighbours every quarter of the heartbeat, and is answered at once; any
 * message counts as a sign of life. So while one rank waits, every edge of the tree and every rank is
 * watched. Questions and answers carry the time, from which the offset of the clocks follows (Cristian 1989; four time stamps as in
 * NTP, RFC 5905). */
#ifndef RONDE_COORDINATOR_WATCH_H
#define RONDE_COORDINATOR_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct coordinator;
struct record;

enum { WATCH_NEIGHBOURS = 3 }; /* the parent, two children */

struct watch {
    int64_t heartbeat_ns; /* 0: nobody is watched */
    int64_t look_ns;      /* when to look next */
    int64_t concern_ns;   /* until then somebody elsewhere waits */
    uint64_t *beats;      /* [local size] as last seen */
    int64_t *changed_ns;  /* [local size] when they last had grown, or watching began */
    int watching;
    int neighbours, neighbour[WATCH_NEIGHBOURS]; /* ranks: leaders of other nodes */
    int64_t heard_ns[WATCH_NEIGHBOURS], asked_ns[WATCH_NEIGHBOURS];
    /* this node's clock against node 0's: theirs = ours + offset, give or take error */
    int64_t offset_ns, error_ns;
    int64_t measured_ns;
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

#endif
