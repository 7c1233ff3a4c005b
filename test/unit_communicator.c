/* Every operation over ranks as threads on pretended nodes, in long rows of random ones: results
 * against references, the bytes around them untouched, the bits equal on all ranks. Buffers between
 * the ranks are small, so that everything goes in slices and rounds. */
/* ronde-test: timeout=60 */
#include "communicator/communicator.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bell.h"
#include "base/dtype.h"
#include "base/status.h"
#include "base/timeline.h"
#include "check.h"
#include "reference.h"

enum { MOST_RANKS = 8, MOST_TENSORS = 6, MOST_TURNS = 400, TAG = 5, GUARD = 0x5a, GUARD_BYTES = 8 };

/* ---- random choices, the same on all ranks --------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = mix(*state);
    return (uint32_t)((*state >> 33) % below);
}

/* Nothing, next to nothing, more than a slice, and more than the wire buffer has room for. */
static size_t draw_count(uint64_t *state)
{
    static const uint32_t most[] = {1, 2, 9, 40, 700, 3000, 12000};
    return draw(state, most[draw(state, 7)]);
}

/* ---- elements -------------------------------------------------------------------------------- */

static double load(int32_t dtype, const void *data, size_t at)
{
    const char *from = (const char *)data + at * ronde_dtype_bytes(dtype);
    int8_t i8;
    int32_t i32;
    uint16_t half;
    float f32;
    double f64;
    switch (dtype) {
    case RONDE_INT8: return memcpy(&i8, from, 1), i8;
    case RONDE_INT32: return memcpy(&i32, from, 4), i32;
    case RONDE_FLOAT16: return memcpy(&half, from, 2), (double)float_of_half(half);
    case RONDE_BFLOAT16: return memcpy(&half, from, 2), (double)float_of_bfloat(half);
    case RONDE_FLOAT32: return memcpy(&f32, from, 4), (double)f32;
    case RONDE_FLOAT64: return memcpy(&f64, from, 8), f64;
    default: abort();
    }
}

static void store(int32_t dtype, void *data, size_t at, double value)
{
    char *to = (char *)data + at * ronde_dtype_bytes(dtype);
    int8_t i8 = 0;
    int32_t i32 = 0;
    uint16_t half;
    float f32 = (float)value;
    switch (dtype) {
    case RONDE_INT8: i8 = (int8_t)(int)value, memcpy(to, &i8, 1); break;
    case RONDE_INT32: i32 = (int32_t)value, memcpy(to, &i32, 4); break;
    case RONDE_FLOAT16: half = half_of_float(f32), memcpy(to, &half, 2); break;
    case RONDE_BFLOAT16: half = bfloat_of_float(f32), memcpy(to, &half, 2); break;
    case RONDE_FLOAT32: memcpy(to, &f32, 4); break;
    case RONDE_FLOAT64: memcpy(to, &value, 8); break;
    default: abort();
    }
}

/* Small whole numbers, exact in every dtype, whose sums and products over 8 ranks are, too. */
static double value_of(uint64_t seed, int rank, size_t tensor, size_t index)
{
    size_t mixed = 7 * (size_t)rank + 3 * index + 11 * tensor + index / 97 + (size_t)(seed % 101);
    return (double)(mixed % 5) - 1;
}

/* Of any fraction. */
static double rough_value_of(uint64_t seed, int rank, size_t tensor, size_t index)
{
    uint64_t bits = mix(seed + (uint64_t)rank * 1000003 + tensor * 10007 + index);
    return (double)(int32_t)(bits >> 32) * 0x1p-30;
}

/* ---- a rank ---------------------------------------------------------------------------------- */

struct place {
    const char *name;
    int ranks;
    int node_of[MOST_RANKS];
};

static const struct place places[] = {
    {"alone", 1, {0}},
    {"one node", 4, {0, 0, 0, 0}},
    {"2 nodes of 2", 4, {0, 0, 1, 1}},
    {"2 and 1", 3, {0, 0, 1}},
    {"3 uneven nodes, taking turns", 6, {0, 1, 1, 0, 2, 0}},
    {"4 nodes of 1", 4, {0, 1, 2, 3}},
    {"4 nodes of 2", 8, {0, 0, 1, 1, 2, 2, 3, 3}},
    {"2 nodes of 4", 8, {0, 0, 0, 0, 1, 1, 1, 1}},
};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

struct trial;

struct rank {
    const struct trial *trial;
    struct net *net;
    struct bell *bell;
    struct communicator communicator;
    struct patience patience;
    uint64_t bits[MOST_TURNS][MOST_TENSORS]; /* of the results; 0: none */
    pthread_t thread;
};

typedef void turn_function(struct rank *, uint64_t seed, uint32_t turn);

