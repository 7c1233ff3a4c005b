/* ronde-test: np=2 np=4/2 threads=2/2,4/2 mpich=2 timeout=60 */
/* Who has nothing to do does nothing: no message and under 1 % of a core, for 10 s after opening
 * and again after some work. */
#include <sys/resource.h>

#include "trial.h"

static double process_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void idling_costs_nothing(struct trial *trial, double seconds, const char *when)
{
    ronde_counters before, after;
    int ranks_here = ranks_are_threads() ? trial->size : 1;
    nap(0.3); /* what the others still had to do */
    double cpu = process_cpu_seconds();
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &before, sizeof before));
    nap(seconds);
    EXPECT_STATUS(trial, RONDE_OK, ronde_counters_read(trial->context, &after, sizeof after));
    cpu = (process_cpu_seconds() - cpu) / ranks_here;
    double thread_cpu = 1e-6 * (double)(after.thread_cpu_us - before.thread_cpu_us);
    printf(
        "rank %d, %s: in %.0f s idle %llu messages, %llu bytes, %llu announcements, %llu wake-ups, "
        "thread %.4f s, process %.4f s of CPU\n",
        trial->rank, when, seconds,
        (unsigned long long)(after.messages_sent - before.messages_sent),
        (unsigned long long)(after.bytes_sent - before.bytes_sent),
        (unsigned long long)(after.announcements - before.announcements),
        (unsigned long long)(after.thread_wakeups - before.thread_wakeups), thread_cpu, cpu);
    EXPECT(trial,
           after.messages_sent == before.messages_sent && after.bytes_sent == before.bytes_sent,
           "%s: messages were sent", when);
    EXPECT(trial, after.announcements == before.announcements && after.bins == before.bins,
           "%s: something was negotiated", when);
    EXPECT(trial, thread_cpu < 0.01 * seconds, "%s: the thread took %.4f s", when, thread_cpu);
    if (!TRIAL_IS_SLOW)
        EXPECT(trial, cpu < 0.01 * seconds, "%s: the process took %.4f s", when, cpu);
}

static void some_work(struct trial *trial)
{
    uint64_t handles[50];
    static const float ones[1000] = {1};
    float out[50][1000];
    char name[32];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "work %d", i);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, ones, out[i], 1000, RONDE_FLOAT32,
                                            RONDE_SUM, NULL, &handles[i]));
    }
    for (int i = 0; i < 50; i++)
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
}

int rank_test(ronde_context *context, int argc, char **argv)
{
    struct trial trial = trial_begin(context);
    (void)argc;
    (void)argv;
    idling_costs_nothing(&trial, ranks_are_threads() ? 3 : 10, "after opening");
    some_work(&trial);
    idling_costs_nothing(&trial, 3, "after work");
    meet(&trial, "after idling"); /* nobody is idle while another has not read its counters */
    return trial_end(&trial);
}
