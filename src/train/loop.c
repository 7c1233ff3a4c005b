/* Opening a loop, its table of tensors, closing. */
#include "train/loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ronde_train_options defaults = {.size = sizeof defaults,
                                             .rate = 0.01,
                                             .beta1 = 0.9,
                                             .beta2 = 0.999,
                                             .epsilon = 1e-8,
                                             .accumulate = 1,
                                             .name = "train"};

void ronde_train_options_init(ronde_train_options *options, size_t size)
{
    ronde__train_write_defaults(options, size, &defaults, sizeof defaults);
}

const char *ronde__loop_name(const ronde_train *train, const char *what,
                             char name[TRAIN_NAME_BYTES])
{
    snprintf(name, TRAIN_NAME_BYTES, "%s/%s", train->name, what);
    return name;
}

int32_t ronde__loop_check_between(const ronde_train *train, const char *what)
{
    if (!train)
        return ronde__loop_is_null();
    if (train->in_step)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "loop '%s': %s within a step: call ronde_train_step first",
                                 train->name, what);
    return RONDE_OK;
}

int32_t ronde__loop_check_within(const ronde_train *train, const char *what)
{
    if (!train)
        return ronde__loop_is_null();
    if (!train->in_step)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "loop '%s': %s without a step: call ronde_train_begin first",
                                 train->name, what);
    return RONDE_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int32_t bad_option(const char *name, double value, const char *expected)
{
    return ronde__train_fail(RONDE_ERR_ARGUMENT,
                             "ronde_train_options: %s is %g, where %s is expected", name, value,
                             expected);
}

/* Negated comparisons, which a NaN does not pass. */
static int32_t check_options(const ronde_train_options *options)
{
    const ronde_train_options *o = options;
    if (o->optimiser < RONDE_TRAIN_SGD || o->optimiser > RONDE_TRAIN_ADAMW)
        return bad_option("optimiser", o->optimiser, "one of enum ronde_train_optimiser");
    if (!isfinite(o->rate))
        return bad_option("rate", o->rate, "a finite number");
    if (!(o->momentum >= 0 && o->momentum < 1))
        return bad_option("momentum", o->momentum, "0 or more, below 1");
    if (!(o->weight_decay >= 0 && isfinite(o->weight_decay)))
        return bad_option("weight_decay", o->weight_decay, "0 or more");
    if (!(o->beta1 >= 0 && o->beta1 < 1))
        return bad_option("beta1", o->beta1, "0 or more, below 1");
    if (!(o->beta2 >= 0 && o->beta2 < 1))
        return bad_option("beta2", o->beta2, "0 or more, below 1");
    if (!(o->epsilon >= 0 && isfinite(o->epsilon)))
        return bad_option("epsilon", o->epsilon, "0 or more");
    if (!(o->clip_norm >= 0))
        return bad_option("clip_norm", o->clip_norm, "0 or more");
    if (o->accumulate < 1)
        return bad_option("accumulate", o->accumulate, "1 or more");
    if (o->nesterov && o->optimiser == RONDE_TRAIN_SGD && o->momentum == 0)
        return bad_option("momentum", 0, "with nesterov more than 0");
    if (!o->name || !*o->name || strlen(o->name) > TRAIN_NAME_LENGTH)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "ronde_train_options: name must have 1 to %d bytes",
                                 TRAIN_NAME_LENGTH);
    return RONDE_OK;
}

int32_t ronde_train_open(ronde_context *context, const ronde_train_options *options,
                         ronde_train **train)
{
    ronde_train_options read = defaults;
    ronde_train *opened = NULL;
    if (!train)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "the place for the loop is NULL");
    int32_t status = ronde__train_read_options(&read, sizeof read, options, "ronde_train_options");
    if (status == RONDE_OK)
        status = check_options(&read);
    if (status == RONDE_OK &&
        (!(opened = calloc(1, sizeof *opened)) || !(opened->name = strdup(read.name))))
        status = ronde__train_fail(RONDE_ERR_MEMORY, "no memory for a loop");
    if (status == RONDE_OK)
        status = ronde__team_open(context, read.process_set, &opened->team);
    if (status != RONDE_OK) {
        ronde_train_close(&opened);
        return status;
    }
    opened->options = read;
    opened->options.name = opened->name;
    opened->context = context;
    opened->bad_tensor = opened->counters.bad_tensor = opened->counters.bad_rank = -1;
    *train = opened;
    return RONDE_OK;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void free_sum(ronde_train *train, struct slot *slot)
{
    if (slot->sum_is_shared)
        ronde_free(train->context, slot->sum);
    else
        free(slot->sum);
}

static void empty_slot(ronde_train *train, struct slot *slot)
{
    free_sum(train, slot);
    for (int i = 0; i < STATES; i++)
        free(slot->state[i]);
    free(slot->op_name);
    free(slot->name);
}

