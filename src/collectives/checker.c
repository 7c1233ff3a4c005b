/* Proves a schedule by running all its peers on symbols.
 *
 * What a block holds is a symbol: the set of contributions in it, and a hash of the expression that
 * made it, in which the order of operands counts. Messages are matched once, the n-th send from a
 * to b with the n-th receive at b from a, since the network keeps that order and nothing receives
 * from anybody. Then peers go on round by round as far as their partners allow. Nothing is
 * buffered: a step has finished only when its partner stands in a round that posts the other half.
 * So the proof that all peers reach their end does not rest on the network's buffers.
 *
 * Equal expressions are recognised by 64-bit hashes: that two different ones pass for equal has a
 * chance of about (number of expressions)^2 / 2^64, below 1e-11 here.
 *
 * Cost: time of matching, a few hundred thousand looks for a ring of 64; p^2 symbols of memory. */
#include "collectives/checker.h"

#include <stdlib.h>

enum { MOST_PEERS = 64 };

struct symbol {
    uint64_t from; /* bit k: peer k's contribution is in it; 0: nothing there yet */
    uint64_t hash;
};

struct peer {
    const struct schedule *list;
    int32_t begin, end;   /* the round that is posted: steps [begin, end) */
    struct symbol *block; /* [blocks] */
    struct symbol *sent;  /* what each step's blocks were when its round was posted */
    int32_t *sent_at;     /* [steps]: where in sent a step's symbols begin */
    int32_t *partner;     /* [steps]: the step of the other peer that it meets */
};

struct check {
    enum algorithm algorithm;
    int p, root;
    int32_t blocks;
    struct peer peer[MOST_PEERS];
};

static const char *const out_of_memory = "out of memory for the check";

/* ---- matching -------------------------------------------------------------------------------- */

/* The step of `list`, after `at`, that sends to (or receives from) `peer`; -1: none. */
static int32_t next_with(const struct schedule *list, int32_t at, int peer, int sends)
{
    for (int32_t i = at + 1; i < list->steps; i++)
        if (list->step[i].peer == peer && ronde__step_is_send(&list->step[i]) == sends)
            return i;
    return -1;
}

static const char *match_pair(struct check *check, int from, int to)
{
    struct peer *a = &check->peer[from], *b = &check->peer[to];
    int32_t send = -1, receive = -1;
    for (;;) {
        send = next_with(a->list, send, to, 1);
        receive = next_with(b->list, receive, from, 0);
        if (send < 0 && receive < 0)
            return NULL;
        if (receive < 0)
            return ronde__wrong("peer %d step %d: peer %d never receives it", from, send, to);
        if (send < 0)
            return ronde__wrong("peer %d step %d: peer %d never sends it", to, receive, from);
        const struct step *s = &a->list->step[send], *r = &b->list->step[receive];
        if (s->first != r->first || s->count != r->count)
            return ronde__wrong("peer %d sends blocks %d to %d where peer %d expects %d to %d",
                                from, s->first, s->first + s->count - 1, to, r->first,
                                r->first + r->count - 1);
        a->partner[send] = receive;
        b->partner[receive] = send;
    }
}

