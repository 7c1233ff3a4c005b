/* Rows by number, wherever they lie. Two all-to-alls: the numbers go to the ranks that own the
 * rows, the rows come back. Each rank's numbers are sorted by owner, and `place` remembers where a
 * row goes.
 *
 * A rank whose numbers are bad must not leave the others waiting: it sends each of them one mark
 * instead, and all return the same error. */
#include <stdlib.h>
#include <string.h>

#include "train/data.h"

/* What a bad rank sends instead of numbers; no row has this one. */
#define BAD UINT64_MAX

struct fetch {
    struct ronde_train_data *data;
    size_t count, asked; /* rows wanted here; rows that others want of this rank */
    uint64_t *wanted;    /* count numbers, sorted by owner */
    size_t *place;       /* of each of these in the caller's order */
    size_t *from;        /* rows wanted by owner, team.size entries */
    size_t *to;          /* rows that each member wants of this rank */
    uint64_t *requests;  /* of `asked` rows, by member; the library's memory */
    unsigned char *sent, *received;
    char name[TRAIN_NAME_BYTES];
};

static int32_t no_memory(size_t rows)
{
    return ronde__train_fail(RONDE_ERR_MEMORY, "no memory to fetch %zu rows", rows);
}

static int32_t bad_index(const struct ronde_train_data *data, size_t index)
{
    return ronde__train_fail(RONDE_ERR_ARGUMENT, "data '%s': row %zu of %zu", data->name, index,
                             data->own.shape[0]);
}

static int32_t check_indices(const struct ronde_train_data *data, const size_t *indices,
                             size_t count, const void *out)
{
    if (count && (!indices || (!out && data->row_bytes)))
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s is NULL", indices ? "out" : "indices");
    for (size_t i = 0; i < count; i++)
        if (indices[i] >= data->own.shape[0])
            return bad_index(data, indices[i]);
    return RONDE_OK;
}

