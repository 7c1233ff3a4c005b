#include "model.h"

#include <math.h>

struct pieces model_cut(const struct model *model, size_t bytes)
{
    struct pieces pieces = {.bytes = bytes};
    size_t most = model->segments ? bytes / model->segments : bytes;
    most = most < model->segment_least ? model->segment_least : most;
    most = most > model->segment_bytes ? model->segment_bytes : most;
    size_t least = most ? (bytes + most - 1) / most : 0;
    if (least == 0)
        return pieces;
    pieces.segment_bytes = ((bytes + least - 1) / least + 63) / 64 * 64;
    pieces.segments = (bytes + pieces.segment_bytes - 1) / pieces.segment_bytes;
    return pieces;
}

size_t model_segment(const struct pieces *pieces, size_t segment)
{
    size_t left = pieces->bytes - segment * pieces->segment_bytes;
    return left < pieces->segment_bytes ? left : pieces->segment_bytes;
}

int64_t model_wire(const struct model *model, size_t bytes)
{
    return model->gap + llround((double)bytes * model->byte_ps);
}

int64_t model_take(const struct model *model, size_t bytes, int reduces)
{
    return model->overhead + (reduces ? llround((double)bytes * model->reduce_ps) : 0);
}
