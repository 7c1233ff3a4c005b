/* The algorithms are proved for every number of peers up to 64, and the prover is proved to notice:
 * each kind of defect is planted into lists that are right, and must be named. */
#include "collectives/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { MOST_PEERS = 64 };

static void check_all_sizes(enum algorithm algorithm)
{
    for (int p = 1; p <= MOST_PEERS; p++) {
        const char *wrong = ronde__schedule_check(algorithm, p, 0);
        CHECK_SAYING(!wrong, "%s, %d peers: %s", ronde__algorithms[algorithm].name, p, wrong);
    }
}

static void ring_is_right_for_every_size(void)
{
    check_all_sizes(ALGORITHM_RING);
}

static void doubling_is_right_for_every_size(void)
{
    check_all_sizes(ALGORITHM_DOUBLING);
}

static void circulant_is_right_for_every_size(void)
{
    check_all_sizes(ALGORITHM_CIRCULANT);
}

static void spread_is_right_for_every_size(void)
{
    check_all_sizes(ALGORITHM_SPREAD);
}

static void flood_is_right_for_every_size(void)
{
    check_all_sizes(ALGORITHM_FLOOD);
}

static void ring_gather_is_right_for_every_size(void)
{
    check_all_sizes(ALGORITHM_RING_GATHER);
}

static void binomial_is_right_for_every_size_and_root(void)
{
    for (int p = 1; p <= MOST_PEERS; p++)
        for (int root = 0; root < p; root++) {
            const char *wrong = ronde__schedule_check(ALGORITHM_BINOMIAL, p, root);
            CHECK_SAYING(!wrong, "binomial, %d peers, root %d: %s", p, root, wrong);
        }
}

static void lists_of_many_peers_keep_their_room(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int p = 65; p <= 1025; p += 160) {
            struct schedule *list = ronde__schedule((enum algorithm)a, p, p - 1, p / 2);
            CHECK(list);
            CHECK(list->steps > 0 && list->steps <= ronde__algorithms[a].most_steps(p));
            free(list);
        }
}

static void the_prover_refuses_what_it_cannot_prove(void)
{
    CHECK(ronde__schedule_check(ALGORITHM_RING, 65, 0));
    CHECK(ronde__schedule_check(ALGORITHM_RING, 0, 0));
    CHECK(ronde__schedule_check(ALGORITHM_BINOMIAL, 4, 4));
    CHECK(ronde__schedule_check(ALGORITHM_BINOMIAL, 4, -1));
}

/* ---- planted defects ------------------------------------------------------------------------- */

/* Right lists with room for a few more steps, to be broken. */
struct lists {
    enum algorithm algorithm;
    int p;
    struct schedule *list[MOST_PEERS];
};

static void lists_open(struct lists *lists, enum algorithm algorithm, int p)
{
    lists->algorithm = algorithm;
    lists->p = p;
    for (int me = 0; me < p; me++) {
        struct schedule *list = ronde__schedule(algorithm, p, me, 0);
        size_t room = (size_t)list->steps + 4;
        lists->list[me] = realloc(list, sizeof(*list) + room * sizeof(list->step[0]));
    }
}

static const char *lists_close(struct lists *lists)
{
    const struct schedule *constant[MOST_PEERS];
    for (int me = 0; me < lists->p; me++)
        constant[me] = lists->list[me];
    const char *wrong = ronde__schedule_check_lists(lists->algorithm, lists->p, 0, constant);
    for (int me = 0; me < lists->p; me++)
        free(lists->list[me]);
    return wrong;
}

static int names(const char *wrong, const char *words)
{
    if (wrong && strstr(wrong, words))
        return 1;
    fprintf(stderr, "expected \"%s\", got \"%s\"\n", words, wrong ? wrong : "no objection");
    return 0;
}

static void drop(struct schedule *list, int32_t at)
{
    memmove(&list->step[at], &list->step[at + 1],
            (size_t)(list->steps - at - 1) * sizeof(list->step[0]));
    list->steps--;
}

/* The n-th step of this kind; lists under test have one. */
static int32_t find(const struct schedule *list, int32_t kind, int n)
{
    for (int32_t i = 0; i < list->steps; i++)
        if (list->step[i].kind == kind && n-- == 0)
            return i;
    abort();
}

