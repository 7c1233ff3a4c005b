/* Schedules run over the threads network, 1 to 9 ranks: every result against a reference whose
 * values are exact in any order, the gaps between ranges untouched, and the bits equal on all ranks
 * where the order matters. */
#include "collectives/executor.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/status.h"
#include "check.h"

enum { MOST_RANKS = 9, TAG = 7, GUARD = 0x5a };

/* ---- elements -------------------------------------------------------------------------------- */

static void store(int32_t dtype, char *data, size_t at, double value)
{
    switch (dtype) {
    case RONDE_INT8: ((int8_t *)(void *)data)[at] = (int8_t)value; break;
    case RONDE_INT32: ((int32_t *)(void *)data)[at] = (int32_t)value; break;
    case RONDE_FLOAT32: ((float *)(void *)data)[at] = (float)value; break;
    case RONDE_FLOAT64: ((double *)(void *)data)[at] = value; break;
    case RONDE_BFLOAT16: {
        float single = (float)value; /* of few bits: cutting is exact */
        memcpy(data + 2 * at, (char *)&single + 2, 2);
        break;
    }
    default: abort();
    }
}

static double load(int32_t dtype, const char *data, size_t at)
{
    switch (dtype) {
    case RONDE_INT8: return ((const int8_t *)(const void *)data)[at];
    case RONDE_INT32: return ((const int32_t *)(const void *)data)[at];
    case RONDE_FLOAT32: return ((const float *)(const void *)data)[at];
    case RONDE_FLOAT64: return ((const double *)(const void *)data)[at];
    case RONDE_BFLOAT16: {
        float single = 0;
        memcpy((char *)&single + 2, data + 2 * at, 2);
        return single;
    }
    default: abort();
    }
}

/* Small, so that sums of 9 are exact in bfloat16; of prime period 5; 1 and 2 for products. */
static double value_of(int32_t op, int rank, size_t index)
{
    size_t mixed = 7 * (size_t)rank + 3 * index + index / 97;
    return op == RONDE_PRODUCT ? (double)(1 + mixed % 2) : (double)(mixed % 5) - 1;
}

static double combine(int32_t op, double a, double b)
{
    switch (op) {
    case RONDE_SUM: return a + b;
    case RONDE_MIN: return a < b ? a : b;
    case RONDE_MAX: return a > b ? a : b;
    default: return a * b;
    }
}

/* ---- a collective and its data --------------------------------------------------------------- */

struct run {
    enum algorithm algorithm;
    int p, root;
    int32_t dtype, op;
    int pieces;       /* ranges per block */
    int ranks_differ; /* odd ranks have one range more */
    size_t (*length)(int block);
};

/* One rank's memory: the ranges of all blocks, with gaps after some of them. */
struct memory {
    int32_t first_range[MOST_RANKS + 1];
    struct block_range ranges[MOST_RANKS * 8];
    struct block_map map;
    size_t elements; /* gaps included */
    char *data;
};

static void lay_out(struct memory *memory, const struct run *run, int rank, int32_t blocks)
{
    int pieces = run->pieces + (run->ranks_differ && rank % 2);
    int32_t n = 0;
    size_t at = 3;
    for (int32_t b = 0; b < blocks; b++) {
        memory->first_range[b] = n;
        size_t length = run->length(b), from = 0;
        for (int k = 1; k <= pieces; k++) { /* the second lies right behind the first */
            size_t to = length * (size_t)k / (size_t)pieces;
            memory->ranges[n++] = (struct block_range){at, to - from};
            at += to - from + (k == 1 ? 0 : 5);
            from = to;
        }
    }
    memory->first_range[blocks] = n;
    memory->map = (struct block_map){memory->first_range, memory->ranges};
    memory->elements = at + 3;
    memory->data = malloc(memory->elements * ronde_dtype_bytes(run->dtype));
    memset(memory->data, GUARD, memory->elements * ronde_dtype_bytes(run->dtype));
}

/* Whether this rank has something in this block at the start. */
static int contributes(const struct run *run, int rank, int32_t block)
{
    return run->algorithm == ALGORITHM_BINOMIAL      ? rank == run->root
           : run->algorithm == ALGORITHM_RING_GATHER ? rank == block
                                                     : 1;
}

typedef void element_function(const struct run *, int rank, int32_t block, size_t index, size_t at,
                              struct memory *);

