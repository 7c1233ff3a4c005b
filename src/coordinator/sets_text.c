/* Lists of ranks as text: "0-3,6/4,5" is two process sets. */
#include <ctype.h>
#include <stdlib.h>

#include "base/status.h"
#include "coordinator/coordinator.h"

/* A number below `size`, or -1. */
static int32_t read_rank(const char **at, int size)
{
    if (!isdigit((unsigned char)**at))
        return -1;
    char *end;
    unsigned long rank = strtoul(*at, &end, 10);
    *at = end;
    return rank < (unsigned long)size ? (int32_t)rank : -1;
}

static int32_t bad(const char *text, int size)
{
    return ronde__fail(
        RONDE_ERR_ARGUMENT,
        "process_sets: \"%.80s\" is no list of ranks below %d, each once: write them "
        "like 0,1/2-3",
        text, size);
}

int32_t ronde__sets_read_list(const char **text, int size, int32_t *ranks, int32_t *n)
{
    const char *at = *text;
    for (;;) {
        int32_t first = read_rank(&at, size), last = first;
        if (*at == '-') {
            at++;
            last = read_rank(&at, size);
        }
        if (first < 0 || last < first || *n + (last - first) >= size)
            return bad(*text, size);
        for (int32_t rank = first; rank <= last; rank++)
            ranks[(*n)++] = rank;
        if (*at != ',')
            break;
        at++;
    }
    if (*at && (*at != '/' || !at[1]))
        return bad(*text, size);
    *text = *at ? at + 1 : at;
    return RONDE_OK;
}
