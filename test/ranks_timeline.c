/* ronde-test: np=1,2,4 np=4/2,3/1 threads=1,2,2/1,4/2 mpich=2 timeout=60 */
/* Timelines that are started and stopped while the program runs: every rank's file is JSON and has
 * each tensor's phases, with what is known of it; what was submitted before the start is left out;
 * a second start, a stop too many and a bad path are errors; and starting and stopping races with
 * nothing. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "json.h"
#include "trial.h"

struct recording {
    struct trial *trial;
    char prefix[128], path[160];
    char *text;
};

static struct recording recording_of(struct trial *trial, const char *folder, const char *name)
{
    struct recording r = {.trial = trial};
    snprintf(r.prefix, sizeof r.prefix, "%s/%s", folder, name);
    snprintf(r.path, sizeof r.path, "%s.%d.json", r.prefix, trial->rank);
    return r;
}

static void recording_start(struct recording *r)
{
    EXPECT_STATUS(r->trial, RONDE_OK, ronde_timeline_start(r->trial->context, r->prefix));
}

/* Stops it and reads what it wrote. */
static void recording_stop(struct recording *r)
{
    long bytes;
    EXPECT_STATUS(r->trial, RONDE_OK, ronde_timeline_stop(r->trial->context));
    FILE *file = fopen(r->path, "rb");
    if (!file || fseek(file, 0, SEEK_END) || (bytes = ftell(file)) < 0 ||
        !(r->text = calloc(1, (size_t)bytes + 1))) {
        perror(r->path);
        abort();
    }
    rewind(file);
    EXPECT(r->trial, fread(r->text, 1, (size_t)bytes, file) == (size_t)bytes, "%s is short",
           r->path);
    fclose(file);
    EXPECT(r->trial, json_is_valid(r->text, (size_t)bytes), "%s is not JSON", r->path);
}

static void recording_close(struct recording *r)
{
    free(r->text);
    r->text = NULL;
    unlink(r->path);
}

/* The next event (one a line) that holds all these texts (NULL: any), from *at, which moves on. */
static int next_event(const char **at, const char *const wanted[4], char line[1024])
{
    while (**at) {
        size_t length = strcspn(*at, "\n");
        snprintf(line, 1024, "%.*s", (int)length, *at);
        *at += length + ((*at)[length] == '\n');
        int has = 1;
        for (int i = 0; i < 4; i++)
            has = has && (!wanted[i] || strstr(line, wanted[i]));
        if (has)
            return 1;
    }
    return 0;
}

static int count(const struct recording *r, const char *a, const char *b, const char *c,
                 const char *d)
{
    const char *const wanted[4] = {a, b, c, d}, *at = r->text;
    char line[1024];
    int n = 0;
    while (next_event(&at, wanted, line))
        n++;
    return n;
}

/* The tensor's own phase is there `times` times; more: what else it says (NULL: anything). */
static void has(const struct recording *r, const char *phase, const char *tensor, const char *more,
                int times)
{
    char name[64], argument[96];
    snprintf(name, sizeof name, "{\"name\":\"%s\"", phase);
    snprintf(argument, sizeof argument, "\"tensor\":\"%s\"", tensor);
    int n = count(r, name, argument, "\"cat\":\"tensor\",\"ph\":\"b\"", more);
    EXPECT(r->trial, n == times, "%s: %s of '%s' (%s) %d times, not %d", r->path, phase, tensor,
           more ? more : "", n, times);
}

/* Operation, negotiation, and, of what waits for its bin, the queue. */
static void has_all(const struct recording *r, const char *kind, const char *tensor, int is_in_bin,
                    int times)
{
    char negotiate[64];
    snprintf(negotiate, sizeof negotiate, "NEGOTIATE_%s", kind);
    has(r, kind, tensor, "\"status\":\"ok\"", times);
    has(r, negotiate, tensor, "\"status\":\"ok\"", times);
    has(r, "QUEUE", tensor, NULL, is_in_bin ? times : 0);
}

/* ---- what is recorded ------------------------------------------------------------------------ */

