/* What makes ranks equal: broadcast and join. Both are blocking, and between steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/loop.h"

/* ---- the same table everywhere --------------------------------------------------------------- */

struct identity {
    uint64_t tensors, table, options;
};

static struct identity identify(const ronde_train *train)
{
    const ronde_train_options *o = &train->options;
    double numbers[] = {o->momentum,  o->weight_decay, o->beta1,         o->beta2,     o->epsilon,
                        o->clip_norm, o->optimiser,    o->nesterov != 0, o->accumulate};
    struct identity identity = {(uint64_t)train->n, TRAIN_HASH_START, TRAIN_HASH_START};
    for (int32_t i = 0; i < train->n; i++) {
        const struct slot *slot = &train->slots[i];
        uint64_t form[] = {slot->count, (uint64_t)slot->dtype, slot->values != NULL,
                           strlen(slot->name)};
        identity.table = ronde__hash(identity.table, form, sizeof form);
        identity.table = ronde__hash(identity.table, slot->name, strlen(slot->name));
    }
    identity.options = ronde__hash(identity.options, numbers, sizeof numbers);
    return identity;
}

static int32_t compare_identities(const ronde_train *train, const struct identity *all,
                                  const int32_t *ranks, int32_t n)
{
    for (int32_t i = 1; i < n; i++) {
        if (all[i].tensors != all[0].tensors)
            return ronde__train_fail(RONDE_ERR_MISMATCH,
                                     "loop '%s': rank %d has %llu tensors, rank %d has %llu",
                                     train->name, (int)ranks[0], (unsigned long long)all[0].tensors,
                                     (int)ranks[i], (unsigned long long)all[i].tensors);
        if (all[i].table != all[0].table || all[i].options != all[0].options)
            return ronde__train_fail(RONDE_ERR_MISMATCH, "loop '%s': ranks %d and %d have other %s",
                                     train->name, (int)ranks[0], (int)ranks[i],
                                     all[i].table != all[0].table
                                         ? "tensors: by name, count, dtype or order"
                                         : "options");
    }
    return RONDE_OK;
}

static int32_t compare_tables(const ronde_train *train)
{
    struct identity mine = identify(train);
    void *records;
    int32_t *ranks, n;
    int32_t status = ronde__loop_gather(train, "table", &mine, sizeof mine, &records, &ranks, &n);
    if (status == RONDE_OK)
        status = compare_identities(train, records, ranks, n);
    free(records);
    free(ranks);
    return status;
}

/* ---- broadcast ------------------------------------------------------------------------------- */

/* Operations under way together. */
struct batch {
    const ronde_train *train;
    int32_t root, status;
    uint64_t *handles;
    size_t n;
};

static void submit(struct batch *batch, const char *what, void *data, size_t count, int32_t dtype)
{
    char name[TRAIN_NAME_BYTES];
    ronde_call call = ronde__team_call(&batch->train->team);
    if (batch->status != RONDE_OK)
        return;
    batch->status = ronde_broadcast_async(batch->train->team.context,
                                          ronde__loop_name(batch->train, what, name), data, data,
                                          count, dtype, batch->root, &call,
                                          &batch->handles[batch->n]);
    batch->n += batch->status == RONDE_OK;
}

static void submit_slot(struct batch *batch, const struct slot *slot)
{
    static const char *const part[STATES] = {"first", "second"};
    char what[TRAIN_NAME_BYTES];
    if (!slot->values)
        return;
    submit(batch, slot->name, slot->values, slot->count, slot->dtype);
    for (int i = 0; i < STATES && slot->state[i]; i++) {
        snprintf(what, sizeof what, "%s/%s", part[i], slot->name);
        submit(batch, what, slot->state[i], slot->count, slot->dtype);
    }
}

static void wait_for(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        int32_t status = ronde_wait(batch->train->team.context, batch->handles[i]);
        batch->status = batch->status == RONDE_OK ? status : batch->status;
    }
}

static int32_t broadcast_from(ronde_train *train, int32_t root)
{
    double scalars[3] = {(double)train->steps, (double)train->skipped, train->options.rate};
    struct batch batch = {.train = train, .root = root};
    if (!train->team.context)
        return root == train->team.ranks[0]
                   ? RONDE_OK
                   : ronde__train_fail(RONDE_ERR_ARGUMENT,
                                       "loop '%s': root %d is none of its ranks", train->name,
                                       (int)root);
    batch.handles = calloc((size_t)train->n * (STATES + 1) + 1, sizeof *batch.handles);
    if (!batch.handles)
        return ronde__train_fail(RONDE_ERR_MEMORY, "no memory for %d handles", (int)train->n);
    submit(&batch, "counts of steps", scalars, 3, RONDE_FLOAT64);
    for (int32_t i = 0; i < train->n; i++)
        submit_slot(&batch, &train->slots[i]);
    wait_for(&batch);
    free(batch.handles);
    if (batch.status == RONDE_OK) {
        train->steps = (uint64_t)scalars[0];
        train->skipped = (uint64_t)scalars[1];
        train->options.rate = scalars[2];
    }
    return batch.status;
}

int32_t ronde_train_broadcast(ronde_train *train, int32_t root)
{
    int32_t status = ronde__loop_check_between(train, "a broadcast");
    if (status == RONDE_OK)
        status = compare_tables(train);
    return status == RONDE_OK ? broadcast_from(train, root) : status;
}

/* ---- join ------------------------------------------------------------------------------------ */

int32_t ronde_train_join(ronde_train *train)
{
    char text[1024] = "";
    uint64_t handle;
    int32_t last, status = ronde__loop_check_between(train, "a join"), flushed;
    if (status != RONDE_OK)
        return status;
    flushed = ronde_train_flush(train, NULL);
    if (flushed != RONDE_OK) /* the others wait for this rank all the same */
        snprintf(text, sizeof text, "%s", ronde_last_error());
    if (train->team.context) {
        ronde_call call = ronde__team_call(&train->team);
        status = ronde_join_async(train->team.context, &last, &call, &handle);
        if (status == RONDE_OK)
            status = ronde_wait(train->team.context, handle);
        if (status == RONDE_OK)
            status = broadcast_from(train, last);
    }
    return status == RONDE_OK && flushed != RONDE_OK ? ronde_fail(flushed, text) : status;
}
