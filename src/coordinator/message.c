#include "coordinator/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "collectives/schedule.h"

/* ---- writing --------------------------------------------------------------------------------- */

/* What every record begins with. */
struct head {
    uint8_t type, kind, flags, algorithm;
    uint32_t id, batch;
    int32_t rank, status;
    uint32_t waiting, deadline_ms, age_ms;
    uint64_t seen, lamport;
    uint32_t name_bytes, text_bytes, row_words, absent_words;
};

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
    char *place = n ? room_for(w, n) : NULL;
    if (place)
        memcpy(place, bytes, n);
}

static void put_signature(struct writer *w, const struct signature *s)
{
    const uint8_t head[6] = {s->kind, s->dtype, s->op, s->dimensions, s->flags, s->wire};
    put(w, head, sizeof(head));
    put(w, &s->root, sizeof(s->root));
    put(w, &s->prescale, sizeof(s->prescale));
    put(w, &s->postscale, sizeof(s->postscale));
    put(w, &s->group, sizeof(s->group));
    put(w, &s->group_size, sizeof(s->group_size));
    put(w, s->shape, s->dimensions * sizeof(s->shape[0]));
}

size_t ronde__record_write(struct writer *w, const struct record *r)
{
    size_t start = w->bytes;
    uint32_t length = 0;
    int is_signed = r->type == RECORD_ANNOUNCE || (r->flags & RECORD_SIGNED);
    struct head head = {.type = r->type,
                        .kind = r->kind,
                        .flags = (uint8_t)(r->flags | (is_signed ? RECORD_SIGNED : 0)),
                        .algorithm = r->algorithm,
                        .id = r->id,
                        .batch = r->batch,
                        .rank = r->rank,
                        .status = r->status,
                        .waiting = r->waiting,
                        .deadline_ms = r->deadline_ms,
                        .age_ms = r->age_ms,
                        .seen = r->seen,
                        .lamport = r->lamport,
                        .name_bytes = r->name_bytes,
                        .text_bytes = r->text_bytes,
                        .row_words = r->row_words,
                        .absent_words = r->absent_words};
    put(w, &length, sizeof(length));
    put(w, &head, sizeof(head));
    if (is_signed)
        put_signature(w, &r->signature);
    put(w, r->name, r->name_bytes);
    put(w, r->text, r->text_bytes);
    put(w, r->rows, r->row_words * sizeof(uint64_t));
    put(w, r->absent, r->absent_words * sizeof(uint64_t));
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

struct record ronde__record_error(uint8_t kind, const char *name, uint32_t name_bytes,
                                  int32_t status, const char *text)
{
    return (struct record){.type = RECORD_ERROR,
                           .kind = kind,
                           .id = NO_ID,
                           .batch = NO_ID,
                           .status = status,
                           .name = name,
                           .name_bytes = name_bytes,
                           .text = text,
                           .text_bytes = (uint32_t)strlen(text)};
}

/* ---- reading --------------------------------------------------------------------------------- */

/* More than the longest text there is, a stall's; so that any decision fits into a node's ring. */
enum { TEXT_ROOM = 8192 };

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
    uint8_t head[6] = {0};
    get(in, head, sizeof(head));
    *s = (struct signature){.kind = head[0],
                            .dtype = head[1],
                            .op = head[2],
                            .dimensions = head[3],
                            .flags = head[4],
                            .wire = head[5]};
    get(in, &s->root, sizeof(s->root));
    get(in, &s->prescale, sizeof(s->prescale));
    get(in, &s->postscale, sizeof(s->postscale));
    get(in, &s->group, sizeof(s->group));
    get(in, &s->group_size, sizeof(s->group_size));
    if (in->bad || s->dimensions > SHAPE_DIMENSIONS || s->kind >= KINDS ||
        !ronde__dtype_is_valid(s->dtype) || !ronde__op_is_valid(s->op) ||
        s->wire > RONDE_WIRE_BFLOAT16 || (s->wire && s->dtype != RONDE_FLOAT32) ||
        (s->group && !s->group_size)) {
        in->bad = 1;
        return;
    }
    get(in, s->shape, s->dimensions * sizeof(s->shape[0]));
}

/* What is written always: of pairs both ends are sends, tensors have names or numbers. */
static int is_possible(const struct head *head)
{
    const unsigned flags = RECORD_CACHEABLE | RECORD_LAST | RECORD_RECEIVES | RECORD_SIGNED |
                           RECORD_VOIDS;
    int is_named = head->type == RECORD_ANNOUNCE || head->type == RECORD_PARTIAL ||
                   head->type == RECORD_ERROR || (head->type == RECORD_RUN && head->id == NO_ID);
    return head->type >= RECORD_ANNOUNCE && head->type <= RECORD_PONG && head->kind <= KIND_SEND &&
           !(head->flags & ~flags) &&
           (head->type != RECORD_ANNOUNCE || head->flags & RECORD_SIGNED) &&
           head->algorithm < RONDE__ALGORITHMS && ronde__algorithms[head->algorithm].is_allreduce &&
           head->name_bytes <= NAME_ROOM && (head->name_bytes || !is_named) &&
           head->text_bytes <= TEXT_ROOM;
}

/* Names are texts of C, and a signature is of the record's kind. */
static int is_consistent(const struct record *r)
{
    int is_same = r->signature.kind == r->kind ||
                  (r->signature.kind == KIND_RECV && r->kind == KIND_SEND);
    return !memchr(r->name, 0, r->name_bytes) && (is_same || !(r->flags & RECORD_SIGNED));
}

int ronde__record_read(struct record *r, const void *bytes, size_t n)
{
    struct reader in = {bytes, n, 0};
    struct head head = {0};
    get(&in, &head, sizeof(head));
    if (in.bad || !is_possible(&head))
        return 0;
    *r = (struct record){.type = head.type,
                         .kind = head.kind,
                         .flags = head.flags,
                         .algorithm = head.algorithm,
                         .id = head.id,
                         .batch = head.batch,
                         .rank = head.rank,
                         .status = head.status,
                         .waiting = head.waiting,
                         .deadline_ms = head.deadline_ms,
                         .age_ms = head.age_ms,
                         .seen = head.seen,
                         .lamport = head.lamport,
                         .name_bytes = head.name_bytes,
                         .text_bytes = head.text_bytes,
                         .row_words = head.row_words,
                         .absent_words = head.absent_words};
    if (head.flags & RECORD_SIGNED)
        get_signature(&in, &r->signature);
    r->name = take(&in, r->name_bytes);
    r->text = take(&in, r->text_bytes);
    r->rows = take(&in, (size_t)r->row_words * sizeof(uint64_t));
    r->absent = take(&in, (size_t)r->absent_words * sizeof(uint64_t));
    return !in.bad && in.left == 0 && is_consistent(r);
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
