/* A node of ranks as threads, for tests of what runs through its slots: shared memory, bells and
 * arenas, and guarded places for tensors in private memory and in the arena. */
#ifndef RONDE_TEST_NODE_TEAM_H
#define RONDE_TEST_NODE_TEAM_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/clock.h"
#include "check.h"
#include "collectives/node.h"
#include "net/net.h"
#include "ronde.h"

enum {
    TEAM_MOST = 8,
    TEAM_SLICE_BYTES = 4096, /* small, so that few bytes make many slices */
    TEAM_SLOTS = 3,
    TEAM_WIRE_BYTES = 1 << 20,
    TEAM_AREA_BYTES = 4 << 20, /* per rank and kind of memory */
    TEAM_GUARD = 64,
    TEAM_SLEEPY = 5 /* in a team of so many, rank 2 has no CPU of its own */
};

/* Where a tensor may lie. */
enum team_memory { PRIVATE_IN, PRIVATE_OUT, ARENA_IN, ARENA_OUT, TEAM_AREAS };

struct team {
    int ranks;
    int turn; /* rank r of the node is number (r - turn) of the arena */
    char *memory;
    struct bell bells[TEAM_MOST];
    struct bell *bell_list[TEAM_MOST];
    int arena_ranks[TEAM_MOST];
    struct net *nets[TEAM_MOST];
    void (*script)(struct team *, struct node *, char *const *areas);
};

struct team_rank {
    struct team *team;
    struct net *net;
};

/* Drives the running operation of a rank to its end; 1 where it came. */
static inline int team_finish(struct team *team, struct node *node)
{
    struct patience patience = ronde__patience(team->ranks, -1);
    patience.deadline_ns = ronde__now_ns() + 60 * (int64_t)1000000000;
    struct bell *bell = team->bell_list[node->me];
    return ronde__wait_for(bell, &patience, ronde__node_step, node) == RONDE__DONE;
}

/* The next place in an area, for `bytes` that lie `skew` off a cache line, with guard bytes on both
 * sides; all of it becomes 0xAA. */
static inline char *team_place(char *area, size_t *at, size_t bytes, size_t skew)
{
    char *place = area + (*at + 2 * TEAM_GUARD - 1) / TEAM_GUARD * TEAM_GUARD + skew;
    *at = (size_t)(place - area) + bytes;
    if (*at + TEAM_GUARD > TEAM_AREA_BYTES)
        abort();
    memset(place - TEAM_GUARD, 0xAA, bytes + 2 * TEAM_GUARD);
    return place;
}

static inline int team_is_untouched(const char *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (memory[i] != (char)0xAA)
            return 0;
    return 1;
}

static inline int team_guards_stand(const char *place, size_t bytes)
{
    return team_is_untouched(place - TEAM_GUARD, TEAM_GUARD) &&
           team_is_untouched(place + bytes, TEAM_GUARD);
}

static inline void team_open_areas(char **areas, struct arena *arena)
{
    for (int i = 0; i < TEAM_AREAS; i++) {
        void *memory = NULL;
        if (i < ARENA_IN)
            memory = aligned_alloc(TEAM_GUARD, TEAM_AREA_BYTES);
        else
            ronde__arena_take(arena, TEAM_AREA_BYTES, &memory);
        areas[i] = memory;
    }
}

static inline void team_run_node(struct team *team, struct net *net, struct arena *arena)
{
    struct slots slots;
    struct node node;
    char *areas[TEAM_AREAS];
    int me = (net->local_rank + team->turn) % team->ranks;
    team_open_areas(areas, arena);
    ronde__slots_place(&slots, team->memory, team->ranks, TEAM_SLICE_BYTES, TEAM_SLOTS,
                       TEAM_WIRE_BYTES, team->bell_list);
    int spins = !(team->ranks == TEAM_SLEEPY && me == 2);
    int32_t status = ronde__node_open(&node, &slots, me, arena,
                                      team->turn ? team->arena_ranks : NULL, spins);
    CHECK(!status && areas[PRIVATE_IN] && areas[PRIVATE_OUT] && areas[ARENA_IN] &&
          areas[ARENA_OUT]);
    team->script(team, &node, areas);
    const struct rank_slots *mine = &slots.of[me];
    CHECK_SAYING(atomic_load(&mine->in) == node.slice && atomic_load(&mine->out) == node.slice &&
                     atomic_load(&mine->reduced) == node.slice,
                 "%d ranks, rank %d: %llu slices, but in %llu, reduced %llu, out %llu", team->ranks,
                 me, (unsigned long long)node.slice, (unsigned long long)atomic_load(&mine->in),
                 (unsigned long long)atomic_load(&mine->reduced),
                 (unsigned long long)atomic_load(&mine->out));
    ronde__node_close(&node);
    free(areas[PRIVATE_IN]);
    free(areas[PRIVATE_OUT]);
}

static inline void *team_run_rank(void *state)
{
    struct team_rank *rank = state;
    struct net *net = rank->net;
    struct arena *arena = NULL;
    char here = 1, all[TEAM_MOST];
    if (ronde__arena_open(&arena, net, 4 * (size_t)TEAM_AREA_BYTES))
        check_fail(__FILE__, __LINE__, "%s", ronde_last_error());
    else
        team_run_node(rank->team, net, arena);
    ronde__net_allgather(net, &here, 1, all); /* nobody uses the arena any more */
    ronde__arena_close(arena, net);
    ronde__net_close(net);
    return NULL;
}

/* Every rank runs the script, which starts the same operations on all. */
static inline void team_run(int ranks, int turn,
                            void (*script)(struct team *, struct node *, char *const *areas))
{
    struct team team = {.ranks = ranks, .turn = turn % ranks, .script = script};
    struct team_rank state[TEAM_MOST];
    pthread_t threads[TEAM_MOST];
    const int node_of[TEAM_MOST] = {0};
    size_t bytes = ronde__slots_bytes(ranks, TEAM_SLICE_BYTES, TEAM_SLOTS, TEAM_WIRE_BYTES);
    team.memory = aligned_alloc(SLOTS_LINE, (bytes + SLOTS_LINE - 1) / SLOTS_LINE * SLOTS_LINE);
    CHECK(team.memory && !ronde__net_open_threads(ranks, node_of, team.nets));
    memset(team.memory, 0, bytes);
    for (int rank = 0; rank < ranks; rank++) {
        team.bell_list[rank] = &team.bells[rank];
        team.arena_ranks[rank] = (rank + ranks - team.turn) % ranks;
        state[rank] = (struct team_rank){&team, team.nets[rank]};
    }
    for (int rank = 0; rank < ranks; rank++)
        CHECK(!pthread_create(&threads[rank], NULL, team_run_rank, &state[rank]));
    for (int rank = 0; rank < ranks; rank++)
        pthread_join(threads[rank], NULL);
    free(team.memory);
}

#endif
