/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=1/1,2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: np=4 np=4/2,4/1 threads=4,4/2 settings=process_sets=0,1/2,3 args=pairs timeout=60 */
/* ronde-test: np=4 np=4/2,4/1 threads=4,4/2 settings=process_sets=0-2/3/2-3,0 args=ranges */
/* ronde-test: np=2 settings=stall_warn=30 args=hundreds timeout=60 */
/* Process sets are made at opening, from ranks and by colours, and removed: their numbers are the
 * same everywhere and never used again, and what makes no sense is an error everywhere. */
#include "trial.h"

/* Collective. The set has exactly these ranks, as far as questions and a sum of theirs tell, and is
 * nothing to others. */
static void set_is(struct trial *trial, int32_t set, const struct members *members)
{
    int32_t ranks[64], n = -1, sum = trial->rank + 1, wanted = 0, place;
    ronde_call call = call_in(set);
    memset(ranks, 0xee, sizeof ranks);
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_ranks(trial->context, set, ranks, 64, &n));
    EXPECT(trial, n == members->n && ronde_process_set_size(trial->context, set) == n,
           "set %d has %d ranks, not %d", (int)set, (int)n, members->n);
    for (int i = 0; i < members->n; i++) {
        wanted += members->ranks[i] + 1;
        EXPECT(trial, ranks[i] == members->ranks[i], "rank %d of set %d is %d, not %d", i, (int)set,
               (int)ranks[i], members->ranks[i]);
    }
    place = members_place(members, trial->rank);
    EXPECT(trial, ronde_process_set_rank(trial->context, set) == place, "rank %d in set %d, not %d",
           (int)ronde_process_set_rank(trial->context, set), (int)set, (int)place);
    int32_t status = ronde_allreduce(trial->context, "sum in a set", &sum, &sum, 1, RONDE_INT32,
                                     RONDE_SUM, &call);
    EXPECT(trial, status == (place < 0 ? RONDE_ERR_PROCESS_SET : RONDE_OK), "set %d: %s (%s)",
           (int)set, ronde_status_name(status), status < 0 ? ronde_last_error() : "");
    EXPECT(trial, place < 0 || sum == wanted, "the sum in set %d is %d, not %d", (int)set, (int)sum,
           (int)wanted);
}

/* There is no such set, or not any more; asking is no crash. */
static void set_is_none(struct trial *trial, int32_t set)
{
    int32_t ranks[4], n = -7, data = 1;
    ronde_call call = call_in(set);
    EXPECT(trial,
           ronde_process_set_size(trial->context, set) == -1 &&
               ronde_process_set_rank(trial->context, set) == -1,
           "set %d, which there is not, has size %d", (int)set,
           (int)ronde_process_set_size(trial->context, set));
    EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET,
                  ronde_process_set_ranks(trial->context, set, ranks, 4, &n));
    EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET,
                  ronde_allreduce(trial->context, "no set", &data, &data, 1, RONDE_INT32, RONDE_SUM,
                                  &call));
    EXPECT(trial, n == -7 && data == 1, "a failing call wrote its result");
}

/* Collective. */
static int32_t set_add(struct trial *trial, const int32_t *ranks, int n)
{
    int32_t set = -7;
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_add(trial->context, ranks, n, &set));
    same_everywhere(trial, &set, sizeof set, "the number of a set");
    EXPECT(trial, set > 0, "the new set is number %d", (int)set);
    return set;
}

static void set_remove(struct trial *trial, int32_t set)
{
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, set));
    set_is_none(trial, set);
}

/* ---- what is there at opening ---------------------------------------------------------------- */

static void all_ranks_are_set_0(struct trial *trial)
{
    struct members all = members_first(trial->size);
    int32_t first = -7, n = -7;
    set_is(trial, 0, &all);
    EXPECT_STATUS(trial, RONDE_OK, /* as far as there is room */
                  ronde_process_set_ranks(trial->context, 0, &first, 1, &n));
    EXPECT(trial, first == 0 && n == trial->size, "rank %d of %d", (int)first, (int)n);
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_ranks(trial->context, 0, NULL, 0, &n));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                  ronde_process_set_ranks(trial->context, 0, &first, 1, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET, ronde_process_set_remove(trial->context, 0));
    set_is(trial, 0, &all);
    EXPECT(trial, ronde_process_set_size(NULL, 0) == -1 && ronde_process_set_rank(NULL, 0) == -1,
           "no context has a set");
}

