/* Batches: how bins become batches (batch.h), and how a leader tallies who has announced one whole, on
 * the stage of the fuzzer: the root with its ranks 0 and 1 and its children 2 (of ranks 2, 3, 5) and 4;
 * or the leader in the middle, rank 2, with rank 3 and the child 5. */
#include <stdarg.h>

#include "check.h"
#include "coordinator/batch.h"
#include "fuzz/leader_stage.h"

/* ---- bins ------------------------------------------------------------------------------------ */

static void a_bin_becomes_a_batch_by_its_last_run(void)
{
    struct batches b = {0};
    CHECK(!ronde__batches_follow(&b, 7, 0, NO_ID) && !ronde__batches_follow(&b, 3, 0, NO_ID));
    CHECK(!ronde__batches_get(&b, 0) && b.id_count == 2);
    CHECK(!ronde__batches_follow(&b, 9, 1, 0));
    const struct batch *batch = ronde__batches_get(&b, 0);
    CHECK(batch && batch->count == 3 && b.id_count == 3);
    CHECK(batch->ids[0] == 7 && batch->ids[1] == 3 && batch->ids[2] == 9);
    CHECK(!ronde__batches_follow(&b, 4, 1, 1)); /* the next bin begins anew */
    CHECK(ronde__batches_get(&b, 1)->count == 1 && b.id_count == 1 && b.ids[0] == 4);
    CHECK(ronde__batches_get(&b, 0)->count == 3);
    CHECK(!ronde__batches_get(&b, 2) && !ronde__batches_get(&b, NO_ID));
    ronde__batches_close(&b);
}

static void a_bin_with_a_tensor_without_number_is_no_batch(void)
{
    for (int at = 0; at < 3; at++) {
        struct batches b = {0};
        for (int i = 0; i < 3; i++)
            CHECK(!ronde__batches_follow(&b, i == at ? NO_ID : (uint32_t)i, i == 2, 0));
        CHECK(!ronde__batches_get(&b, 0) && b.id_count == 2);
        CHECK(!ronde__batches_follow(&b, 5, 0, NO_ID) && !ronde__batches_follow(&b, 6, 1, 0));
        CHECK(ronde__batches_get(&b, 0)->count == 2); /* the next one is */
        ronde__batches_close(&b);
    }
}

static void a_bin_without_batch_number_is_none(void)
{
    struct batches b = {0};
    CHECK(!ronde__batches_follow(&b, 1, 0, 0) && !ronde__batches_follow(&b, 2, 1, NO_ID));
    CHECK(!ronde__batches_get(&b, 0) && b.count == 0);
    ronde__batches_close(&b);
}

static void a_batch_that_runs_tensor_by_tensor_stays(void)
{
    struct batches b = {0};
    CHECK(!ronde__batches_follow(&b, 1, 0, NO_ID) && !ronde__batches_follow(&b, 2, 1, 0));
    struct batch *batch = ronde__batches_get(&b, 0);
    uint32_t *ids = batch->ids;
    batch->seen = 77;
    CHECK(!ronde__batches_follow(&b, 1, 0, NO_ID) && !ronde__batches_follow(&b, 2, 1, 0));
    CHECK(ronde__batches_get(&b, 0) == batch && batch->ids == ids && batch->seen == 77);
    ronde__batches_close(&b);
}

static void batch_numbers_have_an_end(void)
{
    enum { MOST = 4096 };
    struct batches b = {0};
    CHECK(!ronde__batches_follow(&b, 1, 1, 5)); /* in any order */
    CHECK(!ronde__batches_follow(&b, 1, 1, 2));
    CHECK(b.count == 6 && !ronde__batches_get(&b, 4) && ronde__batches_get(&b, 5));
    const uint32_t ids[] = {8, 9};
    for (uint32_t number = 6; number < MOST; number++) {
        CHECK(ronde__batches_number(&b, ids, 2, NO_ID) == number);
        CHECK(!ronde__batches_follow(&b, number, 1, number));
    }
    for (uint32_t number = 6; number < MOST; number++)
        CHECK(ronde__batches_get(&b, number)->ids[0] == number);
    CHECK(ronde__batches_number(&b, ids, 2, NO_ID) == NO_ID);
    CHECK(ronde__batches_follow(&b, 1, 1, MOST) == RONDE_ERR_SYSTEM);
    CHECK(ronde__batches_follow(&b, 1, 1, NO_ID - 1) == RONDE_ERR_SYSTEM);
    CHECK(strstr(ronde_last_error(), "batch number 4294967294 is too large"));
    ronde__batches_close(&b);
}

