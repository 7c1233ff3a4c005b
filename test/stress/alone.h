/* What one rank alone does wrong between its submissions: it fails at once, and harms nobody. */
#ifndef RONDE_TEST_STRESS_ALONE_H
#define RONDE_TEST_STRESS_ALONE_H

#include "plan.h"

static inline void bad_call(struct trial *trial, size_t which)
{
    ronde_context *c = trial->context;
    ronde_call call = call_in(0);
    double in[8] = {0}, out[8];
    size_t splits[MOST_RANKS] = {0}, huge = SIZE_MAX / 4;
    uint64_t handle = 4711;
    int32_t wanted = RONDE_ERR_ARGUMENT, status = RONDE_OK;
    switch (which) {
    case 0:
        status = ronde_broadcast_async(c, "x", in, out, 8, 0, trial->size, NULL, &handle);
        break;
    case 1: status = ronde_allreduce_async(c, "x", in, out, 8, 77, 0, NULL, &handle); break;
    case 2:
        status = ronde_allreduce_async(c, "x", in, out, 8, RONDE_INT8, -1, NULL, &handle);
        break;
    case 3: status = ronde_allreduce_async(c, "", in, out, 8, RONDE_INT8, 0, NULL, &handle); break;
    case 4:
        status = ronde_allreduce_async(c, "x", NULL, out, 8, RONDE_INT8, 0, NULL, &handle);
        break;
    case 5:
        wanted = RONDE_ERR_OVERFLOW;
        status = ronde_allreduce_async(c, "x", in, out, huge, RONDE_INT64, 0, NULL, &handle);
        break;
    case 6:
        call.process_set = 4711;
        wanted = RONDE_ERR_PROCESS_SET;
        status = ronde_barrier_async(c, "x", &call, &handle);
        break;
    case 7:
        wanted = RONDE_ERR_HANDLE;
        status = ronde_wait(c, UINT64_C(0x7fff00000001));
        break;
    case 8:
        splits[0] = 3;
        status = ronde_alltoall_async(c, "x", in, splits, 2, 1, RONDE_INT8, out, 8, NULL, NULL,
                                      &handle);
        break;
    case 9:
        status = ronde_allreduce_async(c, "x", in, in + 1, 4, RONDE_FLOAT64, 0, NULL, &handle);
        break;
    case 10: status = ronde_barrier_async(c, "x", NULL, NULL); break;
    case 11:
        call.group = 4711;
        status = ronde_allreduce_async(c, "x", in, out, 4, RONDE_FLOAT64, 0, &call, &handle);
        break;
    case 12: status = ronde_group_end(c, 4711); break;
    case 13: status = ronde_send_async(c, "x", in, 4, RONDE_INT8, -1, NULL, &handle); break;
    default:
        call.weight = -1;
        status = ronde_allreduce_async(c, "x", in, out, 4, RONDE_FLOAT64, RONDE_WEIGHTED_AVERAGE,
                                       &call, &handle);
        break;
    }
    EXPECT(trial, status == wanted && handle == 4711, "bad call %zu: %s, not %s", which,
           ronde_status_name(status), ronde_status_name(wanted));
    EXPECT(trial, *ronde_last_error(), "bad call %zu has no text", which);
}

/* A group with a bad member is refused as a whole; one that is forgotten leaves nothing behind. */
static inline void bad_group(struct trial *trial, int32_t set, int is_cancelled)
{
    ronde_context *c = trial->context;
    ronde_call call = call_in(set);
    int32_t data[4] = {0};
    uint64_t handles[3] = {0};
    EXPECT_STATUS(trial, RONDE_OK, ronde_group_begin(c, &call.group));
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(c, "alone", data, data, 4, RONDE_INT32, RONDE_SUM, &call,
                                        &handles[0]));
    if (!is_cancelled) {
        EXPECT_STATUS(trial, RONDE_ERR_DUPLICATE,
                      ronde_allreduce_async(c, "alone", data, data, 4, RONDE_INT32, RONDE_SUM,
                                            &call, &handles[1]));
        EXPECT_ERROR(trial, "alone");
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce_async(c, "also", data, data, 4, RONDE_INT32, RONDE_SUM, &call,
                                        &handles[2]));
    if (is_cancelled) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_group_cancel(c, call.group));
    } else {
        EXPECT_STATUS(trial, RONDE_ERR_DUPLICATE, ronde_group_end(c, call.group));
        EXPECT_ERROR(trial, "alone", "twice");
    }
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_wait(c, handles[0]));
    EXPECT_STATUS(trial, RONDE_ERR_HANDLE, ronde_poll(c, handles[2]));
}

static inline void err_alone(struct trial *trial, const struct phase *phase, uint64_t *dice)
{
    const struct plan_set *set = &phase->set[dice_below(dice, (size_t)phase->sets)];
    ronde_call call = call_in(set->id);
    uint64_t handle = 4711;
    if (members_place(&set->members, trial->rank) < 0) {
        EXPECT_STATUS(trial, RONDE_ERR_PROCESS_SET,
                      ronde_barrier_async(trial->context, "x", &call, &handle));
        return;
    }
    if (chance(dice, 30))
        bad_group(trial, set->id, chance(dice, 50));
    else
        bad_call(trial, dice_below(dice, 15));
}

#endif