/* What the setting of the runs above says; the next number is that after it. */
static int settings_make_sets(struct trial *trial, const char *which)
{
    static const struct members pairs[] = {{2, {0, 1}}, {2, {2, 3}}};
    static const struct members ranges[] = {{3, {0, 1, 2}}, {1, {3}}, {3, {0, 2, 3}}};
    int n = strcmp(which, "pairs") == 0 ? 2 : strcmp(which, "ranges") == 0 ? 3 : 0;
    for (int i = 0; i < n; i++)
        set_is(trial, i + 1, n == 2 ? &pairs[i] : &ranges[i]);
    set_is_none(trial, n + 1);
    return n;
}

/* ---- what is made and removed ---------------------------------------------------------------- */

/* In any order, as few as one and as many as all; others are left alone by a removal. */
static void sets_are_made_from_ranks(struct trial *trial, int32_t next)
{
    struct members all = members_first(trial->size), last = {1, {trial->size - 1}}, ends = {2, {0}};
    int32_t backwards[64], outer[] = {trial->size - 1, 0}, sets[4];
    ends.ranks[1] = trial->size - 1;
    for (int i = 0; i < trial->size; i++)
        backwards[i] = trial->size - 1 - i;
    sets[0] = set_add(trial, backwards, trial->size);
    sets[1] = set_add(trial, backwards, 1);
    sets[2] = trial->size > 1 ? set_add(trial, outer, 2) : set_add(trial, outer, 1);
    EXPECT(trial,
           sets[0] >= next && sets[1] >= next && sets[2] >= next && sets[0] != sets[1] &&
               sets[0] != sets[2] && sets[1] != sets[2],
           "numbers %d, %d, %d, the least that is free being %d", (int)sets[0], (int)sets[1],
           (int)sets[2], (int)next);
    ends = trial->size > 1 ? ends : last;
    set_is(trial, sets[0], &all);
    set_is(trial, sets[1], &last);
    set_is(trial, sets[2], &ends);
    set_remove(trial, sets[1]);
    set_is(trial, sets[0], &all);
    set_is(trial, sets[2], &ends);
    sets[3] = set_add(trial, backwards, 1);
    EXPECT(trial, sets[3] != sets[0] && sets[3] != sets[1] && sets[3] != sets[2],
           "number %d was used again", (int)sets[3]);
    set_is(trial, sets[3], &last);
    for (int i = 0; i < 4; i++)
        if (i != 1)
            set_remove(trial, sets[i]);
}

static void colours_make_sets(struct trial *trial)
{
    for (int turn = 0; turn < 3; turn++) { /* of two, of one each, and without the first */
        int32_t colour = turn == 0 ? trial->rank % 2 * 1000000007 : trial->rank - (turn == 2);
        int32_t set = -7, all[64];
        struct members members = {0, {0}};
        EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_split(trial->context, colour, &set));
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_direct_allgather(trial->context, &set, 1, 1, RONDE_INT32, all, NULL,
                                             NULL));
        for (int rank = 0; rank < trial->size; rank++) {
            int is_same = turn == 0 ? rank % 2 == trial->rank % 2 : rank == trial->rank;
            if (is_same && colour >= 0)
                members.ranks[members.n++] = rank;
            EXPECT(trial, (all[rank] == set) == is_same, "rank %d has set %d, this one %d", rank,
                   (int)all[rank], (int)set);
        }
        EXPECT(trial, colour < 0 ? set == -1 : set > 0, "colour %d is set %d", (int)colour,
               (int)set);
        for (int rank = 0; rank < trial->size; rank++) {
            if (all[rank] == set && set > 0)
                set_is(trial, set, &members);
            else if (all[rank] > 0)
                EXPECT(trial, ronde_process_set_rank(trial->context, all[rank]) == -1,
                       "a member of set %d, of rank %d", (int)all[rank], rank);
        }
        meet(trial, "after colours");
        for (int rank = 0; rank < trial->size; rank++)
            if (all[rank] > 0 && (turn || rank < 2))
                set_remove(trial, all[rank]);
    }
}

/* No number comes twice; nothing is left of what went. */
static void many_sets_come_and_go(struct trial *trial)
{
    int32_t before[40];
    for (int round = 0; round < 40; round++) {
        struct members members = {0, {0}};
        int32_t ranks[64];
        for (int rank = 0; rank < trial->size; rank++)
            if ((round >> rank % 4 & 1) || rank == round % trial->size) {
                ranks[members.n] = rank;
                members.ranks[members.n++] = rank;
            }
        before[round] = set_add(trial, ranks, members.n);
        for (int i = 0; i < round; i++)
            EXPECT(trial, before[i] != before[round], "set %d came again", (int)before[i]);
        set_is(trial, before[round], &members);
        set_remove(trial, before[round]);
    }
}

