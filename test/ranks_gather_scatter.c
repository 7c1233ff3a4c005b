/* ronde-test: np=1,2,3,4,8 np=4/2,3/2,3/1 threads=2/2,4/2,3/1 mpich=2 hosts=4/2 timeout=60 */
/* ronde-test: np=4/2 threads=4/2,3/2 settings=wire_buffer_bytes=64K timeout=60 */
/* Gather and scatter, of rows that differ by rank: every root, in memory of ours and the library's;
 * where room is short, where one rank errs, and where ranks disagree. */
#include "samples.h"
#include "trial.h"

enum rows { SHARES, EQUAL, BY_RANK, ONE_RANK, NOBODY, MANY, SHAPES_OF_ROWS };

/* Rows that a rank gives or gets. SHARES is what scatter does without numbers. */
static size_t rows_of(enum rows rows, int rank, int size)
{
    switch (rows) {
    case SHARES: return ronde_share_rows(2 * (size_t)size + 1, size, rank);
    case EQUAL: return 3;
    case BY_RANK: return (size_t)(rank * 2 + 1) % 5;
    case ONE_RANK: return rank == size - 1 ? 11 : 0;
    case MANY: return rank % 3 == 1 ? 0 : 9001 + (size_t)rank * 4099;
    case NOBODY:
    case SHAPES_OF_ROWS: break;
    }
    return 0;
}

/* One gather or scatter. The root's memory holds the rows of all ranks, the other a rank's own. */
struct parcel {
    int is_scatter;
    int32_t dtype, root;
    enum rows rows;
    size_t row_count;
    int is_taken, in_arena;
    size_t spare_rows;
    /* What follows is computed from it. */
    size_t row_bytes, mine, total, received;
    size_t rows_by_rank[64];
    struct memory whole, part;
    uint64_t handle;
};

/* The rows of a rank: bits that tell it, and the kind of the operation, apart. */
static void parcel_fill(const struct parcel *parcel, int rank, unsigned char *data)
{
    size_t bytes = parcel->rows_by_rank[rank] * parcel->row_bytes;
    size_t first = bytes < 997 ? bytes : 997;
    uint64_t seed = (uint64_t)rank * 1009 + (uint64_t)(parcel->is_scatter * 512 + parcel->root);
    for (size_t i = 0; i < first; i++)
        data[i] = (unsigned char)(mix(seed * 4096 + i) & (parcel->dtype == RONDE_BOOL ? 1 : 255));
    repeat_period(data, bytes, first);
}

static void parcel_fill_whole(const struct trial *trial, const struct parcel *parcel,
                              unsigned char *data)
{
    for (int rank = 0; rank < trial->size; rank++) {
        parcel_fill(parcel, rank, data);
        data += parcel->rows_by_rank[rank] * parcel->row_bytes;
    }
}

static void parcel_open(struct trial *trial, struct parcel *parcel)
{
    size_t element = ronde_dtype_bytes(parcel->dtype), whole = 0, part;
    int is_root = trial->rank == parcel->root;
    parcel->row_bytes = parcel->row_count * element;
    parcel->total = 0;
    parcel->received = SIZE_MAX;
    for (int rank = 0; rank < trial->size; rank++) {
        parcel->rows_by_rank[rank] = rows_of(parcel->rows, rank, trial->size);
        parcel->total += parcel->rows_by_rank[rank];
    }
    part = parcel->mine = parcel->rows_by_rank[trial->rank];
    if (is_root)
        whole = parcel->total;
    if (parcel->is_scatter)
        part = parcel->is_taken ? 0 : part + parcel->spare_rows;
    else if (is_root)
        whole = parcel->is_taken ? 0 : whole + parcel->spare_rows;
    memory_open(trial, &parcel->whole, whole * parcel->row_bytes, element, parcel->in_arena, 1);
    memory_open(trial, &parcel->part, part * parcel->row_bytes, 3 * element, parcel->in_arena, 1);
    if (!parcel->is_scatter)
        parcel_fill(parcel, trial->rank, parcel->part.data);
    else if (is_root)
        parcel_fill_whole(trial, parcel, parcel->whole.data);
}

