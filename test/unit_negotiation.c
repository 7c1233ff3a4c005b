/* The table of who has submitted what, alone: six ranks whose global numbers are ten times theirs, seen
 * by a leader whose contributors are ranks 0 and 1, a child with 2 and 3, and a child with 4 and 5; or
 * by one below, whose contributors are the ranks 2 and 3. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "check.h"
#include "coordinator/negotiation.h"
#include "ronde.h"

enum { SIZE = 6, CONTRIBUTORS = 4, CAPACITY = 2 };
static const int contributor_of[SIZE] = {0, 1, 2, 2, 3, 3}, global[SIZE] = {0, 10, 20, 30, 40, 50};
static const int first_of[CONTRIBUTORS] = {0, 1, 2, 4}; /* the lowest rank of a contributor */

static struct negotiation *table;

static void open_with(const struct family *family)
{
    if (ronde__negotiation_open(&table, family, CAPACITY))
        abort();
}

static void begin_as(int is_root)
{
    const struct family family = {CONTRIBUTORS, SIZE, contributor_of, global, is_root};
    open_with(&family);
}

static void begin(void)
{
    begin_as(0);
}

static void begin_below(void)
{
    static const int of[SIZE] = {-1, -1, 0, 1, -1, -1};
    const struct family family = {2, SIZE, of, global, 0};
    open_with(&family);
}

static void end(void)
{
    ronde__negotiation_close(table);
    table = NULL;
}

/* ---- saying ---------------------------------------------------------------------------------- */

static struct record named(uint8_t kind, const char *name)
{
    return (struct record){.type = RECORD_ANNOUNCE,
                           .kind = kind,
                           .flags = RECORD_CACHEABLE | RECORD_SIGNED,
                           .id = NO_ID,
                           .batch = NO_ID,
                           .signature = {.kind = kind,
                                         .dtype = RONDE_FLOAT32,
                                         .prescale = 1,
                                         .postscale = 1,
                                         .dimensions = 1,
                                         .shape = {8}},
                           .name = name,
                           .name_bytes = (uint32_t)strlen(name)};
}

static struct record tensor(const char *name)
{
    return named(KIND_ALLREDUCE, name);
}

static struct record numbered(uint32_t id)
{
    return (struct record){.type = RECORD_CACHED, .id = id, .batch = NO_ID};
}

static int64_t now_ns;

/* The contributor says it, for its lowest rank: *complete is what this completed, or NULL. */
static int32_t say(int contributor, struct record record, struct entry **complete)
{
    struct entry *entry;
    *complete = NULL;
    record.rank = record.rank ? record.rank : first_of[contributor];
    int32_t status = ronde__negotiation_open_entry(table, &record, &entry);
    return status ? status
                  : ronde__negotiation_add(table, contributor, entry, &record, now_ns, complete);
}

/* 1 where that was no error and completed nothing. */
static int is_said(int contributor, struct record record)
{
    struct entry *complete;
    return !say(contributor, record, &complete) && !complete;
}

/* The entry that it completed, or NULL. */
static struct entry *completed_by(int contributor, struct record record)
{
    struct entry *complete;
    return say(contributor, record, &complete) ? NULL : complete;
}

static int is_refused(int contributor, struct record record, const char *why)
{
    struct entry *complete;
    return say(contributor, record, &complete) == RONDE_ERR_SYSTEM && !complete &&
           strstr(ronde_last_error(), why);
}

/* All say it: the entry, complete. */
static struct entry *all_say(struct record record)
{
    for (int c = 0; c + 1 < CONTRIBUTORS; c++)
        if (!is_said(c, record))
            return NULL;
    return completed_by(CONTRIBUTORS - 1, record);
}

static struct entry *entry_of(const char *name)
{
    return ronde__negotiation_find(table, KIND_ALLREDUCE, name, strlen(name));
}

static int on_the_table(void)
{
    int entries = 0;
    for (const struct entry *e = ronde__negotiation_oldest(table); e; e = e->later)
        entries++;
    return entries;
}

/* ---- deciding -------------------------------------------------------------------------------- */

static uint64_t decisions;

static int32_t run(const char *name, uint32_t id)
{
    struct record record = tensor(name);
    record.type = RECORD_RUN;
    record.flags = RECORD_LAST;
    record.id = id;
    return ronde__negotiation_follow(table, &record, ++decisions);
}

static int32_t fail_with(int32_t status, const char *name)
{
    struct record record = ronde__record_error(KIND_ALLREDUCE, name, (uint32_t)strlen(name), status,
                                               "why");
    record.flags = status == RONDE_ERR_STALLED ? RECORD_VOIDS : 0;
    return ronde__negotiation_follow(table, &record, ++decisions);
}

/* ---- completion ------------------------------------------------------------------------------ */

static void a_tensor_is_complete_when_every_contributor_has_announced_it(void)
{
    static const int orders[][CONTRIBUTORS] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        begin();
        for (int k = 0; k + 1 < CONTRIBUTORS; k++) {
            CHECK(is_said(orders[i][k], tensor("a")));
            CHECK(is_said(orders[i][k], tensor("b")));
            CHECK(on_the_table() == 2);
        }
        struct entry *a = completed_by(orders[i][CONTRIBUTORS - 1], tensor("a"));
        CHECK(a && a == entry_of("a") && a->complete && a->rank == 0 && !a->conflict);
        CHECK(!a->absent.count && !a->rows.count && !entry_of("b")->complete);
        end();
    }
}

