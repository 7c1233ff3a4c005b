/* A test over a context: the program defines rank_test, ranks.c calls it on every rank. Ranks are
 * MPI processes, or threads of one process (--threads), so a rank_test keeps nothing in globals. */
#ifndef RONDE_TEST_RANKS_H
#define RONDE_TEST_RANKS_H

#include <stdint.h>

#include "ronde.h"

/* Returns 0 passed, 1 failed, 77 skipped. The context is opened and closed by the caller. argv
 * holds what the command line says after the options of ranks.c (argv[0] is the program). A rank
 * that finds a failure goes on where it can, or the others wait for it until the time is up. */
int rank_test(ronde_context *context, int argc, char **argv);

/* 1 where ranks are threads of this process. */
int ranks_are_threads(void);

/* 0 .. 96: tells ranks and indices apart, repeats with a prime period, and is so small that sums
 * over up to 8 ranks are exact in every dtype of 16 bits and more. */
static inline int32_t ranks_value(int rank, size_t index)
{
    return (int32_t)((index % 97 * 7 + (size_t)rank * 13) % 97);
}

/* The sum of ranks_value over ranks 0 .. size-1. */
static inline int32_t ranks_sum(int size, size_t index)
{
    int32_t sum = 0;
    for (int rank = 0; rank < size; rank++)
        sum += ranks_value(rank, index);
    return sum;
}

/* The next number of a generator (xorshift64*; Vigna, arXiv:1402.6246). Start *state at a seed
 * that is not 0; equal seeds give equal numbers on all ranks. */
static inline uint32_t ranks_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * UINT64_C(2685821657736338717) >> 32);
}

#endif
