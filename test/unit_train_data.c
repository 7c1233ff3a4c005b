/* IDX and CSV files as one process reads them: every type, every way in which a file can be broken,
 * with a sentence that says where. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "ronde_train.h"

static char path[256];

static void write_file(const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static ronde_train_data *open_with(int32_t format, int32_t header_lines, int32_t separator,
                                   int32_t wanted)
{
    ronde_train_data_options options;
    ronde_train_data *data = NULL;
    ronde_train_data_options_init(&options, sizeof options);
    options.format = format;
    options.header_lines = header_lines;
    options.separator = separator;
    int32_t status = ronde_train_data_open(NULL, path, &options, &data);
    if (status != wanted)
        check_fail(__FILE__, __LINE__, "status %d, not %d: %s", (int)status, (int)wanted,
                   ronde_last_error());
    return data;
}

/* Every type, as a matrix of 2 x 3 with the values 1 -2 3 -4 5 -6, or without signs. */
static void every_type_of_idx_is_read(void)
{
    static const struct {
        unsigned char type;
        int32_t dtype;
        size_t bytes;
    } kinds[] = {{8, RONDE_UINT8, 1},  {9, RONDE_INT8, 1},     {11, RONDE_INT16, 2},
                 {12, RONDE_INT32, 4}, {13, RONDE_FLOAT32, 4}, {14, RONDE_FLOAT64, 8}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        unsigned char file[64] = {0, 0, kinds[k].type, 2, 0, 0, 0, 2, 0, 0, 0, 3}, native[48];
        for (int i = 0; i < 6; i++) {
            int value = kinds[k].dtype == RONDE_UINT8 ? 200 + i : i % 2 ? -1 - i : 1 + i;
            int8_t i8 = (int8_t)value;
            int16_t i16 = (int16_t)(300 * value);
            int32_t i32 = 100000 * value;
            float f32 = (float)value / 8;
            double f64 = (double)value / 3;
            const void *from[] = {&i8, &i8, &i16, &i32, &f32, &f64};
            memcpy(native + (size_t)i * kinds[k].bytes, from[k], kinds[k].bytes);
            for (size_t b = 0; b < kinds[k].bytes; b++) /* this machine has the low byte first */
                file[12 + (size_t)i * kinds[k].bytes + b] =
                    native[(size_t)i * kinds[k].bytes + kinds[k].bytes - 1 - b];
        }
        write_file(file, 12 + 6 * kinds[k].bytes);
        ronde_train_data *data = open_with(RONDE_TRAIN_ANY, 0, ',', RONDE_OK);
        size_t shape[2], first, rows, wanted[] = {1, 0, 1};
        int32_t dimensions;
        unsigned char out[3 * 3 * 8];
        CHECK(data);
        CHECK(ronde_train_data_shape(data, shape, 2, &dimensions) == RONDE_OK);
        CHECK(dimensions == 2 && shape[0] == 2 && shape[1] == 3);
        CHECK(ronde_train_data_rows(data) == 2 && ronde_train_data_row_count(data) == 3);
        CHECK(ronde_train_data_dtype(data) == kinds[k].dtype);
        CHECK_SAYING(!memcmp(ronde_train_data_values(data, &first, &rows), native,
                             6 * kinds[k].bytes),
                     "type %d", kinds[k].type);
        CHECK(first == 0 && rows == 2);
        CHECK(ronde_train_data_fetch(data, wanted, 3, out) == RONDE_OK);
        CHECK(!memcmp(out, native + 3 * kinds[k].bytes, 3 * kinds[k].bytes) &&
              !memcmp(out + 3 * kinds[k].bytes, native, 6 * kinds[k].bytes));
        CHECK(ronde_train_data_close(&data) == RONDE_OK && !data);
    }
}

