/* What a timeline's events look like: objects of the Chrome trace format, in a buffer. Before each
 * there is a comma and a new line.
 *
 * A rank is a process (pid). What happens to one tensor is an asynchronous span ("b", "e") with the
 * id of its use. What belongs to a bin or a message is a complete event ("X") on a track (tid) of
 * its phase and peer; where two overlap, the second goes to a further track, because a viewer takes
 * overlapping events of one track for nested ones. */
#ifndef RONDE_BASE_TIMELINE_TEXT_H
#define RONDE_BASE_TIMELINE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/timeline.h"
#include "base/timeline_file.h"

enum {
    TIMELINE_TEXT_BYTES = 65536,
    TIMELINE_OBJECT_BYTES = 3072 /* more than any call below writes: a name of 119 bytes, each as
                                    \u001f, and some 600 bytes around it and for its track */
};

struct timeline_track {
    int32_t phase, peer, lane;
    int64_t busy_until_ns;
};

struct timeline_text {
    size_t used;
    int rank;
    struct timeline_track *tracks; /* number i is tid i + 2; tid 1 has the moments */
    int track_count, track_room;
    char bytes[TIMELINE_TEXT_BYTES + TIMELINE_FILE_TAIL];
};

static inline int ronde__timeline_text_is_full(const struct timeline_text *text)
{
    return text->used + TIMELINE_OBJECT_BYTES > TIMELINE_TEXT_BYTES;
}

/* All write at most TIMELINE_OBJECT_BYTES. Times are those to be written. */
void ronde__timeline_text_rank(struct timeline_text *text);
void ronde__timeline_text_clock(struct timeline_text *text, int64_t now_ns, int64_t offset_ns,
                                int64_t error_ns);
void ronde__timeline_text_dropped(struct timeline_text *text, int64_t now_ns, uint64_t count);
void ronde__timeline_text_event(struct timeline_text *text, const struct timeline_event *event);

#endif
