/* The one wait primitive: no lost wake-up, deadlines, naps, and sleep that costs nothing. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "check.h"
#include "ronde.h"

static const int64_t millisecond = 1000000, second = 1000000000;

/* ---- two players ----------------------------------------------------------------------------- */

/* `turn` counts the hits; whose parity it has may hit. The ball is plain memory: the thread
 * sanitizer sees whether turns publish it. */
struct game {
    struct bell bell[2];
    _Atomic uint32_t turn;
    uint32_t ball;
};

struct player {
    struct game *game;
    uint32_t me, rounds;
    int64_t spin_ns;
    int yields, failed;
};

static int32_t my_turn(void *state)
{
    const struct player *player = state;
    uint32_t turn = atomic_load_explicit(&player->game->turn, memory_order_acquire);
    return turn % 2 == player->me ? RONDE__DONE : RONDE__IDLE;
}

static void *play(void *state)
{
    struct player *player = state;
    struct game *game = player->game;
    for (uint32_t round = 0; round < player->rounds && !player->failed; round++) {
        struct patience patience = {.spin_ns = player->spin_ns,
                                    .spin_now_ns = player->spin_ns,
                                    .yields = player->yields,
                                    .deadline_ns = ronde__now_ns() + 20 * second};
        int32_t said = ronde__wait_for(&game->bell[player->me], &patience, my_turn, player);
        player->failed = said != RONDE__DONE || game->ball != 2 * round + player->me;
        game->ball++;
        atomic_store_explicit(&game->turn, game->ball, memory_order_release);
        ronde__bell_ring(&game->bell[1 - player->me]);
    }
    return NULL;
}

/* Plays `rounds` between two threads; microseconds a round, or -1 where a wake-up was lost. */
static double play_with(uint32_t rounds, int64_t spin_ns, int yields)
{
    struct game game = {.ball = 0};
    struct player one = {&game, 0, rounds, spin_ns, yields, 0}, two = one;
    two.me = 1;
    pthread_t thread;
    int64_t begin = ronde__now_ns();
    if (pthread_create(&thread, NULL, play, &two))
        return -1;
    play(&one);
    pthread_join(thread, NULL);
    double took = (double)(ronde__now_ns() - begin) / 1e3;
    int asleep = atomic_load(&game.bell[0].asleep) || atomic_load(&game.bell[1].asleep);
    return one.failed || two.failed || asleep || game.ball != 2 * rounds ? -1 : took / rounds;
}

static double play_with_threads(uint32_t rounds, int64_t spin_ns)
{
    return play_with(rounds, spin_ns, 0);
}

static void no_wakeup_is_lost_in_100000_rounds_without_spinning(void)
{
    double us = play_with_threads(100000, 0);
    CHECK(us >= 0);
    printf("ping-pong asleep: %.2f us a round\n", us);
}

/* Spins end about when the other's hit comes, so that sleep and ring meet in every order. */
static void no_wakeup_is_lost_when_spins_end_as_rings_come(void)
{
    for (int64_t spin_ns = 1; spin_ns < 20000; spin_ns = spin_ns * 2 + 1)
        CHECK_SAYING(play_with_threads(5000, spin_ns) >= 0, "spin %lld ns", (long long)spin_ns);
}

static void spinning_threads_play_too(void)
{
    double us = play_with_threads(20000, ronde__patience(2, -1).spin_ns);
    CHECK(us >= 0);
    printf("ping-pong with a spin of %lld us: %.2f us a round\n",
           (long long)ronde__patience(2, -1).spin_ns / 1000, us);
}

static void processes_share_a_bell(void)
{
    struct game *game = mmap(NULL, sizeof(*game), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct player one = {game, 0, 2000, 0, 0, 0}, two = {game, 1, 2000, 0, 0, 0};
    int status = -1;
    CHECK(game != MAP_FAILED);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        play(&two);
        _exit(two.failed);
    }
    play(&one);
    waitpid(child, &status, 0);
    uint32_t ball = game->ball;
    munmap(game, sizeof(*game));
    CHECK(!one.failed && status == 0 && ball == 4000);
}

/* ---- one who waits --------------------------------------------------------------------------- */

/* Counts its steps; is done once `open`. */
struct gate {
    struct bell bell;
    _Atomic int32_t open;
    int steps;
    int32_t says; /* what a step reports while not open */
    struct patience *patience;
};

static int32_t look_at_gate(void *state)
{
    struct gate *gate = state;
    gate->steps++;
    if (gate->patience)
        gate->patience->deadline_ns = ronde__now_ns();
    return atomic_load_explicit(&gate->open, memory_order_acquire) ? RONDE__DONE : gate->says;
}

