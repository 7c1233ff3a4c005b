/* What a communicator does, for the timeline: the phases of its operations, one after the other. The
 * messages of a phase are recorded by what sends them, under the phase's kind.
 *
 * There is no PACK: between nodes packing is part of the reduction into the wire buffer, which is
 * called REDUCE, and inside a node of the one pass that does everything, called EXCHANGE. */
#include "base/clock.h"
#include "base/status.h"
#include "communicator/communicator_stages.h"

void ronde__communicator_trace(struct communicator *c, struct timeline *timeline)
{
    c->trace.timeline = timeline;
    c->trace.kind = NULL;
    c->phase = (struct timeline_event){0}; /* half a phase is none */
    ronde__communicator_label(c, NULL, 0);
}

void ronde__communicator_label(struct communicator *c, const char *name, uint64_t id)
{
    c->trace.name = name;
    c->trace.id = id;
}

void ronde__communicator_end_phase(struct communicator *c, int32_t status)
{
    if (!c->phase.begin_ns)
        return;
    c->phase.end_ns = ronde__now_ns();
    c->phase.status = status;
    ronde__timeline_record(c->trace.timeline, &c->phase);
    c->phase.begin_ns = 0;
}

void ronde__communicator_phase(struct communicator *c, enum timeline_phase phase, const char *kind,
                               size_t bytes)
{
    if (!c->trace.timeline)
        return;
    ronde__communicator_end_phase(c, RONDE_OK);
    c->trace.kind = kind;
    c->phase = (struct timeline_event){.phase = phase,
                                       .name = c->trace.name,
                                       .kind = kind,
                                       .begin_ns = ronde__now_ns(),
                                       .bytes = bytes,
                                       .id = c->trace.id,
                                       .peer = -1,
                                       .process_set = c->trace.process_set};
}
