/* The control path inside a node, in shared memory: each rank has a ring up to the node's leader,
 * and the leader one ring down to all. */
#ifndef RONDE_COORDINATOR_LINK_H
#define RONDE_COORDINATOR_LINK_H

#include "base/bell.h"
#include "net/net.h"
#include "shm/region.h"
#include "shm/ring.h"

struct link_rank {
    _Alignas(RING_LINE) _Atomic uint32_t waiting; /* callers of this rank that wait */
    struct bell idle; /* wakes the coordinator thread while nothing drives */
};

struct link {
    struct region region;
    struct link_rank *of; /* [local ranks] */
    struct ring **up;     /* [local ranks] */
    struct ring *down;
};

/* Collective over the net. */
int32_t ronde__link_open(struct link *link, struct net *net);
void ronde__link_close(struct link *link, const struct net *net);

#endif