static void refuses(const void *bytes, size_t n, int32_t format, int32_t status, const char *text)
{
    write_file(bytes, n);
    ronde_train_data *data = open_with(format, 0, ',', status);
    CHECK_SAYING(!data && strstr(ronde_last_error(), text) &&
                     !strncmp(ronde_last_error(), path, strlen(path)),
                 "\"%s\" does not say \"%s\" of %s", ronde_last_error(), text, path);
}

#define REFUSES_IDX(status, text, ...) \
    do { \
        const unsigned char bytes_[] = {__VA_ARGS__}; \
        refuses(bytes_, sizeof bytes_, RONDE_TRAIN_IDX, status, text); \
    } while (0)

static void broken_idx_files_are_refused(void)
{
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "ends within its header", 0, 0, 8);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "ends within its header", 0, 0, 8, 2, 0, 0, 0, 1, 0, 0);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "is compressed by gzip; decompress it with gunzip", 0x1f, 0x8b,
                8, 0);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "starts with 0x00000701, where", 0, 0, 7, 1, 0, 0, 0, 0);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "starts with 0x00000800", 0, 0, 8, 0);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "starts with 0x00000811", 0, 0, 8, 17);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "starts with 0x01000801", 1, 0, 8, 1, 0, 0, 0, 0);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "dimension 1 is 0", 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 0);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "has 3 bytes after its header, which promises 4", 0, 0, 8, 1, 0,
                0, 0, 4, 1, 2, 3);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "has 5 bytes after its header, which promises 4", 0, 0, 11, 1,
                0, 0, 0, 2, 1, 2, 3, 4, 5);
    REFUSES_IDX(RONDE_ERR_OVERFLOW, "claims more elements than there can be", 0, 0, 8, 3, 255, 255,
                255, 255, 255, 255, 255, 255, 255, 255, 255, 255);
    REFUSES_IDX(RONDE_ERR_ARGUMENT, "claims 4294967295x1 elements of uint8", 0, 0, 8, 2, 255, 255,
                255, 255, 0, 0, 0, 1, 7);
}

