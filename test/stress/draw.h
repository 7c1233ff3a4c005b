/* Draws a phase by dice. */
#ifndef RONDE_TEST_STRESS_DRAW_H
#define RONDE_TEST_STRESS_DRAW_H

#include "plan.h"

/* Mostly small; all that a kind moves on one rank is at most 1 MiB or so. */
static inline size_t draw_bytes(uint64_t *dice)
{
    size_t kind = dice_below(dice, 100);
    return kind < 4    ? 0
           : kind < 55 ? 1 + dice_below(dice, 512)
           : kind < 85 ? 1 + dice_below(dice, 16 << 10)
           : kind < 97 ? 1 + dice_below(dice, 128 << 10)
                       : 1 + dice_below(dice, 1 << 20);
}

static inline void draw_size(uint64_t *dice, struct operation *op)
{
    size_t count = draw_bytes(dice) / ronde_dtype_bytes(op->dtype), n = (size_t)op->set->members.n;
    op->count = count;
    op->row_count = 1;
    op->columns = !has_rows(op->kind) && op->kind != BARRIER && count && chance(dice, 30)
                      ? 1 << dice_below(dice, 3)
                      : 0;
    if (op->columns)
        op->count = (count + (size_t)op->columns - 1) / (size_t)op->columns * (size_t)op->columns;
    if (!has_rows(op->kind))
        return;
    op->row_count = 1 + dice_below(dice, 12);
    if (op->kind == SPARSE) {
        op->row_count = 1 + dice_below(dice, count < 200 ? 4 : 64);
        n *= 4;
    }
    op->count = count / op->row_count / (op->kind == REDUCESCATTER ? 1 : n);
    op->count = op->kind == SPARSE && op->count > 60 ? 60 : op->count;
    op->rows_are_even = chance(dice, 40);
    op->splits_are_given = (op->kind == ALLTOALL && !op->rows_are_even) || chance(dice, 50);
}

static inline void draw_reduction(uint64_t *dice, struct operation *op)
{
    do
        op->op = (int32_t)dice_below(dice, RONDE_WEIGHTED_AVERAGE + 1);
    while ((op->op == RONDE_ADASUM && (op->kind != ALLREDUCE || !is_float(op->dtype))) ||
           (op->op == RONDE_WEIGHTED_AVERAGE &&
            (op->kind == SPARSE || ronde_dtype_bytes(op->dtype) < 2)) ||
           (op->op < RONDE_ADASUM && !op_suits(op->op, op->dtype)));
    op->divide = op->op == RONDE_AVERAGE && op->dtype != RONDE_BOOL && chance(dice, 30)
                     ? RONDE_DIVIDE_SIZE
                     : RONDE_DIVIDE_CONTRIBUTORS;
    if (op->op <= RONDE_MAX && op->dtype != RONDE_BOOL && chance(dice, 25)) {
        op->prescale = is_float(op->dtype) ? 0.5 * (double)(1 << dice_below(dice, 3))
                                           : (double)(1 + dice_below(dice, 2));
        op->postscale = chance(dice, 50) ? op->prescale : 1;
    }
}

static inline int plant_fits(const struct operation *op, enum plant plant, int is_grouped)
{
    int n = op->present.n;
    switch (plant) {
    case OTHER_DTYPE:
        return n > 1 && op->kind != BARRIER &&
               !(op->dtype == RONDE_BOOL && op->op == RONDE_WEIGHTED_AVERAGE);
    case OTHER_COUNT:
        return n > 1 && op->kind != BARRIER && !op->columns &&
               (has_rows(op->kind) ? op->row_count > 1 : op->count > 0);
    case OTHER_SHAPE:
        return n > 1 && op->columns && op->count / (size_t)op->columns != (size_t)op->columns;
    case OTHER_OP:
    case OTHER_SCALE: return n > 1 && reduces(op->kind);
    case OTHER_ROOT: return n > 1 && has_root(op->kind);
    case OTHER_DIVIDE: return n > 1 && reduces(op->kind) && op->op == RONDE_AVERAGE;
    case OTHER_SPLITS: return n > 1 && op->kind == ALLTOALL && op->rows_are_even;
    case NO_WEIGHT: return reduces(op->kind) && op->op == RONDE_WEIGHTED_AVERAGE;
    case NO_ROOM:
        return !is_grouped && op->rows_are_even && op->count && n &&
               (op->kind == ALLGATHER || op->kind == ALLTOALL);
    case OTHER_GROUP: return n > 1 && is_grouped;
    case AGREED:
    case ROOT_JOINED: break;
    }
    return 0;
}