enum { TENSORS = 5, WIDE = 3000 };

static void reduce_some(struct trial *trial)
{
    static const float ones[WIDE] = {1};
    static _Thread_local float out[TENSORS][WIDE];
    uint64_t handle[TENSORS];
    for (int i = 0; i < TENSORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "fused %d", i);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, ones, out[i], WIDE, RONDE_FLOAT32,
                                            RONDE_SUM, NULL, &handle[i]));
    }
    for (int i = 0; i < TENSORS; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle[i]));
}

static void do_one_of_each(struct trial *trial, int32_t set)
{
    ronde_context *c = trial->context;
    int32_t in[64] = {1}, out[64], last;
    size_t splits[8], rows[8];
    int size = trial->size, to = (trial->rank + 1) % size, from = (trial->rank + size - 1) % size;
    uint64_t sent;
    ronde_call call = call_in(set);
    for (int i = 0; i < size; i++)
        splits[i] = rows[i] = 1;
    EXPECT_STATUS(trial, RONDE_OK, ronde_broadcast(c, "b", in, out, 7, RONDE_INT32, 0, NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather(c, "g", in, 2, 1, RONDE_INT32, out, 64, NULL, NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reduce(c, "r", in, out, 7, RONDE_INT32, RONDE_SUM, 0, NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_reducescatter(c, "s", in, 16, 1, RONDE_INT32, RONDE_SUM, out, 16, NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_alltoall(c, "a", in, splits, (size_t)size, 1, RONDE_INT32, out, 8, rows,
                                 NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(c, "w", NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_send_async(c, "p", in, 3, RONDE_INT32, to, NULL, &sent));
    EXPECT_STATUS(trial, RONDE_OK, ronde_recv(c, "p", out, 3, RONDE_INT32, from, NULL));
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(c, sent));
    EXPECT_STATUS(trial, RONDE_OK, ronde_join(c, &last, NULL));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(c, "in set", in, out, 1, RONDE_INT32, RONDE_SUM, &call));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allreduce(c, in, out, 5, RONDE_INT32, RONDE_SUM, NULL));
    EXPECT_STATUS(trial, size > 1 ? RONDE_ERR_MISMATCH : RONDE_OK,
                  ronde_allreduce(c, "odd", in, out, 1 + (size_t)(trial->rank == 0), RONDE_INT32,
                                  RONDE_SUM, NULL));
    reduce_some(trial);
}

/* Every use has an id of its own: of the spans that begin, no two have the same. */
static void ids_are_unique(const struct recording *r)
{
    static const char *const wanted[4] = {"\"ph\":\"b\"", NULL};
    const char *at = r->text;
    char line[1024], key[4096][64];
    int n = 0;
    while (n < 4096 && next_event(&at, wanted, line)) {
        const char *id = strstr(line, "\"local\":\""), *name = line;
        int id_bytes = id ? (int)strcspn(id + 9, "\"") : 0;
        snprintf(key[n], sizeof key[n], "%.*s %.30s", id_bytes, id ? id + 9 : "",
                 strstr(name, "\"name\""));
        for (int i = 0; i < n; i++)
            EXPECT(r->trial, strcmp(key[i], key[n]) != 0, "%s: %s twice", r->path, key[n]);
        n++;
    }
    EXPECT(r->trial, n > 0, "%s: no spans", r->path);
}

/* On this one machine there is one clock: the true offset is 0, and the file must know it. */
static void clock_is_right(const struct recording *r)
{
    static const char *const wanted[4] = {"\"name\":\"ronde_clock\"", NULL};
    const char *at = r->text;
    char line[1024];
    int n = 0;
    while (next_event(&at, wanted, line)) {
        const char *offset = strstr(line, "\"offset_ns\":"), *error = strstr(line, "\"error_ns\":");
        long long by = offset ? atoll(offset + 12) : -1, within = error ? atoll(error + 11) : -1;
        EXPECT(r->trial, within >= 0 && within < 1000000000 && llabs(by) <= within,
               "%s: a clock that is %lld ns off within %lld", r->path, by, within);
        EXPECT(r->trial, within > 0 || ronde_cross_rank(r->trial->context) == 0,
               "%s: a clock of another node without error", r->path);
        n++;
    }
    EXPECT(r->trial, n > 0, "%s: says nothing of its clock", r->path);
}

/* Between nodes: what leaves for a node, and comes from one, names a rank there. */
static void messages_are_told(const struct recording *r)
{
    ronde_context *c = r->trial->context;
    int nodes = ronde_cross_size(c), carries = nodes > 1 && ronde_local_rank(c) == 0;
    int sends = count(r, "{\"name\":\"SEND\"", "\"kind\":\"allreduce\"", "\"peer\":", NULL);
    int receives = count(r, "{\"name\":\"RECV\"", "\"kind\":\"allreduce\"", "\"peer\":", NULL);
    EXPECT(r->trial, nodes > 1 || !(sends + receives), "%s: messages on one node", r->path);
    EXPECT(r->trial, !carries || (sends > 0 && receives > 0), "%s: %d sends and %d receives",
           r->path, sends, receives);
    EXPECT(r->trial, count(r, "{\"name\":\"UNPACK\"", NULL, NULL, NULL) > 0 || nodes == 1,
           "%s: nothing is unpacked", r->path);
    int pair = count(r, "\"cat\":\"wire\"", "\"tensor\":\"p\"", "\"bytes\":12", "\"peer\":");
    EXPECT(r->trial, pair == 2, "%s: %d messages of a pair, not 2", r->path, pair);
}

static void check_one_of_each(const struct recording *r, int32_t set)
{
    char number[32], name[16];
    has_all(r, "BROADCAST", "b", 1, 1);
    has_all(r, "ALLGATHER", "g", 1, 1);
    has_all(r, "REDUCE", "r", 1, 1);
    has_all(r, "REDUCESCATTER", "s", 1, 1);
    has_all(r, "ALLTOALL", "a", 1, 1);
    has_all(r, "BARRIER", "w", 0, 1);
    has_all(r, "SEND", "p", 0, 1);
    has_all(r, "RECV", "p", 0, 1);
    has_all(r, "JOIN", "join#", 0, 1);
    has_all(r, "ALLREDUCE", "in set", 1, 1);
    snprintf(number, sizeof number, "\"process_set\":%d", (int)set);
    has(r, "ALLREDUCE", "in set", number, 1);
    has(r, "ALLREDUCE", "ronde_direct_allreduce", "\"bytes\":20", 1);
    has(r, "ALLREDUCE", "odd", r->trial->size > 1 ? "\"status\":\"mismatch\"" : "\"status\":\"ok\"",
        1);
    for (int i = 0; i < TENSORS; i++) {
        snprintf(name, sizeof name, "fused %d", i);
        has_all(r, "ALLREDUCE", name, 1, 1);
        has(r, "ALLREDUCE", name, "\"bytes\":12000", 1);
    }
    EXPECT(r->trial, count(r, "{\"name\":\"CYCLE_START\"", NULL, NULL, NULL) >= 7, "%s: cycles",
           r->path);
    ids_are_unique(r);
    clock_is_right(r);
    messages_are_told(r);
}

static void all_phases_are_recorded(struct trial *trial, const char *folder, int32_t set)
{
    static const char *const names[] = {"first", "second"};
    for (int i = 0; i < 2; i++) {
        struct recording r = recording_of(trial, folder, names[i]);
        recording_start(&r);
        do_one_of_each(trial, set);
        recording_stop(&r);
        check_one_of_each(&r, set);
        recording_close(&r);
    }
}

/* Submitted before the start, done after it: there is no beginning to tell of. */
static void what_began_before_is_left_out(struct trial *trial, const char *folder)
{
    struct recording r = recording_of(trial, folder, "late");
    int32_t in = 1, out = 0;
    uint64_t handle;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, "early", &in, &out, 1, RONDE_INT32,
                                        RONDE_SUM, NULL, &handle));
    if (trial->rank > 0) /* all of one rank may have run by now */
        meet_directly(trial);
    recording_start(&r);
    if (trial->rank == 0)
        meet_directly(trial);
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    meet(trial, "later");
    recording_stop(&r);
    has(&r, "ALLREDUCE", "early", NULL, 0);
    has(&r, "NEGOTIATE_ALLREDUCE", "early", NULL, 0);
    has_all(&r, "ALLREDUCE", "later", 1, 1);
    EXPECT(trial, !strstr(r.text, "\"ts\":0.000"), "%s: an event at 0", r.path);
    recording_close(&r);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void errors_are_told(struct trial *trial, const char *folder)
{
    ronde_context *c = trial->context;
    struct recording r = recording_of(trial, folder, "errors");
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_timeline_stop(c));
    EXPECT_ERROR(trial, "no timeline");
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_timeline_start(c, NULL));
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_timeline_start(c, ""));
    EXPECT_ERROR(trial, "path");
    EXPECT_STATUS(trial, RONDE_ERR_SYSTEM, ronde_timeline_start(c, "/no/such/folder/t"));
    EXPECT_ERROR(trial, "/no/such/folder/t");
    recording_start(&r);
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_timeline_start(c, r.prefix));
    EXPECT_ERROR(trial, "stop it first");
    recording_stop(&r);
    EXPECT_STATUS(trial, RONDE_ERR_ARGUMENT, ronde_timeline_stop(c));
    recording_close(&r);
    EXPECT_STATUS(trial, RONDE_ERR_CLOSED, ronde_timeline_start(NULL, "t"));
    EXPECT_STATUS(trial, RONDE_ERR_CLOSED, ronde_timeline_stop(NULL));
}

