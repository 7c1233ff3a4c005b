/* Where the ranks of a node stand: who waits, how to wake each, who lives, and what has failed. One
 * lobby per context and node; communicators and the control path ring the bells it keeps. */
#ifndef RONDE_SHM_LOBBY_H
#define RONDE_SHM_LOBBY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bell.h"
#include "net/net.h"
#include "shm/region.h"

enum { LOBBY_LINE = 128, LOBBY_LOOK_NS = 200000000 };

struct lobby_rank {
    _Alignas(LOBBY_LINE) _Atomic uint32_t waiting; /* callers of this rank that wait */
    _Atomic uint32_t answers; /* 1: rung at `idle`, somebody of this rank steps and beats */
    _Atomic uint64_t beats;   /* grows with every step of this rank's driver */
    struct bell idle;         /* wakes the coordinator thread while nothing drives */
    _Alignas(LOBBY_LINE) struct bell named;  /* whoever drives named operations */
    _Alignas(LOBBY_LINE) struct bell direct; /* whoever runs a direct one */
};

/* The first fatal error on the node, for the others to find. */
struct lobby_fatal {
    _Alignas(LOBBY_LINE) _Atomic uint32_t state;
    int32_t status;
    char text[500];
};

/* This node's clock against node 0's, as the leader has measured it: theirs = ours + offset, give
 * or take error, which grows as clocks drift apart since then. */
struct lobby_clock {
    _Alignas(LOBBY_LINE) _Atomic uint32_t turn; /* grows with each measurement; 0: none yet */
    _Atomic uint32_t wanted;                    /* 1: the leader shall measure anew */
    _Atomic int64_t offset_ns, error_ns, measured_ns;
};

struct lobby {
    const struct net *net;
    struct region region;
    struct lobby_fatal *fatal;
    struct lobby_clock *clock;
    struct lobby_rank *of;         /* [local ranks] */
    struct bell **named, **direct; /* [local ranks]: the lists that communicators take */
};

/* Collective over the net. */
int32_t ronde__lobby_open(struct lobby *lobby, struct net *net);
void ronde__lobby_close(struct lobby *lobby);

/* Tells the node; the first call of any rank counts. Ringing is the caller's. */
void ronde__lobby_tell_fatal(struct lobby *lobby, int32_t status, const char *text);
/* What the node was told, recorded as this thread's error; RONDE_OK: nothing. Any thread. */
int32_t ronde__lobby_fatal(const struct lobby *lobby);
/* That, or a rank of the node whose process has ended: RONDE_ERR_PEER, naming it. Costs a system
 * call a rank, so it looks no more often than every LOBBY_LOOK_NS since *looked_ns. */
int32_t ronde__lobby_trouble(const struct lobby *lobby, int64_t *looked_ns);
/* By one rank of the node, one thread at a time. */
void ronde__lobby_set_clock(struct lobby *lobby, int64_t offset_ns, int64_t error_ns,
                            int64_t measured_ns);
/* Any thread. Returns the turn of what was read; 0: nothing was. */
uint32_t ronde__lobby_read_clock(const struct lobby *lobby, int64_t *offset_ns, int64_t *error_ns,
                                 int64_t *measured_ns);
/* 1 where that local rank's process lives. */
int ronde__lobby_is_alive(const struct lobby *lobby, int local_rank);

#endif
