/* Recursive doubling allreduce, for any number of peers. */
#include "collectives/schedule_algorithms.h"

int32_t ronde__doubling_blocks(int p)
{
    (void)p;
    return 1;
}

int32_t ronde__doubling_most_steps(int p)
{
    int log;
    ronde__power_below(p, &log);
    return 2 * log + 2;
}

/* The members of the exchange are numbered 0 .. q - 1; of each of the first `pairs` pairs of peers
 * the even one is a member. */
static int peer_of_member(int member, int pairs)
{
    return member < pairs ? 2 * member : member + pairs;
}

static int32_t write_exchange(struct step *steps, int q, int pairs, int me, int first_round)
{
    int member = me < 2 * pairs ? me / 2 : me - pairs;
    int round = first_round;
    int32_t n = 0;
    for (int distance = 1; distance < q; distance *= 2, round++) {
        int peer = peer_of_member(member ^ distance, pairs);
        /* The lower one's data go first on both sides, so that both compute the same expression. */
        enum step_kind receive = member & distance ? STEP_RECV_REDUCE : STEP_RECV_REDUCE_INTO;
        steps[n++] = ronde__step(receive, peer, 0, round);
        steps[n++] = ronde__step(STEP_SEND, peer, 0, round);
    }
    return n;
}

/* Recursive doubling: in each round members that differ in one bit of their number exchange all
 * they have. With q the largest power of two in p, the first p - q pairs of neighbours are folded:
 * the odd one gives its data to the even one, and gets the result at the end. p = 6, q = 4:
 *
 *   round   peer 0      1        2           3        4           5
 *     0     a+b   <---           c+d   <---
 *     1     (a+b)+(c+d) <------> same                 e+f <-----> same
 *     2     ((a+b)+(c+d))+(e+f) on peers 0, 2, 4, 5: 0 <-> 4, 2 <-> 5
 *     3     --------> result     --------> result
 *
 * Operands stay in the order of the peers, and both sides of an exchange put the lower one's first:
 * all members hold the same expression in every round, so the bits are equal whatever the operator
 * does with the order of its operands.
 *
 * Cost, n bytes: lg p rounds and lg p n bytes sent and reduced by each peer where p is a power of
 * two; else floor(lg p) + 2 rounds and up to floor(lg p) + 1 times n sent. The least rounds (for
 * powers of two), far from the least volume: for small data. Any p.
 * Source: Thakur, Rabenseifner and Gropp, Optimization of collective communication operations in
 * MPICH, IJHPCA 19 (2005), section 4. */
int32_t ronde__doubling_write(struct step *steps, int p, int me, int root)
{
    (void)root;
    int log;
    int q = ronde__power_below(p, &log);
    int pairs = p - q;
    int folded = me < 2 * pairs;
    int32_t n = 0;
    if (folded && me % 2) {
        steps[n++] = ronde__step(STEP_SEND, me - 1, 0, 0);
        steps[n++] = ronde__step(STEP_RECV, me - 1, 0, log + 1);
        return n;
    }
    if (folded)
        steps[n++] = ronde__step(STEP_RECV_REDUCE_INTO, me + 1, 0, 0);
    n += write_exchange(steps + n, q, pairs, me, pairs > 0);
    if (folded)
        steps[n++] = ronde__step(STEP_SEND, me + 1, 0, log + 1);
    return n;
}
