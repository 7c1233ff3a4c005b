/* The functions behind ronde__algorithms, for schedule.c alone. */
#ifndef RONDE_COLLECTIVES_SCHEDULE_ALGORITHMS_H
#define RONDE_COLLECTIVES_SCHEDULE_ALGORITHMS_H

#include "collectives/schedule.h"

int32_t ronde__ring_blocks(int p);
int32_t ronde__ring_most_steps(int p);
int32_t ronde__ring_write(struct step *steps, int p, int me, int root);

int32_t ronde__doubling_blocks(int p);
int32_t ronde__doubling_most_steps(int p);
int32_t ronde__doubling_write(struct step *steps, int p, int me, int root);

int32_t ronde__circulant_blocks(int p);
int32_t ronde__circulant_most_steps(int p);
int32_t ronde__circulant_write(struct step *steps, int p, int me, int root);

int32_t ronde__spread_blocks(int p);
int32_t ronde__spread_most_steps(int p);
int32_t ronde__spread_write(struct step *steps, int p, int me, int root);

int32_t ronde__flood_blocks(int p);
int32_t ronde__flood_most_steps(int p);
int32_t ronde__flood_write(struct step *steps, int p, int me, int root);

int32_t ronde__binomial_blocks(int p);
int32_t ronde__binomial_most_steps(int p);
int32_t ronde__binomial_write(struct step *steps, int p, int me, int root);

int32_t ronde__ring_gather_most_steps(int p);
int32_t ronde__ring_gather_write(struct step *steps, int p, int me, int root);

static inline struct step ronde__step(enum step_kind kind, int peer, int first, int round)
{
    return (struct step){.kind = kind, .peer = peer, .first = first, .count = 1, .round = round};
}

/* The largest power of two that is at most p >= 1, and its logarithm. */
static inline int ronde__power_below(int p, int *logarithm)
{
    int log = 0;
    while (p >> 1 >> log)
        log++;
    *logarithm = log;
    return 1 << log;
}

#endif
