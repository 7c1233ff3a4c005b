/* Random numbers that are a function of (seed, what for, which one, position), so that every rank
 * computes the same ones without asking. Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3" (SC'11). */
#ifndef DIGITS_PHILOX_H
#define DIGITS_PHILOX_H

#include <stddef.h>
#include <stdint.h>

/* What a stream of numbers is for: keeps streams of one seed apart. */
enum philox_purpose { PHILOX_PARAMETERS = 1, PHILOX_ORDER = 2, PHILOX_CHECK = 3 };

struct philox {
    uint32_t key[2];     /* the seed, low word first */
    uint32_t counter[4]; /* block low, block high, which one, purpose */
    uint32_t word[4];    /* the block at hand */
    int left;            /* words of it not yet handed out */
};

/* The function itself: ten rounds. */
void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The stream number `which` for a purpose. */
void philox_start(struct philox *stream, uint64_t seed, uint32_t purpose, uint32_t which);
uint32_t philox_next(struct philox *stream);
/* Uniform in [0, 1), a multiple of 2^-53. */
double philox_uniform(struct philox *stream);
/* Uniform in 0 .. bound-1, without bias. bound > 0. */
uint32_t philox_below(struct philox *stream, uint32_t bound);

/* Writes a permutation of 0 .. count-1: the order of the samples in one epoch. */
void philox_permutation(uint64_t seed, uint32_t epoch, uint32_t *order, size_t count);

#endif