static void the_same_name_of_another_kind_is_another_tensor(void)
{
    begin();
    CHECK(is_said(0, tensor("a")) && is_said(0, named(KIND_BROADCAST, "a")));
    CHECK(is_said(0, tensor("a0")) && is_said(0, named(KIND_ALLREDUCE, "A")));
    CHECK(on_the_table() == 4);
    end();
}

static void announcing_twice_is_refused(void)
{
    begin();
    CHECK(is_said(2, tensor("a")));
    CHECK(is_refused(2, tensor("a"), "'a' was announced twice by the subtree of rank 20"));
    end();
}

static void the_oldest_comes_first(void)
{
    begin();
    now_ns = 5000;
    CHECK(is_said(1, tensor("first")));
    now_ns = 7000;
    CHECK(is_said(1, tensor("second")) && is_said(0, tensor("first")));
    const struct entry *oldest = ronde__negotiation_oldest(table);
    CHECK(oldest == entry_of("first") && oldest->since_ns == 5000);
    CHECK(oldest->later == entry_of("second") && oldest->later->since_ns == 7000);
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "first"));
    CHECK(ronde__negotiation_oldest(table) == entry_of("second") && !entry_of("first"));
    end();
}

static void the_least_that_was_seen_is_passed_up(void)
{
    static const uint64_t seen[CONTRIBUTORS] = {7, 4, 9, 5};
    begin();
    for (int c = 0; c < CONTRIBUTORS; c++) {
        struct record record = tensor("a");
        record.seen = seen[c];
        struct entry *complete;
        CHECK(!say(c, record, &complete) && (c + 1 < CONTRIBUTORS) == !complete);
    }
    const struct record up = ronde__negotiation_up(entry_of("a"), now_ns);
    CHECK(up.seen == 4 && up.rank == 0 && up.type == RECORD_ANNOUNCE);
    CHECK(up.flags == RECORD_CACHEABLE && up.name_bytes == 1 && up.name[0] == 'a');
    CHECK(!up.text_bytes && !up.row_words && !up.absent_words);
    end();
}

static void words_of_all_are_passed_up(void)
{
    begin();
    for (uint64_t c = 0; c < CONTRIBUTORS; c++) {
        const uint64_t words[] = {c, 100 + c};
        struct record record = named(KIND_ALLGATHER, "a");
        record.rows = words;
        record.row_words = 2;
        struct entry *complete;
        CHECK(!say((int)c, record, &complete));
    }
    const struct record up = ronde__negotiation_up(ronde__negotiation_oldest(table), now_ns);
    CHECK(up.row_words == 2 * CONTRIBUTORS);
    for (uint64_t c = 0; c < CONTRIBUTORS; c++)
        CHECK(ronde__record_word(up.rows, 2 * c) == c &&
              ronde__record_word(up.rows, 2 * c + 1) == 100 + c);
    end();
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void a_number_stands_for_the_name_from_then_on(void)
{
    begin();
    struct entry *a = all_say(tensor("a"));
    CHECK(a && ronde__negotiation_number(table, a) == 0);
    CHECK(!run("a", 0) && ronde__negotiation_by_number(table, 0) == a && on_the_table() == 0);
    CHECK(all_say(numbered(0)) == a && a->cached_only);
    const struct record up = ronde__negotiation_up(a, now_ns);
    CHECK(up.type == RECORD_CACHED && up.id == 0 && up.kind == KIND_ALLREDUCE && !up.name_bytes);
    CHECK(ronde__negotiation_number(table, a) == 0); /* for ever */
    const struct record as_named = tensor("a");
    CHECK(ronde__signature_equal(&up.signature, &as_named.signature));
    CHECK(!run("a", 0) && !a->announced && !a->complete);
    end();
}

static void one_name_among_numbers_is_passed_up_as_a_name(void)
{
    begin();
    CHECK(all_say(tensor("a")) && !run("a", 0));
    CHECK(is_said(0, numbered(0)) && is_said(1, numbered(0)) && is_said(2, tensor("a")));
    struct entry *a = completed_by(3, numbered(0));
    CHECK(a && !a->cached_only && !a->conflict);
    CHECK(ronde__negotiation_up(a, now_ns).type == RECORD_ANNOUNCE);
    end();
}

static void another_shape_by_name_conflicts_with_the_number(void)
{
    begin();
    CHECK(all_say(tensor("a")) && !run("a", 0));
    struct record other = tensor("a");
    other.signature.shape[0] = 9;
    CHECK(is_said(3, other) && is_said(0, numbered(0)) && is_said(1, numbered(0)));
    struct entry *a = completed_by(2, numbered(0));
    CHECK(a && a->conflict && strstr(a->conflict, "rank 0 has [8], rank 40 has [9]"));
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a") && a->id == 0); /* the number holds */
    CHECK(all_say(numbered(0)) == a && !a->conflict);
    end();
}

static void numbers_run_out(void)
{
    begin();
    struct entry *entry[3];
    static const char *const names[] = {"a", "b", "c"};
    static const uint32_t numbers[] = {0, 1, NO_ID};
    for (int i = 0; i < 3; i++) {
        entry[i] = all_say(tensor(names[i]));
        CHECK(entry[i] && ronde__negotiation_number(table, entry[i]) == numbers[i]);
        CHECK(!run(names[i], numbers[i]));
    }
    CHECK(entry_of("a") && entry_of("b") && !entry_of("c")); /* what has none is forgotten */
    CHECK(!ronde__negotiation_by_number(table, CAPACITY));
    CHECK(!ronde__negotiation_by_number(table, NO_ID));
    end();
}

static void one_rank_can_deny_the_number(void)
{
    begin();
    struct record drawn = tensor("a");
    drawn.flags = RECORD_SIGNED;
    CHECK(is_said(0, tensor("a")) && is_said(1, drawn) && is_said(2, tensor("a")));
    struct entry *a = completed_by(3, tensor("a"));
    CHECK(a && ronde__negotiation_number(table, a) == NO_ID);
    CHECK(ronde__negotiation_up(a, now_ns).flags == 0);
    end();
}

static void numbers_that_lie_are_refused(void)
{
    begin();
    CHECK(is_refused(0, numbered(0), "allreduce number 0, which nobody was given"));
    CHECK(is_refused(0, numbered(CAPACITY), "nobody was given"));
    CHECK(is_refused(0, numbered(NO_ID), "nobody was given"));
    CHECK(all_say(tensor("a")) && !run("a", 0));
    struct record other = numbered(0);
    other.kind = KIND_BROADCAST;
    CHECK(is_refused(0, other, "broadcast number 0, which nobody was given"));
    CHECK(run("a", 1) == RONDE_ERR_SYSTEM && run("a", NO_ID) == RONDE_ERR_SYSTEM);
    CHECK(all_say(tensor("b")) && run("b", 0) == RONDE_ERR_SYSTEM);
    CHECK(strstr(ronde_last_error(), "'b' is to have number 0"));
    CHECK(run("b", CAPACITY) == RONDE_ERR_SYSTEM);
    CHECK(ronde__negotiation_by_number(table, 0) == entry_of("a"));
    CHECK(!run("b", 1) && ronde__negotiation_by_number(table, 1) == entry_of("b"));
    end();
}

/* ---- disagreement ---------------------------------------------------------------------------- */

static void the_lowest_ranks_values_are_named(void)
{
    static const int orders[][CONTRIBUTORS] = {{0, 1, 2, 3}, {3, 1, 0, 2}, {1, 0, 2, 3}};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        begin();
        for (int k = 0; k < CONTRIBUTORS; k++) {
            struct record record = tensor("a");
            if (orders[i][k] == 1)
                record.signature.dtype = RONDE_INT8;
            struct entry *complete;
            CHECK(!say(orders[i][k], record, &complete));
        }
        const struct entry *a = entry_of("a");
        CHECK(a->complete && a->conflict);
        /* who came before rank 1, or after it: the lowest of them */
        const char *other = i == 1 ? "rank 10 has int8, rank 40 has float32"
                                   : "rank 0 has float32, rank 10 has int8";
        CHECK_SAYING(strstr(a->conflict, "allreduce 'a': dtype differs") &&
                         strstr(a->conflict, other),
                     "%s", a->conflict);
        end();
    }
}