/* What all ranks of a run share. */
struct trial {
    const struct place *place;
    turn_function *turn;
    uint32_t turns;
    uint64_t seed;
    struct settings settings;
    struct bell bells[MOST_RANKS];                 /* by rank */
    struct bell *bells_of[MOST_RANKS][MOST_RANKS]; /* by node, by local rank */
    char *memory[MOST_RANKS];                      /* by node */
    struct rank ranks[MOST_RANKS];
};

/* The network rings no bell; whatever else is waited for has to. */
static int32_t step(void *state)
{
    struct rank *rank = state;
    int32_t said = ronde__communicator_step(&rank->communicator);
    rank->patience.nap_ns = rank->communicator.on_wire ? 50000 : 0;
    return said;
}

static int32_t finish(struct rank *rank, int32_t status)
{
    return status ? status : ronde__wait_for(rank->bell, &rank->patience, step, rank);
}

/* Memory with guards behind it. */
static char *take(size_t bytes)
{
    char *memory = aligned_alloc(64, (bytes + GUARD_BYTES + 63) / 64 * 64);
    memset(memory, GUARD, bytes + GUARD_BYTES);
    return memory;
}

static int guards_hold(const char *memory, size_t bytes)
{
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (memory[bytes + i] != GUARD)
            return 0;
    return 1;
}

/* What this rank made in this turn; all ranks that make it must make the same. */
static void note_bits(struct rank *rank, uint32_t turn, int32_t tensor, const char *data,
                      size_t bytes)
{
    uint64_t bits = 1;
    for (size_t i = 0; i < bytes; i++)
        bits = (bits ^ (unsigned char)data[i]) * 0x100000001b3u + 1;
    rank->bits[turn][tensor] = bits;
}

static void check_bits(const struct trial *trial)
{
    for (uint32_t turn = 0; turn < trial->turns; turn++)
        for (int t = 0; t < MOST_TENSORS; t++) {
            uint64_t bits = 0;
            for (int r = 0; r < trial->place->ranks; r++) {
                uint64_t one = trial->ranks[r].bits[turn][t];
                CHECK_SAYING(!one || !bits || one == bits, "%s: the bits of turn %u, tensor %d",
                             trial->place->name, turn, t);
                bits = one ? one : bits;
            }
        }
}

/* ---- allreduce ------------------------------------------------------------------------------- */

struct reduction_case {
    int32_t dtype, op, n;
    double prescale, postscale;
    int rough, some_absent, weighted;
    size_t count[MOST_TENSORS];
    unsigned char present[MOST_RANKS];
    double weights[MOST_RANKS];
    double total; /* of what contributes */
    int contributors;
    struct crossing crossing;
};

static void draw_contributions(struct reduction_case *one, int ranks, uint64_t *state)
{
    int exact = !one->rough;
    one->some_absent = draw(state, 2) == 0;
    one->weighted = one->op == RONDE_SUM && ronde__dtype_is_float(one->dtype) && draw(state, 2);
    int certain = (int)draw(state, (uint32_t)ranks);
    for (int r = 0; r < ranks; r++) {
        one->present[r] = !one->some_absent || r == certain || draw(state, 2) == 0;
        one->weights[r] = exact ? (double)draw(state, 4) / 2 : 0.1 + draw(state, 1000) / 999.0;
        one->contributors += one->present[r];
        if (one->present[r])
            one->total += one->weighted ? one->weights[r] : 1;
    }
}

static struct reduction_case draw_reduction(int ranks, uint64_t *state)
{
    static const int32_t dtypes[] = {RONDE_INT8,    RONDE_INT32,    RONDE_FLOAT32,
                                     RONDE_FLOAT64, RONDE_BFLOAT16, RONDE_FLOAT16};
    static const int32_t ops[] = {RONDE_SUM, RONDE_SUM,     RONDE_MIN,
                                  RONDE_MAX, RONDE_PRODUCT, RONDE_AVERAGE};
    struct reduction_case one = {.dtype = dtypes[draw(state, 6)], .op = ops[draw(state, 6)]};
    one.rough = one.dtype == RONDE_FLOAT32 && one.op == RONDE_SUM && draw(state, 3) == 0;
    one.prescale = one.op == RONDE_SUM && draw(state, 3) == 0 ? 2 : 1;
    one.postscale = ronde__dtype_is_float(one.dtype) && draw(state, 3) == 0 ? 0.5 : 1;
    if (one.op == RONDE_AVERAGE && ronde_dtype_bytes(one.dtype) < 4)
        one.dtype = RONDE_INT32; /* halves would be rounded on the way */
    one.n = (int32_t)draw(state, MOST_TENSORS + 1);
    for (int32_t t = 0; t < one.n; t++)
        one.count[t] = draw_count(state);
    one.crossing.algorithm = (enum algorithm)draw(state, ALGORITHM_FLOOD + 1);
    one.crossing.dtype = one.dtype;
    if (one.dtype == RONDE_FLOAT32 && !one.rough && draw(state, 2)) /* what is exact stays so */
        one.crossing.dtype = draw(state, 2) ? RONDE_FLOAT16 : RONDE_BFLOAT16;
    draw_contributions(&one, ranks, state);
    return one;
}

