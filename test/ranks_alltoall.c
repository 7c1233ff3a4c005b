/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: np=4/2 threads=4/2,3/2 settings=wire_buffer_bytes=64K timeout=60 */
/* All-to-all: even and uneven splits, empty ones too; results in the caller's memory or the
 * library's; where one rank's room or arguments are wrong, and where ranks disagree. */
#include "samples.h"
#include "trial.h"

enum splits { EVEN, EQUAL, UNEVEN, TO_NEXT, FROM_ONE, NOBODY, MANY, KINDS_OF_SPLITS };

/* Rows that go from rank to rank. EVEN passes no splits. */
static size_t rows_of(enum splits splits, int from, int to, int size)
{
    switch (splits) {
    case EVEN: return 3;
    case EQUAL: return 2;
    case UNEVEN: return (size_t)(from * 3 + to * 5) % 7;
    case TO_NEXT: return to == (from + 1) % size ? 5 : 0;
    case FROM_ONE: return from == size - 1 ? 4 + (size_t)to : 0;
    case MANY: return (from + to) % 3 == 1 ? 0 : 7001 + (size_t)(from * 977 + to * 311);
    case NOBODY:
    case KINDS_OF_SPLITS: break;
    }
    return 0;
}

/* One exchange and its memory. */
struct trade {
    int32_t dtype;
    enum splits kind;
    size_t row_count;
    int is_taken, in_arena;
    size_t spare_rows;
    /* What follows is computed from it. */
    size_t row_bytes, rows, comes; /* rows that this rank gives and gets */
    size_t splits[64], received[64];
    struct memory in, out;
    uint64_t handle;
};

/* The rows from one rank to another: bits that tell both apart. */
static void trade_fill(const struct trade *trade, int from, int to, size_t rows,
                       unsigned char *data)
{
    size_t bytes = rows * trade->row_bytes, first = bytes < 997 ? bytes : 997;
    uint64_t seed = (uint64_t)(from * 64 + to) * 31 + (uint64_t)trade->kind;
    for (size_t i = 0; i < first; i++)
        data[i] = (unsigned char)(mix(seed * 4096 + i) & (trade->dtype == RONDE_BOOL ? 1 : 255));
    repeat_period(data, bytes, first);
}

static void trade_open(struct trial *trial, struct trade *trade)
{
    size_t at = 0, element = ronde_dtype_bytes(trade->dtype);
    trade->row_bytes = trade->row_count * element;
    trade->rows = trade->comes = 0;
    trade->handle = 0;
    for (int rank = 0; rank < trial->size; rank++) {
        trade->splits[rank] = rows_of(trade->kind, trial->rank, rank, trial->size);
        trade->rows += trade->splits[rank];
        trade->comes += rows_of(trade->kind, rank, trial->rank, trial->size);
    }
    size_t room = trade->is_taken ? 0 : trade->comes + trade->spare_rows;
    memset(trade->received, 0xee, sizeof trade->received);
    memory_open(trial, &trade->in, trade->rows * trade->row_bytes, element, trade->in_arena, 1);
    memory_open(trial, &trade->out, room * trade->row_bytes, 3 * element, trade->in_arena, 1);
    for (int rank = 0; rank < trial->size; rank++) {
        trade_fill(trade, trial->rank, rank, trade->splits[rank], trade->in.data + at);
        at += trade->splits[rank] * trade->row_bytes;
    }
}

static void trade_submit(struct trial *trial, struct trade *trade, const char *name)
{
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_alltoall_async(trial->context, name, trade->in.data,
                                       trade->kind == EVEN ? NULL : trade->splits, trade->rows,
                                       trade->row_count, trade->dtype,
                                       trade->is_taken ? NULL : trade->out.data,
                                       trade->is_taken ? 0 : trade->comes + trade->spare_rows,
                                       trade->received, NULL, &trade->handle));
}

