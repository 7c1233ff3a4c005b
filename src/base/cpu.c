#include "base/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "base/cgroup.h"

static int at_most(int cpus, int limit)
{
    if (limit && limit < cpus)
        cpus = limit;
    return cpus > 0 ? cpus : 1;
}

static int online_cpus(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* CPUs of the affinity mask, 0 where it cannot be read. The kernel refuses a mask smaller than its
 * own, whose size it does not tell: so grow until it fits. */
static int affinity_cpus(void)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
        if (!set)
            return 0;
        int refused = sched_getaffinity(0, bytes, set) ? errno : 0;
        int count = refused ? 0 : CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (refused != EINVAL)
            return count;
    }
    return 0;
}

int ronde__cpu_count(void)
{
    return at_most(at_most(online_cpus(), affinity_cpus()), ronde__cgroup_cpus());
}

int ronde__cpu_count_of_node(void)
{
    return at_most(online_cpus(), ronde__cgroup_cpus());
}

#if defined(__x86_64__) || defined(__i386__)

/* clang 14 does not know this feature by name. */
static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* The builtin looks at the registers that the operating system saves (XCR0), not only at CPUID. */
int ronde__cpu_simd(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c())
        return RONDE__SIMD_PORTABLE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return RONDE__SIMD_AVX512;
    return RONDE__SIMD_AVX2;
}

#elif defined(__aarch64__)

int ronde__cpu_simd(void)
{
    return RONDE__SIMD_NEON; /* part of the architecture */
}

#else

int ronde__cpu_simd(void)
{
    return RONDE__SIMD_PORTABLE;
}

#endif

const char *ronde__simd_name(int simd)
{
    static const char *const names[] = {
        [RONDE__SIMD_PORTABLE] = "portable",
        [RONDE__SIMD_AVX2] = "avx2",
        [RONDE__SIMD_AVX512] = "avx512",
        [RONDE__SIMD_NEON] = "neon",
    };
    int known = simd >= 0 && (size_t)simd < sizeof(names) / sizeof(names[0]);
    return known ? names[simd] : "unknown";
}