static void deadline_ends_the_wait_but_not_early(void)
{
    for (int64_t spin_ns = 0; spin_ns <= second; spin_ns += second / 2) {
        struct gate gate = {.steps = 0};
        int64_t deadline = ronde__now_ns() + 30 * millisecond;
        struct patience patience = {.spin_ns = spin_ns,
                                    .spin_now_ns = spin_ns,
                                    .deadline_ns = deadline};
        CHECK(ronde__wait_for(&gate.bell, &patience, look_at_gate, &gate) == RONDE_PENDING);
        int64_t late = ronde__now_ns() - deadline;
        CHECK_SAYING(late >= 0 && late < second, "%lld ns late", (long long)late);
        CHECK(atomic_load(&gate.bell.asleep) == 0);
    }
}

static void deadline_in_the_past_still_gives_one_step(void)
{
    struct gate closed = {.steps = 0}, open = {.open = 1};
    struct patience patience = {.deadline_ns = 1};
    CHECK(ronde__wait_for(&closed.bell, &patience, look_at_gate, &closed) == RONDE_PENDING);
    CHECK(closed.steps == 1);
    CHECK(ronde__wait_for(&open.bell, &patience, look_at_gate, &open) == RONDE__DONE);
}

static void errors_of_a_step_end_the_wait(void)
{
    struct gate gate = {.says = RONDE_ERR_PEER};
    struct patience patience = {.spin_ns = second, .spin_now_ns = second};
    CHECK(ronde__wait_for(&gate.bell, &patience, look_at_gate, &gate) == RONDE_ERR_PEER);
    CHECK(gate.steps == 1);
}

static void a_step_may_change_the_patience(void)
{
    struct patience patience = {.deadline_ns = 0}; /* would sleep for ever */
    struct gate gate = {.patience = &patience};
    CHECK(ronde__wait_for(&gate.bell, &patience, look_at_gate, &gate) == RONDE_PENDING);
}

static int32_t move_a_thousand_times(void *state)
{
    int *steps = state;
    return ++*steps < 1000 ? RONDE__MOVED : RONDE__DONE;
}

static void who_moves_does_not_sleep(void)
{
    struct bell bell = {0};
    struct patience patience = {.nap_ns = second};
    int steps = 0;
    int64_t begin = ronde__now_ns();
    CHECK(ronde__wait_for(&bell, &patience, move_a_thousand_times, &steps) == RONDE__DONE);
    CHECK(ronde__now_ns() - begin < second);
}

static void naps_look_again_without_a_ring(void)
{
    struct gate gate = {.steps = 0};
    struct patience patience = {.nap_ns = millisecond,
                                .deadline_ns = ronde__now_ns() + 100 * millisecond};
    CHECK(ronde__wait_for(&gate.bell, &patience, look_at_gate, &gate) == RONDE_PENDING);
    /* two steps a nap of at least 1 ms; a busy machine naps longer */
    CHECK_SAYING(gate.steps >= 10 && gate.steps <= 220, "%d steps in 100 naps", gate.steps);
}

static void idle_sleeper_uses_no_cpu(void)
{
    struct gate gate = {.steps = 0};
    struct patience patience = {.spin_ns = 50000,
                                .spin_now_ns = 50000,
                                .deadline_ns = ronde__now_ns() + 400 * millisecond};
    int64_t cpu = ronde__thread_cpu_ns();
    CHECK(ronde__wait_for(&gate.bell, &patience, look_at_gate, &gate) == RONDE_PENDING);
    cpu = ronde__thread_cpu_ns() - cpu;
    printf("400 ms of idle sleep: %.3f ms of CPU\n", (double)cpu / 1e6);
    CHECK_SAYING(cpu < 20 * millisecond, "%lld ns of CPU in 400 ms", (long long)cpu);
}

/* ---- ringing --------------------------------------------------------------------------------- */

static void ringing_nobody_touches_nothing(void)
{
    struct bell bells[3] = {{0}};
    ronde__bell_ring(&bells[0]);
    ronde__bell_ring_others((struct bell *[]){&bells[0], &bells[1], &bells[2]}, 3, 1);
    for (int i = 0; i < 3; i++)
        CHECK(atomic_load(&bells[i].rings) == 0);
}

struct waiter {
    struct bell *bell;
    _Atomic int32_t *open;
    int32_t said;
};

static int32_t look_at_open(void *state)
{
    struct waiter *waiter = state;
    return atomic_load_explicit(waiter->open, memory_order_acquire) ? RONDE__DONE : RONDE__IDLE;
}

