/* ronde-test: np=8 np=8/4 threads=8/4 args=2000 timeout=120 */
/* ronde-test: np=3 np=4/2 args=1000 timeout=90 */
/* ronde-test: np=4/2 threads=4/2 settings=process_sets=0,2/1-3;cache_capacity=5 args=500 timeout=90 */
/* Thousands of operations drawn by dice: all kinds, types, sizes, sets, groups, names, memory and
 * ways to wait, in another order on every rank, from several threads, with ranks that join; with
 * errors of one rank that all must learn, and such as nobody else may notice. What comes out is
 * compared bit for bit.
 *
 *   ranks_stress [OPERATIONS [--seed N]]
 *
 * What is submitted depends on the seed alone, which is told first; when, on the machine. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "stress/alone.h"
#include "stress/draw.h"
#include "stress/submit.h"

enum { MOST_THREADS = 3, MOST_FLIGHTS = 200, PATIENCE_S = TRIAL_IS_SLOW ? 150 : 60 };

/* A rank's, used by its threads. */
struct stress {
    struct trial trial;
    struct phase phase;
    pthread_barrier_t meeting; /* of the rank's threads, before it joins a set */
    int32_t last[MOST_SETS];
    uint64_t join[MOST_SETS]; /* handles; 0: not joined */
    uint64_t seed;
    int operations; /* drawn so far */
    atomic_int progress, is_over;
};

/* One submitting thread of a rank. */
struct worker {
    struct stress *stress;
    struct trial trial;
    int index;
    uint64_t dice;
    int n;
    struct flight *flights[MOST_FLIGHTS];
};

/* ---- a unit ---------------------------------------------------------------------------------- */

static int32_t status_of(const struct worker *w, const struct flight *f)
{
    const struct operation *first = &w->stress->phase.operations[f->unit->first];
    for (int i = 0; i < f->unit->n; i++)
        if (is_refused(first[i].plant))
            return RONDE_ERR_MISMATCH;
    return f->op.plant == NO_ROOM && f->op.odd == w->trial.rank ? RONDE_ERR_TRUNCATED : RONDE_OK;
}

/* Ends the flight at i, whose place the last one takes. */
static void land(struct worker *w, int i)
{
    struct flight *f = w->flights[i];
    flight_finish(&w->trial, f, status_of(w, f), &w->dice);
    w->flights[i] = w->flights[--w->n];
    free(f);
    atomic_fetch_add(&w->stress->progress, 1);
}

/* The name is free again when what had it is done. */
static void free_name(struct worker *w, const struct operation *op)
{
    for (int i = w->n - 1; i >= 0; i--) {
        const struct operation *other = w->flights[i]->plan;
        if (*op->name && other->kind == op->kind && other->set == op->set &&
            strcmp(other->name, op->name) == 0)
            land(w, i);
    }
}

static void launch(struct worker *w, const struct unit *unit, const struct operation *op,
                   int receives, int window, uint64_t group)
{
    struct flight *f = w->flights[w->n++] = calloc(1, sizeof *f);
    f->plan = op;
    f->unit = unit;
    f->window = window;
    f->rank = w->trial.rank;
    f->receives = receives;
    f->op = seen_by(op, f->rank);
    flight_open(&w->trial, f, &w->dice);
    int32_t status = flight_submit(w->trial.context, f, group);
    SAYING(&w->trial, f, status == RONDE_OK, ronde_last_error());
}

static void submit_group(struct worker *w, const struct unit *unit, int window)
{
    const struct operation *first = &w->stress->phase.operations[unit->first];
    int is_alone = first->plant == OTHER_GROUP && first->odd == w->trial.rank;
    uint64_t group = 0;
    size_t order[MOST_UNITS];
    dice_order(&w->dice, order, (size_t)unit->n);
    if (!is_alone)
        EXPECT_STATUS(&w->trial, RONDE_OK, ronde_group_begin(w->trial.context, &group));
    for (int i = 0; i < unit->n; i++)
        launch(w, unit, first + order[i], 0, window, group);
    if (!is_alone)
        EXPECT_STATUS(&w->trial, RONDE_OK, ronde_group_end(w->trial.context, group));
}

static void submit_unit(struct worker *w, const struct unit *unit, int window)
{
    const struct operation *op = &w->stress->phase.operations[unit->first];
    for (int i = 0; i < unit->n; i++)
        free_name(w, op + i);
    if (unit->is_group) {
        submit_group(w, unit, window);
    } else if (op->kind == SEND) {
        int receives = op->receiver == w->trial.rank;
        launch(w, unit, op, receives, window, 0);
        if (op->root == op->receiver)
            launch(w, unit, op, 0, window, 0);
    } else {
        launch(w, unit, op, 0, window, 0);
    }
}

