/* ronde-test: np=1,2,3 np=4/2,3/1 mpich=2 */
/* What one rank alone cannot do when a context opens is an error on every rank, which names that rank and
 * its reason; nobody waits for ever, and the context that was open before is not disturbed.
 * (unit_opening.c does more of it, with ranks as threads.) */
#include "trial.h"

static void one_refuses(struct trial *trial, const char *settings, const char *of_last)
{
    char name[32];
    ronde_context *other = NULL;
    ronde_options options;
    ronde_options_init(&options, sizeof options);
    options.settings = trial->rank == trial->size - 1 ? of_last : settings;
    snprintf(name, sizeof name, "rank %d: ", trial->size - 1);
    EXPECT_STATUS(trial, RONDE_ERR_SYSTEM, ronde_open(&options, &other));
    EXPECT_ERROR(trial, name, "/no/such/folder/t.", "No such file");
    EXPECT(trial, !other, "an error, and a context");
    meet(trial, "after an error of opening");
}

/* Who waits for ranks that close is told so, in the users' words. */
static void ranks_that_close_are_said_to_close(struct trial *trial)
{
    ronde_context *other = NULL;
    ronde_options options;
    ronde_options_init(&options, sizeof options);
    options.settings = "stall_abort=0.5";
    EXPECT_STATUS(trial, RONDE_OK, ronde_open(&options, &other));
    if (trial->rank == trial->size - 1 && trial->size > 1) {
        EXPECT_STATUS(trial, RONDE_ERR_STALLED, ronde_barrier(other, "too late", NULL));
        EXPECT_ERROR(trial, "barrier 'too late'", "rank 0; it has pending ronde_close");
    }
    EXPECT_STATUS(trial, RONDE_OK, ronde_close(&other));
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    one_refuses(&trial, "", "timeline=/no/such/folder/t");
    one_refuses(&trial, "progress=caller", "progress=caller;timeline=/no/such/folder/t");
    one_refuses(&trial, "process_sets=0", "process_sets=0;timeline=/no/such/folder/t");
    ranks_that_close_are_said_to_close(&trial);
    return trial_end(&trial);
}
