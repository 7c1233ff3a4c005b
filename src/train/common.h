/* What the files of this room share: errors with values, option structs of any age, and the ranks
 * among which something is done. */
#ifndef RONDE_TRAIN_COMMON_H
#define RONDE_TRAIN_COMMON_H

#include "ronde_train.h"

/* Records the message as the thread's last error, and returns status. */
int32_t ronde__train_fail(int32_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Structs that begin with their size: writes defaults to a struct of `size` bytes; reads a caller's
 * struct (NULL: none) over `read`, which holds the defaults. `name` is its type's. */
void ronde__train_write_defaults(void *options, size_t size, const void *defaults, size_t known);
int32_t ronde__train_read_options(void *read, size_t known, const void *options, const char *name);

/* A checksum goes on from `hash`, at first TRAIN_HASH_START. */
#define TRAIN_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t ronde__hash(uint64_t hash, const void *data, size_t bytes);

/* Room for the longest name of an operation with its terminating zero. */
enum { TRAIN_NAME_BYTES = 512, TRAIN_NAME_LENGTH = 200 };

/* The members of a process set. Without a context: one rank, number 0. */
struct team {
    ronde_context *context;  /* NULL where there is nobody to talk to: one rank */
    int32_t set, rank, size; /* rank: among the members */
    int32_t *ranks;          /* their global ranks */
};

int32_t ronde__team_open(ronde_context *context, int32_t set, struct team *team);
void ronde__team_close(struct team *team);
/* The members' place of a global rank; -1: none. */
int32_t ronde__team_place(const struct team *team, int32_t rank);
/* Defaults, but for the set. */
ronde_call ronde__team_call(const struct team *team);

/* Collective. Equal records of all ranks, by rank of the team; those that have joined leave
 * `present` (one entry per rank) 0, and the records of the others follow one another. */
int32_t ronde__team_gather(const struct team *team, const char *name, const void *record,
                           size_t bytes, void *all, size_t *present);

#endif