static void the_same_tensors_keep_their_batch_number(void)
{
    struct batches b = {0};
    const uint32_t same[] = {1, 2}, longer[] = {1, 2, 3}, others[] = {2, 1};
    CHECK(ronde__batches_number(&b, same, 2, NO_ID) == 0);
    CHECK(!ronde__batches_follow(&b, 1, 0, NO_ID) && !ronde__batches_follow(&b, 2, 1, 0));
    CHECK(ronde__batches_number(&b, same, 2, NO_ID) == 0);
    CHECK(!ronde__batches_get(&b, 0)->alone);
    CHECK(ronde__batches_number(&b, same, 2, 0) == 0); /* that they were, too */
    CHECK(ronde__batches_get(&b, 0)->alone);
    CHECK(ronde__batches_number(&b, longer, 3, 0) == 1);
    CHECK(ronde__batches_number(&b, others, 2, 0) == 1);
    CHECK(ronde__batches_number(&b, same, 1, 0) == NO_ID); /* one tensor is no batch */
    ronde__batches_close(&b);
}

static void a_reset_takes_back_who_announced_it(void)
{
    struct batches b = {0};
    CHECK(!ronde__batches_follow(&b, 1, 0, NO_ID) && !ronde__batches_follow(&b, 2, 1, 0));
    struct batch *batch = ronde__batches_get(&b, 0);
    ronde__batch_reset(&b, batch, 4); /* nobody has */
    CHECK(b.pending == 0);
    batch->by = calloc(4, 1);
    CHECK(batch->by);
    batch->by[0] = batch->by[3] = 1;
    batch->announced = 2;
    batch->sent = 1;
    b.pending = 5;
    ronde__batch_reset(&b, batch, 4);
    CHECK(b.pending == 4 && !batch->announced && !batch->sent && !batch->by[0] && !batch->by[3]);
    ronde__batches_close(&b);
}

/* ---- a leader, and what it says -------------------------------------------------------------- */

/* Who says it: the contributors of either stage. */
enum { ROOT_SAYS = 0, MIDDLE_SAYS = 4, WHO = 7 };
static const int says[WHO] = {0, 1, 2, 4, 2, 3, 5}; /* as these ranks */

static struct stage stage;
static char heard[1024]; /* what the leader has said since last asked, down or (in the middle) up */

static void note(const char *format, ...)
{
    size_t used = strlen(heard);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(heard + used, sizeof(heard) - used, format, arguments);
    va_end(arguments);
}

static void note_record(const char *bytes, size_t n)
{
    struct record r;
    if (!ronde__record_read(&r, bytes, n))
        stage_fail("the leader wrote what cannot be read");
    switch (r.type) {
    case RECORD_RUN:
        note("run %d%s ", (int)r.id, r.flags & RECORD_LAST ? " last" : "");
        if (r.batch != NO_ID)
            note("of %u ", r.batch);
        break;
    case RECORD_RUN_BATCH: note("batch %u ", r.id); break;
    case RECORD_ERROR:
        note("error %.*s: %.*s ", (int)r.name_bytes, r.name,
             r.text_bytes < 9 ? (int)r.text_bytes : 9, r.text);
        break;
    case RECORD_BATCH: note("up %u as %d since %d ", r.id, r.rank, (int)r.seen); break;
    case RECORD_CACHED: note("up one %u ", r.id); break;
    case RECORD_ANNOUNCE: note("up %.*s ", (int)r.name_bytes, r.name); break;
    default: note("%s%d ", r.kind == KIND_JOIN ? "join " : "type ", r.type); break;
    }
}

