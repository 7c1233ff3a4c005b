/* ronde-test: np=1,2,3,4,5,7,8 np=4/2,3/2,5/2 threads=1/1,2/2,3/3,4/2,5/2 mpich=2 hosts=2/1,4/2
 * timeout=60 */
/* Allgather: rows that differ by rank, none included; results in place, out of place, taken. */
#include "samples.h"
#include "trial.h"

enum way { NAMED, UNNAMED, DIRECT, WAYS };

enum rows { EQUAL, BY_RANK, ONE_RANK, NOBODY, MANY, MANY_BY_RANK, SHAPES_OF_ROWS };

static size_t rows_of(enum rows rows, int rank, int size)
{
    switch (rows) {
    case EQUAL: return 3;
    case BY_RANK: return (size_t)(rank * 2 + 1) % 5;
    case ONE_RANK: return rank == size - 1 ? 11 : 0;
    case MANY: return 20011;
    case MANY_BY_RANK: return rank % 3 == 1 ? 0 : 9000 + (size_t)rank * 4099;
    case NOBODY:
    case SHAPES_OF_ROWS: break;
    }
    return 0;
}

/* One allgather. */
struct harvest {
    int32_t dtype;
    enum rows rows;
    size_t row_count;
    int in_place, is_taken, in_arena;
    size_t spare_rows; /* of room beyond what is needed */
    /* What follows is computed from it. */
    size_t mine, before, total, row_bytes;
    size_t rows_by_rank[64];
    struct memory in, out;
    uint64_t handle;
};

/* The rows of a rank: bits that tell rank, row_count and place apart. */
static void harvest_fill(const struct harvest *harvest, int rank, size_t rows, unsigned char *data)
{
    size_t bytes = rows * harvest->row_bytes;
    uint64_t seed = (uint64_t)rank * 1000003 + harvest->row_count * 64 + (uint64_t)harvest->rows;
    size_t first = bytes < 8 * SAMPLE_PERIOD ? bytes : 8 * SAMPLE_PERIOD;
    for (size_t i = 0; i < first; i++)
        data[i] = (unsigned char)(mix(seed * 4096 + i) & (harvest->dtype == RONDE_BOOL ? 1 : 255));
    repeat_period(data, bytes, first);
}

static void harvest_open(struct trial *trial, struct harvest *harvest)
{
    size_t element = ronde_dtype_bytes(harvest->dtype);
    harvest->row_bytes = harvest->row_count * element;
    harvest->mine = rows_of(harvest->rows, trial->rank, trial->size);
    harvest->before = harvest->total = 0;
    harvest->handle = 0;
    for (int rank = 0; rank < trial->size; rank++) {
        size_t rows = rows_of(harvest->rows, rank, trial->size);
        harvest->total += rows;
        harvest->before += rank < trial->rank ? rows : 0;
    }
    size_t room = harvest->is_taken ? 0 : harvest->total + harvest->spare_rows;
    memset(harvest->rows_by_rank, 0xee, sizeof harvest->rows_by_rank);
    memory_open(trial, &harvest->out, room * harvest->row_bytes, element, harvest->in_arena, 1);
    memory_open(trial, &harvest->in, harvest->in_place ? 0 : harvest->mine * harvest->row_bytes,
                3 * element, harvest->in_arena, 1);
    harvest_fill(harvest, trial->rank, harvest->mine,
                 harvest->in_place ? harvest->out.data + harvest->before * harvest->row_bytes
                                   : harvest->in.data);
}

static void harvest_run_direct(struct trial *trial, struct harvest *harvest, const void *in)
{
    size_t all[64];
    for (int rank = 0; rank < trial->size; rank++)
        all[rank] = rows_of(harvest->rows, rank, trial->size);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allgather(trial->context, in, harvest->mine, harvest->row_count,
                                         harvest->dtype, harvest->out.data,
                                         harvest->rows == EQUAL ? NULL : all, NULL));
}

static void harvest_run(struct trial *trial, struct harvest *harvest, enum way way,
                        const char *name)
{
    const void *in = harvest->in_place ? harvest->out.data + harvest->before * harvest->row_bytes
                                       : harvest->in.data;
    if (way == DIRECT)
        harvest_run_direct(trial, harvest, in);
    else
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allgather_async(trial->context, way == NAMED ? name : NULL, in,
                                            harvest->mine, harvest->row_count, harvest->dtype,
                                            harvest->is_taken ? NULL : harvest->out.data,
                                            harvest->is_taken
                                                ? 0
                                                : harvest->total + harvest->spare_rows,
                                            harvest->rows_by_rank, NULL, &harvest->handle));
}

