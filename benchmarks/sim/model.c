#include "model.h"

#include <math.h>

#include "collectives/flow.h"

struct pieces model_cut(size_t bytes)
{
    const struct block_range range = {0, bytes};
    const int32_t first_range[] = {0, 1};
    size_t block_at[] = {0, bytes};
    const struct step step = {.kind = STEP_SEND, .count = 1};
    const struct flow_data data = {.element_bytes = 1,
                                   .blocks = {first_range, &range},
                                   .block_at = block_at};
    struct flow flow = {0};
    ronde__flow_open(&flow, &step, &data, 0);
    return (struct pieces){bytes, flow.segment_bytes, flow.segments};
}

int64_t model_wire(const struct model *model, size_t bytes)
{
    return model->gap + llround((double)bytes * model->byte_ps);
}

int64_t model_take(const struct model *model, size_t bytes, int reduces)
{
    return model->overhead + (reduces ? llround((double)bytes * model->reduce_ps) : 0);
}