static void an_idx_file_of_no_rows_is_fine(void)
{
    static const unsigned char bytes[] = {0, 0, 13, 2, 0, 0, 0, 0, 0, 0, 0, 5};
    write_file(bytes, sizeof bytes);
    ronde_train_data *data = open_with(RONDE_TRAIN_ANY, 0, ',', RONDE_OK);
    CHECK(data && ronde_train_data_rows(data) == 0 && ronde_train_data_row_count(data) == 5);
    CHECK(!ronde_train_data_values(data, NULL, NULL));
    CHECK(ronde_train_data_fetch(data, NULL, 0, NULL) == RONDE_OK);
    ronde_train_data_close(&data);
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static void reads_csv(const char *text, int32_t header_lines, int32_t separator, size_t rows,
                      size_t columns, const double *wanted)
{
    write_file(text, strlen(text));
    ronde_train_data *data = open_with(RONDE_TRAIN_ANY, header_lines, separator, RONDE_OK);
    CHECK(data);
    CHECK_SAYING(ronde_train_data_rows(data) == rows && ronde_train_data_row_count(data) == columns,
                 "%zu rows of %zu", ronde_train_data_rows(data), ronde_train_data_row_count(data));
    CHECK(ronde_train_data_dtype(data) == RONDE_FLOAT64);
    CHECK(!memcmp(ronde_train_data_values(data, NULL, NULL), wanted, rows * columns * 8));
    ronde_train_data_close(&data);
}

static void lines_of_numbers_are_read(void)
{
    static const double six[] = {1, -2.5, 3e4, 0, 1e-300, 7};
    reads_csv("1,-2.5,3e4\n0,1e-300,7\n", 0, ',', 2, 3, six);
    reads_csv("1,-2.5,3e4\r\n\r\n  0 , 1e-300,\t7", 0, ',', 2, 3, six);
    reads_csv("a,b,c\nx\n1,-2.5,3e4\n0,1e-300,7\n", 2, ',', 2, 3, six);
    reads_csv("  1 -2.5\t3e4 \n0  1e-300 7\n\n", 0, 0, 2, 3, six);
    reads_csv("1 -2.5 3e4\n0 1e-300 7\n", 0, ' ', 2, 3, six);
    reads_csv("1\t-2.5\t3e4\n0\t1e-300\t7\n", 0, '\t', 2, 3, six);
    reads_csv("1;-2.5\n3e4;0\n1e-300;7", 0, ';', 3, 2, six);
    reads_csv("1\n-2.5\n3e4\n0\n1e-300\n7\n", 0, ',', 6, 1, six);
}

static void long_files_grow(void)
{
    enum { ROWS = 3000 };
    FILE *file = fopen(path, "w");
    CHECK(file);
    for (int i = 0; i < ROWS; i++)
        fprintf(file, "%d,%.17g\n", i, i / 7.0);
    fclose(file);
    ronde_train_data *data = open_with(RONDE_TRAIN_CSV, 0, ',', RONDE_OK);
    CHECK(data && ronde_train_data_rows(data) == ROWS);
    const double *values = ronde_train_data_values(data, NULL, NULL);
    for (int i = 0; i < ROWS; i++)
        CHECK(values[2 * i] == i && values[2 * i + 1] == i / 7.0);
    ronde_train_data_close(&data);
}

static void refuses_csv(const char *text, const char *reason)
{
    refuses(text, strlen(text), RONDE_TRAIN_CSV, RONDE_ERR_ARGUMENT, reason);
}

static void broken_csv_files_are_refused(void)
{
    refuses_csv("", "holds no numbers");
    refuses_csv("\n \n", "holds no numbers");
    refuses_csv("1,2\n3,abc\n", "line 2, field 2: 'abc' is no number");
    refuses_csv("1,2x\n", "line 1, field 2: '2x' is no number");
    refuses_csv("1,2\n\n,4\n", "line 3, field 1: is empty");
    refuses_csv("1,2,\n", "line 1, field 3: is empty");
    refuses_csv("1,2\n3\n", "line 2 has 1 fields, while line 1 has 2");
    refuses_csv("\n1,2\n3,4,5\n", "line 3 has more fields than line 2, which has 2");
    refuses_csv("1 2\n", "line 1, field 1: '1 2' is no number");
    refuses_csv("\037\213\010 1,2\n", "is compressed by gzip");
    refuses("1,2\n3,\0004\n", 9, RONDE_TRAIN_CSV, RONDE_ERR_ARGUMENT, "line 2 holds a byte of 0");
}

static void bad_arguments_are_refused(void)
{
    ronde_train_data_options options;
    ronde_train_data *data = NULL;
    size_t index = 2;
    double out[2];
    snprintf(path + strlen(path), 16, ".none");
    CHECK(!open_with(RONDE_TRAIN_ANY, 0, ',', RONDE_ERR_SYSTEM));
    CHECK(strstr(ronde_last_error(), "No such file") && strstr(ronde_last_error(), path));
    path[strlen(path) - 5] = '\0';
    CHECK(!open_with(3, 0, ',', RONDE_ERR_ARGUMENT));
    CHECK(!open_with(0, -1, ',', RONDE_ERR_ARGUMENT));
    CHECK(!open_with(0, 0, '7', RONDE_ERR_ARGUMENT) && strstr(ronde_last_error(), "separator"));
    CHECK(!open_with(0, 0, '\n', RONDE_ERR_ARGUMENT));
    ronde_train_data_options_init(&options, sizeof options);
    options.reading = 4;
    CHECK(ronde_train_data_open(NULL, path, &options, &data) == RONDE_ERR_ARGUMENT);
    options.reading = RONDE_TRAIN_ROOT;
    options.root = 1;
    CHECK(ronde_train_data_open(NULL, path, &options, &data) == RONDE_ERR_ARGUMENT);
    CHECK(ronde_train_data_open(NULL, NULL, NULL, &data) == RONDE_ERR_ARGUMENT);
    CHECK(ronde_train_data_open(NULL, path, NULL, NULL) == RONDE_ERR_ARGUMENT);
    CHECK(ronde_train_data_rows(NULL) == 0 && !ronde_train_data_values(NULL, NULL, NULL));
    write_file("1,2\n3,4\n", 8);
    data = open_with(RONDE_TRAIN_ANY, 0, ',', RONDE_OK);
    CHECK(ronde_train_data_fetch(data, &index, 1, out) == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "row 2 of 2"));
    CHECK(ronde_train_data_fetch(data, NULL, 1, out) == RONDE_ERR_ARGUMENT);
    CHECK(ronde_train_data_close(&data) == RONDE_OK && ronde_train_data_close(NULL) == RONDE_OK);
}

