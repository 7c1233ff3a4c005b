/* Allreduce on a circulant graph: the least volume in few rounds, for any number of peers. */
#include "collectives/schedule_algorithms.h"

int32_t ronde__circulant_blocks(int p)
{
    return p;
}

/* ceil(lg p) */
static int halvings(int p)
{
    int log;
    return ronde__power_below(p, &log) < p ? log + 1 : log;
}

int32_t ronde__circulant_most_steps(int p)
{
    return 8 * halvings(p);
}

/* p halved `times` times, rounded up. */
static int half(int p, int times)
{
    return (p + (1 << times) - 1) >> times;
}

/* `count` blocks from block first modulo p on: two steps where they go round the end. */
static int32_t write_range(struct step *steps, enum step_kind kind, int peer, int first, int count,
                           int p, int round)
{
    first %= p;
    int before_end = p - first < count ? p - first : count;
    steps[0] = ronde__step(kind, peer, first, round);
    steps[0].count = before_end;
    if (before_end == count)
        return 1;
    steps[1] = ronde__step(kind, peer, 0, round);
    steps[1].count = count - before_end;
    return 2;
}

/* Peer `me` is to have the sum of block `me` first, and copies it to all then. Let s' = p and
 * s = ceil(s' / 2): before a round peer r holds parts of the sums of blocks r .. r + s' - 1, modulo
 * p. It sends those of r + s .. r + s' - 1 to peer r + s, and receives from peer r - s those of
 * r .. r + s' - s - 1, so s blocks are left; and so on until s = 1. Then the same backwards, with
 * the sums. p = 5, skips 3, 2, 1 (letters: blocks; each peer does what peer 0 does, shifted):
 *
 *   round   peer 0 sends   to    receives   from   then has
 *     0         d e         3       a b       2     parts of a b c
 *     1         c           2       a         3     parts of a b
 *     2         b           1       a         4     a
 *     3         a           4       b         1     a b
 *     4         a           3       c         2     a b c
 *     5         a b         2       d e       3     all
 *
 * Each block's sum is formed at one peer and copied from there, so all peers hold the result of the
 * same expression, which depends on the block and p alone.
 *
 * Cost, n bytes: 2 ceil(lg p) rounds, 2(p - 1)/p n bytes sent by each peer, half as many reduced.
 * The volume of the ring in far fewer rounds; but peers are far apart, and the blocks of a round
 * wait for those of the round before, so it does not fill the wire as well. For middle sizes.
 * Any p.
 * Source: Traeff, Optimal, non-pipelined reduce-scatter and allreduce algorithms,
 * arXiv:2410.14234. */
int32_t ronde__circulant_write(struct step *steps, int p, int me, int root)
{
    (void)root;
    int rounds = halvings(p);
    int32_t n = 0;
    for (int round = 0; round < rounds; round++) {
        int s = half(p, round + 1), moved = half(p, round) - s;
        n += write_range(steps + n, STEP_RECV_REDUCE, (me - s + p) % p, me, moved, p, round);
        n += write_range(steps + n, STEP_SEND, (me + s) % p, me + s, moved, p, round);
    }
    for (int round = rounds; round < 2 * rounds; round++) {
        int s = half(p, 2 * rounds - round), moved = half(p, 2 * rounds - round - 1) - s;
        n += write_range(steps + n, STEP_RECV, (me + s) % p, me + s, moved, p, round);
        n += write_range(steps + n, STEP_SEND, (me - s + p) % p, me, moved, p, round);
    }
    return n;
}
