/* Which tensors run together: a pure function of the ordered ready tensors and the limits. */
#ifndef RONDE_FUSION_PLAN_H
#define RONDE_FUSION_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* What planning needs to know of a ready tensor. */
struct plan_item {
    size_t bytes;
    uint64_t
        kin; /* equal: may be fused (same kind, dtype, op, scales, algorithm); 0: always alone */
};

struct plan_limits {
    size_t bytes; /* a bin of several tensors holds at most so many bytes; 0: every tensor alone */
    int32_t tensors; /* a bin holds at most so many tensors, at least 1 */
};

/* Writes the number of the bin of each item, 0, 1, 2, ... in the order in which bins run: by their
 * first item. A bin takes later kin of its first item as long as they fit, looking past what does
 * not, so that kinds that alternate still fuse. A tensor larger than the limit is alone. Returns
 * the number of bins. O(items x open bins). */
int32_t ronde__plan(const struct plan_item *items, int32_t n, const struct plan_limits *limits,
                    int32_t *bin_of);

#endif
