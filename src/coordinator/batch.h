/* Batches: bins that have run, by number, so that next time they are announced and run whole.
 *
 * When a bin runs whose tensors all have numbers, the root gives it a batch number with its last
 * RUN; every rank and leader then knows: batch b = these tensors in this order, and each of them
 * belongs to b until it runs in another bin. In the steady state a rank that has submitted all
 * tensors of a batch announces the batch, and when all ranks have, the root runs it by one record.
 * Anything else - a tensor that does not come, comes in another shape, comes with another bin's
 * tensors - and the tensors are announced one by one as ever. */
#ifndef RONDE_COORDINATOR_BATCH_H
#define RONDE_COORDINATOR_BATCH_H

#include <stddef.h>
#include <stdint.h>

struct request;

struct batch {
    uint32_t *ids; /* tensors by number, in the order of the bin */
    uint32_t count;
    /* of a rank: those of them that wait to be announced */
    uint32_t have;
    struct request *first, *last;
    /* of a leader: who has announced it */
    int announced;
    unsigned char *by; /* [contributors], made at first use */
    uint64_t seen;     /* the least of theirs */
    int32_t rank;      /* the lowest */
    int64_t since_ns;
    int sent;  /* this subtree has announced it upwards; of the root: it is about to run */
    int split; /* one of its tensors was announced by itself since it last ran */
    /* of the root (bytes 0: not counted yet) */
    size_t bytes;
    int together; /* times in a row that it was ready at once with another that its bin has room for */
    int alone;    /* planning it anew for that reason made no other bin of it */
};

struct batches {
    struct batch *batch;
    uint32_t count, room;
    uint32_t *ids; /* of the bin that is being followed */
    uint32_t id_count, id_room;
    int unfit;        /* it can be no batch */
    uint32_t pending; /* of a leader: announced by some, not by all */
};

void ronde__batches_close(struct batches *batches);

/* A RUN came by: its tensor's number (NO_ID: the bin can be no batch), and, where it ends its bin, the
 * batch number that the bin has (NO_ID: none). Every tensor of the bin then has that number; they are
 * ids[0 .. id_count) until the next call. RONDE_ERR_MEMORY. */
int32_t ronde__batches_follow(struct batches *batches, uint32_t id, int last, uint32_t number);
/* A batch has run, or its tally was taken apart. */
void ronde__batch_reset(struct batches *batches, struct batch *batch, int contributors);
/* NULL where there is none. */
struct batch *ronde__batches_get(struct batches *batches, uint32_t number);
/* Root: the number of the batch of these tensors, or a new one, or NO_ID where there are too many.
 * last: the batch that the first of them belonged to, looked at first. */
uint32_t ronde__batches_number(struct batches *batches, const uint32_t *ids, uint32_t count,
                               uint32_t last);

#endif
