/* The bytes of the control path's records: what is written reads the same, and nothing else reads. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "collectives/schedule.h"
#include "coordinator/message.h"
#include "ronde.h"

static const uint64_t rows[] = {0, 11, 1, UINT64_MAX}, absent[] = {4, 7};
#define SIGNATURE \
    { \
        .kind = KIND_ALLGATHER, .dtype = RONDE_FLOAT16, .op = RONDE_MAX, .dimensions = 3, \
        .flags = SIGNATURE_SPLITS, .root = 5, .prescale = 0.5, .postscale = -3, \
        .group = 1ull << 63, .group_size = 9, .shape = { \
            2, \
            1ull << 40, \
            0 \
        } \
    }
static const struct signature signature = SIGNATURE;

#define NAMED .name = "layer1.weight", .name_bytes = 13
#define NUMBERS .id = NO_ID, .batch = NO_ID, .lamport = 1ull << 50, .seen = 77

/* One of each type, with what such a record has. */
static const struct record examples[] = {
    {.type = RECORD_ANNOUNCE,
     .kind = KIND_ALLGATHER,
     .flags = RECORD_CACHEABLE | RECORD_SIGNED,
     .rank = 3,
     .waiting = 1,
     .deadline_ms = 1500,
     .signature = SIGNATURE,
     .text = "they differ",
     .text_bytes = 11,
     .rows = rows,
     .row_words = 4,
     .absent = absent,
     .absent_words = 2,
     NAMED,
     NUMBERS},
    {.type = RECORD_CACHED, .kind = KIND_ALLREDUCE, .rank = 1, .seen = 5, .id = 12, .batch = 1},
    {.type = RECORD_BATCH, .rank = 2, .seen = UINT64_MAX, .id = 3, .waiting = 1},
    {.type = RECORD_PARTIAL,
     .kind = KIND_BROADCAST,
     .rank = 2,
     .age_ms = UINT32_MAX,
     .rows = rows,
     .row_words = 3,
     NAMED,
     NUMBERS},
    {.type = RECORD_RUN,
     .kind = KIND_ALLGATHER,
     .flags = RECORD_LAST | RECORD_SIGNED,
     .algorithm = 1,
     .signature = SIGNATURE,
     .rows = rows,
     .row_words = 2,
     .absent = absent,
     .absent_words = 1,
     NAMED,
     NUMBERS},
    {.type = RECORD_RUN_BATCH, .flags = RECORD_LAST, .id = 4, .batch = 4},
    {.type = RECORD_ERROR,
     .kind = KIND_SEND,
     .flags = RECORD_VOIDS,
     .status = RONDE_ERR_MISMATCH,
     .name = "3>5:p",
     .name_bytes = 5,
     .text = "dtype differs",
     .text_bytes = 13,
     NUMBERS},
    {.type = RECORD_FATAL, .status = RONDE_ERR_PEER, .text = "lost", .text_bytes = 4, NUMBERS},
    {.type = RECORD_PING, .rank = 6, .rows = rows, .row_words = 1, NUMBERS},
    {.type = RECORD_PONG, .rank = -1, .rows = rows, .row_words = 4, NUMBERS},
};
enum { EXAMPLES = sizeof(examples) / sizeof(examples[0]), LENGTH = sizeof(uint32_t) };

/* ---- helpers --------------------------------------------------------------------------------- */

/* The record's bytes, without the length, at the end of memory of their own; the caller's. */
static char *bytes_of(const struct record *record, size_t *n)
{
    struct writer writer = {0};
    ronde__record_write(&writer, record);
    *n = writer.bytes - LENGTH;
    char *bytes = malloc(*n);
    if (writer.failed || !bytes)
        abort();
    memcpy(bytes, writer.data + LENGTH, *n);
    ronde__writer_free(&writer);
    return bytes;
}

static int reads(const struct record *record)
{
    size_t n;
    struct record read;
    char *bytes = bytes_of(record, &n);
    int is_read = ronde__record_read(&read, bytes, n);
    free(bytes);
    return is_read;
}

/* Where the bytes of two records begin to differ. */
static size_t difference(const struct record *a, const struct record *b)
{
    size_t of_a, of_b, at = 0;
    char *bytes = bytes_of(a, &of_a), *others = bytes_of(b, &of_b);
    while (at < of_a && at < of_b && bytes[at] == others[at])
        at++;
    free(bytes);
    free(others);
    return at;
}

static int same_texts(const char *a, uint32_t a_bytes, const char *b, uint32_t b_bytes)
{
    return a_bytes == b_bytes && (a_bytes == 0 || memcmp(a, b, a_bytes) == 0);
}

