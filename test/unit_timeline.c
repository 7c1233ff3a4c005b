/* ronde-test: timeout=60 */
/* The timeline's file is valid at all times, says what happened and when, and tells what it lacks.
 *
 * unit_timeline --demo FOLDER writes the traces of three ranks that sh_trace.sh reads;
 * --demo FOLDER reversed has messages that came in before they were sent. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/timeline.h"
#include "check.h"
#include "json.h"
#include "ronde.h"

static const int64_t millisecond = 1000000;
static char folder[] = "/tmp/unit_timeline.XXXXXX";

/* ---- reading --------------------------------------------------------------------------------- */

/* A path in our folder, in one of four static buffers. */
static const char *in_folder(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* The whole file, ended by a zero; to be freed. NULL where it cannot be read. */
static char *read_file(const char *path, size_t *length)
{
    size_t room = 1 << 16, used = 0;
    char *text = malloc(room + 1);
    int fd = open(path, O_RDONLY);
    ssize_t got;
    while (fd >= 0 && (got = read(fd, text + used, room - used)) > 0) {
        used += (size_t)got;
        if (used == room)
            text = realloc(text, (room *= 2) + 1);
    }
    if (fd < 0) {
        free(text);
        return NULL;
    }
    close(fd);
    text[used] = 0;
    *length = used;
    return text;
}

/* strstr, of which a sanitizer's reads the whole text at each call. */
static const char *find(const char *text, const char *what)
{
    size_t length = strlen(what);
    for (; *text; text++)
        if (*text == *what && strncmp(text, what, length) == 0)
            return text;
    return NULL;
}

static long count(const char *text, const char *what)
{
    long n = 0;
    for (const char *at = text; (at = find(at, what)); at += strlen(what))
        n++;
    return n;
}

/* The sum of the numbers that follow `key`. */
static long sum(const char *text, const char *key)
{
    long total = 0;
    for (const char *at = text; (at = find(at, key)); at += strlen(key)) {
        long number = 0;
        for (const char *digit = at + strlen(key); *digit >= '0' && *digit <= '9'; digit++)
            number = number * 10 + (*digit - '0');
        total += number;
    }
    return total;
}

/* The file's text if it is valid, else NULL; to be freed. */
static char *read_valid(const char *path)
{
    size_t length = 0;
    char *text = read_file(path, &length);
    if (text && json_is_valid(text, length) && text[0] == '[' && text[length - 2] == ']')
        return text;
    free(text);
    return NULL;
}

static long events_in(const char *path)
{
    char *text = read_valid(path);
    long events = text ? count(text, "\"ph\":\"X\"") : -1;
    free(text);
    return events;
}

static int has(const char *path, const char *what)
{
    char *text = read_valid(path);
    int found = text && find(text, what);
    if (!found)
        fprintf(stderr, "no %s in %s\n", what, text ? text : "a broken file");
    free(text);
    return found;
}

static int starts(struct timeline **timeline, const char *path)
{
    return ronde__timeline_start(timeline, path, 3, 0, 0, NULL) == RONDE_OK;
}

static struct timeline_event event_of(int32_t phase, const char *name)
{
    return (struct timeline_event){.phase = phase,
                                   .name = name,
                                   .kind = "allreduce",
                                   .begin_ns = ronde__now_ns(),
                                   .end_ns = ronde__now_ns() + 1,
                                   .peer = -1};
}

static void sleep_ms(int64_t ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * millisecond}, NULL);
}

/* ---- what is in the file --------------------------------------------------------------------- */