static void note_mail(void)
{
    for (;;) {
        int from;
        void *message;
        size_t bytes, at = sizeof(struct message_head), n;
        ronde__net_poll(stage_nets[STAGE_ROOT], &from, &message, &bytes);
        if (!message)
            return;
        const char *record;
        while (ronde__record_next(message, bytes, &at, &record, &n))
            note_record(record, n);
        free(message);
    }
}

/* Steps, decides at once, and notes what was said. */
static int32_t step(void)
{
    struct leader *leader = &stage.leader;
    size_t n;
    const char *record;
    int32_t said = ronde__leader_step(leader);
    if (said >= 0 && leader->is_root)
        said = ronde__leader_decide(leader, ronde__now_ns() + 1000000000);
    if (said >= 0)
        said = ronde__leader_step(leader);
    for (uint32_t reader = 0; reader < STAGE_LOCAL; reader++)
        while ((record = ronde__ring_peek(stage.link.down, reader, &n))) {
            if (reader == 0)
                note_record(record, n);
            ronde__ring_pass(stage.link.down, reader);
        }
    note_mail();
    return said;
}

/* 1 where the leader has said just this. */
static int has_said(const char *text)
{
    int32_t said = step();
    int is_same = said >= 0 && strcmp(heard, text) == 0;
    if (!is_same)
        fprintf(stderr, "said '%s' (%d %s)\n", heard, said, said < 0 ? ronde_last_error() : "");
    heard[0] = '\0';
    return is_same;
}

/* Hands it to the leader, through the ring or by a message. */
static int32_t hand(int from, const struct record *record)
{
    struct writer writer = {0};
    struct net *net = stage.leader.at.net;
    const size_t length = sizeof(uint32_t);
    int32_t status = RONDE_OK;
    ronde__record_write(&writer, record);
    if (net->node_of[from] == net->node)
        ronde__ring_put(stage.up[net->local_rank_of[from]], writer.data + length,
                        writer.bytes - length);
    else
        status = ronde__leader_take(&stage.leader, from, writer.data, writer.bytes);
    ronde__writer_free(&writer);
    return status;
}

static struct record full(const char *name)
{
    return (struct record){.type = RECORD_ANNOUNCE,
                           .flags = RECORD_CACHEABLE | RECORD_SIGNED,
                           .id = NO_ID,
                           .batch = NO_ID,
                           .seen = stage.leader.decisions,
                           .signature = {.dtype = RONDE_FLOAT32},
                           .name = name,
                           .name_bytes = (uint32_t)strlen(name)};
}

static struct record number(uint32_t id)
{
    return (struct record){.type = RECORD_CACHED, .id = id, .seen = stage.leader.decisions};
}

static struct record whole(uint32_t batch)
{
    return (struct record){.type = RECORD_BATCH, .id = batch, .seen = stage.leader.decisions};
}

static struct record join(void)
{
    return (struct record){.type = RECORD_ANNOUNCE,
                           .kind = KIND_JOIN,
                           .flags = RECORD_SIGNED,
                           .signature = {.kind = KIND_JOIN},
                           .name = COORDINATOR_JOIN,
                           .name_bytes = sizeof(COORDINATOR_JOIN) - 1};
}

static int32_t say(int who, struct record record)
{
    record.rank = says[who];
    return hand(record.rank, &record);
}

static int all_say(int first, int n, struct record record)
{
    for (int who = first; who < first + n; who++)
        if (say(who, record))
            return 0;
    return 1;
}

static int32_t parent_says(uint8_t type, uint32_t id, int last, uint32_t batch)
{
    static const char *const names[] = {"a", "b", "c"};
    const struct record record = {.type = type,
                                  .flags = last ? RECORD_LAST : 0,
                                  .id = id,
                                  .batch = batch,
                                  .name = names[id % 3],
                                  .name_bytes = type == RECORD_RUN};
    return hand(STAGE_ROOT, &record);
}