static double combine(int32_t op, double a, double b)
{
    switch (op) {
    case RONDE_MIN: return a < b ? a : b;
    case RONDE_MAX: return a > b ? a : b;
    case RONDE_PRODUCT: return a * b;
    default: return a + b;
    }
}

static double input_of(const struct reduction_case *one, uint64_t seed, int rank, size_t tensor,
                       size_t index)
{
    return one->rough ? (double)(float)rough_value_of(seed, rank, tensor, index)
                      : value_of(seed, rank, tensor, index);
}

static double wanted(const struct reduction_case *one, uint64_t seed, int ranks, size_t tensor,
                     size_t index)
{
    double sum = 0;
    int any = 0;
    for (int r = 0; r < ranks; r++)
        if (one->present[r]) {
            double value = one->prescale * input_of(one, seed, r, tensor, index);
            value *= one->weighted ? one->weights[r] : 1;
            sum = any++ ? combine(one->op, sum, value) : value;
        }
    if (one->op == RONDE_AVERAGE) {
        sum /= one->contributors;
        sum = one->dtype == RONDE_INT32 ? trunc(sum) : sum;
    }
    return sum * one->postscale;
}

static void check_reduced(struct rank *rank, const struct reduction_case *one, uint64_t seed,
                          uint32_t turn, int32_t t, const char *out)
{
    char rounded[8];
    int ranks = rank->net->size;
    for (size_t i = 0; i < one->count[t]; i++) {
        double want = wanted(one, seed, ranks, (size_t)t, i), got = load(one->dtype, out, i);
        store(one->dtype, rounded, 0, want);
        double slack = one->rough ? 1e-5 : 0;
        CHECK_SAYING(fabs(got - load(one->dtype, rounded, 0)) <= slack,
                     "%s, turn %u: rank %d has %g of %s %s, tensor %d of %d, element %zu of %zu, "
                     "not %g",
                     rank->trial->place->name, turn, rank->net->rank, got,
                     ronde_dtype_name(one->dtype), ronde_op_name(one->op), t, one->n, i,
                     one->count[t], want);
    }
}

/* What a rank has in memory for one tensor, and whether it wants the result. */
static struct piece open_tensor(const struct reduction_case *one, uint64_t seed, int rank,
                                int32_t t, uint64_t *state)
{
    size_t bytes = one->count[t] * ronde_dtype_bytes(one->dtype);
    int absent = !one->present[rank], unwanted = draw(state, 4) == 0, in_place = draw(state, 2);
    char *in = absent ? NULL : take(bytes);
    char *out = unwanted ? NULL : in && in_place ? in : take(bytes);
    for (size_t i = 0; in && i < one->count[t]; i++)
        store(one->dtype, in, i, input_of(one, seed, rank, (size_t)t, i));
    return (struct piece){in, out, one->count[t]};
}

static void close_tensor(struct rank *rank, const struct reduction_case *one, uint64_t seed,
                         const struct piece *tensor, int32_t t)
{
    size_t bytes = tensor->count * ronde_dtype_bytes(one->dtype);
    int guarded = (!tensor->in || guards_hold(tensor->in, bytes)) &&
                  (!tensor->out || guards_hold(tensor->out, bytes));
    if (!guarded)
        check_fail(__FILE__, __LINE__, "bytes behind tensor %d were written", t);
    for (size_t i = 0; tensor->in && tensor->in != tensor->out && i < tensor->count; i++)
        if (load(one->dtype, tensor->in, i) != input_of(one, seed, rank->net->rank, (size_t)t, i)) {
            check_fail(__FILE__, __LINE__, "the input of tensor %d was written", t);
            break;
        }
    if (tensor->in != tensor->out)
        free(tensor->out);
    free((void *)(uintptr_t)tensor->in);
}

static void turn_allreduce(struct rank *rank, uint64_t seed, uint32_t turn)
{
    uint64_t state = seed, mine = seed + 77 + (uint64_t)rank->net->rank;
    struct reduction_case one = draw_reduction(rank->net->size, &state);
    struct piece tensors[MOST_TENSORS];
    for (int32_t t = 0; t < one.n; t++)
        tensors[t] = open_tensor(&one, seed, rank->net->rank, t, &mine);
    struct reduction whole = ronde__reduction(one.dtype, one.op, one.prescale, one.postscale,
                                              (uint32_t)one.contributors);
    struct contributions who = {one.some_absent ? one.present : NULL,
                                one.weighted ? one.weights : NULL};
    int32_t status = ronde__communicator_start_allreduce(&rank->communicator, tensors, one.n,
                                                         &whole, &one.crossing,
                                                         who.present || who.weights || turn % 2
                                                             ? &who
                                                             : NULL);
    status = finish(rank, status);
    if (status != RONDE__DONE)
        check_fail(__FILE__, __LINE__, "turn %u ended with %d", turn, status);
    for (int32_t t = 0; t < one.n; t++) {
        if (tensors[t].out)
            check_reduced(rank, &one, seed, turn, t, tensors[t].out);
        if (tensors[t].out)
            note_bits(rank, turn, t, tensors[t].out, one.count[t] * ronde_dtype_bytes(one.dtype));
        close_tensor(rank, &one, seed, &tensors[t], t);
    }
}