static void trade_compare(struct trial *trial, const struct trade *trade, const unsigned char *data)
{
    unsigned char *wanted = malloc(trade->comes * trade->row_bytes + 1);
    size_t at = 0, wrong = 0;
    for (int rank = 0; rank < trial->size; rank++) {
        size_t rows = rows_of(trade->kind, rank, trial->rank, trial->size);
        trade_fill(trade, rank, trial->rank, rows, wanted + at);
        at += rows * trade->row_bytes;
        EXPECT(trial, trade->received[rank] == rows, "splits %d: %zu rows came from rank %d",
               (int)trade->kind, trade->received[rank], rank);
    }
    while (data && wrong < at && wanted[wrong] == data[wrong])
        wrong++;
    EXPECT(trial, wrong == at, "splits %d, row of %zu %s%s: byte %zu of %zu is wrong",
           (int)trade->kind, trade->row_count, ronde_dtype_name(trade->dtype),
           trade->is_taken ? ", taken" : "", wrong, at);
    free(wanted);
}

static void trade_close(struct trial *trial, struct trade *trade)
{
    void *taken = trade->is_taken ? taken_rows(trial, trade->handle, trade->comes) : NULL;
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, trade->handle));
    trade_compare(trial, trade, trade->is_taken ? taken : trade->out.data);
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, taken));
    for (size_t i = trade->comes * trade->row_bytes; i < trade->out.bytes; i++)
        EXPECT(trial, trade->out.data[i] == trade->out.guard, "spare room was written at byte %zu",
               i);
    memory_close(trial, &trade->in);
    memory_close(trial, &trade->out);
}

/* Those of every kind of splits but MANY, at once, submitted in an order of this rank's own. */
static void all_splits_at_once(struct trial *trial, int32_t dtype, size_t row_count)
{
    struct trade trades[MANY];
    size_t order[MANY];
    uint64_t dice = (uint64_t)trial->rank * 13 + row_count;
    char name[32];
    dice_order(&dice, order, MANY);
    for (size_t i = 0; i < MANY; i++) {
        struct trade trade = {.dtype = dtype,
                              .kind = (enum splits)i,
                              .row_count = row_count,
                              .is_taken = (int)(i + (size_t)dtype) % 3 == 0,
                              .in_arena = (int)(i + row_count + (size_t)trial->rank) % 2,
                              .spare_rows = i % 2};
        trades[i] = trade;
        trade_open(trial, &trades[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "trade %zu", order[i]);
        trade_submit(trial, &trades[order[i]], name);
    }
    for (size_t i = 0; i < MANY; i++)
        trade_close(trial, &trades[i]);
}

static void every_dtype_and_split_is_right(struct trial *trial)
{
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        all_splits_at_once(trial, dtype, 1);
        all_splits_at_once(trial, dtype, 7);
    }
    all_splits_at_once(trial, RONDE_INT16, 0);
}

static void several_megabytes_are_right(struct trial *trial)
{
    for (int i = 0; i < 6; i++) {
        struct trade trade = {.dtype = i % 2 ? RONDE_FLOAT64 : RONDE_UINT8,
                              .kind = MANY,
                              .row_count = i % 3 ? 5 : 1,
                              .is_taken = i % 3 == 1,
                              .in_arena = i / 2 % 2};
        trade_open(trial, &trade);
        trade_submit(trial, &trade, i ? "many" : NULL);
        trade_close(trial, &trade);
    }
}

static void splits_may_change_under_one_name(struct trial *trial)
{
    static const enum splits kinds[] = {UNEVEN, UNEVEN, EVEN, EVEN, NOBODY, TO_NEXT, EQUAL, UNEVEN};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct trade trade = {.dtype = RONDE_INT32, .kind = kinds[i], .row_count = 3};
        trade_open(trial, &trade);
        trade_submit(trial, &trade, "changing");
        trade_close(trial, &trade);
    }
}

/* Rank 0's room is a row short: an error there, and nothing less than all everywhere else. */
static void too_little_room_fails_there_only(struct trial *trial)
{
    for (int i = 0; i < 2; i++) {
        struct trade trade = {.dtype = RONDE_INT16, .kind = i ? MANY : EQUAL, .row_count = 7};
        struct memory small;
        int is_short = trial->rank == 0;
        trade_open(trial, &trade);
        memory_open(trial, &small, is_short ? (trade.comes - 1) * trade.row_bytes : 0, 0, 0, 0);
        EXPECT_STATUS(trial, is_short ? RONDE_ERR_TRUNCATED : RONDE_OK,
                      ronde_alltoall(trial->context, "too many", trade.in.data, trade.splits,
                                     trade.rows, 7, RONDE_INT16,
                                     is_short ? small.data : trade.out.data,
                                     trade.comes - (size_t)is_short, trade.received, NULL));
        if (is_short)
            EXPECT_ERROR(trial, "too many");
        else
            trade_compare(trial, &trade, trade.out.data);
        memory_close(trial, &small);
        memory_close(trial, &trade.in);
        memory_close(trial, &trade.out);
        meet(trial, "after too little room");
    }
}

