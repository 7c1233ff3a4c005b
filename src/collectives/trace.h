/* Where a collective's messages are recorded, and as what. Whoever owns it may change it between
 * two steps of the collective; a message that was started before then has no beginning that is
 * known, and is left out.
 *
 * Messages carry data alone, no stamp: their events have none either. */
#ifndef RONDE_COLLECTIVES_TRACE_H
#define RONDE_COLLECTIVES_TRACE_H

#include <stddef.h>

#include "base/clock.h"
#include "base/timeline.h"

struct trace {
    struct timeline *timeline; /* NULL: nothing is recorded */
    const int *global;         /* global ranks of the net's; NULL: they are the same */
    const char *name, *kind;   /* as in timeline.h */
    uint64_t id;
    int32_t process_set;
};

/* When a message starts: 0 where nobody records. */
static inline int64_t ronde__trace_begin(const struct trace *trace)
{
    return trace && trace->timeline ? ronde__now_ns() : 0;
}

/* A message to or from a rank of the net has ended. */
static inline void ronde__trace_message(const struct trace *trace, enum timeline_phase phase,
                                        int peer, size_t bytes, int64_t begun_ns)
{
    if (!begun_ns || !trace->timeline)
        return;
    const struct timeline_event event = {.phase = phase,
                                         .name = trace->name,
                                         .kind = trace->kind,
                                         .begin_ns = begun_ns,
                                         .end_ns = ronde__now_ns(),
                                         .bytes = bytes,
                                         .id = trace->id,
                                         .peer = trace->global ? trace->global[peer] : peer,
                                         .process_set = trace->process_set};
    ronde__timeline_add(trace->timeline, &event);
}

#endif
