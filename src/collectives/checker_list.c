/* What can be proved of one peer's list alone: its form, what it touches at once, its volume. */
#include "collectives/checker.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char sentence[256];

const char *ronde__wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    return sentence;
}

static int reduces(const struct step *step)
{
    return step->kind == STEP_RECV_REDUCE || step->kind == STEP_RECV_REDUCE_INTO ||
           step->kind == STEP_RECV_COMBINE;
}

static const char *check_step(const struct schedule *list, int p, int me, int32_t at)
{
    const struct step *step = &list->step[at];
    if (step->kind < STEP_SEND || step->kind > STEP_RECV_COMBINE)
        return ronde__wrong("peer %d step %d: no such kind of step, %d", me, at, step->kind);
    if (step->peer < 0 || step->peer >= p || step->peer == me)
        return ronde__wrong("peer %d step %d: no such partner, %d", me, at, step->peer);
    if (step->count < 1 || step->first < 0 || step->first > list->blocks - step->count)
        return ronde__wrong("peer %d step %d: blocks %d to %d are not within %d blocks", me, at,
                            step->first, step->first + step->count - 1, list->blocks);
    if (step->round < 0 || (at > 0 && step->round < step[-1].round))
        return ronde__wrong("peer %d step %d: round %d after a later one", me, at, step->round);
    return NULL;
}

/* Two steps of one round may meet in a block only where both send it, or where one sends and the
 * other reduces exactly the same blocks. What is combined is the same in all such steps, which are
 * in the order of peers. a is after b. */
static int may_share_a_round(const struct step *a, const struct step *b)
{
    if (a->kind == STEP_RECV_COMBINE && b->kind == STEP_RECV_COMBINE)
        return a->first == b->first && a->count == b->count && a->peer > b->peer;
    if (a->first >= b->first + b->count || b->first >= a->first + a->count)
        return 1;
    if (ronde__step_is_send(a) && ronde__step_is_send(b))
        return 1;
    int one_sends = ronde__step_is_send(a) ? reduces(b) : ronde__step_is_send(b) && reduces(a);
    return one_sends && a->first == b->first && a->count == b->count;
}

const char *ronde__check_list(const struct schedule *list, int p, int me, int32_t blocks)
{
    if (list->blocks != blocks)
        return ronde__wrong("peer %d has %d blocks, the algorithm has %d", me, list->blocks,
                            blocks);
    for (int32_t i = 0; i < list->steps; i++) {
        const char *wrong = check_step(list, p, me, i);
        if (wrong)
            return wrong;
        for (int32_t j = i - 1; j >= 0 && list->step[j].round == list->step[i].round; j--)
            if (!may_share_a_round(&list->step[i], &list->step[j]))
                return ronde__wrong("peer %d round %d: steps %d and %d touch block %d at once", me,
                                    list->step[i].round, j, i, list->step[i].first);
    }
    return NULL;
}

/* What a peer may send, in blocks, and how many rounds it may take. */
static void bounds(enum algorithm algorithm, int p, int *most_sent, int *most_rounds)
{
    int floor_log = 0;
    while (p >> 1 >> floor_log)
        floor_log++;
    int is_power = p == 1 << floor_log;
    switch (algorithm) {
    case ALGORITHM_RING: *most_sent = *most_rounds = 2 * (p - 1); break;
    case ALGORITHM_DOUBLING:
        *most_sent = floor_log + !is_power;
        *most_rounds = floor_log + 2 * !is_power;
        break;
    case ALGORITHM_CIRCULANT:
        *most_sent = 2 * (p - 1);
        *most_rounds = 2 * (floor_log + !is_power);
        break;
    case ALGORITHM_SPREAD:
        *most_sent = 2 * (p - 1);
        *most_rounds = p > 1 ? 2 : 0;
        break;
    case ALGORITHM_FLOOD:
        *most_sent = p - 1;
        *most_rounds = p > 1;
        break;
    case ALGORITHM_BINOMIAL: *most_sent = *most_rounds = floor_log + !is_power; break;
    case ALGORITHM_RING_GATHER: *most_sent = *most_rounds = p - 1; break;
    }
}

const char *ronde__check_volume(enum algorithm algorithm, int p, int me,
                                const struct schedule *list)
{
    int most_sent = 0, most_rounds = 0;
    bounds(algorithm, p, &most_sent, &most_rounds);
    int sent = 0;
    for (int32_t i = 0; i < list->steps; i++) {
        if (ronde__step_is_send(&list->step[i]))
            sent += list->step[i].count;
        if (list->step[i].round >= most_rounds)
            return ronde__wrong("peer %d takes more than %d rounds", me, most_rounds);
    }
    if (sent > most_sent)
        return ronde__wrong("peer %d sends %d blocks, the bound is %d", me, sent, most_sent);
    return NULL;
}
