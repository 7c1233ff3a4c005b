/* A fuzz target over the records of the control path, and over the leaders that take them. The first
 * byte says how the rest is read:
 *
 *   0  a message: what reads as a record is written again, and must be the same bytes
 *   1  messages, as they are, to a leader: who from, two bytes of length, the bytes
 *   2  a script of messages to a leader: see record_script.h
 *
 * With libFuzzer (-DWITH_LIBFUZZER, test/sh_fuzz.sh has the flags) it looks for trouble by itself;
 * without, it replays the files it is given. See README.md. */
#include <stdint.h>

#include "leader_stage.h"
#include "record_script.h"

/* Where the messages of a script are written as inputs of the other two kinds; NULL: nowhere. */
static FILE *as_messages, *as_records;

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
        else
            stage_refused++;
    if (at > bytes)
        stage_fail("the next record begins behind the message");
    stage_refused += at < bytes;
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

static void keep_message(unsigned from, const char *message, size_t bytes)
{
    if (as_messages) {
        const unsigned char head[] = {(unsigned char)from, (unsigned char)bytes,
                                      (unsigned char)(bytes >> 8)};
        fwrite(head, 1, sizeof(head), as_messages);
        fwrite(message, 1, bytes, as_messages);
    }
    if (as_records)
        fwrite(message, 1, bytes, as_records);
}

/* The low half of `what` is whether the leader steps afterwards, the high half is who from. */
static int deliver_next(struct stage *stage, struct input *in, int is_script, unsigned what)
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
    keep_message(what, exact, writer.bytes);
    int goes_on = deliver(stage, what / 16, exact, writer.bytes);
    free(exact);
    ronde__writer_free(&writer);
    return goes_on;
}

static int go_on(struct stage *stage, struct stage *follower, struct input *in, int is_script)
{
    enum { IT_GETS_LATE = 15 };
    unsigned what = take_byte(in);
    if (what % 16 == IT_GETS_LATE) {
        if (as_messages)
            fputc((int)what, as_messages);
        return stage_stall(stage, follower, (int)(what / 16));
    }
    int goes_on = deliver_next(stage, in, is_script, what);
    return goes_on && what % 16 ? stage_step(stage, follower) : goes_on;
}

static void lead(struct input *in, int is_script)
{
    int is_root = !(take_byte(in) & 1), goes_on = 1;
    struct stage stage, other, *follower = is_root ? &other : NULL;
    stage_open(&stage, is_root ? STAGE_ROOT : STAGE_MIDDLE);
    if (follower)
        stage_open(follower, STAGE_FOLLOWER);
    if (as_messages)
        fwrite(is_root ? "\1\0" : "\1\1", 1, 2, as_messages);
    if (as_records)
        fputc(0, as_records);
    while (in->left && goes_on)
        goes_on = go_on(&stage, follower, in, is_script);
    if (goes_on)
        stage_step(&stage, follower);
    if (follower)
        stage_close(follower);
    stage_close(&stage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

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
/* 1 where the file's name says how the input must end, and it ends otherwise. */
static int ends_otherwise(const char *name)
{
    int must = strstr(name, "refused-") != NULL, must_not = strstr(name, "taken-") != NULL;
    if (!(must && !stage_refused) && !(must_not && stage_refused))
        return 0;
    fprintf(stderr, "%s: %s\n", name, must ? "nothing was refused" : ronde_last_error());
    return 1;
}

static int replay(const char *path)
{
    enum { MOST = 1 << 20 };
    static uint8_t data[MOST];
    const char *slash = strrchr(path, '/');
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t bytes = fread(data, 1, MOST, file);
    fclose(file);
    if (stage_tells)
        puts(path);
    stage_refused = 0;
    LLVMFuzzerTestOneInput(data, bytes);
    return ends_otherwise(slash ? slash + 1 : path);
}

/* Replays a script, and writes what it makes as an input of the other kinds. */
static int convert(const char *script, const char *messages, const char *records)
{
    as_messages = fopen(messages, "wb");
    as_records = fopen(records, "wb");
    int failed = !as_messages || !as_records || replay(script);
    failed |= as_messages && fclose(as_messages);
    failed |= as_records && fclose(as_records);
    return failed;
}

/* fuzz_message [-v] FILE...: -v tells each file and what was refused in it.
 * fuzz_message -c SCRIPT MESSAGES RECORDS: writes the latter two. */
int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "-c") == 0)
        return convert(argv[2], argv[3], argv[4]);
    stage_tells = argc > 1 && strcmp(argv[1], "-v") == 0;
    int first = 1 + stage_tells, failed = first >= argc;
    for (int i = first; i < argc; i++)
        failed |= replay(argv[i]);
    printf("%d inputs\n", argc - first);
    return failed;
}
#endif