static void *wait_at_gate(void *state)
{
    struct waiter *waiter = state;
    struct patience patience = {.deadline_ns = ronde__now_ns() + 20 * second};
    waiter->said = ronde__wait_for(waiter->bell, &patience, look_at_open, waiter);
    return NULL;
}

/* Waits until so many sleep on the bell. */
static void await_sleepers(struct bell *bell, uint32_t sleepers)
{
    while (atomic_load(&bell->asleep) < sleepers)
        usleep(1000);
    usleep(2000); /* from the mark into the kernel */
}

static void one_ring_wakes_every_sleeper(void)
{
    enum { SLEEPERS = 4 };
    struct bell bell = {0};
    _Atomic int32_t open = 0;
    struct waiter waiters[SLEEPERS];
    pthread_t threads[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) {
        waiters[i] = (struct waiter){&bell, &open, 0};
        CHECK(!pthread_create(&threads[i], NULL, wait_at_gate, &waiters[i]));
    }
    await_sleepers(&bell, SLEEPERS);
    atomic_store_explicit(&open, 1, memory_order_release);
    ronde__bell_ring(&bell);
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SLEEPERS; i++)
        CHECK(waiters[i].said == RONDE__DONE);
    CHECK(atomic_load(&bell.rings) == 1);
}

static void ring_others_leaves_ones_own_bell_alone(void)
{
    enum { RANKS = 3, ME = 1 };
    struct bell bells[RANKS] = {{0}};
    struct bell *list[RANKS] = {&bells[0], &bells[1], &bells[2]};
    _Atomic int32_t open = 0;
    struct waiter waiters[RANKS];
    pthread_t threads[RANKS];
    for (int i = 0; i < RANKS; i++) {
        waiters[i] = (struct waiter){&bells[i], &open, 0};
        CHECK(!pthread_create(&threads[i], NULL, wait_at_gate, &waiters[i]));
    }
    for (int i = 0; i < RANKS; i++)
        await_sleepers(&bells[i], 1);
    atomic_store_explicit(&open, 1, memory_order_release);
    ronde__bell_ring_others(list, RANKS, ME);
    pthread_join(threads[0], NULL);
    pthread_join(threads[2], NULL);
    uint32_t own_rings = atomic_load(&bells[ME].rings),
             own_sleepers = atomic_load(&bells[ME].asleep);
    ronde__bell_ring(&bells[ME]);
    pthread_join(threads[ME], NULL);
    CHECK(own_rings == 0 && own_sleepers == 1);
    for (int i = 0; i < RANKS; i++)
        CHECK(waiters[i].said == RONDE__DONE);
}

/* A round is then two switches of the one CPU; each player may spin for far longer than that, and would
 * keep the other from its CPU if it did. */
static void players_on_one_cpu_give_it_to_each_other(void)
{
    cpu_set_t all, one;
    CHECK(!sched_getaffinity(0, sizeof all, &all));
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    int more = ronde__cpu_count_of_node() + 1;
    CHECK(!ronde__patience(1, -1).yields && ronde__patience(more, -1).yields);
    CHECK(!sched_setaffinity(0, sizeof one, &one)); /* threads inherit it */
    int64_t spin_ns = ronde__patience(more, -1).spin_ns;
    double yielding = play_with(2000, spin_ns, 1), spinning = play_with(2000, spin_ns, 0);
    CHECK(!sched_setaffinity(0, sizeof all, &all));
    printf("ping-pong on one CPU: yielding %.2f us a round, spinning %.2f\n", yielding, spinning);
    CHECK(yielding >= 0 && spinning >= 0);
}

int main(void)
{
    RUN(processes_share_a_bell); /* first: forks while no thread ever ran */
    RUN(no_wakeup_is_lost_in_100000_rounds_without_spinning);
    RUN(no_wakeup_is_lost_when_spins_end_as_rings_come);
    RUN(spinning_threads_play_too);
    RUN(deadline_ends_the_wait_but_not_early);
    RUN(deadline_in_the_past_still_gives_one_step);
    RUN(errors_of_a_step_end_the_wait);
    RUN(a_step_may_change_the_patience);
    RUN(who_moves_does_not_sleep);
    RUN(naps_look_again_without_a_ring);
    RUN(idle_sleeper_uses_no_cpu);
    RUN(ringing_nobody_touches_nothing);
    RUN(one_ring_wakes_every_sleeper);
    RUN(ring_others_leaves_ones_own_bell_alone);
    RUN(players_on_one_cpu_give_it_to_each_other);
    return check_result();
}
