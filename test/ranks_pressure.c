/* ronde-test: np=2,3 threads=2,3,4/2 settings=stall_abort=1 timeout=60 */
/* ronde-test: threads=2 settings=progress=caller;stall_abort=1 args=caller timeout=60 */
/* More than the rings of the control path hold, and decisions that meet ranks in unusual states. */
#include "trial.h"

enum { TENSORS = 2000 };

static uint64_t submit(struct trial *trial, const char *name, float *data)
{
    uint64_t handle = 0;
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(trial->context, name, data, data, 1, RONDE_FLOAT32,
                                        RONDE_SUM, NULL, &handle));
    return handle;
}

/* Names for more than one ring: 200 bytes each. */
static void submit_all(struct trial *trial, float *data, uint64_t *handles, char letter)
{
    char name[256];
    memset(name, letter, 200);
    for (int i = 0; i < TENSORS; i++) {
        snprintf(name + 200, sizeof name - 200, "%d", i);
        data[i] = 1;
        handles[i] = submit(trial, name, &data[i]);
    }
}

/* Rank 0, which leads, is late: the others' rings are full, and they wait as if they were not. */
static void waiting_before_a_full_ring_keeps_its_deadline(struct trial *trial)
{
    float *data = calloc(TENSORS, sizeof *data);
    uint64_t *handles = calloc(TENSORS, sizeof *handles);
    if (trial->rank == 0)
        nap(0.6);
    submit_all(trial, data, handles, 'f');
    if (trial->rank != 0) {
        double start = now();
        EXPECT_STATUS(trial, RONDE_PENDING,
                      ronde_wait_for(trial->context, handles[TENSORS - 1], 0.2));
        EXPECT(trial, now() - start < 0.5, "waited %.2f s for 0.2 s", now() - start);
    }
    for (int i = 0; i < TENSORS; i++) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        EXPECT(trial, data[i] == (float)trial->size, "tensor %d is %g", i, (double)data[i]);
    }
    meet_directly(trial);
    free(data);
    free(handles);
}

/* All but the last rank submit; the last does nothing at all, not even read what is decided. */
static void stalls_by_the_thousand_reach_everybody(struct trial *trial)
{
    float *data = calloc(TENSORS, sizeof *data);
    uint64_t *handles = calloc(TENSORS, sizeof *handles);
    int idle = trial->rank == trial->size - 1;
    meet_directly(trial);
    if (!idle)
        submit_all(trial, data, handles, 's');
    for (int i = 0; i < TENSORS && !idle; i++)
        EXPECT_STATUS(trial, RONDE_ERR_STALLED, ronde_wait_for(trial->context, handles[i], 20));
    meet_directly(trial);
    free(data);
    free(handles);
}

/* The root is through with a broadcast and stalls on the next of that name, while another rank
 * has been told to run the first and has not: the error is not the first one's. */
static void a_stall_does_not_hit_what_is_decided(struct trial *trial)
{
    float in = 7, out = 0;
    uint64_t handle = 0;
    meet_directly(trial);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast_async(trial->context, "twice", &in, &out, 1, RONDE_FLOAT32, 0,
                                        NULL, &handle));
    if (trial->rank == 0) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait_for(trial->context, handle, 20));
        EXPECT_STATUS(trial, RONDE_ERR_STALLED,
                      ronde_broadcast(trial->context, "twice", &in, &out, 1, RONDE_FLOAT32, 0,
                                      NULL));
    } else {
        ronde_poll(trial->context, handle);
        nap(2);
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handle));
        EXPECT(trial, out == 7, "broadcast %g", (double)out);
    }
    meet_directly(trial);
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    int callers_only = argc > 1 && !strcmp(argv[1], "caller"); /* then an idle rank reads nothing */
    struct trial trial = trial_begin(context);
    waiting_before_a_full_ring_keeps_its_deadline(&trial);
    if (!callers_only)
        stalls_by_the_thousand_reach_everybody(&trial);
    a_stall_does_not_hit_what_is_decided(&trial);
    meet(&trial, "after all that");
    return trial_end(&trial);
}
