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

static int32_t bad(const char *label, const char *text, int size)
{
    return ronde__fail(RONDE_ERR_ARGUMENT,
                       "%s is \"%.80s\": want lists of ranks below %d, each once, such as 0,1/2-3",
                       label, text, size);
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
            return bad("process_sets", *text, size);
        for (int32_t rank = first; rank <= last; rank++)
            ranks[(*n)++] = rank;
        if (*at != ',')
            break;
        at++;
    }
    if (*at && (*at != '/' || !at[1]))
        return bad("process_sets", *text, size);
    *text = *at ? at + 1 : at;
    return RONDE_OK;
}

/* list: 1, 2, ...; last_list of a rank is the last that had it. */
static int is_twice(const int32_t *ranks, int32_t n, int32_t list, int32_t *last_list)
{
    int twice = 0;
    for (int32_t i = 0; i < n; i++) {
        twice |= last_list[ranks[i]] == list;
        last_list[ranks[i]] = list;
    }
    return twice;
}

int32_t ronde__sets_check_text(const char *text, int size, const char *label)
{
    const char *at = text;
    int32_t status = RONDE_OK;
    int32_t *ranks = calloc(2 * (size_t)size + 1, sizeof(*ranks));
    if (!ranks)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for a list of ranks");
    for (int32_t list = 1; *at && !status; list++) {
        int32_t n = 0;
        status = ronde__sets_read_list(&at, size, ranks, &n);
        if (status || is_twice(ranks, n, list, ranks + size + 1))
            status = bad(label, text, size);
    }
    free(ranks);
    return status;
}