static int same_words(const void *a, uint32_t of_a, const void *b, uint32_t of_b)
{
    for (uint32_t i = 0; i < of_a && of_a == of_b; i++)
        if (ronde__record_word(a, i) != ronde__record_word(b, i))
            return 0;
    return of_a == of_b;
}

static int same_signatures(const struct signature *a, const struct signature *b)
{
    return ronde__signature_equal(a, b) && a->kind == b->kind && a->group_size == b->group_size &&
           memcmp(a->shape, b->shape, a->dimensions * sizeof(a->shape[0])) == 0;
}

static int same(const struct record *a, const struct record *b)
{
    return a->type == b->type && a->kind == b->kind && a->flags == b->flags &&
           a->algorithm == b->algorithm && a->id == b->id && a->batch == b->batch &&
           a->rank == b->rank && a->status == b->status && a->waiting == b->waiting &&
           a->deadline_ms == b->deadline_ms && a->age_ms == b->age_ms && a->seen == b->seen &&
           a->lamport == b->lamport && same_signatures(&a->signature, &b->signature) &&
           same_texts(a->name, a->name_bytes, b->name, b->name_bytes) &&
           same_texts(a->text, a->text_bytes, b->text, b->text_bytes) &&
           same_words(a->rows, a->row_words, b->rows, b->row_words) &&
           same_words(a->absent, a->absent_words, b->absent, b->absent_words);
}

/* ---- what is written ------------------------------------------------------------------------- */

static void every_type_reads_as_it_was_written(void)
{
    unsigned types = 0;
    for (int i = 0; i < EXAMPLES; i++) {
        size_t n;
        struct record record;
        char *bytes = bytes_of(&examples[i], &n);
        int is_same = ronde__record_read(&record, bytes, n) && same(&record, &examples[i]);
        free(bytes);
        CHECK_SAYING(is_same, "type %d reads otherwise", examples[i].type);
        types |= 1u << examples[i].type;
    }
    CHECK(types == (1u << (RECORD_PONG + 1)) - 2);
}

static void the_records_of_a_message_follow_each_other(void)
{
    struct writer writer = {0};
    size_t starts[EXAMPLES], at = 0, n;
    const char *place;
    struct record record;
    for (int i = 0; i < EXAMPLES; i++)
        starts[i] = ronde__record_write(&writer, &examples[i]);
    CHECK(!writer.failed);
    for (int i = 0; i < EXAMPLES; i++) {
        CHECK(at == starts[i]);
        CHECK(ronde__record_next(writer.data, writer.bytes, &at, &place, &n));
        CHECK(place == writer.data + starts[i] + LENGTH);
        CHECK(ronde__record_read(&record, place, n) && same(&record, &examples[i]));
    }
    CHECK(at == writer.bytes);
    CHECK(!ronde__record_next(writer.data, writer.bytes, &at, &place, &n) && at == writer.bytes);
    ronde__writer_free(&writer);
    CHECK(!writer.data && !writer.bytes && !writer.room);
}

static void an_announcement_is_always_signed(void)
{
    struct record record = examples[0], read;
    size_t n;
    record.flags = 0;
    char *bytes = bytes_of(&record, &n);
    int is_read = ronde__record_read(&read, bytes, n);
    free(bytes);
    CHECK(is_read && read.flags == RECORD_SIGNED && same_signatures(&read.signature, &signature));
}

static void names_and_shapes_may_be_as_long_as_there_is_room(void)
{
    char name[NAME_ROOM];
    memset(name, 'n', sizeof(name));
    struct record record = examples[0];
    record.name = name;
    record.name_bytes = sizeof(name);
    record.signature.dimensions = SHAPE_DIMENSIONS;
    CHECK(reads(&record));
}

/* ---- what is not ----------------------------------------------------------------------------- */

static void no_part_of_a_record_reads(void)
{
    for (int i = 0; i < EXAMPLES; i++) {
        size_t n;
        struct record record;
        char *bytes = bytes_of(&examples[i], &n);
        for (size_t part = 0; part < n; part++) {
            char *exact = malloc(part ? part : 1);
            if (!exact)
                abort();
            memcpy(exact, bytes, part);
            int is_read = ronde__record_read(&record, exact, part);
            free(exact);
            if (is_read)
                check_fail(__FILE__, __LINE__, "type %d: %zu of %zu bytes read", examples[i].type,
                           part, n);
        }
        free(bytes);
    }
}

