#include "machine.h"

#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void read_cpu_model(char *model, size_t bytes)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(model, bytes, "unknown CPU");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!value || strncmp(line, "model name", 10))
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(model, bytes, "%s", value + 2);
        break;
    }
    if (file)
        fclose(file);
}

static void print_machine(void)
{
    char model[128], date[32];
    struct utsname system;
    cpu_set_t mask;
    time_t now = time(NULL);
    struct tm local;
    read_cpu_model(model, sizeof model);
    if (uname(&system))
        memset(&system, 0, sizeof system);
    int usable = sched_getaffinity(0, sizeof mask, &mask) ? 0 : CPU_COUNT(&mask);
    printf("# machine  %s, %ld CPUs (%d for rank 0), %s %s\n", model, sysconf(_SC_NPROCESSORS_ONLN),
           usable, system.sysname, system.release);
    if (localtime_r(&now, &local) && strftime(date, sizeof date, "%Y-%m-%d %H:%M", &local))
        printf("# date     %s\n", date);
}

static void print_mpi(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length, level;
    static const char *const names[] = {"single", "funneled", "serialized", "multiple"};
    MPI_Get_library_version(text, &length);
    text[strcspn(text, "\n")] = 0;
    MPI_Query_thread(&level);
    const char *name = level == MPI_THREAD_MULTIPLE     ? names[3]
                       : level == MPI_THREAD_SERIALIZED ? names[2]
                       : level == MPI_THREAD_FUNNELED   ? names[1]
                                                        : names[0];
    printf("# MPI      %s, thread level %s\n", text, name);
}

/* malloc'd, or NULL. */
static char *describe(ronde_context *context)
{
    size_t needed = 0;
    char none[1];
    (void)ronde_describe(context, none, sizeof none, &needed);
    char *text = needed ? malloc(needed) : NULL;
    if (text && ronde_describe(context, text, needed, &needed)) {
        free(text);
        text = NULL;
    }
    return text;
}

/* Lines of the description whose value came from elsewhere than the default. */
static void print_settings(ronde_context *context)
{
    char *text = describe(context), *rest = NULL;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        if (strstr(line, " environment ") || strstr(line, " options "))
            printf("# setting  %s\n", line);
    free(text);
}

void machine_print(const struct options *o, const struct work *w)
{
    printf("# ronde    %s\n", ronde_version());
    print_mpi();
    print_machine();
    printf("# ranks    %d on %d host%s\n", w->ranks, w->hosts, w->hosts == 1 ? "" : "s");
    if (o->verbose && w->context)
        print_settings(w->context);
    fflush(stdout);
}
