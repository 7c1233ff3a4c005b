/* The control path inside a node, in shared memory: each rank has a ring up to the node's leader,
 * and the leader one ring down to all. */
#ifndef RONDE_COORDINATOR_LINK_H
#define RONDE_COORDINATOR_LINK_H

#include "base/bell.h"
#include "coordinator/communicator.h"
#include "net/net.h"
#include "shm/region.h"
#include "shm/ring.h"

struct link_rank {
    _Alignas(RING_LINE) _Atomic uint32_t waiting; /* callers of this rank that wait */
    struct bell idle; /* wakes the coordinator thread while nothing drives */
};

/* The first fatal error on the node, for the others to find. */
enum { FATAL_NONE, FATAL_BEING_WRITTEN, FATAL_WRITTEN };

struct link_fatal {
    _Alignas(RING_LINE) _Atomic uint32_t state;
    int32_t status;
    char text[500];
};

/* A reader that has made so much room rings the writer, which may have found the ring full. */
enum { LINK_MUCH_BYTES = 16 << 10 };

struct link {
    struct region region;
    struct link_fatal *fatal;
    struct link_rank *of; /* [local ranks] */
    struct ring **up;     /* [local ranks] */
    struct ring *down;
};

/* Collective over the net. */
int32_t ronde__link_open(struct link *link, struct net *net);
void ronde__link_close(struct link *link, const struct net *net);

/* Tells the node; the first call of any rank counts. Ringing is the caller's. */
void ronde__link_tell_fatal(struct link *link, int32_t status, const char *text);
/* What the node was told, recorded as this thread's error; RONDE_OK: nothing. */
int32_t ronde__link_fatal(const struct link *link);
/* That, or a rank of the node that has ended (as seen by the communicator's looks). */
int32_t ronde__link_trouble(const struct link *link, struct communicator *communicator);

#endif