static void the_checker_knows_json_from_what_is_not(void)
{
    const char *good[] = {"[]", " [1, -0.5e+3, \"\\u00e9\\n\\\"\", null, {\"a\":{}}]\n",
                          "\"\xc3\xa9\"", "\"\xf0\x9f\x8e\xb5\""};
    const char *bad[] = {"",
                         "[",
                         "[1,]",
                         "[01]",
                         "{\"a\"}",
                         "[1]]",
                         "[\"\t\"]",
                         "\"\\x\"",
                         "\"\xff\"",
                         "[+1]",
                         "\"\xc0\xaf\"",
                         "[1 2]",
                         "\"\\u12\"",
                         "\"\xed\xa0\x80\"",
                         "nul",
                         "[1.]",
                         "\"\xe2\x82\""};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        CHECK_SAYING(json_is_valid(good[i], strlen(good[i])), "%s is valid", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_SAYING(!json_is_valid(bad[i], strlen(bad[i])), "%s is not valid", bad[i]);
}

static void a_new_file_is_valid_and_names_its_rank(void)
{
    struct timeline *timeline;
    const char *path = in_folder("new.json");
    CHECK(starts(&timeline, path));
    int named = has(path, "\"name\":\"rank 3\"") && has(path, "\"rank\":3,");
    int clock = has(path, "\"offset_ns\":0,\"error_ns\":0");
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    CHECK(named && clock && has(path, "\"process_name\""));
}

static void each_phase_has_its_form(void)
{
    static const char *expected[] = {
        "{\"name\":\"ALLREDUCE\",\"cat\":\"tensor\",\"ph\":\"b\",\"pid\":3,\"tid\":1,"
        "\"ts\":1001000.001,\"id2\":{\"local\":\"0x2a\"},\"args\":{\"tensor\":\"w\","
        "\"kind\":\"allreduce\",\"bytes\":4096,\"use\":42,\"process_set\":5,\"peer\":7,"
        "\"lamport\":9,\"status\":\"mismatch\"}}",
        "{\"name\":\"ALLREDUCE\",\"cat\":\"tensor\",\"ph\":\"e\",\"pid\":3,\"tid\":1,"
        "\"ts\":1001002.500,\"id2\":{\"local\":\"0x2a\"}}",
        "\"NEGOTIATE_ALLREDUCE\",\"cat\":\"tensor\",\"ph\":\"b\"",
        "\"NEGOTIATE_ALLREDUCE\",\"cat\":\"tensor\",\"ph\":\"e\"",
        "\"QUEUE\",\"cat\":\"tensor\",\"ph\":\"b\"",
        "{\"name\":\"PACK\",\"cat\":\"bin\",\"ph\":\"X\",\"pid\":3,\"tid\":2,\"ts\":1001000.001,"
        "\"dur\":2.499,\"args\":{",
        "\"REDUCE\",\"cat\":\"bin\",\"ph\":\"X\",\"pid\":3,\"tid\":3",
        "\"EXCHANGE\",\"cat\":\"bin\",\"ph\":\"X\",\"pid\":3,\"tid\":4",
        "\"UNPACK\",\"cat\":\"bin\",\"ph\":\"X\",\"pid\":3,\"tid\":5",
        "\"SEND\",\"cat\":\"wire\",\"ph\":\"X\",\"pid\":3,\"tid\":6",
        "\"RECV\",\"cat\":\"wire\",\"ph\":\"X\",\"pid\":3,\"tid\":7",
        "{\"name\":\"CYCLE_START\",\"cat\":\"cycle\",\"ph\":\"i\",\"pid\":3,\"tid\":1,"
        "\"ts\":1001000.001,\"s\":\"t\",",
        "\"thread_name\",\"ph\":\"M\",\"pid\":3,\"tid\":6,\"args\":{\"name\":\"send to rank 7\"}",
    };
    struct timeline *timeline;
    const char *path = in_folder("phases.json");
    struct timeline_event event = {0,  "w", "allreduce",        1, 2500, 4096, 9,
                                   42, 7,   RONDE_ERR_MISMATCH, 5};
    CHECK(ronde__timeline_start(&timeline, path, 3, 1001 * millisecond, 17, NULL) == RONDE_OK);
    for (event.phase = 0; event.phase < TIMELINE_PHASES; event.phase++)
        ronde__timeline_record(timeline, &event);
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
        CHECK_SAYING(has(path, expected[i]), "no %s", expected[i]);
}

static void overlapping_events_get_tracks_of_their_own(void)
{
    struct timeline *timeline;
    const char *path = in_folder("tracks.json");
    struct timeline_event event = event_of(TIMELINE_SEND, "w");
    const int64_t spans[][2] = {{0, 10}, {5, 20}, {10, 30}, {12, 15}};
    event.peer = 1;
    CHECK(starts(&timeline, path));
    for (int i = 0; i < 4; i++) {
        event.begin_ns = spans[i][0];
        event.end_ns = spans[i][1];
        ronde__timeline_record(timeline, &event);
    }
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    char *text = read_valid(path);
    CHECK(text);
    long first = count(text, "\"X\",\"pid\":3,\"tid\":2,"),
         second = count(text, "\"X\",\"pid\":3,\"tid\":3,");
    long third = count(text, "\"X\",\"pid\":3,\"tid\":4,"), names = count(text, "send to rank 1 (");
    free(text);
    CHECK(first == 2 && second == 1 && third == 1 && names == 2);
}

static void times_of_64_bits_and_before_zero_are_exact(void)
{
    struct timeline *timeline;
    const char *path = in_folder("times.json");
    struct timeline_event event = event_of(TIMELINE_PACK, "w");
    CHECK(ronde__timeline_start(&timeline, path, 0, -5000, 0, NULL) == RONDE_OK);
    event.begin_ns = 4001;
    event.end_ns = 4000; /* a clock that went back is no negative time */
    ronde__timeline_record(timeline, &event);
    event.begin_ns = event.end_ns = INT64_MAX;
    ronde__timeline_record(timeline, &event);
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    CHECK(has(path, "\"ts\":-0.999,\"dur\":0.000") && has(path, "\"ts\":9223372036854770.807,"));
}

static void names_are_escaped_and_long_ones_shortened(void)
{
    struct timeline *timeline;
    char longest[400], invalid[200];
    const char *path = in_folder("names.json");
    const char *names[] = {"a \"quote\" \\ / \n\t\x01\x7f",
                           "\xc3\xa9t\xc3\xa9 \xf0\x9f\x8e\xb5",
                           "\xff \xc0\xaf \xed\xa0\x80 \xe2\x82",
                           longest,
                           invalid,
                           "",
                           NULL};
    memset(longest, 'x', sizeof(longest) - 1);
    memcpy(longest, "front", 5);
    memcpy(longest + sizeof(longest) - 5, "back", 5);
    memset(invalid, 0x1f, sizeof(invalid) - 1);
    invalid[sizeof(invalid) - 1] = 0;
    CHECK(starts(&timeline, path));
    for (int i = 0; i < 7; i++) {
        struct timeline_event event = event_of(i % 2 ? TIMELINE_OPERATION : TIMELINE_PACK,
                                               names[i]);
        ronde__timeline_record(timeline, &event);
    }
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    CHECK(has(path, "\"a \\u0022quote\\u0022 \\u005c / \\u000a\\u0009\\u0001\\u007f\""));
    CHECK(has(path, "\"\xc3\xa9t\xc3\xa9 \xf0\x9f\x8e\xb5\""));
    CHECK(has(path, "\"\\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\""));
    CHECK(has(path, "\"frontxx") && has(path, "xxx...xxx") && has(path, "xxback\""));
    CHECK(has(path, "\\u001f\\u001f...\\u001f\\u001f") && has(path, "\"tensor\":\"\""));
}

static void a_new_clock_moves_what_comes_after(void)
{
    struct timeline *timeline;
    const char *path = in_folder("clock.json");
    struct timeline_event event = event_of(TIMELINE_PACK, "w");
    event.begin_ns = event.end_ns = 1000000;
    CHECK(ronde__timeline_start(&timeline, path, 0, 1000, 10, NULL) == RONDE_OK);
    ronde__timeline_record(timeline, &event);
    ronde__timeline_set_clock(timeline, -2000, 20);
    ronde__timeline_record(timeline, &event);
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    CHECK(has(path, "\"ts\":1001.000") && has(path, "\"ts\":998.000"));
    CHECK(has(path, "\"offset_ns\":1000,\"error_ns\":10}"));
    CHECK(has(path, "\"offset_ns\":-2000,\"error_ns\":20}"));
}

/* ---- when it is there ------------------------------------------------------------------------ */

static void events_are_in_the_file_within_a_tenth_of_a_second(void)
{
    struct timeline *timeline;
    const char *path = in_folder("soon.json");
    int64_t longest = 0;
    CHECK(starts(&timeline, path));
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof(name), "soon-%d", i);
        struct timeline_event event = event_of(TIMELINE_PACK, name);
        int64_t begin = ronde__now_ns(), took = 0;
        ronde__timeline_record(timeline, &event);
        for (int found = 0; !found && took < 10000 * millisecond;) {
            sleep_ms(2);
            char *text = read_valid(path);
            found = text && strstr(text, name);
            free(text);
            took = ronde__now_ns() - begin;
        }
        longest = took > longest ? took : longest;
    }
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    printf("an event was in the file after %.1f ms at most\n", (double)longest / 1e6);
    /* The machine may be busy: what is caught here is a writer that waits for more than a pause. */
    CHECK(longest < 1000 * millisecond);
}