static void harvest_compare(struct trial *trial, const struct harvest *harvest,
                            const unsigned char *data, const char *what)
{
    unsigned char *wanted = malloc(harvest->total * harvest->row_bytes + 1);
    size_t at = 0, wrong = 0;
    for (int rank = 0; wanted && rank < trial->size; rank++) {
        size_t rows = rows_of(harvest->rows, rank, trial->size);
        harvest_fill(harvest, rank, rows, wanted + at);
        at += rows * harvest->row_bytes;
    }
    if (wanted && at && memcmp(wanted, data, at) != 0) {
        while (wanted[wrong] == data[wrong])
            wrong++;
        EXPECT(trial, 0, "%s, rows %d, row of %zu %s%s: byte %zu of %zu is wrong", what,
               (int)harvest->rows, harvest->row_count, ronde_dtype_name(harvest->dtype),
               harvest->in_place ? " in place" : "", wrong, at);
    }
    EXPECT(trial, wanted, "no memory to compare %zu bytes", at);
    free(wanted);
}

/* Fetches what the library allocated. Progress may be left to this thread: poll until done. */
static void harvest_take(struct trial *trial, struct harvest *harvest, void **taken)
{
    size_t rows = 12345;
    int32_t status = RONDE_PENDING;
    for (int i = 0; i < 200000 && status == RONDE_PENDING; i++) {
        status = ronde_poll(trial->context, harvest->handle);
        if (status == RONDE_PENDING)
            nap(1e-4);
    }
    EXPECT_STATUS(trial, RONDE_OK, status);
    EXPECT_STATUS(trial, RONDE_OK, ronde_take(trial->context, harvest->handle, taken, &rows));
    EXPECT(trial, rows == harvest->total, "%zu rows taken of %zu", rows, harvest->total);
    if (*taken && rows == harvest->total)
        harvest_compare(trial, harvest, *taken, "taken");
    else
        EXPECT(trial, harvest->total * harvest->row_bytes == 0, "nothing taken of %zu rows",
               harvest->total);
}

static void harvest_close(struct trial *trial, struct harvest *harvest, enum way way)
{
    void *taken = NULL;
    if (way != DIRECT && harvest->is_taken)
        harvest_take(trial, harvest, &taken);
    if (way != DIRECT) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, harvest->handle));
        for (int rank = 0; rank < trial->size; rank++)
            EXPECT(trial, harvest->rows_by_rank[rank] == rows_of(harvest->rows, rank, trial->size),
                   "rank %d had %zu rows", rank, harvest->rows_by_rank[rank]);
    }
    if (taken && harvest->total) /* still there after the wait: it is ours now */
        harvest_compare(trial, harvest, taken, "taken, later");
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, taken));
    if (!harvest->is_taken)
        harvest_compare(trial, harvest, harvest->out.data, way == DIRECT ? "direct" : "named");
    for (size_t i = harvest->total * harvest->row_bytes; i < harvest->out.bytes; i++)
        EXPECT(trial, harvest->out.data[i] == harvest->out.guard,
               "spare room was written at byte %zu", i);
    memory_close(trial, &harvest->in);
    memory_close(trial, &harvest->out);
}

static void harvests_run(struct trial *trial, struct harvest *harvests, size_t n, enum way way)
{
    char name[64];
    for (size_t i = 0; i < n; i++)
        harvest_open(trial, &harvests[i]);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "harvest %zu", i);
        harvest_run(trial, &harvests[i], way, name);
    }
    for (size_t i = 0; i < n; i++)
        harvest_close(trial, &harvests[i], way);
}

/* The same rows to memory of ours, in place, with room to spare, and (not direct) to be taken. */
static void four_ways_to_receive(struct trial *trial, int32_t dtype, enum rows rows,
                                 size_t row_count, enum way way)
{
    struct harvest harvests[4];
    size_t n = way == DIRECT ? 2 : 4;
    for (size_t i = 0; i < n; i++) {
        struct harvest harvest = {.dtype = dtype,
                                  .rows = rows,
                                  .row_count = row_count,
                                  .in_place = i == 1,
                                  .spare_rows = i == 2 ? 2 : 0,
                                  .is_taken = i == 3,
                                  .in_arena = ((int)i + trial->rank + dtype) % 3 == 0};
        harvests[i] = harvest;
    }
    harvests_run(trial, harvests, n, way);
}

