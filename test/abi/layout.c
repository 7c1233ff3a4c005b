/* Prints what the public headers fix for programs that are already compiled. Members are added at
 * the end only, and then here. test/sh_abi.sh compares with layout.txt. */
#include <stdio.h>

#include "ronde.h"

#define SIZE(type) printf("%s %zu\n", #type, sizeof(type))
#define MEMBER(type, name) printf("%s.%s %zu\n", #type, #name, offsetof(type, name))
#define VALUE(name) printf("%s %d\n", #name, (int)(name))

static void print_structs(void)
{
    SIZE(ronde_options);
    MEMBER(ronde_options, size);
    MEMBER(ronde_options, communicator);
    MEMBER(ronde_options, has_communicator);
    MEMBER(ronde_options, settings);
    SIZE(ronde_call);
    MEMBER(ronde_call, size);
    MEMBER(ronde_call, process_set);
    MEMBER(ronde_call, prescale);
    MEMBER(ronde_call, postscale);
    MEMBER(ronde_call, shape);
    MEMBER(ronde_call, dimensions);
    MEMBER(ronde_call, divide);
    MEMBER(ronde_call, weight);
    MEMBER(ronde_call, deadline);
    MEMBER(ronde_call, group);
    MEMBER(ronde_call, wire);
    MEMBER(ronde_call, reserved);
    SIZE(ronde_counters);
    MEMBER(ronde_counters, size);
    MEMBER(ronde_counters, reserved);
    MEMBER(ronde_counters, operations);
    MEMBER(ronde_counters, bins);
    MEMBER(ronde_counters, announcements);
    MEMBER(ronde_counters, cached);
    MEMBER(ronde_counters, messages_sent);
    MEMBER(ronde_counters, bytes_sent);
    MEMBER(ronde_counters, thread_wakeups);
    MEMBER(ronde_counters, thread_cpu_us);
    MEMBER(ronde_counters, direct_operations);
    MEMBER(ronde_counters, batches);
    MEMBER(ronde_counters, negotiated);
}

int main(void)
{
    print_structs();
    /* VALUE(name); for each enumerator of ronde.h, written by sh_abi.sh. */
#include "enumerators.h"
    return 0;
}
