/* What ranks ask each other in a loop: whether they are equal, and what they wish. Each is
 * blocking, and between steps. */
#include <stdlib.h>
#include <string.h>

#include "train/loop.h"

int32_t ronde__loop_gather(const ronde_train *train, const char *what, const void *record,
                           size_t bytes, void **records, int32_t **ranks, int32_t *n)
{
    char name[TRAIN_NAME_BYTES];
    const struct team *team = &train->team;
    size_t *present = calloc((size_t)team->size, sizeof *present);
    *records = malloc((size_t)team->size * bytes);
    *ranks = calloc((size_t)team->size, sizeof **ranks);
    *n = 0;
    int32_t status = RONDE_ERR_MEMORY;
    if (present && *records && *ranks)
        status = ronde__team_gather(team, ronde__loop_name(train, what, name), record, bytes,
                                    *records, present);
    else
        ronde__train_fail(status, "loop '%s': no memory to meet %d ranks", train->name,
                          (int)team->size);
    for (int32_t i = 0; i < team->size && status == RONDE_OK; i++)
        if (present[i])
            (*ranks)[(*n)++] = team->ranks[i];
    free(present);
    return status;
}

/* ---- check ----------------------------------------------------------------------------------- */

enum { PARTS = STATES + 1 };

/* One sum for each part of each tensor: the values, the states. */
static uint64_t *checksums_of(const ronde_train *train, uint64_t *parameters)
{
    uint64_t *sums = calloc((size_t)train->n * PARTS + 1, sizeof *sums);
    *parameters = TRAIN_HASH_START;
    for (int32_t i = 0; sums && i < train->n; i++) {
        const struct slot *slot = &train->slots[i];
        const void *part[PARTS] = {slot->values, slot->state[0], slot->state[1]};
        for (int j = 0; j < PARTS; j++)
            if (part[j])
                sums[i * PARTS + j] = ronde__hash(TRAIN_HASH_START, part[j], slot->bytes);
        *parameters = ronde__hash(*parameters, &sums[i * PARTS], sizeof *sums);
    }
    if (sums)
        sums[train->n * PARTS] = train->steps;
    return sums;
}

static int32_t differs(const ronde_train *train, size_t at, const int32_t ranks[2],
                       const uint64_t sums[2])
{
    static const char *const part[PARTS] = {"parameter", "first state of the optimiser for",
                                            "second state of the optimiser for"};
    size_t tensor = at / PARTS;
    if (tensor == (size_t)train->n)
        return ronde__train_fail(RONDE_ERR_MISMATCH,
                                 "loop '%s': rank %d has made %llu steps, rank %d has made %llu",
                                 train->name, (int)ranks[0], (unsigned long long)sums[0],
                                 (int)ranks[1], (unsigned long long)sums[1]);
    return ronde__train_fail(RONDE_ERR_MISMATCH,
                             "loop '%s': %s '%s' differs: its checksum is %016llx on rank %d, and "
                             "%016llx on rank %d",
                             train->name, part[at % PARTS], train->slots[tensor].name,
                             (unsigned long long)sums[0], (int)ranks[0],
                             (unsigned long long)sums[1], (int)ranks[1]);
}

/* The first sum that differs, and the first rank that has another than the first. */
static int32_t compare_sums(const ronde_train *train, const uint64_t *all, const int32_t *ranks,
                            int32_t n)
{
    size_t sums = (size_t)train->n * PARTS + 1;
    for (size_t at = 0; at < sums; at++)
        for (int32_t i = 1; i < n; i++) {
            uint64_t other = all[(size_t)i * sums + at];
            if (other != all[at])
                return differs(train, at, (int32_t[]){ranks[0], ranks[i]},
                               (uint64_t[]){all[at], other});
        }
    return RONDE_OK;
}

int32_t ronde_train_check(ronde_train *train, uint64_t *checksum)
{
    uint64_t *sums, parameters;
    void *records;
    int32_t *ranks, n, status = ronde__loop_check_between(train, "a check");
    if (status != RONDE_OK)
        return status;
    sums = checksums_of(train, &parameters);
    if (!sums)
        return ronde__train_fail(RONDE_ERR_MEMORY, "no memory for %d checksums", (int)train->n);
    status = ronde__loop_gather(train, "checksums", sums,
                                ((size_t)train->n * PARTS + 1) * sizeof *sums, &records, &ranks,
                                &n);
    if (status == RONDE_OK)
        status = compare_sums(train, records, ranks, n);
    if (status == RONDE_OK && checksum)
        *checksum = parameters;
    free(records);
    free(ranks);
    free(sums);
    return status;
}

/* ---- vote ------------------------------------------------------------------------------------ */

struct ballot {
    int32_t wish, rule;
};

static int32_t count(const ronde_train *train, const struct ballot *all, const int32_t *ranks,
                     int32_t n, int32_t *decision)
{
    int32_t yes = 0;
    for (int32_t i = 0; i < n; i++) {
        if (all[i].rule != all[0].rule)
            return ronde__train_fail(RONDE_ERR_MISMATCH,
                                     "loop '%s': ranks %d and %d vote by other rules, %d and %d",
                                     train->name, (int)ranks[0], (int)ranks[i], (int)all[0].rule,
                                     (int)all[i].rule);
        yes += all[i].wish;
    }
    switch ((enum ronde_train_rule)all[0].rule) {
    case RONDE_TRAIN_ANY_RANK: *decision = yes > 0; return RONDE_OK;
    case RONDE_TRAIN_ALL_RANKS: *decision = yes == n; return RONDE_OK;
    case RONDE_TRAIN_MAJORITY: *decision = 2 * yes > n; return RONDE_OK;
    }
    return ronde__train_fail(RONDE_ERR_ARGUMENT,
                             "loop '%s': rule %d is none of enum ronde_train_rule", train->name,
                             (int)all[0].rule);
}

int32_t ronde_train_vote(ronde_train *train, int32_t wish, int32_t rule, int32_t *decision)
{
    struct ballot mine = {wish != 0, rule};
    void *records;
    int32_t *ranks, n, status = ronde__loop_check_between(train, "a vote");
    if (status == RONDE_OK && !decision)
        status = ronde__train_fail(RONDE_ERR_ARGUMENT, "loop '%s': decision is NULL", train->name);
    if (status != RONDE_OK)
        return status;
    status = ronde__loop_gather(train, "vote", &mine, sizeof mine, &records, &ranks, &n);
    if (status == RONDE_OK)
        status = count(train, records, ranks, n, decision);
    free(records);
    free(ranks);
    return status;
}
