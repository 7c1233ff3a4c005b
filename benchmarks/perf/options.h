/* What ronde-perf was asked to do. */
#ifndef RONDE_PERF_OPTIONS_H
#define RONDE_PERF_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum collective { ALLREDUCE = 1, BROADCAST = 2, ALLGATHER = 3, STEPS = 4 };
/* Bits of the sets that --impl, --path and --memory ask for. */
enum impl { IMPL_RONDE = 1, IMPL_MPI = 2, IMPL_GLOO = 4, IMPL_FLOOR = 8 };
enum path { PATH_NAMED = 1, PATH_DIRECT = 2 };
enum memory { MEMORY_ARENA = 1, MEMORY_PRIVATE = 2 };
enum wire { WIRE_AS_IS = 1, WIRE_FLOAT16 = 2, WIRE_BFLOAT16 = 4 };

struct options {
    int collective; /* enum collective */
    int help;
    size_t begin_bytes, end_bytes;
    size_t factor;
    size_t step_bytes; /* 0: sizes grow by factor */
    size_t iterations; /* 0: chosen by time */
    size_t batch;      /* 0: chosen by size and time */
    size_t warmup;
    int32_t dtype, op, root;
    int check, in_place, verbose;
    unsigned impls, paths, memories, wires;
    const char *algos; /* names with commas between; NULL: what the library chooses */
    int thread_level;  /* of MPI */
    int show_list;
    const char *list, *json, *settings;
};

/* 0, or -1 with one line that names the bad value in `error`. Keeps pointers into argv. */
int options_parse(struct options *options, int argc, char **argv, char *error, size_t error_bytes);

void options_help(FILE *to);

/* A whole number, or one with K, M or G (powers of 1024). -1 where `text` is no such thing. */
int options_size(const char *text, size_t *bytes);

#endif