/* ---- broadcast ------------------------------------------------------------------------------- */

static void turn_broadcast(struct rank *rank, uint64_t seed, uint32_t turn)
{
    uint64_t state = seed, mine = seed + 77 + (uint64_t)rank->net->rank;
    int root = (int)draw(&state, (uint32_t)rank->net->size), is_root = root == rank->net->rank;
    int32_t n = (int32_t)draw(&state, MOST_TENSORS + 1);
    struct piece tensors[MOST_TENSORS];
    for (int32_t t = 0; t < n; t++) {
        size_t bytes = draw_count(&state) * (1 + draw(&state, 8));
        char *in = is_root ? take(bytes) : NULL;
        char *out = is_root && draw(&mine, 3) == 0   ? NULL
                    : is_root && draw(&mine, 2) == 0 ? in
                                                     : take(bytes);
        for (size_t i = 0; is_root && i < bytes; i++)
            in[i] = (char)rough_value_of(seed, root, (size_t)t, i);
        tensors[t] = (struct piece){in, out, bytes};
    }
    int32_t status = ronde__communicator_start_broadcast(&rank->communicator, tensors, n, root);
    status = finish(rank, status);
    if (status != RONDE__DONE)
        check_fail(__FILE__, __LINE__, "turn %u ended with %d", turn, status);
    for (int32_t t = 0; t < n; t++) {
        const struct piece *tensor = &tensors[t];
        const char *sides[] = {tensor->in, tensor->out};
        for (int side = 0; side < 2; side++) {
            int right = !sides[side] || guards_hold(sides[side], tensor->count);
            for (size_t i = 0; sides[side] && right && i < tensor->count; i++)
                right = sides[side][i] == (char)rough_value_of(seed, root, (size_t)t, i);
            if (!right)
                check_fail(__FILE__, __LINE__, "%s, turn %u: rank %d, tensor %d of %d from %d",
                           rank->trial->place->name, turn, rank->net->rank, t, n, root);
        }
        if (tensor->out != tensor->in)
            free(tensor->out);
        free((void *)(uintptr_t)tensor->in);
    }
}

/* ---- exchange and gather --------------------------------------------------------------------- */

static size_t length_of(uint64_t seed, int from, int to)
{
    uint64_t state = mix(seed + (uint64_t)from * 64 + (uint64_t)to);
    int busy = seed % 3 > 0 || from % 2; /* in some turns half of the ranks have nothing */
    return busy ? draw_count(&state) * (1 + draw(&state, 3)) : 0;
}

static char byte_of(uint64_t seed, int from, int to, size_t index)
{
    return (char)((index + 7 * (size_t)from + 53 * (size_t)to + (size_t)(seed % 1009)) % 251);
}

static void turn_exchange(struct rank *rank, uint64_t seed, uint32_t turn)
{
    const struct net *net = rank->net;
    int me = net->rank, here = net->local_size;
    struct run sends[MOST_RANKS], receives[MOST_RANKS];
    size_t local_bytes[MOST_RANKS * MOST_RANKS];
    for (int peer = 0; peer < net->size; peer++) {
        size_t out = length_of(seed, me, peer), in = length_of(seed, peer, me);
        sends[peer] = (struct run){out ? take(out) : NULL, out};
        receives[peer] = (struct run){take(in), in};
        for (size_t i = 0; i < out; i++)
            sends[peer].data[i] = byte_of(seed, me, peer, i);
    }
    for (int i = 0; i < here * here; i++)
        local_bytes[i] = length_of(seed, ronde__net_rank_at(net, net->node, i / here),
                                   ronde__net_rank_at(net, net->node, i % here));
    int32_t status = ronde__communicator_start_exchange(&rank->communicator, sends, receives,
                                                        local_bytes);
    status = finish(rank, status);
    if (status != RONDE__DONE || rank->communicator.on_wire)
        check_fail(__FILE__, __LINE__, "turn %u ended with %d", turn, status);
    for (int peer = 0; peer < net->size; peer++) {
        const struct run *run = &receives[peer];
        int right = guards_hold(run->data, run->bytes);
        for (size_t i = 0; i < run->bytes && right; i++)
            right = run->data[i] == byte_of(seed, peer, me, i);
        if (!right)
            check_fail(__FILE__, __LINE__, "%s, turn %u: %zu bytes from %d to %d",
                       rank->trial->place->name, turn, run->bytes, peer, me);
        free(sends[peer].data);
        free(run->data);
    }
}

