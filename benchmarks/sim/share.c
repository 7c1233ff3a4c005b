#include "share.h"

#include <math.h>
#include <stdlib.h>

/* What rounding makes of equal rates. */
#define ALIKE 1e-9

int share_open(struct share *share, int32_t links)
{
    size_t n = (size_t)links;
    *share = (struct share){.links = links,
                            .link = calloc(n, sizeof(*share->link)),
                            .dirty = malloc(n * sizeof(*share->dirty)),
                            .joined = malloc(n * sizeof(*share->joined))};
    for (int32_t l = 0; share->link && l < links; l++)
        share->link[l].speed = 1;
    return share->link && share->dirty && share->joined ? 0 : -1;
}

void share_close(struct share *share)
{
    for (int32_t l = 0; share->link && l < share->links; l++)
        free(share->link[l].stream);
    free(share->link);
    free(share->dirty);
    free(share->joined);
    free(share->found);
    *share = (struct share){0};
}

static void mark(struct share *share, int32_t link)
{
    if (!share->link[link].is_dirty)
        share->dirty[share->dirty_count++] = link;
    share->link[link].is_dirty = 1;
}

int share_add(struct share *share, struct stream *stream)
{
    stream->rate = 0;
    for (int32_t i = 0; i < stream->links; i++) {
        struct link *link = &share->link[stream->link[i]];
        if (link->count == link->room) {
            size_t room = link->room ? 2 * link->room : 4;
            struct stream **grown = realloc(link->stream, room * sizeof(struct stream *));
            if (!grown)
                return -1;
            link->stream = grown;
            link->room = room;
        }
        stream->place[i] = link->count;
        link->stream[link->count++] = stream;
        mark(share, stream->link[i]);
    }
    return 0;
}

void share_remove(struct share *share, struct stream *stream)
{
    for (int32_t i = 0; i < stream->links; i++) {
        struct link *link = &share->link[stream->link[i]];
        struct stream *last = link->stream[--link->count];
        link->stream[stream->place[i]] = last;
        for (int32_t l = 0; l < last->links; l++)
            if (last->link[l] == stream->link[i])
                last->place[l] = stream->place[i];
        mark(share, stream->link[i]);
    }
}

/* ---- whose rates are looked for -------------------------------------------------------------- */

static int is_found(const struct share *share, const struct stream *stream)
{
    return stream->seen == share->round;
}

static double rate_of(const struct share *share, const struct stream *stream)
{
    return is_found(share, stream) ? stream->next_rate : stream->rate;
}

static int find(struct share *share, struct stream *stream)
{
    if (is_found(share, stream))
        return 0;
    if (share->found_count == share->found_room) {
        size_t room = share->found_room ? 2 * share->found_room : 64;
        struct stream **grown = realloc(share->found, room * sizeof(struct stream *));
        if (!grown)
            return -1;
        share->found = grown;
        share->found_room = room;
    }
    stream->seen = share->round;
    stream->next_rate = stream->rate;
    share->found[share->found_count++] = stream;
    return 0;
}

/* The links of those found, with what the others on them leave. */
static int32_t join(struct share *share)
{
    int32_t links = 0;
    share->pass++;
    for (size_t f = 0; f < share->found_count; f++)
        for (int32_t i = 0; i < share->found[f]->links; i++) {
            struct link *link = &share->link[share->found[f]->link[i]];
            if (link->joined == share->pass)
                continue;
            link->joined = share->pass;
            share->joined[links++] = share->found[f]->link[i];
            link->left = link->speed;
            link->wanting = 0;
            for (size_t s = 0; s < link->count; s++) {
                int wants = is_found(share, link->stream[s]);
                link->wanting += wants;
                link->left -= wants ? 0 : link->stream[s]->rate;
            }
        }
    for (size_t f = 0; f < share->found_count; f++)
        share->found[f]->next_rate = 0;
    return links;
}

/* The streams of the fullest links get their share, and so on with what that leaves of others. */
static void fill(struct share *share, int32_t links)
{
    while (links > 0) {
        double least = -1;
        int32_t kept = 0;
        for (int32_t l = 0; l < links; l++) {
            const struct link *link = &share->link[share->joined[l]];
            if (link->wanting == 0)
                continue;
            double each = link->left / (double)link->wanting;
            least = least < 0 || each < least ? each : least;
            share->joined[kept++] = share->joined[l];
        }
        links = kept;
        for (int32_t l = 0; l < links; l++) {
            struct link *link = &share->link[share->joined[l]];
            if (link->left > least * (double)link->wanting * (1 + ALIKE))
                continue;
            for (size_t s = 0; s < link->count && link->wanting; s++) {
                struct stream *stream = link->stream[s];
                for (int32_t i = 0; stream->next_rate == 0 && i < stream->links; i++) {
                    share->link[stream->link[i]].left -= least;
                    share->link[stream->link[i]].wanting--;
                }
                stream->next_rate = stream->next_rate == 0 ? least : stream->next_rate;
            }
        }
    }
}

/* ---- whether they are fair ------------------------------------------------------------------- */

/* Max-min fair is where every stream is held by a link: one that is full, and on which no other has
 * more. */
static int is_held(struct share *share, const struct stream *stream)
{
    for (int32_t i = 0; i < stream->links; i++) {
        struct link *link = &share->link[stream->link[i]];
        if (link->looked != share->pass) {
            link->looked = share->pass;
            link->used = link->most = 0;
            for (size_t s = 0; s < link->count; s++) {
                double rate = rate_of(share, link->stream[s]);
                link->used += rate;
                link->most = rate > link->most ? rate : link->most;
            }
        }
        if (link->used > link->speed * (1 - ALIKE) &&
            link->most <= rate_of(share, stream) * (1 + ALIKE))
            return 1;
    }
    return 0;
}

/* Finds those beside a stream that must give or get: all that nothing holds, and if nothing holds
 * the stream, those that have more. */
static int find_beside(struct share *share, const struct stream *stream)
{
    int is_free = !is_held(share, stream);
    for (int32_t i = 0; i < stream->links; i++) {
        const struct link *link = &share->link[stream->link[i]];
        for (size_t s = 0; s < link->count; s++) {
            struct stream *other = link->stream[s];
            if (is_found(share, other))
                continue;
            int has_more = is_free && other->rate > stream->next_rate;
            if ((has_more || !is_held(share, other)) && find(share, other))
                return -1;
        }
    }
    return 0;
}

int share_settle(struct share *share, void (*changed)(void *, struct stream *), void *context)
{
    share->round++;
    share->found_count = 0;
    for (int32_t d = 0; d < share->dirty_count; d++) {
        struct link *link = &share->link[share->dirty[d]];
        link->is_dirty = 0;
        for (size_t s = 0; s < link->count; s++)
            if (find(share, link->stream[s]))
                return -1;
    }
    share->dirty_count = 0;
    for (size_t before = 0; before < share->found_count;) {
        fill(share, join(share));
        before = share->found_count;
        for (size_t f = 0; f < before; f++)
            if (find_beside(share, share->found[f]))
                return -1;
    }
    for (size_t f = 0; f < share->found_count; f++)
        if (fabs(share->found[f]->next_rate - share->found[f]->rate) >
            ALIKE * share->found[f]->rate)
            changed(context, share->found[f]);
    return 0;
}
