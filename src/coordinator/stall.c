/* Tensors that some ranks have submitted and others not, for too long.
 *
 * Every leader tells its parent after half of stall_warn (or stall_abort, if that is less) which
 * ranks of its subtree have announced a tensor that is not complete there. So when it looks the
 * root knows, for every tensor, who is missing, and for every missing rank, what else it has
 * announced: names that are nearly the same come first. The root logs it, once per tensor, and
 * after stall_abort fails the tensor everywhere. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bell.h"
#include "base/status.h"
#include "coordinator/leader.h"

static int has_announced(const struct leader *leader, const struct entry *entry, int rank)
{
    return ronde__negotiation_has_announced(leader->negotiation, entry, rank);
}

/* Whom the entry waits for. A joined rank is nobody's. */
static int is_missing(const struct leader *leader, const struct entry *entry, int rank)
{
    if (has_announced(leader, entry, rank))
        return 0;
    if (entry->kind == KIND_SEND)
        return ronde__negotiation_missing_end(entry) == rank;
    return entry->needs_all || !ronde__negotiation_has_joined(leader->negotiation, rank);
}

/* ---- telling the parent ---------------------------------------------------------------------- */

static uint32_t milliseconds(int64_t ns)
{
    int64_t ms = ns / 1000000;
    return ms < 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (uint32_t)ms;
}

static int32_t tell_parent(struct leader *leader, const struct entry *entry, int64_t now)
{
    int32_t status = ronde__leader_room(leader, (size_t)leader->at.net->size);
    if (status)
        return status;
    uint32_t ranks = 0;
    for (int rank = 0; rank < leader->at.net->size; rank++)
        if (has_announced(leader, entry, rank))
            leader->rows.word[ranks++] = (uint64_t)rank;
    const struct record partial = {.type = RECORD_PARTIAL,
                                   .kind = entry->kind,
                                   .id = NO_ID,
                                   .rank = leader->at.net->rank,
                                   .seen = entry->seen,
                                   .age_ms = milliseconds(now - entry->since_ns),
                                   .deadline_ms = entry->deadline_ns
                                                      ? milliseconds(entry->deadline_ns - now) + 1
                                                      : 0,
                                   .name = entry->name,
                                   .name_bytes = entry->name_bytes,
                                   .rows = leader->rows.word,
                                   .row_words = ranks};
    ronde__record_write(&leader->up, &partial);
    return RONDE_OK;
}

/* ---- the report ------------------------------------------------------------------------------ */

struct text {
    char *at;
    size_t room;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->at, text->room, format, arguments);
    va_end(arguments);
    size_t used = n < 0 ? 0 : (size_t)n < text->room ? (size_t)n : text->room - 1;
    text->at += used;
    text->room -= used;
}

/* Letters that differ, at most `most`: Levenshtein's distance in two rows. */
static int distance(const char *a, const char *b, int most)
{
    enum { LONGEST = 255 };
    int n = (int)strnlen(b, LONGEST), row[LONGEST + 1];
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1] && i <= LONGEST; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int up = row[j];
            int change = diagonal + (a[i - 1] != b[j - 1]);
            int shift = (up < row[j - 1] ? up : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
            diagonal = up;
        }
    }
    return row[n] < most ? row[n] : most;
}

/* A pair is known by what the end that is there does. */
static const char *kind_of(const struct entry *entry)
{
    enum kind kind = (enum kind)entry->kind;
    return ronde__kind_name(kind == KIND_SEND && entry->ends[0] < 0 ? KIND_RECV : kind);
}

/* "allreduce 'gradient'", or the call of what is not a user's. */
static void say_title(struct text *text, const struct entry *entry)
{
    const char *call = ronde__call_name(entry->kind, entry->name,
                                        entry->announced ? &entry->signature : NULL);
    const char *name = ronde__shown_name(entry->kind, entry->name);
    if (call)
        say(text, "%s", call);
    else
        say(text, "%s '%s'", kind_of(entry), ronde__short_name(name, NAME_ROOM).text);
}

static int has_shape(const struct entry *entry)
{
    return entry->kind != KIND_BARRIER && entry->kind != KIND_JOIN &&
           !ronde__call_name(entry->kind, entry->name, NULL);
}