static inline void draw_plant(uint64_t *dice, struct operation *op, int is_grouped)
{
    enum plant plant = (enum plant)(OTHER_DTYPE + dice_below(dice, NO_ROOM));
    if (op->plant != AGREED || plant == OTHER_GROUP || !plant_fits(op, plant, is_grouped))
        return;
    op->plant = plant;
    op->odd = op->present.ranks[dice_below(dice, (size_t)op->present.n)];
    if (plant == OTHER_ROOT)
        do
            op->receiver = op->present.ranks[dice_below(dice, (size_t)op->present.n)];
        while (op->receiver == op->root);
}

/* Who submits it in this window; a root that has joined. */
static inline void set_present(const struct phase *phase, struct operation *op, int window)
{
    const int *stop = phase->stop[op->set - phase->set];
    const struct members *members = &op->set->members;
    op->present.n = 0;
    for (int i = 0; i < members->n; i++)
        if (stop[members->ranks[i]] > window)
            op->present.ranks[op->present.n++] = members->ranks[i];
    if (has_root(op->kind) && members_place(&op->present, op->root) < 0)
        op->plant = ROOT_JOINED;
    if (op->kind != SEND)
        return;
    struct members ends = {0, {0}};
    for (int i = 0; i < op->present.n; i++)
        if (op->present.ranks[i] == op->root || op->present.ranks[i] == op->receiver)
            ends.ranks[ends.n++] = op->present.ranks[i];
    op->present = ends;
    if (ends.n < (op->root == op->receiver ? 1 : 2))
        op->plant = ROOT_JOINED;
}

static inline void draw_operation(uint64_t *dice, const struct phase *phase, struct operation *op,
                                  const struct plan_set *set, int window, int is_grouped)
{
    memset(op, 0, sizeof *op);
    op->set = set;
    op->odd = -1;
    op->kind = chance(dice, 35) ? ALLREDUCE
                                : (enum kind)dice_below(dice, is_grouped ? SEND : KINDS);
    op->dtype = (int32_t)dice_below(dice, RONDE_FLOAT64 + 1);
    op->prescale = op->postscale = 1;
    draw_size(dice, op);
    if (reduces(op->kind))
        draw_reduction(dice, op);
    op->root = set->members.ranks[dice_below(dice, (size_t)set->members.n)];
    op->receiver = set->members.ranks[dice_below(dice, (size_t)set->members.n)];
    set_present(phase, op, window);
}

/* Names that come back, new ones, long ones, and none: these in sets which nobody joins, as the
 * counters of those who joined stay behind. */
static inline void draw_name(uint64_t *dice, const struct phase *phase, struct operation *op,
                             const struct unit *unit, int member)
{
    int set = (int)(op->set - phase->set), can_be_unnamed = !unit->is_group;
    for (int i = 0; i < op->set->members.n; i++)
        can_be_unnamed &= phase->stop[set][op->set->members.ranks[i]] == NEVER;
    if (unit->key == 0 && can_be_unnamed)
        return;
    if (unit->is_group)
        snprintf(op->name, sizeof op->name, "group %u.%d", unit->key, member);
    else if (chance(dice, 85))
        snprintf(op->name, sizeof op->name, "layer %u", unit->key);
    else
        snprintf(op->name, sizeof op->name, "new %d%*s", op->number, (int)dice_below(dice, 150),
                 ".");
}

static inline void draw_unit(uint64_t *dice, struct phase *phase, int window, unsigned key,
                             int *number)
{
    struct unit *unit = &phase->window[window].units[phase->window[window].n++];
    const struct plan_set *set =
        &phase->set[chance(dice, 50) ? 0 : dice_below(dice, (size_t)phase->sets)];
    int is_grouped = key && chance(dice, 8);
    unit->first = phase->n;
    unit->n = is_grouped ? 1 + (int)dice_below(dice, 4) : 1;
    unit->is_group = is_grouped;
    unit->key = key;
    for (int i = 0; i < unit->n; i++) {
        struct operation *op = &phase->operations[phase->n++];
        do
            draw_operation(dice, phase, op, set, window, is_grouped);
        while (is_grouped && op->plant != AGREED);
        op->number = (*number)++;
        draw_name(dice, phase, op, unit, i);
    }
    /* Of one tensor only: what others of a group meet alone after it has failed is a new attempt,
     * which nobody else makes. ranks_groups plants that where all come before. */
    struct operation *op = &phase->operations[unit->first];
    if (is_grouped && unit->n == 1 && op->present.n > 1) {
        op->plant = OTHER_GROUP;
        op->odd = op->present.ranks[dice_below(dice, (size_t)op->present.n)];
    } else if (chance(dice, is_grouped ? 30 : 12)) {
        draw_plant(dice, op, is_grouped);
    }
}