static void turn_gather(struct rank *rank, uint64_t seed, uint32_t turn)
{
    const struct net *net = rank->net;
    size_t bytes_of[MOST_RANKS], all = 0, before = 0;
    for (int r = 0; r < net->size; r++) {
        bytes_of[r] = length_of(seed, r, 0);
        before += r < net->rank ? bytes_of[r] : 0;
        all += bytes_of[r];
    }
    size_t mine = bytes_of[net->rank];
    char *out = take(all), *in = mix(seed + (uint64_t)net->rank) % 2 ? out + before : take(mine);
    for (size_t i = 0; i < mine; i++)
        in[i] = byte_of(seed, net->rank, 0, i);
    int32_t status = ronde__communicator_start_gather(&rank->communicator, mine ? in : NULL,
                                                      all ? out : NULL, bytes_of);
    status = finish(rank, status);
    if (status != RONDE__DONE)
        check_fail(__FILE__, __LINE__, "turn %u ended with %d", turn, status);
    int right = guards_hold(out, all);
    for (size_t r = 0, at = 0; r < (size_t)net->size; at += bytes_of[r++])
        for (size_t i = 0; i < bytes_of[r] && right; i++)
            right = out[at + i] == byte_of(seed, (int)r, 0, i);
    if (!right)
        check_fail(__FILE__, __LINE__, "%s, turn %u: rank %d gathered %zu bytes wrongly",
                   rank->trial->place->name, turn, net->rank, all);
    note_bits(rank, turn, 0, out, all);
    if (in != out + before)
        free(in);
    free(out);
}

/* ---- adasum ---------------------------------------------------------------------------------- */

/* Vectors that have a part in common, and now and then one of zeros. */
static double vector_of(uint64_t seed, int rank, size_t index)
{
    uint64_t kind = mix(seed + 31 * (uint64_t)rank);
    if (kind % 8 == 0)
        return 0;
    double common = rough_value_of(seed, 100, 0, index) * (double)(kind / 8 % 3);
    return common + rough_value_of(seed, rank, 0, index);
}

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* a = adasum(a, b), vector by vector. Returns 1 where it nearly cancels, so that little can be
 * said about what comes of it. */
static int join(double *a, const double *b, size_t count)
{
    double ab = dot(a, b, count), aa = dot(a, a, count), bb = dot(b, b, count);
    double of_a = aa > 0 ? 1 - ab / (2 * aa) : 1, of_b = bb > 0 ? 1 - ab / (2 * bb) : 1;
    for (size_t i = 0; i < count; i++)
        a[i] = of_a * a[i] + of_b * b[i];
    return dot(a, a, count) < 1e-3 * (aa + bb);
}

/* Of vectors [n][count], in place, to the first. */
static int join_all(double *vectors, int n, size_t count)
{
    int shaky = 0;
    for (int width = 1; width < n; width *= 2)
        for (int at = 0; at + width < n; at += 2 * width)
            shaky |= join(vectors + (size_t)at * count, vectors + (size_t)(at + width) * count,
                          count);
    return shaky;
}

struct adasum_case {
    int32_t dtype;
    size_t count;
    double scale;
    unsigned char present[MOST_RANKS];
};

static struct adasum_case draw_adasum(int ranks, uint64_t *state)
{
    static const int32_t dtypes[] = {RONDE_FLOAT32, RONDE_FLOAT64, RONDE_BFLOAT16, RONDE_FLOAT16};
    struct adasum_case one = {.dtype = dtypes[draw(state, 4)],
                              .count = draw_count(state),
                              .scale = draw(state, 2) ? 1 : 0.5};
    uint32_t absent = draw(state, 3); /* none, some, most; that may be all */
    for (int r = 0; r < ranks; r++)
        one.present[r] = draw(state, 4) >= absent * absent;
    return one;
}

static void check_adasum(struct rank *rank, const struct adasum_case *one, uint64_t seed,
                         uint32_t turn, const char *out)
{
    int n = 0;
    double *vectors = calloc(MOST_RANKS * (one->count + 1), sizeof(*vectors)), most = 0;
    char rounded[8];
    for (int r = 0; r < rank->net->size; r++) {
        for (size_t i = 0; one->present[r] && i < one->count; i++) {
            store(one->dtype, rounded, 0, vector_of(seed, r, i));
            double value = load(one->dtype, rounded, 0);
            vectors[(size_t)n * one->count + i] = value;
            most = fabs(value) > most ? fabs(value) : most;
        }
        n += one->present[r];
    }
    int shaky = join_all(vectors, n, one->count);
    double unit = one->dtype == RONDE_FLOAT64    ? 1e-12
                  : one->dtype == RONDE_FLOAT32  ? 1e-5
                  : one->dtype == RONDE_BFLOAT16 ? 1.0 / 64
                                                 : 1.0 / 512;
    for (size_t i = 0; i < one->count && !shaky; i++) {
        double want = vectors[i] * one->scale, got = load(one->dtype, out, i);
        if (!(fabs(want - got) <= unit * most)) {
            check_fail(__FILE__, __LINE__,
                       "%s, turn %u: rank %d has %g of %d vectors of %s, element %zu of %zu, not "
                       "%g",
                       rank->trial->place->name, turn, rank->net->rank, got, n,
                       ronde_dtype_name(one->dtype), i, one->count, want);
            break;
        }
    }
    free(vectors);
}