static const char *match_all(struct check *check)
{
    for (int from = 0; from < check->p; from++)
        for (int to = 0; to < check->p; to++) {
            const char *wrong = from == to ? NULL : match_pair(check, from, to);
            if (wrong)
                return wrong;
        }
    return NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

/* A hash in which left and right differ (the finaliser of splitmix64: Steele, Lea, Flood 2014). */
static uint64_t hash_of(uint64_t left, uint64_t right)
{
    uint64_t z = left * 0x9e3779b97f4a7c15u + (right ^ 0xd1b54a32d192ed03u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static const char *post_round(struct check *check, int me)
{
    struct peer *peer = &check->peer[me];
    const struct step *step = peer->list->step;
    peer->begin = peer->end;
    while (peer->end < peer->list->steps && step[peer->end].round == step[peer->begin].round) {
        const struct step *now = &step[peer->end];
        for (int32_t k = 0; ronde__step_is_send(now) && k < now->count; k++) {
            if (!peer->block[now->first + k].from)
                return ronde__wrong("peer %d round %d: sends block %d, which it has not got", me,
                                    now->round, now->first + k);
            peer->sent[peer->sent_at[peer->end] + k] = peer->block[now->first + k];
        }
        peer->end++;
    }
    return NULL;
}

static int round_is_met(const struct check *check, int me)
{
    const struct peer *peer = &check->peer[me];
    for (int32_t i = peer->begin; i < peer->end; i++)
        if (peer->partner[i] >= check->peer[peer->list->step[i].peer].end)
            return 0;
    return 1;
}

static const char *combine(int me, const struct step *step, int32_t block, struct symbol *mine,
                           const struct symbol *got)
{
    if (step->kind == STEP_RECV) {
        *mine = *got;
        return NULL;
    }
    if (mine->from & got->from)
        return ronde__wrong("peer %d round %d: block %d gets peer %d's contribution twice", me,
                            step->round, block, __builtin_ctzll(mine->from & got->from));
    mine->from |= got->from;
    mine->hash = step->kind == STEP_RECV_REDUCE ? hash_of(got->hash, mine->hash)
                                                : hash_of(mine->hash, got->hash);
    return NULL;
}

/* What came in step i for its k-th block. */
static const struct symbol *received(const struct check *check, int me, int32_t i, int32_t k)
{
    const struct peer *peer = &check->peer[me], *other = &check->peer[peer->list->step[i].peer];
    return &other->sent[other->sent_at[peer->partner[i]] + k];
}

/* All that a round combines in one pass, from its first such step on, for that one's k-th block. */
static const char *combine_all(struct check *check, int me, int32_t first, int32_t k)
{
    struct peer *peer = &check->peer[me];
    const struct step *step = peer->list->step;
    int32_t block = step[first].first + k;
    struct symbol own = peer->block[block], all = {0, 0};
    int has_own = 0, others = 0;
    for (int32_t i = first; i <= peer->end; i++) {
        int is_end = i == peer->end;
        if (!is_end && step[i].kind != STEP_RECV_COMBINE)
            continue;
        if (!has_own && (is_end || step[i].peer > me)) {
            all = (struct symbol){all.from | own.from, hash_of(all.hash, own.hash)};
            has_own = 1;
        }
        if (is_end)
            break;
        others++;
        const struct symbol *got = received(check, me, i, k);
        if ((all.from | own.from) & got->from)
            return ronde__wrong("peer %d round %d: block %d gets peer %d's contribution twice", me,
                                step[i].round, block,
                                __builtin_ctzll((all.from | own.from) & got->from));
        all = (struct symbol){all.from | got->from, hash_of(all.hash, got->hash)};
    }
    if (others != check->p - 1) /* the executor finds its own place by who is missing */
        return ronde__wrong("peer %d round %d: block %d lacks peers in the pass that combines it",
                            me, step[first].round, block);
    peer->block[block] = all;
    return NULL;
}

static const char *finish_round(struct check *check, int me)
{
    struct peer *peer = &check->peer[me];
    const struct step *step = peer->list->step;
    int combined = 0;
    for (int32_t i = peer->begin; i < peer->end; i++) {
        int together = step[i].kind == STEP_RECV_COMBINE;
        if (ronde__step_is_send(&step[i]) || (together && combined))
            continue;
        combined |= together;
        for (int32_t k = 0; k < step[i].count; k++) {
            struct symbol *mine = &peer->block[step[i].first + k];
            const char *wrong = together ? combine_all(check, me, i, k)
                                         : combine(me, &step[i], step[i].first + k, mine,
                                                   received(check, me, i, k));
            if (wrong)
                return wrong;
        }
    }
    return post_round(check, me);
}

static const char *run(struct check *check)
{
    const char *wrong = NULL;
    for (int me = 0; !wrong && me < check->p; me++)
        wrong = post_round(check, me);
    int moved = 1;
    while (!wrong && moved) {
        moved = 0;
        for (int me = 0; !wrong && me < check->p; me++) {
            if (check->peer[me].begin == check->peer[me].end || !round_is_met(check, me))
                continue;
            wrong = finish_round(check, me);
            moved = 1;
        }
    }
    for (int me = 0; !wrong && me < check->p; me++) {
        const struct peer *peer = &check->peer[me];
        if (peer->begin < peer->end)
            wrong = ronde__wrong("deadlock: peer %d waits in round %d", me,
                                 peer->list->step[peer->begin].round);
    }
    return wrong;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static uint64_t wanted(const struct check *check, int32_t block)
{
    switch (check->algorithm) {
    case ALGORITHM_RING:
    case ALGORITHM_DOUBLING:
    case ALGORITHM_CIRCULANT:
    case ALGORITHM_SPREAD:
    case ALGORITHM_FLOOD: return check->p == 64 ? ~UINT64_C(0) : (UINT64_C(1) << check->p) - 1;
    case ALGORITHM_BINOMIAL: return UINT64_C(1) << check->root;
    case ALGORITHM_RING_GATHER: return UINT64_C(1) << block;
    }
    return 0;
}

/* Before the first round a peer holds its own contribution, where the block wants it. */
static void fill(struct check *check, int me)
{
    for (int32_t b = 0; b < check->blocks; b++) {
        uint64_t mine = wanted(check, b) & UINT64_C(1) << me;
        check->peer[me].block[b] = (struct symbol){mine, hash_of((uint64_t)me, (uint64_t)b)};
    }
}

static const char *check_result(const struct check *check)
{
    for (int me = 0; me < check->p; me++)
        for (int32_t b = 0; b < check->blocks; b++) {
            const struct symbol *mine = &check->peer[me].block[b];
            uint64_t missing = wanted(check, b) & ~mine->from;
            uint64_t alien = mine->from & ~wanted(check, b);
            if (missing)
                return ronde__wrong("peer %d block %d lacks peer %d's contribution", me, b,
                                    __builtin_ctzll(missing));
            if (alien)
                return ronde__wrong("peer %d block %d holds peer %d's data", me, b,
                                    __builtin_ctzll(alien));
            if (mine->hash != check->peer[0].block[b].hash)
                return ronde__wrong("peers 0 and %d combine block %d in different orders", me, b);
        }
    return NULL;
}

static int open_peer(struct check *check, int me)
{
    struct peer *peer = &check->peer[me];
    size_t steps = (size_t)peer->list->steps, sent = 0;
    peer->sent_at = malloc((steps + 1) * sizeof(*peer->sent_at));
    peer->partner = malloc((steps + 1) * sizeof(*peer->partner));
    peer->block = malloc((size_t)check->blocks * sizeof(*peer->block));
    if (!peer->sent_at || !peer->partner || !peer->block)
        return 0;
    for (size_t i = 0; i < steps; i++) {
        peer->sent_at[i] = (int32_t)sent;
        sent += (size_t)peer->list->step[i].count;
    }
    peer->sent = malloc((sent + 1) * sizeof(*peer->sent));
    if (!peer->sent)
        return 0;
    fill(check, me);
    return 1;
}

static void close_peer(struct peer *peer)
{
    free(peer->sent_at);
    free(peer->partner);
    free(peer->block);
    free(peer->sent);
}

static const char *check_lists(struct check *check)
{
    const char *wrong = NULL;
    for (int me = 0; !wrong && me < check->p; me++)
        wrong = ronde__check_list(check->peer[me].list, check->p, me, check->blocks);
    for (int me = 0; !wrong && me < check->p; me++)
        wrong = open_peer(check, me) ? NULL : out_of_memory;
    wrong = wrong ? wrong : match_all(check);
    wrong = wrong ? wrong : run(check);
    wrong = wrong ? wrong : check_result(check);
    for (int me = 0; !wrong && me < check->p; me++)
        wrong = ronde__check_volume(check->algorithm, check->p, me, check->peer[me].list);
    for (int me = 0; me < check->p; me++)
        close_peer(&check->peer[me]);
    return wrong;
}

const char *ronde__schedule_check_lists(enum algorithm algorithm, int p, int root,
                                        const struct schedule *const *lists)
{
    if (p < 1 || p > MOST_PEERS || root < 0 || root >= p)
        return ronde__wrong("%d peers, root %d: the check takes 1 to %d peers and a root of them",
                            p, root, MOST_PEERS);
    struct check *check = calloc(1, sizeof(*check));
    if (!check)
        return out_of_memory;
    check->algorithm = algorithm;
    check->p = p;
    check->root = root;
    check->blocks = ronde__algorithms[algorithm].blocks(p);
    for (int me = 0; me < p; me++)
        check->peer[me].list = lists[me];
    const char *wrong = check_lists(check);
    free(check);
    return wrong;
}

const char *ronde__schedule_check(enum algorithm algorithm, int p, int root)
{
    struct schedule *lists[MOST_PEERS] = {NULL};
    const struct schedule *constant[MOST_PEERS];
    const char *wrong = NULL;
    for (int me = 0; me < p && me < MOST_PEERS && root >= 0 && root < p; me++) {
        constant[me] = lists[me] = ronde__schedule(algorithm, p, me, root);
        wrong = lists[me] ? wrong : out_of_memory;
    }
    wrong = wrong ? wrong : ronde__schedule_check_lists(algorithm, p, root, constant);
    for (int me = 0; me < MOST_PEERS; me++)
        free(lists[me]);
    return wrong;
}