static void every_difference_is_found(void)
{
    static const char *const what[] = {"dtype", "shape",    "shape",     "op",      "root",
                                       "group", "prescale", "postscale", "division"};
    for (int i = 0; i < 9; i++) {
        struct record record = tensor("a");
        struct signature *s = &record.signature;
        switch (i) {
        case 0: s->dtype = RONDE_BFLOAT16; break;
        case 1: s->shape[0] = 0; break;
        case 2: s->dimensions = 2; break;
        case 3: s->op = RONDE_MIN; break;
        case 4: s->root = 1; break;
        case 5: s->group = 7; break;
        case 6: s->prescale = -0.0; break;
        case 7: s->postscale = 2; break;
        default: s->flags = SIGNATURE_DIVIDE_SIZE; break;
        }
        begin();
        CHECK(is_said(0, tensor("a")) && is_said(1, record));
        const char *conflict = entry_of("a")->conflict;
        CHECK_SAYING(conflict && strstr(conflict, what[i]), "%s: %s", what[i],
                     conflict ? conflict : "no conflict");
        end();
    }
}

static void rows_may_differ_where_they_may(void)
{
    begin();
    struct record one = named(KIND_ALLGATHER, "g"), other = one;
    other.signature.shape[0] = 1000;
    CHECK(is_said(0, one) && is_said(1, other));
    CHECK(!ronde__negotiation_oldest(table)->conflict);
    end();
}

static void the_first_conflict_is_kept_and_passed_up(void)
{
    begin();
    struct record told = tensor("a"), other = tensor("a");
    told.text = "found below, cut here";
    told.text_bytes = 11;
    other.signature.dtype = RONDE_INT8;
    CHECK(is_said(2, told) && is_said(0, tensor("a")) && is_said(1, other));
    struct entry *a = completed_by(3, tensor("a"));
    CHECK(a && strcmp(a->conflict, "found below") == 0);
    const struct record up = ronde__negotiation_up(a, now_ns);
    CHECK(up.text_bytes == 11 && memcmp(up.text, "found below", 11) == 0);
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a") && !entry_of("a") && on_the_table() == 0);
    end();
}

/* ---- joined ranks ---------------------------------------------------------------------------- */

/* 1 where that completes the entry. */
static int completes_with(struct entry *entry, int rank)
{
    int completes = 0;
    ronde__negotiation_join(table, rank);
    return !ronde__negotiation_completes(table, entry, &completes) && completes;
}

static int absent_are(const struct entry *entry, size_t n, const uint64_t *ranks)
{
    return entry->absent.count == n &&
           (n == 0 || memcmp(entry->absent.word, ranks, n * sizeof(*ranks)) == 0);
}