/* Off the root, a gather's results and a scatter's rows are not looked at: nonsense, or nothing. */
static int32_t gather_submit(struct trial *trial, struct parcel *parcel, const char *name,
                             size_t *rows_by_rank)
{
    int is_root = trial->rank == parcel->root;
    void *out = is_root && !parcel->is_taken ? parcel->whole.data : NULL;
    size_t room = !is_root ? 7 : parcel->is_taken ? 0 : parcel->total + parcel->spare_rows;
    memset(rows_by_rank, 0xee, 64 * sizeof *rows_by_rank);
    return ronde_gather_async(trial->context, name, parcel->part.data, parcel->mine,
                              parcel->row_count, parcel->dtype, out, room,
                              is_root ? rows_by_rank : NULL, parcel->root, NULL, &parcel->handle);
}

static int32_t scatter_submit(struct trial *trial, struct parcel *parcel, const char *name)
{
    int is_root = trial->rank == parcel->root;
    const size_t *rows = is_root && parcel->rows != SHARES ? parcel->rows_by_rank : NULL;
    return ronde_scatter_async(trial->context, name, is_root ? parcel->whole.data : NULL, rows,
                               is_root ? parcel->total : 12345, parcel->row_count, parcel->dtype,
                               parcel->is_taken ? NULL : parcel->part.data,
                               parcel->is_taken ? 0 : parcel->mine + parcel->spare_rows,
                               &parcel->received, parcel->root, NULL, &parcel->handle);
}

/* `data` holds what this rank should have got. */
static void parcel_compare(struct trial *trial, const struct parcel *parcel,
                           const unsigned char *data)
{
    size_t rows = parcel->is_scatter ? parcel->mine : parcel->total, wrong = 0;
    size_t bytes = rows * parcel->row_bytes;
    unsigned char *wanted = malloc(bytes + 1);
    if (parcel->is_scatter)
        parcel_fill(parcel, trial->rank, wanted);
    else
        parcel_fill_whole(trial, parcel, wanted);
    while (data && wrong < bytes && wanted[wrong] == data[wrong])
        wrong++;
    EXPECT(trial, wrong == bytes, "%s, root %d, rows %d of %zu %s%s: byte %zu of %zu is wrong",
           parcel->is_scatter ? "scatter" : "gather", (int)parcel->root, (int)parcel->rows,
           parcel->row_count, ronde_dtype_name(parcel->dtype), parcel->is_taken ? ", taken" : "",
           wrong, bytes);
    free(wanted);
}

static void spare_room_is_untouched(struct trial *trial, const struct memory *memory, size_t used)
{
    for (size_t i = used; i < memory->bytes; i++)
        EXPECT(trial, memory->data[i] == memory->guard, "spare room was written at byte %zu", i);
}

static void parcel_close(struct trial *trial, struct parcel *parcel, const size_t *rows_by_rank)
{
    int gets = parcel->is_scatter || trial->rank == parcel->root;
    size_t rows = parcel->is_scatter ? parcel->mine : parcel->total;
    struct memory *memory = parcel->is_scatter ? &parcel->part : &parcel->whole;
    void *taken = gets && parcel->is_taken ? taken_rows(trial, parcel->handle, rows) : NULL;
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, parcel->handle));
    if (gets)
        parcel_compare(trial, parcel, parcel->is_taken ? taken : memory->data);
    if (gets && !parcel->is_taken)
        spare_room_is_untouched(trial, memory, rows * parcel->row_bytes);
    EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, taken));
    EXPECT(trial, !parcel->is_scatter || parcel->received == parcel->mine, "%zu rows came, not %zu",
           parcel->received, parcel->mine);
    for (int rank = 0; rank < trial->size && gets && !parcel->is_scatter; rank++)
        EXPECT(trial, rows_by_rank[rank] == parcel->rows_by_rank[rank], "rank %d had %zu rows",
               rank, rows_by_rank[rank]);
    memory_close(trial, &parcel->whole);
    memory_close(trial, &parcel->part);
}

enum { MOST_PARCELS = 32 };

