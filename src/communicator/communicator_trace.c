/* What a communicator does, for the timeline: the phases of its operations, one after the other. */
#include "base/clock.h"
#include "base/status.h"
#include "communicator/communicator_stages.h"

void ronde__communicator_trace(struct communicator *c, struct timeline *timeline)
{
    c->timeline = timeline;
    c->phase = (struct timeline_event){0}; /* half a phase is none */
}

void ronde__communicator_end_phase(struct communicator *c, int32_t status)
{
    if (!c->phase.begin_ns)
        return;
    c->phase.end_ns = ronde__now_ns();
    c->phase.status = status;
    ronde__timeline_record(c->timeline, &c->phase);
    c->phase.begin_ns = 0;
}

void ronde__communicator_phase(struct communicator *c, enum timeline_phase phase, const char *kind,
                               size_t bytes)
{
    if (!c->timeline)
        return;
    ronde__communicator_end_phase(c, RONDE_OK);
    c->phase = (struct timeline_event){
        .phase = phase, .kind = kind, .begin_ns = ronde__now_ns(), .bytes = bytes, .peer = -1};
}
