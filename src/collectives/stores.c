#include "collectives/stores.h"

#include "base/clock.h"

static int is_trial(const struct stores *stores)
{
    return stores->count < 2 * STORES_SAMPLES || stores->count % STORES_PERIOD < 2;
}

int ronde__stores_begin(struct stores *stores, size_t bytes)
{
    stores->began_ns = 0;
    if (bytes < STORES_LEAST_BYTES)
        return 0;
    int past = stores->past;
    if (is_trial(stores)) {
        past = stores->count % 2 != 0;
        stores->began_ns = ronde__now_ns();
    }
    stores->count++;
    return past;
}

static double median(const double *of)
{
    double low = of[0] < of[1] ? of[0] : of[1], high = of[0] < of[1] ? of[1] : of[0];
    return of[2] < low ? low : of[2] > high ? high : of[2];
}

void ronde__stores_end(struct stores *stores, int past, size_t bytes, double gain)
{
    if (!stores->began_ns || bytes < STORES_LEAST_BYTES)
        return;
    double ns = (double)(ronde__now_ns() - stores->began_ns);
    stores->ns_per_byte[past][stores->samples[past]++ % STORES_SAMPLES] = ns / (double)bytes;
    if (stores->samples[0] >= STORES_SAMPLES && stores->samples[1] >= STORES_SAMPLES)
        stores->past = median(stores->ns_per_byte[0]) > gain * median(stores->ns_per_byte[1]);
}