static void joined_ranks_are_not_waited_for(void)
{
    begin();
    ronde__negotiation_join(table, 4);
    ronde__negotiation_join(table, 4); /* the same */
    CHECK(ronde__negotiation_joined(table) == 1 && ronde__negotiation_has_joined(table, 4));
    CHECK(is_said(0, tensor("a")) && is_said(1, tensor("a")) && is_said(2, tensor("a")));
    struct entry *a = entry_of("a");
    CHECK(!a->complete && completes_with(a, 5)); /* the last one below contributor 3 */
    CHECK(absent_are(a, 2, (const uint64_t[]){4, 5}));
    int completes;
    CHECK(!ronde__negotiation_completes(table, a, &completes) && !completes); /* once */
    end();
}

static void joined_ranks_below_a_contributor_are_passed_up(void)
{
    begin();
    const uint64_t three = 3;
    struct record record = tensor("a");
    record.absent = &three;
    record.absent_words = 1;
    ronde__negotiation_join(table, 1);
    ronde__negotiation_join(table, 3);
    CHECK(is_said(2, record) && is_said(0, tensor("a")));
    struct entry *a = completed_by(3, tensor("a"));
    CHECK(a && absent_are(a, 2, (const uint64_t[]){3, 1}));
    CHECK(ronde__negotiation_up(a, now_ns).absent_words == 2);
    CHECK(!run("a", 0) && !a->absent.count);
    end();
}

static void nothing_is_complete_that_nobody_has_announced(void)
{
    begin();
    struct record partial = tensor("a");
    partial.type = RECORD_PARTIAL;
    CHECK(is_said(2, partial));
    for (int rank = 0; rank < SIZE; rank++)
        CHECK(!completes_with(entry_of("a"), rank));
    CHECK(ronde__negotiation_joined(table) == SIZE);
    ronde__negotiation_unjoin(table);
    CHECK(!ronde__negotiation_joined(table) && !ronde__negotiation_has_joined(table, 0));
    CHECK(is_said(0, tensor("a")) && is_said(1, tensor("a")) && is_said(2, tensor("a")));
    CHECK(completed_by(3, tensor("a"))); /* all are waited for again */
    end();
}

static void closing_waits_for_joined_ranks_too(void)
{
    begin();
    for (int rank = 1; rank < SIZE; rank++)
        ronde__negotiation_join(table, rank);
    CHECK(is_said(0, named(KIND_ALLGATHER, COORDINATOR_CLOSING)));
    CHECK(is_said(1, named(KIND_ALLGATHER, COORDINATOR_CLOSING)));
    CHECK(is_said(2, named(KIND_ALLGATHER, COORDINATOR_CLOSING)));
    CHECK(completed_by(3, named(KIND_ALLGATHER, COORDINATOR_CLOSING)));
    end();
}