/* ---- races ----------------------------------------------------------------------------------- */

struct racer {
    struct recording recording;
    _Atomic int ended;
    int recordings;
};

static void *start_and_stop(void *state)
{
    struct racer *racer = state;
    do {
        recording_start(&racer->recording);
        nap(2e-4);
        recording_stop(&racer->recording);
        recording_close(&racer->recording);
        racer->recordings++;
    } while (!atomic_load(&racer->ended));
    return NULL;
}

/* Another thread starts and stops while operations of both kinds run. */
static void starting_races_with_nothing(struct trial *trial, const char *folder)
{
    enum { STEPS = TRIAL_IS_SLOW ? 60 : 150 };
    struct trial others = *trial;
    struct racer racer = {recording_of(&others, folder, "race"), 0, 0};
    pthread_t thread;
    int32_t one = 1, sum;
    others.failures = 0;
    if (pthread_create(&thread, NULL, start_and_stop, &racer))
        abort();
    for (int step = 0; step < STEPS; step++) {
        sum = 0;
        reduce_some(trial);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_direct_allreduce(trial->context, &one, &sum, 1, RONDE_INT32, RONDE_SUM,
                                             NULL));
        EXPECT(trial, sum == trial->size, "a sum of %d", (int)sum);
        if (step % 4 == 0)
            nap(1e-3);
    }
    atomic_store(&racer.ended, 1);
    pthread_join(thread, NULL);
    trial->failures += others.failures;
    EXPECT(trial, racer.recordings > 0, "nothing was recorded");
    meet(trial, "after the race");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    char folder[] = "/tmp/ranks_timeline.XXXXXX";
    int32_t set = -1, last = trial.size - 1;
    (void)argc;
    (void)argv;
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    int32_t ranks[8];
    for (int32_t i = 0; i <= last; i++)
        ranks[i] = i;
    EXPECT_STATUS(&trial, RONDE_OK, ronde_process_set_add(context, ranks, trial.size, &set));
    errors_are_told(&trial, folder);
    all_phases_are_recorded(&trial, folder, set);
    what_began_before_is_left_out(&trial, folder);
    starting_races_with_nothing(&trial, folder);
    EXPECT(&trial, rmdir(folder) == 0, "%s is not empty", folder);
    return trial_end(&trial);
}
