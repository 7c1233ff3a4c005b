/* The processors: how many may be used, and which instructions they have. */
#ifndef RONDE_BASE_CPU_H
#define RONDE_BASE_CPU_H

/* CPUs this process may run on: the affinity mask and the cgroup's quota, at least 1. */
int ronde__cpu_count(void);

/* Of the machine: all online CPUs that the cgroup's quota allows, whatever this process is bound
 * to. Ranks of a node share these. */
int ronde__cpu_count_of_node(void);

/* Instruction sets with kernels of their own, worst first. */
enum ronde__simd {
    RONDE__SIMD_PORTABLE = 0,
    RONDE__SIMD_AVX2 = 1,   /* with FMA and F16C */
    RONDE__SIMD_AVX512 = 2, /* F, BW, DQ, VL */
    RONDE__SIMD_NEON = 3
};

/* The best that this CPU and its operating system support. */
int ronde__cpu_simd(void);
const char *ronde__simd_name(int simd);

#endif