/* As many as there may be: one more is an error everywhere, until one is removed. */
static void there_are_hundreds_at_most(struct trial *trial)
{
    enum { MOST = 500 };
    int32_t sets[MOST + 1], n = 0, status = RONDE_OK;
    const int32_t first = 0;
    while (n < MOST + 1 && status == RONDE_OK) {
        status = ronde_process_set_add(trial->context, &first, 1, &sets[n]);
        n += status == RONDE_OK;
    }
    EXPECT(trial, status == RONDE_ERR_MEMORY && (n == MOST || n == MOST - 1), "%d sets, then %s",
           (int)n, ronde_status_name(status));
    struct members members = {1, {0}};
    if (n == 0)
        return;
    set_is(trial, sets[n - 1], &members);
    set_remove(trial, sets[n / 2]);
    sets[n / 2] = set_add(trial, &first, 1);
    set_is(trial, sets[n / 2], &members);
    for (int i = 0; i < n; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, sets[i]));
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* On all ranks alike, whether all err or one. */
static void bad_lists_are_an_error_everywhere(struct trial *trial)
{
    const int32_t outside[] = {0, trial->size}, below[] = {-1}, twice[] = {0, 0};
    const int32_t *const lists[] = {outside, below, twice, outside, NULL};
    const int lengths[] = {2, 1, 2, 0, 1};
    for (int i = 0; i < 5; i++) {
        int32_t set = -7;
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_process_set_add(trial->context, lists[i], lengths[i], &set));
        int32_t status = trial->rank == trial->size - 1
                             ? ronde_process_set_add(trial->context, lists[i], lengths[i], &set)
                             : ronde_process_set_add(trial->context, outside, 1, &set);
        EXPECT(trial,
               status == RONDE_ERR_ARGUMENT || (status == RONDE_ERR_MISMATCH && trial->size > 1),
               "list %d, bad on one rank: %s", i, ronde_status_name(status));
        EXPECT(trial, set == -7, "a failing call wrote its result");
        meet(trial, "after a bad list");
    }
}

static void other_lists_elsewhere_are_a_mismatch(struct trial *trial)
{
    static const int32_t ranks[] = {0, 1};
    int32_t set = -7, n = trial->rank == 0 ? 1 : 2, status, sets[2];
    if (trial->size == 1)
        return;
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, ronde_process_set_add(trial->context, ranks, n, &set));
    EXPECT_ERROR(trial, "rank", "0", "1");
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  ronde_process_set_add(trial->context, &ranks[trial->rank == trial->size - 1], 1,
                                        &set));
    sets[0] = set_add(trial, ranks, 2);
    sets[1] = set_add(trial, ranks, 1);
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH, /* another one on another rank */
                  ronde_process_set_remove(trial->context, sets[trial->rank == 0]));
    status = trial->rank == 0 ? ronde_process_set_split(trial->context, 1, &set)
                              : ronde_process_set_add(trial->context, ranks, 2, &set);
    EXPECT(trial, status == RONDE_ERR_MISMATCH && set == -7, "a split here, an addition there: %s",
           ronde_status_name(status));
    struct members both = {2, {0, 1}};
    set_is(trial, sets[0], &both);
    set_remove(trial, sets[0]);
    set_remove(trial, sets[1]);
}

static void sets_that_are_none_are_refused(struct trial *trial)
{
    static const int32_t none[] = {-1, 4711, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        set_is_none(trial, none[i]);
        EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET,
                      ronde_process_set_remove(trial->context, none[i]));
    }
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_process_set_add(trial->context, none, 1, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_process_set_split(trial->context, 1, NULL));
    meet(trial, "after sets that are none");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    int hundreds = argc > 1 && strcmp(argv[1], "hundreds") == 0;
    int given = settings_make_sets(&trial, argc > 1 ? argv[1] : "none");
    if (hundreds) {
        there_are_hundreds_at_most(&trial);
        return trial_end(&trial);
    }
    all_ranks_are_set_0(&trial);
    sets_are_made_from_ranks(&trial, given + 1);
    colours_make_sets(&trial);
    many_sets_come_and_go(&trial);
    bad_lists_are_an_error_everywhere(&trial);
    other_lists_elsewhere_are_a_mismatch(&trial);
    sets_that_are_none_are_refused(&trial);
    return trial_end(&trial);
}