static void a_root_that_has_joined_is_a_conflict(void)
{
    static const uint8_t kinds[] = {KIND_BROADCAST, KIND_REDUCE, KIND_GATHER, KIND_SCATTER,
                                    KIND_ALLREDUCE};
    for (int i = 0; i < 5; i++)
        for (int root = 30; root <= 50; root += 10) { /* global: 40 and 50 join */
            begin();
            struct record record = named(kinds[i], "a");
            record.signature.root = root;
            ronde__negotiation_join(table, 4);
            ronde__negotiation_join(table, 5);
            CHECK(is_said(0, record) && is_said(1, record));
            struct entry *a = completed_by(2, record);
            int fails = root > 30 && kinds[i] != KIND_ALLREDUCE;
            CHECK(a && !a->conflict == !fails);
            CHECK(!fails || strstr(a->conflict, root == 40 ? "its root, rank 40, has joined"
                                                           : "its root, rank 50, has joined"));
            end();
        }
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static struct record pair_end(const char *name, int rank, int receives)
{
    struct record record = named(KIND_SEND, name);
    record.rank = rank;
    record.flags = RECORD_SIGNED | (receives ? RECORD_RECEIVES : 0);
    if (receives)
        record.signature.kind = KIND_RECV;
    return record;
}

static void a_pair_is_complete_when_both_ends_are_there(void)
{
    for (int first = 0; first < 2; first++) {
        begin();
        struct record ends[] = {pair_end("1>4:p", 1, 0), pair_end("1>4:p", 4, 1)};
        CHECK(is_said(first ? 3 : 1, ends[first]));
        const struct entry *open = ronde__negotiation_oldest(table);
        CHECK(ronde__negotiation_missing_end(open) == (first ? 1 : 4));
        CHECK(ronde__negotiation_has_announced(table, open, first ? 4 : 1));
        CHECK(!ronde__negotiation_has_announced(table, open, first ? 1 : 4));
        CHECK(!ronde__negotiation_has_announced(table, open, 0));
        struct entry *pair = completed_by(first ? 1 : 3, ends[1 - first]);
        CHECK(pair && !pair->conflict && pair->ends[0] == 1 && pair->ends[1] == 4);
        end();
    }
}

static void a_rank_may_send_to_itself(void)
{
    begin();
    CHECK(is_said(2, pair_end("3>3:p", 3, 1)));
    CHECK(completed_by(2, pair_end("3>3:p", 3, 0)));
    end();
}

static void ends_that_differ_conflict(void)
{
    begin();
    struct record send = pair_end("1>4:p", 1, 0);
    send.signature.shape[0] = 3;
    CHECK(is_said(3, pair_end("1>4:p", 4, 1)));
    struct entry *pair = completed_by(1, send);
    CHECK(pair && pair->conflict);
    CHECK_SAYING(strcmp(pair->conflict,
                        "send 'p': shape differs: rank 10 has [3], rank 40 has [8]; "
                        "submit the same on every rank") == 0,
                 "%s", pair->conflict);
    end();
}

static void a_pair_whose_other_end_has_joined_fails(void)
{
    begin();
    CHECK(is_said(1, pair_end("1>4:p", 1, 0)) && is_said(2, pair_end("5>2:q", 2, 1)));
    struct entry *p = ronde__negotiation_oldest(table), *q = p->later;
    CHECK(completes_with(p, 4) && completes_with(q, 5));
    CHECK_SAYING(strcmp(p->conflict, "send 'p': rank 40 has joined, and rank 10 waits for it") == 0,
                 "%s", p->conflict);
    CHECK_SAYING(strcmp(q->conflict, "recv 'q': rank 50 has joined, and rank 20 waits for it") == 0,
                 "%s", q->conflict);
    /* and if it had joined before */
    struct entry *late = completed_by(0, pair_end("0>4:r", 0, 0));
    CHECK(late &&
          strcmp(late->conflict, "send 'r': rank 40 has joined, and rank 0 waits for it") == 0);
    end();
}

static void pairs_that_are_none_are_refused(void)
{
    static const char *const names[] = {
        "p",      "1",     ">1:p",           "1>:p",
        "1>4",    "1:4>p", "-1>4:p",         "1>-4:p",
        "6>1:p",  "1>6:p", "1>4 :p",         " 1>4:p",
        "+1>4:p", "1>>4:", "4294967297>4:p", "1>18446744073709551620:p"};
    begin();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK_SAYING(is_refused(1, pair_end(names[i], 1, 0), "is no pair of 6 ranks"), "%s: %s",
                     names[i], ronde_last_error());
    struct record partial = pair_end("1>4:p", 1, 0);
    partial.type = RECORD_PARTIAL;
    CHECK(is_refused(1, partial, "is no pair"));
    CHECK(is_refused(2, pair_end("1>4:p", 2, 0), "rank 20 announced an end of '1>4:p'"));
    CHECK(is_refused(1, pair_end("1>4:p", 1, 1), "rank 10 announced an end of '1>4:p'"));
    end();
    begin();
    CHECK(is_said(1, pair_end("1>4:p", 1, 0)));
    CHECK(is_refused(1, pair_end("1>4:p", 1, 0), "announced twice by rank 10"));
    end();
}

/* ---- stalls ---------------------------------------------------------------------------------- */

static struct record partial_of(const char *name, const uint64_t *ranks, uint32_t n)
{
    struct record record = tensor(name);
    record.type = RECORD_PARTIAL;
    record.rows = ranks;
    record.row_words = n;
    return record;
}

static void parts_of_a_subtree_are_known_and_do_not_count(void)
{
    const uint64_t ranks[] = {5, 6, UINT64_MAX};
    begin();
    now_ns = 10000000000;
    struct record part = partial_of("a", ranks, 3);
    part.age_ms = 4000;
    CHECK(is_said(0, tensor("a")) && is_said(3, part));
    struct entry *a = entry_of("a");
    CHECK(a->announced == 1 && a->since_ns == 6000000000); /* since the earliest */
    static const int announced[SIZE] = {1, 0, 0, 0, 0, 1};
    for (int rank = 0; rank < SIZE; rank++)
        CHECK(ronde__negotiation_has_announced(table, a, rank) == announced[rank]);
    part.age_ms = 1;
    CHECK(is_said(3, part) && a->since_ns == 6000000000);
    CHECK(is_said(1, tensor("a")) && is_said(2, tensor("a")));
    CHECK(ronde__negotiation_has_announced(table, a, 3)); /* all below who has announced */
    CHECK(completed_by(3, tensor("a")) == a);
    CHECK(!run("a", 0) && !ronde__negotiation_has_announced(table, a, 5));
    end();
}

static void the_least_deadline_counts(void)
{
    begin();
    now_ns = 1000;
    struct record record = tensor("a");
    CHECK(is_said(0, record) && entry_of("a")->deadline_ns == 0);
    record.deadline_ms = 50;
    CHECK(is_said(1, record) && entry_of("a")->deadline_ns == 50001000);
    now_ns = 2000;
    record.deadline_ms = 60;
    CHECK(is_said(2, record) && entry_of("a")->deadline_ns == 50001000);
    struct record part = partial_of("a", NULL, 0);
    part.deadline_ms = 1;
    CHECK(is_said(3, part) && entry_of("a")->deadline_ns == 1002000);
    part.deadline_ms = UINT32_MAX;
    CHECK(is_said(3, part) && entry_of("a")->deadline_ns == 1002000);
    struct entry *a = completed_by(3, tensor("a"));
    CHECK(a && ronde__negotiation_up(a, 2000).deadline_ms == 1);
    CHECK(ronde__negotiation_up(a, INT64_MAX).deadline_ms == 1); /* late, but there */
    CHECK(!run("a", 0) && ronde__negotiation_up(a, 2000).deadline_ms == 0);
    CHECK(entry_of("a")->deadline_ns == 0 && is_said(0, numbered(0)));
    CHECK(entry_of("a")->deadline_ns == 0);
    end();
}

static struct record having_seen(struct record record, uint64_t seen)
{
    record.seen = seen;
    return record;
}

static void what_was_announced_before_a_stall_failed_it_is_void(void)
{
    begin();
    decisions = 4;
    CHECK(is_said(0, having_seen(tensor("a"), 4)));
    CHECK(!fail_with(RONDE_ERR_STALLED, "a") && on_the_table() == 0); /* decision 5 */
    CHECK(is_said(1, having_seen(tensor("a"), 2)) && on_the_table() == 0);
    CHECK(is_said(2, having_seen(tensor("a"), 4)) && on_the_table() == 0);
    CHECK(is_said(0, having_seen(tensor("a"), 5)) && entry_of("a")->announced == 1);
    CHECK(is_said(1, having_seen(tensor("a"), 6)) && is_said(2, having_seen(tensor("a"), 5)));
    CHECK(completed_by(3, having_seen(tensor("a"), 9)));
    CHECK(!run("a", 0)); /* and now nothing is on its way any more */
    CHECK(is_said(1, having_seen(numbered(0), 2)) && on_the_table() == 1);
    end();
}

static void a_stall_of_what_nobody_here_has_announced_voids_too(void)
{
    begin();
    decisions = 4;
    CHECK(!fail_with(RONDE_ERR_STALLED, "a") && on_the_table() == 0);
    CHECK(is_said(1, having_seen(tensor("a"), 4)) && on_the_table() == 0);
    CHECK(is_said(1, having_seen(tensor("a"), 5)) && on_the_table() == 1);
    end();
}

static void a_mismatch_voids_nothing(void)
{
    begin();
    decisions = 4;
    CHECK(all_say(tensor("a")) && !fail_with(RONDE_ERR_MISMATCH, "a"));
    CHECK(!entry_of("a") && is_said(1, having_seen(tensor("a"), 4)) && on_the_table() == 1);
    end();
}

/* ---- groups ---------------------------------------------------------------------------------- */

static struct record grouped(const char *name, uint64_t group, uint64_t seen)
{
    struct record record = having_seen(tensor(name), seen);
    record.signature.group = group;
    record.signature.group_size = 2;
    return record;
}

static void a_failure_takes_the_group_along(void)
{
    begin();
    decisions = 0;
    CHECK(is_said(0, grouped("a", 7, 0)) && is_said(0, grouped("b", 7, 0)));
    CHECK(is_said(1, grouped("b", 7, 0)) && is_said(1, tensor("other")));
    CHECK(is_said(2, grouped("c", 8, 0)));
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a")); /* announced by contributor 0, in group 7 */
    struct entry *b = entry_of("b");
    CHECK(!entry_of("a") && b->announced == 1 && !b->by[0] && b->by[1]);
    CHECK(entry_of("c")->announced == 1 && entry_of("other")->announced == 1);
    end();
}

static void late_announcements_of_a_failed_group_are_dropped(void)
{
    begin();
    decisions = 3;
    CHECK(is_said(0, grouped("a", 7, 3)) && is_said(1, grouped("a", 7, 3)));
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a")); /* decision 4 */
    CHECK(is_said(0, grouped("b", 7, 3)) && on_the_table() == 0);
    CHECK(is_said(1, grouped("b", 7, 2)) && on_the_table() == 0);
    CHECK(is_said(2, grouped("b", 7, 3)) && on_the_table() == 1); /* its group has not failed */
    CHECK(is_said(0, grouped("b", 9, 3)) && entry_of("b")->announced == 2); /* in another */
    CHECK(is_said(1, grouped("b", 7, 4)) && entry_of("b")->announced == 3); /* it has seen it */
    end();
}

static void a_complete_mate_is_complete_no_more(void)
{
    begin();
    decisions = 0;
    struct entry *b = all_say(grouped("b", 7, 0));
    CHECK(b && b->complete && is_said(0, grouped("a", 7, 0)) && is_said(3, grouped("a", 7, 0)));
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a"));
    CHECK(!b->complete && b->announced == 2 && !b->by[0] && b->by[1] && b->by[2] && !b->by[3]);
    CHECK(is_said(0, grouped("b", 7, 1)));
    CHECK(completed_by(3, grouped("b", 7, 1)) == b);
    end();
}

static void what_a_rank_announces_anew_is_what_counts(void)
{
    begin();
    decisions = 0;
    CHECK(is_said(0, grouped("a", 7, 0)) && is_said(0, grouped("b", 7, 0)));
    CHECK(is_said(1, grouped("b", 7, 0)) && !fail_with(RONDE_ERR_MISMATCH, "a"));
    CHECK(is_said(0, grouped("b", 9, 1)) && entry_of("b")->signature.group == 9);
    CHECK(strstr(entry_of("b")->conflict, "group differs"));
    end();
}

static void one_groups_failure_spares_the_other_that_shares_a_name(void)
{
    begin();
    decisions = 0;
    CHECK(is_said(0, grouped("a", 7, 0)) && is_said(0, grouped("b", 7, 0)));
    CHECK(is_said(1, grouped("a", 8, 0)) && is_said(1, grouped("c", 8, 0)));
    CHECK(is_said(2, grouped("b", 9, 0)));
    CHECK(entry_of("a")->conflict && entry_of("b")->conflict); /* group differs */
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a"));
    CHECK(!ronde__negotiation_oldest(table)->later); /* c is nobody's any more */
    CHECK(entry_of("b")->announced == 1 && entry_of("b")->by[2] && !entry_of("c")->announced);
    end();
}

/* One rank has {a, b} in a group, the other a in another group or alone, and b alone: so a and b went up
 * with conflicts, in the group that the lower rank has them in. Only what was in the failing one's group
 * there is taken back there, and goes up again. */
static void what_is_taken_back_above_goes_up_again_and_nothing_else(void)
{
    static const uint64_t others[] = {8, 0};
    for (int i = 0; i < 4; i++) {
        int is_lower = i % 2, grouped_rank = is_lower ? 2 : 3;
        struct entry *complete;
        begin_below();
        decisions = 0;
        struct record a = grouped("a", 7, 0), b = grouped("b", 7, 0);
        struct record other_a = grouped("a", others[i / 2], 0), other_b = tensor("b");
        a.rank = b.rank = grouped_rank;
        other_a.rank = other_b.rank = 5 - grouped_rank;
        CHECK(!say(grouped_rank - 2, a, &complete) && !complete);
        CHECK(!say(3 - grouped_rank, other_a, &complete) && complete);
        CHECK(complete->signature.group == (is_lower ? 7 : others[i / 2]));
        CHECK(!say(grouped_rank - 2, b, &complete) && !complete);
        CHECK(!say(3 - grouped_rank, other_b, &complete) && complete && complete->conflict);
        CHECK(!fail_with(RONDE_ERR_MISMATCH, "a") && entry_of("b")->announced == 1);
        b.seen = 1;
        CHECK(!say(grouped_rank - 2, b, &complete) && !complete == !is_lower);
        CHECK(!fail_with(RONDE_ERR_MISMATCH, "b") && on_the_table() == 0);
        end();
    }
}

/* For all of them: those who announced them otherwise, too. */
static void the_root_fails_the_mates_by_name(void)
{
    begin_as(1);
    decisions = 0;
    CHECK(is_said(0, grouped("a", 7, 0)) && is_said(0, grouped("b", 7, 0)));
    CHECK(is_said(0, grouped("c", 7, 0)) && is_said(1, grouped("a", 8, 0)));
    CHECK(is_said(1, grouped("d", 8, 0)) && is_said(2, tensor("b")) && is_said(3, tensor("e")));
    CHECK(!ronde__negotiation_next_mate(table) && !fail_with(RONDE_ERR_MISMATCH, "a"));
    int seen = 0;
    for (struct entry *mate; (mate = ronde__negotiation_next_mate(table));) {
        CHECK(mate->doomed && !mate->complete && mate->announced && mate->name_bytes == 1);
        seen |= 1 << (mate->name[0] - 'a');
        CHECK(!fail_with(RONDE_ERR_MISMATCH, mate->name));
    }
    CHECK(seen == (1 << 1 | 1 << 2 | 1 << 3)); /* b, c, d: each once */
    CHECK(on_the_table() == 1 && ronde__negotiation_oldest(table) == entry_of("e"));
    end();
}

static void words_are_taken_back_with_their_announcement(void)
{
    begin();
    decisions = 0;
    ronde__negotiation_join(table, 4);
    ronde__negotiation_join(table, 5);
    const uint64_t absent = 3, words[][2] = {{0, 7}, {1, 8}, {2, 9}, {2, 10}};
    struct record record = grouped("b", 7, 0);
    record.row_words = 2;
    for (int c = 0; c < 3; c++) {
        struct entry *complete;
        record.rows = words[c];
        record.absent = c == 2 ? &absent : NULL;
        record.absent_words = c == 2;
        CHECK(!say(c, record, &complete) && !complete == (c < 2));
    }
    const struct entry *b = entry_of("b");
    CHECK(absent_are(b, 3, (const uint64_t[]){3, 4, 5}) && b->rows.count == 6);
    CHECK(is_said(2, grouped("a", 7, 0)) && !fail_with(RONDE_ERR_MISMATCH, "a"));
    CHECK(b->announced == 2 && absent_are(b, 0, NULL));
    CHECK(b->rows.count == 4 && memcmp(b->rows.word, words, 4 * sizeof(uint64_t)) == 0);
    record.seen = 1;
    record.rows = words[3];
    CHECK(completed_by(2, record) == b && absent_are(b, 3, (const uint64_t[]){3, 4, 5}));
    CHECK(b->rows.count == 6 && b->rows.word[5] == 10);
    end();
}

static void a_scatters_rows_are_its_roots_last_ones(void)
{
    const uint64_t words[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6};
    begin();
    decisions = 0;
    struct record root = grouped("s", 7, 0), other = root, mate = grouped("a", 7, 0);
    root.kind = other.kind = root.signature.kind = other.signature.kind = KIND_SCATTER;
    root.rows = words;
    root.row_words = 2 * SIZE;
    CHECK(is_said(1, root) && is_said(2, other) && is_said(2, mate));
    const struct entry *s = ronde__negotiation_oldest(table);
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a") && s->rows.count == 2 * SIZE); /* 1 still has them */
    CHECK(is_said(1, having_seen(mate, 1)) && !fail_with(RONDE_ERR_MISMATCH, "a"));
    CHECK(on_the_table() == 0);
    CHECK(is_said(0, having_seen(other, 2)) && is_said(1, having_seen(root, 2)));
    CHECK(is_said(1, having_seen(mate, 2)) && !fail_with(RONDE_ERR_MISMATCH, "a"));
    CHECK(is_said(1, having_seen(root, 3)) && s->rows.count == 2 * SIZE);
    end();
}

static void what_is_doomed_itself_is_not_voided(void)
{
    begin();
    decisions = 0;
    CHECK(is_said(0, grouped("a", 7, 0)) && is_said(0, grouped("b", 7, 0)));
    entry_of("b")->doomed = 1;
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "a") && entry_of("b")->announced == 1);
    end();
}