/* For every element: its block, its index in all data, and where it lies. */
static void for_elements(const struct run *run, int rank, int32_t blocks, struct memory *memory,
                         element_function *function)
{
    size_t index = 0;
    for (int32_t b = 0; b < blocks; b++)
        for (int32_t r = memory->first_range[b]; r < memory->first_range[b + 1]; r++)
            for (size_t i = 0; i < memory->ranges[r].count; i++)
                function(run, rank, b, index++, memory->ranges[r].offset + i, memory);
}

static void fill(const struct run *run, int rank, int32_t block, size_t index, size_t at,
                 struct memory *memory)
{
    double value = contributes(run, rank, block) ? value_of(run->op, rank, index) : 99;
    store(run->dtype, memory->data, at, value);
}

static void check_element(const struct run *run, int rank, int32_t block, size_t index, size_t at,
                          struct memory *memory)
{
    double wanted = 0;
    int any = 0;
    for (int r = 0; r < run->p; r++) {
        if (!contributes(run, r, block))
            continue;
        double value = value_of(run->op, r, index);
        wanted = any++ ? combine(run->op, wanted, value) : value;
    }
    if (run->dtype == RONDE_INT8)
        wanted = (double)(int8_t)(int)wanted;
    double got = load(run->dtype, memory->data, at);
    CHECK_SAYING(got == wanted,
                 "%s, %d ranks, root %d, %s %s: rank %d block %d index %zu is %g, not %g",
                 ronde__algorithms[run->algorithm].name, run->p, run->root,
                 ronde_dtype_name(run->dtype), ronde_op_name(run->op), rank, block, index, got,
                 wanted);
    memset(memory->data + at * ronde_dtype_bytes(run->dtype), GUARD, ronde_dtype_bytes(run->dtype));
}

static void check_guards(const struct memory *memory, size_t element_bytes)
{
    for (size_t i = 0; i < memory->elements * element_bytes; i++)
        CHECK_SAYING(memory->data[i] == GUARD, "byte %zu between the ranges was written", i);
}

/* ---- ranks as threads ------------------------------------------------------------------------ */

struct rank {
    struct net *net;
    int number;
    const struct run *runs; /* one after the other, by one executor */
    int count;
    char *bits; /* raw run: the data at its start, then the result */
    size_t bits_bytes;
    pthread_t thread;
};

static int32_t finish(struct executor *executor)
{
    for (;;) {
        int32_t status = ronde__executor_step(executor);
        if (status < 0 || status == RONDE__DONE)
            return status;
        if (status == RONDE__IDLE)
            sched_yield();
    }
}

static const int peers[MOST_RANKS] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

static void run_one(struct rank *rank, const struct run *run, const struct schedule *schedule,
                    struct executor **executor, struct memory *memory)
{
    struct reduction whole = ronde__reduction(run->dtype, run->op, 1, 1, (uint32_t)run->p);
    struct reduction middle = ronde__reduction_middle(&whole, whole.dtype);
    int reduces = ronde__algorithms[run->algorithm].is_allreduce;
    size_t bytes = ronde_dtype_bytes(run->dtype);
    for_elements(run, rank->number, schedule->blocks, memory, fill);
    int32_t status;
    if (*executor)
        status = ronde__executor_add(*executor, memory->data, bytes, &memory->map,
                                     reduces ? &middle : NULL);
    else
        status = ronde__executor_open(executor, rank->net, schedule, peers, TAG, memory->data,
                                      bytes, &memory->map, reduces ? &middle : NULL);
    CHECK(status == RONDE_OK);
    CHECK(finish(*executor) == RONDE__DONE);
    CHECK(ronde__executor_step(*executor) == RONDE__DONE);
    for_elements(run, rank->number, schedule->blocks, memory, check_element);
    check_guards(memory, bytes);
}

static void *run_all(void *context)
{
    struct rank *rank = context;
    const struct run *first = &rank->runs[0];
    struct schedule *schedule = ronde__schedule(first->algorithm, first->p, rank->number,
                                                first->root);
    struct executor *executor = NULL;
    for (int i = 0; i < rank->count; i++) {
        struct memory memory;
        lay_out(&memory, &rank->runs[i], rank->number, schedule->blocks);
        run_one(rank, &rank->runs[i], schedule, &executor, &memory);
        free(memory.data);
    }
    ronde__executor_close(executor);
    free(schedule);
    return NULL;
}

/* The network of odd ranks takes its time before it tells that a message has gone or come, so that
 * the two sides of a pair go on in different orders. */
static struct net_operations prompt, lazy;

