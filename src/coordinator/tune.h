/* What the root may tune while the job runs: the fusion threshold and the algorithms between nodes.
 *
 * Every decision carries what the root chose, so no other rank needs to know. With autotune=on the
 * first rank tries one candidate after the other on the job's own traffic:
 *
 *   renew     bins are planned with the candidate, until the first tensor comes again: all that
 *             comes in a step has been planned anew, and batches of old bins are taken apart
 *   measure   bytes decided per second, over whole steps (from a tensor until it comes again), so
 *             that what lies between - computing, waiting - is there for each candidate alike
 *
 * All candidates are measured in turn, `rounds` times; the median of a candidate is its rate. What
 * beats the value in use by 5 % replaces it. First comes the threshold; then, over several nodes,
 * the algorithm of each class of sizes that has traffic. At the end the tuning file is written, and
 * nothing is measured any more.
 *
 * Used by the coordinator's driver only, one thread at a time; plain data and no communication. */
#ifndef RONDE_COORDINATOR_TUNE_H
#define RONDE_COORDINATOR_TUNE_H

#include <stddef.h>

#include "base/log.h"
#include "base/settings.h"
#include "collectives/select.h"
#include "net/net.h"

enum { TUNER_CANDIDATES = 8, TUNER_ROUNDS = 5, TUNER_CLASSES = 3 };

/* How much a measurement takes; a test takes less. */
struct tuner_pace {
    int64_t window_ns; /* at least so long, ... */
    size_t bytes;      /* ... so much ... */
    size_t tensors;    /* ... and so many */
    size_t cycle;      /* tensors after which a step counts as over though none came again */
    int64_t pause_ns;  /* between two decisions: the job did something else; measured again */
    int rounds;        /* odd, at most TUNER_ROUNDS */
};

enum tuner_phase { TUNER_OFF, TUNER_RENEW, TUNER_MEASURE, TUNER_LAST_RENEW };

/* One candidate; of a class of sizes without an algorithm: as the rows in use have it. */
struct tuner_choice {
    size_t threshold;
    int algorithm; /* enum algorithm, or -1 */
    double rates[TUNER_ROUNDS];
};

struct tuner {
    size_t threshold; /* what decisions are made with */
    struct select_table select;

    enum tuner_phase phase;
    struct tuner_pace pace;
    const struct settings *settings;
    const struct log *log;
    int nodes;
    size_t threshold_in_use; /* the best known */
    struct select_table select_in_use;
    int stage; /* 0: threshold; 1 to TUNER_CLASSES: algorithm of a class; then over */
    int candidates, candidate, round;
    struct tuner_choice choice[TUNER_CANDIDATES]; /* the first is what is in use */
    size_t class_bytes[TUNER_CLASSES];            /* seen so far */

    int64_t now_ns;
    uint64_t mark; /* the tensor that the window began with; TUNER_NO_MARK: none yet */
    size_t since_mark;
    int64_t start_ns, last_ns; /* of the window */
    size_t bytes, tensors;
    int pauses;
    int due; /* the window is over */
};

/* Keeps both pointers. */
int32_t ronde__tuner_open(struct tuner *tuner, const struct settings *settings,
                          const struct net *net, const struct log *log);
/* Before decisions are made: changes what they are made with, where it is time. */
void ronde__tuner_step(struct tuner *tuner, int64_t now_ns);
/* A tensor of that set and number (NO_ID: none) is decided, at the time of the last step. */
void ronde__tuner_note(struct tuner *tuner, uint32_t set, uint32_t id, size_t bytes);

static inline int ronde__tuner_listens(const struct tuner *tuner)
{
    return tuner->phase != TUNER_OFF;
}

/* 1 where bins that were planned before are to be planned anew. */
static inline int ronde__tuner_renews(const struct tuner *tuner)
{
    return tuner->phase == TUNER_RENEW || tuner->phase == TUNER_LAST_RENEW;
}

static inline size_t ronde__tuner_threshold(const struct tuner *tuner)
{
    return tuner->threshold;
}

static inline const struct select_table *ronde__tuner_select(const struct tuner *tuner)
{
    return &tuner->select;
}

#endif
