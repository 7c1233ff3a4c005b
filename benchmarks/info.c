/* ronde-info: what Ronde sees here. Alone it is a job of one rank; under mpirun rank 0 prints, and
 * the topology is that of the job. */
#include <getopt.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ronde_mpi.h"

static const char help_text[] =
    "usage: ronde-info [--settings TEXT]\n"
    "Prints the versions of Ronde and MPI, the topology and the CPU, and every setting: its value,\n"
    "where that came from, what it means, what it may be, and its default. Alone it is a job of one\n"
    "rank; under mpirun rank 0 prints for all.\n"
    "\n"
    "  -s, --settings TEXT  as a program would give them, such as 'slice_bytes=256K;log=info'\n"
    "  -h, --help           print this\n"
    "\n"
    "A setting that is not given there comes from the environment (RONDE_SLICE_BYTES=256K), then\n"
    "from the file that tuning_file names, then from its default. Ends with 1 where one is bad,\n"
    "with 2 where the command line is.\n";

static const struct option long_options[] = {{"settings", required_argument, NULL, 's'},
                                             {"help", no_argument, NULL, 'h'},
                                             {NULL, 0, NULL, 0}};

struct request {
    const char *settings;
    int help;
};

/* 0, or 2 with a line from rank 0. */
static int read_arguments(struct request *request, int argc, char **argv, int rank)
{
    int letter, bad = 0;
    opterr = 0;
    while (!bad && (letter = getopt_long(argc, argv, ":s:h", long_options, NULL)) >= 0) {
        if (letter == 's')
            request->settings = optarg;
        else if (letter == 'h')
            request->help = 1;
        else
            bad = optind - 1;
    }
    if (!bad && optind < argc)
        bad = optind;
    if (bad && rank == 0)
        fprintf(stderr, "ronde-info: cannot use '%s' (see --help)\n", argv[bad]);
    return bad ? 2 : 0;
}

static void print_versions(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length, major, minor;
    MPI_Get_library_version(text, &length);
    MPI_Get_version(&major, &minor);
    text[strcspn(text, "\n")] = 0;
    printf("Ronde %s\nMPI %d.%d: %s\n\n", ronde_version(), major, minor, text);
}

static int complain(void)
{
    fprintf(stderr, "ronde-info: %s\n", ronde_last_error());
    return 1;
}

static int print_description(ronde_context *context)
{
    size_t needed = 0;
    char none[1];
    if (ronde_describe(context, none, sizeof none, &needed))
        return complain();
    char *text = malloc(needed);
    int bad = 1;
    if (!text)
        fprintf(stderr, "ronde-info: out of memory for %zu bytes\n", needed);
    else if (ronde_describe(context, text, needed, &needed))
        complain();
    else
        bad = fputs(text, stdout) < 0;
    free(text);
    return bad;
}

/* Opening is collective, and so is a bad setting: one rank speaks. */
static int show(const struct request *request, int rank)
{
    ronde_context *context = NULL;
    ronde_options options;
    ronde_options_init(&options, sizeof options);
    options.settings = request->settings;
    if (rank == 0)
        print_versions();
    if (ronde_open_mpi(MPI_COMM_WORLD, &options, &context))
        return rank == 0 ? complain() : 1;
    int status = rank == 0 ? print_description(context) : 0;
    if (ronde_close(&context))
        status = complain();
    return status;
}

int main(int argc, char **argv)
{
    struct request request = {0};
    int provided, rank;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    int status = read_arguments(&request, argc, argv, rank);
    if (!status && request.help)
        fputs(rank == 0 ? help_text : "", stdout);
    else if (!status)
        status = show(&request, rank);
    MPI_Finalize();
    return status;
}
