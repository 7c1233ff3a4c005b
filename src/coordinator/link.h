/* The control path inside a node, in shared memory: each rank has a ring up to the node's leader,
 * and the leader one ring down to all. */
#ifndef RONDE_COORDINATOR_LINK_H
#define RONDE_COORDINATOR_LINK_H

#include "net/net.h"
#include "shm/ring.h"

/* A reader that has made so much room rings the writer, which may have found the ring full. */
enum { LINK_MUCH_BYTES = 16 << 10 };

struct link {
    struct ring **up; /* [local ranks] */
    struct ring *down;
};

/* Bytes of shared memory that a link needs on this node. */
size_t ronde__link_bytes(const struct net *net);
/* Lays the rings out in zeroed memory, 128-byte aligned: by one rank, before any opens. */
void ronde__link_place(char *memory, const struct net *net);
/* Local. */
int32_t ronde__link_open(struct link *link, char *memory, const struct net *net);
void ronde__link_close(struct link *link);

#endif