/* Whatever is in a file: data, or a sentence that begins with its name. */
static void no_file_is_too_odd(void)
{
    static const unsigned char idx[] = {0, 0, 11, 2, 0, 0, 0, 2, 0, 0,  0,  3,
                                        1, 2, 3,  4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const char csv[] = "1,-2.5,3e4\n0,1e-300,7\n\n4,5,6\n";
    ronde_train_random stream;
    int read = 0;
    ronde_train_random_init(&stream, 9, 302, 0);
    for (int turn = 0; turn < 1000; turn++) {
        unsigned char bytes[64];
        size_t n = turn % 2 ? sizeof idx : sizeof csv - 1;
        memcpy(bytes, turn % 2 ? (const void *)idx : csv, n);
        for (uint64_t changes = ronde_train_random_below(&stream, 4); changes > 0; changes--)
            bytes[ronde_train_random_below(&stream, n)] = (unsigned char)
                ronde_train_random_below(&stream, 256);
        if (turn % 5 == 0)
            n = (size_t)ronde_train_random_below(&stream, n + 1);
        write_file(bytes, n);
        ronde_train_data *data = NULL;
        if (ronde_train_data_open(NULL, path, NULL, &data) == RONDE_OK)
            read++;
        else
            CHECK(!data && !strncmp(ronde_last_error(), path, strlen(path)));
        ronde_train_data_close(&data);
    }
    CHECK_SAYING(read > 150 && read < 850, "%d of 1000 were read", read);
}

/* The data that come with the project. */
static void the_digits_are_read(void)
{
    size_t shape[3];
    int32_t dimensions;
    unsigned char largest = 0;
    snprintf(path, sizeof path, "examples/data/digits/train-images-idx3-ubyte");
    ronde_train_data *data = open_with(RONDE_TRAIN_ANY, 0, ',', RONDE_OK);
    CHECK(data && ronde_train_data_shape(data, shape, 3, &dimensions) == RONDE_OK);
    CHECK(dimensions == 3 && shape[0] == 1437 && shape[1] == 8 && shape[2] == 8);
    const unsigned char *pixels = ronde_train_data_values(data, NULL, NULL);
    for (size_t i = 0; i < 1437 * 64; i++)
        largest = pixels[i] > largest ? pixels[i] : largest;
    CHECK(largest == 16);
    ronde_train_data_close(&data);
}

int main(void)
{
    char name[200];
    const char *folder = getenv("TMPDIR");
    snprintf(name, sizeof name, "%s/ronde-train-data.XXXXXX", folder ? folder : "/tmp");
    int file = mkstemp(name);
    if (file < 0) {
        perror(name);
        return 1;
    }
    close(file);
    snprintf(path, sizeof path, "%s", name);
    RUN(every_type_of_idx_is_read);
    RUN(broken_idx_files_are_refused);
    RUN(an_idx_file_of_no_rows_is_fine);
    RUN(lines_of_numbers_are_read);
    RUN(long_files_grow);
    RUN(broken_csv_files_are_refused);
    RUN(bad_arguments_are_refused);
    RUN(no_file_is_too_odd);
    RUN(the_digits_are_read);
    unlink(name);
    return check_result();
}
