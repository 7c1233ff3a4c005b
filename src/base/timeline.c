/* In: events from any thread, into a ring of slots without a lock (Vyukov's bounded queue). Out:
 * the writer thread's text, into a file. A slot is whose its turn says: at n, of the thread that
 * records event number n; at n + 1, of the writer; then it is event n + SLOTS's.
 *
 * The writer sleeps until the first event rings `work`, leaves time for more to come and for the
 * file's readers (timeline_file.h), writes all there is, and sleeps again. While it pauses it
 * sleeps on another bell, so that recording makes no system call. Whatever fails later ends the
 * recording: `status` is set, and the writer goes. */
#include "base/timeline.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bell.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/thread.h"
#include "base/timeline_file.h"
#include "base/timeline_text.h"

enum {
    SLOTS = 32768,        /* 6 MiB; in one pause, so 650 000 events a second */
    NAME_BYTES = 120,     /* a slot is three cache lines */
    PAUSE_NS = 50000000,  /* half of what is promised for an event to be in the file */
    READING_NS = 20000000 /* what a reader of the file has at least, even when we stop */
};

struct slot {
    _Atomic uint64_t turn;
    struct timeline_event event; /* name: NULL, or `name` below */
    char name[NAME_BYTES];
};

struct timeline {
    _Alignas(64) _Atomic uint64_t head; /* events that have got a slot */
    _Alignas(64) struct bell work;      /* rung when something is to be written */
    struct bell end;                    /* rung when `stopping` */
    _Atomic int32_t stopping;
    _Atomic int32_t status; /* what ended the recording early */
    _Atomic uint64_t dropped;
    _Atomic int64_t offset_ns, error_ns;
    _Atomic uint32_t clock_sets; /* how often they were set: what the file lacks */
    uint64_t tail;               /* from here on: the writer's */
    uint32_t clock_sets_written;
    int64_t shown_ns; /* when the file's last growth became visible */
    const struct log *log;
    char *path; /* as the caller said it */
    char *trouble;
    pthread_t writer;
    struct timeline_file file;
    struct timeline_text text;
    struct slot slots[SLOTS];
};

/* ---- recording ------------------------------------------------------------------------------- */

/* Copies the name; of a long one the beginning and the end, where names differ. */
static void copy_name(char *to, const char *name)
{
    static const char gap[] = "...";
    size_t length = strlen(name);
    if (length < NAME_BYTES) {
        memcpy(to, name, length + 1);
        return;
    }
    size_t front = (NAME_BYTES - sizeof(gap)) / 2, back = NAME_BYTES - sizeof(gap) - front;
    memcpy(to, name, front);
    memcpy(to + front, gap, sizeof(gap) - 1);
    memcpy(to + front + sizeof(gap) - 1, name + length - back, back);
    to[NAME_BYTES - 1] = 0;
}

/* The slot for the next event, its number in *pos, or NULL where all are taken. */
static struct slot *take_slot(struct timeline *timeline, uint64_t *pos)
{
    *pos = atomic_load_explicit(&timeline->head, memory_order_relaxed);
    for (;;) {
        struct slot *slot = &timeline->slots[*pos % SLOTS];
        /* Pairs with the release in give_slot_back: the writer is done reading it. */
        uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn < *pos)
            return NULL;
        if (turn > *pos)
            *pos = atomic_load_explicit(&timeline->head, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(&timeline->head, pos, *pos + 1,
                                                       memory_order_relaxed, memory_order_relaxed))
            return slot;
    }
}

/* Wraps instead of overflowing, should a clock be told nonsense. */
static int64_t aligned(int64_t ns, int64_t offset_ns)
{
    return (int64_t)((uint64_t)ns + (uint64_t)offset_ns);
}

void ronde__timeline_add(struct timeline *timeline, const struct timeline_event *event)
{
    uint64_t pos;
    if (atomic_load_explicit(&timeline->status, memory_order_relaxed) != RONDE_OK)
        return;
    struct slot *slot = take_slot(timeline, &pos);
    if (slot) {
        int64_t offset = atomic_load_explicit(&timeline->offset_ns, memory_order_relaxed);
        slot->event = *event;
        slot->event.begin_ns = aligned(event->begin_ns, offset);
        slot->event.end_ns = aligned(event->end_ns, offset);
        copy_name(slot->name, event->name ? event->name : "");
        slot->event.name = slot->name;
        /* Pairs with the acquire in look_for_event. */
        atomic_store_explicit(&slot->turn, pos + 1, memory_order_release);
    } else {
        atomic_fetch_add_explicit(&timeline->dropped, 1, memory_order_relaxed);
    }
    ronde__bell_ring(&timeline->work);
}

