/* Binomial broadcast. */
#include "collectives/schedule_algorithms.h"

/* ceil(lg p) */
static int rounds_of(int p)
{
    int log;
    return ronde__power_below(p, &log) < p ? log + 1 : log;
}

int32_t ronde__binomial_blocks(int p)
{
    (void)p;
    return 1;
}

int32_t ronde__binomial_most_steps(int p)
{
    return rounds_of(p);
}

/* Binomial tree: in each round all who have the block send it on, farthest first, so that large
 * subtrees start early. Peers are counted from the root: v = me - root. p = 6:
 *
 *   round   v = 0   1      2      3      4      5
 *     0     >4                           gets
 *     1     >2             gets          (6 is none)
 *     2     >1      gets   >3     gets   >5     gets
 *
 * In the round of distance d the multiples of 2d send to v + d, where there is one.
 *
 * Cost, n bytes: ceil(lg p) rounds, and up to ceil(lg p) n bytes sent (by the root). The least
 * rounds; for large data and many peers a scatter and an allgather send less per peer. Any p, any
 * root. Source: Chan, Heimlich, Purkayastha and van de Geijn, Collective communication: theory,
 * practice, and experience, Concurrency and Computation 19 (2007), "minimum-spanning tree". */
int32_t ronde__binomial_write(struct step *steps, int p, int me, int root)
{
    int v = me >= root ? me - root : me - root + p;
    int rounds = rounds_of(p);
    int32_t n = 0;
    for (int round = 0; round < rounds; round++) {
        int distance = 1 << (rounds - 1 - round);
        if (v % (2 * distance) == 0 && v + distance < p)
            steps[n++] = ronde__step(STEP_SEND, (me + distance) % p, 0, round);
        if (v % (2 * distance) == distance)
            steps[n++] = ronde__step(STEP_RECV, (me - distance + p) % p, 0, round);
    }
    return n;
}
