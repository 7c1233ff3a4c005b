/* What the tests of the public API share: a rank's tally of failures, dice, guarded memory.
 *
 * A rank that finds a failure goes on, or the others would wait for it: so these checks count and
 * never return. Ranks may be threads of one process: nothing here is global. */
#ifndef RONDE_TEST_TRIAL_H
#define RONDE_TEST_TRIAL_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ranks.h"
#include "ronde.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TRIAL_IS_SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define TRIAL_IS_SLOW 1
#endif
#endif
#ifndef TRIAL_IS_SLOW
#define TRIAL_IS_SLOW 0 /* 1: built with a sanitizer; tests repeat less */
#endif

struct trial {
    ronde_context *context;
    int rank, size;
    int failures;
};

static inline struct trial trial_begin(ronde_context *context)
{
    struct trial trial = {context, ronde_rank(context), ronde_size(context), 0};
    return trial;
}

static inline int trial_end(const struct trial *trial)
{
    if (trial->failures)
        fprintf(stderr, "rank %d: %d checks failed\n", trial->rank, trial->failures);
    return trial->failures ? 1 : 0;
}

/* Counts a failure and, for the first few of a rank, tells it. */
__attribute__((format(printf, 4, 5))) static inline void
trial_fail(struct trial *trial, const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (trial->failures++ >= 8)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: rank %d of %d: %s\n", file, line, trial->rank, trial->size, text);
}

