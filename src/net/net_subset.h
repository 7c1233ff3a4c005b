/* Some ranks of a net as a net of their own: the same messages, other numbers. */
#ifndef RONDE_NET_NET_SUBSET_H
#define RONDE_NET_NET_SUBSET_H

#include "net/net.h"

/* Local. ranks[0..n): ranks of `whole`, ascending, this rank among them. Messages go through `whole`,
 * which must outlive it; tags and control messages are shared with it, so users keep them apart, and
 * only `whole` is polled. There is no allgather. RONDE_ERR_MEMORY. */
int32_t ronde__net_open_subset(struct net *whole, const int *ranks, int n, struct net **net);

#endif