/* Lists what `rank` has announced and still waits for, nearest name to `entry` first. */
static void say_pending(struct leader *leader, struct text *text, const struct entry *entry,
                        int rank)
{
    enum { SHOWN = 3, FAR = 1 << 20 };
    int last_distance = -1, shown = 0;
    for (; shown < SHOWN; shown++) {
        const struct entry *next = NULL;
        int next_distance = FAR;
        for (const struct entry *e = ronde__negotiation_oldest(leader->negotiation); e;
             e = e->later) {
            if (e == entry || e->complete || !has_announced(leader, e, rank))
                continue;
            int d = distance(e->name, entry->name, FAR);
            if (d > last_distance && d < next_distance) {
                next = e;
                next_distance = d;
            }
        }
        if (!next)
            break;
        say(text, shown ? ", " : "; it has pending ");
        say_title(text, next);
        last_distance = next_distance;
    }
    if (!shown)
        say(text, "; it has nothing else pending");
}

static void say_shape(struct text *text, const struct signature *s)
{
    say(text, " (%s ", ronde_dtype_name(s->dtype));
    if (s->kind == KIND_ALLREDUCE || s->kind == KIND_REDUCE || s->kind == KIND_REDUCESCATTER)
        say(text, "%s ", ronde_op_name(s->op));
    say(text, "[");
    for (int i = 0; i < s->dimensions; i++)
        say(text, "%s%llu", i ? ", " : "", (unsigned long long)s->shape[i]);
    say(text, "])");
}

/* in_short: without what the missing ranks have pending, which takes a look at every tensor. */
static const char *describe_stall(struct leader *leader, const struct entry *entry, double seconds,
                                  int in_short)
{
    struct text text = {leader->text, STALL_TEXT_BYTES};
    say_title(&text, entry);
    if (!entry->announced)
        say(&text, " (submitted by a part of some nodes)");
    else if (has_shape(entry))
        say_shape(&text, &entry->signature);
    say(&text, " waits since %.1f s for", seconds);
    enum { RANKS_NAMED = 16 };
    int missing = 0;
    for (int rank = 0; rank < leader->at.net->size; rank++)
        if (is_missing(leader, entry, rank) && missing++ < RANKS_NAMED) {
            say(&text, "%s rank %d", missing > 1 ? " and" : "", leader->at.global[rank]);
            if (!in_short)
                say_pending(leader, &text, entry, rank);
        }
    if (missing > RANKS_NAMED)
        say(&text, " and %d more", missing - RANKS_NAMED);
    return leader->text;
}

/* ---- the check ------------------------------------------------------------------------------- */

static int32_t fail_stalled(struct leader *leader, struct entry *entry, double seconds,
                            int in_short)
{
    struct record error = ronde__record_error(entry->kind, entry->name, entry->name_bytes,
                                              RONDE_ERR_STALLED,
                                              describe_stall(leader, entry, seconds, in_short));
    error.seen = leader->decisions;
    error.flags = RECORD_VOIDS;
    return ronde__leader_pass_down(leader, &error);
}

/* When the root looks first: 0 for never. */
static double first_look(const struct settings *settings)
{
    double warn = settings->stall_warn, fail = settings->stall_abort;
    return warn > 0 && (warn < fail || fail <= 0) ? warn : fail;
}

enum { DESCRIBED = 8 }; /* tensors a check describes at length; one cause stalls many */

/* Whenever it has become more ranks since the parent was told last. */
static int32_t check_for_parent(struct leader *leader, struct entry *entry, int64_t now)
{
    int known = 0;
    for (int rank = 0; rank < leader->at.net->size; rank++)
        known += has_announced(leader, entry, rank);
    int32_t status = known != entry->reported ? tell_parent(leader, entry, now) : RONDE_OK;
    entry->reported = known;
    return status;
}

/* Once one tensor is due the parent is told of all: what a rank has pending instead may be younger. */
static int is_due_for_parent(const struct leader *leader, int64_t now_ns)
{
    double look = first_look(leader->at.settings);
    for (const struct entry *e = ronde__negotiation_oldest(leader->negotiation); e; e = e->later) {
        int64_t waited = now_ns - e->since_ns, left = e->deadline_ns - now_ns;
        if (!e->complete &&
            ((look > 0 && (double)waited * 1e-9 > look / 2) || (e->deadline_ns && left < waited)))
            return 1;
    }
    return 0;
}