/* Shards may be empty: the owner is the last whose rows begin at or before this one. */
static size_t owner_of(const struct ronde_train_data *data, size_t index)
{
    size_t low = 0, high = (size_t)data->team.size;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (data->start[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A counting sort by owner. */
static int32_t sort_indices(struct fetch *fetch, const size_t *indices)
{
    size_t ranks = (size_t)fetch->data->team.size;
    size_t *next = calloc(ranks + 1, sizeof *next);
    if (!next)
        return no_memory(fetch->count);
    for (size_t i = 0; i < fetch->count; i++)
        fetch->from[owner_of(fetch->data, indices[i])]++;
    for (size_t r = 0; r < ranks; r++)
        next[r + 1] = next[r] + fetch->from[r];
    for (size_t i = 0; i < fetch->count; i++) {
        size_t at = next[owner_of(fetch->data, indices[i])]++;
        fetch->wanted[at] = indices[i];
        fetch->place[at] = i;
    }
    free(next);
    return RONDE_OK;
}

static int32_t prepare(struct fetch *fetch, const size_t *indices)
{
    size_t ranks = (size_t)fetch->data->team.size;
    size_t room = fetch->count > ranks ? fetch->count : ranks;
    fetch->wanted = calloc(room, sizeof *fetch->wanted);
    fetch->place = calloc(room, sizeof *fetch->place);
    return fetch->wanted && fetch->place ? sort_indices(fetch, indices) : no_memory(fetch->count);
}

/* Numbers, or marks where `status` is an error. */
static int32_t exchange_indices(struct fetch *fetch, int32_t status)
{
    const struct team *team = &fetch->data->team;
    ronde_call call = ronde__team_call(team);
    uint64_t *sent = fetch->wanted, handle, *marks = NULL;
    size_t rows = fetch->count, ranks = (size_t)team->size;
    void *requests;
    if (status != RONDE_OK) {
        sent = marks = malloc(ranks * sizeof *marks);
        if (!marks)
            return no_memory(ranks);
        rows = ranks;
        for (size_t r = 0; r < ranks; r++) {
            marks[r] = BAD;
            fetch->from[r] = 1;
        }
    }
    snprintf(fetch->name, sizeof fetch->name, "%s/indices", fetch->data->name);
    int32_t result = ronde_alltoall_async(team->context, fetch->name, sent, fetch->from, rows, 1,
                                          RONDE_UINT64, NULL, 0, fetch->to, &call, &handle);
    if (result == RONDE_OK) {
        int32_t taken = ronde_take(team->context, handle, &requests, &fetch->asked);
        result = ronde_wait(team->context, handle);
        if (result == RONDE_OK && taken == RONDE_OK)
            fetch->requests = requests;
        else if (result == RONDE_OK)
            result = taken;
    }
    free(marks);
    return result;
}

/* The lowest rank that sent a mark is named; `text` is this rank's own reason. */
static int32_t look_for_marks(const struct fetch *fetch, int32_t status, const char *text)
{
    const uint64_t *request = fetch->requests;
    const struct team *team = &fetch->data->team;
    for (int32_t r = 0; r < team->size; request += fetch->to[r++])
        if (fetch->to[r] && *request == BAD && (status == RONDE_OK || r != team->rank))
            return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                     "data '%s': rank %d asked for a row that there is not",
                                     fetch->data->name, (int)team->ranks[r]);
    return status == RONDE_OK ? RONDE_OK : ronde_fail(status, text);
}

static int32_t exchange_rows(struct fetch *fetch, unsigned char *out)
{
    const struct ronde_train_data *data = fetch->data;
    ronde_call call = ronde__team_call(&data->team);
    const unsigned char *own = data->own.values;
    size_t bytes = data->row_bytes;
    fetch->sent = malloc(fetch->asked * bytes + 1);
    fetch->received = malloc(fetch->count * bytes + 1);
    if (!fetch->sent || !fetch->received)
        return no_memory(fetch->asked + fetch->count);
    for (size_t i = 0; i < fetch->asked; i++)
        memcpy(fetch->sent + i * bytes,
               own + ((size_t)fetch->requests[i] - data->own.first) * bytes, bytes);
    snprintf(fetch->name, sizeof fetch->name, "%s/rows", data->name);
    int32_t status = ronde_alltoall(data->team.context, fetch->name, fetch->sent, fetch->to,
                                    fetch->asked, data->own.row_count, data->own.dtype,
                                    fetch->received, fetch->count, fetch->from, &call);
    for (size_t i = 0; i < fetch->count && status == RONDE_OK; i++)
        memcpy(out + fetch->place[i] * bytes, fetch->received + i * bytes, bytes);
    return status;
}

static int32_t fetch_from_owners(struct ronde_train_data *data, const size_t *indices, size_t count,
                                 void *out, int32_t status)
{
    char text[1024];
    size_t ranks = (size_t)data->team.size;
    struct fetch fetch = {.data = data, .count = count};
    fetch.from = calloc(2 * ranks, sizeof *fetch.from);
    if (!fetch.from)
        return no_memory(count);
    fetch.to = fetch.from + ranks;
    if (status == RONDE_OK)
        status = prepare(&fetch, indices);
    snprintf(text, sizeof text, "%s", status == RONDE_OK ? "" : ronde_last_error());
    int32_t exchanged = exchange_indices(&fetch, status);
    status = exchanged == RONDE_OK ? look_for_marks(&fetch, status, text) : exchanged;
    if (status == RONDE_OK)
        status = exchange_rows(&fetch, out);
    ronde_free(data->team.context, fetch.requests);
    free(fetch.received);
    free(fetch.sent);
    free(fetch.place);
    free(fetch.wanted);
    free(fetch.from);
    return status;
}

int32_t ronde_train_data_fetch(ronde_train_data *data, const size_t *indices, size_t count,
                               void *out)
{
    if (!data)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "data is NULL");
    int32_t status = check_indices(data, indices, count, out);
    if (data->start && data->team.context)
        return fetch_from_owners(data, indices, count, out, status);
    for (size_t i = 0; i < count && status == RONDE_OK; i++)
        memcpy((unsigned char *)out + i * data->row_bytes,
               (const unsigned char *)data->own.values + indices[i] * data->row_bytes,
               data->row_bytes);
    return status;
}