/* Tensors a, b, c have numbers 0, 1, 2; a and b are batch 0. */
static int is_root_set(void)
{
    stage_open(&stage, STAGE_ROOT);
    heard[0] = '\0';
    for (int i = 0; i < 3; i++)
        if (!all_say(ROOT_SAYS, 4, full((const char *[]){"a", "b", "c"}[i])) || step() < 0)
            return 0;
    heard[0] = '\0';
    return all_say(ROOT_SAYS, 4, number(1)) && all_say(ROOT_SAYS, 4, number(0)) &&
           has_said("run 0 of 0 run 1 last of 0 ");
}

static int is_middle_set(void)
{
    stage_open(&stage, STAGE_MIDDLE);
    for (int i = 0; i < 3; i++)
        if (!all_say(MIDDLE_SAYS, 3, full((const char *[]){"a", "b", "c"}[i])))
            return 0;
    if (step() < 0 || parent_says(RECORD_RUN, 0, 0, NO_ID) || parent_says(RECORD_RUN, 1, 1, 0) ||
        parent_says(RECORD_RUN, 2, 1, NO_ID) || step() < 0)
        return 0;
    heard[0] = '\0';
    return 1;
}

/* ---- the root's tally ------------------------------------------------------------------------ */

static void what_all_announce_whole_runs_whole(void)
{
    CHECK(is_root_set());
    for (int times = 0; times < 3; times++) {
        CHECK(all_say(ROOT_SAYS, 3, whole(0)) && has_said(""));
        CHECK(stage.leader.batches.pending == 1 && ronde__leader_is_busy(&stage.leader));
        CHECK(!say(3, whole(0)) && has_said("batch 0 "));
        CHECK(stage.leader.batches.pending == 0 && !ronde__leader_is_busy(&stage.leader));
    }
    stage_close(&stage);
}

static void one_by_one_on_one_rank_is_one_by_one_everywhere(void)
{
    for (int order = 0; order < 3; order++) {
        CHECK(is_root_set());
        for (int who = 0; who < 4; who++)
            if (who == order) {
                CHECK(!say(who, number(1)) && !say(who, number(0)));
            } else {
                CHECK(!say(who, whole(0)));
            }
        CHECK(has_said("run 0 of 0 run 1 last of 0 "));
        CHECK(stage.leader.batches.pending == 0);
        CHECK(all_say(ROOT_SAYS, 4, whole(0)) && has_said("batch 0 ")); /* and then as ever */
        stage_close(&stage);
    }
}

static void another_bin_takes_the_tensors_along(void)
{
    CHECK(is_root_set());
    CHECK(all_say(ROOT_SAYS, 4, number(0)) && all_say(ROOT_SAYS, 4, number(2)));
    CHECK(has_said("run 0 of 1 run 2 last of 1 "));
    CHECK(all_say(ROOT_SAYS, 4, number(1)) && has_said("run 1 last "));
    CHECK(all_say(ROOT_SAYS, 4, whole(1)) && has_said("batch 1 "));
    stage_close(&stage);
}

static void a_conflict_in_one_tensor_lets_the_others_run(void)
{
    CHECK(is_root_set());
    struct record other = full("a");
    other.signature.dtype = RONDE_INT8;
    CHECK(!say(0, whole(0)) && !say(1, other) && !say(1, number(1)) && !say(2, whole(0)));
    CHECK(!say(3, whole(0)) && has_said("error a: allreduce run 1 last "));
    CHECK(stage.leader.batches.pending == 0);
    stage_close(&stage);
}

/* The failing tensor is gone by the time its mates fail; its text is not. */
static void the_rest_of_a_group_fails_with_the_same_text(void)
{
    CHECK(is_root_set());
    struct record a = full("x"), b = full("y"), other = full("x");
    a.signature.group = b.signature.group = other.signature.group = 7;
    a.signature.group_size = b.signature.group_size = other.signature.group_size = 2;
    other.signature.dtype = RONDE_INT8;
    CHECK(!say(0, b) && !say(0, a) && !say(1, other) && !say(2, a) && !say(3, a));
    CHECK(has_said("error x: allreduce error y: allreduce "));
    CHECK(!ronde__leader_is_busy(&stage.leader));
    stage_close(&stage);
}

