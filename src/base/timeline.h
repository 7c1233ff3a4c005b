/* One rank's record of what happened when, as a file of Chrome trace events that Perfetto and
 * ronde-trace read.
 *
 * The file is whole and valid JSON at every moment after start has returned, also after the process
 * was killed (see timeline_file.h), and holds every event at most 0.1 s after it was recorded. The
 * memory is bounded: events that find no room are dropped and counted, and the file says how many
 * and when. A thread of the timeline's own writes; with nothing to write it sleeps. */
#ifndef RONDE_BASE_TIMELINE_H
#define RONDE_BASE_TIMELINE_H

#include <stdint.h>

#include "base/log.h"

struct timeline;

enum timeline_phase {
    /* Of one tensor; they overlap those of others. On a rank, those of one use have one id. */
    TIMELINE_OPERATION, /* from submitting to done: ALLREDUCE, BROADCAST, ... */
    TIMELINE_NEGOTIATE, /* from announcing it to knowing that all ranks have: NEGOTIATE_ALLREDUCE */
    TIMELINE_QUEUE,     /* decided, waiting for its bin to start */
    /* Of a bin, or of one tensor in it. */
    TIMELINE_PACK,
    TIMELINE_REDUCE,
    TIMELINE_EXCHANGE, /* a whole collective, where its parts are not told apart */
    TIMELINE_UNPACK,
    /* A message to or from `peer`. */
    TIMELINE_SEND,
    TIMELINE_RECV,
    /* A moment, begin_ns: a bin starts. CYCLE_START, as Horovod calls it. */
    TIMELINE_CYCLE,
};
enum { TIMELINE_PHASES = TIMELINE_CYCLE + 1 };

struct timeline_event {
    int32_t phase;    /* enum timeline_phase */
    const char *name; /* of the tensor, or NULL; copied, shortened in the middle above 118 bytes */
    const char *kind; /* "allreduce", in static storage, or NULL */
    int64_t begin_ns; /* ronde__now_ns of this rank; the timeline adds the clock's offset */
    int64_t end_ns;
    uint64_t bytes;
    uint64_t lamport; /* 0: none. Of a SEND: the stamp that travels with it. Of a RECV: this rank's
                         after it came in, so greater than its SEND's. */
    uint64_t id;      /* of this use of the tensor */
    int32_t peer;     /* global rank; -1: none */
    int32_t status;   /* enum ronde_status */
    int32_t process_set;
};

/* Local. Creates or overwrites the file at `path` and starts the writer. Times are written as
 * ronde__now_ns() + offset_ns, right within error_ns. What goes wrong later (a full disk) ends the
 * recording; it is told once on the log, if there is one, which must live as long, and by stop.
 * RONDE_ERR_SYSTEM names the file: no rights, not a regular file, in use by another timeline. */
int32_t ronde__timeline_start(struct timeline **timeline, const char *path, int rank,
                              int64_t offset_ns, int64_t error_ns, const struct log *log);

/* Events recorded from now on have this offset. The file gets a clock event. */
void ronde__timeline_set_clock(struct timeline *timeline, int64_t offset_ns, int64_t error_ns);

/* RONDE_OK, or RONDE_ERR_SYSTEM once the recording has ended early. */
int32_t ronde__timeline_status(const struct timeline *timeline);

/* Writes what is left, joins the writer, frees. Nobody may be recording meanwhile, nor later.
 * RONDE_ERR_SYSTEM where the recording had ended early. NULL is fine. */
int32_t ronde__timeline_stop(struct timeline *timeline);

/* Copies the event; any thread, never waits (no lock, no system call unless the writer sleeps). */
void ronde__timeline_add(struct timeline *timeline, const struct timeline_event *event);

static inline void ronde__timeline_record(struct timeline *timeline,
                                          const struct timeline_event *event)
{
    if (timeline)
        ronde__timeline_add(timeline, event);
}

#endif
