/* Results stored twice in one pass, and the choice between storing through the caches and past
 * them. */
#include "collectives/stores.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/dtype.h"
#include "check.h"
#include "reduce/reduce.h"

enum { SOURCES = 3, MOST = 1000, GUARD = 64, ROOM = (MOST + 16) * 8 + 2 * GUARD };

static unsigned char sources[SOURCES][ROOM], once[ROOM], first[ROOM], second[ROOM];

/* Small whole numbers, so that no type overflows: of floats, 1 and 2. */
static void fill(int32_t dtype)
{
    size_t bytes = ronde_dtype_bytes(dtype);
    for (int s = 0; s < SOURCES; s++)
        for (size_t i = 0; i < MOST + 16; i++) {
            unsigned char *at = sources[s] + i * bytes;
            memset(at, 0, bytes);
            switch (dtype) {
            case RONDE_FLOAT16: at[1] = (i + (size_t)s) % 7 ? 0x3c : 0x40; break;
            case RONDE_BFLOAT16: at[0] = 0x80, at[1] = 0x3f; break;
            case RONDE_FLOAT32: memcpy(at, &(float){(float)((i + (size_t)s) % 7)}, bytes); break;
            case RONDE_FLOAT64: memcpy(at, &(double){(double)((i + (size_t)s) % 7)}, bytes); break;
            default: at[0] = (unsigned char)((i + (size_t)s) % (dtype == RONDE_BOOL ? 2 : 7));
            }
        }
}

struct twice {
    int32_t dtype;
    int n, past; /* past: of `dst`, and 2 of `also` */
    double postscale;
    size_t count, shift; /* elements; by which `also` and the sources are off their alignment */
};

static void check_guards(const unsigned char *memory, size_t from, size_t bytes)
{
    for (size_t i = 0; i < ROOM; i++)
        CHECK(memory[i] == 0xAA || (i >= from && i < from + bytes));
}

static void try_twice(const struct twice *t)
{
    size_t element = ronde_dtype_bytes(t->dtype), bytes = t->count * element;
    size_t at = GUARD + t->shift * element;
    struct reduction sum = ronde__reduction(t->dtype, RONDE_SUM, 1, t->postscale, (uint32_t)t->n);
    const void *from[SOURCES];
    for (int s = 0; s < t->n; s++)
        from[s] = sources[s] + t->shift * element;
    memset(first, 0xAA, ROOM);
    memset(second, 0xAA, ROOM);
    ronde__reduce(&sum, once, from, t->n, t->count);
    const struct destination to = {first + GUARD, t->past & 1, second + at, t->past >> 1};
    ronde__reduce_to(&sum, &to, from, NULL, t->n, t->count);
    CHECK_SAYING(!memcmp(first + GUARD, once, bytes) && !memcmp(second + at, once, bytes),
                 "%s, %d sources, %zu elements, off by %zu, past %d", ronde_dtype_name(t->dtype),
                 t->n, t->count, t->shift, t->past);
    check_guards(first, GUARD, bytes);
    check_guards(second, at, bytes);
}

static void both_places_get_the_same(void)
{
    static const size_t counts[] = {0, 1, 3, 15, 16, 17, 64, 127, 129, MOST};
    for (int simd = 0; simd <= RONDE__SIMD_NEON; simd++) {
        if (ronde__reduce_choose(simd))
            continue;
        for (int32_t dtype = 0; dtype < RONDE__DTYPES; dtype++) {
            fill(dtype);
            for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
                for (int i = 0; i < 48; i++)
                    try_twice(&(struct twice){dtype, 1 + i % 3, i / 3 % 4, i / 12 % 2 ? 2 : 1,
                                              counts[c], i / 24 ? 3 : 0});
        }
    }
    ronde__reduce_choose(-1);
}

/* As if storing 64 KiB this way had taken so long. */
static void pretend(struct stores *stores, int past, double ms)
{
    enum { BYTES = 64 << 10 };
    stores->began_ns = ronde__now_ns() - (int64_t)(1e6 * ms);
    ronde__stores_end(stores, past, BYTES, 2);
}

static void what_is_much_faster_is_done(void)
{
    struct stores stores = {0};
    for (int i = 0; i < 2 * STORES_SAMPLES; i++) {
        int past = ronde__stores_begin(&stores, 1 << 16);
        CHECK(past == i % 2 && stores.began_ns); /* trials of both, before anything is known */
        pretend(&stores, past, past ? 1000 : 5000);
    }
    CHECK(stores.past);
    pretend(&stores, 1, 90000); /* preempted once */
    CHECK(stores.past);
    for (int i = 0; i < STORES_SAMPLES; i++)
        pretend(&stores, 0, 1500); /* not twice as slow any more */
    CHECK(!stores.past);
}

static void between_trials_nothing_is_timed(void)
{
    struct stores stores = {.past = 1, .count = 2 * STORES_SAMPLES};
    int trials = 0, past = 0;
    for (int i = 0; i < 10 * STORES_PERIOD; i++) {
        past += ronde__stores_begin(&stores, STORES_LEAST_BYTES);
        trials += stores.began_ns != 0;
    }
    CHECK(trials == 20 && past == 10 * STORES_PERIOD - 10);
    CHECK(!ronde__stores_begin(&stores, STORES_LEAST_BYTES - 1) && !stores.began_ns);
}

int main(void)
{
    RUN(both_places_get_the_same);
    RUN(what_is_much_faster_is_done);
    RUN(between_trials_nothing_is_timed);
    return check_result();
}
