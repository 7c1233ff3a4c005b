/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=1/1,2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: threads=4/4,4/2 settings=cache_capacity=3 timeout=60 */
/* Operations in process sets: every kind, with roots by their global ranks; the same names in sets
 * that overlap; a set that waits keeps no other waiting. (ranks_sets_made.c makes and removes.) */
#include <pthread.h>

#include "samples.h"
#include "trial.h"

struct set {
    int32_t number;
    struct members members;
    int place; /* of this rank; -1: it is no member */
};

/* Collective. The ranks first, first + step, ... up to `end`. */
static struct set set_make(struct trial *trial, int first, int end, int step)
{
    struct set set = {-1, {0, {0}}, -1};
    int32_t ranks[64];
    for (int rank = first; rank < end; rank += step) {
        ranks[set.members.n] = rank;
        set.members.ranks[set.members.n++] = rank;
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_process_set_add(trial->context, ranks, set.members.n, &set.number));
    set.place = members_place(&set.members, trial->rank);
    return set;
}

static void set_close(struct trial *trial, const struct set *set)
{
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, set->number));
}

enum { MOST_SETS = 6 };

/* All, the even, the odd, all but the first, the first two, the last; never less than one. */
static void sets_make(struct trial *trial, struct set *sets)
{
    int size = trial->size;
    struct set all = {0, members_first(size), trial->rank};
    sets[0] = all;
    sets[1] = set_make(trial, 0, size, 2);
    sets[2] = set_make(trial, size > 1, size, 2);
    sets[3] = set_make(trial, size > 1, size, 1);
    sets[4] = set_make(trial, 0, size < 2 ? size : 2, 1);
    sets[5] = set_make(trial, size - 1, size, 1);
}

static int32_t sum_of(const struct set *set, size_t index)
{
    int32_t sum = 0;
    for (int i = 0; i < set->members.n; i++)
        sum += ranks_value(set->members.ranks[i], index);
    return sum;
}

/* ---- every kind ------------------------------------------------------------------------------ */

enum { COUNT = 24 };

static void reductions_work_in(struct trial *trial, const struct set *set)
{
    int32_t in[COUNT], out[COUNT], root = set->members.ranks[set->members.n - 1];
    ronde_call call = call_in(set->number);
    size_t share = ronde_share_rows(COUNT, set->members.n, set->place), first = 0;
    for (int place = 0; place < set->place; place++)
        first += ronde_share_rows(COUNT, set->members.n, place);
    for (size_t i = 0; i < COUNT; i++)
        in[i] = ranks_value(trial->rank, i);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "in a set", in, out, COUNT, RONDE_INT32,
                                  RONDE_AVERAGE, &call));
    for (size_t i = 0; i < COUNT; i++)
        EXPECT(trial, out[i] == sum_of(set, i) / set->members.n, "average %zu is %d", i,
               (int)out[i]);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce(trial->context, "in a set", in, out, COUNT, RONDE_INT32, RONDE_SUM,
                               root, &call));
    for (size_t i = 0; i < COUNT && trial->rank == root; i++)
        EXPECT(trial, out[i] == sum_of(set, i), "sum %zu at rank %d is %d", i, (int)root,
               (int)out[i]);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter(trial->context, "in a set", in, COUNT, 1, RONDE_INT32,
                                      RONDE_SUM, out, share, &call));
    for (size_t i = 0; i < share; i++)
        EXPECT(trial, out[i] == sum_of(set, first + i), "part %zu is %d", i, (int)out[i]);
}