static void with_nothing_to_write_the_writer_sleeps(void)
{
    struct timeline *timeline;
    struct rusage before, after;
    struct timeline_event event = event_of(TIMELINE_PACK, "w");
    CHECK(starts(&timeline, in_folder("idle.json")));
    ronde__timeline_record(timeline, &event);
    sleep_ms(200);
    getrusage(RUSAGE_SELF, &before);
    sleep_ms(1000);
    getrusage(RUSAGE_SELF, &after);
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    long switches = after.ru_nvcsw - before.ru_nvcsw;
    /* One that ticks would be woken 20 times; the thread sanitizer's own thread is 10 times. */
    CHECK_SAYING(switches <= 14, "woken %ld times in 1 s without an event", switches);
}

struct recorder {
    struct timeline *timeline;
    long events;
    int32_t peer;
    int64_t pause_ns;
    _Atomic int *stop; /* NULL: after `events` */
};

static void *record_many(void *state)
{
    struct recorder *recorder = state;
    struct timeline_event event = event_of(TIMELINE_SEND, "layer4.2.conv3.weight/\xc3\xa9\"");
    event.peer = recorder->peer;
    for (long i = 0; recorder->stop ? !atomic_load(recorder->stop) : i < recorder->events; i++) {
        event.begin_ns = event.end_ns = ronde__now_ns();
        event.id = (uint64_t)i;
        ronde__timeline_record(recorder->timeline, &event);
        recorder->events = recorder->stop ? i + 1 : recorder->events;
        if (recorder->pause_ns && i % 64 == 0)
            nanosleep(&(struct timespec){0, recorder->pause_ns}, NULL);
    }
    return NULL;
}

