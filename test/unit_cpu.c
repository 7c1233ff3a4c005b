/* Processors: what text of the control group means, and what this process sees. */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/cpu.h"
#include "check.h"

static void quotas_round_up_to_whole_cpus(void)
{
    static const struct {
        const char *text;
        int cpus;
    } rows[] = {
        {"100000 100000\n", 1},
        {"150000 100000\n", 2},
        {"200000 100000\n", 2},
        {"200001 100000\n", 3},
        {"1000 100000\n", 1},
        {"50000 100000", 1},
        {"max 100000\n", 0},
        {"-1\n 100000\n", 0},
        {"0 100000", 0},
        {"400000\n 100000\n", 4},
        {"", 0},
        {"max", 0},
        {"100000", 0},
        {"100000 0", 0},
        {"garbage", 0},
        {"9223372036854775807 1", 2147483647},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_SAYING(ronde__cgroup_quota(rows[i].text) == rows[i].cpus, "%s: %d", rows[i].text,
                     ronde__cgroup_quota(rows[i].text));
}

static void lists_of_cpus_are_counted(void)
{
    static const struct {
        const char *text;
        int cpus;
    } rows[] = {
        {"0-3,8\n", 5},      {"0\n", 1},  {"7", 1},     {"0-127\n", 128},
        {"0,2,4-5,9-11", 7}, {"\n", 0},   {"", 0},      {"max", 0},
        {"3-1", 0},          {"0-1,", 2}, {"0-1 2", 2}, {"1-2147483647,4-5", 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_SAYING(ronde__cgroup_cpu_list(rows[i].text) == rows[i].cpus, "%s: %d", rows[i].text,
                     ronde__cgroup_cpu_list(rows[i].text));
}

static const char both_versions[] = "12:cpuset:/job/step\n"
                                    "4:cpu,cpuacct:/docker/a:b\n"
                                    "3:cpux:/wrong\n"
                                    "1:name=systemd:/\n"
                                    "0::/user.slice/session\n";

static void path_of_a_controller_is_found(void)
{
    static const struct {
        const char *controller, *path;
    } rows[] = {
        {"cpu", "/docker/a:b"}, {"cpuacct", "/docker/a:b"},  {"cpuset", "/job/step"},
        {"name=systemd", ""},   {"", "/user.slice/session"},
    };
    char path[64];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK(ronde__cgroup_path(both_versions, rows[i].controller, path, sizeof(path)));
        CHECK_SAYING(!strcmp(path, rows[i].path), "%s: %s", rows[i].controller, path);
    }
}

static void path_that_is_missing_or_too_long_is_none(void)
{
    char path[64] = "kept", shorter[11];
    CHECK(!ronde__cgroup_path(both_versions, "memory", path, sizeof(path)));
    CHECK(!ronde__cgroup_path(both_versions, "cpuse", path, sizeof(path)));
    CHECK(!ronde__cgroup_path("", "cpu", path, sizeof(path)));
    CHECK(!ronde__cgroup_path("garbage\n\n:\n", "cpu", path, sizeof(path)));
    CHECK(!strcmp(path, "kept"));
    CHECK(ronde__cgroup_path(both_versions, "cpuset", shorter, 10) &&
          !strcmp(shorter, "/job/step"));
    CHECK(!ronde__cgroup_path(both_versions, "cpuset", shorter, 9));
    CHECK(ronde__cgroup_path("0::/\n", "", path, sizeof(path)) && !path[0]);
    CHECK(ronde__cgroup_path("0::/last", "", path, sizeof(path)) && !strcmp(path, "/last"));
}

static void counts_are_at_least_one_and_at_most_the_machine(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    CHECK(ronde__cpu_count() >= 1 && ronde__cpu_count() <= online);
    CHECK(ronde__cpu_count_of_node() >= 1 && ronde__cpu_count_of_node() <= online);
    CHECK(ronde__cpu_count() <= ronde__cpu_count_of_node());
    CHECK(ronde__cgroup_cpus() >= 0);
}

static void binding_this_process_leaves_the_node_as_it_is(void)
{
    cpu_set_t before, one;
    int node = ronde__cpu_count_of_node(), cpu = 0;
    CHECK(!sched_getaffinity(0, sizeof(before), &before));
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK(!sched_setaffinity(0, sizeof(one), &one));
    int mine = ronde__cpu_count(), of_node = ronde__cpu_count_of_node();
    CHECK(!sched_setaffinity(0, sizeof(before), &before));
    CHECK(mine == 1 && of_node == node);
}

static void instruction_sets_have_names(void)
{
    CHECK(!strcmp(ronde__simd_name(RONDE__SIMD_PORTABLE), "portable"));
    CHECK(!strcmp(ronde__simd_name(RONDE__SIMD_AVX2), "avx2"));
    CHECK(!strcmp(ronde__simd_name(RONDE__SIMD_AVX512), "avx512"));
    CHECK(!strcmp(ronde__simd_name(RONDE__SIMD_NEON), "neon"));
    CHECK(!strcmp(ronde__simd_name(-1), "unknown") && !strcmp(ronde__simd_name(4), "unknown"));
    CHECK(strcmp(ronde__simd_name(ronde__cpu_simd()), "unknown"));
}

int main(void)
{
    RUN(quotas_round_up_to_whole_cpus);
    RUN(lists_of_cpus_are_counted);
    RUN(path_of_a_controller_is_found);
    RUN(path_that_is_missing_or_too_long_is_none);
    RUN(counts_are_at_least_one_and_at_most_the_machine);
    RUN(binding_this_process_leaves_the_node_as_it_is);
    RUN(instruction_sets_have_names);
    return check_result();
}