static int is_due(const struct settings *settings, const struct entry *entry, double seconds,
                  int64_t now)
{
    if (entry->needs_all) /* it closes, and has nothing better to do */
        return 0;
    return (settings->stall_abort > 0 && seconds > settings->stall_abort) ||
           (entry->deadline_ns && now > entry->deadline_ns);
}

/* *stalled counts the tensors of this check that were reported or failed. */
static int32_t check_entry(struct leader *leader, struct entry *entry, int64_t now, int *stalled)
{
    const struct settings *settings = leader->at.settings;
    double seconds = (double)(now - entry->since_ns) * 1e-9;
    if (!entry->reported && settings->stall_warn > 0 && seconds > settings->stall_warn) {
        entry->reported = 1;
        if (++*stalled <= DESCRIBED)
            ronde__log(leader->at.log, RONDE__LOG_WARN, "%s",
                       describe_stall(leader, entry, seconds, 0));
    }
    if (is_due(settings, entry, seconds, now))
        return fail_stalled(leader, entry, seconds, ++*stalled > DESCRIBED);
    return RONDE_OK;
}

/* A failure takes its group along, so the list is read again from its beginning. */
static int32_t check_entries(struct leader *leader, int64_t now, int *stalled)
{
    const struct entry *before;
    int32_t status = RONDE_OK;
    do {
        uint64_t decisions = leader->decisions;
        before = NULL;
        for (struct entry *e = ronde__negotiation_oldest(leader->negotiation); e && !status;
             e = e->later) {
            if (!e->complete)
                status = check_entry(leader, e, now, stalled);
            if (leader->decisions != decisions) {
                before = e;
                break;
            }
        }
    } while (before && !status);
    return status;
}

/* Joined ranks wait, and nothing has come from the others for long. */
static void check_join(struct leader *leader, int64_t now)
{
    const struct negotiation *n = leader->negotiation;
    double warn = leader->at.settings->stall_warn;
    double seconds = (double)(now - leader->arrived_ns) * 1e-9;
    int joined = ronde__negotiation_joined(n);
    if (!joined || leader->join_reported || warn <= 0 || seconds <= warn ||
        ronde__negotiation_oldest(leader->negotiation))
        return;
    struct text text = {leader->text, STALL_TEXT_BYTES};
    enum { RANKS_NAMED = 16 };
    int missing = 0;
    say(&text, "join waits, and nothing was submitted for %.1f s, by", seconds);
    for (int rank = 0; rank < leader->at.net->size; rank++)
        if (!ronde__negotiation_has_joined(n, rank) && missing++ < RANKS_NAMED)
            say(&text, "%s rank %d", missing > 1 ? " and" : "", leader->at.global[rank]);
    if (missing > RANKS_NAMED)
        say(&text, " and %d more", missing - RANKS_NAMED);
    leader->join_reported = 1;
    ronde__log(leader->at.log, RONDE__LOG_WARN, "%s", leader->text);
}

int32_t ronde__leader_check_stalls(struct leader *leader, int64_t now_ns)
{
    enum { CHECK_NS = 50000000 };
    if (now_ns < leader->stall_check_ns)
        return RONDE__IDLE;
    leader->stall_check_ns = now_ns + CHECK_NS;
    int stalled = 0;
    int32_t status = ronde__leader_spread_old_batches(leader, now_ns, CHECK_NS);
    if (!status && leader->is_root)
        status = check_entries(leader, now_ns, &stalled);
    if (!status && leader->is_root)
        check_join(leader, now_ns);
    int due = !status && !leader->is_root && is_due_for_parent(leader, now_ns);
    for (struct entry *e = ronde__negotiation_oldest(leader->negotiation); e && due && !status;
         e = e->later)
        if (!e->complete)
            status = check_for_parent(leader, e, now_ns);
    if (stalled > DESCRIBED)
        ronde__log(leader->at.log, RONDE__LOG_WARN, "and %d more tensors wait for some ranks",
                   stalled - DESCRIBED);
    return status ? status : RONDE__IDLE;
}