static void movements_work_in(struct trial *trial, const struct set *set)
{
    int32_t in[COUNT], out[2 * 64], root = set->members.ranks[set->members.n / 2];
    ronde_call call = call_in(set->number);
    ronde_context *context = trial->context;
    size_t n = (size_t)set->members.n, place = (size_t)set->place, by_rank[64], came = 0;
    for (size_t i = 0; i < COUNT; i++)
        in[i] = 1000 * trial->rank + (int32_t)i;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(context, "in a set", in, out, COUNT, RONDE_INT32, root, &call));
    EXPECT(trial, out[7] == 1000 * root + 7, "%d from rank %d", (int)out[7], (int)root);
    EXPECT_STATUS(trial, RONDE_OK, /* as many rows as the place says, and one more */
                  ronde_allgather(context, "in a set", in, place + 1, 1, RONDE_INT32, out, 128,
                                  by_rank, &call));
    EXPECT(trial,
           by_rank[n - 1] == n &&
               out[n * (n + 1) / 2 - 1] == 1000 * set->members.ranks[n - 1] + (int32_t)n - 1,
           "%zu rows of the last of %zu, with %d", by_rank[n - 1], n,
           (int)out[n * (n + 1) / 2 - 1]);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_alltoall(context, "in a set", in, NULL, 2 * n, 1, RONDE_INT32, out, 128,
                                 by_rank, &call));
    for (size_t i = 0; i < 2 * n; i++)
        EXPECT(trial, out[i] == 1000 * set->members.ranks[i / 2] + (int32_t)(2 * place + i % 2),
               "row %zu to each is %d", i, (int)out[i]);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_gather(context, "in a set", in, 1, 2, RONDE_INT32, out, 64, by_rank, root,
                               &call));
    for (size_t i = 0; i < n && trial->rank == root; i++)
        EXPECT(trial, by_rank[i] == 1 && out[2 * i + 1] == 1000 * set->members.ranks[i] + 1,
               "%zu rows of member %zu, with %d", by_rank[i], i, (int)out[2 * i + 1]);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_scatter(context, "in a set", in, NULL, n, 1, RONDE_INT32, out, 64, &came,
                                root, &call));
    EXPECT(trial, came == 1 && out[0] == 1000 * root + set->place, "%zu rows of rank %d, with %d",
           came, (int)root, (int)out[0]);
}

static void messages_and_the_rest_work_in(struct trial *trial, const struct set *set)
{
    ronde_call call = call_in(set->number);
    ronde_context *context = trial->context;
    int n = set->members.n, next = set->members.ranks[(set->place + 1) % n];
    int previous = set->members.ranks[(set->place + n - 1) % n];
    int32_t mine = trial->rank, theirs = -1, last = -1;
    int64_t index = 40 + set->place, *indices = NULL;
    uint64_t handles[2];
    void *values = NULL;
    size_t rows = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_send_async(context, "ring", &mine, 1, RONDE_INT32, next, &call,
                                   &handles[0]));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_recv(context, "ring", &theirs, 1, RONDE_INT32, previous, &call));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(context, handles[0]));
    EXPECT(trial, theirs == previous, "%d from rank %d", (int)theirs, previous);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_sparse_allreduce_async(context, "in a set", &index, &mine, 1, 1,
                                               RONDE_INT32, RONDE_SUM, &call, &handles[1]));
    EXPECT_STATUS(trial, RONDE_OK, until_done(trial, handles[1]));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_take_sparse(context, handles[1], &indices, &values, &rows));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(context, handles[1]));
    EXPECT(trial,
           rows == (size_t)n && values && ((int32_t *)values)[n - 1] == set->members.ranks[n - 1],
           "%zu sparse rows of %d", rows, n);
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(context, indices));
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(context, values));
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(context, "in a set", &call));
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(context, &last, &call));
    EXPECT(trial, members_place(&set->members, last) >= 0, "rank %d was last", (int)last);
}

static void every_kind_works_in_every_set(struct trial *trial)
{
    struct set sets[MOST_SETS];
    sets_make(trial, sets);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < MOST_SETS; i++) {
            if (sets[i].place < 0)
                continue;
            reductions_work_in(trial, &sets[i]);
            movements_work_in(trial, &sets[i]);
            messages_and_the_rest_work_in(trial, &sets[i]);
        }
    for (int i = 1; i < MOST_SETS; i++)
        set_close(trial, &sets[i]);
}