static void run_adasum(struct rank *rank, struct adasum_case one, uint64_t seed, uint32_t turn)
{
    uint64_t mine = seed + 77 + (uint64_t)rank->net->rank;
    int me = rank->net->rank;
    size_t bytes = one.count * ronde_dtype_bytes(one.dtype);
    char *in = one.present[me] ? take(bytes) : NULL;
    char *out = draw(&mine, 4) == 0 ? NULL : in && draw(&mine, 2) ? in : take(bytes);
    for (size_t i = 0; in && i < one.count; i++)
        store(one.dtype, in, i, vector_of(seed, me, i));
    int all = !memchr(one.present, 0, (size_t)rank->net->size);
    int32_t status = ronde__communicator_start_adasum(&rank->communicator, in, out, one.count,
                                                      one.dtype, one.scale,
                                                      all && turn % 2 ? NULL : one.present);
    status = finish(rank, status);
    if (status != RONDE__DONE || rank->communicator.adasum)
        check_fail(__FILE__, __LINE__, "turn %u ended with %d", turn, status);
    if ((in && !guards_hold(in, bytes)) || (out && !guards_hold(out, bytes)))
        check_fail(__FILE__, __LINE__, "bytes behind an adasum were written");
    if (out) {
        check_adasum(rank, &one, seed, turn, out);
        note_bits(rank, turn, 0, out, bytes);
    }
    if (out != in)
        free(out);
    free(in);
}

static void turn_adasum(struct rank *rank, uint64_t seed, uint32_t turn)
{
    uint64_t state = seed;
    run_adasum(rank, draw_adasum(rank->net->size, &state), seed, turn);
}

