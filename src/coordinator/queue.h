/* The way in: names, and requests that nobody has announced yet. Callers submit from any thread;
 * the driver takes. One lock guards it all. */
#ifndef RONDE_COORDINATOR_QUEUE_H
#define RONDE_COORDINATOR_QUEUE_H

#include <pthread.h>

#include "coordinator/message.h"
#include "coordinator/request.h"

/* A name of one kind on this rank, while it is outstanding or has a number. */
struct tensor {
    char *name;
    uint32_t name_bytes;
    uint8_t kind;
    uint8_t cacheable;
    uint32_t id;             /* RECORD_NO_ID: none */
    struct signature agreed; /* of the last run, where it has a number */
    struct request *pending; /* NULL: not outstanding */
    struct tensor *next_of_hash;
};

struct queue {
    pthread_mutex_t lock;
    struct tensor **bucket; /* a power of two of them */
    size_t buckets, tensors;
    struct tensor **by_id;
    size_t id_room;
    struct request *first, *last; /* submitted, not taken */
    uint64_t unnamed[KINDS];
    int32_t closed; /* the status that submissions get; 0: open */
    char *closed_text;
};

int32_t ronde__queue_open(struct queue *queue);
void ronde__queue_close(struct queue *queue);

/* The next number for an unnamed operation of this kind. */
uint64_t ronde__queue_draw(struct queue *queue, enum kind kind);
/* Queues a request, named or (unnamed = 1) by drawn name. RONDE_ERR_DUPLICATE where that kind
 * and name is outstanding, RONDE_ERR_MEMORY, or what the queue was shut with. */
int32_t ronde__queue_submit(struct queue *queue, const char *name, int unnamed,
                            struct request *request);
/* All that was submitted, in order, linked by next; or NULL. */
struct request *ronde__queue_take(struct queue *queue);
/* The pending request that a decision speaks of, or NULL. A RUN's number and signature are kept. */
struct request *ronde__queue_match(struct queue *queue, const struct record *decision);
/* The request's name is no longer outstanding; forgotten where it has no number. */
void ronde__queue_finish(struct queue *queue, struct request *request);
/* From here submissions are refused with this. The first text stays. */
void ronde__queue_shut(struct queue *queue, int32_t status, const char *text);
/* Some outstanding request, or NULL. */
struct request *ronde__queue_any(struct queue *queue);

#endif
