/* Ring allreduce and ring allgather: each peer sends to the next, receives from the one before. */
#include "collectives/schedule_algorithms.h"

static int around(int block, int p)
{
    return (block % p + p) % p;
}

/* One turn of the ring, p - 1 rounds: in round r peer `me` sends block start - r to me + 1 and
 * receives block start - r - 1, which it sends in the round after, from me - 1. */
static int32_t write_turn(struct step *steps, int p, int me, int start, int first_round,
                          enum step_kind receive)
{
    int32_t n = 0;
    int before = around(me - 1, p), next = around(me + 1, p);
    for (int r = 0; r < p - 1; r++) {
        steps[n++] = ronde__step(receive, before, around(start - r - 1, p), first_round + r);
        steps[n++] = ronde__step(STEP_SEND, next, around(start - r, p), first_round + r);
    }
    return n;
}

int32_t ronde__ring_blocks(int p)
{
    return p;
}

int32_t ronde__ring_most_steps(int p)
{
    return 4 * (p - 1);
}

/* Ring allreduce: a reduce-scatter turn, then an allgather turn. p = 3, "2>1" is block 2 sent to
 * peer 1, and behind it stands the block received in that round, with what it then holds:
 *
 *   round   peer 0                peer 1                peer 2
 *     0     2>1  1: c+a           0>2  2: a+b           1>0  0: b+c
 *     1     1>1  0: (b+c)+a       2>2  1: (c+a)+b       0>0  2: (a+b)+c
 *     2     0>1  2 done           1>2  0 done           2>0  1 done
 *     3     2>1  1 done           0>2  2 done           1>0  0 done
 *
 * Block b gathers its sum on the way from peer b + 1 round to peer b, left to right, and is copied
 * from there: so all peers hold the result of one and the same expression, in an order that depends
 * on b and p alone.
 *
 * Cost, blocks of n/p bytes: 2(p - 1) rounds, 2(p - 1)/p n bytes sent by each peer, (p - 1)/p n
 * reduced. The volume is the least possible, the rounds are not: for large data. Any p.
 * Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations,
 * JPDC 69 (2009). */
int32_t ronde__ring_write(struct step *steps, int p, int me, int root)
{
    (void)root;
    int32_t n = write_turn(steps, p, me, me - 1, 0, STEP_RECV_REDUCE);
    return n + write_turn(steps + n, p, me, me, p - 1, STEP_RECV);
}

int32_t ronde__ring_gather_most_steps(int p)
{
    return 2 * (p - 1);
}

/* Ring allgather: block b starts at peer b and goes once round. p = 3:
 *
 *   round   peer 0        peer 1        peer 2
 *     0     0>1  gets 2   1>2  gets 0   2>0  gets 1
 *     1     2>1  gets 1   0>2  gets 2   1>0  gets 0
 *
 * Cost, blocks of n/p bytes: p - 1 rounds, (p - 1)/p n bytes sent by each peer, the least possible.
 * Blocks may differ in length; the longest then sets the pace of every round. Any p.
 * Source: Chan, Heimlich, Purkayastha and van de Geijn, Collective communication: theory, practice,
 * and experience, Concurrency and Computation 19 (2007), "bucket" algorithms. */
int32_t ronde__ring_gather_write(struct step *steps, int p, int me, int root)
{
    (void)root;
    return write_turn(steps, p, me, me, 0, STEP_RECV);
}