/* So long that its products and sums take several steps. */
static void turn_long_adasum(struct rank *rank, uint64_t seed, uint32_t turn)
{
    run_adasum(rank, (struct adasum_case){RONDE_FLOAT32, 300001, 0.5, {1, 1, 1, 1}}, seed, turn);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void turn_any(struct rank *rank, uint64_t seed, uint32_t turn)
{
    static turn_function *const turns[] = {turn_allreduce, turn_broadcast, turn_exchange,
                                           turn_gather, turn_adasum};
    uint64_t state = seed;
    turns[draw(&state, sizeof(turns) / sizeof(turns[0]))](rank, state, turn);
}

static void open_rank(struct trial *trial, int number, struct net *net)
{
    struct rank *rank = &trial->ranks[number];
    rank->trial = trial;
    rank->net = net;
    rank->bell = &trial->bells[number];
    rank->patience = ronde__patience(trial->place->ranks, 0);
    trial->bells_of[net->node][net->local_rank] = rank->bell;
    if (!trial->memory[net->node]) {
        size_t bytes = ronde__communicator_bytes(net, &trial->settings);
        trial->memory[net->node] = aligned_alloc(128, (bytes + 127) / 128 * 128);
        memset(trial->memory[net->node], 0, bytes);
    }
}

static void *run_rank(void *context)
{
    struct rank *rank = context;
    const struct trial *trial = rank->trial;
    struct communicator_place place = {.memory = trial->memory[rank->net->node],
                                       .bells = trial->bells_of[rank->net->node]};
    if (ronde__communicator_open(&rank->communicator, rank->net, &place, &trial->settings, TAG)) {
        check_fail(__FILE__, __LINE__, "%s", ronde_last_error());
        return NULL;
    }
    for (uint32_t turn = 0; turn < trial->turns; turn++)
        trial->turn(rank, mix(trial->seed + turn), turn);
    ronde__communicator_close(&rank->communicator);
    return NULL;
}

/* Small buffers between the ranks, so that even little goes in slices and rounds. */
static void run_at(const struct place *place, turn_function *turn, uint32_t turns, uint64_t seed,
                   const struct net_operations *operations, void *(*function)(void *))
{
    struct net *nets[MOST_RANKS];
    struct trial *trial = calloc(1, sizeof(*trial));
    trial->place = place;
    trial->turn = turn;
    trial->turns = turns;
    trial->seed = seed;
    trial->settings = (struct settings){.slice_bytes = 4096, .slots = 2, .wire_buffer_bytes = 8192};
    CHECK(ronde__net_open_threads(place->ranks, place->node_of, nets) == RONDE_OK);
    for (int r = 0; r < place->ranks; r++) {
        if (operations)
            nets[r]->operations = operations;
        open_rank(trial, r, nets[r]);
    }
    for (int r = 0; r < place->ranks; r++)
        CHECK(!pthread_create(&trial->ranks[r].thread, NULL, function, &trial->ranks[r]));
    for (int r = 0; r < place->ranks; r++)
        pthread_join(trial->ranks[r].thread, NULL);
    check_bits(trial);
    for (int r = 0; r < place->ranks; r++) {
        ronde__net_close(nets[r]);
        free(trial->memory[r]);
    }
    free(trial);
}

static void run_everywhere(turn_function *turn, uint32_t turns, uint64_t seed)
{
    for (size_t i = 0; i < PLACES; i++)
        run_at(&places[i], turn, turns, seed + i, NULL, run_rank);
}

static void allreduces_come_out_right_whoever_contributes_and_wants(void)
{
    run_everywhere(turn_allreduce, 60, 1);
}

static void broadcasts_of_many_pieces_come_out_right_from_any_root(void)
{
    run_everywhere(turn_broadcast, 40, 2);
}

static void exchanges_bring_everybody_everybodys_run(void)
{
    run_everywhere(turn_exchange, 30, 3);
}

static void gathers_come_out_right_in_place_and_not(void)
{
    run_everywhere(turn_gather, 30, 4);
}

static void adasums_are_those_of_vector_by_vector(void)
{
    run_everywhere(turn_adasum, 40, 5);
    run_at(&places[1], turn_long_adasum, 2, 8, NULL, run_rank);
    run_at(&places[5], turn_long_adasum, 2, 9, NULL, run_rank);
}

/* ---- the timeline ---------------------------------------------------------------------------- */

static char timeline_path[MOST_RANKS][64];

static void start_timeline(struct rank *rank, struct timeline **timeline)
{
    char *path = timeline_path[rank->net->rank];
    snprintf(path, sizeof(timeline_path[0]), "/tmp/unit_communicator.XXXXXX");
    int file = mkstemp(path);
    CHECK(file >= 0);
    close(file);
    CHECK(ronde__timeline_start(timeline, path, rank->net->rank, 0, 0, NULL) == RONDE_OK);
}

/* Traced, then no more. */
static void turn_traced(struct rank *rank, uint64_t seed, uint32_t turn)
{
    struct timeline *timeline = NULL;
    start_timeline(rank, &timeline);
    ronde__communicator_trace(&rank->communicator, timeline);
    run_adasum(rank, (struct adasum_case){RONDE_FLOAT32, 5000, 1, {1, 1, 1, 1}}, seed, turn);
    turn_gather(rank, seed, turn);
    ronde__communicator_trace(&rank->communicator, NULL);
    int32_t status = ronde__timeline_stop(timeline);
    if (status != RONDE_OK)
        check_fail(__FILE__, __LINE__, "the timeline ended with %d", status);
    turn_broadcast(rank, seed, turn);
}

static int occurrences(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        n++;
    return n;
}

/* Adasum between nodes: exchange; products; an allreduce that is reduced, exchanged and unpacked;
 * sums; allgather. */
static void phases_are_in_the_timeline(void)
{
    static const struct {
        const char *word;
        int times;
    } words[] = {{"\"EXCHANGE\"", 4}, {"\"REDUCE\"", 3}, {"\"UNPACK\"", 1}};
    run_at(&places[2], turn_traced, 1, 10, NULL, run_rank);
    for (int r = 0; r < places[2].ranks; r++) {
        static char text[1 << 16];
        FILE *file = fopen(timeline_path[r], "r");
        CHECK(file);
        text[fread(text, 1, sizeof(text) - 1, file)] = 0;
        fclose(file);
        remove(timeline_path[r]);
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            CHECK_SAYING(occurrences(text, words[i].word) == words[i].times,
                         "rank %d has %d times %s:\n%s", r, occurrences(text, words[i].word),
                         words[i].word, text);
    }
}

static void any_operation_follows_any_other(void)
{
    run_everywhere(turn_any, 150, 6);
}

/* ---- failure --------------------------------------------------------------------------------- */

/* A network that fails at one call of one rank, and from then on at every call of every rank. */
static struct net_operations failing, sound;
static _Atomic int calls_left, has_failed;
static pthread_barrier_t all_failed;

static int32_t strike(const struct net *net)
{
    if (net->rank == 0 && atomic_fetch_sub(&calls_left, 1) == 1)
        has_failed = 1;
    return has_failed ? ronde__fail(RONDE_ERR_MPI, "the network is gone") : RONDE_OK;
}

static int32_t failing_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    int32_t status = strike(net);
    return status ? status : sound.send(net, data, bytes, peer, tag, request);
}