/* Roots and peers that are ranks, but no members; and calls of those who are none. */
static void strangers_are_refused(struct trial *trial)
{
    struct set set = set_make(trial, trial->size > 1, trial->size, 1);
    ronde_call call = call_in(set.number);
    ronde_context *c = trial->context;
    int32_t a[4] = {0}, b[64], r = trial->size > 1 ? 0 : 1; /* the first rank, or none */
    int32_t wanted = set.place < 0 ? RONDE_ERR_PROCESS_SET : RONDE_ERR_ARGUMENT;
    uint64_t h = 4711;
    const int32_t statuses[] = {
        ronde_broadcast_async(c, "x", a, b, 4, RONDE_INT32, r, &call, &h),
        ronde_reduce_async(c, "x", a, b, 4, RONDE_INT32, RONDE_SUM, r, &call, &h),
        ronde_gather_async(c, "x", a, 4, 1, RONDE_INT32, b, 64, NULL, r, &call, &h),
        ronde_scatter_async(c, "x", a, NULL, 4, 1, RONDE_INT32, b, 64, NULL, r, &call, &h),
        ronde_send_async(c, "x", a, 4, RONDE_INT32, r, &call, &h),
        ronde_recv_async(c, "x", b, 4, RONDE_INT32, r, &call, &h),
    };
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        EXPECT(trial, statuses[i] == wanted, "call %zu: %s", i, ronde_status_name(statuses[i]));
    EXPECT(trial, h == 4711, "a failing call wrote its handle");
    set_close(trial, &set);
}

/* ---- at once --------------------------------------------------------------------------------- */

/* The same names in all sets, in an order of this rank's own. */
static void names_belong_to_their_set(struct trial *trial)
{
    enum { EACH = 6, N = EACH * MOST_SETS };
    struct set sets[MOST_SETS];
    int32_t data[N][COUNT];
    uint64_t handles[N], dice = (uint64_t)trial->rank + 50;
    size_t order[N];
    sets_make(trial, sets);
    for (int round = 0; round < 6; round++) {
        dice_order(&dice, order, N);
        for (size_t k = 0; k < N; k++) {
            size_t i = order[k];
            const struct set *set = &sets[i % MOST_SETS];
            ronde_call call = call_in(set->number);
            char name[16];
            snprintf(name, sizeof name, "same %d", (int)(i / MOST_SETS));
            for (size_t at = 0; at < COUNT; at++)
                data[i][at] = ranks_value(trial->rank, at + i);
            if (set->place >= 0)
                EXPECT_STATUS(trial, RONDE_OK,
                              ronde_allreduce_async(trial->context, name, data[i], data[i], COUNT,
                                                    RONDE_INT32, RONDE_SUM, &call, &handles[i]));
        }
        for (size_t i = 0; i < N; i++) {
            const struct set *set = &sets[i % MOST_SETS];
            if (set->place < 0)
                continue;
            EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
            for (size_t at = 0; at < COUNT; at++)
                EXPECT(trial, data[i][at] == sum_of(set, at + i), "set %d, element %zu is %d",
                       (int)set->number, at, (int)data[i][at]);
        }
    }
    for (int i = 1; i < MOST_SETS; i++)
        set_close(trial, &sets[i]);
}

/* The odd ranks do nothing, but for one that waits in its set and in the world, until the even ones
 * have passed many barriers and sums of theirs. */