static void a_join_takes_what_is_not_whole_apart(void)
{
    for (int before = 0; before < 2; before++) {
        CHECK(is_root_set());
        CHECK(!before || !say(3, join()));
        CHECK(all_say(ROOT_SAYS, 3, whole(0)) && has_said(before ? "run 0 last run 1 last " : ""));
        CHECK(before || (!say(3, join()) && has_said("run 0 last run 1 last ")));
        CHECK(stage.leader.batches.pending == 0);
        stage_close(&stage);
    }
}

/* The join comes after the batch is whole, and before that is decided. */
static void a_join_after_the_last_announcement_decides_nothing_twice(void)
{
    CHECK(is_root_set());
    CHECK(all_say(ROOT_SAYS + 2, 2, whole(0)) && !say(0, whole(0)) && !say(1, whole(0)));
    CHECK(!say(1, join()) && step() >= 0);
    CHECK_SAYING(strcmp(heard, "batch 0 ") == 0 ||
                     strcmp(heard, "run 0 of 0 run 1 last of 0 ") == 0,
                 "%s", heard);
    CHECK(stage.leader.batches.pending == 0 &&
          !ronde__negotiation_oldest(stage.leader.negotiation));
    stage_close(&stage);
}

static void what_waits_too_long_is_taken_apart_so_that_it_is_reported(void)
{
    CHECK(is_root_set());
    CHECK(all_say(ROOT_SAYS, 3, whole(0)) && has_said(""));
    int64_t now = ronde__now_ns();
    stage.leader.stall_check_ns = 0;
    CHECK(!ronde__leader_check_stalls(&stage.leader, now));
    CHECK(stage.leader.batches.pending == 1); /* not yet */
    stage.leader.stall_check_ns = 0;
    CHECK(!ronde__leader_check_stalls(&stage.leader, now + 1000000000));
    CHECK(stage.leader.batches.pending == 0);
    const struct entry *oldest = ronde__negotiation_oldest(stage.leader.negotiation);
    CHECK(oldest && oldest->announced == 3 && oldest->later && oldest->since_ns <= now);
    CHECK(!say(3, whole(0)) && has_said("run 0 of 0 run 1 last of 0 "));
    stage_close(&stage);
}

static void batches_that_lie_are_refused(void)
{
    CHECK(is_root_set());
    CHECK(say(2, whole(1)) == RONDE_ERR_SYSTEM);
    CHECK(strstr(ronde_last_error(), "rank 2 announced batch 1, which is none"));
    CHECK(say(2, whole(NO_ID)) == RONDE_ERR_SYSTEM);
    CHECK(!say(2, whole(0)) && say(2, whole(0)) == RONDE_ERR_SYSTEM);
    CHECK(strstr(ronde_last_error(), "batch 0 was announced twice by the subtree of rank 2"));
    stage_close(&stage);
    CHECK(is_root_set());
    CHECK(!say(2, whole(0)) && say(2, number(0)) == RONDE_ERR_SYSTEM);
    CHECK(strstr(ronde_last_error(), "announced twice"));
    stage_close(&stage);
    CHECK(is_root_set());
    CHECK(!say(2, number(0)) && say(2, whole(0)) == RONDE_ERR_SYSTEM);
    stage_close(&stage);
}

/* ---- the tally in the middle ----------------------------------------------------------------- */

static void a_whole_batch_goes_up_once_with_the_least_of_its_values(void)
{
    CHECK(is_middle_set());
    struct record early = whole(0);
    early.seen = 1;
    CHECK(!say(MIDDLE_SAYS + 1, whole(0)) && !say(MIDDLE_SAYS + 2, early) && has_said(""));
    CHECK(!say(MIDDLE_SAYS, whole(0)) && has_said("up 0 as 2 since 1 ") && has_said(""));
    CHECK(!parent_says(RECORD_RUN_BATCH, 0, 1, 0) && has_said("batch 0 "));
    CHECK(stage.leader.batches.pending == 0);
    CHECK(all_say(MIDDLE_SAYS, 3, whole(0)) && has_said("up 0 as 2 since 4 "));
    stage_close(&stage);
}

