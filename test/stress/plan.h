/* What a phase of the stress test submits: a pure function of the seed, alike on all ranks.
 *
 * A phase is windows of units; a unit is one operation or a group. A rank may submit a window's
 * units in any order, and waits for none of a window before all of it is submitted (by the thread
 * that waits): so every rank comes to the end. A thread of a rank has the units of some keys; a key
 * comes once in a window, and names what is reused. Where a rank joins a set, it leaves out all of
 * that set from a window on. */
#ifndef RONDE_TEST_STRESS_PLAN_H
#define RONDE_TEST_STRESS_PLAN_H

#include "../samples.h"
#include "../trial.h"

enum kind {
    ALLREDUCE,
    BROADCAST,
    ALLGATHER,
    REDUCE,
    REDUCESCATTER,
    ALLTOALL,
    GATHER,
    SCATTER,
    SPARSE,
    SEND, /* both ends */
    BARRIER,
    KINDS
};

/* Where the odd rank wishes otherwise than the rest; NO_WEIGHT is an error of all. */
enum plant {
    AGREED,
    OTHER_DTYPE,
    OTHER_COUNT, /* elements of a row, where there are rows */
    OTHER_SHAPE,
    OTHER_OP,
    OTHER_ROOT,
    OTHER_SCALE,
    OTHER_DIVIDE,
    OTHER_SPLITS,
    OTHER_GROUP, /* of one tensor; the odd rank has no group */
    NO_WEIGHT,
    ROOT_JOINED, /* is not there: the others learn it */
    NO_ROOM      /* of the odd rank, which alone learns it */
};

enum {
    MOST_RANKS = 16,
    MOST_SETS = 12,
    MOST_WINDOWS = 24,
    MOST_UNITS = 24, /* of a window */
    MOST_OPERATIONS = MOST_WINDOWS * MOST_UNITS * 2,
    NEVER = MOST_WINDOWS + 1
};

struct plan_set {
    int32_t id;
    struct members members;
};

struct operation {
    int number; /* unlike every other's of the run */
    enum kind kind;
    char name[200]; /* "": unnamed */
    const struct plan_set *set;
    struct members present; /* who submits it; but ROOT_JOINED: who would, the root being no one */
    int32_t dtype, op, divide, root; /* root: of a message the sender */
    int receiver;
    double prescale, postscale;
    size_t count, row_count; /* of kinds with rows: of a rank, at most, or of every split */
    int rows_are_even, splits_are_given;
    int columns; /* 0, or the second of two dimensions */
    enum plant plant;
    int odd;
};

struct unit {
    int first, n; /* operations */
    int is_group;
    unsigned key;
};

struct window {
    int n;
    struct unit units[MOST_UNITS];
};

struct phase {
    uint64_t seed;
    int windows;
    struct window window[MOST_WINDOWS];
    int sets;
    struct plan_set set[MOST_SETS];
    int stop[MOST_SETS][MOST_RANKS]; /* the window before which the rank joins; NEVER */
    int threads[MOST_RANKS];
    int n;
    struct operation operations[MOST_OPERATIONS];
};

/* ---- kinds ----------------------------------------------------------------------------------- */

static inline int reduces(enum kind kind)
{
    return kind == ALLREDUCE || kind == REDUCE || kind == REDUCESCATTER || kind == SPARSE;
}

static inline int has_root(enum kind kind)
{
    return kind == BROADCAST || kind == REDUCE || kind == GATHER || kind == SCATTER;
}

static inline int has_rows(enum kind kind)
{
    return kind == ALLGATHER || kind == REDUCESCATTER || kind == ALLTOALL || kind == GATHER ||
           kind == SCATTER || kind == SPARSE;
}

static inline const char *kind_text(enum kind kind)
{
    static const char *const names[] = {"allreduce",     "broadcast", "allgather", "reduce",
                                        "reducescatter", "alltoall",  "gather",    "scatter",
                                        "sparse",        "send",      "barrier"};
    return names[kind];
}

