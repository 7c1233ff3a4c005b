#include "coordinator/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "coordinator/message.h"

enum { MOST_BATCHES = 4096, LEAST_TENSORS = 2 };

void ronde__batches_close(struct batches *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        free(b->batch[i].ids);
        free(b->batch[i].by);
    }
    free(b->batch);
    free(b->ids);
}

struct batch *ronde__batches_get(struct batches *b, uint32_t number)
{
    return number < b->count && b->batch[number].ids ? &b->batch[number] : NULL;
}

void ronde__batch_reset(struct batches *b, struct batch *batch, int contributors)
{
    if (batch->announced)
        b->pending--;
    batch->announced = batch->sent = 0;
    if (batch->by)
        memset(batch->by, 0, (size_t)contributors);
}

static int32_t keep_id(struct batches *b, uint32_t id)
{
    if (b->id_count == b->id_room) {
        uint32_t room = 2 * b->id_room + 64;
        uint32_t *grown = realloc(b->ids, room * sizeof(*grown));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for a bin of %u tensors", room);
        b->ids = grown;
        b->id_room = room;
    }
    b->ids[b->id_count++] = id;
    return RONDE_OK;
}

static int32_t make(struct batches *b, uint32_t number)
{
    if (number >= MOST_BATCHES)
        return ronde__fail(RONDE_ERR_SYSTEM, "batch number %u is too large", number);
    if (number >= b->room) {
        uint32_t room = 2 * number + 16;
        struct batch *grown = realloc(b->batch, room * sizeof(*grown));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for %u batches", room);
        memset(grown + b->room, 0, (room - b->room) * sizeof(*grown));
        b->batch = grown;
        b->room = room;
    }
    struct batch *batch = &b->batch[number];
    b->count = number < b->count ? b->count : number + 1;
    if (batch->ids)
        return RONDE_OK; /* it runs again, tensor by tensor */
    batch->ids = malloc(b->id_count * sizeof(*b->ids));
    if (!batch->ids)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a batch of %u tensors", b->id_count);
    memcpy(batch->ids, b->ids, b->id_count * sizeof(*b->ids));
    batch->count = b->id_count;
    return RONDE_OK;
}

int32_t ronde__batches_follow(struct batches *b, uint32_t id, int last, uint32_t number)
{
    if (b->unfit < 0) { /* the call before ended a bin */
        b->unfit = 0;
        b->id_count = 0;
    }
    b->unfit |= id == NO_ID;
    int32_t status = id == NO_ID ? RONDE_OK : keep_id(b, id);
    if (!status && last && number != NO_ID && !b->unfit)
        status = make(b, number);
    if (last)
        b->unfit = -1;
    return status;
}

static int is_batch_of(struct batches *b, uint32_t number, const uint32_t *ids, uint32_t count)
{
    const struct batch *batch = ronde__batches_get(b, number);
    return batch && batch->count == count && memcmp(batch->ids, ids, count * sizeof(*ids)) == 0;
}

uint32_t ronde__batches_number(struct batches *b, const uint32_t *ids, uint32_t count,
                               uint32_t last)
{
    if (count < LEAST_TENSORS)
        return NO_ID;
    if (is_batch_of(b, last, ids, count)) {
        b->batch[last].alone = 1;
        return last;
    }
    for (uint32_t number = 0; number < b->count; number++)
        if (is_batch_of(b, number, ids, count))
            return number;
    return b->count < MOST_BATCHES ? b->count : NO_ID;
}
