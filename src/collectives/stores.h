/* Whether to store through the caches or past them, learnt by measuring.
 *
 * What another rank will read is best stored through a cache that both share. Where they share
 * none, each line must first be taken back from whoever read it last, and those round trips bound
 * the speed to a fraction of the memory's; stores past the caches wait for nobody. Likewise for
 * results that are larger than a cache: before a line is stored through it, it is read. Which way
 * is faster depends on the machine, on what is in its caches, and on virtual machines on the
 * minute, since their CPUs are moved about. So now and then a store is timed the one way, and the
 * next one the other. The bits do not depend on it. */
#ifndef RONDE_COLLECTIVES_STORES_H
#define RONDE_COLLECTIVES_STORES_H

#include <stddef.h>
#include <stdint.h>

enum {
    STORES_SAMPLES = 3,       /* of each way; their median counts, so a preemption does not */
    STORES_PERIOD = 32,       /* stores from one trial to the next */
    STORES_LEAST_BYTES = 4096 /* smaller ones go through the caches, and are not timed */
};

/* Of one kind of stores. Zeroed: nothing is known, and a few trials of either way come first. */
struct stores {
    int past;            /* what is faster */
    uint32_t count;      /* stores so far */
    uint32_t samples[2]; /* timed ones: through, past */
    double ns_per_byte[2][STORES_SAMPLES];
    int64_t began_ns; /* of the running one; 0: it is not timed */
};

/* How to store so many bytes: 1 past the caches. Then, when they are stored, ronde__stores_end. */
int ronde__stores_begin(struct stores *stores, size_t bytes);
/* gain: how many times as fast the way past the caches must be to be worth it: whoever reads the
 * data next has what is lost. */
void ronde__stores_end(struct stores *stores, int past, size_t bytes, double gain);

#endif