static void every_dtype_with_few_rows(struct trial *trial)
{
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        for (int rows = EQUAL; rows <= NOBODY; rows++) {
            four_ways_to_receive(trial, dtype, (enum rows)rows, 1,
                                 (enum way)((dtype + rows) % WAYS));
            four_ways_to_receive(trial, dtype, (enum rows)rows, 7,
                                 (enum way)((dtype + rows + 1) % WAYS));
        }
    }
}

static void several_megabytes(struct trial *trial)
{
    for (int way = NAMED; way < WAYS; way++) {
        four_ways_to_receive(trial, RONDE_FLOAT32, MANY, 7, (enum way)way);
        four_ways_to_receive(trial, RONDE_UINT8, MANY_BY_RANK, 7, (enum way)way);
        four_ways_to_receive(trial, RONDE_FLOAT64, MANY_BY_RANK, 1, (enum way)way);
    }
}

static void rows_without_elements_are_still_rows(struct trial *trial)
{
    four_ways_to_receive(trial, RONDE_INT32, BY_RANK, 0, NAMED);
}

/* Rank 0's room is a row short: an error there, the whole result everywhere else. */
static void too_little_room_fails_there_only(struct trial *trial)
{
    for (int i = 0; i < 2; i++) {
        struct harvest harvest = {.dtype = RONDE_INT16, .rows = i ? MANY : EQUAL, .row_count = 7};
        struct memory small;
        harvest_open(trial, &harvest);
        memory_open(trial, &small, (harvest.total - 1) * harvest.row_bytes, 0, 0, 0);
        int is_short = trial->rank == 0;
        EXPECT_STATUS(trial, is_short ? RONDE_ERR_TRUNCATED : RONDE_OK,
                      ronde_allgather(trial->context, "too many", harvest.in.data, harvest.mine, 7,
                                      RONDE_INT16, is_short ? small.data : harvest.out.data,
                                      harvest.total - (size_t)is_short, NULL, NULL));
        if (is_short)
            EXPECT(trial, strstr(ronde_last_error(), "too many"), "\"%s\" names no tensor",
                   ronde_last_error());
        else
            harvest_compare(trial, &harvest, harvest.out.data, "beside a rank without room");
        memory_close(trial, &small);
        memory_close(trial, &harvest.in);
        memory_close(trial, &harvest.out);
        meet(trial, "after too little room");
    }
}

/* Rows may differ from call to call under one name: a cached name does not fix them. */
static void rows_may_change_under_one_name(struct trial *trial)
{
    for (int round = 0; round < 6; round++) {
        int32_t in[16], out[16 * 64];
        size_t mine = (size_t)(trial->rank + round) % 4, total = 0, rows_by_rank[64];
        for (size_t i = 0; i < mine; i++)
            in[i] = 100 * trial->rank + (int32_t)i;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allgather(trial->context, "changing", in, mine, 1, RONDE_INT32, out,
                                      16 * 64, rows_by_rank, NULL));
        for (int rank = 0; rank < trial->size; rank++) {
            size_t rows = (size_t)(rank + round) % 4;
            EXPECT(trial, rows_by_rank[rank] == rows, "round %d: rank %d had %zu rows", round, rank,
                   rows_by_rank[rank]);
            for (size_t i = 0; i < rows; i++, total++)
                EXPECT(trial, out[total] == 100 * rank + (int32_t)i, "round %d: row %zu is %d",
                       round, total, (int)out[total]);
        }
    }
}

static void a_shape_begins_with_the_rows(struct trial *trial)
{
    size_t rows = (size_t)trial->rank + 1, total = 0, rows_by_rank[64];
    const size_t shape[] = {rows, 2, 3};
    uint8_t in[6 * 64], out[6 * 64 * 64];
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.shape = shape;
    call.dimensions = 3;
    memset(in, trial->rank + 1, sizeof in);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather(trial->context, "shaped", in, rows, 6, RONDE_UINT8, out, 64 * 64,
                                  rows_by_rank, &call));
    for (int rank = 0; rank < trial->size; rank++)
        for (size_t i = 0; i < 6 * ((size_t)rank + 1); i++, total++)
            EXPECT(trial, out[total] == rank + 1, "element %zu is %d", total, out[total]);
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_with_few_rows(&trial);
    several_megabytes(&trial);
    rows_without_elements_are_still_rows(&trial);
    too_little_room_fails_there_only(&trial);
    rows_may_change_under_one_name(&trial);
    a_shape_begins_with_the_rows(&trial);
    return trial_end(&trial);
}
