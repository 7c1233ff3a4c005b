#include "base/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ronde__cgroup_quota(const char *text)
{
    char *end;
    long long quota = strtoll(text, &end, 10);
    long long period = strtoll(end, NULL, 10);
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = (quota - 1) / period + 1;
    return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

int ronde__cgroup_cpu_list(const char *text)
{
    long cpus = 0;
    while (*text >= '0' && *text <= '9') {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        if (last >= first && last < INT_MAX - cpus)
            cpus += last - first + 1;
        text = *end == ',' ? end + 1 : end;
    }
    return (int)cpus;
}

/* Whether the comma-separated list [list, end) holds `name`. */
static int list_holds(const char *list, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (;;) {
        size_t item = strcspn(list, ",:");
        if (item == length && !memcmp(list, name, length))
            return 1;
        if (list + item >= end)
            return 0;
        list += item + 1;
    }
}

/* A line is "id:controllers:path"; version 2 has no controllers. */
int ronde__cgroup_path(const char *text, const char *controller, char *path, size_t bytes)
{
    for (const char *line = text; *line; line += *line == '\n') {
        const char *end = line + strcspn(line, "\n");
        const char *list = memchr(line, ':', (size_t)(end - line));
        const char *colon = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;
        line = end;
        if (!colon || !list_holds(list + 1, colon, controller))
            continue;
        size_t length = (size_t)(end - colon - 1);
        if (length == 1) /* "/" */
            length = 0;
        if (length >= bytes)
            return 0;
        memcpy(path, colon + 1, length);
        path[length] = '\0';
        return 1;
    }
    return 0;
}

/* Reads a small file whole; "" where there is none. */
static void read_text(const char *path, char *text, size_t bytes)
{
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        ssize_t got;
        while (length < bytes - 1 && (got = read(file, text + length, bytes - 1 - length)) > 0)
            length += (size_t)got;
        close(file);
    }
    text[length] = '\0';
}

static void read_text_in(const char *folder, const char *name, char *text, size_t bytes)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (length > 0 && (size_t)length < sizeof(path))
        read_text(path, text, bytes);
    else
        text[0] = '\0';
}

/* Space for a list of CPUs: a machine of 4096 CPUs, every second one, needs less than 12 KiB. */
enum { TEXT_BYTES = 16384 };

static int smaller(int a, int b)
{
    return !a || (b && b < a) ? b : a;
}

static int limit_of_version_2(const char *folder)
{
    char text[TEXT_BYTES];
    read_text_in(folder, "cpu.max", text, sizeof(text));
    int quota = ronde__cgroup_quota(text);
    read_text_in(folder, "cpuset.cpus.effective", text, sizeof(text));
    return smaller(quota, ronde__cgroup_cpu_list(text));
}

static int quota_of_version_1(const char *folder)
{
    char quota[64], period[64], both[sizeof(quota) + sizeof(period) + 1];
    read_text_in(folder, "cpu.cfs_quota_us", quota, sizeof(quota));
    read_text_in(folder, "cpu.cfs_period_us", period, sizeof(period));
    snprintf(both, sizeof(both), "%s %s", quota, period);
    return ronde__cgroup_quota(both);
}

static int set_of_version_1(const char *folder)
{
    char text[TEXT_BYTES];
    read_text_in(folder, "cpuset.effective_cpus", text, sizeof(text));
    return ronde__cgroup_cpu_list(text);
}

/* The smallest limit of the group and those above it. In a container the path may be the host's,
 * which is not mounted there: then only the root of the mount is found, which is the container's
 * group. */
static int limit_along(const char *root, const char *path, int (*limit_of)(const char *))
{
    char folder[PATH_MAX];
    int length = snprintf(folder, sizeof(folder), "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof(folder))
        return 0;
    int limit = limit_of(folder);
    while (strlen(folder) > strlen(root)) {
        *strrchr(folder, '/') = '\0';
        limit = smaller(limit, limit_of(folder));
    }
    return limit;
}

int ronde__cgroup_cpus(void)
{
    static const struct {
        const char *controller, *root;
        int (*limit_of)(const char *folder);
    } places[] = {
        {"", "/sys/fs/cgroup", limit_of_version_2},
        {"cpu", "/sys/fs/cgroup/cpu", quota_of_version_1},
        {"cpuset", "/sys/fs/cgroup/cpuset", set_of_version_1},
    };
    char groups[TEXT_BYTES], path[PATH_MAX];
    int limit = 0;
    read_text("/proc/self/cgroup", groups, sizeof(groups));
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (ronde__cgroup_path(groups, places[i].controller, path, sizeof(path)))
            limit = smaller(limit, limit_along(places[i].root, path, places[i].limit_of));
    return limit;
}
