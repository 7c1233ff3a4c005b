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

/* ---- who has announced ----------------------------------------------------------------------- */

/* Is `rank` below contributor `c`: the local rank itself, or in the tree of a child's node? */
static int is_below(const struct leader *leader, int c, int rank)
{
    const struct net *net = leader->net;
    if (c < net->local_size)
        return net->node_of[rank] == net->node && net->local_rank_of[rank] == c;
    int child = net->node_of[leader->child[c - net->local_size]];
    int node = net->node_of[rank];
    while (node > child)
        node = (node - 1) / 2;
    return node == child;
}

static int has_announced(const struct leader *leader, const struct entry *entry, int rank)
{
    if (entry->ranks_known[rank])
        return 1;
    for (int c = 0; c < leader->net->local_size + leader->children; c++)
        if (entry->by[c] && is_below(leader, c, rank))
            return 1;
    return 0;
}

/* ---- telling the parent ---------------------------------------------------------------------- */

static void tell_parent(struct leader *leader, const struct entry *entry)
{
    uint32_t ranks = 0;
    for (int rank = 0; rank < leader->net->size; rank++)
        if (has_announced(leader, entry, rank))
            leader->rows[ranks++] = (uint64_t)rank;
    struct record partial = {.type = RECORD_PARTIAL,
                             .kind = entry->kind,
                             .id = RECORD_NO_ID,
                             .rank = leader->net->rank,
                             .seen = entry->seen,
                             .name = entry->name,
                             .name_bytes = entry->name_bytes,
                             .rows = leader->rows,
                             .row_words = ranks};
    ronde__record_write(&leader->up, &partial);
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
        say(text, "%s %s '%s'", shown ? "," : "; it has pending",
            ronde__kind_name((enum kind)next->kind), next->name);
        last_distance = next_distance;
    }
    if (!shown)
        say(text, "; it has nothing else pending");
}

static void say_shape(struct text *text, const struct signature *s)
{
    say(text, "%s ", ronde_dtype_name(s->dtype));
    if (s->kind == KIND_ALLREDUCE)
        say(text, "%s ", ronde_op_name(s->op));
    say(text, "[");
    for (int i = 0; i < s->dimensions; i++)
        say(text, "%s%llu", i ? ", " : "", (unsigned long long)s->shape[i]);
    say(text, "]");
}

/* in_short: without what the missing ranks have pending, which takes a look at every tensor. */
static const char *describe_stall(struct leader *leader, const struct entry *entry, double seconds,
                                  int in_short)
{
    struct text text = {leader->text, STALL_TEXT_BYTES};
    say(&text, "%s '%s' (", ronde__kind_name((enum kind)entry->kind), entry->name);
    if (entry->announced)
        say_shape(&text, &entry->signature);
    else
        say(&text, "submitted by a part of some nodes");
    say(&text, ") waits since %.1f s for", seconds);
    enum { RANKS_NAMED = 16 };
    int missing = 0;
    for (int rank = 0; rank < leader->net->size; rank++)
        if (!has_announced(leader, entry, rank) && missing++ < RANKS_NAMED) {
            say(&text, "%s rank %d", missing > 1 ? " and" : "", rank);
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
    const char *text = describe_stall(leader, entry, seconds, in_short);
    struct record error = {.type = RECORD_ERROR,
                           .kind = entry->kind,
                           .id = RECORD_NO_ID,
                           .status = RONDE_ERR_STALLED,
                           .name = entry->name,
                           .name_bytes = entry->name_bytes,
                           .text = text,
                           .text_bytes = (uint32_t)strlen(text)};
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
static void check_for_parent(struct leader *leader, struct entry *entry)
{
    int known = 0;
    for (int rank = 0; rank < leader->net->size; rank++)
        known += has_announced(leader, entry, rank);
    if (known != entry->reported)
        tell_parent(leader, entry);
    entry->reported = known;
}

/* Once one tensor is due the parent is told of all: what a rank has pending instead may be younger. */
static int is_due_for_parent(const struct leader *leader, int64_t now_ns)
{
    double look = first_look(leader->settings);
    const struct entry *e = ronde__negotiation_oldest(leader->negotiation);
    while (e && e->complete)
        e = e->later;
    return e && look > 0 && (double)(now_ns - e->since_ns) * 1e-9 > look / 2;
}

/* *stalled counts the tensors of this check that were reported or failed. */
static int32_t check_entry(struct leader *leader, struct entry *entry, double seconds, int *stalled)
{
    const struct settings *settings = leader->settings;
    if (!entry->reported && settings->stall_warn > 0 && seconds > settings->stall_warn) {
        entry->reported = 1;
        if (++*stalled <= DESCRIBED)
            ronde__log(leader->log, RONDE__LOG_WARN, "%s",
                       describe_stall(leader, entry, seconds, 0));
    }
    int closes = strcmp(entry->name, COORDINATOR_CLOSING) == 0; /* and has nothing better to do */
    if (settings->stall_abort > 0 && !closes && seconds > settings->stall_abort)
        return fail_stalled(leader, entry, seconds, ++*stalled > DESCRIBED);
    return RONDE_OK;
}

int32_t ronde__leader_check_stalls(struct leader *leader, int64_t now_ns)
{
    enum { CHECK_NS = 50000000 };
    if (now_ns < leader->stall_check_ns)
        return RONDE__IDLE;
    leader->stall_check_ns = now_ns + CHECK_NS;
    struct entry *next;
    int stalled = 0, due = !leader->is_root && is_due_for_parent(leader, now_ns);
    for (struct entry *e = ronde__negotiation_oldest(leader->negotiation); e; e = next) {
        next = e->later;
        double seconds = (double)(now_ns - e->since_ns) * 1e-9;
        int32_t status = RONDE_OK;
        if (!e->complete && leader->is_root)
            status = check_entry(leader, e, seconds, &stalled);
        else if (!e->complete && due)
            check_for_parent(leader, e);
        if (status)
            return status;
    }
    if (stalled > DESCRIBED)
        ronde__log(leader->log, RONDE__LOG_WARN, "and %d more tensors wait for some ranks",
                   stalled - DESCRIBED);
    return RONDE__IDLE;
}