/* One rank errs alone, and nobody else notices. */
static void what_one_rank_does_wrong_fails_there(struct trial *trial)
{
    int32_t in[128] = {0}, out[128];
    size_t splits[64] = {0}, p = (size_t)trial->size;
    uint64_t handle = 4711;
    ronde_context *context = trial->context;
    if (trial->rank == trial->size - 1) {
        splits[0] = 5;
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* 5 of 6 rows */
                      ronde_alltoall_async(context, "wrong", in, splits, 6, 1, RONDE_INT32, out, 64,
                                           NULL, NULL, &handle));
        EXPECT_ERROR(trial, "5", "6");
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* 5 of 4 */
                      ronde_alltoall_async(context, "wrong", in, splits, 4, 1, RONDE_INT32, out, 64,
                                           NULL, NULL, &handle));
        splits[0] = p > 1 ? SIZE_MAX : 5;
        splits[p - 1] = 5; /* together 4, cut to a size_t */
        int32_t status = ronde_alltoall_async(context, "wrong", in, splits, 4, 1, RONDE_INT32, out,
                                              64, NULL, NULL, &handle);
        EXPECT(trial, status == RONDE_ERR_ARGUMENT || status == RONDE_ERR_OVERFLOW,
               "splits that wrap: %s", ronde_status_name(status));
        if (p > 1)
            EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* not divisible */
                          ronde_alltoall_async(context, "wrong", in, NULL, 2 * p + 1, 1,
                                               RONDE_INT32, out, 64, NULL, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_alltoall_async(context, "wrong", NULL, NULL, p, 1, RONDE_INT32, out, 64,
                                           NULL, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* no memory, and yet room */
                      ronde_alltoall_async(context, "wrong", in, NULL, p, 1, RONDE_INT32, NULL, 64,
                                           NULL, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, /* not in place */
                      ronde_alltoall_async(context, "wrong", in, NULL, p, 1, RONDE_INT32, in, p,
                                           NULL, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT,
                      ronde_alltoall_async(context, "wrong", in, NULL, p, 1, RONDE_FLOAT64 + 1, out,
                                           64, NULL, NULL, &handle));
        EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                      ronde_alltoall_async(context, "wrong", in, NULL, SIZE_MAX / p * p, 3,
                                           RONDE_INT32, out, 64, NULL, NULL, &handle));
        EXPECT(trial, handle == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after errors of one rank");
}

/* One rank passes no splits and the others do, though all mean the same; or rows of another
 * size. */
static void disagreement_is_an_error_on_every_rank(struct trial *trial)
{
    int32_t in[128] = {0}, out[128];
    size_t splits[64], p = (size_t)trial->size;
    for (size_t i = 0; i < 64; i++)
        splits[i] = 1;
    for (int odd = 0; odd < trial->size && p > 1; odd++) {
        int is_odd = trial->rank == odd;
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_alltoall(trial->context, "odd", in, is_odd ? NULL : splits, p, 1,
                                     RONDE_INT32, out, 64, NULL, NULL));
        EXPECT_ERROR(trial, "odd", "splits", "rank");
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_alltoall(trial->context, "odd", in, splits, p, is_odd ? 11 : 13,
                                     RONDE_INT8, out, 16, NULL, NULL));
        EXPECT_ERROR(trial, "odd", "11", "13", "rank");
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_alltoall(trial->context, "odd", in, splits, p, 1,
                                     is_odd ? RONDE_INT32 : RONDE_FLOAT32, out, 64, NULL, NULL));
        EXPECT_ERROR(trial, "odd", "int32", "float32");
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_alltoall(trial->context, "odd", in, NULL, p, 1, RONDE_INT32, out, 64,
                                     NULL, NULL));
        meet(trial, "after disagreement");
    }
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_and_split_is_right(&trial);
    several_megabytes_are_right(&trial);
    splits_may_change_under_one_name(&trial);
    too_little_room_fails_there_only(&trial);
    what_one_rank_does_wrong_fails_there(&trial);
    disagreement_is_an_error_on_every_rank(&trial);
    return trial_end(&trial);
}
