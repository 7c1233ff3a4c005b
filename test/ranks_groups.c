/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: threads=4/4,3/2 settings=fusion_threshold=0 timeout=60 */
/* Groups complete together or not at all: a bad member leaves nothing queued, a member on which
 * ranks disagree fails all of them everywhere; whatever happened, the names can be used again. */
#include "samples.h"
#include "trial.h"

enum kind {
    ALLREDUCE,
    BROADCAST,
    ALLGATHER,
    REDUCE,
    REDUCESCATTER,
    ALLTOALL,
    GATHER,
    SCATTER,
    KINDS
};
enum { ROOM = 64 };

/* One member: 8 int32 in, and what comes out. */
struct member {
    enum kind kind;
    char name[40];
    size_t count; /* rows of one element; 8 but where ranks disagree */
    int32_t dtype, root;
    int32_t in[ROOM], out[ROOM];
    uint64_t handle;
};

static struct member member_make(struct trial *trial, enum kind kind, const char *name, int number)
{
    struct member member = {.kind = kind, .count = 8, .dtype = RONDE_INT32};
    snprintf(member.name, sizeof member.name, "%s %d", name, number);
    member.root = number % trial->size;
    member.handle = 4711;
    for (size_t i = 0; i < ROOM; i++) {
        member.in[i] = ranks_value(trial->rank, i + (size_t)number);
        member.out[i] = -1;
    }
    return member;
}

static int32_t member_submit(struct trial *trial, struct member *m, uint64_t group)
{
    ronde_context *c = trial->context;
    ronde_call call = call_in(0);
    call.group = group;
    switch (m->kind) {
    case ALLREDUCE:
        return ronde_allreduce_async(c, m->name, m->in, m->out, m->count, m->dtype, RONDE_SUM,
                                     &call, &m->handle);
    case BROADCAST:
        return ronde_broadcast_async(c, m->name, m->in, m->out, m->count, m->dtype, m->root, &call,
                                     &m->handle);
    case ALLGATHER:
        return ronde_allgather_async(c, m->name, m->in, m->count, 1, m->dtype, m->out, ROOM, NULL,
                                     &call, &m->handle);
    case REDUCE:
        return ronde_reduce_async(c, m->name, m->in, m->out, m->count, m->dtype, RONDE_SUM, m->root,
                                  &call, &m->handle);
    case REDUCESCATTER:
        return ronde_reducescatter_async(c, m->name, m->in, m->count, 1, m->dtype, RONDE_SUM,
                                         m->out, ROOM, &call, &m->handle);
    case ALLTOALL: /* everything to everybody: a row of 8 each */
        return ronde_alltoall_async(c, m->name, m->in, NULL, (size_t)trial->size, 8, m->dtype,
                                    m->out, ROOM / 8, NULL, &call, &m->handle);
    case GATHER:
        return ronde_gather_async(c, m->name, m->in, m->count, 1, m->dtype, m->out, ROOM, NULL,
                                  m->root, &call, &m->handle);
    case SCATTER:
        return ronde_scatter_async(c, m->name, m->in, NULL, m->count, 1, m->dtype, m->out, ROOM,
                                   NULL, m->root, &call, &m->handle);
    case KINDS: break;
    }
    return RONDE_ERR_ARGUMENT;
}

/* Element i of what this rank gets from member `number`; -1 beyond it. */
static int32_t wanted_of(const struct trial *trial, const struct member *m, size_t number, size_t i)
{
    size_t p = (size_t)trial->size, share = ronde_share_rows(8, trial->size, trial->rank),
           first = 0;
    int is_root = trial->rank == m->root;
    for (int rank = 0; rank < trial->rank; rank++)
        first += ronde_share_rows(8, trial->size, rank);
    switch (m->kind) {
    case ALLREDUCE: return i < 8 ? ranks_sum(trial->size, i + number) : -1;
    case BROADCAST: return i < 8 ? ranks_value(m->root, i + number) : -1;
    case ALLGATHER: return i < 8 * p ? ranks_value((int)(i / 8), i % 8 + number) : -1;
    case REDUCE: return is_root && i < 8 ? ranks_sum(trial->size, i + number) : -1;
    case REDUCESCATTER: return i < share ? ranks_sum(trial->size, first + i + number) : -1;
    case ALLTOALL:
        return i < 8 * p ? ranks_value((int)(i / 8), 8 * (size_t)trial->rank + i % 8 + number) : -1;
    case GATHER: return is_root && i < 8 * p ? ranks_value((int)(i / 8), i % 8 + number) : -1;
    case SCATTER: return i < share ? ranks_value(m->root, first + i + number) : -1;
    case KINDS: break;
    }
    return -1;
}

