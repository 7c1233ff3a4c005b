#include "shm/slots.h"

size_t ronde__slots_bytes(int ranks, size_t slice_bytes, size_t count, size_t wire_bytes)
{
    size_t n = (size_t)ranks;
    return n * sizeof(struct rank_slots) + n * count * slice_bytes + wire_bytes;
}

void ronde__slots_place(struct slots *slots, char *memory, int ranks, size_t slice_bytes,
                        size_t count, size_t wire_bytes, struct bell *const *bells)
{
    size_t n = (size_t)ranks;
    char *slices = memory + n * sizeof(struct rank_slots);
    *slots = (struct slots){
        .ranks = ranks,
        .slice_bytes = slice_bytes,
        .count = count,
        .wire_bytes = wire_bytes,
        .of = (struct rank_slots *)(void *)memory,
        .bells = bells,
        .slices = slices,
        .wire = slices + n * count * slice_bytes,
    };
}