static void a_record_with_more_behind_it_does_not_read(void)
{
    for (int i = 0; i < EXAMPLES; i++) {
        size_t n;
        struct record record;
        char *bytes = bytes_of(&examples[i], &n), *longer = realloc(bytes, n + 8);
        if (!longer)
            abort();
        memset(longer + n, 0, 8);
        int is_read = ronde__record_read(&record, longer, n + 1) ||
                      ronde__record_read(&record, longer, n + 8);
        free(longer);
        CHECK_SAYING(!is_read, "type %d reads with more behind it", examples[i].type);
    }
}

/* Puts the number where two records differ that have 1 and 2 of something. */
static int reads_with(const struct record *one, const struct record *two, uint32_t count)
{
    size_t n, at = difference(one, two);
    struct record record;
    char *bytes = bytes_of(one, &n);
    memcpy(bytes + at, &count, sizeof(count));
    int is_read = ronde__record_read(&record, bytes, n);
    free(bytes);
    return is_read;
}

static void counts_that_lie_are_refused(void)
{
    static const uint32_t lies[] = {0, 2, 255, 1u << 16, 1u << 29, 1u << 31, UINT32_MAX};
    for (int field = 0; field < 4; field++) {
        struct record one = examples[0], two = examples[0];
        uint32_t *of_one[] = {&one.name_bytes, &one.text_bytes, &one.row_words, &one.absent_words};
        uint32_t *of_two[] = {&two.name_bytes, &two.text_bytes, &two.row_words, &two.absent_words};
        *of_one[field] = 1;
        *of_two[field] = 2;
        CHECK(reads(&one) && reads(&two) && reads_with(&one, &two, 1));
        for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
            CHECK_SAYING(!reads_with(&one, &two, lies[i]), "field %d: 1 reads as %u", field,
                         lies[i]);
    }
}

static void dimensions_that_lie_are_refused(void)
{
    struct record one = examples[0], two = examples[0];
    one.signature.dimensions = 1;
    two.signature.dimensions = 2;
    size_t n, at = difference(&one, &two);
    struct record record;
    char *bytes = bytes_of(&one, &n);
    for (int lie = 0; lie < 256; lie++) {
        bytes[at] = (char)lie;
        if (ronde__record_read(&record, bytes, n) != (lie == 1))
            check_fail(__FILE__, __LINE__, "1 dimension reads as %d", lie);
    }
    free(bytes);
}

/* Even where there are bytes for them. */
static void more_dimensions_than_there_is_room_for_are_refused(void)
{
    struct record few = examples[0], more = examples[0], one = examples[0], two = examples[0];
    few.signature.dimensions = SHAPE_DIMENSIONS - 1;
    more.signature.dimensions = SHAPE_DIMENSIONS;
    one.row_words = 1;
    two.row_words = 2;
    size_t n, dimensions = difference(&few, &more), words = difference(&one, &two);
    const uint32_t fewer = 3;
    struct record record;
    char *bytes = bytes_of(&more, &n); /* its first row becomes a dimension */
    bytes[dimensions] = SHAPE_DIMENSIONS + 1;
    memcpy(bytes + words, &fewer, sizeof(fewer));
    int is_read = ronde__record_read(&record, bytes, n);
    free(bytes);
    CHECK(!is_read);
}

/* Whatever byte changes, what still reads is what would have been written. */
static void a_changed_byte_reads_as_written_or_not_at_all(void)
{
    for (int i = 0; i < EXAMPLES; i++) {
        size_t n, again;
        struct record record;
        char *bytes = bytes_of(&examples[i], &n);
        for (size_t at = 0; at < n; at++)
            for (int change = 1; change < 256; change++) {
                bytes[at] ^= (char)change;
                char *others = ronde__record_read(&record, bytes, n) ? bytes_of(&record, &again)
                                                                     : NULL;
                if (others && (again != n || memcmp(others, bytes, n) != 0))
                    check_fail(__FILE__, __LINE__, "type %d, byte %zu", examples[i].type, at);
                free(others);
                bytes[at] ^= (char)change;
            }
        free(bytes);
    }
}

static void the_length_before_a_record_is_not_trusted(void)
{
    struct writer writer = {0};
    ronde__record_write(&writer, &examples[1]);
    const uint32_t whole = (uint32_t)(writer.bytes - LENGTH);
    const uint32_t lies[] = {whole + 1, whole + 4, 1u << 31, UINT32_MAX - 3, UINT32_MAX};
    size_t at, n;
    const char *place;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        at = 0;
        memcpy(writer.data, &lies[i], LENGTH);
        CHECK(!ronde__record_next(writer.data, writer.bytes, &at, &place, &n) && at == 0);
    }
    memcpy(writer.data, &whole, LENGTH);
    for (size_t bytes = 0; bytes < writer.bytes; bytes++) {
        at = 0;
        CHECK(!ronde__record_next(writer.data, bytes, &at, &place, &n) && at == 0);
    }
    CHECK(ronde__record_next(writer.data, writer.bytes, &at, &place, &n) && n == whole);
    ronde__writer_free(&writer);
}

