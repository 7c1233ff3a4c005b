/* A fuzz target over the records of the control path, and over those who read them. The first byte
 * says how the rest is read:
 *
 *   0  a message: what reads as a record is written again, and must be the same bytes
 *   1  messages, as they are, to a leader: who from, two bytes of length, the bytes
 *   2  a script: a dozen bytes make a record, so that well-formed lies come up often
 *
 * With libFuzzer (-DWITH_LIBFUZZER, test/sh_fuzz.sh has the flags) it looks for trouble by itself;
 * without, it replays the files it is given. See README.md. */
#include <stdint.h>

#include "leader_stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* ---- the bytes of records -------------------------------------------------------------------- */

static void write_again(const struct record *record, const char *bytes, size_t n)
{
    struct writer writer = {0};
    ronde__record_write(&writer, record);
    if (writer.failed || writer.bytes != sizeof(uint32_t) + n ||
        memcmp(writer.data + sizeof(uint32_t), bytes, n) != 0)
        stage_fail("a record written again has other bytes");
    ronde__writer_free(&writer);
}

static void read_message(const char *message, size_t bytes)
{
    size_t at = 0, n;
    const char *place;
    struct record record;
    while (ronde__record_next(message, bytes, &at, &place, &n))
        if (ronde__record_read(&record, place, n))
            write_again(&record, place, n);
    if (at > bytes)
        stage_fail("the next record begins behind the message");
}

/* ---- the input ------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at;
    size_t left;
};

static unsigned take_byte(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

static uint64_t take_word(struct input *in)
{
    unsigned byte = take_byte(in);
    return byte == 255 ? UINT64_MAX : byte;
}

/* Bytes of the input in memory of their own, so that reading past their end is seen. */
static char *take_bytes(struct input *in, size_t n)
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

static struct signature take_signature(struct input *in, unsigned kind)
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

static uint32_t take_number(struct input *in)
{
    unsigned byte = take_byte(in);
    return byte % 16 == 15 ? NO_ID : byte % 16 == 14 ? UINT32_MAX - 1 : byte % 16;
}

static uint32_t take_words(struct input *in, uint64_t *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        words[i] = take_word(in);
    return n;
}

/* Writes the record that the next bytes describe. */
static void take_record(struct input *in, struct writer *writer)
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

/* ---- leaders --------------------------------------------------------------------------------- */

/* From a rank of the node, through its ring, or by a message from any rank, or from none. */
static int deliver(struct stage *stage, unsigned from, const char *message, size_t bytes)
{
    struct leader *leader = &stage->leader;
    size_t at = 0, n;
    const char *record;
    if (from >= STAGE_LOCAL)
        return stage_goes_on(
            ronde__leader_take(leader, (int)(from % (STAGE_SIZE + 1)) - 1, message, bytes));
    while (ronde__record_next(message, bytes, &at, &record, &n))
        ronde__ring_put(stage->up[from], record, n);
    return 1;
}

static int deliver_next(struct stage *stage, struct input *in, int is_script, unsigned from)
{
    struct writer writer = {0};
    if (is_script) {
        take_record(in, &writer);
    } else {
        size_t n = take_byte(in);
        n += take_byte(in) * 256;
        writer.bytes = n < in->left ? n : in->left;
        writer.data = take_bytes(in, writer.bytes);
    }
    char *exact = malloc(writer.bytes ? writer.bytes : 1);
    if (!exact)
        stage_fail("no memory");
    memcpy(exact, writer.data, writer.bytes);
    int goes_on = deliver(stage, from, exact, writer.bytes);
    free(exact);
    ronde__writer_free(&writer);
    return goes_on;
}

/* One byte says what happens next: the high half who from, the low half whether the leader steps
 * after it; 15 below: nothing comes, but it gets late. */
static void lead(struct input *in, int is_script)
{
    int is_root = !(take_byte(in) & 1), goes_on = 1;
    struct stage stage, other, *follower = is_root ? &other : NULL;
    stage_open(&stage, is_root ? STAGE_ROOT : STAGE_MIDDLE);
    if (follower)
        stage_open(follower, STAGE_FOLLOWER);
    while (in->left && goes_on) {
        unsigned what = take_byte(in);
        if (what % 16 == 15)
            goes_on = stage_stall(&stage, follower, (int)(what / 16));
        else
            goes_on = deliver_next(&stage, in, is_script, what / 16);
        if (goes_on && what % 16)
            goes_on = stage_step(&stage, follower);
    }
    if (goes_on)
        stage_step(&stage, follower);
    if (follower)
        stage_close(follower);
    stage_close(&stage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input in = {data, bytes};
    unsigned mode = take_byte(&in) % 3;
    if (mode) {
        lead(&in, mode == 2);
        return 0;
    }
    size_t n = in.left;
    char *message = take_bytes(&in, n);
    read_message(message, n);
    free(message);
    return 0;
}

/* ---- replay ---------------------------------------------------------------------------------- */

#ifndef WITH_LIBFUZZER
static int replay(const char *path)
{
    enum { MOST = 1 << 20 };
    static uint8_t data[MOST];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t bytes = fread(data, 1, MOST, file);
    fclose(file);
    if (stage_tells)
        puts(path);
    LLVMFuzzerTestOneInput(data, bytes);
    return 0;
}

/* fuzz_message [-v] FILE...: -v tells each file and what was refused in it. */
int main(int argc, char **argv)
{
    stage_tells = argc > 1 && strcmp(argv[1], "-v") == 0;
    int first = 1 + stage_tells, failed = first >= argc;
    for (int i = first; i < argc && !failed; i++)
        failed = replay(argv[i]);
    printf("%d inputs\n", argc - first);
    return failed;
}
#endif
