/* The small things below everything: statuses, dtypes, texts, pieces, the log, the clock. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/dtype.h"
#include "base/log.h"
#include "base/piece.h"
#include "base/status.h"
#include "check.h"

static void fail_records_the_text_and_returns_the_status(void)
{
    CHECK(ronde__fail(RONDE_ERR_MPI, "rank %d of %s", 3, "four") == RONDE_ERR_MPI);
    CHECK(!strcmp(ronde_last_error(), "rank 3 of four"));
    CHECK(ronde__fail(RONDE_ERR_PEER, "again: %s", ronde_last_error()) == RONDE_ERR_PEER);
    CHECK(!strcmp(ronde_last_error(), "again: rank 3 of four"));
    CHECK(ronde__fail_text(RONDE_ERR_MEMORY, "100% %s") == RONDE_ERR_MEMORY);
    CHECK(!strcmp(ronde_last_error(), "100% %s"));
}

static void long_texts_are_cut_not_overrun(void)
{
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ronde__fail(RONDE_ERR_ARGUMENT, "%s", text);
    CHECK(strlen(ronde_last_error()) >= 255 && strlen(ronde_last_error()) < sizeof(text) - 1);
    ronde__fail_text(RONDE_ERR_ARGUMENT, text);
    CHECK(strlen(ronde_last_error()) < sizeof(text) - 1);
}

static void *last_error_of_a_new_thread(void *empty)
{
    *(int *)empty = !strcmp(ronde_last_error(), "");
    ronde__fail(RONDE_ERR_SYSTEM, "the other thread's");
    return NULL;
}

static void each_thread_has_its_own_last_error(void)
{
    pthread_t thread;
    int empty = 0;
    ronde__fail(RONDE_ERR_SYSTEM, "mine");
    CHECK(!pthread_create(&thread, NULL, last_error_of_a_new_thread, &empty));
    pthread_join(thread, NULL);
    CHECK(empty && !strcmp(ronde_last_error(), "mine"));
}

static void every_status_has_a_name_of_its_own(void)
{
    for (int32_t a = RONDE_ERR_PROCESS_SET; a <= RONDE_PENDING; a++) {
        CHECK(strcmp(ronde_status_name(a), "unknown status"));
        for (int32_t b = RONDE_ERR_PROCESS_SET; b < a; b++)
            CHECK(strcmp(ronde_status_name(a), ronde_status_name(b)));
    }
    CHECK(!strcmp(ronde_status_name(RONDE_PENDING + 1), "unknown status"));
    CHECK(!strcmp(ronde_status_name(RONDE_ERR_PROCESS_SET - 1), "unknown status"));
    CHECK(!strcmp(ronde_version(), "0.1.0"));
}

static void texts_are_of_any_length(void)
{
    char *text = ronde__text("%*d", 3000, 7);
    CHECK(text && strlen(text) == 3000 && text[2999] == '7' && text[0] == ' ');
    free(text);
    text = ronde__text("%s", "");
    CHECK(text && !*text);
    free(text);
}

/* A name of so many bytes, of which the two in the middle of `at` are one character, as shown. */
static const char *shown_with_accent_at(size_t length, size_t at)
{
    static char shown[200];
    char name[1001];
    memset(name, 'x', sizeof(name));
    memset(name, 'a', 30);
    memset(name + length - 30, 'z', 30);
    memcpy(name + at, "\xc3\xa9", 2);
    name[length] = '\0';
    snprintf(shown, sizeof(shown), "%s", ronde__short_name(name, 1000).text);
    return shown;
}

static void long_names_are_shown_by_their_ends_in_whole_characters(void)
{
    char name[1001], none[4] = {'a', 'b', 'c', 'd'};
    memset(name, 'x', sizeof(name));
    name[83] = '\0';
    CHECK(!strcmp(ronde__short_name(name, 1000).text, name));
    CHECK(!strcmp(ronde__short_name("", 1000).text, ""));
    CHECK(!strcmp(ronde__short_name(none, 4).text + 3, "d")); /* no zero ends it */
    CHECK(!strcmp(ronde__short_name(NULL, 0).text, ""));
    const char *shown = shown_with_accent_at(1000, 500);
    CHECK_SAYING(!strncmp(shown, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaxxxxxxxxxx...xxxxxxxxxxz", 54) &&
                     strlen(shown) == 83,
                 "%s", shown);
    shown = shown_with_accent_at(1000, 38);
    CHECK_SAYING(strlen(shown) == 83 && strstr(shown, "x\xc3\xa9..."), "%s", shown);
    shown = shown_with_accent_at(1000, 39); /* would be cut in two */
    CHECK_SAYING(strlen(shown) == 82 && strstr(shown, "axxxxxxxxx...x"), "%s", shown);
    shown = shown_with_accent_at(84, 43); /* the same before the other end */
    CHECK_SAYING(strlen(shown) == 82 && strstr(shown, "x...xxxxxxxxxz"), "%s", shown);
    memset(name, '\x80', 1000); /* no UTF-8 at all */
    CHECK(strlen(ronde__short_name(name, 1000).text) >= 70);
}

static void every_dtype_has_name_size_and_kind(void)
{
    static const size_t bytes[RONDE__DTYPES] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};
    for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++) {
        CHECK(ronde__dtype_is_valid(dtype) && ronde_dtype_name(dtype));
        CHECK(ronde_dtype_bytes(dtype) == bytes[dtype]);
        CHECK(ronde__dtype_is_float(dtype) == !!strstr(ronde_dtype_name(dtype), "float"));
    }
    CHECK(!ronde__dtype_is_valid(-1) && !ronde__dtype_is_valid(RONDE__DTYPES));
    CHECK(!ronde_dtype_name(-1) && !ronde_dtype_name(RONDE__DTYPES) &&
          !ronde_dtype_bytes(INT32_MAX));
    CHECK(!strcmp(ronde_dtype_name(RONDE_BFLOAT16), "bfloat16"));
}