#define EXPECT(trial, condition, ...) \
    do { \
        if (!(condition)) \
            trial_fail(trial, __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

static inline int32_t trial_status(struct trial *trial, int32_t status, int32_t wanted,
                                   const char *call, const char *file, int line)
{
    if (status != wanted)
        trial_fail(trial, file, line, "%s: status %d (%s), not %d (%s); last error \"%s\"", call,
                   (int)status, ronde_status_name(status), (int)wanted, ronde_status_name(wanted),
                   status < 0 ? ronde_last_error() : "");
    return status;
}

/* Evaluates to the status of `call`, which ought to be `wanted`. */
#define EXPECT_STATUS(trial, wanted, call) \
    trial_status(trial, call, wanted, #call, __FILE__, __LINE__)

/* The thread's last error is one line, and holds each of the texts up to NULL. */
__attribute__((sentinel)) static inline void trial_error(struct trial *trial, const char *file,
                                                         int line, ...)
{
    const char *text = ronde_last_error(), *wanted;
    va_list arguments;
    if (!*text || strchr(text, '\n'))
        trial_fail(trial, file, line, "the last error, \"%s\", is not one line", text);
    va_start(arguments, line);
    while ((wanted = va_arg(arguments, const char *)) != NULL)
        if (!strstr(text, wanted))
            trial_fail(trial, file, line, "\"%s\" does not say \"%s\"", text, wanted);
    va_end(arguments);
}

#define EXPECT_ERROR(trial, ...) \
    trial_error(trial, __FILE__, __LINE__, __VA_ARGS__, (const char *)NULL)

/* ---- dice: a seeded generator (SplitMix64) --------------------------------------------------- */

static inline uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline size_t dice_below(uint64_t *dice, size_t n)
{
    *dice += UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mix(*dice) % n);
}

/* 0 .. n-1 in an order of their own for each state of the dice. */
static inline void dice_order(uint64_t *dice, size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t j = dice_below(dice, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

/* ---- memory with guards ---------------------------------------------------------------------- */

enum { GUARD_BYTES = 64 };

struct memory {
    unsigned char *base, *data;
    size_t bytes, room;
    unsigned char guard; /* differs by rank: what is copied too far shows */
    int in_arena;
};

/* `bytes` at `skew` bytes past an address aligned to 16, between guards; in the context's arena
 * where asked. Out of room there, `may_fall_back` takes private memory instead. */
static inline void memory_open(struct trial *trial, struct memory *memory, size_t bytes,
                               size_t skew, int in_arena, int may_fall_back)
{
    void *base = NULL;
    memory->bytes = bytes;
    memory->room = bytes + skew + 2 * (size_t)GUARD_BYTES;
    memory->in_arena = 0;
    if (in_arena) {
        int32_t status = ronde_malloc(trial->context, memory->room, &base);
        memory->in_arena = status == RONDE_OK;
        if (status != RONDE_OK && !(may_fall_back && status == RONDE_ERR_MEMORY))
            EXPECT_STATUS(trial, RONDE_OK, status);
    }
    if (!memory->in_arena)
        base = malloc(memory->room);
    if (!base) {
        fprintf(stderr, "out of memory for %zu bytes\n", memory->room);
        abort();
    }
    memory->base = base;
    memory->data = memory->base + GUARD_BYTES + skew;
    memory->guard = (unsigned char)(0xa5 ^ trial->rank);
    memset(memory->base, memory->guard, memory->room);
}

static inline int memory_guards_hold(const struct memory *memory)
{
    for (const unsigned char *at = memory->base; at < memory->base + memory->room; at++) {
        if (at == memory->data)
            at += memory->bytes;
        if (*at != memory->guard)
            return 0;
    }
    return 1;
}

static inline void memory_close(struct trial *trial, struct memory *memory)
{
    EXPECT(trial, memory_guards_hold(memory), "bytes outside a buffer of %zu were written",
           memory->bytes);
    if (memory->in_arena)
        EXPECT_STATUS(trial, RONDE_OK, ronde_free(trial->context, memory->base));
    else
        free(memory->base);
}

/* ---- small helpers --------------------------------------------------------------------------- */

static inline void nap(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* All ranks meet; also the proof that the context still works. */
static inline void meet(struct trial *trial, const char *name)
{
    int64_t mine = trial->rank + 1, sum = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, name, &mine, &sum, 1, RONDE_INT64, RONDE_SUM,
                                  NULL));
    EXPECT(trial, sum == (int64_t)trial->size * (trial->size + 1) / 2, "meeting %s: sum %lld", name,
           (long long)sum);
}

static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* All ranks meet, without a name that could stall while the others wait for theirs to do so. */
static inline void meet_directly(struct trial *trial)
{
    int32_t one = 1, sum = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allreduce(trial->context, &one, &sum, 1, RONDE_INT32, RONDE_SUM,
                                         NULL));
    EXPECT(trial, sum == trial->size, "%d ranks met", (int)sum);
}

/* ---- ranks, calls and handles ---------------------------------------------------------------- */

/* Some of the ranks, in order: those of a process set, or those that have not joined. */
struct members {
    int n, ranks[64];
};

static inline struct members members_first(int n)
{
    struct members members = {n, {0}};
    for (int i = 0; i < n; i++)
        members.ranks[i] = i;
    return members;
}

/* The rank's place among the members; -1: it is none. */
static inline int members_place(const struct members *members, int rank)
{
    for (int i = 0; i < members->n; i++)
        if (members->ranks[i] == rank)
            return i;
    return -1;
}

static inline ronde_call call_in(int32_t process_set)
{
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.process_set = process_set;
    return call;
}

/* Polls until the operation has ended, for at most 30 s, and returns its status; the handle stays
 * valid. */
static inline int32_t until_done(struct trial *trial, uint64_t handle)
{
    double give_up = now() + 30;
    int32_t status = ronde_poll(trial->context, handle);
    while (status == RONDE_PENDING && now() < give_up) {
        nap(1e-4);
        status = ronde_poll(trial->context, handle);
    }
    return status;
}

/* What the library made for an operation, which this waits for; to be given to ronde_free. */
static inline void *taken_rows(struct trial *trial, uint64_t handle, size_t wanted_rows)
{
    void *memory = NULL;
    size_t rows = SIZE_MAX;
    EXPECT_STATUS(trial, RONDE_OK, until_done(trial, handle));
    EXPECT_STATUS(trial, RONDE_OK, ronde_take(trial->context, handle, &memory, &rows));
    EXPECT(trial, rows == wanted_rows, "%zu rows were taken, not %zu", rows, wanted_rows);
    return memory;
}

/* Collective. These bytes are the same on all ranks. */
static inline void same_everywhere(struct trial *trial, const void *data, size_t bytes,
                                   const char *what)
{
    uint64_t sum = bytes, all[64] = {0};
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ ((const unsigned char *)data)[i]) * UINT64_C(0x9fb21c651e98df25);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allgather(trial->context, &sum, 1, 1, RONDE_UINT64, all, NULL,
                                         NULL));
    for (int rank = 0; rank < trial->size; rank++)
        EXPECT(trial, all[rank] == sum, "%s: rank %d has other bytes", what, rank);
}

#endif
