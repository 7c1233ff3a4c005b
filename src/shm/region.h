/* Memory that the ranks of a node share: one zeroed region per node and call, made by the node's
 * first rank, unlinked as soon as all have mapped it, so that a crash leaves nothing behind. */
#ifndef RONDE_SHM_REGION_H
#define RONDE_SHM_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct region {
    char *base;
    size_t bytes;
    int file; /* -1 where the ranks are threads */
};

enum region_kind {
    REGION_COMMITTED, /* all pages exist: no SIGBUS, RONDE_ERR_MEMORY where shared memory is full */
    REGION_SPARSE     /* address space only; pages come from ronde__region_commit */
};

/* Collective over the net, blocking. `bytes` of the node's first rank count. All ranks of the net
 * succeed, or all fail with the same status and text. */
int32_t ronde__region_open(struct region *region, struct net *net, size_t bytes,
                           enum region_kind kind);
/* Local. Gives [from, from + bytes) of a sparse region its pages. */
int32_t ronde__region_commit(struct region *region, size_t from, size_t bytes);
/* Local, but where the ranks are threads the last use by any rank must be over. */
void ronde__region_close(struct region *region, const struct net *net);

/* Local. Marks this rank as alive for as long as its process lives: a file lock on a byte of its
 * own, which the system gives back whatever way the process ends, and in whatever container.
 * Nothing where the ranks are threads. */
int32_t ronde__region_hold(struct region *region, int local_rank);
/* 1 where that rank marked itself, and lives. */
int ronde__region_is_held(const struct region *region, int local_rank);

/* Bytes that shared memory could hold in all. */
size_t ronde__region_capacity(void);

#endif