static int32_t lazy_test(struct net *net, struct net_request *request, int *done)
{
    static _Thread_local uint32_t state = 1;
    state = 1664525 * state + 1013904223;
    *done = 0;
    return state >> 30 ? RONDE_OK : prompt.test(net, request, done);
}

static void with_ranks(struct rank *ranks, int p, void *(*function)(void *))
{
    const int node_of[MOST_RANKS] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    struct net *nets[MOST_RANKS];
    CHECK(ronde__net_open_threads(p, node_of, nets) == RONDE_OK);
    prompt = lazy = *nets[0]->operations;
    lazy.test = lazy_test;
    for (int r = 0; r < p; r++) {
        if (r % 2)
            nets[r]->operations = &lazy;
        ranks[r].net = nets[r];
        ranks[r].number = r;
        CHECK(pthread_create(&ranks[r].thread, NULL, function, &ranks[r]) == 0);
    }
    for (int r = 0; r < p; r++)
        pthread_join(ranks[r].thread, NULL);
    for (int r = 0; r < p; r++)
        ronde__net_close(nets[r]);
}

static void run_in_turn(const struct run *runs, int count)
{
    struct rank ranks[MOST_RANKS] = {0};
    for (int r = 0; r < runs[0].p; r++) {
        ranks[r].runs = runs;
        ranks[r].count = count;
    }
    with_ranks(ranks, runs[0].p, run_all);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static size_t none(int block)
{
    (void)block;
    return 0;
}

static size_t one(int block)
{
    (void)block;
    return 1;
}

static size_t few(int block)
{
    return block % 4 == 1 ? 0 : 13 + (size_t)block % 3;
}

static size_t some_hundred(int block)
{
    return 500 + 31 * (size_t)block;
}

/* Of float32: 3 MiB in block 0, a few segments and odd ends in the others. */
static size_t large(int block)
{
    return block == 0 ? (size_t)3 << 18 : 70000 + 4097 * (size_t)block;
}

static void small_blocks_come_out_right_for_1_to_9_ranks(void)
{
    size_t (*const lengths[])(int) = {none, one, few, some_hundred};
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int p = 1; p <= MOST_RANKS; p++)
            for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
                struct run run = {(enum algorithm)a, p, 0, RONDE_FLOAT32,
                                  RONDE_SUM,         1, 0, lengths[n]};
                run_in_turn(&run, 1);
            }
}

static void broadcast_starts_at_any_root(void)
{
    for (int p = 1; p <= MOST_RANKS; p++)
        for (int root = 0; root < p; root++) {
            struct run run = {ALGORITHM_BINOMIAL, p, root, RONDE_INT32,
                              RONDE_SUM,          2, 0,    some_hundred};
            run_in_turn(&run, 1);
        }
}

static void dtypes_and_ops_come_out_right(void)
{
    const int32_t dtypes[] = {RONDE_INT8, RONDE_INT32, RONDE_FLOAT64, RONDE_FLOAT32,
                              RONDE_BFLOAT16};
    const int32_t ops[] = {RONDE_SUM, RONDE_MIN, RONDE_MAX, RONDE_PRODUCT};
    for (int a = ALGORITHM_RING; a <= ALGORITHM_FLOOD; a++)
        for (size_t d = 0; d < sizeof(dtypes) / sizeof(dtypes[0]); d++)
            for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
                int p = 3 + (int)(d + o) % 5;
                struct run run = {(enum algorithm)a, p, 0, dtypes[d], ops[o], 3, 0, some_hundred};
                run_in_turn(&run, 1);
            }
}

static void blocks_of_several_ranges_come_out_right(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int pieces = 2; pieces <= 7; pieces++)
            for (int differ = 0; differ < 2; differ++) {
                struct run run = {(enum algorithm)a, 2 + pieces % 4, 0,      RONDE_FLOAT32,
                                  RONDE_SUM,         pieces,         differ, few};
                run_in_turn(&run, 1);
                run.length = some_hundred;
                run_in_turn(&run, 1);
            }
}

static void blocks_of_many_segments_come_out_right(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int p = 2; p <= 5; p++)
            for (int pieces = 1; pieces <= 4; pieces += 3) {
                struct run run = {(enum algorithm)a, p,      p - 1, RONDE_FLOAT32,
                                  RONDE_SUM,         pieces, 1,     large};
                run_in_turn(&run, 1);
            }
}