static int32_t failing_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                            struct net_request *request)
{
    int32_t status = strike(net);
    return status ? status : sound.recv(net, data, bytes, peer, tag, request);
}

static int32_t failing_test(struct net *net, struct net_request *request, int *done)
{
    int32_t status = strike(net);
    return status ? status : sound.test(net, request, done);
}

/* What a message may still be written to is lost on purpose; the leak checker is told so. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static int32_t start_any(struct rank *rank, char *memory, uint64_t seed)
{
    enum { BYTES = 4000 };
    size_t bytes_of[MOST_RANKS], local_bytes = BYTES;
    struct run sends[MOST_RANKS], receives[MOST_RANKS];
    struct communicator *c = &rank->communicator;
    for (int r = 0; r < rank->net->size; r++) {
        bytes_of[r] = BYTES;
        sends[r] = (struct run){memory, BYTES};
        receives[r] = (struct run){memory + (1 + r) * BYTES, BYTES};
    }
    struct piece piece = {memory, memory, BYTES};
    switch (seed % 4) {
    case 0:
        return ronde__communicator_start_broadcast(c, &piece, 1, (int)seed / 4 % rank->net->size);
    case 1: return ronde__communicator_start_exchange(c, sends, receives, &local_bytes);
    case 2: return ronde__communicator_start_gather(c, memory, memory + BYTES, bytes_of);
    default:
        return ronde__communicator_start_adasum(c, memory, rank->net->rank % 2 ? memory : NULL,
                                                BYTES / sizeof(float), RONDE_FLOAT32, 1, NULL);
    }
}

static void *fail_once(void *context)
{
    struct rank *rank = context;
    const struct trial *trial = rank->trial;
    struct communicator_place place = {.memory = trial->memory[rank->net->node],
                                       .bells = trial->bells_of[rank->net->node]};
    if (__lsan_disable)
        __lsan_disable();
    char *memory = calloc(1 + MOST_RANKS, 4000);
    int32_t status = ronde__communicator_open(&rank->communicator, rank->net, &place,
                                              &trial->settings, TAG);
    if (!status)
        status = finish(rank, start_any(rank, memory, trial->seed));
    if (__lsan_enable)
        __lsan_enable();
    pthread_barrier_wait(&all_failed); /* nobody sends into what is freed */
    rank->net->operations = &sound;
    ronde__communicator_close(&rank->communicator);
    free(memory);
    if (status != RONDE_ERR_MPI && (status != RONDE__DONE || (rank->net->rank == 0 && has_failed)))
        check_fail(__FILE__, __LINE__, "operation %d ended with %d", (int)trial->seed % 4, status);
    return NULL;
}

static void learn_operations(void)
{
    const int node_of = 0;
    struct net *net;
    CHECK(ronde__net_open_threads(1, &node_of, &net) == RONDE_OK);
    failing = sound = *net->operations;
    failing.send = failing_send;
    failing.recv = failing_recv;
    failing.test = failing_test;
    ronde__net_close(net);
}

static void a_network_error_comes_back_from_every_operation(void)
{
    learn_operations();
    const struct place *place = &places[5]; /* every rank is on the wire */
    for (uint64_t seed = 0; seed < 16; seed++)
        for (int call = 1; call <= 24; call += 1 + call / 4) {
            calls_left = call;
            has_failed = 0;
            pthread_barrier_init(&all_failed, NULL, (unsigned)place->ranks);
            run_at(place, NULL, 0, seed, &failing, fail_once);
            pthread_barrier_destroy(&all_failed);
        }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
/* The sanitizers end the program where malloc would return NULL. */
static void turn_without_memory(struct rank *rank, uint64_t seed, uint32_t turn)
{
    float one = 1;
    int32_t status = ronde__communicator_start_adasum(&rank->communicator, &one, &one,
                                                      PTRDIFF_MAX / 8, RONDE_FLOAT32, 1, NULL);
    if (status != RONDE_ERR_MEMORY || rank->communicator.adasum)
        check_fail(__FILE__, __LINE__, "without memory it started with %d", status);
    turn_any(rank, seed, turn);
}

static void an_adasum_without_memory_starts_nothing(void)
{
    run_everywhere(turn_without_memory, 4, 7);
}
#endif

int main(void)
{
    RUN(allreduces_come_out_right_whoever_contributes_and_wants);
    RUN(broadcasts_of_many_pieces_come_out_right_from_any_root);
    RUN(exchanges_bring_everybody_everybodys_run);
    RUN(gathers_come_out_right_in_place_and_not);
    RUN(adasums_are_those_of_vector_by_vector);
    RUN(any_operation_follows_any_other);
    RUN(phases_are_in_the_timeline);
    RUN(a_network_error_comes_back_from_every_operation);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    RUN(an_adasum_without_memory_starts_nothing);
#endif
    return check_result();
}