/* Three threads record for a second while we read; the number of reads that saw a valid file, or
 * -1 where one did not. Reads that were slower than a reader may be do not count. */
static long read_while_recording(struct timeline *timeline, const char *path, long *recorded)
{
    _Atomic int stop = 0;
    long reads = 0, broken = 0;
    struct recorder recorders[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        recorders[i] = (struct recorder){timeline, 0, i, 1500000, &stop};
        pthread_create(&threads[i], NULL, record_many, &recorders[i]);
    }
    for (int64_t end = ronde__now_ns() + 1000 * millisecond, begin;
         (begin = ronde__now_ns()) < end;) {
        size_t length = 0;
        char *text = read_file(path, &length);
        if (ronde__now_ns() - begin < 20 * millisecond) {
            reads++;
            broken += !text || !json_is_valid(text, length);
        }
        free(text);
    }
    atomic_store(&stop, 1);
    *recorded = 0;
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        *recorded += recorders[i].events;
    }
    return broken ? -1 : reads;
}

static void the_file_is_valid_whenever_it_is_read(void)
{
    struct timeline *timeline;
    const char *path = in_folder("always.json");
    long recorded;
    CHECK(starts(&timeline, path));
    long reads = read_while_recording(timeline, path, &recorded);
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    char *text = read_valid(path);
    CHECK(text);
    long written = count(text, "\"ph\":\"X\""), dropped = sum(text, "\"args\":{\"count\":");
    free(text);
    printf("%ld reads beside %ld events, %ld dropped\n", reads, recorded, dropped);
    CHECK(reads > 20);
    CHECK_SAYING(written + dropped == recorded, "%ld + %ld of %ld", written, dropped, recorded);
    CHECK(access(in_folder(".always.json.next"), F_OK) != 0);
}