static void an_executor_runs_again_with_other_data(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int p = 1; p <= 5; p += 2) {
            enum algorithm algorithm = (enum algorithm)a;
            const struct run runs[] = {
                {algorithm, p, 0, RONDE_INT8, RONDE_SUM, 1, 0, few},
                {algorithm, p, 0, RONDE_FLOAT64, RONDE_MAX, 4, 1, some_hundred},
                {algorithm, p, 0, RONDE_FLOAT32, RONDE_SUM, 2, 0, large},
                {algorithm, p, 0, RONDE_FLOAT32, RONDE_SUM, 1, 0, none},
                {algorithm, p, 0, RONDE_BFLOAT16, RONDE_PRODUCT, 3, 0, some_hundred},
            };
            run_in_turn(runs, sizeof(runs) / sizeof(runs[0]));
        }
}

/* Of float32: from 1 to a few segments. */
static size_t some_thousand(int block)
{
    return 2000 + 9001 * (size_t)block;
}

/* Every rank gives its runs at other times. */
static void overlap(struct rank *rank)
{
    enum { RUNS = 9 };
    const struct run *run = &rank->runs[0];
    struct schedule *schedule = ronde__schedule(run->algorithm, run->p, rank->number, run->root);
    struct reduction whole = ronde__reduction(run->dtype, run->op, 1, 1, (uint32_t)run->p);
    struct reduction middle = ronde__reduction_middle(&whole, whole.dtype);
    const struct reduction *reduction = ronde__algorithms[run->algorithm].is_allreduce ? &middle
                                                                                       : NULL;
    struct executor *executor = NULL;
    static _Thread_local struct memory memory[RUNS];
    for (int i = 0; i < RUNS; i++) {
        lay_out(&memory[i], &rank->runs[i % rank->count], rank->number, schedule->blocks);
        for_elements(run, rank->number, schedule->blocks, &memory[i], fill);
    }
    CHECK(ronde__executor_open(&executor, rank->net, schedule, peers, TAG, memory[0].data,
                               sizeof(float), &memory[0].map, reduction) == RONDE_OK);
    uint64_t most = 1 + (uint64_t)rank->number % EXECUTOR_RUNS;
    for (uint64_t given = 1, ended = 0; ended < RUNS;) {
        for (; given < RUNS && given - ended < most; given++)
            CHECK(ronde__executor_add(executor, memory[given].data, sizeof(float),
                                      &memory[given].map, reduction) == RONDE_OK);
        CHECK(ronde__executor_step(executor) >= 0);
        for (; ended < ronde__executor_ended(executor); ended++) {
            for_elements(run, rank->number, schedule->blocks, &memory[ended], check_element);
            check_guards(&memory[ended], sizeof(float));
        }
        sched_yield();
    }
    CHECK(ronde__executor_step(executor) == RONDE__DONE);
    for (int i = 0; i < RUNS; i++)
        free(memory[i].data);
    ronde__executor_close(executor);
    free(schedule);
}

static void *run_overlapping(void *context)
{
    overlap(context);
    return NULL;
}

static void runs_that_overlap_come_out_right_and_in_order(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int p = 1; p <= 7; p++) {
            enum algorithm algorithm = (enum algorithm)a;
            const struct run runs[] = {
                {algorithm, p, 0, RONDE_FLOAT32, RONDE_SUM, 1, 0, some_hundred},
                {algorithm, p, 0, RONDE_FLOAT32, RONDE_SUM, 2, 1, some_thousand},
                {algorithm, p, 0, RONDE_FLOAT32, RONDE_SUM, 1, 0, none},
                {algorithm, p, 0, RONDE_FLOAT32, RONDE_SUM, 3, 0, few},
            };
            struct rank ranks[MOST_RANKS] = {0};
            for (int r = 0; r < p; r++) {
                ranks[r].runs = runs;
                ranks[r].count = sizeof(runs) / sizeof(runs[0]);
            }
            with_ranks(ranks, p, run_overlapping);
        }
}

static size_t all_large(int block)
{
    return 400000 + (size_t)block;
}

/* Two steps of one round with one peer, of one block and of two: not what today's algorithms do. */
static void *run_two_steps_at_once(void *context)
{
    struct rank *rank = context;
    struct schedule *schedule = malloc(sizeof(*schedule) + 2 * sizeof(schedule->step[0]));
    enum step_kind kind = rank->number == 0 ? STEP_SEND : STEP_RECV;
    schedule->blocks = 3;
    schedule->steps = 2;
    schedule->step[0] = (struct step){kind, 1 - rank->number, 0, 1, 0};
    schedule->step[1] = (struct step){kind, 1 - rank->number, 1, 2, 0};
    struct executor *executor = NULL;
    struct memory memory;
    lay_out(&memory, rank->runs, rank->number, schedule->blocks);
    run_one(rank, rank->runs, schedule, &executor, &memory);
    free(memory.data);
    ronde__executor_close(executor);
    free(schedule);
    return NULL;
}

