#include "coordinator/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"

/* ---- writing --------------------------------------------------------------------------------- */

static char *room_for(struct writer *w, size_t bytes)
{
    if (w->failed)
        return NULL;
    if (w->room - w->bytes < bytes) {
        size_t room = w->room * 2 + bytes + 256;
        char *grown = realloc(w->data, room);
        if (!grown) {
            w->failed = 1;
            return NULL;
        }
        w->data = grown;
        w->room = room;
    }
    char *place = w->data + w->bytes;
    w->bytes += bytes;
    return place;
}

static void put(struct writer *w, const void *bytes, size_t n)
{
    char *place = room_for(w, n);
    if (place && n)
        memcpy(place, bytes, n);
}

static void put_signature(struct writer *w, const struct signature *s)
{
    put(w, &s->kind, 1);
    put(w, &s->dtype, 1);
    put(w, &s->op, 1);
    put(w, &s->dimensions, 1);
    put(w, &s->root, sizeof(s->root));
    put(w, &s->prescale, sizeof(s->prescale));
    put(w, &s->postscale, sizeof(s->postscale));
    put(w, s->shape, s->dimensions * sizeof(s->shape[0]));
}

size_t ronde__record_write(struct writer *w, const struct record *r)
{
    size_t start = w->bytes;
    uint32_t length = 0;
    put(w, &length, sizeof(length));
    const uint8_t head[4] = {r->type, r->kind, r->cacheable, r->last};
    put(w, head, sizeof(head));
    put(w, &r->id, sizeof(r->id));
    put(w, &r->rank, sizeof(r->rank));
    put(w, &r->status, sizeof(r->status));
    put(w, &r->waiting, sizeof(r->waiting));
    put(w, &r->seen, sizeof(r->seen));
    put(w, &r->name_bytes, sizeof(r->name_bytes));
    put(w, &r->text_bytes, sizeof(r->text_bytes));
    put(w, &r->row_words, sizeof(r->row_words));
    if (r->type == RECORD_ANNOUNCE)
        put_signature(w, &r->signature);
    put(w, r->name, r->name_bytes);
    put(w, r->text, r->text_bytes);
    put(w, r->rows, r->row_words * sizeof(uint64_t));
    if (!w->failed) {
        length = (uint32_t)(w->bytes - start - sizeof(length));
        memcpy(w->data + start, &length, sizeof(length));
    }
    return start;
}

void ronde__writer_free(struct writer *w)
{
    free(w->data);
    *w = (struct writer){0};
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reader {
    const char *at;
    size_t left;
    int bad;
};

static const char *take(struct reader *in, size_t n)
{
    if (in->bad || in->left < n) {
        in->bad = 1;
        return NULL;
    }
    const char *place = in->at;
    in->at += n;
    in->left -= n;
    return place;
}

static void get(struct reader *in, void *value, size_t n)
{
    const char *place = take(in, n);
    if (place)
        memcpy(value, place, n);
}

static void get_signature(struct reader *in, struct signature *s)
{
    get(in, &s->kind, 1);
    get(in, &s->dtype, 1);
    get(in, &s->op, 1);
    get(in, &s->dimensions, 1);
    get(in, &s->root, sizeof(s->root));
    get(in, &s->prescale, sizeof(s->prescale));
    get(in, &s->postscale, sizeof(s->postscale));
    if (in->bad || s->dimensions > SHAPE_DIMENSIONS || s->kind >= KINDS ||
        !ronde__dtype_is_valid(s->dtype) || !ronde__op_is_valid(s->op)) {
        in->bad = 1;
        return;
    }
    get(in, s->shape, s->dimensions * sizeof(s->shape[0]));
}

int ronde__record_read(struct record *r, const void *bytes, size_t n)
{
    struct reader in = {bytes, n, 0};
    uint8_t head[4] = {0};
    *r = (struct record){0};
    get(&in, head, sizeof(head));
    r->type = head[0];
    r->kind = head[1];
    r->cacheable = head[2];
    r->last = head[3];
    get(&in, &r->id, sizeof(r->id));
    get(&in, &r->rank, sizeof(r->rank));
    get(&in, &r->status, sizeof(r->status));
    get(&in, &r->waiting, sizeof(r->waiting));
    get(&in, &r->seen, sizeof(r->seen));
    get(&in, &r->name_bytes, sizeof(r->name_bytes));
    get(&in, &r->text_bytes, sizeof(r->text_bytes));
    get(&in, &r->row_words, sizeof(r->row_words));
    if (in.bad || r->type < RECORD_ANNOUNCE || r->type > RECORD_FATAL || r->kind >= KINDS ||
        r->name_bytes > NAME_BYTES)
        return 0;
    if (r->type == RECORD_ANNOUNCE)
        get_signature(&in, &r->signature);
    r->name = take(&in, r->name_bytes);
    r->text = take(&in, r->text_bytes);
    r->rows = take(&in, (size_t)r->row_words * sizeof(uint64_t));
    return !in.bad && in.left == 0;
}

int ronde__record_next(const char *message, size_t bytes, size_t *at, const char **record,
                       size_t *record_bytes)
{
    uint32_t length;
    if (bytes - *at < sizeof(length))
        return 0;
    memcpy(&length, message + *at, sizeof(length));
    if (bytes - *at - sizeof(length) < length)
        return 0;
    *record = message + *at + sizeof(length);
    *record_bytes = length;
    *at += sizeof(length) + length;
    return 1;
}