/* A stall elsewhere, of a tensor with a number, may find nothing announced here. */
static void an_error_of_what_is_not_announced_dooms_nothing_later(void)
{
    begin();
    decisions = 0;
    CHECK(all_say(tensor("a")) && !run("a", 0) && !fail_with(RONDE_ERR_STALLED, "a"));
    CHECK(is_said(0, grouped("a", 7, 2)) && is_said(0, grouped("b", 7, 2)));
    CHECK(!fail_with(RONDE_ERR_MISMATCH, "b"));
    CHECK(on_the_table() == 0 && is_said(0, grouped("a", 7, 3))); /* not twice */
    end();
}

/* ---- what others decide ---------------------------------------------------------------------- */

static void stalled_names_are_forgotten_when_many_more_have_stalled(void)
{
    enum { MANY = 1000, KEPT = 256 };
    char name[32];
    begin();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "allreduce#%d", i);
        CHECK(is_said(0, tensor(name)) && !fail_with(RONDE_ERR_STALLED, name));
        CHECK(entry_of(name)); /* others' announcements may be on their way */
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "allreduce#%d", i);
        CHECK_SAYING(!entry_of(name) == (i < MANY - KEPT), "%s", name);
    }
    CHECK(!run("allreduce#999", NO_ID) && !entry_of("allreduce#999")); /* which frees its place */
    CHECK(is_said(0, tensor("allreduce#999")) && !fail_with(RONDE_ERR_STALLED, "allreduce#999"));
    CHECK(entry_of("allreduce#999") && on_the_table() == 0);
    end();
}

