/* Who has submitted what: the table that a node's leader keeps for its subtree. Plain data, no
 * communication; used by the coordinator's driver only, one thread at a time.
 *
 * A contributor is a local rank or a child leader. A tensor is complete when every contributor has
 * announced it, or has joined with all its ranks; a pair (send and receive) when both ends have, which
 * the root alone tallies. A tensor stays on the table until its decision comes by, and then either
 * keeps a number (so that next time the number is announced) or is forgotten.
 *
 * Failing groups. When a tensor fails, so does everything in its group, on each rank for itself. So
 * each contributor's announcements of that group, those still on their way included, are void. */
#ifndef RONDE_COORDINATOR_NEGOTIATION_H
#define RONDE_COORDINATOR_NEGOTIATION_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/message.h"

struct words {
    uint64_t *word;
    size_t count, room;
};

struct entry {
    char *name;
    uint32_t name_bytes;
    uint8_t kind;
    uint32_t id;             /* NO_ID: none */
    uint32_t batch;          /* that it belongs to, or NO_ID */
    struct signature agreed; /* of the last run, where id is one */
    int needs_all;           /* ranks that have joined too: they meet to close */
    uint64_t void_before;    /* announcements made before so many decisions were failed by one */
    unsigned failed;         /* 1 + its place among the failed entries; 0: none */

    /* the tally: what has been announced since the last decision */
    int announced; /* contributors; of a pair, ends */
    int complete;
    int cacheable;
    int cached_only; /* all by number */
    int doomed;      /* root: its failure is being decided */
    int32_t rank;    /* the lowest that announced, and its signature */
    struct signature signature;
    char *conflict;      /* NULL: none so far */
    uint64_t seen;       /* the least of the announcements' */
    int64_t since_ns;    /* when the first was made, as far as is known */
    int64_t deadline_ns; /* when it fails; 0: never of its own */
    int reported;      /* root: 1 once the stall was; else how many ranks the parent was told of */
    int32_t ends[2];   /* of a pair: the sender's and receiver's rank, or -1 */
    struct words rows; /* (rank, word) pairs */
    struct words absent;        /* ranks that have joined */
    unsigned char *by;          /* [contributors] 1: announced */
    uint64_t *groups;           /* [contributors] the group in which; NULL: none in any */
    unsigned char *ranks_known; /* [size] 1: known to have announced; filled by PARTIAL records */

    struct entry *next_of_hash;
    struct entry *earlier, *later; /* in the list of entries with a tally */
};

struct negotiation;

/* Who belongs to whom, fixed at opening; the arrays stay the caller's. */
struct family {
    int contributors, size;
    const int *contributor_of; /* [size] by rank of the set; -1: not below here */
    const int *global;         /* [size] global rank, for texts */
    int is_root;
};

int32_t ronde__negotiation_open(struct negotiation **negotiation, const struct family *family,
                                size_t cache_capacity);
void ronde__negotiation_close(struct negotiation *negotiation);

/* The entry that an announcement speaks of, made where there is none. */
int32_t ronde__negotiation_open_entry(struct negotiation *negotiation, const struct record *record,
                                      struct entry **entry);
/* Adds an announcement (ANNOUNCE, CACHED or PARTIAL) of an entry. *complete is the entry where this
 * completed it, else NULL. An announcement that a decision has already failed is dropped. */
int32_t ronde__negotiation_add(struct negotiation *negotiation, int contributor,
                               struct entry *entry, const struct record *record, int64_t now_ns,
                               struct entry **complete);
/* A rank has joined. Afterwards look at every entry on the list with ronde__negotiation_completes:
 * 1 where it is complete, and was not before. */
void ronde__negotiation_join(struct negotiation *negotiation, int rank);
int ronde__negotiation_has_joined(const struct negotiation *negotiation, int rank);
int ronde__negotiation_joined(const struct negotiation *negotiation); /* how many */
int32_t ronde__negotiation_completes(struct negotiation *negotiation, struct entry *entry,
                                     int *completes);
/* All have. */
void ronde__negotiation_unjoin(struct negotiation *negotiation);

/* What the subtree announces upwards for a complete entry. */
struct record ronde__negotiation_up(const struct entry *entry, int64_t now_ns);

/* The number that the entry has, or gets now; NO_ID where numbers are used up or it may have none. */
uint32_t ronde__negotiation_number(struct negotiation *negotiation, const struct entry *entry);
struct entry *ronde__negotiation_by_number(struct negotiation *negotiation, uint32_t id);

/* A decision came by, made here or above. RUN: the tally ends, the number holds. ERROR: it ends. */
int32_t ronde__negotiation_follow(struct negotiation *negotiation, const struct record *decision,
                                  uint64_t decisions);
/* Root: after a failure was followed, the next tensor that was announced in a group with it, and fails
 * with it for those who had announced it otherwise; NULL: none. */
struct entry *ronde__negotiation_next_mate(struct negotiation *negotiation);
/* The same for a member of a batch that runs. */
void ronde__negotiation_ran(struct negotiation *negotiation, struct entry *entry);

/* NULL where there is none. */
struct entry *ronde__negotiation_find(struct negotiation *negotiation, int kind, const char *name,
                                      size_t name_bytes);
/* The entry that has waited longest, then by `later`; complete ones included. */
struct entry *ronde__negotiation_oldest(struct negotiation *negotiation);
/* Of a pair one of whose ends has announced: the other end's rank. */
int ronde__negotiation_missing_end(const struct entry *entry);
/* Has that rank announced the entry, as far as is known here? */
int ronde__negotiation_has_announced(const struct negotiation *negotiation,
                                     const struct entry *entry, int rank);

#endif