/* ---- a window -------------------------------------------------------------------------------- */

/* Those of this thread, in an order of its own, but the unnamed ones as they are. */
static int own_units(struct worker *w, int window, const struct unit **units)
{
    const struct phase *phase = &w->stress->phase;
    const struct window *from = &phase->window[window];
    uint64_t threads = (uint64_t)phase->threads[w->trial.rank];
    size_t order[MOST_UNITS];
    int n = 0;
    dice_order(&w->dice, order, (size_t)from->n);
    for (int i = 0; i < from->n; i++) {
        const struct unit *unit = &from->units[order[i]];
        uint64_t key = phase->seed + 64 * unit->key + (uint64_t)w->trial.rank;
        int thread = unit->key ? (int)(mix(key) % threads) : 0;
        if (thread == w->index && is_present(&phase->operations[unit->first], w->trial.rank))
            units[n++] = unit;
    }
    return n;
}

/* Some of what is older than the window, or all. */
static void land_some(struct worker *w, int window, size_t percent)
{
    for (int i = w->n - 1; i >= 0; i--)
        if (w->flights[i]->window < window && chance(&w->dice, percent))
            land(w, i);
}

static void run_window(struct worker *w, int window)
{
    const struct unit *units[MOST_UNITS];
    int n = own_units(w, window, units), is_patient = chance(&w->dice, 50);
    for (int i = 0; i < n; i++) {
        if (chance(&w->dice, 5))
            err_alone(&w->trial, &w->stress->phase, &w->dice);
        if (chance(&w->dice, 2))
            nap(1e-6 * (double)dice_below(&w->dice, 2000));
        land_some(w, window, is_patient ? 0 : 5);
        submit_unit(w, units[i], window);
    }
    if (w->n > MOST_FLIGHTS - 5 * MOST_UNITS)
        land_some(w, window + 1, 100);
    else if (chance(&w->dice, 40))
        land_some(w, window + 1, dice_below(&w->dice, 101));
}

/* Once every thread has submitted what comes before, one of them says that there is no more. */
static void join_sets(struct worker *w, int window)
{
    struct stress *s = w->stress;
    int joins = 0;
    for (int i = 0; i < s->phase.sets; i++)
        joins |= s->phase.stop[i][w->trial.rank] == window;
    if (!joins)
        return;
    pthread_barrier_wait(&s->meeting);
    for (int i = 0; i < s->phase.sets && w->index == 0; i++) {
        ronde_call call = call_in(s->phase.set[i].id);
        if (s->phase.stop[i][w->trial.rank] == window)
            EXPECT_STATUS(&w->trial, RONDE_OK,
                          ronde_join_async(w->trial.context, &s->last[i], &call, &s->join[i]));
    }
}

static void *work(void *argument)
{
    struct worker *w = argument;
    for (int window = 0; window < w->stress->phase.windows; window++) {
        join_sets(w, window);
        run_window(w, window);
    }
    join_sets(w, w->stress->phase.windows);
    while (w->n)
        land(w, (int)dice_below(&w->dice, (size_t)w->n));
    return NULL;
}

/* ---- a phase --------------------------------------------------------------------------------- */

static void run_workers(struct stress *s)
{
    int n = s->phase.threads[s->trial.rank];
    struct worker workers[MOST_THREADS] = {{.index = 0}};
    pthread_t threads[MOST_THREADS];
    pthread_barrier_init(&s->meeting, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        workers[i].stress = s;
        workers[i].trial = s->trial;
        workers[i].trial.failures = 0;
        workers[i].index = i;
        workers[i].dice = mix(s->phase.seed + 1000 * (uint64_t)(s->trial.rank + 1) + (uint64_t)i);
    }
    for (int i = 1; i < n; i++)
        if (pthread_create(&threads[i], NULL, work, &workers[i]))
            abort();
    work(&workers[0]);
    for (int i = 0; i < n; i++) {
        if (i > 0)
            pthread_join(threads[i], NULL);
        s->trial.failures += workers[i].trial.failures;
    }
    pthread_barrier_destroy(&s->meeting);
}

