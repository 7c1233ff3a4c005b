/* The records of the control path, and their bytes. They travel upwards (announcements: what ranks
 * have submitted) and downwards (decisions: what all ranks do, in one order), through rings
 * inside a node and in messages between nodes. Host byte order: one job has one kind of machine. */
#ifndef RONDE_COORDINATOR_MESSAGE_H
#define RONDE_COORDINATOR_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/request.h"

enum record_type {
    RECORD_ANNOUNCE = 1,  /* up: this subtree has submitted this tensor, described in full */
    RECORD_CACHED = 2,    /* up: the same, by number: signature as last time */
    RECORD_BATCH = 3,     /* up: the same for all tensors of a batch */
    RECORD_PARTIAL = 4,   /* up: only these ranks of the subtree have, for some time now */
    RECORD_RUN = 5,       /* down: run this tensor; bins are runs up to one that is the last */
    RECORD_RUN_BATCH = 6, /* down: run all tensors of a batch as a bin */
    RECORD_ERROR = 7,     /* down: this tensor fails everywhere with this text */
    RECORD_FATAL = 8,     /* to every leader: this context is lost, with this text */
    RECORD_PING = 9,      /* between leaders: somebody waits; are you there? rows: the clock */
    RECORD_PONG = 10      /* the answer */
};

#define NO_ID UINT32_MAX

enum record_flag {
    RECORD_CACHEABLE = 1, /* ANNOUNCE: may get a number */
    RECORD_LAST = 2,      /* RUN: ends its bin */
    RECORD_RECEIVES = 4,  /* ANNOUNCE of a pair: this is the receiving end */
    RECORD_SIGNED = 8,    /* the signature follows; always so in an ANNOUNCE */
    RECORD_VOIDS = 16     /* ERROR: of announcements that may be on their way still, too */
};

/* One record, decoded. Pointers point into the message or to the sender's memory. */
struct record {
    uint8_t type;         /* enum record_type */
    uint8_t kind;         /* enum kind, of what is named */
    uint8_t flags;        /* enum record_flag */
    uint8_t algorithm;    /* RUN: enum algorithm between nodes */
    uint32_t id;          /* CACHED, RUN: the tensor's number; BATCH: the batch's; or NO_ID */
    uint32_t batch;       /* RUN that ends a bin: the number this bin has from now on, or NO_ID */
    int32_t rank;         /* up: the lowest rank of the subtree that announces; RUN of a join:
                                   the last to join (all of the set) */
    int32_t status;       /* ERROR, FATAL */
    uint32_t waiting;     /* up: all ranks of the subtree wait */
    uint32_t deadline_ms; /* up: the least of those given; 0: none */
    uint32_t age_ms;      /* PARTIAL: since when the first of them waits */
    uint64_t seen;        /* up: decisions that the sender had followed */
    uint64_t lamport;     /* the sender's logical clock */
    struct signature signature; /* where SIGNED */
    const char *name;           /* ANNOUNCE, PARTIAL, ERROR; RUN where the number is new or none */
    uint32_t name_bytes;
    const char *text; /* ERROR, FATAL: why. ANNOUNCE, CACHED: the conflict found so far */
    uint32_t text_bytes;
    /* 64-bit words, maybe unaligned: read with ronde__record_word. */
    const void *rows; /* up: (rank, word) pairs; RUN: word by rank; PARTIAL: the ranks */
    uint32_t row_words;
    const void *absent; /* up, RUN: ranks that have joined and contribute nothing */
    uint32_t absent_words;
};

static inline uint64_t ronde__record_word(const void *words, size_t i)
{
    uint64_t word;
    __builtin_memcpy(&word, (const char *)words + i * sizeof(word), sizeof(word));
    return word;
}

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

/* What a message between nodes begins with: the process set it is for. */
struct message_head {
    uint32_t set;
    uint32_t reserved; /* 0 */
};

/* A decision that a tensor fails. */
struct record ronde__record_error(uint8_t kind, const char *name, uint32_t name_bytes,
                                  int32_t status, const char *text);

#endif
