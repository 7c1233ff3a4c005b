/* Prints what the public headers fix for programs that are already compiled. Members are added at
 * the end only, and then here. test/sh_abi.sh compares with layout.txt. */
#include <stdio.h>

#include "ronde.h"
#include "ronde_train.h"

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

static void print_train_structs(void)
{
    SIZE(ronde_train_random);
    MEMBER(ronde_train_random, seed);
    MEMBER(ronde_train_random, position);
    MEMBER(ronde_train_random, purpose);
    MEMBER(ronde_train_random, which);
    SIZE(ronde_sampler_options);
    MEMBER(ronde_sampler_options, size);
    MEMBER(ronde_sampler_options, rank);
    MEMBER(ronde_sampler_options, ranks);
    MEMBER(ronde_sampler_options, padding);
    MEMBER(ronde_sampler_options, in_order);
    MEMBER(ronde_sampler_options, epoch);
    MEMBER(ronde_sampler_options, seed);
    SIZE(ronde_train_data_options);
    MEMBER(ronde_train_data_options, size);
    MEMBER(ronde_train_data_options, reading);
    MEMBER(ronde_train_data_options, format);
    MEMBER(ronde_train_data_options, root);
    MEMBER(ronde_train_data_options, process_set);
    MEMBER(ronde_train_data_options, header_lines);
    MEMBER(ronde_train_data_options, separator);
    MEMBER(ronde_train_data_options, reserved);
    MEMBER(ronde_train_data_options, name);
    SIZE(ronde_train_options);
    MEMBER(ronde_train_options, size);
    MEMBER(ronde_train_options, process_set);
    MEMBER(ronde_train_options, optimiser);
    MEMBER(ronde_train_options, nesterov);
    MEMBER(ronde_train_options, rate);
    MEMBER(ronde_train_options, momentum);
    MEMBER(ronde_train_options, weight_decay);
    MEMBER(ronde_train_options, beta1);
    MEMBER(ronde_train_options, beta2);
    MEMBER(ronde_train_options, epsilon);
    MEMBER(ronde_train_options, clip_norm);
    MEMBER(ronde_train_options, accumulate);
    MEMBER(ronde_train_options, reserved);
    MEMBER(ronde_train_options, name);
    SIZE(ronde_train_counters);
    MEMBER(ronde_train_counters, size);
    MEMBER(ronde_train_counters, bad_rank);
    MEMBER(ronde_train_counters, bad_tensor);
    MEMBER(ronde_train_counters, reserved);
    MEMBER(ronde_train_counters, steps);
    MEMBER(ronde_train_counters, skipped);
    MEMBER(ronde_train_counters, norm);
    MEMBER(ronde_train_counters, rate);
    MEMBER(ronde_train_counters, samples);
    MEMBER(ronde_train_counters, wait_seconds);
}

int main(void)
{
    print_structs();
    print_train_structs();
    /* VALUE(name); for each enumerator of the headers, written by sh_abi.sh. */
#include "enumerators.h"
    return 0;
}