int32_t ronde_train_close(ronde_train **train)
{
    if (!train || !*train)
        return RONDE_OK;
    ronde__loop_wait(*train);
    int32_t status = (*train)->in_step ? (*train)->failed : RONDE_OK;
    for (int32_t i = 0; i < (*train)->n; i++)
        empty_slot(*train, &(*train)->slots[i]);
    ronde__team_close(&(*train)->team);
    free((*train)->slots);
    free((*train)->name);
    free(*train);
    *train = NULL;
    return status;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static int32_t check_tensor(const ronde_train *train, const char *name, const void *gradient,
                            size_t count, int32_t dtype)
{
    if (!name || !*name || strlen(name) > TRAIN_NAME_LENGTH)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "loop '%s': the name of a tensor must have 1 to %d bytes",
                                 train->name, TRAIN_NAME_LENGTH);
    for (int32_t i = 0; i < train->n; i++)
        if (!strcmp(train->slots[i].name, name))
            return ronde__train_fail(RONDE_ERR_DUPLICATE,
                                     "loop '%s': there is a tensor '%s' already", train->name,
                                     name);
    if (!ronde__arithmetic(dtype))
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "loop '%s': tensor '%s' is %s, where float32 or float64 is "
                                 "expected",
                                 train->name, name,
                                 ronde_dtype_name(dtype) ? ronde_dtype_name(dtype) : "no dtype");
    if (count > SIZE_MAX / 16)
        return ronde__train_fail(RONDE_ERR_OVERFLOW, "loop '%s': tensor '%s' has %zu elements",
                                 train->name, name, count);
    if (!gradient && count)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "loop '%s': tensor '%s' has no gradient",
                                 train->name, name);
    return RONDE_OK;
}

static int states_of(const ronde_train_options *options)
{
    if (options->optimiser != RONDE_TRAIN_SGD)
        return 2;
    return options->momentum != 0;
}

/* In shared memory where there is room. An operation that uses the memory of no element is not
 * given any, but a tensor of none still needs an address. */
static void *allocate_sum(ronde_train *train, struct slot *slot)
{
    void *memory;
    if (train->team.context && slot->bytes &&
        ronde_malloc(train->team.context, slot->bytes, &memory) == RONDE_OK) {
        slot->sum_is_shared = 1;
        return memory;
    }
    return malloc(slot->bytes + 1);
}

static int allocate(ronde_train *train, struct slot *slot, const char *name)
{
    int states = slot->values ? states_of(&train->options) : 0, complete = 1;
    char text[TRAIN_NAME_BYTES];
    slot->name = strdup(name);
    slot->op_name = strdup(ronde__loop_name(train, name, text));
    for (int i = 0; i < states; i++)
        complete &= (slot->state[i] = calloc(1, slot->bytes + 1)) != NULL;
    if (train->options.accumulate > 1)
        complete &= (slot->sum = allocate_sum(train, slot)) != NULL;
    return complete && slot->name && slot->op_name;
}

static int32_t make_room(ronde_train *train)
{
    if (train->n < train->room)
        return RONDE_OK;
    int32_t room = train->room ? 2 * train->room : 16;
    struct slot *slots = realloc(train->slots, (size_t)room * sizeof *slots);
    if (!slots)
        return ronde__train_fail(RONDE_ERR_MEMORY, "no memory for %d tensors", (int)room);
    train->slots = slots;
    train->room = room;
    return RONDE_OK;
}

int32_t ronde_train_add(ronde_train *train, const char *name, void *values, void *gradient,
                        size_t count, int32_t dtype, int32_t *tensor)
{
    int32_t status = ronde__loop_check_between(train, "a new tensor");
    if (status == RONDE_OK && train->steps_taken)
        status = ronde__train_fail(RONDE_ERR_ARGUMENT,
                                   "loop '%s': a new tensor while gradients are accumulated: call "
                                   "ronde_train_flush first",
                                   train->name);
    if (status == RONDE_OK)
        status = check_tensor(train, name, gradient, count, dtype);
    if (status == RONDE_OK)
        status = make_room(train);
    if (status != RONDE_OK)
        return status;
    struct slot slot = {.values = values,
                        .gradient = gradient,
                        .count = count,
                        .bytes = count * ronde_dtype_bytes(dtype),
                        .dtype = dtype,
                        .arithmetic = ronde__arithmetic(dtype),
                        .sum_is_empty = 1};
    if (!allocate(train, &slot, name)) {
        empty_slot(train, &slot);
        return ronde__train_fail(RONDE_ERR_MEMORY, "loop '%s': no memory for tensor '%s'",
                                 train->name, name);
    }
    train->slots[train->n] = slot;
    if (tensor)
        *tensor = train->n;
    train->n++;
    return RONDE_OK;
}

int32_t ronde_train_set_rate(ronde_train *train, double rate)
{
    if (!train)
        return ronde__loop_is_null();
    if (!isfinite(rate))
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "loop '%s': a rate of %g", train->name, rate);
    train->options.rate = rate;
    return RONDE_OK;
}

int32_t ronde_train_counters_read(const ronde_train *train, ronde_train_counters *counters,
                                  size_t size)
{
    if (!train || !counters || size < sizeof counters->size)
        return train ? ronde_fail(RONDE_ERR_ARGUMENT, "counters is NULL, or smaller than its size")
                     : ronde__loop_is_null();
    ronde_train_counters full = train->counters;
    full.steps = train->steps;
    full.skipped = train->skipped;
    full.rate = train->options.rate;
    ronde__train_write_defaults(counters, size, &full, sizeof full);
    return RONDE_OK;
}