void ronde__timeline_set_clock(struct timeline *timeline, int64_t offset_ns, int64_t error_ns)
{
    atomic_store_explicit(&timeline->error_ns, error_ns, memory_order_relaxed);
    atomic_store_explicit(&timeline->offset_ns, offset_ns, memory_order_relaxed);
    /* Pairs with the acquire in write_news. */
    atomic_fetch_add_explicit(&timeline->clock_sets, 1, memory_order_release);
    ronde__bell_ring(&timeline->work);
}

int32_t ronde__timeline_status(const struct timeline *timeline)
{
    return atomic_load_explicit(&timeline->status, memory_order_relaxed);
}

/* ---- the writer ------------------------------------------------------------------------------ */

static struct slot *look_for_event(struct timeline *timeline)
{
    struct slot *slot = &timeline->slots[timeline->tail % SLOTS];
    /* Pairs with the release in add. */
    uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
    return turn == timeline->tail + 1 ? slot : NULL;
}

static void give_slot_back(struct timeline *timeline, struct slot *slot)
{
    /* Pairs with the acquire in take_slot. */
    atomic_store_explicit(&slot->turn, timeline->tail + SLOTS, memory_order_release);
    timeline->tail++;
}

static int has_news(const struct timeline *timeline)
{
    return atomic_load_explicit(&timeline->dropped, memory_order_relaxed) > 0 ||
           atomic_load_explicit(&timeline->clock_sets, memory_order_relaxed) !=
               timeline->clock_sets_written;
}

static int32_t look_for_end(void *state)
{
    const struct timeline *timeline = state;
    /* Pairs with the release in stop. */
    return atomic_load_explicit(&timeline->stopping, memory_order_acquire) ? RONDE__DONE
                                                                           : RONDE__IDLE;
}

static int32_t look_for_work(void *state)
{
    struct timeline *timeline = state;
    return look_for_event(timeline) || has_news(timeline) ? RONDE__DONE : look_for_end(state);
}

static int grow(struct timeline *timeline)
{
    struct timeline_text *text = &timeline->text;
    int error = ronde__timeline_file_grow(&timeline->file, text->bytes, text->used);
    text->used = 0;
    return error;
}

/* About the clock, and what was dropped until now. */
static void write_news(struct timeline *timeline)
{
    uint64_t dropped = atomic_exchange_explicit(&timeline->dropped, 0, memory_order_relaxed);
    uint32_t sets = atomic_load_explicit(&timeline->clock_sets, memory_order_acquire);
    int64_t offset = atomic_load_explicit(&timeline->offset_ns, memory_order_relaxed);
    int64_t error = atomic_load_explicit(&timeline->error_ns, memory_order_relaxed);
    int64_t now = aligned(ronde__now_ns(), offset);
    if (sets != timeline->clock_sets_written)
        ronde__timeline_text_clock(&timeline->text, now, offset, error);
    timeline->clock_sets_written = sets;
    if (dropped)
        ronde__timeline_text_dropped(&timeline->text, now, dropped);
}

/* Writes what there is, at most a ring full, and shows it. 0 or errno. */
static int flush(struct timeline *timeline)
{
    int error = 0;
    write_news(timeline);
    for (int i = 0; i < SLOTS && !error; i++) {
        struct slot *slot = look_for_event(timeline);
        if (!slot)
            break;
        ronde__timeline_text_event(&timeline->text, &slot->event);
        give_slot_back(timeline, slot);
        if (ronde__timeline_text_is_full(&timeline->text))
            error = grow(timeline);
    }
    if (!error)
        error = grow(timeline);
    if (!error)
        error = ronde__timeline_file_show(&timeline->file);
    timeline->shown_ns = ronde__now_ns();
    return error;
}

/* What is flushed next goes into what was visible until now: see timeline_file.h. */
static void leave_time_to_readers(const struct timeline *timeline)
{
    int64_t left = timeline->shown_ns + READING_NS - ronde__now_ns();
    struct timespec time = {0, (long)left};
    if (left > 0)
        nanosleep(&time, NULL);
}

