#include "shm/slots.h"

static size_t rounded(size_t bytes)
{
    return (bytes + SLOTS_LINE - 1) / SLOTS_LINE * SLOTS_LINE;
}

size_t ronde__slots_bytes(int ranks, size_t slice_bytes, size_t count, size_t wire_bytes)
{
    size_t n = (size_t)ranks;
    return n * sizeof(struct rank_slots) + rounded(n * sizeof(struct bell)) +
           n * count * slice_bytes + wire_bytes;
}

void ronde__slots_place(struct slots *slots, char *memory, int ranks, size_t slice_bytes,
                        size_t count, size_t wire_bytes)
{
    size_t n = (size_t)ranks;
    char *bells = memory + n * sizeof(struct rank_slots);
    char *slices = bells + rounded(n * sizeof(struct bell));
    *slots = (struct slots){
        .ranks = ranks,
        .slice_bytes = slice_bytes,
        .count = count,
        .wire_bytes = wire_bytes,
        .of = (struct rank_slots *)(void *)memory,
        .bells = (struct bell *)(void *)bells,
        .slices = slices,
        .wire = slices + n * count * slice_bytes,
    };
}