/* A process that records is killed after so many ms. The events in its file, -1: broken. */
static long events_of_the_killed(const char *path, int64_t ms)
{
    int ready[2];
    char byte;
    if (pipe(ready))
        return -1;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        struct recorder recorder = {NULL, 100000000, 1, 1000000, NULL};
        if (!starts(&recorder.timeline, path) || write(ready[1], "", 1) != 1)
            _exit(1);
        record_many(&recorder);
        _exit(0);
    }
    close(ready[1]);
    int started = child > 0 && read(ready[0], &byte, 1) == 1;
    sleep_ms(ms);
    if (child > 0 && (kill(child, SIGKILL) || waitpid(child, NULL, 0) != child))
        started = 0;
    close(ready[0]);
    return started ? events_in(path) : -1;
}

static void whoever_is_killed_leaves_a_valid_file(void)
{
    long all = 0;
    for (int64_t ms = 37; ms < 170 || (all == 0 && ms < 3000); ms += ms < 170 ? 11 : 300) {
        long events = events_of_the_killed(in_folder("killed.json"), ms);
        CHECK_SAYING(events >= 0, "broken after %d ms", (int)ms);
        all += events;
    }
    CHECK(all > 0);
}

/* ---- what it lacks --------------------------------------------------------------------------- */

static void events_without_room_are_dropped_and_counted(void)
{
    struct timeline *timeline;
    struct recorder recorder = {NULL, 200000, 1, 0, NULL};
    const char *path = in_folder("dropped.json");
    CHECK(starts(&timeline, path));
    recorder.timeline = timeline;
    int64_t begin = ronde__now_ns();
    record_many(&recorder);
    double ns = (double)(ronde__now_ns() - begin) / (double)recorder.events;
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    char *text = read_valid(path);
    CHECK(text);
    long written = count(text, "\"ph\":\"X\""), dropped = sum(text, "\"args\":{\"count\":");
    long said = sum(text, "\"name\":\"dropped ");
    free(text);
    printf("recording took %.0f ns an event; %ld of %ld dropped\n", ns, dropped, recorder.events);
    CHECK(written + dropped == recorder.events && said == dropped);
    CHECK_SAYING(dropped > 0 || ns > 400, "nothing dropped at %.0f ns an event", ns);
}

/* Records until the recording has ended, for at most some seconds. */
static void record_until_it_ends(struct timeline *timeline)
{
    struct timeline_event event = event_of(TIMELINE_PACK, "w");
    for (int i = 0; i < 5000 && ronde__timeline_status(timeline) == RONDE_OK; i++) {
        ronde__timeline_record(timeline, &event);
        sleep_ms(2);
    }
    ronde__timeline_record(timeline, &event);
}

/* A limit on the size of files stands for a disk that is full in the middle of a write. What the
 * log said is in *said, to be freed. */
