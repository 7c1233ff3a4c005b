/* What a communicator does, for the timeline. */
#include "communicator/communicator.h"

void ronde__communicator_trace(struct communicator *c, struct timeline *timeline)
{
    c->timeline = timeline;
}
