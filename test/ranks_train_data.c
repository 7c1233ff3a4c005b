/* ronde-test: np=1,2,3,4,8 np=4/2 threads=2,3,4/2 mpich=2 timeout=60 */
/* Data in the four ways of reading: the same rows by the same numbers, wherever they lie; and what
 * is wrong on one rank is said on all. */
#include <unistd.h>

#include "trial.h"

#include "ronde_train.h"

enum { ROWS = 50, COLUMNS = 3, MOST_ROWS = 200 };

/* Element j of row i. */
static int32_t element(size_t i, size_t j)
{
    return (int32_t)(1000 * i + j) * (i % 2 ? -1 : 1);
}

struct files {
    char shared[300]; /* an IDX file of int32, or a CSV; the same on all ranks */
    char own[320];    /* this rank's shard */
};

static void put_number(FILE *file, uint32_t number)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        putc((int)(number >> shift & 0xff), file);
}

static void write_idx(struct trial *trial, const char *path, size_t first, size_t rows)
{
    FILE *file = fopen(path, "wb");
    EXPECT(trial, file != NULL, "cannot write %s", path);
    if (!file)
        return;
    put_number(file, 0x00000c02);
    put_number(file, (uint32_t)rows);
    put_number(file, COLUMNS);
    for (size_t i = first; i < first + rows; i++)
        for (size_t j = 0; j < COLUMNS; j++)
            put_number(file, (uint32_t)element(i, j));
    fclose(file);
}

static void write_csv(struct trial *trial, const char *path)
{
    FILE *file = fopen(path, "w");
    EXPECT(trial, file != NULL, "cannot write %s", path);
    if (!file)
        return;
    fprintf(file, "a;b;c\n");
    for (size_t i = 0; i < ROWS; i++)
        fprintf(file, "%d;%d;%d\n", (int)element(i, 0), (int)element(i, 1), (int)element(i, 2));
    fclose(file);
}

/* Rank 2 has an empty shard. */
static size_t shard_rows(int rank)
{
    return rank == 2 ? 0 : 5 + 3 * (size_t)rank;
}

static size_t shard_first(int rank)
{
    size_t first = 0;
    while (rank-- > 0)
        first += shard_rows(rank);
    return first;
}

/* Rank 0's process names the file for all. */
static struct files name_files(struct trial *trial)
{
    struct files files;
    const char *folder = getenv("TMPDIR");
    int64_t number = getpid();
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, "number", &number, &number, 1, RONDE_INT64, 0,
                                  NULL));
    snprintf(files.shared, sizeof files.shared, "%.200s/ronde-train.%lld", folder ? folder : "/tmp",
             (long long)number);
    snprintf(files.own, sizeof files.own, "%s.%d", files.shared, trial->rank);
    return files;
}

static ronde_train_data_options options_for(int32_t reading)
{
    ronde_train_data_options options;
    ronde_train_data_options_init(&options, sizeof options);
    options.reading = reading;
    return options;
}

/* Number i as int32, or as float64 where the file was a CSV. */
static int32_t number_at(const ronde_train_data *data, const void *rows, size_t i)
{
    return ronde_train_data_dtype(data) == RONDE_FLOAT64 ? (int32_t)((const double *)rows)[i]
                                                         : ((const int32_t *)rows)[i];
}

static void expect_rows(struct trial *trial, const ronde_train_data *data, const void *rows,
                        const size_t *indices, size_t n, const char *what)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < COLUMNS; j++)
            wrong += number_at(data, rows, i * COLUMNS + j) != element(indices[i], j);
    EXPECT(trial, wrong == 0, "%s: %zu of %zu elements are wrong", what, wrong, n * COLUMNS);
}

/* Each rank wants other rows, in other numbers, some twice; in one turn rank 0 alone wants any. */
static void fetch_all_kinds(struct trial *trial, ronde_train_data *data)
{
    uint64_t dice = 7 + (uint64_t)trial->rank;
    size_t indices[MOST_ROWS], rows = ronde_train_data_rows(data);
    double out[MOST_ROWS * COLUMNS];
    for (int turn = 0; turn < 8; turn++) {
        size_t n = turn == 3 && trial->rank > 0 ? 0 : dice_below(&dice, turn < 6 ? 12 : MOST_ROWS);
        for (size_t i = 0; i < n; i++)
            indices[i] = turn == 5 ? 0 : dice_below(&dice, rows);
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_data_fetch(data, indices, n, out));
        expect_rows(trial, data, out, indices, n, "fetched");
    }
}

