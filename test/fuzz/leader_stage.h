/* A leader alone on a stage, for the fuzzer and for unit tests: six ranks on four nodes, of which only
 * this leader exists; the others are what the test makes them say. Whatever that is, the leader answers
 * with a status, RONDE_ERR_SYSTEM and a text; what it sends can be read; and the leader of another node
 * can follow what the root decides. */
#ifndef RONDE_TEST_LEADER_STAGE_H
#define RONDE_TEST_LEADER_STAGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "coordinator/leader.h"

/* Node 0 (root): ranks 0 and 1, children nodes 1 and 2. Node 1: ranks 2 and 3, child node 3. */
enum { STAGE_SIZE = 6, STAGE_LOCAL = 2, STAGE_UP_BYTES = 1 << 13, STAGE_DOWN_BYTES = 1 << 16 };
enum { STAGE_ROOT = 0, STAGE_MIDDLE = 2, STAGE_FOLLOWER = 4 }; /* ranks that lead */

struct stage {
    struct leader leader;
    struct link link;
    struct ring *up[STAGE_LOCAL];
    struct lobby lobby;
    struct lobby_rank of[STAGE_LOCAL];
    struct bell *named[STAGE_LOCAL];
    uint64_t lamport;
};

static struct net *stage_nets[STAGE_SIZE];
static struct settings stage_settings;
static struct tuner stage_tuner;
static int stage_tells;   /* what was refused, and why */
static int stage_refused; /* how often something was */

__attribute__((noreturn)) static inline void stage_fail(const char *what)
{
    fprintf(stderr, "%s; last error: %s\n", what, ronde_last_error());
    abort();
}

static inline void stage_open_once(void)
{
    static const int node_of[STAGE_SIZE] = {0, 0, 1, 1, 2, 3};
    if (stage_nets[0])
        return;
    if (ronde__net_open_threads(STAGE_SIZE, node_of, stage_nets) ||
        ronde__settings_read(&stage_settings, "cache_capacity=6;fusion_threshold=1m;"
                                              "stall_warn=3600;stall_abort=7200") ||
        ronde__select_read(&stage_tuner.select, ""))
        stage_fail("no stage");
    stage_tuner.threshold = stage_settings.fusion_threshold;
}

static inline struct ring *stage_ring(uint32_t bytes, uint32_t readers)
{
    size_t all = ronde__ring_bytes(bytes, readers);
    size_t rounded = (all + RING_LINE - 1) / RING_LINE * RING_LINE;
    struct ring *ring = aligned_alloc(RING_LINE, rounded);
    if (!ring)
        stage_fail("no memory");
    memset(ring, 0, rounded);
    ronde__ring_place(ring, bytes, readers);
    return ring;
}

static inline void stage_open(struct stage *stage, int rank)
{
    static const int global[STAGE_SIZE] = {0, 1, 2, 3, 4, 5}, lobby_ranks[STAGE_LOCAL] = {0, 1};
    static const struct log silence = {.level = -1};
    stage_open_once();
    memset(stage, 0, sizeof(*stage));
    struct net *net = stage_nets[rank];
    for (int i = 0; i < net->local_size; i++) {
        stage->up[i] = stage_ring(STAGE_UP_BYTES, 1);
        stage->named[i] = &stage->of[i].named;
    }
    stage->link = (struct link){stage->up, stage_ring(STAGE_DOWN_BYTES, (uint32_t)net->local_size)};
    stage->lobby = (struct lobby){.net = net, .of = stage->of, .named = stage->named};
    const struct leader_place place = {.net = net,
                                       .link = &stage->link,
                                       .lobby = &stage->lobby,
                                       .lobby_ranks = lobby_ranks,
                                       .global = global,
                                       .settings = &stage_settings,
                                       .log = &silence,
                                       .tuner = &stage_tuner,
                                       .lamport = &stage->lamport};
    if (ronde__leader_open(&stage->leader, &place))
        stage_fail("no leader");
}

