/* How many CPUs the control group leaves to this process. 0 stands for no limit throughout. */
#ifndef RONDE_BASE_CGROUP_H
#define RONDE_BASE_CGROUP_H

#include <stddef.h>

/* The least limit from this process's group to the root: quota or set of CPUs, version 1 or 2. */
int ronde__cgroup_cpus(void);

/* The pure parts. */

/* "150000 100000" (microseconds of CPU time per period) is 2 CPUs: rounded up. "max" or a negative
 * quota is no limit. */
int ronde__cgroup_quota(const char *text);
/* "0-3,8" is 5 CPUs. */
int ronde__cgroup_cpu_list(const char *text);
/* Finds the group of `controller` ("": version 2) in the text of /proc/self/cgroup and writes its
 * path, "" for the root. Returns 0 where there is none, or no room. */
int ronde__cgroup_path(const char *text, const char *controller, char *path, size_t bytes);

#endif