static void a_run_for_joined_ranks_tells_the_signature(void)
{
    begin();
    struct entry *a = all_say(tensor("a"));
    CHECK(a && !run("a", 0));
    struct record record = tensor("a");
    record.type = RECORD_RUN;
    record.id = 0;
    record.flags = RECORD_SIGNED;
    record.signature.shape[0] = 99;
    CHECK(!ronde__negotiation_follow(table, &record, ++decisions) && a->agreed.shape[0] == 99);
    struct record unknown = numbered(1);
    unknown.type = RECORD_RUN;
    CHECK(!ronde__negotiation_follow(table, &unknown, ++decisions)); /* of others altogether */
    CHECK(!run("nobody's", NO_ID) && !fail_with(RONDE_ERR_MISMATCH, "nobody's"));
    CHECK(!entry_of("nobody's"));
    end();
}

static void a_leader_below_counts_its_own_ranks_only(void)
{
    struct entry *complete;
    begin_below();
    struct record record = tensor("a");
    record.rank = 3;
    CHECK(!say(1, record, &complete) && !complete);
    CHECK(!ronde__negotiation_has_announced(table, entry_of("a"), 0));
    ronde__negotiation_join(table, 0); /* not below here */
    CHECK(ronde__negotiation_joined(table) == 1);
    CHECK(completes_with(entry_of("a"), 2) && entry_of("a")->rank == 3);
    CHECK(absent_are(entry_of("a"), 1, (const uint64_t[]){2}));
    end();
}

