/* ronde-test: np=4/2 threads=4/2,3/1 timeout=60 */
/* A deadline ends tensors of a batch while another node's announcement of it is on its way: that one is
 * void, and what its ranks submit next is met by everybody. */
#include "trial.h"

enum { ROUNDS = 3, STEPS = 6 };

static int32_t submit(struct trial *trial, const char *name, int32_t *data, double deadline,
                      uint64_t *handle)
{
    ronde_call call = call_in(0);
    call.deadline = deadline;
    *data = 1;
    return ronde_allreduce_async(trial->context, name, data, data, 1, RONDE_INT32, RONDE_SUM, &call,
                                 handle);
}

/* Those tensors of the batch whose bit is set; the bits of those that a deadline has ended. */
static unsigned attempt(struct trial *trial, unsigned bits, double deadline, const char *when)
{
    static const char *const names[2] = {"a", "b"};
    uint64_t handles[2];
    int32_t data[2];
    unsigned ended = 0;
    for (int i = 0; i < 2; i++)
        if (bits >> i & 1)
            EXPECT_STATUS(trial, RONDE_OK,
                          submit(trial, names[i], &data[i], deadline, &handles[i]));
    for (int i = 0; i < 2; i++) {
        int32_t status = bits >> i & 1 ? ronde_wait(trial->context, handles[i]) : RONDE_OK;
        if (status == RONDE_ERR_STALLED)
            ended |= 1u << i;
        else if (bits >> i & 1)
            EXPECT(trial, !status && data[i] == trial->size, "%s: '%s' has status %d, sum %d", when,
                   names[i], (int)status, (int)data[i]);
    }
    return ended;
}

/* The first rank gives up after 0.1 s. The last, on a node whose leader sleeps, submits meanwhile: its
 * attempt fails with the first's (or, where this machine was slow, meets everybody's second). */
static void one_round(struct trial *trial)
{
    enum { BOTH = 3 };
    unsigned left = BOTH;
    int last = trial->rank == trial->size - 1;
    meet(trial, "before");
    nap(1.3); /* leaders look for messages every 0.5 s now */
    if (trial->rank == 0) {
        left = attempt(trial, BOTH, 0.1, "a deadline of 0.1 s");
        EXPECT(trial, left == BOTH, "a deadline of 0.1 s ended %u of %u", left, (unsigned)BOTH);
        nap(0.2);
    } else if (last) {
        nap(0.05);
        left = attempt(trial, BOTH, 0, "while it passes");
    } else {
        nap(0.6);
    }
    EXPECT(trial, !attempt(trial, left, 0, "the second attempt"), "the second attempt stalled");
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    for (int i = 0; i < STEPS; i++)
        EXPECT(&trial, !attempt(&trial, 3, 0, "the batch settles"), "it stalled");
    for (int i = 0; i < ROUNDS; i++)
        one_round(&trial);
    return trial_end(&trial);
}