static void unbroken_lists_pass(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++) {
        struct lists lists;
        lists_open(&lists, (enum algorithm)a, 7);
        CHECK(!lists_close(&lists));
    }
}

static void every_dropped_step_is_noticed(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int me = 0; me < 6; me++)
            for (int32_t at = 0;; at++) {
                struct lists lists;
                lists_open(&lists, (enum algorithm)a, 6);
                int past = at >= lists.list[me]->steps;
                if (!past)
                    drop(lists.list[me], at);
                const char *wrong = lists_close(&lists);
                if (past)
                    break;
                CHECK_SAYING(wrong, "%s: peer %d step %d", ronde__algorithms[a].name, me, at);
            }
}

static void every_changed_field_is_noticed(void)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        for (int me = 0; me < 5; me++)
            for (int32_t at = 0;; at++) {
                int past = 0;
                for (int field = 0; field < 4 && !past; field++) {
                    struct lists lists;
                    lists_open(&lists, (enum algorithm)a, 5);
                    past = at >= lists.list[me]->steps;
                    struct step *step = &lists.list[me]->step[past ? 0 : at];
                    switch (field) {
                    case 0: step->peer = (step->peer + 1) % 5; break;
                    case 1: step->first++; break;
                    case 2: step->count++; break;
                    default: step->kind = (step->kind + 2) % 4; break;
                    }
                    const char *wrong = lists_close(&lists);
                    CHECK_SAYING(past || wrong, "%s: peer %d step %d field %d",
                                 ronde__algorithms[a].name, me, at, field);
                }
                if (past)
                    break;
            }
}

static void a_message_that_nobody_receives_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_RING, 4);
    drop(lists.list[1], find(lists.list[1], STEP_RECV, 2));
    CHECK(names(lists_close(&lists), "never receives"));
}

static void a_message_that_nobody_sends_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_RING_GATHER, 4);
    drop(lists.list[0], find(lists.list[0], STEP_SEND, 2));
    CHECK(names(lists_close(&lists), "never sends"));
}

static void a_missing_contribution_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_DOUBLING, 4);
    for (int me = 0; me < 4; me++) { /* the second exchange goes, on both sides */
        drop(lists.list[me], 3);
        drop(lists.list[me], 2);
    }
    CHECK(names(lists_close(&lists), "lacks"));
}

static void a_double_reduction_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_DOUBLING, 2);
    for (int me = 0; me < 2; me++) { /* the exchange comes again, one round later */
        struct schedule *list = lists.list[me];
        for (int k = 0; k < 2; k++) {
            list->step[list->steps] = list->step[k];
            list->step[list->steps++].round = 1;
        }
    }
    CHECK(names(lists_close(&lists), "twice"));
}

static void operands_the_wrong_way_round_are_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_DOUBLING, 8);
    struct schedule *list = lists.list[5];
    list->step[find(list, STEP_RECV_REDUCE, 0)].kind = STEP_RECV_REDUCE_INTO;
    CHECK(names(lists_close(&lists), "different orders"));
}

/* Two of what is combined in one pass change places on one peer. */
static void combining_in_another_order_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_FLOOD, 4);
    struct step *step = &lists.list[2]->step[find(lists.list[2], STEP_RECV_COMBINE, 0)];
    struct step first = step[0];
    step[0] = step[1];
    step[1] = first;
    CHECK(names(lists_close(&lists), "touch block 0 at once"));
}

static void a_contribution_left_out_of_the_pass_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_SPREAD, 5);
    struct schedule *from = lists.list[3], *to = lists.list[1];
    for (int32_t i = 0; i < from->steps; i++)
        if (from->step[i].kind == STEP_SEND && from->step[i].peer == 1 && !from->step[i].round) {
            drop(from, i);
            break;
        }
    for (int32_t i = 0; i < to->steps; i++)
        if (to->step[i].kind == STEP_RECV_COMBINE && to->step[i].peer == 3) {
            drop(to, i);
            break;
        }
    CHECK(names(lists_close(&lists), "lacks peers in the pass"));
}