/* Of each set that was joined, all its ranks know the same last one. */
static void check_joins(struct stress *s)
{
    for (int i = 0; i < s->phase.sets; i++) {
        const struct members *members = &s->phase.set[i].members;
        int place = members_place(members, s->trial.rank);
        int64_t last[MOST_RANKS], mine;
        if (s->join[i])
            EXPECT_STATUS(&s->trial, RONDE_OK, ronde_wait(s->trial.context, s->join[i]));
        mine = s->join[i] ? s->last[i] : -1;
        EXPECT_STATUS(&s->trial, RONDE_OK,
                      ronde_direct_allgather(s->trial.context, &mine, 1, 1, RONDE_INT64, last, NULL,
                                             NULL));
        EXPECT(&s->trial, !s->join[i] || members_place(members, s->last[i]) >= 0,
               "rank %d was the last of set %d to join", (int)s->last[i], (int)s->phase.set[i].id);
        for (int k = 0; place >= 0 && k < members->n; k++)
            EXPECT(&s->trial, last[members->ranks[k]] == mine,
                   "rank %d knows another last rank of set %d", members->ranks[k],
                   (int)s->phase.set[i].id);
        s->join[i] = 0;
    }
}

/* A name that is outstanding for sure: nobody else has come to it. */
static void submit_twice(struct stress *s, int odd)
{
    int64_t in = s->trial.rank, out = -1, size = s->trial.size;
    uint64_t handle = 0, other = 4711;
    ronde_context *c = s->trial.context;
    for (int turn = 0; turn < 2; turn++) {
        if ((s->trial.rank == odd) == (turn == 0))
            EXPECT_STATUS(&s->trial, RONDE_OK,
                          ronde_allreduce_async(c, "layer 1", &in, &out, 1, RONDE_INT64, RONDE_SUM,
                                                NULL, &handle));
        if (s->trial.rank == odd && turn == 0 && size > 1) {
            EXPECT_STATUS(&s->trial, RONDE_ERR_DUPLICATE,
                          ronde_allreduce_async(c, "layer 1", &in, &out, 1, RONDE_INT64, RONDE_SUM,
                                                NULL, &other));
            EXPECT_ERROR(&s->trial, "layer 1");
        }
        meet_directly(&s->trial);
    }
    EXPECT_STATUS(&s->trial, RONDE_OK, ronde_wait(c, handle));
    EXPECT(&s->trial, out == size * (size - 1) / 2, "sum %lld after a duplicate", (long long)out);
}

/* One rank does not come in time. */
static void run_late(struct stress *s, int late)
{
    int64_t data = 1;
    ronde_call call = call_in(0);
    char name[32];
    call.deadline = 0.1;
    snprintf(name, sizeof name, "rank %d", late);
    if (s->trial.rank != late) {
        EXPECT_STATUS(&s->trial, RONDE_ERR_STALLED,
                      ronde_allreduce(s->trial.context, "layer 2", &data, &data, 1, RONDE_INT64,
                                      RONDE_SUM, &call));
        EXPECT_ERROR(&s->trial, "layer 2", name);
    }
    meet_directly(&s->trial);
}

/* ---- process sets ---------------------------------------------------------------------------- */

/* What set of this number there is: the phase's next. */
static int find_set(struct stress *s, int32_t id)
{
    struct plan_set *set = &s->phase.set[s->phase.sets];
    int32_t ranks[MOST_RANKS], n = 0;
    if (ronde_process_set_size(s->trial.context, id) < 0 || s->phase.sets == MOST_SETS)
        return 0;
    EXPECT_STATUS(&s->trial, RONDE_OK,
                  ronde_process_set_ranks(s->trial.context, id, ranks, MOST_RANKS, &n));
    set->id = id;
    set->members.n = n;
    for (int i = 0; i < n; i++)
        set->members.ranks[i] = ranks[i];
    s->phase.sets++;
    return 1;
}

/* The ranks of the bits, in an order of this rank's own. */
static void add_set(struct stress *s, uint64_t bits, uint64_t *dice)
{
    int32_t ranks[MOST_RANKS], id = -1, n = 0;
    size_t order[MOST_RANKS];
    uint64_t own = *dice + (uint64_t)s->trial.rank;
    dice_order(&own, order, (size_t)s->trial.size);
    for (int i = 0; i < s->trial.size; i++)
        if (bits >> order[i] & 1)
            ranks[n++] = (int32_t)order[i];
    EXPECT_STATUS(&s->trial, RONDE_OK, ronde_process_set_add(s->trial.context, ranks, n, &id));
    EXPECT(&s->trial, find_set(s, id) && s->phase.set[s->phase.sets - 1].members.n == n,
           "set %d has not %d ranks", (int)id, (int)n);
}

static void remove_set(struct stress *s, int which)
{
    int32_t id = s->phase.set[which].id;
    EXPECT_STATUS(&s->trial, RONDE_OK, ronde_process_set_remove(s->trial.context, id));
    EXPECT(&s->trial, ronde_process_set_size(s->trial.context, id) == -1, "set %d is still there",
           (int)id);
    s->phase.sets--;
    memmove(&s->phase.set[which], &s->phase.set[which + 1],
            (size_t)(s->phase.sets - which) * sizeof s->phase.set[0]);
}