static int ends_early_but_valid(const char *path, char **said)
{
    struct timeline *timeline;
    struct rlimit before, low;
    struct log log = {RONDE__LOG_WARN, 3};
    const char *logged = in_folder("log.txt");
    size_t length;
    fflush(stderr);
    int err = dup(2), to = open(logged, O_RDWR | O_CREAT | O_TRUNC, 0600);
    getrlimit(RLIMIT_FSIZE, &before);
    low = before;
    low.rlim_cur = 20000;
    int ok = ronde__timeline_start(&timeline, path, 3, 0, 0, &log) == RONDE_OK;
    dup2(to, 2);
    setrlimit(RLIMIT_FSIZE, &low);
    if (ok)
        record_until_it_ends(timeline);
    setrlimit(RLIMIT_FSIZE, &before);
    dup2(err, 2);
    close(err);
    close(to);
    ok = ok && ronde__timeline_status(timeline) == RONDE_ERR_SYSTEM;
    ok = ok && ronde__timeline_stop(timeline) == RONDE_ERR_SYSTEM;
    ok = ok && strstr(ronde_last_error(), path) && strstr(ronde_last_error(), "File too large");
    *said = read_file(logged, &length);
    return ok && has(path, "\"PACK\"");
}

static void a_full_disk_ends_the_recording_but_leaves_a_valid_file(void)
{
    char *said;
    int ok = ends_early_but_valid(in_folder("full.json"), &said);
    long times = said ? count(said, "ended early") : 0;
    free(said);
    CHECK(ok);
    CHECK_SAYING(times == 1, "told %ld times on the log", times);
}

/* A name with which ".NAME.next" is too long: no hidden copy. */
static const char *long_path(void)
{
    char name[252] = "";
    memset(name, 'l', sizeof(name) - 1);
    return in_folder(name);
}

static void the_same_without_a_hidden_copy(void)
{
    char *said;
    int ok = ends_early_but_valid(long_path(), &said);
    free(said);
    CHECK(ok);
}

static void without_a_hidden_copy_the_file_grows_in_place(void)
{
    struct timeline *timeline;
    struct recorder recorder = {NULL, 3000, 1, 1000000, NULL};
    const char *path = long_path();
    CHECK(starts(&timeline, path));
    recorder.timeline = timeline;
    record_many(&recorder);
    int64_t end = ronde__now_ns() + 5000 * millisecond;
    while (events_in(path) != 3000 && ronde__now_ns() < end)
        sleep_ms(20);
    long before_end = events_in(path);
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    CHECK(before_end == 3000 && events_in(path) == 3000);
}

/* ---- starting and stopping ------------------------------------------------------------------- */

static void a_timeline_can_be_started_again(void)
{
    struct timeline *timeline;
    const char *path = in_folder("again.json");
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof(name), "run-%d", i);
        CHECK(starts(&timeline, path));
        struct timeline_event event = event_of(TIMELINE_PACK, name);
        ronde__timeline_record(timeline, &event);
        CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
        char *text = read_valid(path);
        int only_ours = text && strstr(text, name) && count(text, "run-") == 1;
        free(text);
        CHECK(only_ours);
    }
    struct timeline_event event = event_of(TIMELINE_PACK, "nobody");
    ronde__timeline_record(NULL, &event);
    CHECK(ronde__timeline_stop(NULL) == RONDE_OK);
}

static void a_forked_child_does_not_keep_the_file(void)
{
    struct timeline *timeline;
    const char *path = in_folder("forked.json");
    CHECK(starts(&timeline, path));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    CHECK(child > 0);
    int stopped = ronde__timeline_stop(timeline) == RONDE_OK, again = starts(&timeline, path);
    if (again)
        ronde__timeline_stop(timeline);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK_SAYING(stopped && again, "%s", ronde_last_error());
}

static void refused(const char *path, const char *why)
{
    struct timeline *timeline = NULL;
    int32_t status = ronde__timeline_start(&timeline, path, 0, 0, 0, NULL);
    const char *said = ronde_last_error();
    CHECK_SAYING(status == RONDE_ERR_SYSTEM && !timeline, "%s: status %d", path, status);
    CHECK_SAYING(strstr(said, path) && strstr(said, why), "%s for %s", said, path);
}