static void member_check(struct trial *trial, const struct member *m, size_t number)
{
    for (size_t i = 0; i < ROOM; i++)
        EXPECT(trial, m->out[i] == wanted_of(trial, m, number, i),
               "\"%s\", kind %d: element %zu is %d, not %d", m->name, (int)m->kind, i,
               (int)m->out[i], (int)wanted_of(trial, m, number, i));
}

static void nothing_was_written(struct trial *trial, const struct member *m)
{
    for (size_t i = 0; i < ROOM; i++)
        EXPECT(trial, m->out[i] == -1, "\"%s\": element %zu was written", m->name, i);
}

/* Collective. One by one: proof that none is left outstanding. */
static void names_can_be_used_again(struct trial *trial, enum kind kind, const char *name, int n)
{
    for (int i = 0; i < n; i++) {
        struct member m = member_make(trial, kind, name, i);
        EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &m, 0));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, m.handle));
        member_check(trial, &m, (size_t)i);
    }
}

static uint64_t begin(struct trial *trial)
{
    uint64_t group = 0;
    EXPECT_STATUS(trial, RONDE_OK, ronde_group_begin(trial->context, &group));
    EXPECT(trial, group != 0, "a group is numbered 0, which is none");
    return group;
}

/* ---- what goes well -------------------------------------------------------------------------- */

/* All kinds in several groups at once, submitted in an order of this rank's own, many times. */
static void groups_of_all_kinds_complete(struct trial *trial)
{
    enum { GROUPS = 5, N = 2 * KINDS };
    struct member(*members)[N] = malloc(GROUPS * sizeof *members);
    uint64_t dice = (uint64_t)trial->rank * 3 + 2;
    for (int round = 0; round < 12; round++) {
        size_t groups[GROUPS], order[N];
        dice_order(&dice, groups, GROUPS);
        for (size_t k = 0; k < GROUPS; k++) {
            size_t g = groups[k];
            char name[16];
            uint64_t group = begin(trial);
            snprintf(name, sizeof name, "group %d", (int)g);
            dice_order(&dice, order, N);
            for (size_t i = 0; i < N; i++) {
                struct member *m = &members[g][order[i]];
                *m = member_make(trial, (enum kind)(order[i] % KINDS), name, (int)order[i]);
                EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, m, group));
                EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, m->handle));
            }
            EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
        }
        for (size_t g = 0; g < GROUPS; g++)
            for (size_t i = 0; i < N; i++) {
                EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, members[g][i].handle));
                member_check(trial, &members[g][i], i);
            }
    }
    free(members);
}

/* A large tensor, and a small one of another kind that alone would be done long before: the moment
 * that this is, both are. (That a rank is kept from running just then is left room for.) */
static void members_complete_together(struct trial *trial)
{
    enum { ROUNDS = 12, COUNT = 1500000 };
    float *large = malloc(COUNT * sizeof *large);
    int apart = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct member small = member_make(trial, BROADCAST, "together", 0);
        uint64_t group = begin(trial), handle = 0;
        ronde_call call = call_in(0);
        call.group = group;
        for (size_t i = 0; i < COUNT; i++)
            large[i] = 1;
        EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &small, group));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, "large", large, large, COUNT,
                                            RONDE_FLOAT32, RONDE_SUM, &call, &handle));
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, small.handle));
        apart += ronde_poll(trial->context, handle) == RONDE_PENDING;
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
        member_check(trial, &small, 0);
        EXPECT(trial, large[COUNT - 1] == (float)trial->size, "%g", (double)large[COUNT - 1]);
    }
    EXPECT(trial, apart <= ROUNDS / 3, "%d of %d groups were not complete when one member was",
           apart, (int)ROUNDS);
    free(large);
}