/* In another window there may be fewer ranks. */
static inline void move_operation(const struct phase *phase, struct operation *op, int window)
{
    enum plant plant = op->plant;
    op->plant = AGREED;
    set_present(phase, op, window);
    if (op->plant == AGREED &&
        (plant == NO_WEIGHT || plant == NO_ROOM || (plant != ROOT_JOINED && op->present.n > 1)))
        op->plant = plant;
    if (op->plant != NO_WEIGHT && op->odd >= 0 && !is_present(op, op->odd))
        op->plant = op->plant == ROOT_JOINED ? ROOT_JOINED : AGREED;
    if (op->plant == OTHER_ROOT && !is_present(op, op->receiver))
        op->plant = AGREED;
}

/* A window once more, with other data; now and then an operation differs. */
static inline void repeat_window(uint64_t *dice, struct phase *phase, int from, int window,
                                 int *number)
{
    struct window *copy = &phase->window[window];
    *copy = phase->window[from];
    for (int u = 0; u < copy->n; u++) {
        int first = copy->units[u].first;
        copy->units[u].first = phase->n;
        for (int i = 0; i < copy->units[u].n; i++) {
            struct operation *op = &phase->operations[phase->n++];
            *op = phase->operations[first + i];
            op->number = (*number)++;
            move_operation(phase, op, window);
            if (copy->units[u].is_group || op->plant != AGREED || !chance(dice, 2))
                continue;
            op->count /= 2;
            op->columns = 0;
            draw_plant(dice, op, 0);
        }
    }
}

/* In some phases, some ranks of some sets have less to do; at least one goes on to the end. */
static inline void draw_stops(uint64_t *dice, struct phase *phase)
{
    int joins = chance(dice, 40);
    for (int s = 0; s < phase->sets; s++) {
        const struct members *members = &phase->set[s].members;
        int is_joined = joins && chance(dice, 50);
        int last = members->ranks[dice_below(dice, (size_t)members->n)];
        for (int rank = 0; rank < MOST_RANKS; rank++)
            phase->stop[s][rank] = NEVER;
        for (int i = 0; i < members->n && is_joined; i++) {
            int rank = members->ranks[i];
            phase->stop[s][rank] = rank == last || chance(dice, 30)
                                       ? phase->windows
                                       : (int)dice_below(dice, (size_t)phase->windows + 1);
        }
    }
}

enum { LEAST_DRAWN = 4 }; /* a unit may have as many operations */

/* At most `most` operations, whose numbers begin at *number. The sets are there already. */
static inline void draw_phase(struct phase *phase, uint64_t seed, int most, int *number)
{
    uint64_t dice = mix(seed);
    int steady, width, first = *number;
    phase->seed = seed;
    phase->n = 0;
    phase->windows = 1 + (int)dice_below(&dice, MOST_WINDOWS);
    draw_stops(&dice, phase);
    for (int rank = 0; rank < MOST_RANKS; rank++)
        phase->threads[rank] = 1 + (int)dice_below(&dice, 3);
    width = 1 + (int)dice_below(&dice, MOST_UNITS);
    steady = chance(&dice, 40);
    for (int w = 0; w < phase->windows; w++) {
        phase->window[w].n = 0;
        if (steady && w % 8 && !chance(&dice, 10) && *number - first + 2 * width <= most) {
            repeat_window(&dice, phase, w - 1, w, number);
            continue;
        }
        size_t keys[2 * MOST_UNITS];
        dice_order(&dice, keys, 2 * MOST_UNITS);
        for (int u = 0; u < width && *number - first + LEAST_DRAWN <= most; u++)
            draw_unit(&dice, phase, w, (unsigned)keys[u], number);
    }
}

#endif