/* All at once, submitted in an order of this rank's own. */
static void parcels_run(struct trial *trial, struct parcel *parcels, size_t n, const char *base)
{
    static const char *const kinds[] = {"gather", "scatter"};
    size_t order[MOST_PARCELS], rows_by_rank[MOST_PARCELS][64];
    uint64_t dice = (uint64_t)trial->rank * 19 + n + (uint64_t)parcels[0].dtype;
    char name[64];
    dice_order(&dice, order, n);
    for (size_t i = 0; i < n; i++)
        parcel_open(trial, &parcels[i]);
    for (size_t k = 0; k < n; k++) {
        struct parcel *parcel = &parcels[order[k]];
        snprintf(name, sizeof name, "%s %zu", base, order[k]);
        int32_t status = parcel->is_scatter
                             ? scatter_submit(trial, parcel, name)
                             : gather_submit(trial, parcel, name, rows_by_rank[order[k]]);
        EXPECT(trial, status == RONDE_OK, "%s %s: %s", kinds[parcel->is_scatter], name,
               status < 0 ? ronde_last_error() : "");
    }
    for (size_t i = 0; i < n; i++)
        parcel_close(trial, &parcels[i], rows_by_rank[i]);
}

static void every_dtype_and_root_is_right(struct trial *trial)
{
    for (int32_t dtype = RONDE_BOOL; dtype <= RONDE_FLOAT64; dtype++) {
        for (int row_count = 1; row_count < 8; row_count += 6) {
            struct parcel parcels[2 * MANY];
            for (int i = 0; i < 2 * MANY; i++) {
                struct parcel parcel = {.is_scatter = i % 2,
                                        .dtype = dtype,
                                        .root = (i / 2 + dtype + row_count) % trial->size,
                                        .rows = (enum rows)(i / 2),
                                        .row_count = (size_t)row_count,
                                        .is_taken = (i + dtype) % 3 == 0,
                                        .in_arena = (i + dtype + trial->rank) % 2,
                                        .spare_rows = i % 4 == 1 ? 2 : 0};
                parcels[i] = parcel;
            }
            parcels_run(trial, parcels, 2 * MANY, "parcel");
        }
    }
}

static void rows_without_elements_are_still_rows(struct trial *trial)
{
    struct parcel parcels[] = {
        {.dtype = RONDE_INT32, .rows = BY_RANK},
        {.dtype = RONDE_INT32, .rows = BY_RANK, .is_scatter = 1, .root = trial->size - 1},
        {.dtype = RONDE_INT32, .rows = BY_RANK, .is_scatter = 1, .is_taken = 1},
    };
    parcels_run(trial, parcels, 3, "empty");
}

static void several_megabytes_are_right(struct trial *trial)
{
    for (int i = 0; i < 8; i++) {
        struct parcel parcel = {.is_scatter = i % 2,
                                .dtype = i / 2 % 2 ? RONDE_FLOAT64 : RONDE_UINT8,
                                .root = i % 3 % trial->size,
                                .rows = MANY,
                                .row_count = i % 3 ? 7 : 1,
                                .is_taken = i == 3 || i == 6,
                                .in_arena = i / 4};
        parcels_run(trial, &parcel, 1, "many");
    }
}

/* The receiver's room is a row short: an error there, and all is well everywhere else. */
static void too_little_room_fails_there_only(struct trial *trial)
{
    int32_t in[512] = {0}, out[512] = {0};
    size_t p = (size_t)trial->size, received = 0;
    for (int32_t root = 0; root < trial->size; root++) {
        int is_root = trial->rank == root;
        EXPECT_STATUS(trial, is_root ? RONDE_ERR_TRUNCATED : RONDE_OK,
                      ronde_gather(trial->context, "too many", in, 2, 3, RONDE_INT32, out,
                                   2 * p - 1, NULL, root, NULL));
        if (is_root)
            EXPECT_ERROR(trial, "too many");
        for (int i = 0; i < 512; i++)
            in[i] = i + root;
        EXPECT_STATUS(trial, is_root ? RONDE_ERR_TRUNCATED : RONDE_OK,
                      ronde_scatter(trial->context, "too few", in, NULL, 2 * p, 3, RONDE_INT32, out,
                                    is_root ? 1 : 2, &received, 0, NULL));
        if (is_root)
            EXPECT_ERROR(trial, "too few");
        for (int i = 0; i < 6 && !is_root; i++)
            EXPECT(trial, received == 2 && out[i] == 6 * trial->rank + i + root,
                   "row %d holds %d, of %zu", i / 3, (int)out[i], received);
        meet(trial, "after too little room");
    }
}

