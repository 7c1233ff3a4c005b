#include "train/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t ronde__train_fail(int32_t status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ronde_fail(status, text);
}

void ronde__train_write_defaults(void *options, size_t size, const void *defaults, size_t known)
{
    uint32_t own = (uint32_t)size;
    if (!options || size < sizeof own)
        return;
    memset(options, 0, size);
    memcpy(options, defaults, size < known ? size : known);
    memcpy(options, &own, sizeof own);
}

int32_t ronde__train_read_options(void *read, size_t known, const void *options, const char *name)
{
    uint32_t size = (uint32_t)known;
    if (!options)
        return RONDE_OK;
    memcpy(&size, options, sizeof size);
    if (size < sizeof size || size > 65536)
        return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s has size %u: fill it with %s_init first",
                                 name, size, name);
    memcpy(read, options, size < known ? size : known);
    return RONDE_OK;
}

int32_t ronde__team_open(ronde_context *context, int32_t set, struct team *team)
{
    struct team opened = {.context = context, .set = set, .size = 1};
    int32_t members = 1;
    if (context) {
        opened.size = ronde_process_set_size(context, set);
        opened.rank = ronde_process_set_rank(context, set);
        if (opened.size < 0 || opened.rank < 0)
            return ronde__train_fail(RONDE_ERR_PROCESS_SET, "process set %d %s", (int)set,
                                     opened.size < 0 ? "is unknown" : "has not this rank in it");
    } else if (set != 0) {
        return ronde__train_fail(RONDE_ERR_PROCESS_SET, "process set %d without a context",
                                 (int)set);
    }
    opened.ranks = calloc((size_t)opened.size, sizeof *opened.ranks);
    if (!opened.ranks)
        return ronde__train_fail(RONDE_ERR_MEMORY, "no memory for the list of %d ranks",
                                 (int)opened.size);
    int32_t status = RONDE_OK;
    if (context)
        status = ronde_process_set_ranks(context, set, opened.ranks, opened.size, &members);
    if (status != RONDE_OK) {
        free(opened.ranks);
        return status;
    }
    if (opened.size == 1)
        opened.context = NULL;
    *team = opened;
    return RONDE_OK;
}

void ronde__team_close(struct team *team)
{
    free(team->ranks);
    team->ranks = NULL;
}

int32_t ronde__team_place(const struct team *team, int32_t rank)
{
    for (int32_t i = 0; i < team->size; i++)
        if (team->ranks[i] == rank)
            return i;
    return -1;
}

ronde_call ronde__team_call(const struct team *team)
{
    ronde_call call;
    ronde_call_init(&call, sizeof call);
    call.process_set = team->set;
    return call;
}

int32_t ronde__team_gather(const struct team *team, const char *name, const void *record,
                           size_t bytes, void *all, size_t *present)
{
    ronde_call call = ronde__team_call(team);
    if (team->context)
        return ronde_allgather(team->context, name, record, 1, bytes, RONDE_UINT8, all,
                               (size_t)team->size, present, &call);
    memcpy(all, record, bytes);
    present[0] = 1;
    return RONDE_OK;
}

/* FNV-1a in words, each then mixed so that high bits reach low ones. */
uint64_t ronde__hash(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    for (; bytes >= 8; bytes -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 32;
    }
    for (; bytes; bytes--)
        hash = (hash ^ *at++) * 0x100000001b3u;
    return hash;
}
