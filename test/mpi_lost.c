/* ronde-test: timeout=60 */
/* What the survivors of a killed rank get: run by sh_lost.sh, since mpirun must be told to let them
 * live. argv[1]: "named", "direct", "idle" (the survivors only close). The last rank kills
 * itself in the middle; every other prints one line "survivor R: ..." and leaves without MPI. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ronde.h"

enum { COUNT = 1000, CALLS = 200 };

static int32_t call(ronde_context *context, const char *way, float *data)
{
    if (!strcmp(way, "direct"))
        return ronde_direct_allreduce(context, data, data, COUNT, RONDE_FLOAT32, RONDE_MAX, NULL);
    return ronde_allreduce(context, "tensor", data, data, COUNT, RONDE_FLOAT32, RONDE_MAX, NULL);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    static float data[COUNT];
    const char *way = argc > 1 ? argv[1] : "named";
    ronde_context *context;
    if (ronde_open(NULL, &context))
        return 1;
    int rank = ronde_rank(context), victim = ronde_size(context) - 1;
    char expected[32];
    snprintf(expected, sizeof expected, "rank %d is lost", victim);
    int32_t status = RONDE_OK;
    double start = seconds();
    for (int i = 0; i < CALLS && !status; i++) {
        if (rank == victim && i == CALLS / 2)
            raise(SIGKILL);
        if (!strcmp(way, "idle") && i == CALLS / 2)
            break;
        status = call(context, way, data);
    }
    int named = strstr(ronde_last_error(), expected) != NULL;
    int32_t again = strcmp(way, "idle") ? call(context, way, data) : RONDE_ERR_PEER;
    int32_t closed = ronde_close(&context);
    if (!strcmp(way, "idle")) {
        status = closed;
        named = strstr(ronde_last_error(), expected) != NULL;
    }
    int right = status == RONDE_ERR_PEER && again == RONDE_ERR_PEER && closed == RONDE_ERR_PEER &&
                named && seconds() - start < 20;
    printf("survivor %d: %s (%s, %s, %s: %s)\n", rank, right ? "right" : "wrong",
           ronde_status_name(status), ronde_status_name(again), ronde_status_name(closed),
           ronde_last_error());
    fflush(NULL);
    _exit(!right);
}