static void every_op_has_a_name(void)
{
    for (int32_t op = 0; op < RONDE__OPS; op++)
        CHECK(ronde__op_is_valid(op) && ronde_op_name(op));
    CHECK(!ronde__op_is_valid(-1) && !ronde__op_is_valid(RONDE__OPS));
    CHECK(!ronde_op_name(-1) && !ronde_op_name(RONDE__OPS) &&
          !strcmp(ronde_op_name(RONDE_MAX), "max"));
}

static void sizes_past_the_address_space_are_overflow(void)
{
    size_t bytes = 5;
    CHECK(ronde__bytes_of(PTRDIFF_MAX / 8 + 1, RONDE_FLOAT64, &bytes) == RONDE_ERR_OVERFLOW);
    CHECK(bytes == 5 && strstr(ronde_last_error(), "float64"));
    CHECK(ronde__bytes_of(SIZE_MAX, RONDE_INT8, &bytes) == RONDE_ERR_OVERFLOW);
    CHECK(ronde__bytes_of(PTRDIFF_MAX / 8, RONDE_FLOAT64, &bytes) == RONDE_OK);
    CHECK(bytes == (size_t)PTRDIFF_MAX / 8 * 8);
    CHECK(ronde__bytes_of((size_t)3 << 31, RONDE_INT16, &bytes) == RONDE_OK);
    CHECK(bytes == (size_t)6 << 31);
    CHECK(ronde__bytes_of(0, RONDE_BOOL, &bytes) == RONDE_OK && bytes == 0);
}

static void seeking_finds_the_piece_of_every_offset(void)
{
    static const struct piece pieces[] = {{.count = 0}, {.count = 3}, {.count = 0},
                                          {.count = 0}, {.count = 1}, {.count = 4}};
    static const int piece_of[] = {1, 1, 1, 4, 5, 5, 5, 5};
    static const size_t left[] = {3, 2, 1, 1, 4, 3, 2, 1};
    for (size_t step = 1; step <= 8; step++) {
        struct piece_cursor cursor = {.piece = pieces};
        for (size_t at = 0; at < 8; at += step) {
            CHECK(ronde__piece_seek(&cursor, at) == left[at]);
            CHECK(cursor.piece == &pieces[piece_of[at]]);
        }
    }
}

/* A pipe in the place of standard error; in packet mode, a read returns what one write wrote. */
struct captured {
    int before, from;
};

static int capture(struct captured *captured)
{
    int ends[2];
    if (pipe2(ends, O_DIRECT | O_NONBLOCK))
        return 0;
    captured->before = dup(STDERR_FILENO);
    captured->from = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return 1;
}

static void release(struct captured *captured)
{
    dup2(captured->before, STDERR_FILENO);
    close(captured->before);
    close(captured->from);
}

static void log_writes_one_line_in_one_write(void)
{
    struct captured captured;
    struct log log = {.level = RONDE__LOG_INFO, .rank = 12};
    char line[8192] = "", longer[6000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    CHECK(capture(&captured));
    errno = ENOENT;
    ronde__log(&log, RONDE__LOG_DEBUG, "dropped");
    ronde__log(&log, RONDE__LOG_WARN, "tensor %s of %d", "a", 7);
    ronde__log(&log, RONDE__LOG_ERROR, "%s", longer);
    int errno_after = errno;
    ssize_t first = read(captured.from, line, sizeof(line) - 1);
    line[first > 0 ? first : 0] = '\0';
    int as_wanted = !strcmp(line, "ronde[12] warn: tensor a of 7\n");
    ssize_t second = read(captured.from, line, sizeof(line) - 1);
    ssize_t third = read(captured.from, longer, 1);
    release(&captured);
    CHECK_SAYING(as_wanted, "%zd bytes: %s", first, line);
    CHECK_SAYING(second == 4096 && line[4095] == '\n' && line[4094] == 'x', "%zd bytes", second);
    CHECK(third == -1 && errno_after == ENOENT);
    CHECK(!strncmp(line, "ronde[12] error: xxx", 20));
}

static void clocks_go_forward(void)
{
    struct timespec nap = {0, 2000000};
    int64_t wall = ronde__now_ns(), cpu = ronde__thread_cpu_ns();
    nanosleep(&nap, NULL);
    CHECK(ronde__now_ns() - wall >= 2000000);
    CHECK(ronde__thread_cpu_ns() >= cpu);
}

int main(void)
{
    RUN(fail_records_the_text_and_returns_the_status);
    RUN(long_texts_are_cut_not_overrun);
    RUN(each_thread_has_its_own_last_error);
    RUN(every_status_has_a_name_of_its_own);
    RUN(texts_are_of_any_length);
    RUN(long_names_are_shown_by_their_ends_in_whole_characters);
    RUN(every_dtype_has_name_size_and_kind);
    RUN(every_op_has_a_name);
    RUN(sizes_past_the_address_space_are_overflow);
    RUN(seeking_finds_the_piece_of_every_offset);
    RUN(log_writes_one_line_in_one_write);
    RUN(clocks_go_forward);
    return check_result();
}
