/* How the fuzzer's input becomes messages: a dozen bytes make a record, so that well-formed lies come up
 * often. A script is the stage (bit 0: 0 the root, 1 the leader in the middle), and then steps:
 *
 *   what      low half 15: it gets so many hours late as the high half says; else a record follows,
 *             and unless the low half is 0 the leader then steps. High half 0 and 1: from that local
 *             rank's ring; above: a message of rank (high half % 7) - 1
 *   record    type, kind, name, flags, rank + 1, id, batch, seen, three bytes of signature, how many
 *             rows (low half), absent ranks and whether a text (high half), a byte for each of the words
 */
#ifndef RONDE_TEST_RECORD_SCRIPT_H
#define RONDE_TEST_RECORD_SCRIPT_H

#include <stdint.h>

#include "leader_stage.h"

/* ---- the input ------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at;
    size_t left;
};

static inline unsigned take_byte(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

static inline uint64_t take_word(struct input *in)
{
    unsigned byte = take_byte(in);
    return byte == 255 ? UINT64_MAX : byte;
}

/* Bytes of the input in memory of their own, so that reading past their end is seen. */
static inline char *take_bytes(struct input *in, size_t n)
{
    char *bytes = malloc(n ? n : 1);
    if (!bytes)
        stage_fail("no memory");
    memcpy(bytes, in->at, n);
    in->at += n;
    in->left -= n;
    return bytes;
}

/* ---- scripts --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t bytes;
} names[] = {
#define NAME(text) \
    { \
        text, sizeof(text) - 1 \
    }
    NAME("a"),    NAME("b"),     NAME("c"),    NAME("d"),       NAME(COORDINATOR_CLOSING),
    NAME(""),     NAME("0>1:p"), NAME("2>4:"), NAME("3>3:p"),   NAME(COORDINATOR_JOIN),
    NAME("3"),    NAME("9>0:p"), NAME("0>9:"), NAME("-1>0:p"),  NAME("99999999999>4294967296:p"),
    NAME("a\0b"), NAME("0>1"),   NAME("p:q"),  NAME("1>0:p\0"),
#undef NAME
};

static const uint32_t group_sizes[] = {1, 2, 3, 0, 7, 1u << 20, INT32_MAX, UINT32_MAX};
static const uint32_t deadlines_ms[] = {0, 0, 1, UINT32_MAX};

static inline struct signature take_signature(struct input *in, unsigned kind)
{
    unsigned what = take_byte(in), group = take_byte(in), shape = take_byte(in);
    struct signature s = {.kind = (uint8_t)(shape & 128 ? kind + 1 : kind),
                          .dtype = (uint8_t)(what % 14),
                          .op = (uint8_t)(what / 16 % 12),
                          .dimensions = shape / 8 % 4 == 3 ? 17 : shape / 8 % 4,
                          .flags = (uint8_t)(shape / 32 % 4),
                          .root = (int32_t)(shape % 8) - 1,
                          .prescale = 1,
                          .postscale = 1,
                          .group = group % 4,
                          .group_size = group_sizes[group / 4 % 8]};
    for (int i = 0; i < SHAPE_DIMENSIONS; i++)
        s.shape[i] = group / 32 + (unsigned)i;
    return s;
}

static inline uint32_t take_number(struct input *in)
{
    unsigned byte = take_byte(in);
    return byte % 16 == 15 ? NO_ID : byte % 16 == 14 ? UINT32_MAX - 1 : byte % 16;
}

static inline uint32_t take_words(struct input *in, uint64_t *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        words[i] = take_word(in);
    return n;
}

/* Writes the record that the next bytes describe. */
static inline void take_record(struct input *in, struct writer *writer)
{
    enum { MOST = 15 };
    uint64_t rows[MOST], absent[MOST];
    unsigned type = take_byte(in), kind = take_byte(in), name = take_byte(in);
    unsigned flags = take_byte(in), rank = take_byte(in);
    uint32_t id = take_number(in), batch = take_number(in);
    uint64_t seen = take_word(in);
    struct record record = {.type = (uint8_t)(type % 12),
                            .kind = (uint8_t)(kind % 16),
                            .flags = (uint8_t)flags,
                            .algorithm = (uint8_t)(rank / 8 % 8),
                            .id = id,
                            .batch = batch,
                            .rank = (int32_t)(rank % 8) - 1,
                            .status = kind & 128 ? RONDE_ERR_STALLED : RONDE_ERR_MISMATCH,
                            .waiting = 1,
                            .deadline_ms = deadlines_ms[kind / 16 % 4],
                            .age_ms = type & 128 ? UINT32_MAX : 1,
                            .seen = seen,
                            .lamport = type,
                            .signature = take_signature(in, kind % 16),
                            .rows = rows,
                            .absent = absent};
    if (name % 32 < sizeof(names) / sizeof(names[0])) {
        record.name = names[name % 32].name;
        record.name_bytes = names[name % 32].bytes;
    }
    unsigned counts = take_byte(in);
    record.row_words = take_words(in, rows, counts % 16);
    record.absent_words = take_words(in, absent, counts / 16 % 8);
    if (counts & 128) {
        record.text = "why";
        record.text_bytes = 3;
    }
    ronde__record_write(writer, &record);
    if (writer->failed)
        stage_fail("no memory");
}

#endif