static void combining_what_is_there_already_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_FLOOD, 3);
    for (int me = 0; me < 3; me++) { /* all of it once more */
        struct schedule *list = lists.list[me];
        int32_t once = list->steps;
        for (int32_t k = 0; k < once; k++) {
            list->step[list->steps] = list->step[k];
            list->step[list->steps++].round = 1;
        }
    }
    CHECK(names(lists_close(&lists), "twice"));
}

static void overwriting_instead_of_reducing_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_RING, 5);
    struct schedule *list = lists.list[3];
    list->step[find(list, STEP_RECV_REDUCE, 1)].kind = STEP_RECV;
    CHECK(names(lists_close(&lists), "lacks"));
}

/* Everybody sends before anybody receives: fine with buffers, a deadlock without. */
static void a_deadlock_that_buffers_would_hide_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_RING_GATHER, 4);
    for (int me = 0; me < 4; me++) {
        struct schedule *list = lists.list[me];
        for (int32_t i = 0; i < list->steps; i += 2) {
            struct step receive = list->step[i];
            list->step[i] = list->step[i + 1];
            list->step[i + 1] = receive;
            list->step[i].round = i;
            list->step[i + 1].round = i + 1;
        }
    }
    CHECK(names(lists_close(&lists), "deadlock"));
}

static void receiving_over_what_is_being_sent_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_BINOMIAL, 4);
    struct schedule *list = lists.list[2]; /* receives in round 0, sends in round 1 */
    for (int32_t i = 0; i < list->steps; i++)
        list->step[i].round = 0;
    CHECK(names(lists_close(&lists), "at once"));
}

static void sending_what_has_not_come_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_BINOMIAL, 2);
    lists.list[0]->step[0] = (struct step){STEP_RECV, 1, 0, 1, 0};
    lists.list[1]->step[0] = (struct step){STEP_SEND, 0, 0, 1, 0};
    CHECK(names(lists_close(&lists), "has not got"));
}

static void too_many_rounds_are_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_RING_GATHER, 3);
    for (int me = 0; me < 3; me++)
        for (int32_t i = 0; i < lists.list[me]->steps; i++)
            lists.list[me]->step[i].round++;
    CHECK(names(lists_close(&lists), "more than 2 rounds"));
}

/* Peer 2 gets its own block again: harmless but for the wire. */
static void too_much_volume_is_named(void)
{
    struct lists lists;
    lists_open(&lists, ALGORITHM_RING_GATHER, 4);
    lists.list[0]->step[lists.list[0]->steps++] = (struct step){STEP_SEND, 2, 2, 1, 2};
    lists.list[2]->step[lists.list[2]->steps++] = (struct step){STEP_RECV, 0, 2, 1, 2};
    CHECK(names(lists_close(&lists), "the bound is 3"));
}

int main(void)
{
    RUN(ring_is_right_for_every_size);
    RUN(doubling_is_right_for_every_size);
    RUN(circulant_is_right_for_every_size);
    RUN(spread_is_right_for_every_size);
    RUN(flood_is_right_for_every_size);
    RUN(ring_gather_is_right_for_every_size);
    RUN(binomial_is_right_for_every_size_and_root);
    RUN(lists_of_many_peers_keep_their_room);
    RUN(the_prover_refuses_what_it_cannot_prove);
    RUN(unbroken_lists_pass);
    RUN(every_dropped_step_is_noticed);
    RUN(every_changed_field_is_noticed);
    RUN(a_message_that_nobody_receives_is_named);
    RUN(a_message_that_nobody_sends_is_named);
    RUN(a_missing_contribution_is_named);
    RUN(a_double_reduction_is_named);
    RUN(operands_the_wrong_way_round_are_named);
    RUN(combining_in_another_order_is_named);
    RUN(a_contribution_left_out_of_the_pass_is_named);
    RUN(combining_what_is_there_already_is_named);
    RUN(overwriting_instead_of_reducing_is_named);
    RUN(a_deadlock_that_buffers_would_hide_is_named);
    RUN(receiving_over_what_is_being_sent_is_named);
    RUN(sending_what_has_not_come_is_named);
    RUN(too_many_rounds_are_named);
    RUN(too_much_volume_is_named);
    return check_result();
}
