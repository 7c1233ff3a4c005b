/* ronde-test: timeout=60 */
/* What the survivors of a rank get that is killed or stopped at any moment: one round of
 * survivors.sh, which starts four ranks so that mpirun lets the others live.
 *     mpi_survivor kill|stop named|direct|mixed SEED
 * All ranks draw the same operations from the seed; one of them, drawn too, sends itself the signal
 * from a thread of its own. Each survivor prints one line "survivor R: right ..." or "survivor R:
 * what was wrong ..."; a stopped rank is left to survivors.sh, whom every rank tells its process.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ronde.h"

enum { RANKS = 4, SMALL = 100, LARGE = 300000, PENDING = 6, SETS = 3 };

/* The sets of the setting process_sets, by number. */
static const char *const set_list = "0-1/1,3/0,2-3";
static const int members[SETS + 1][RANKS] = {{1, 1, 1, 1}, {1, 1}, {0, 1, 0, 1}, {1, 0, 1, 1}};

struct round {
    ronde_context *context;
    int rank, victim, signal;
    int direct, named; /* which operations are drawn */
    double moment;     /* seconds after the start at which the victim goes */
    uint64_t state;    /* of the draws, the same on all ranks */
    double began;      /* when the last call began */
    float *in, *out;
    char wrong[400]; /* the first thing that was */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void rest(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint32_t draw(struct round *r, uint32_t below)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

/* ---- the operations -------------------------------------------------------------------------- */

static int32_t send_or_receive(struct round *r)
{
    int from = (int)draw(r, RANKS), to = (int)draw(r, RANKS);
    if (from != to && r->rank == from)
        return ronde_send(r->context, "pair", r->in, SMALL, RONDE_FLOAT32, to, NULL);
    if (from != to && r->rank == to)
        return ronde_recv(r->context, "pair", r->out, SMALL, RONDE_FLOAT32, from, NULL);
    return RONDE_OK;
}

static int32_t in_a_set(struct round *r)
{
    int set = 1 + (int)draw(r, SETS);
    ronde_call call;
    ronde_call_init(&call, sizeof(call));
    call.process_set = set;
    if (!members[set][r->rank])
        return RONDE_OK;
    return ronde_allreduce(r->context, "in a set", r->in, r->out, SMALL, RONDE_FLOAT32, RONDE_SUM,
                           &call);
}

/* Several at once; every one of them must end, and when one ends with an error so do all. */
static int32_t several(struct round *r)
{
    uint64_t handle[PENDING];
    int32_t status[PENDING], first = RONDE_OK;
    for (int i = 0; i < PENDING; i++) {
        char name[16];
        snprintf(name, sizeof(name), "several %d", i);
        status[i] = ronde_allreduce_async(r->context, name, r->in + i * SMALL, r->out + i * SMALL,
                                          SMALL, RONDE_FLOAT32, RONDE_SUM, NULL, &handle[i]);
        first = first ? first : status[i];
    }
    for (int i = 0; i < PENDING; i++) {
        int32_t ended = status[i] ? status[i] : ronde_wait(r->context, handle[i]);
        first = first ? first : ended;
    }
    return first;
}

static int32_t gather(struct round *r)
{
    return ronde_allgather(r->context, "rows", r->in, (size_t)r->rank + 1, SMALL, RONDE_FLOAT32,
                           r->out, RANKS * (RANKS + 1) / 2, NULL, NULL);
}

static int32_t run_named(struct round *r)
{
    switch (draw(r, 8)) {
    case 0:
        return ronde_allreduce(r->context, "small", r->in, r->out, SMALL, RONDE_FLOAT32, RONDE_SUM,
                               NULL);
    case 1:
        return ronde_allreduce(r->context, "large", r->in, r->out, LARGE, RONDE_FLOAT32, RONDE_SUM,
                               NULL);
    case 2:
        return ronde_broadcast(r->context, "copy", r->in, r->out, 100 * SMALL, RONDE_FLOAT32,
                               (int32_t)draw(r, RANKS), NULL);
    case 3: return gather(r);
    case 4: return send_or_receive(r);
    case 5: return in_a_set(r);
    case 6: return ronde_barrier(r->context, NULL, NULL);
    default: return several(r);
    }
}

static int32_t run_direct(struct round *r)
{
    switch (draw(r, 4)) {
    case 0:
        return ronde_direct_allreduce(r->context, r->in, r->out, LARGE, RONDE_FLOAT32, RONDE_SUM,
                                      NULL);
    case 1:
        return ronde_direct_broadcast(r->context, r->in, r->out, 100 * SMALL, RONDE_FLOAT32,
                                      (int32_t)draw(r, RANKS), NULL);
    case 2:
        return ronde_direct_allgather(r->context, r->in, 1, SMALL, RONDE_FLOAT32, r->out, NULL,
                                      NULL);
    default:
        return ronde_direct_allreduce(r->context, r->in, r->out, SMALL, RONDE_FLOAT32, RONDE_SUM,
                                      NULL);
    }
}

static int32_t run_one(struct round *r)
{
    int direct = r->direct && (!r->named || draw(r, 2));
    return direct ? run_direct(r) : run_named(r);
}

/* ---- the victim ------------------------------------------------------------------------------ */

static void *go(void *state)
{
    const struct round *r = state;
    rest(r->moment);
    kill(getpid(), r->signal);
    return NULL;
}

/* ---- the survivors --------------------------------------------------------------------------- */

static void note(struct round *r, const char *what, double seconds, int32_t status)
{
    if (!*r->wrong)
        snprintf(r->wrong, sizeof(r->wrong), "%s: %s after %.2f s: %.200s", what,
                 ronde_status_name(status), seconds, ronde_last_error());
}

/* The error must come within `limit` seconds, and name the rank. */
static void expect(struct round *r, const char *what, int32_t status, double limit)
{
    char name[16];
    double took = now() - r->began;
    snprintf(name, sizeof(name), "rank %d", r->victim);
    if ((status != RONDE_ERR_PEER && status != RONDE_ERR_MPI) ||
        !strstr(ronde_last_error(), name) || took > limit)
        note(r, what, took, status);
    r->began = now();
}

static void survive(struct round *r, double heartbeat)
{
    int32_t status = RONDE_OK;
    double deadline = now() + 30;
    while (!status && now() < deadline) {
        r->began = now();
        status = run_one(r);
        if (!draw(r, 4)) /* all at once, or each when it likes */
            rest(1e-3 * ((double)draw(r, 4) + r->rank));
    }
    double took = now() - r->began;
    expect(r, "the call that it happened in", status, 4 * heartbeat + 5);
    int32_t first = status;
    char text[200];
    snprintf(text, sizeof(text), "%s", ronde_last_error());
    for (int i = 0; i < 2; i++) {
        if (r->named)
            expect(r, "a later named call",
                   ronde_allreduce(r->context, "small", r->in, r->out, SMALL, RONDE_FLOAT32,
                                   RONDE_SUM, NULL),
                   1);
        if (r->direct)
            expect(r, "a later direct call",
                   ronde_direct_allreduce(r->context, r->in, r->out, SMALL, RONDE_FLOAT32,
                                          RONDE_SUM, NULL),
                   1);
    }
    status = ronde_close(&r->context);
    expect(r, "closing", status, 5);
    printf("survivor %d: %s (%s after %.2f s: %s)\n", r->rank, *r->wrong ? r->wrong : "right",
           ronde_status_name(first), took, text);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: mpi_survivor kill|stop named|direct|mixed SEED\n"), 2;
    struct round r = {.signal = strcmp(argv[1], "stop") ? SIGKILL : SIGSTOP,
                      .direct = strcmp(argv[2], "named") != 0,
                      .named = strcmp(argv[2], "direct") != 0,
                      .state = strtoull(argv[3], NULL, 10),
                      .in = calloc(LARGE, sizeof(float)),
                      .out = calloc(LARGE, sizeof(float))};
    const char *heartbeat = getenv("RONDE_HEARTBEAT");
    ronde_options options;
    pthread_t thread;
    setenv("RONDE_PROCESS_SETS", set_list, 1);
    ronde_options_init(&options, sizeof(options));
    if (!r.in || !r.out || ronde_open(&options, &r.context))
        return fprintf(stderr, "%s\n", ronde_last_error()), 1;
    r.rank = ronde_rank(r.context);
    printf("process %d\n", (int)getpid());
    fflush(stdout);
    if (ronde_size(r.context) != RANKS || ronde_barrier(r.context, NULL, NULL))
        return fprintf(stderr, "%d ranks: %s\n", ronde_size(r.context), ronde_last_error()), 1;
    r.victim = (int)draw(&r, RANKS);
    r.moment = 1e-4 * draw(&r, 5000);
    if (r.rank == r.victim && pthread_create(&thread, NULL, go, &r))
        return 1;
    survive(&r, heartbeat ? atof(heartbeat) : 30);
    fflush(stdout);
    free(r.in);
    free(r.out);
    return *r.wrong != 0;
}