static void names_are_texts_of_a_length_that_users_can_pass(void)
{
    char name[NAME_ROOM + 1];
    memset(name, 'n', sizeof(name));
    struct record record = examples[0];
    record.name = name;
    record.name_bytes = NAME_ROOM + 1;
    CHECK(!reads(&record)); /* too long */
    record.name_bytes = 3;
    CHECK(reads(&record));
    for (int i = 0; i < 3; i++) {
        name[i] = 0;
        CHECK(!reads(&record)); /* ends before its end */
        name[i] = 'n';
    }
}

static void texts_have_a_longest(void)
{
    enum { MORE = 1 << 16 };
    char *text = calloc(MORE, 1);
    struct record record = examples[6];
    record.text = text;
    record.text_bytes = 4096;
    int is_read = text && reads(&record);
    record.text_bytes = MORE;
    int long_one_is_read = text && reads(&record);
    free(text);
    CHECK(is_read && !long_one_is_read);
}

static void what_must_have_a_name_has_one(void)
{
    for (int i = 0; i < EXAMPLES; i++) {
        struct record record = examples[i];
        int needs = record.type == RECORD_ANNOUNCE || record.type == RECORD_PARTIAL ||
                    record.type == RECORD_ERROR || record.type == RECORD_RUN;
        record.name_bytes = 0;
        CHECK_SAYING(reads(&record) == !needs, "type %d without a name", record.type);
        record.id = 0;
        if (record.type == RECORD_RUN)
            CHECK(reads(&record)); /* by number */
    }
}

/* What no rank writes. */
static void impossible_values_are_refused(void)
{
    const struct record good = examples[0];
    CHECK(reads(&good));
#define REFUSES(change) \
    do { \
        struct record record = good; \
        record.change; \
        CHECK_SAYING(!reads(&record), "reads with %s", #change); \
    } while (0)
    REFUSES(type = 0);
    REFUSES(type = RECORD_PONG + 1);
    REFUSES(type = 255);
    REFUSES(kind = KIND_RECV);
    REFUSES(kind = KINDS);
    REFUSES(kind = KIND_REDUCE); /* the signature has another */
    REFUSES(flags |= 32);
    REFUSES(flags |= 128);
    REFUSES(algorithm = ALGORITHM_BINOMIAL); /* of no reduction */
    REFUSES(algorithm = 255);
    REFUSES(signature.kind = KINDS);
    REFUSES(signature.kind = KIND_RECV);
    REFUSES(signature.dtype = RONDE_FLOAT64 + 1);
    REFUSES(signature.op = RONDE_WEIGHTED_AVERAGE + 1);
    REFUSES(signature.group_size = 0);
#undef REFUSES
    struct record pair = good;
    pair.kind = KIND_SEND;
    pair.signature.kind = KIND_RECV; /* the receiving end of one */
    CHECK(reads(&pair));
}

static void words_are_read_where_they_lie(void)
{
    char memory[3 * sizeof(uint64_t) + 1];
    memcpy(memory + 1, rows, 3 * sizeof(uint64_t));
    for (size_t i = 0; i < 3; i++)
        CHECK(ronde__record_word(memory + 1, i) == rows[i]);
}

int main(void)
{
    RUN(every_type_reads_as_it_was_written);
    RUN(the_records_of_a_message_follow_each_other);
    RUN(an_announcement_is_always_signed);
    RUN(names_and_shapes_may_be_as_long_as_there_is_room);
    RUN(no_part_of_a_record_reads);
    RUN(a_record_with_more_behind_it_does_not_read);
    RUN(counts_that_lie_are_refused);
    RUN(dimensions_that_lie_are_refused);
    RUN(more_dimensions_than_there_is_room_for_are_refused);
    RUN(a_changed_byte_reads_as_written_or_not_at_all);
    RUN(the_length_before_a_record_is_not_trusted);
    RUN(names_are_texts_of_a_length_that_users_can_pass);
    RUN(texts_have_a_longest);
    RUN(what_must_have_a_name_has_one);
    RUN(impossible_values_are_refused);
    RUN(words_are_read_where_they_lie);
    return check_result();
}