/* A tensor of the group that one rank has not ended yet keeps all of them waiting. */
static void nothing_is_queued_before_the_end(struct trial *trial)
{
    struct member a = member_make(trial, ALLREDUCE, "ended", 0);
    struct member b = member_make(trial, ALLREDUCE, "ended", 1);
    uint64_t group = begin(trial);
    EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &a, group));
    EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &b, group));
    if (trial->rank)
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
    meet(trial, "before the end");
    if (trial->size > 1)
        EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, b.handle));
    nothing_was_written(trial, &a);
    meet_directly(trial);
    if (trial->rank == 0)
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, b.handle));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, a.handle));
    member_check(trial, &a, 0);
    member_check(trial, &b, 1);
}

/* ---- what one rank does wrong ---------------------------------------------------------------- */

/* Rank 0's group has two bad members among good ones: the end says why, for both. */
static void a_bad_member_leaves_nothing_queued(struct trial *trial)
{
    if (trial->rank == 0) {
        struct member members[5];
        uint64_t group = begin(trial);
        for (int i = 0; i < 5; i++) {
            members[i] = member_make(trial, i == 3 ? BROADCAST : ALLREDUCE, "bad", i);
            members[i].dtype = i == 1 ? 99 : RONDE_INT32;
            members[i].root = i == 3 ? 1077 : 0;
            EXPECT_STATUS(trial, i % 2 ? RONDE_ERR_ARGUMENT : RONDE_OK,
                          member_submit(trial, &members[i], group));
            EXPECT(trial, (members[i].handle == 4711) == i % 2, "member %d has a handle, or none",
                   i);
        }
        EXPECT(trial, ronde_group_end(trial->context, group) < 0, "a bad group was queued");
        EXPECT_ERROR(trial, "99", "1077");
        for (int i = 0; i < 5; i += 2) {
            EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(trial->context, members[i].handle));
            nothing_was_written(trial, &members[i]);
        }
        EXPECT(trial, ronde_group_end(trial->context, group) < 0, "a group ended twice");
    }
    names_can_be_used_again(trial, ALLREDUCE, "bad", 5);
}

/* The name in the middle is outstanding on rank 0 already, or twice in the group. */
static void a_duplicate_in_the_middle_leaves_nothing_queued(struct trial *trial)
{
    for (int turn = trial->size == 1; turn < 2; turn++) { /* alone, nothing stays outstanding */
        struct member earlier = member_make(trial, ALLREDUCE, "taken", 1), members[3];
        if (trial->rank == 0) {
            uint64_t group = begin(trial);
            if (turn == 0)
                EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &earlier, 0));
            for (int i = 0; i < 3; i++) {
                members[i] = member_make(trial, ALLREDUCE, "taken", turn && i == 1 ? 0 : i);
                int32_t status = member_submit(trial, &members[i], group);
                EXPECT(trial, status == RONDE_OK || (i == 1 && status == RONDE_ERR_DUPLICATE),
                       "member %d: %s", i, ronde_status_name(status));
            }
            EXPECT(trial, ronde_group_end(trial->context, group) < 0, "a duplicate was queued");
            EXPECT_ERROR(trial, turn ? "taken 0" : "taken 1");
            for (int i = 0; i < 3; i++)
                EXPECT(trial, ronde_poll(trial->context, members[i].handle) < 0,
                       "member %d lives on", i);
        }
        meet_directly(trial); /* the earlier one of rank 0 stays outstanding until here */
        if (turn == 0) {
            if (trial->rank)
                EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &earlier, 0));
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, earlier.handle));
            member_check(trial, &earlier, 1);
        }
        names_can_be_used_again(trial, ALLREDUCE, "taken", 3);
    }
}

static void a_cancelled_group_is_forgotten(struct trial *trial)
{
    struct member members[3];
    uint64_t group = begin(trial);
    for (int i = 0; i < 3; i++) {
        members[i] = member_make(trial, (enum kind)i, "cancelled", i);
        EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &members[i], group));
    }
    if (trial->rank != 1) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_cancel(trial->context, group));
        for (int i = 0; i < 3; i++)
            EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(trial->context, members[i].handle));
        EXPECT(trial,
               ronde_group_end(trial->context, group) < 0 &&
                   ronde_group_cancel(trial->context, group) < 0 &&
                   member_submit(trial, &members[0], group) < 0,
               "a cancelled group lives on");
        group = begin(trial);
        for (int i = 0; i < 3; i++)
            EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &members[i], group));
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
    for (int i = 0; i < 3; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, members[i].handle));
        member_check(trial, &members[i], (size_t)i);
    }
}

