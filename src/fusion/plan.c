#include "fusion/plan.h"

#include <string.h>

/* First fit, over a bounded number of open bins: an item goes to the oldest open bin of its kin
 * that has room, else it opens a bin. At most OPEN_BINS are open; the oldest is closed for a new
 * one. So the cost is at most OPEN_BINS comparisons an item, whatever sizes and kinds come, and
 * planning needs no memory. A step's tensors have few kinds, and rarely is more than one bin of a
 * kind open: then the result is plain first fit, and the cost a few comparisons. */
enum { OPEN_BINS = 32 };

struct open_bin {
    uint64_t kin;
    size_t room; /* bytes */
    int32_t tensors;
    int32_t number;
};

struct open_bins {
    struct open_bin bin[OPEN_BINS]; /* oldest first */
    int n;
};

static void close_bin(struct open_bins *open, int i)
{
    open->n--;
    memmove(&open->bin[i], &open->bin[i + 1], (size_t)(open->n - i) * sizeof(open->bin[0]));
}

/* The oldest open bin with room for the item, or -1. */
static int find_bin(const struct open_bins *open, const struct plan_item *item)
{
    for (int i = 0; i < open->n; i++)
        if (open->bin[i].kin == item->kin && open->bin[i].room >= item->bytes)
            return i;
    return -1;
}

static int open_bin(struct open_bins *open, uint64_t kin, size_t room, int32_t number)
{
    if (open->n == OPEN_BINS)
        close_bin(open, 0);
    open->bin[open->n] = (struct open_bin){.kin = kin, .room = room, .number = number};
    return open->n++;
}

/* Adds the item and closes the bin if nothing more fits. Returns the bin's number. */
static int32_t put(struct open_bins *open, int i, const struct plan_item *item,
                   int32_t most_tensors)
{
    struct open_bin *bin = &open->bin[i];
    int32_t number = bin->number;
    bin->room -= item->bytes;
    bin->tensors++;
    if (!bin->room || bin->tensors >= most_tensors)
        close_bin(open, i);
    return number;
}

int32_t ronde__plan(const struct plan_item *items, int32_t n, const struct plan_limits *limits,
                    int32_t *bin_of)
{
    struct open_bins open = {.n = 0};
    int32_t bins = 0;
    for (int32_t item = 0; item < n; item++) {
        const struct plan_item *it = &items[item];
        if (!it->kin || !limits->bytes || it->bytes > limits->bytes) {
            bin_of[item] = bins++;
            continue;
        }
        int i = find_bin(&open, it);
        if (i < 0)
            i = open_bin(&open, it->kin, limits->bytes, bins++);
        bin_of[item] = put(&open, i, it, limits->tensors);
    }
    return bins;
}