/* 1 with a chance of `percent` in 100. */
static inline int chance(uint64_t *dice, size_t percent)
{
    return dice_below(dice, 100) < percent;
}

/* ---- what ranks contribute ------------------------------------------------------------------- */

/* A rank under which samples are those of this operation alone. */
static inline int salted(const struct operation *op, int rank)
{
    return op->number % (1 << 24) * 64 + rank;
}

static inline struct members salted_members(const struct operation *op)
{
    struct members members = op->present;
    for (int i = 0; i < members.n; i++)
        members.ranks[i] = salted(op, members.ranks[i]);
    return members;
}

/* Rows of a member in an allgather, gather or sparse allreduce; those that a scatter gives it. */
static inline size_t rows_of(const struct operation *op, int rank)
{
    const struct members *members = &op->set->members;
    if (op->kind == SCATTER && !op->splits_are_given)
        return ronde_share_rows(op->count, members->n, members_place(members, rank));
    uint64_t random = mix((uint64_t)op->number * 64 + (uint64_t)rank);
    return op->rows_are_even ? op->count : random % 3 ? (random >> 8) % (op->count + 1) : 0;
}

/* Rows from one member of an all-to-all to another. */
static inline size_t rows_between(const struct operation *op, int from, int to)
{
    uint64_t random = mix(((uint64_t)op->number * 64 + (uint64_t)from) * 64 + (uint64_t)to);
    return op->rows_are_even ? op->count : random % 3 ? (random >> 8) % (op->count + 1) : 0;
}

static inline int is_present(const struct operation *op, int rank)
{
    return members_place(&op->present, rank) >= 0;
}

/* Whole numbers whose sum over those present is a power of two, so that the division is exact. */
static inline double weight_of(const struct operation *op, int rank)
{
    double sum = 0, whole = 1, own = 0;
    if (op->plant == NO_WEIGHT)
        return 0;
    for (int i = 1; i < op->present.n; i++) {
        double one = (double)(mix((uint64_t)op->number * 16 + (uint64_t)i) % 3);
        own = op->present.ranks[i] == rank ? one : own;
        sum += one;
    }
    while (whole <= sum)
        whole *= 2;
    return op->present.n && op->present.ranks[0] == rank ? whole - sum : own;
}

/* What it means to this rank. */
static inline struct operation seen_by(const struct operation *op, int rank)
{
    struct operation seen = *op;
    if (rank != op->odd)
        return seen;
    switch (op->plant) {
    case OTHER_DTYPE: { /* as large, or smaller */
        static const int32_t others[] = {RONDE_UINT8,    RONDE_INT8,    RONDE_UINT8,
                                         RONDE_INT16,    RONDE_UINT16,  RONDE_INT32,
                                         RONDE_UINT32,   RONDE_INT64,   RONDE_UINT64,
                                         RONDE_BFLOAT16, RONDE_FLOAT16, RONDE_BFLOAT16,
                                         RONDE_FLOAT32};
        seen.dtype = others[op->dtype];
        break;
    }
    case OTHER_COUNT:
        if (has_rows(op->kind))
            seen.row_count--;
        else
            seen.count--;
        break;
    case OTHER_SHAPE: seen.columns = (int)(op->count / (size_t)op->columns); break;
    case OTHER_OP: seen.op = op->op == RONDE_SUM ? RONDE_MAX : RONDE_SUM; break;
    case OTHER_ROOT: seen.root = seen.receiver; break; /* which is used for nothing else */
    case OTHER_SCALE: seen.prescale *= 2; break;
    case OTHER_DIVIDE: seen.divide = !op->divide; break;
    case OTHER_SPLITS: seen.splits_are_given = !op->splits_are_given; break;
    case AGREED:
    case OTHER_GROUP:
    case NO_WEIGHT:
    case ROOT_JOINED:
    case NO_ROOM: break;
    }
    return seen;
}

/* 1 where the library refuses the operation on all ranks. */
static inline int is_refused(enum plant plant)
{
    return plant != AGREED && plant != NO_ROOM;
}

#endif