static void a_batch_that_went_up_is_not_taken_apart_with_time(void)
{
    CHECK(is_middle_set());
    CHECK(all_say(MIDDLE_SAYS, 3, whole(0)) && has_said("up 0 as 2 since 3 "));
    stage.leader.stall_check_ns = 0;
    CHECK(!ronde__leader_check_stalls(&stage.leader, ronde__now_ns() + 1000000000));
    CHECK(stage.leader.batches.pending == 1 && has_said(""));
    CHECK(!parent_says(RECORD_RUN_BATCH, 0, 1, 0) && has_said("batch 0 "));
    stage_close(&stage);
}

static void a_batch_that_went_up_may_be_decided_one_by_one(void)
{
    CHECK(is_middle_set());
    CHECK(all_say(MIDDLE_SAYS, 3, whole(0)) && has_said("up 0 as 2 since 3 "));
    CHECK(!parent_says(RECORD_RUN, 1, 1, NO_ID) && has_said("run 1 last "));
    CHECK(!parent_says(RECORD_RUN, 0, 1, NO_ID) && has_said("run 0 last ")); /* not up again */
    CHECK(stage.leader.batches.pending == 0 && !ronde__leader_is_busy(&stage.leader));
    stage_close(&stage);
}

static void a_batch_that_is_split_below_goes_up_one_by_one(void)
{
    CHECK(is_middle_set());
    CHECK(!say(MIDDLE_SAYS, whole(0)) && !say(MIDDLE_SAYS + 1, number(1)));
    CHECK(!say(MIDDLE_SAYS + 2, whole(0)) && has_said("up one 1 "));
    CHECK(!say(MIDDLE_SAYS + 1, number(0)) && has_said("up one 0 "));
    stage_close(&stage);
}

static void a_join_below_follows_what_it_completes_upwards(void)
{
    CHECK(is_middle_set());
    CHECK(!say(MIDDLE_SAYS, whole(0)) && !say(MIDDLE_SAYS + 2, whole(0)) && has_said(""));
    CHECK(!say(MIDDLE_SAYS + 1, join()) && has_said("up one 0 up one 1 up join# "));
    stage_close(&stage);
}

static void a_batch_to_run_that_is_none_is_refused(void)
{
    CHECK(is_middle_set());
    CHECK(parent_says(RECORD_RUN_BATCH, 1, 1, 1) == RONDE_ERR_SYSTEM);
    CHECK(strstr(ronde_last_error(), "told to run batch 1, which is none"));
    stage_close(&stage);
}

int main(void)
{
    RUN(a_bin_becomes_a_batch_by_its_last_run);
    RUN(a_bin_with_a_tensor_without_number_is_no_batch);
    RUN(a_bin_without_batch_number_is_none);
    RUN(a_batch_that_runs_tensor_by_tensor_stays);
    RUN(batch_numbers_have_an_end);
    RUN(the_same_tensors_keep_their_batch_number);
    RUN(a_reset_takes_back_who_announced_it);
    RUN(what_all_announce_whole_runs_whole);
    RUN(one_by_one_on_one_rank_is_one_by_one_everywhere);
    RUN(another_bin_takes_the_tensors_along);
    RUN(a_conflict_in_one_tensor_lets_the_others_run);
    RUN(the_rest_of_a_group_fails_with_the_same_text);
    RUN(a_join_takes_what_is_not_whole_apart);
    RUN(a_join_after_the_last_announcement_decides_nothing_twice);
    RUN(what_waits_too_long_is_taken_apart_so_that_it_is_reported);
    RUN(batches_that_lie_are_refused);
    RUN(a_whole_batch_goes_up_once_with_the_least_of_its_values);
    RUN(a_batch_that_went_up_is_not_taken_apart_with_time);
    RUN(a_batch_that_went_up_may_be_decided_one_by_one);
    RUN(a_batch_that_is_split_below_goes_up_one_by_one);
    RUN(a_join_below_follows_what_it_completes_upwards);
    RUN(a_batch_to_run_that_is_none_is_refused);
    return check_result();
}
