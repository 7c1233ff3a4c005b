/* Allreduce by sending straight to each peer, without passing anything on. What comes is combined in
 * one pass, in the order of peers, so that halves are rounded once for all of them.
 *
 * Spread: a reduce-scatter and an allgather of one round each; p blocks, block b is peer b's. Peer
 * me of p = 4, columns are what it sends:
 *
 *   round   to me+1        to me+2        to me+3        receives
 *   0       block me+1     block me+2     block me+3     block me from all, and combines
 *   1       block me       block me       block me       each other's block from its peer
 *
 * 2 rounds, 2(p-1) messages and 2(p-1)/p n bytes per peer: the least bytes, and the least rounds
 * for them. Peers begin with different partners, so that nobody is sent everything at once.
 * Limits: the messages, 2(p-1) times what one costs to send; a network in which all pairs talk at
 * once without harm.
 *
 * Flood: everybody sends all of it to everybody; 1 block, 1 round, p-1 messages and (p-1) n bytes
 * per peer. For few peers and few bytes.
 *
 * Sources: Rabenseifner's reduce-scatter and allgather (ICCS 2004) with all-to-all exchanges in
 * the place of his halvings; Kielmann et al., MagPIe (PPoPP 1999), for what is one message each. */
#include "collectives/schedule_algorithms.h"

int32_t ronde__spread_blocks(int p)
{
    return p;
}

int32_t ronde__spread_most_steps(int p)
{
    return 4 * (p - 1);
}

static int32_t write_receives(struct step *steps, enum step_kind kind, int p, int me, int block,
                              int round)
{
    int32_t n = 0;
    for (int peer = 0; peer < p; peer++)
        if (peer != me)
            steps[n++] = ronde__step(kind, peer, block < 0 ? peer : block, round);
    return n;
}

/* block -1: the partner's. */
static int32_t write_sends(struct step *steps, int p, int me, int block, int round)
{
    int32_t n = 0;
    for (int ahead = 1; ahead < p; ahead++) {
        int peer = (me + ahead) % p;
        steps[n++] = ronde__step(STEP_SEND, peer, block < 0 ? peer : block, round);
    }
    return n;
}

int32_t ronde__spread_write(struct step *steps, int p, int me, int root)
{
    (void)root;
    int32_t n = write_sends(steps, p, me, -1, 0);
    n += write_receives(steps + n, STEP_RECV_COMBINE, p, me, me, 0);
    n += write_sends(steps + n, p, me, me, 1);
    n += write_receives(steps + n, STEP_RECV, p, me, -1, 1);
    return n;
}

int32_t ronde__flood_blocks(int p)
{
    (void)p;
    return 1;
}

int32_t ronde__flood_most_steps(int p)
{
    return 2 * (p - 1);
}

int32_t ronde__flood_write(struct step *steps, int p, int me, int root)
{
    (void)root;
    int32_t n = write_sends(steps, p, me, 0, 0);
    return n + write_receives(steps + n, STEP_RECV_COMBINE, p, me, 0, 0);
}
