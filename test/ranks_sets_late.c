/* ronde-test: np=2,3 np=4/2,3/1 threads=2,3,4/2 mpich=2 settings=stall_abort=0.6 timeout=60 */
/* ronde-test: np=3 threads=4/2 settings=stall_abort=0.6;progress=caller timeout=60 */
/* Calls that make and remove process sets and wait in vain: they fail alike on all ranks, the late one
 * too, and count alike, so that the next ones meet; a removal waits for what is stuck in its set, and
 * then the set is gone everywhere; and the context closes. */
#include "trial.h"

enum { LATE_MS = 1100 }; /* later than stall_abort */

static int is_late(const struct trial *trial)
{
    return trial->rank == trial->size - 1;
}

static int32_t add(struct trial *trial, int32_t wanted)
{
    static const int32_t ranks[] = {1, 0};
    int32_t set = -7;
    EXPECT_STATUS(trial, wanted, ronde_process_set_add(trial->context, ranks, 2, &set));
    EXPECT(trial, wanted == RONDE_OK ? set > 0 : set == -7, "set %d", (int)set);
    return set;
}

static void set_works(struct trial *trial, int32_t set)
{
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.process_set = set;
    if (trial->rank < 2)
        EXPECT_STATUS(trial, RONDE_OK, ronde_barrier(trial->context, "in the set", &call));
}

/* Those in time give up, and wait for the late one in the next call already when it comes. */
static void a_late_addition_fails_on_all_and_the_next_meets(struct trial *trial)
{
    if (is_late(trial))
        nap(LATE_MS * 1e-3);
    add(trial, RONDE_ERR_STALLED);
    EXPECT_ERROR(trial, "ronde_process_set_add", "rank");
    EXPECT(trial, !strstr(ronde_last_error(), "allgather"), "\"%s\"", ronde_last_error());
    int32_t set = add(trial, RONDE_OK);
    set_works(trial, set);
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, set));
}

/* Another call after the one that failed: they do not meet crosswise. */
static void a_late_removal_fails_on_all_and_the_set_stays(struct trial *trial)
{
    int32_t set = add(trial, RONDE_OK), other;
    if (is_late(trial))
        nap(LATE_MS * 1e-3);
    EXPECT_STATUS(trial, RONDE_ERR_STALLED, ronde_process_set_remove(trial->context, set));
    EXPECT_ERROR(trial, "ronde_process_set_remove", "rank");
    other = add(trial, RONDE_OK);
    EXPECT(trial, other != set, "number %d again", (int)set);
    set_works(trial, set);
    set_works(trial, other);
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, set));
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, other));
}

/* What stalls in the set ends, and then the removal does. */
static void a_removal_waits_for_what_is_stuck_in_the_set(struct trial *trial)
{
    for (int round = 0; round < 2; round++) {
        ronde_call call;
        uint64_t handle = 0;
        int32_t set = add(trial, RONDE_OK);
        ronde_call_init(&call, sizeof call);
        call.process_set = set;
        if (round == 1 &&
            trial->rank == 0) /* the removal has stalled before what it waits for has */
            nap(0.4);
        if (trial->rank == 1 - round)
            EXPECT_STATUS(trial, RONDE_OK,
                          ronde_barrier_async(trial->context, "forgotten", &call, &handle));
        EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, set));
        if (trial->rank == 1 - round) {
            EXPECT_STATUS(trial, RONDE_ERR_STALLED, ronde_wait(trial->context, handle));
            EXPECT_ERROR(trial, "barrier 'forgotten'", "waits");
            EXPECT(trial, !strstr(ronde_last_error(), "bool"), "\"%s\"", ronde_last_error());
        }
        EXPECT(trial, ronde_process_set_size(trial->context, set) == -1, "set %d is there",
               (int)set);
        EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET, ronde_process_set_remove(trial->context, set));
    }
}

/* A joined rank takes no part: that is said, and no crash. */
static void a_call_beside_a_joined_rank_is_an_error(struct trial *trial)
{
    uint64_t handle = 0;
    int32_t set = -7;
    const int32_t first = 0;
    if (is_late(trial))
        EXPECT_STATUS(trial, RONDE_OK, ronde_join_async(trial->context, NULL, NULL, &handle));
    meet_directly(trial);
    if (!is_late(trial)) {
        EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                      ronde_process_set_add(trial->context, &first, 1, &set));
        EXPECT_ERROR(trial, "ronde_process_set_add", "has joined");
        EXPECT_STATUS(trial, RONDE_OK, ronde_join_async(trial->context, NULL, NULL, &handle));
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
    set_works(trial, add(trial, RONDE_OK)); /* left to closing */
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    meet_directly(&trial);
    a_late_addition_fails_on_all_and_the_next_meets(&trial);
    a_late_removal_fails_on_all_and_the_set_stays(&trial);
    a_removal_waits_for_what_is_stuck_in_the_set(&trial);
    a_call_beside_a_joined_rank_is_an_error(&trial);
    return trial_end(&trial);
}