static void expect_held(struct trial *trial, const ronde_train_data *data, size_t first,
                        size_t rows)
{
    size_t got_first = 99999, got_rows = 99999, indices[MOST_ROWS];
    const void *values = ronde_train_data_values(data, &got_first, &got_rows);
    EXPECT(trial, got_rows == rows && (rows == 0 || got_first == first),
           "holds rows %zu and %zu more", got_first, got_rows);
    EXPECT(trial, (values != NULL) == (rows > 0), "values %p of %zu rows", values, rows);
    for (size_t i = 0; i < rows && values; i++)
        indices[i] = first + i;
    if (values && got_rows == rows)
        expect_rows(trial, data, values, indices, rows, "held");
}

static void read_in_every_way(struct trial *trial, const struct files *files, int csv)
{
    struct {
        int32_t reading;
        size_t first, rows;
    } ways[] = {{RONDE_TRAIN_REPLICATED, 0, ROWS},
                {RONDE_TRAIN_ROOT, 0, trial->rank == trial->size - 1 ? ROWS : 0},
                {RONDE_TRAIN_OWNER, 0, ronde_share_rows(ROWS, trial->size, trial->rank)}};
    for (int rank = 0; rank < trial->rank; rank++)
        ways[2].first += ronde_share_rows(ROWS, trial->size, rank);
    for (size_t w = 0; w < 3; w++) {
        ronde_train_data *data = NULL;
        ronde_train_data_options options = options_for(ways[w].reading);
        options.root = trial->size - 1;
        options.header_lines = csv;
        options.separator = csv ? ';' : ',';
        int reads = ways[w].reading != RONDE_TRAIN_ROOT || ways[w].rows;
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_train_data_open(trial->context, reads ? files->shared : NULL, &options,
                                            &data));
        EXPECT(trial, ronde_train_data_rows(data) == ROWS && ronde_train_data_row_count(data) == 3,
               "%zu rows", ronde_train_data_rows(data));
        EXPECT(trial, ronde_train_data_dtype(data) == (csv ? RONDE_FLOAT64 : RONDE_INT32),
               "dtype %d", (int)ronde_train_data_dtype(data));
        expect_held(trial, data, ways[w].first, ways[w].rows);
        fetch_all_kinds(trial, data);
        ronde_train_data_close(&data);
    }
}

static void files_of_their_own(struct trial *trial, const struct files *files)
{
    ronde_train_data *data = NULL;
    ronde_train_data_options options = options_for(RONDE_TRAIN_SHARDS);
    write_idx(trial, files->own, shard_first(trial->rank), shard_rows(trial->rank));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_train_data_open(trial->context, files->own, &options, &data));
    EXPECT(trial, ronde_train_data_rows(data) == shard_first(trial->size), "%zu rows",
           ronde_train_data_rows(data));
    expect_held(trial, data, shard_first(trial->rank), shard_rows(trial->rank));
    fetch_all_kinds(trial, data);
    ronde_train_data_close(&data);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void expect_refusal(struct trial *trial, const char *path,
                           const ronde_train_data_options *options, int32_t status,
                           const char *text)
{
    ronde_train_data *data = NULL;
    EXPECT_STATUS(trial, status, ronde_train_data_open(trial->context, path, options, &data));
    EXPECT_ERROR(trial, text);
    EXPECT(trial, !data, "data in spite of an error");
    meet(trial, "after a refusal");
}

