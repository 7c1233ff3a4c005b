/* The records of the control path, and their bytes. They travel upwards (announcements: what ranks
 * have submitted) and downwards (decisions: what all ranks do, in one order), through rings
 * inside a node and in messages between nodes. Host byte order: one job has one kind of machine. */
#ifndef RONDE_COORDINATOR_MESSAGE_H
#define RONDE_COORDINATOR_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/request.h"

enum record_type {
    RECORD_ANNOUNCE = 1, /* up: this subtree has submitted this tensor, described in full */
    RECORD_CACHED = 2,   /* up: the same, by number: signature as last time */
    RECORD_PARTIAL = 3,  /* up: only these ranks of the subtree have, for some time now */
    RECORD_RUN = 4,      /* down: run this tensor; bins are runs up to one that is the last */
    RECORD_ERROR = 5,    /* down: this tensor fails everywhere with this text */
    RECORD_FATAL = 6     /* to every leader: this context is lost, with this text */
};

#define RECORD_NO_ID UINT32_MAX

/* One record, decoded. Pointers point into the message or to the sender's memory. */
struct record {
    uint8_t type;               /* enum record_type */
    uint8_t kind;               /* enum kind, of what is named */
    uint8_t cacheable;          /* ANNOUNCE: may get a number */
    uint8_t last;               /* RUN: ends its bin */
    uint32_t id;                /* CACHED, RUN: the number, or RECORD_NO_ID */
    int32_t rank;               /* ANNOUNCE, CACHED: the lowest rank of the subtree */
    int32_t status;             /* ERROR, FATAL */
    uint64_t seen;              /* up: decisions that the sender had followed */
    uint32_t waiting;           /* up: all ranks of the subtree wait */
    struct signature signature; /* ANNOUNCE */
    const char *name;           /* ANNOUNCE, PARTIAL, ERROR; RUN where the number is new or none */
    uint32_t name_bytes;
    const char *text; /* ERROR, FATAL: why. ANNOUNCE, CACHED: the conflict found so far */
    uint32_t text_bytes;
    const void
        *rows; /* 64-bit words. allgather: upwards (rank, rows) pairs, downwards rows by rank;
                             PARTIAL: the ranks. May be unaligned: read with memcpy. */
    uint32_t row_words;
};

struct writer {
    char *data;
    size_t bytes, room;
    int failed; /* memory is out */
};

/* Appends the record with its length before it; returns where it begins in writer->data. */
size_t ronde__record_write(struct writer *writer, const struct record *record);
/* Reads a record as ronde__record_write made it, without the length. 0 where the bytes are not one:
 * lengths are never trusted. */
int ronde__record_read(struct record *record, const void *bytes, size_t n);
/* The next record of a message: sets its place and size, moves *at on; 0 at the end or a lie. */
int ronde__record_next(const char *message, size_t bytes, size_t *at, const char **record,
                       size_t *record_bytes);
void ronde__writer_free(struct writer *writer);

#endif