/* Letters that a leader's posts have left. */
static inline void stage_drop_mail(void)
{
    for (int rank = 0; rank < STAGE_SIZE; rank++)
        for (;;) {
            int from;
            void *message;
            size_t bytes;
            ronde__net_poll(stage_nets[rank], &from, &message, &bytes);
            if (!message)
                break;
            free(message);
        }
}

static inline void stage_close(struct stage *stage)
{
    ronde__leader_close(&stage->leader);
    for (int i = 0; i < STAGE_LOCAL; i++)
        free(stage->up[i]);
    free(stage->link.down);
    stage_drop_mail();
}

/* 1 where it is no error; an error is this one, and says why. */
static inline int stage_goes_on(int32_t status)
{
    if (status >= 0)
        return 1;
    if (status != RONDE_ERR_SYSTEM || !*ronde_last_error())
        stage_fail("not the status of a bad message");
    stage_refused++;
    if (stage_tells)
        printf("  %s\n", ronde_last_error());
    return 0;
}

/* ---- what comes out -------------------------------------------------------------------------- */

static inline void stage_check_record(const void *bytes, size_t n)
{
    struct record record;
    if (!ronde__record_read(&record, bytes, n))
        stage_fail("the leader wrote what cannot be read");
}

/* Reads the node's decisions, as its ranks would; a ring that is empty takes any decision. */
static inline void stage_read_down(struct stage *stage)
{
    const struct leader *leader = &stage->leader;
    size_t n, records = 0;
    const void *record;
    for (uint32_t reader = 0; reader < stage->link.down->readers; reader++)
        while ((record = ronde__ring_peek(stage->link.down, reader, &n))) {
            stage_check_record(record, n);
            ronde__ring_pass(stage->link.down, reader);
            records++;
        }
    if (!records && leader->down.bytes)
        stage_fail("a decision fits into no ring");
}

/* Reads what was posted to a rank; `follower`, where there is one, takes it. */
static inline void stage_read_mail(int rank, struct leader *follower)
{
    for (;;) {
        int from;
        void *message;
        size_t bytes, at = sizeof(struct message_head), n;
        ronde__net_poll(stage_nets[rank], &from, &message, &bytes);
        if (!message)
            return;
        const char *record;
        while (ronde__record_next(message, bytes, &at, &record, &n))
            stage_check_record(record, n);
        if (at != bytes)
            stage_fail("the leader posted what cannot be read");
        at = sizeof(struct message_head);
        if (follower && ronde__leader_take(follower, from, (char *)message + at, bytes - at))
            stage_fail("no other leader can follow this decision");
        free(message);
    }
}

/* ---- what goes on ---------------------------------------------------------------------------- */

/* Steps; the root decides at once. 1 where no error came. */
static inline int stage_step(struct stage *stage, struct stage *follower)
{
    struct leader *leader = &stage->leader;
    int64_t soon = ronde__now_ns() + 1000000000;
    int32_t said = ronde__leader_step(leader);
    if (said >= 0 && leader->is_root)
        said = ronde__leader_decide(leader, soon);
    if (said >= 0)
        said = ronde__leader_step(leader);
    if (!stage_goes_on(said))
        return 0;
    stage_read_down(stage);
    for (int rank = 0; rank < STAGE_SIZE; rank++)
        stage_read_mail(rank, follower && rank == STAGE_FOLLOWER ? &follower->leader : NULL);
    return 1;
}

/* Hours later. What is ready is decided before, as in a step. */
static inline int stage_stall(struct stage *stage, struct stage *follower, int hours)
{
    int64_t later = ronde__now_ns() + hours * (int64_t)3600 * 1000000000;
    if (!stage_step(stage, follower))
        return 0;
    stage->leader.stall_check_ns = 0;
    int goes_on = stage_goes_on(ronde__leader_check_stalls(&stage->leader, later));
    stage->leader.stall_check_ns = 0;
    return goes_on;
}

#endif