/* One rank, the last, is in trouble. */
static void one_ranks_trouble_is_everybodys(struct trial *trial, const struct files *files)
{
    int is_last = trial->rank == trial->size - 1;
    char text[64], missing[340];
    ronde_train_data_options options = options_for(RONDE_TRAIN_REPLICATED);
    if (trial->size == 1)
        return;
    snprintf(text, sizeof text, "rank %d: ", trial->size - 1);
    snprintf(missing, sizeof missing, "%s.missing", files->shared);
    expect_refusal(trial, is_last ? missing : files->shared, &options, RONDE_ERR_SYSTEM, text);
    EXPECT_ERROR(trial, missing, "No such file");
    expect_refusal(trial, is_last ? NULL : files->shared, &options, RONDE_ERR_ARGUMENT,
                   "the path: is NULL on a rank that reads");
    options.reading =
        RONDE_TRAIN_SHARDS; /* the shards are there: their rows differ, not the shape */
    write_csv(trial, files->own);
    options.separator = ';';
    options.header_lines = 1;
    expect_refusal(trial, is_last ? files->own : files->shared, &options, RONDE_ERR_MISMATCH,
                   "differ in the type of the elements");
    options.reading = RONDE_TRAIN_REPLICATED;
    write_idx(trial, files->own, is_last ? 1 : 0, 5);
    expect_refusal(trial, files->own, &options, RONDE_ERR_MISMATCH, "differ in the values");
    write_idx(trial, files->own, 0, is_last ? 6 : 5);
    expect_refusal(trial, files->own, &options, RONDE_ERR_MISMATCH, "differ in the number of rows");
    options.reading = is_last ? RONDE_TRAIN_OWNER : RONDE_TRAIN_REPLICATED;
    expect_refusal(trial, files->shared, &options, RONDE_ERR_MISMATCH,
                   "differ in the way of reading");
    options.reading = is_last ? 77 : RONDE_TRAIN_REPLICATED;
    expect_refusal(trial, files->shared, &options, RONDE_ERR_ARGUMENT, text);
    EXPECT_ERROR(trial, "reading is none of enum ronde_train_reading");
    options.reading = RONDE_TRAIN_ROOT;
    options.root = trial->size;
    expect_refusal(trial, files->shared, &options, RONDE_ERR_ARGUMENT, "is no member");
}

static void a_bad_number_is_an_error_everywhere(struct trial *trial, const struct files *files)
{
    ronde_train_data *data = NULL;
    ronde_train_data_options options = options_for(RONDE_TRAIN_OWNER);
    size_t indices[2] = {0, ROWS}, n = trial->rank == trial->size - 1 ? 2 : 1;
    double out[2 * COLUMNS];
    char text[64];
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_train_data_open(trial->context, files->shared, &options, &data));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_train_data_fetch(data, indices, n, out));
    snprintf(text, sizeof text, "rank %d asked for a row that there is not", trial->size - 1);
    EXPECT_ERROR(trial, n == 2 ? "row 50 of 50" : text);
    fetch_all_kinds(trial, data);
    ronde_train_data_close(&data);
}

/* A sampler of all rows, fetched from their owners: an epoch meets every row once. */
static void an_epoch_by_owners_is_whole(struct trial *trial, const struct files *files)
{
    ronde_train_data *data = NULL;
    ronde_train_data_options options = options_for(RONDE_TRAIN_OWNER);
    ronde_sampler_options sampling;
    ronde_sampler *sampler = NULL;
    int32_t rows[8 * COLUMNS];
    int64_t seen[ROWS] = {0}, all[ROWS], wrong = 0;
    size_t indices[8], n, of_all = 1;
    ronde_sampler_options_init(&sampling, sizeof sampling);
    sampling.rank = trial->rank;
    sampling.ranks = trial->size;
    sampling.padding = RONDE_SAMPLER_UNEVEN;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_train_data_open(trial->context, files->shared, &options, &data));
    EXPECT_STATUS(trial, RONDE_OK, ronde_sampler_open(ROWS, &sampling, &sampler));
    while (of_all > 0) {
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_sampler_next(sampler, 8, indices, NULL, 8, &n, &of_all));
        EXPECT_STATUS(trial, RONDE_OK, ronde_train_data_fetch(data, indices, n, rows));
        for (size_t i = 0; i < n; i++)
            seen[abs(rows[i * COLUMNS]) / 1000]++;
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "seen", seen, all, ROWS, RONDE_INT64, RONDE_SUM,
                                  NULL));
    for (size_t i = 0; i < ROWS; i++)
        wrong += all[i] != 1;
    EXPECT(trial, wrong == 0, "%d rows were not met exactly once", (int)wrong);
    ronde_sampler_close(&sampler);
    ronde_train_data_close(&data);
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    struct files files = name_files(&trial);
    (void)argc, (void)argv;
    if (trial.rank == 0)
        write_idx(&trial, files.shared, 0, ROWS);
    meet(&trial, "idx");
    read_in_every_way(&trial, &files, 0);
    an_epoch_by_owners_is_whole(&trial, &files);
    a_bad_number_is_an_error_everywhere(&trial, &files);
    files_of_their_own(&trial, &files);
    one_ranks_trouble_is_everybodys(&trial, &files);
    meet(&trial, "before csv");
    if (trial.rank == 0)
        write_csv(&trial, files.shared);
    meet(&trial, "csv");
    read_in_every_way(&trial, &files, 1);
    meet(&trial, "done");
    unlink(files.own);
    if (trial.rank == 0)
        unlink(files.shared);
    return trial_end(&trial);
}