/* Numbers that are no group, null pointers, what cannot be grouped, and a group of nothing. */
static void misuse_fails_at_once(struct trial *trial)
{
    ronde_context *context = trial->context;
    ronde_call call = call_in(0);
    struct member m = member_make(trial, ALLREDUCE, "misused", 0);
    uint64_t group;
    if (trial->rank == trial->size - 1) {
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_group_begin(context, NULL));
        EXPECT_STATUS(trial, RONDE_ERR_CLOSED, ronde_group_begin(NULL, &group));
        EXPECT(trial,
               ronde_group_end(context, 0) < 0 && ronde_group_end(context, UINT64_MAX) < 0 &&
                   ronde_group_cancel(context, 123456) < 0 &&
                   member_submit(trial, &m, 987654321) < 0,
               "a number that is no group was one");
        call.group = group = begin(trial);
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_barrier_async(context, "misused", &call, &m.handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_join_async(context, NULL, &call, &m.handle));
        EXPECT(trial, ronde_group_end(context, group) < 0, "a group with a barrier was queued");
        call.group = group = begin(trial);
        EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &m, group));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_barrier(context, "blocking", &call));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_reduce(context, "blocking", m.in, m.out, 1, RONDE_FLOAT32, RONDE_SUM, 0,
                                   &call));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_group_end(context, group));
        EXPECT_ERROR(trial, "barrier 'blocking': a blocking call cannot be in a group",
                     "reduce 'blocking'");
        EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(context, m.handle));
        m.handle = 4711;
        group = begin(trial); /* empty */
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(context, group));
        EXPECT(trial, m.handle == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after misuse");
}

/* ---- where ranks disagree -------------------------------------------------------------------- */

/* The last rank means another count of one member of all kinds: none is done anywhere. */
static void disagreement_on_one_fails_all(struct trial *trial)
{
    for (int round = 0; round < 3 && trial->size > 1; round++) {
        struct member members[4];
        uint64_t group = begin(trial);
        for (int i = 0; i < 4; i++) {
            members[i] = member_make(trial, i == 2 ? ALLREDUCE : (enum kind)(i + round), "odd", i);
            members[i].count = i == 2 && trial->rank == trial->size - 1 ? 43 : 8;
            EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &members[i], group));
        }
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
        for (int i = 0; i < 4; i++) {
            EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_wait(trial->context, members[i].handle));
            EXPECT_ERROR(trial, "odd 2", "43", "8", "rank");
            nothing_was_written(trial, &members[i]);
        }
        names_can_be_used_again(trial, ALLREDUCE, "odd", 4);
    }
}

/* Rank 0 submits one singly that the others group, or groups less, or more: none gets anything. */
static void other_groups_elsewhere_are_a_mismatch(struct trial *trial)
{
    static const int sizes[3][2] = {{1, 3}, {2, 3}, {3, 2}}; /* of rank 0, of the others */
    for (int turn = 0; turn < 3 && trial->size > 1; turn++) {
        struct member members[3];
        int n = sizes[turn][trial->rank != 0];
        uint64_t group = n == 1 ? 0 : begin(trial);
        for (int i = 0; i < n; i++) {
            members[i] = member_make(trial, ALLREDUCE, "other", i);
            EXPECT_STATUS(trial, RONDE_OK, member_submit(trial, &members[i], group));
        }
        if (group)
            EXPECT_STATUS(trial, RONDE_OK, ronde_group_end(trial->context, group));
        for (int i = 0; i < n; i++) {
            EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_wait(trial->context, members[i].handle));
            EXPECT_ERROR(trial, "other", "group");
            nothing_was_written(trial, &members[i]);
        }
        meet_directly(trial); /* all have failed before any begins again */
        names_can_be_used_again(trial, ALLREDUCE, "other", 3);
    }
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    groups_of_all_kinds_complete(&trial);
    members_complete_together(&trial);
    nothing_is_queued_before_the_end(&trial);
    a_bad_member_leaves_nothing_queued(&trial);
    a_duplicate_in_the_middle_leaves_nothing_queued(&trial);
    a_cancelled_group_is_forgotten(&trial);
    misuse_fails_at_once(&trial);
    disagreement_on_one_fails_all(&trial);
    other_groups_elsewhere_are_a_mismatch(&trial);
    return trial_end(&trial);
}