static void steps_of_a_round_with_one_peer_keep_their_order(void)
{
    for (int pieces = 1; pieces <= 5; pieces += 2) {
        struct run run = {ALGORITHM_BINOMIAL, 2, 0, RONDE_FLOAT32, RONDE_SUM, pieces, 1, all_large};
        struct rank ranks[MOST_RANKS] = {{.runs = &run}, {.runs = &run}};
        with_ranks(ranks, 2, run_two_steps_at_once);
    }
}

/* ---- the same bits --------------------------------------------------------------------------- */

/* Float32 whose sums round, cancel and overflow, with NaNs and zeros of all kinds in between. */
static void fill_awkward(float *data, size_t count, int rank)
{
    uint64_t state = 88172645463325252u + (uint64_t)rank * 7919;
    for (size_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint32_t bits = (uint32_t)(state >> 32);
        if (bits % 64 == 0)
            bits = i % 2 ? 0x80000000u : 0; /* -0, 0 */
        else if (bits % 4)
            bits = (bits & 0x807fffffu) | (0x3f000000u + ((uint32_t)state % 24 << 23));
        memcpy(&data[i], &bits, sizeof(bits));
    }
}

static void *run_raw(void *context)
{
    struct rank *rank = context;
    const struct run *run = rank->runs;
    size_t count = rank->bits_bytes / sizeof(float);
    struct schedule *schedule = ronde__schedule(run->algorithm, run->p, rank->number, 0);
    int32_t first_range[MOST_RANKS + 1];
    struct block_range ranges[MOST_RANKS];
    for (int32_t b = 0; b <= schedule->blocks; b++) {
        size_t from = count * (size_t)b / (size_t)schedule->blocks;
        size_t to = count * (size_t)(b + 1) / (size_t)schedule->blocks;
        first_range[b] = b;
        if (b < schedule->blocks)
            ranges[b] = (struct block_range){from, to - from};
    }
    struct block_map map = {first_range, ranges};
    struct reduction whole = ronde__reduction(RONDE_FLOAT32, run->op, 1, 1, 1);
    struct reduction middle = ronde__reduction_middle(&whole, whole.dtype);
    struct executor *executor = NULL;
    fill_awkward((float *)(void *)rank->bits, count, rank->number);
    ronde__executor_open(&executor, rank->net, schedule, peers, TAG, rank->bits, sizeof(float),
                         &map, &middle);
    finish(executor);
    ronde__executor_close(executor);
    free(schedule);
    return NULL;
}

static void check_same_bits(enum algorithm algorithm, int p, int32_t op)
{
    enum { COUNT = 100003 };
    struct run run = {algorithm, p, 0, RONDE_FLOAT32, op, 1, 0, none};
    struct rank ranks[MOST_RANKS] = {0};
    char *again = malloc(COUNT * sizeof(float));
    for (int turn = 0; turn < 2; turn++) {
        for (int r = 0; r < p; r++) {
            ranks[r].runs = &run;
            ranks[r].bits = ranks[r].bits ? ranks[r].bits : malloc(COUNT * sizeof(float));
            ranks[r].bits_bytes = COUNT * sizeof(float);
        }
        with_ranks(ranks, p, run_raw);
        for (int r = 1; r < p; r++)
            CHECK_SAYING(!memcmp(ranks[0].bits, ranks[r].bits, COUNT * sizeof(float)),
                         "%s, %d ranks, %s: ranks 0 and %d differ",
                         ronde__algorithms[algorithm].name, p, ronde_op_name(op), r);
        if (turn == 0)
            memcpy(again, ranks[0].bits, COUNT * sizeof(float));
    }
    CHECK(!memcmp(again, ranks[0].bits, COUNT * sizeof(float)));
    free(again);
    for (int r = 0; r < p; r++)
        free(ranks[r].bits);
}

static void bits_are_equal_on_all_ranks_and_from_run_to_run(void)
{
    for (int a = ALGORITHM_RING; a <= ALGORITHM_FLOOD; a++)
        for (int p = 2; p <= MOST_RANKS; p++) {
            check_same_bits((enum algorithm)a, p, RONDE_SUM);
            check_same_bits((enum algorithm)a, p, p % 2 ? RONDE_PRODUCT : RONDE_MAX);
        }
}