int main(void)
{
    RUN(a_tensor_is_complete_when_every_contributor_has_announced_it);
    RUN(the_same_name_of_another_kind_is_another_tensor);
    RUN(announcing_twice_is_refused);
    RUN(the_oldest_comes_first);
    RUN(the_least_that_was_seen_is_passed_up);
    RUN(words_of_all_are_passed_up);
    RUN(a_number_stands_for_the_name_from_then_on);
    RUN(one_name_among_numbers_is_passed_up_as_a_name);
    RUN(another_shape_by_name_conflicts_with_the_number);
    RUN(numbers_run_out);
    RUN(one_rank_can_deny_the_number);
    RUN(numbers_that_lie_are_refused);
    RUN(the_lowest_ranks_values_are_named);
    RUN(every_difference_is_found);
    RUN(rows_may_differ_where_they_may);
    RUN(the_first_conflict_is_kept_and_passed_up);
    RUN(joined_ranks_are_not_waited_for);
    RUN(joined_ranks_below_a_contributor_are_passed_up);
    RUN(nothing_is_complete_that_nobody_has_announced);
    RUN(closing_waits_for_joined_ranks_too);
    RUN(a_root_that_has_joined_is_a_conflict);
    RUN(a_pair_is_complete_when_both_ends_are_there);
    RUN(a_rank_may_send_to_itself);
    RUN(ends_that_differ_conflict);
    RUN(a_pair_whose_other_end_has_joined_fails);
    RUN(pairs_that_are_none_are_refused);
    RUN(parts_of_a_subtree_are_known_and_do_not_count);
    RUN(the_least_deadline_counts);
    RUN(what_was_announced_before_a_stall_failed_it_is_void);
    RUN(a_stall_of_what_nobody_here_has_announced_voids_too);
    RUN(a_mismatch_voids_nothing);
    RUN(a_failure_takes_the_group_along);
    RUN(late_announcements_of_a_failed_group_are_dropped);
    RUN(a_complete_mate_is_complete_no_more);
    RUN(what_a_rank_announces_anew_is_what_counts);
    RUN(one_groups_failure_spares_the_other_that_shares_a_name);
    RUN(what_is_taken_back_above_goes_up_again_and_nothing_else);
    RUN(the_root_fails_the_mates_by_name);
    RUN(words_are_taken_back_with_their_announcement);
    RUN(a_scatters_rows_are_its_roots_last_ones);
    RUN(what_is_doomed_itself_is_not_voided);
    RUN(an_error_of_what_is_not_announced_dooms_nothing_later);
    RUN(stalled_names_are_forgotten_when_many_more_have_stalled);
    RUN(a_run_for_joined_ranks_tells_the_signature);
    RUN(a_leader_below_counts_its_own_ranks_only);
    return check_result();
}