static void paths_that_cannot_be_written_are_named(void)
{
    struct rlimit before, low;
    refused("/dev/full", "not a regular file");
    refused("/no-such-folder/t.json", "No such file or directory");
    refused(folder, "Is a directory");
    refused("", "No such file or directory");
    getrlimit(RLIMIT_FSIZE, &before);
    low = before;
    low.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &low);
    refused(in_folder("none.json"), "File too large");
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(access(in_folder("none.json"), F_OK) && access(in_folder(".none.json.next"), F_OK));
}

static void two_timelines_do_not_share_a_file(void)
{
    struct timeline *timeline;
    const char *path = in_folder("shared.json");
    CHECK(starts(&timeline, path));
    struct timeline_event event = event_of(TIMELINE_PACK, "first's");
    refused(path, "another timeline");
    ronde__timeline_record(timeline, &event);
    sleep_ms(100);
    refused(path, "another timeline");
    CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
    CHECK(has(path, "first's"));
}

static void a_link_stays_a_link(void)
{
    struct timeline *timeline;
    struct stat about;
    CHECK(symlink("target.json", in_folder("link.json")) == 0);
    for (int i = 0; i < 2; i++) { /* what it leads to exists the second time only */
        CHECK(i == 1 ? 1 : close(open(in_folder("target.json"), O_CREAT | O_WRONLY, 0640)) == 0);
        CHECK(starts(&timeline, in_folder("link.json")));
        struct timeline_event event = event_of(TIMELINE_PACK, "linked");
        ronde__timeline_record(timeline, &event);
        CHECK(ronde__timeline_stop(timeline) == RONDE_OK);
        CHECK(lstat(in_folder("link.json"), &about) == 0 && S_ISLNK(about.st_mode));
        CHECK(has(in_folder("target.json"), "linked"));
        CHECK(stat(in_folder("target.json"), &about) == 0 && (about.st_mode & 0777) == 0640);
    }
}

static void a_file_put_in_our_place_is_left_alone(void)
{
    struct timeline *timeline;
    const char *path = in_folder("moved.json"), *other = in_folder("other");
    size_t length = 0;
    CHECK(starts(&timeline, path));
    int fd = open(other, O_CREAT | O_WRONLY, 0600);
    CHECK(write(fd, "mine", 4) == 4 && close(fd) == 0 && rename(other, path) == 0);
    record_until_it_ends(timeline);
    CHECK(ronde__timeline_stop(timeline) == RONDE_ERR_SYSTEM);
    char *text = read_file(path, &length);
    int untouched = text && strcmp(text, "mine") == 0;
    free(text);
    CHECK(untouched);
}

/* ---- the demonstration ----------------------------------------------------------------------- */

/* Rank r's clock is 7 s x r behind. A step begins every 10 ms with two tensors: "head" and a name
 * with every character that could hurt. All ranks submit in the first ms, save for the last: in
 * step s, rank s % 3 is 2 ms late. Then 1 ms negotiating, queueing, packing, sending to the right,
 * receiving from the left, reducing, unpacking, 0.1 ms each; done 0.1 ms later. */
enum { DEMO_RANKS = 3, DEMO_STEPS = 5 };
static const int64_t demo_offset = 7000000000, demo_step = 10000000, tenth = 100000;