static void a_set_that_waits_keeps_no_other_waiting(struct trial *trial)
{
    struct set even = set_make(trial, 0, trial->size, 2);
    struct set odd = set_make(trial, trial->size > 1, trial->size, 2);
    ronde_call in_even = call_in(even.number), in_odd = call_in(odd.number);
    int32_t sum = 1, mine = trial->rank, waits = trial->rank == 1;
    uint64_t barrier = 0, world = 0;
    for (int turn = 0; turn < 2; turn++) {
        if (turn == !waits && trial->size > 1)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce_async(trial->context, "world", &mine, &mine, 1,
                                                RONDE_INT32, RONDE_MAX, NULL, &world));
        if (turn == !waits && odd.place >= 0)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_barrier_async(trial->context, "gate", &in_odd, &barrier));
        for (int i = 0; i < 30 && turn == 0 && even.place >= 0; i++) {
            EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "gate", &in_even));
            sum = 1;
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_allreduce(trial->context, "sum", &sum, &sum, 1, RONDE_INT32,
                                          RONDE_SUM, &in_even));
            EXPECT(trial, sum == even.members.n, "sum %d of %d", (int)sum, even.members.n);
        }
        if (waits && turn == 0)
            EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, world));
        if (waits && turn == 0 && odd.members.n > 1)
            EXPECT_STATUS(trial, RONDE_PENDING, ronde_poll(trial->context, barrier));
        meet_directly(trial); /* the odd ranks go on when the even ones have passed */
    }
    if (odd.place >= 0)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, barrier));
    if (world)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, world));
    EXPECT(trial, mine == trial->size - 1, "the largest rank is %d", (int)mine);
    set_close(trial, &even);
    set_close(trial, &odd);
}

/* A set is made while rank 0 waits in the world, and removed while operations run in it. */
static void operations_outlast_making_and_removing(struct trial *trial)
{
    int32_t mine = 1, data[COUNT];
    uint64_t world = 0, handles[COUNT];
    if (trial->rank == 0)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, "outlasts", &mine, &mine, 1,
                                            RONDE_INT32, RONDE_SUM, NULL, &world));
    struct set set = set_make(trial, 0, trial->size, 2);
    ronde_call call = call_in(set.number);
    for (int i = 0; i < COUNT && set.place >= 0; i++) {
        char name[16];
        snprintf(name, sizeof name, "ends %d", i);
        data[i] = i;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, &data[i], &data[i], 1,
                                            RONDE_INT32, RONDE_SUM, &call, &handles[i]));
    }
    set_close(trial, &set);
    for (int i = 0; i < COUNT && set.place >= 0; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        EXPECT(trial, data[i] == i * set.members.n, "tensor %d is %d", i, (int)data[i]);
    }
    if (trial->rank)
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, "outlasts", &mine, &mine, 1,
                                            RONDE_INT32, RONDE_SUM, NULL, &world));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, world));
    EXPECT(trial, mine == trial->size, "sum %d", (int)mine);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct work {
    struct trial trial; /* with failures of its own */
    const struct set *set;
};

static void *work_run(void *argument)
{
    struct work *work = argument;
    for (int i = 0; i < 20 && work->set->place >= 0; i++) {
        reductions_work_in(&work->trial, work->set);
        movements_work_in(&work->trial, work->set);
        messages_and_the_rest_work_in(&work->trial, work->set);
    }
    return NULL;
}

/* Each in a set of its own, which overlap; and the sets are left to the closing of the context. */
static void threads_work_in_sets_of_their_own(struct trial *trial)
{
    struct set sets[MOST_SETS];
    struct work work[3];
    pthread_t threads[3];
    sets_make(trial, sets);
    for (int i = 0; i < 3; i++) {
        struct work one = {*trial, &sets[i == 0 ? 0 : i + 2]};
        one.trial.failures = 0;
        work[i] = one;
        pthread_create(&threads[i], NULL, work_run, &work[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        trial->failures += work[i].trial.failures;
    }
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_kind_works_in_every_set(&trial);
    strangers_are_refused(&trial);
    names_belong_to_their_set(&trial);
    a_set_that_waits_keeps_no_other_waiting(&trial);
    operations_outlast_making_and_removing(&trial);
    threads_work_in_sets_of_their_own(&trial);
    return trial_end(&trial);
}