static void disagree_about_a_set(struct stress *s, int odd)
{
    int32_t ranks[2] = {0, 1}, id = 4711;
    if (s->trial.size < 2)
        return;
    EXPECT_STATUS(&s->trial, RONDE_ERR_MISMATCH,
                  ronde_process_set_add(s->trial.context, ranks, s->trial.rank == odd ? 1 : 2,
                                        &id));
    EXPECT(&s->trial, id == 4711 && strstr(ronde_last_error(), "rank"), "\"%s\" names no rank",
           ronde_last_error());
}

static void change_sets(struct stress *s, uint64_t *dice)
{
    int odd = (int)dice_below(dice, (size_t)s->trial.size);
    if (chance(dice, 50) && s->phase.sets < MOST_SETS - 1)
        add_set(s, 1 + dice_below(dice, ((size_t)1 << s->trial.size) - 1), dice);
    if (s->phase.sets > 1 && chance(dice, 15 * (size_t)s->phase.sets))
        remove_set(s, 1 + (int)dice_below(dice, (size_t)s->phase.sets - 1));
    if (chance(dice, 10))
        disagree_about_a_set(s, odd);
    if (chance(dice, 10))
        EXPECT_STATUS(&s->trial, RONDE_ERR_PROCESS_SET,
                      ronde_process_set_remove(s->trial.context, 0));
    if (chance(dice, 20))
        submit_twice(s, odd);
    if (chance(dice, 5) && s->trial.size > 1)
        run_late(s, odd);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Nothing ended for a long time: a hang, of which the seed must be told. */
static void *watch(void *argument)
{
    struct stress *s = argument;
    static char text[1 << 16];
    int seen = -1;
    double since = now();
    while (!atomic_load(&s->is_over)) {
        nap(0.05);
        if (atomic_load(&s->progress) != seen) {
            seen = atomic_load(&s->progress);
            since = now();
        } else if (now() - since > PATIENCE_S) {
            size_t needed = 0;
            ronde_describe(s->trial.context, text, sizeof text, &needed);
            fprintf(stderr, "%s\nrank %d: nothing ended for %d s: replay with --seed %llu\n", text,
                    s->trial.rank, (int)PATIENCE_S, (unsigned long long)s->seed);
            _exit(1);
        }
    }
    return NULL;
}

static int all_are_well(struct stress *s)
{
    int32_t failures = s->trial.failures;
    EXPECT_STATUS(&s->trial, RONDE_OK,
                  ronde_direct_allreduce(s->trial.context, &failures, &failures, 1, RONDE_INT32,
                                         RONDE_MAX, NULL));
    return !failures;
}

static void run_phases(struct stress *s, int operations)
{
    uint64_t dice = mix(s->seed);
    find_set(s, 0);
    for (int32_t id = 1; find_set(s, id);)
        id++;
    while (s->operations + LEAST_DRAWN <= operations && all_are_well(s)) {
        uint64_t seed = dice += 4711;
        draw_phase(&s->phase, seed, operations - s->operations, &s->operations);
        run_workers(s);
        check_joins(s);
        change_sets(s, &dice);
        atomic_fetch_add(&s->progress, 1);
        meet(&s->trial, "after a phase");
    }
}

static uint64_t agree_on_seed(struct trial *trial, int argc, char **argv)
{
    uint64_t seed = mix((uint64_t)(now() * 1e9)) >> 32;
    if (argc > 3 && !strcmp(argv[2], "--seed"))
        seed = strtoull(argv[3], NULL, 0);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_broadcast(trial->context, &seed, &seed, 1, RONDE_UINT64, 0, NULL));
    return seed;
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct stress *s = calloc(1, sizeof *s);
    int operations = argc > 1 ? atoi(argv[1]) : 10000;
    pthread_t watcher;
    s->trial = trial_begin(context);
    s->seed = agree_on_seed(&s->trial, argc, argv);
    operations = TRIAL_IS_SLOW && argc <= 3 ? operations / 4 : operations;
    if (s->trial.rank == 0)
        fprintf(stderr, "%d operations: replay with --seed %llu\n", operations,
                (unsigned long long)s->seed);
    if (pthread_create(&watcher, NULL, watch, s))
        abort();
    run_phases(s, operations);
    if (s->trial.failures)
        fprintf(stderr, "rank %d: replay with --seed %llu\n", s->trial.rank,
                (unsigned long long)s->seed);
    atomic_store(&s->is_over, 1);
    pthread_join(watcher, NULL);
    int failed = trial_end(&s->trial);
    free(s);
    return failed;
}