static void demo_use(struct timeline *timeline, int rank, int step, int tensor, int reversed)
{
    static const char *const names[] = {"head", "</script>]]> \"q\" & 'a' <b> \xc3\xa9 \\"};
    const int64_t now = (step + 1) * demo_step, late = step % DEMO_RANKS == rank ? 20 * tenth : 0;
    const int64_t submit = now + rank * tenth + late, ready = now + 32 * tenth;
    struct timeline_event event = {.name = names[tensor],
                                   .kind = tensor ? "broadcast" : "allreduce",
                                   .bytes = tensor ? 1000 : 4096,
                                   .id = (uint64_t)(step * 2 + tensor),
                                   .peer = -1};
    struct {
        int32_t phase;
        int64_t begin, end;
        int32_t peer;
        uint64_t lamport;
    } spans[] = {
        {TIMELINE_NEGOTIATE, submit + tenth / 100, ready, -1, 0},
        {TIMELINE_QUEUE, ready, ready + tenth, -1, 0},
        {TIMELINE_CYCLE, ready + tenth, ready + tenth, -1, 0},
        {TIMELINE_PACK, ready + tenth, ready + 2 * tenth, -1, 0},
        {TIMELINE_SEND, ready + 2 * tenth, ready + 3 * tenth, (rank + 1) % DEMO_RANKS,
         (uint64_t)step * 10 + 1},
        {TIMELINE_RECV, ready + 2 * tenth, ready + (reversed ? -9 : 4) * tenth,
         (rank + DEMO_RANKS - 1) % DEMO_RANKS, (uint64_t)step * 10 + (reversed ? 1 : 2)},
        {TIMELINE_REDUCE, ready + 4 * tenth, ready + 5 * tenth, -1, 0},
        {TIMELINE_UNPACK, ready + 5 * tenth, ready + 6 * tenth, -1, 0},
        {TIMELINE_OPERATION, submit, ready + 7 * tenth, -1, 0},
    };
    for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++) {
        int64_t back = spans[i].phase == TIMELINE_RECV && reversed ? 20 * tenth : 0;
        event.phase = spans[i].phase;
        event.begin_ns = spans[i].begin - back - rank * demo_offset;
        event.end_ns = spans[i].end - rank * demo_offset;
        event.peer = spans[i].peer;
        event.lamport = spans[i].lamport;
        ronde__timeline_record(timeline, &event);
    }
}

static int demo(const char *where, int reversed)
{
    for (int rank = 0; rank < DEMO_RANKS; rank++) {
        struct timeline *timeline;
        char path[512];
        snprintf(path, sizeof(path), "%s/rank.%d.json", where, rank);
        if (ronde__timeline_start(&timeline, path, rank, rank * demo_offset, 2000 + rank * 1000,
                                  NULL))
            return fprintf(stderr, "%s\n", ronde_last_error()), 1;
        for (int use = 0; use < 2 * DEMO_STEPS; use++)
            demo_use(timeline, rank, use / 2, use % 2, reversed);
        if (ronde__timeline_stop(timeline) != RONDE_OK)
            return fprintf(stderr, "%s\n", ronde_last_error()), 1;
    }
    return 0;
}

static void remove_folder(void)
{
    char command[600];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command))
        perror(command);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--demo") == 0)
        return demo(argv[2], argc > 3 && strcmp(argv[3], "reversed") == 0);
    if (!mkdtemp(folder))
        return perror(folder), 1;
    RUN(the_checker_knows_json_from_what_is_not);
    RUN(a_new_file_is_valid_and_names_its_rank);
    RUN(each_phase_has_its_form);
    RUN(overlapping_events_get_tracks_of_their_own);
    RUN(times_of_64_bits_and_before_zero_are_exact);
    RUN(names_are_escaped_and_long_ones_shortened);
    RUN(a_new_clock_moves_what_comes_after);
    RUN(events_are_in_the_file_within_a_tenth_of_a_second);
    RUN(with_nothing_to_write_the_writer_sleeps);
    RUN(the_file_is_valid_whenever_it_is_read);
    RUN(whoever_is_killed_leaves_a_valid_file);
    RUN(events_without_room_are_dropped_and_counted);
    RUN(a_full_disk_ends_the_recording_but_leaves_a_valid_file);
    RUN(the_same_without_a_hidden_copy);
    RUN(without_a_hidden_copy_the_file_grows_in_place);
    RUN(a_timeline_can_be_started_again);
    RUN(a_forked_child_does_not_keep_the_file);
    RUN(paths_that_cannot_be_written_are_named);
    RUN(two_timelines_do_not_share_a_file);
    RUN(a_link_stays_a_link);
    RUN(a_file_put_in_our_place_is_left_alone);
    remove_folder();
    return check_result();
}
