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
    uint32_t id;             /* NO_ID: none */
    uint32_t batch;          /* that it belongs to (batch.h), or NO_ID */
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
    uint64_t
        unnamed[KINDS]; /* the joins so far in the upper bits, numbers since then in the lower */
    uint64_t *unnamed_pairs; /* [2 x ranks]: sends to, receives from each rank; as above */
    uint64_t joins;
    int ranks;
    int joining;    /* this rank has joined, and not all have */
    int32_t closed; /* the status that submissions get; 0: open */
    char *closed_text;
};

int32_t ronde__queue_open(struct queue *queue, int ranks);
void ronde__queue_close(struct queue *queue);

/* All have joined, having drawn differently many: numbers begin anew, and are none that were drawn. */
void ronde__queue_renumber(struct queue *queue);
/* The next number for an unnamed operation of this kind; with that rank, of sends and receives. */
uint64_t ronde__queue_draw(struct queue *queue, enum kind kind, int peer);

enum naming {
    NAMING_USER,  /* by its own name, which is kept by number */
    NAMING_DRAWN, /* by a drawn name, which does not come again */
    NAMING_OURS   /* the library's own operation: goes in while this rank has joined, too */
};

/* Queues a request. RONDE_ERR_DUPLICATE where that kind and name is outstanding, RONDE_ERR_ARGUMENT
 * while this rank has joined, RONDE_ERR_MEMORY, or what the queue was shut with. */
int32_t ronde__queue_submit(struct queue *queue, const char *name, enum naming naming,
                            struct request *request);
/* All of them, in this order and next to each other, or none. */
int32_t ronde__queue_submit_all(struct queue *queue, char *const *names, struct request **requests,
                                size_t n);
/* Is that kind and name outstanding at the moment? */
int ronde__queue_is_outstanding(struct queue *queue, int kind, const char *name);
/* All that was submitted, in order, linked by next; or NULL. */
struct request *ronde__queue_take(struct queue *queue);
/* The pending request that a decision speaks of, or NULL. A RUN's number and signature are kept. `kind`:
 * of this end, for a pair; else the decision's. */
struct request *ronde__queue_match(struct queue *queue, int kind, const struct record *decision);
/* A RUN in which this rank, having joined, has no request: what it knows of the name follows. */
void ronde__queue_miss(struct queue *queue, const struct record *run);
/* A bin has run: its tensors belong to this batch from now on. */
void ronde__queue_enter_batch(struct queue *queue, const uint32_t *ids, uint32_t n, uint32_t batch);
/* The pending requests of a batch that runs, linked in its order; NULL where one is not pending. */
struct request *ronde__queue_match_batch(struct queue *queue, const uint32_t *ids, uint32_t n);
/* The request's name is no longer outstanding; forgotten where it has no number. */
void ronde__queue_finish(struct queue *queue, struct request *request);
/* From here submissions are refused with this. The first text stays. */
void ronde__queue_shut(struct queue *queue, int32_t status, const char *text);
/* Some outstanding request (undecided: that no decision has named yet), or NULL. */
struct request *ronde__queue_any(struct queue *queue, int undecided);

/* The same for all requests of a bin, linked by next up to the last. */
void ronde__queue_finish_bin(struct queue *queue, struct request *first);

#endif