/* ---- failure --------------------------------------------------------------------------------- */

/* A network that fails at one call of one rank, and from then on at every call of every rank. */
static struct net_operations failing, sound;
static _Atomic int calls_left, has_failed;
static pthread_barrier_t all_failed;

static int32_t strike(const struct net *net)
{
    if (net->rank == 0 && atomic_fetch_sub(&calls_left, 1) == 1)
        has_failed = 1;
    return has_failed ? ronde__fail(RONDE_ERR_MPI, "the network is gone") : RONDE_OK;
}

static int32_t failing_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    int32_t status = strike(net);
    return status ? status : sound.send(net, data, bytes, peer, tag, request);
}

static int32_t failing_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    int32_t status = strike(net);
    return status ? status : sound.recv(net, data, bytes, peer, tag, request);
}

static int32_t failing_test(struct net *net, struct net_request *request, int *done)
{
    int32_t status = strike(net);
    return status ? status : sound.test(net, request, done);
}

/* Slots that a receive may still write to are lost on purpose; the leak checker is told so. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static void run_until_failure(struct rank *rank, const struct schedule *schedule)
{
    const struct run *run = rank->runs;
    int reduces = ronde__algorithms[run->algorithm].is_allreduce;
    struct reduction whole = ronde__reduction(run->dtype, run->op, 1, 1, 1);
    struct reduction middle = ronde__reduction_middle(&whole, whole.dtype);
    struct executor *executor = NULL;
    struct memory memory;
    lay_out(&memory, run, rank->number, schedule->blocks);
    for_elements(run, rank->number, schedule->blocks, &memory, fill);
    if (reduces && __lsan_disable)
        __lsan_disable();
    int32_t status = ronde__executor_open(&executor, rank->net, schedule, peers, TAG, memory.data,
                                          sizeof(float), &memory.map, reduces ? &middle : NULL);
    int32_t end = finish(executor);
    if (reduces && __lsan_enable)
        __lsan_enable();
    int32_t after = ronde__executor_step(executor);
    if (end < 0)
        status = ronde__executor_add(executor, memory.data, sizeof(float), &memory.map, &middle);
    pthread_barrier_wait(&all_failed); /* nobody sends into what is freed */
    rank->net->operations = &sound;
    ronde__executor_close(executor);
    free(memory.data);
    CHECK(end == RONDE_ERR_MPI || (end == RONDE__DONE && (rank->number > 0 || !has_failed)));
    CHECK(after == end);
    CHECK(status == (end < 0 ? end : RONDE_OK));
}

static void *fail_once(void *context)
{
    struct rank *rank = context;
    const struct run *run = rank->runs;
    struct schedule *schedule = ronde__schedule(run->algorithm, run->p, rank->number, 0);
    pthread_barrier_wait(&all_failed);
    if (rank->number == 0) {
        sound = *rank->net->operations;
        failing = sound;
        failing.send = failing_send;
        failing.recv = failing_recv;
        failing.test = failing_test;
    }
    pthread_barrier_wait(&all_failed);
    rank->net->operations = &failing;
    pthread_barrier_wait(&all_failed);
    run_until_failure(rank, schedule);
    free(schedule);
    return NULL;
}

static void a_network_error_comes_back_and_stays(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int call = 1; call <= 24; call++) {
            struct run run = {(enum algorithm)a, 4, 0, RONDE_FLOAT32,
                              RONDE_SUM,         1, 0, some_hundred};
            struct rank ranks[MOST_RANKS] = {0};
            for (int r = 0; r < run.p; r++)
                ranks[r].runs = &run;
            calls_left = call;
            has_failed = 0;
            pthread_barrier_init(&all_failed, NULL, (unsigned)run.p);
            with_ranks(ranks, run.p, fail_once);
            pthread_barrier_destroy(&all_failed);
        }
}

int main(void)
{
    RUN(small_blocks_come_out_right_for_1_to_9_ranks);
    RUN(broadcast_starts_at_any_root);
    RUN(dtypes_and_ops_come_out_right);
    RUN(blocks_of_several_ranges_come_out_right);
    RUN(blocks_of_many_segments_come_out_right);
    RUN(an_executor_runs_again_with_other_data);
    RUN(runs_that_overlap_come_out_right_and_in_order);
    RUN(steps_of_a_round_with_one_peer_keep_their_order);
    RUN(bits_are_equal_on_all_ranks_and_from_run_to_run);
    RUN(a_network_error_comes_back_and_stays);
    return check_result();
}