/* One rank errs alone, and nobody else notices. */
static void what_one_rank_does_wrong_fails_there(struct trial *trial)
{
    int32_t in[64] = {0}, out[64];
    size_t rows[64] = {5}, p = (size_t)trial->size;
    uint64_t h = 4711;
    ronde_context *c = trial->context;
    int32_t me = trial->rank;
    if (trial->rank == trial->size - 1) {
        const int32_t wrong[] = {
            ronde_gather_async(c, "x", in, 2, 1, RONDE_INT32, out, 64, NULL, -1, NULL, &h),
            ronde_gather_async(c, "x", in, 2, 1, RONDE_INT32, out, 64, NULL, me + 1, NULL, &h),
            ronde_gather_async(c, "x", NULL, 2, 1, RONDE_INT32, out, 64, NULL, me, NULL, &h),
            ronde_gather_async(c, "x", in, 2, 1, RONDE_INT32, NULL, 64, NULL, me, NULL, &h),
            ronde_gather_async(c, "x", in, 2, 1, 99, out, 64, NULL, me, NULL, &h),
            ronde_gather_async(c, "x", in, 2, 1, RONDE_INT32, out, 64, NULL, me, NULL, NULL),
            ronde_scatter_async(c, "x", in, NULL, p, 1, RONDE_INT32, out, 9, NULL, -1, NULL, &h),
            ronde_scatter_async(c, "x", in, NULL, p, 1, RONDE_INT32, out, 9, NULL, me + 1, NULL,
                                &h),
            ronde_scatter_async(c, "x", NULL, NULL, p, 1, RONDE_INT32, out, 9, NULL, me, NULL, &h),
            ronde_scatter_async(c, "x", in, rows, 4, 1, RONDE_INT32, out, 9, NULL, me, NULL, &h),
            ronde_scatter_async(c, "x", in, rows, 6, 1, RONDE_INT32, out, 9, NULL, me, NULL, &h),
            ronde_scatter_async(c, "x", in, NULL, p, 1, RONDE_INT32, NULL, 9, NULL, me, NULL, &h),
        };
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
            EXPECT(trial, wrong[i] == RONDE_ERR_ARGUMENT, "call %zu: %s", i,
                   ronde_status_name(wrong[i]));
        EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                      ronde_gather_async(c, "x", in, SIZE_MAX / 2, 3, RONDE_INT32, out, 64, NULL,
                                         me, NULL, &h));
        EXPECT_STATUS(trial, RONDE_ERR_OVERFLOW,
                      ronde_scatter_async(c, "x", in, NULL, SIZE_MAX / 2, 3, RONDE_INT32, out, 64,
                                          NULL, me, NULL, &h));
        EXPECT(trial, h == 4711, "a failing call wrote its handle");
    }
    meet(trial, "after errors of one rank");
}

/* One rank means another root, dtype or row: all learn it, and both values. */
static void disagreement_is_an_error_on_every_rank(struct trial *trial)
{
    int32_t in[512] = {0}, out[512];
    size_t p = (size_t)trial->size;
    int32_t is_odd = trial->rank == trial->size - 1;
    for (int i = 0; i < 3 && p > 1; i++) {
        int32_t root = i == 0 && is_odd, dtype = i == 1 && is_odd ? RONDE_INT16 : RONDE_FLOAT16;
        size_t row_count = i == 2 && is_odd ? 17 : 19;
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_gather(trial->context, "odd", in, 2, row_count, dtype, out, 16, NULL,
                                   root, NULL));
        EXPECT_ERROR(trial, "odd", "rank",
                     i == 1   ? "int16"
                     : i == 2 ? "17"
                              : "1",
                     i == 1   ? "float16"
                     : i == 2 ? "19"
                              : "0");
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_scatter(trial->context, "odd", in, NULL, p, row_count, dtype, out, 16,
                                    NULL, root, NULL));
        EXPECT_ERROR(trial, "odd", "rank",
                     i == 1   ? "int16"
                     : i == 2 ? "17"
                              : "1",
                     i == 1   ? "float16"
                     : i == 2 ? "19"
                              : "0");
    }
    meet(trial, "after disagreement");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    every_dtype_and_root_is_right(&trial);
    rows_without_elements_are_still_rows(&trial);
    several_megabytes_are_right(&trial);
    too_little_room_fails_there_only(&trial);
    what_one_rank_does_wrong_fails_there(&trial);
    disagreement_is_an_error_on_every_rank(&trial);
    return trial_end(&trial);
}