static void end_early(struct timeline *timeline, int error)
{
    timeline->trouble = ronde__text("timeline %s: %s; it ended early, what is in the file is whole",
                                    timeline->path, strerror(error));
    if (timeline->log)
        ronde__log(timeline->log, RONDE__LOG_WARN, "%s",
                   timeline->trouble ? timeline->trouble : "the timeline ended early");
    atomic_store_explicit(&timeline->status, RONDE_ERR_SYSTEM, memory_order_relaxed);
}

static void *writer(void *state)
{
    struct timeline *timeline = state;
    for (;;) {
        struct patience work = {.nap_ns = 0}, pause = {.deadline_ns = 0};
        ronde__wait_for(&timeline->work, &work, look_for_work, timeline);
        pause.deadline_ns = ronde__now_ns() + PAUSE_NS;
        int32_t ended = ronde__wait_for(&timeline->end, &pause, look_for_end, timeline);
        if (ended == RONDE__DONE)
            leave_time_to_readers(timeline);
        int error = flush(timeline);
        if (error) {
            end_early(timeline, error);
            return NULL;
        }
        if (ended == RONDE__DONE && !look_for_event(timeline))
            return NULL;
    }
}

/* ---- starting and stopping ------------------------------------------------------------------- */

static void release(struct timeline *timeline)
{
    free(timeline->text.tracks);
    free(timeline->trouble);
    free(timeline->path);
    free(timeline);
}

/* The timeline without file and thread; NULL: no memory. */
static struct timeline *create(const char *path, int rank, const struct log *log)
{
    struct timeline *timeline = aligned_alloc(64, (sizeof(*timeline) + 63) / 64 * 64);
    if (!timeline)
        return NULL;
    memset(timeline, 0, offsetof(struct timeline, text.bytes));
    timeline->log = log;
    timeline->text.rank = rank;
    timeline->path = strdup(path);
    for (uint64_t i = 0; i < SLOTS; i++)
        atomic_init(&timeline->slots[i].turn, i);
    if (timeline->path)
        return timeline;
    release(timeline);
    return NULL;
}

int32_t ronde__timeline_start(struct timeline **timeline, const char *path, int rank,
                              int64_t offset_ns, int64_t error_ns, const struct log *log)
{
    struct timeline *new = create(path, rank, log);
    if (!new)
        return ronde__fail(RONDE_ERR_MEMORY, "timeline %s: out of memory", path);
    atomic_init(&new->offset_ns, offset_ns);
    atomic_init(&new->error_ns, error_ns);
    struct timeline_text *text = &new->text;
    ronde__timeline_text_rank(text);
    ronde__timeline_text_clock(text, aligned(ronde__now_ns(), offset_ns), offset_ns, error_ns);
    int32_t status = ronde__timeline_file_open(&new->file, path, text->bytes, text->used);
    text->used = 0;
    new->shown_ns = ronde__now_ns();
    if (status != RONDE_OK)
        goto no_file;
    int error = ronde__thread_start(&new->writer, writer, new);
    if (error) {
        status = ronde__fail(RONDE_ERR_SYSTEM, "timeline %s: no thread to write it: %s", path,
                             strerror(error));
        goto no_writer;
    }
    *timeline = new;
    return RONDE_OK;

no_writer:
    ronde__timeline_file_close(&new->file);
no_file:
    release(new);
    return status;
}

int32_t ronde__timeline_stop(struct timeline *timeline)
{
    int32_t status = RONDE_OK;
    if (!timeline)
        return RONDE_OK;
    /* Pairs with the acquire in look_for_end: the last flush sees all that was recorded. */
    atomic_store_explicit(&timeline->stopping, 1, memory_order_release);
    ronde__bell_ring(&timeline->work);
    ronde__bell_ring(&timeline->end);
    pthread_join(timeline->writer, NULL);
    if (ronde__timeline_status(timeline) != RONDE_OK)
        status = ronde__fail(RONDE_ERR_SYSTEM, "%s",
                             timeline->trouble ? timeline->trouble : "a timeline ended early");
    ronde__timeline_file_close(&timeline->file);
    release(timeline);
    return status;
}
