/* Who has submitted what: the table that a node's leader keeps for its subtree. Plain data, no
 * communication; used by the coordinator's driver only, one thread at a time.
 *
 * A contributor is a local rank or a child leader. A tensor is complete when every contributor has
 * announced it; it stays on the table until its decision comes by, and then either keeps a number
 * (so that next time the number is announced) or is forgotten. */
#ifndef RONDE_COORDINATOR_NEGOTIATION_H
#define RONDE_COORDINATOR_NEGOTIATION_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/message.h"

struct entry {
    char *name;
    uint32_t name_bytes;
    uint8_t kind;
    uint32_t id;             /* RECORD_NO_ID: none */
    struct signature agreed; /* of the last run, where id is one */
    uint64_t void_before;    /* announcements made before so many decisions were failed by one */

    /* the tally: what has been announced since the last decision */
    int announced; /* contributors */
    int complete;
    int cacheable;
    int cached_only; /* all by number */
    int32_t rank;    /* the lowest that announced, and its signature */
    struct signature signature;
    char *conflict; /* NULL: none so far */
    uint64_t seen;  /* the least of the announcements' */
    int64_t since_ns;
    int reported;   /* root: 1 once the stall was; else how many ranks the parent was told of */
    uint64_t *rows; /* allgather: (rank, rows) pairs */
    size_t row_words, row_room;
    unsigned char *by;          /* [contributors] 1: announced */
    unsigned char *ranks_known; /* [size] 1: known to have announced; filled by PARTIAL records */

    struct entry *next_of_hash;
    struct entry *earlier, *later; /* in the list of entries with a tally */
};

struct negotiation;

int32_t ronde__negotiation_open(struct negotiation **negotiation, int contributors, int size,
                                size_t cache_capacity);
void ronde__negotiation_close(struct negotiation *negotiation);

/* Adds an announcement (ANNOUNCE, CACHED or PARTIAL). *complete is the entry where this completed
 * it, else NULL. An announcement that a decision has already failed is dropped. */
int32_t ronde__negotiation_add(struct negotiation *negotiation, int contributor,
                               const struct record *record, int64_t now_ns,
                               struct entry **complete);

/* What the subtree announces upwards for a complete entry. */
struct record ronde__negotiation_up(const struct entry *entry);

/* The number that the entry has, or gets now; RECORD_NO_ID where numbers are used up or it may
 * have none. */
uint32_t ronde__negotiation_number(struct negotiation *negotiation, const struct entry *entry);

/* A decision came by, made here or above. RUN: the tally ends, the number holds. ERROR: it ends. */
void ronde__negotiation_follow(struct negotiation *negotiation, const struct record *decision,
                               uint64_t decisions);

/* NULL where there is none. */
struct entry *ronde__negotiation_find(struct negotiation *negotiation, int kind, const char *name,
                                      size_t name_bytes);
/* The entry that has waited longest, then by `later`; complete ones included. */
struct entry *ronde__negotiation_oldest(struct negotiation *negotiation);

#endif
