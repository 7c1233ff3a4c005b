#include "coordinator/negotiation.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { BUCKETS = 4096, VOIDED = 64, FAILED = 256 };

/* A contributor's announcements in a group, made before so many decisions, count no more. */
struct voided {
    int contributor;
    uint64_t group, before;
};

struct negotiation {
    struct family family;
    size_t capacity;      /* numbers there are */
    uint32_t numbers;     /* given so far */
    struct entry **by_id; /* [capacity] */
    struct entry *bucket[BUCKETS];
    struct entry *oldest, *newest;
    unsigned char *joined_rank; /* [size] */
    int joined;
    int *unjoined_below;          /* [contributors] ranks that have not joined; 0: all have */
    struct voided voided[VOIDED]; /* the latest; older ones have long arrived */
    unsigned voids;
    struct entry
        *failed[FAILED]; /* without number, but with a void_before: the latest of these, too */
    unsigned failures;
    struct entry **mates; /* root: that fail with what has failed */
    size_t mate_count, mate_room;
};

static void count_unjoined(struct negotiation *n)
{
    memset(n->unjoined_below, 0, (size_t)n->family.contributors * sizeof(int));
    for (int rank = 0; rank < n->family.size; rank++)
        if (n->family.contributor_of[rank] >= 0 && !n->joined_rank[rank])
            n->unjoined_below[n->family.contributor_of[rank]]++;
}

int32_t ronde__negotiation_open(struct negotiation **negotiation, const struct family *family,
                                size_t cache_capacity)
{
    struct negotiation *n = calloc(1, sizeof(*n));
    struct entry **by_id = calloc(cache_capacity + 1, sizeof(struct entry *));
    unsigned char *joined = calloc((size_t)family->size, 1);
    int *below = calloc((size_t)family->contributors, sizeof(int));
    if (!n || !by_id || !joined || !below) {
        free(n);
        free(by_id);
        free(joined);
        free(below);
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu cached names", cache_capacity);
    }
    n->family = *family;
    n->capacity = cache_capacity;
    n->by_id = by_id;
    n->joined_rank = joined;
    n->unjoined_below = below;
    count_unjoined(n);
    *negotiation = n;
    return RONDE_OK;
}

static void free_entry(struct entry *entry)
{
    free(entry->name);
    free(entry->conflict);
    free(entry->rows.word);
    free(entry->absent.word);
    free(entry->by);
    free(entry->groups);
    free(entry->ranks_known);
    free(entry);
}

void ronde__negotiation_close(struct negotiation *n)
{
    if (!n)
        return;
    for (int i = 0; i < BUCKETS; i++)
        for (struct entry *entry = n->bucket[i], *next; entry; entry = next) {
            next = entry->next_of_hash;
            free_entry(entry);
        }
    free(n->by_id);
    free(n->joined_rank);
    free(n->unjoined_below);
    free(n->mates);
    free(n);
}

/* ---- finding --------------------------------------------------------------------------------- */

/* FNV-1a */
static uint32_t bucket_of(int kind, const char *name, size_t bytes)
{
    uint32_t hash = 2166136261u ^ (uint32_t)kind;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return (hash ^ hash >> 16) % BUCKETS;
}

struct entry *ronde__negotiation_find(struct negotiation *n, int kind, const char *name,
                                      size_t bytes)
{
    struct entry *entry = n->bucket[bucket_of(kind, name, bytes)];
    while (entry && !(entry->kind == kind && entry->name_bytes == bytes &&
                      memcmp(entry->name, name, bytes) == 0))
        entry = entry->next_of_hash;
    return entry;
}

struct entry *ronde__negotiation_by_number(struct negotiation *n, uint32_t id)
{
    return id < n->capacity ? n->by_id[id] : NULL;
}

static struct entry *make(struct negotiation *n, const struct record *record)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    char *name = malloc(record->name_bytes + 1u);
    unsigned char *by = calloc((size_t)n->family.contributors, 1);
    unsigned char *known = calloc((size_t)n->family.size, 1);
    if (!entry || !name || !by || !known) {
        free(entry);
        free(name);
        free(by);
        free(known);
        return NULL;
    }
    memcpy(name, record->name, record->name_bytes);
    name[record->name_bytes] = '\0';
    *entry = (struct entry){.name = name,
                            .name_bytes = record->name_bytes,
                            .kind = record->kind,
                            .id = NO_ID,
                            .batch = NO_ID,
                            .needs_all = record->kind == KIND_ALLGATHER &&
                                         strcmp(name, COORDINATOR_CLOSING) == 0,
                            .ends = {-1, -1},
                            .by = by,
                            .ranks_known = known};
    struct entry **bucket = &n->bucket[bucket_of(record->kind, name, record->name_bytes)];
    entry->next_of_hash = *bucket;
    *bucket = entry;
    return entry;
}

static void forget(struct negotiation *n, struct entry *entry)
{
    struct entry **link = &n->bucket[bucket_of(entry->kind, entry->name, entry->name_bytes)];
    while (*link != entry)
        link = &(*link)->next_of_hash;
    *link = entry->next_of_hash;
    if (entry->failed)
        n->failed[entry->failed - 1] = NULL;
    free_entry(entry);
}

struct entry *ronde__negotiation_oldest(struct negotiation *n)
{
    return n->oldest;
}

int ronde__negotiation_has_announced(const struct negotiation *n, const struct entry *entry,
                                     int rank)
{
    if (entry->kind == KIND_SEND)
        return rank == entry->ends[0] || rank == entry->ends[1];
    int contributor = n->family.contributor_of[rank];
    return entry->ranks_known[rank] || (contributor >= 0 && entry->by[contributor]);
}

/* ---- the tally ------------------------------------------------------------------------------- */

static int has_tally(const struct negotiation *n, const struct entry *entry)
{
    return entry->earlier || entry->later || n->oldest == entry;
}

static void begin_tally(struct negotiation *n, struct entry *entry, int64_t now_ns)
{
    entry->since_ns = now_ns;
    entry->cached_only = 1;
    entry->cacheable = 1;
    entry->rank = INT32_MAX;
    entry->seen = UINT64_MAX;
    entry->earlier = n->newest;
    entry->later = NULL;
    *(n->newest ? &n->newest->later : &n->oldest) = entry;
    n->newest = entry;
}

static void end_tally(struct negotiation *n, struct entry *entry)
{
    entry->doomed = 0; /* an error of what nobody here has announced dooms too */
    if (!has_tally(n, entry))
        return;
    *(entry->earlier ? &entry->earlier->later : &n->oldest) = entry->later;
    *(entry->later ? &entry->later->earlier : &n->newest) = entry->earlier;
    entry->earlier = entry->later = NULL;
    free(entry->conflict);
    entry->conflict = NULL;
    entry->announced = entry->complete = entry->reported = entry->doomed = 0;
    entry->deadline_ns = 0;
    entry->ends[0] = entry->ends[1] = -1;
    entry->rows.count = entry->absent.count = 0;
    memset(entry->by, 0, (size_t)n->family.contributors);
    memset(entry->ranks_known, 0, (size_t)n->family.size);
    free(entry->groups);
    entry->groups = NULL;
}

static int32_t add_words(struct words *words, const void *more, size_t count)
{
    if (words->count + count > words->room) {
        size_t room = 2 * (words->count + count);
        uint64_t *grown = realloc(words->word, room * sizeof(*grown));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu words of a tally", room);
        words->word = grown;
        words->room = room;
    }
    if (count)
        memcpy(words->word + words->count, more, count * sizeof(uint64_t));
    words->count += count;
    return RONDE_OK;
}

static int32_t keep_conflict(struct entry *entry, char *text)
{
    entry->conflict = text;
    return text ? RONDE_OK : ronde__fail(RONDE_ERR_MEMORY, "no memory to describe a mismatch");
}

/* The first conflict is kept; comparisons are with the lowest rank's signature. */
static int32_t compare(const struct negotiation *n, struct entry *entry,
                       const struct record *record, const struct signature *theirs)
{
    if (entry->conflict)
        return RONDE_OK;
    if (record->text_bytes)
        return keep_conflict(entry, ronde__text("%.*s", (int)record->text_bytes, record->text));
    if (!entry->announced || ronde__signature_equal(&entry->signature, theirs))
        return RONDE_OK;
    const int *global = n->family.global;
    int first = entry->rank < record->rank;
    const char *name = ronde__shown_name(entry->kind, entry->name);
    return keep_conflict(entry,
                         ronde__signature_conflict(name, first ? &entry->signature : theirs,
                                                   global[first ? entry->rank : record->rank],
                                                   first ? theirs : &entry->signature,
                                                   global[first ? record->rank : entry->rank]));
}

static void know_ranks(struct negotiation *n, struct entry *entry, const struct record *record,
                       int64_t now_ns)
{
    for (uint32_t i = 0; i < record->row_words; i++) {
        uint64_t rank = ronde__record_word(record->rows, i);
        if (rank < (uint64_t)n->family.size)
            entry->ranks_known[rank] = 1;
    }
    int64_t since = now_ns - (int64_t)record->age_ms * 1000000;
    entry->since_ns = since < entry->since_ns ? since : entry->since_ns;
}

static void keep_deadline(struct entry *entry, const struct record *record, int64_t now_ns)
{
    int64_t deadline = now_ns + (int64_t)record->deadline_ms * 1000000;
    if (record->deadline_ms && (!entry->deadline_ns || deadline < entry->deadline_ns))
        entry->deadline_ns = deadline;
}

static int32_t keep_group(const struct negotiation *n, struct entry *entry, int contributor,
                          uint64_t group)
{
    if (!group)
        return RONDE_OK;
    if (!entry->groups)
        entry->groups = calloc((size_t)n->family.contributors, sizeof(*entry->groups));
    if (!entry->groups)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the group of '%s'",
                           ronde__short_name(entry->name, NAME_ROOM).text);
    entry->groups[contributor] = group;
    return RONDE_OK;
}

/* ---- joined ranks ---------------------------------------------------------------------------- */

void ronde__negotiation_join(struct negotiation *n, int rank)
{
    if (n->joined_rank[rank])
        return;
    n->joined_rank[rank] = 1;
    n->joined++;
    if (n->family.contributor_of[rank] >= 0)
        n->unjoined_below[n->family.contributor_of[rank]]--;
}

int ronde__negotiation_has_joined(const struct negotiation *n, int rank)
{
    return n->joined_rank[rank];
}

int ronde__negotiation_joined(const struct negotiation *n)
{
    return n->joined;
}

void ronde__negotiation_unjoin(struct negotiation *n)
{
    memset(n->joined_rank, 0, (size_t)n->family.size);
    n->joined = 0;
    count_unjoined(n);
}

/* Contributors all of whose ranks have joined are absent with all of them. */
static int32_t add_absent(const struct negotiation *n, struct entry *entry)
{
    int32_t status = RONDE_OK;
    for (int rank = 0; rank < n->family.size && !status; rank++) {
        int contributor = n->family.contributor_of[rank];
        if (contributor >= 0 && !entry->by[contributor])
            status = add_words(&entry->absent, &(uint64_t){(uint64_t)rank}, 1);
    }
    return status;
}

/* An operation whose root is absent cannot be. */
static int32_t check_root(const struct negotiation *n, struct entry *entry)
{
    const struct signature *s = &entry->signature;
    int has_root = s->kind == KIND_BROADCAST || s->kind == KIND_REDUCE || s->kind == KIND_GATHER ||
                   s->kind == KIND_SCATTER;
    for (size_t i = 0; i < entry->absent.count && has_root && !entry->conflict; i++)
        if (n->family.global[entry->absent.word[i]] == s->root)
            return keep_conflict(entry, ronde__text("%s '%s': its root, rank %d, has joined",
                                                    ronde__kind_name((enum kind)s->kind),
                                                    ronde__short_name(entry->name, NAME_ROOM).text,
                                                    s->root));
    return RONDE_OK;
}

static int32_t complete_tally(struct negotiation *n, struct entry *entry)
{
    entry->complete = 1;
    int32_t status = entry->announced < n->family.contributors ? add_absent(n, entry) : RONDE_OK;
    return status ? status : check_root(n, entry);
}

static int32_t complete_pair(struct negotiation *n, struct entry *entry)
{
    entry->complete = 1;
    if (entry->announced == 2 || entry->conflict)
        return RONDE_OK;
    int end = entry->ends[0] < 0; /* that is there */
    int other = ronde__negotiation_missing_end(entry);
    const char *name = ronde__shown_name(entry->kind, entry->name);
    return keep_conflict(entry,
                         ronde__text("%s '%s': rank %d has joined, and rank %d waits for it",
                                     end ? "recv" : "send", ronde__short_name(name, NAME_ROOM).text,
                                     n->family.global[other], n->family.global[entry->ends[end]]));
}

/* The sender (0) or the receiver (1) of a pair, as a rank; from its name "3>5:name". */
static int end_of(const struct entry *entry, int which)
{
    const char *text = which ? strchr(entry->name, '>') + 1 : entry->name;
    return (int)strtol(text, NULL, 10);
}

int ronde__negotiation_missing_end(const struct entry *entry)
{
    return end_of(entry, entry->ends[0] < 0 ? 0 : 1);
}

/* The length of a rank's number and the letter after it, or 0: it is no rank of these. */
static size_t rank_length(const char *text, size_t bytes, char after, int ranks)
{
    int64_t rank = 0;
    for (size_t i = 0; i < bytes && rank < ranks; i++) {
        if (text[i] == after)
            return i ? i + 1 : 0;
        if (text[i] < '0' || text[i] > '9')
            return 0;
        rank = 10 * rank + (text[i] - '0');
    }
    return 0;
}

/* Only the root hears of pairs, from their ends. */
static int32_t check_pair(const struct negotiation *n, const struct record *record)
{
    size_t from = rank_length(record->name, record->name_bytes, '>', n->family.size);
    size_t to = from ? rank_length(record->name + from, record->name_bytes - from, ':',
                                   n->family.size)
                     : 0;
    if (to && record->type == RECORD_ANNOUNCE)
        return RONDE_OK;
    return ronde__fail(RONDE_ERR_SYSTEM, "'%s' of rank %d is no pair of %d ranks",
                       ronde__short_name(record->name, record->name_bytes).text,
                       n->family.global[record->rank], n->family.size);
}

static int is_complete(const struct negotiation *n, const struct entry *entry)
{
    if (entry->kind == KIND_SEND)
        return entry->announced == 2 || n->joined_rank[ronde__negotiation_missing_end(entry)];
    if (entry->announced == n->family.contributors)
        return 1;
    if (!n->joined || !entry->announced || entry->needs_all)
        return 0;
    for (int c = 0; c < n->family.contributors; c++)
        if (!entry->by[c] && n->unjoined_below[c])
            return 0;
    return 1;
}

int32_t ronde__negotiation_completes(struct negotiation *n, struct entry *entry, int *completes)
{
    *completes = !entry->complete && is_complete(n, entry);
    if (!*completes)
        return RONDE_OK;
    return entry->kind == KIND_SEND ? complete_pair(n, entry) : complete_tally(n, entry);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static int32_t count_end(struct negotiation *n, struct entry *entry, const struct record *record)
{
    int which = record->flags & RECORD_RECEIVES ? 1 : 0;
    int32_t *end = &entry->ends[which];
    if (record->rank != end_of(entry, which))
        return ronde__fail(RONDE_ERR_SYSTEM, "rank %d announced an end of '%s' that is not its own",
                           n->family.global[record->rank],
                           ronde__short_name(entry->name, NAME_ROOM).text);
    if (*end >= 0)
        return ronde__fail(RONDE_ERR_SYSTEM, "'%s' was announced twice by rank %d",
                           ronde__short_name(entry->name, NAME_ROOM).text,
                           n->family.global[record->rank]);
    *end = record->rank;
    return RONDE_OK;
}

static int32_t count_contributor(struct negotiation *n, struct entry *entry, int contributor,
                                 const struct record *record)
{
    if (entry->by[contributor])
        return ronde__fail(RONDE_ERR_SYSTEM, "'%s' was announced twice by the subtree of rank %d",
                           ronde__short_name(entry->name, NAME_ROOM).text,
                           n->family.global[record->rank]);
    entry->by[contributor] = 1;
    return RONDE_OK;
}

static int32_t add_to(struct negotiation *n, struct entry *entry, int contributor,
                      const struct record *record, const struct signature *theirs)
{
    int32_t status = entry->kind == KIND_SEND ? count_end(n, entry, record)
                                              : count_contributor(n, entry, contributor, record);
    if (!status)
        status = compare(n, entry, record, theirs);
    if (record->row_words && entry->kind == KIND_SCATTER)
        entry->rows.count = 0; /* its root tells all */
    if (!status && record->row_words)
        status = add_words(&entry->rows, record->rows, record->row_words);
    if (!status && record->absent_words)
        status = add_words(&entry->absent, record->absent, record->absent_words);
    if (!status)
        status = keep_group(n, entry, contributor, theirs->group);
    if (status)
        return status;
    if (record->rank <= entry->rank) { /* the same: anew, after it was void */
        entry->rank = record->rank;
        entry->signature = *theirs;
    }
    if (record->type == RECORD_ANNOUNCE) {
        entry->cached_only = 0;
        entry->cacheable &= record->flags & RECORD_CACHEABLE;
    }
    entry->seen = record->seen < entry->seen ? record->seen : entry->seen;
    entry->announced++;
    return RONDE_OK;
}

/* Of a group that has failed since? */
static int is_void(struct negotiation *n, int contributor, const struct record *record,
                   uint64_t group)
{
    for (int i = 0; i < VOIDED && group; i++)
        if (n->voided[i].group == group && n->voided[i].contributor == contributor &&
            record->seen < n->voided[i].before)
            return 1;
    return 0;
}

int32_t ronde__negotiation_add(struct negotiation *n, int contributor, struct entry *entry,
                               const struct record *record, int64_t now_ns, struct entry **complete)
{
    *complete = NULL;
    const struct signature *theirs = record->type == RECORD_ANNOUNCE ? &record->signature
                                                                     : &entry->agreed;
    if (record->seen < entry->void_before)
        return RONDE_OK; /* its rank will see, or has seen, that it failed */
    if (record->type != RECORD_PARTIAL && is_void(n, contributor, record, theirs->group))
        return RONDE_OK;
    if (!has_tally(n, entry))
        begin_tally(n, entry, now_ns);
    keep_deadline(entry, record, now_ns);
    if (record->type == RECORD_PARTIAL) {
        know_ranks(n, entry, record, now_ns);
        return RONDE_OK;
    }
    int completes = 0;
    int32_t status = add_to(n, entry, contributor, record, theirs);
    if (!status)
        status = ronde__negotiation_completes(n, entry, &completes);
    if (!status && completes)
        *complete = entry;
    return status;
}

int32_t ronde__negotiation_open_entry(struct negotiation *n, const struct record *record,
                                      struct entry **entry)
{
    int by_number = record->type == RECORD_CACHED;
    if (record->kind == KIND_SEND && !by_number) {
        int32_t status = check_pair(n, record);
        if (status)
            return status;
    }
    *entry = by_number ? ronde__negotiation_by_number(n, record->id)
                       : ronde__negotiation_find(n, record->kind, record->name, record->name_bytes);
    if (by_number && (!*entry || (*entry)->kind != record->kind))
        return ronde__fail(RONDE_ERR_SYSTEM,
                           "rank %d announced %s number %u, which nobody was given", record->rank,
                           ronde__kind_name((enum kind)record->kind), record->id);
    if (!*entry && !(*entry = make(n, record)))
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the name of a tensor");
    return RONDE_OK;
}

/* At least 1 where there is one, however late it is. */
static uint32_t deadline_left_ms(const struct entry *entry, int64_t now_ns)
{
    int64_t left = (entry->deadline_ns - now_ns) / 1000000;
    return !entry->deadline_ns ? 0 : left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : (uint32_t)left;
}

struct record ronde__negotiation_up(const struct entry *entry, int64_t now_ns)
{
    int by_number = entry->cached_only && entry->id != NO_ID;
    return (struct record){
        .type = by_number ? RECORD_CACHED : RECORD_ANNOUNCE,
        .kind = entry->kind,
        .flags = (uint8_t)(entry->cacheable ? RECORD_CACHEABLE : 0),
        .id = entry->id,
        .rank = entry->rank,
        .deadline_ms = deadline_left_ms(entry, now_ns),
        .seen = entry->seen,
        .signature = entry->signature,
        .name = entry->name,
        .name_bytes = by_number ? 0 : entry->name_bytes,
        .text = entry->conflict,
        .text_bytes = entry->conflict ? (uint32_t)strlen(entry->conflict) : 0,
        .rows = entry->rows.word,
        .row_words = (uint32_t)entry->rows.count,
        .absent = entry->absent.word,
        .absent_words = (uint32_t)entry->absent.count,
    };
}

uint32_t ronde__negotiation_number(struct negotiation *n, const struct entry *entry)
{
    if (entry->id != NO_ID || !entry->cacheable || n->numbers >= n->capacity)
        return entry->id;
    return n->numbers++;
}

/* ---- decisions ------------------------------------------------------------------------------- */

/* What those have told who have not announced the entry (any more): steps of rank and, maybe, word. */
static void drop_words(const struct negotiation *n, const struct entry *entry, struct words *words,
                       size_t step)
{
    size_t kept = 0;
    for (size_t i = 0; i + step <= words->count; i += step) {
        uint64_t rank = words->word[i];
        int contributor = rank < (uint64_t)n->family.size ? n->family.contributor_of[rank] : -1;
        if (contributor < 0 || !entry->by[contributor])
            continue;
        memmove(&words->word[kept], &words->word[i], step * sizeof(uint64_t));
        kept += step;
    }
    words->count = kept;
}

/* The root fails the mate for everybody: a decision of its own, which ends its tally. */
static int32_t keep_mate(struct negotiation *n, struct entry *entry)
{
    if (n->mate_count == n->mate_room) {
        size_t room = 2 * n->mate_room + 16;
        struct entry **grown = realloc(n->mates, room * sizeof(struct entry *));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for a group of %zu", room);
        n->mates = grown;
        n->mate_room = room;
    }
    n->mates[n->mate_count++] = entry;
    entry->doomed = 1;
    entry->complete = 0; /* if it was held for its group, it is no more */
    return RONDE_OK;
}

struct entry *ronde__negotiation_next_mate(struct negotiation *n)
{
    return n->mate_count ? n->mates[--n->mate_count] : NULL;
}

/* Takes back what the contributor announced of that group. What this table has passed up in another
 * group than the failing entry counts on there: it is not complete anew. */
static int32_t void_group(struct negotiation *n, int contributor, uint64_t group, uint64_t before,
                          uint64_t passed_up)
{
    int32_t status = RONDE_OK;
    n->voided[n->voids++ % VOIDED] = (struct voided){contributor, group, before};
    for (struct entry *entry = n->oldest, *next; entry && !status; entry = next) {
        next = entry->later;
        if (entry->doomed || !entry->groups || entry->groups[contributor] != group ||
            !entry->by[contributor])
            continue;
        if (n->family.is_root) {
            status = keep_mate(n, entry);
            continue;
        }
        entry->by[contributor] = 0;
        entry->groups[contributor] = 0;
        if (passed_up && entry->signature.group == passed_up)
            entry->complete = 0;
        drop_words(n, entry, &entry->absent, 1);
        if (entry->kind != KIND_SCATTER) /* whose root tells all, and will again */
            drop_words(n, entry, &entry->rows, 2);
        if (--entry->announced == 0)
            end_tally(n, entry);
    }
    return status;
}

/* The rest of the groups in which the failing entry was announced. */
static int32_t void_mates(struct negotiation *n, struct entry *entry, uint64_t before)
{
    int32_t status = RONDE_OK;
    entry->doomed = 1;
    for (int c = 0; c < n->family.contributors && entry->groups && !status; c++)
        if (entry->by[c] && entry->groups[c])
            status = void_group(n, c, entry->groups[c], before, entry->signature.group);
    return status;
}

void ronde__negotiation_ran(struct negotiation *n, struct entry *entry)
{
    entry->agreed = entry->signature;
    end_tally(n, entry);
}

/* One number, one tensor, for ever. */
static int32_t check_number(const struct negotiation *n, const struct entry *entry, uint32_t id)
{
    int is_free = id == NO_ID || (id < n->capacity && (!n->by_id[id] || n->by_id[id] == entry));
    if (is_free && (entry->id == NO_ID || entry->id == id))
        return RONDE_OK;
    return ronde__fail(RONDE_ERR_SYSTEM,
                       "'%s' is to have number %u, but it has %u, or another has it",
                       ronde__short_name(entry->name, NAME_ROOM).text, id, entry->id);
}

/* Announcements may be on their way that its failure makes void, but not after so many other failures:
 * the one that this takes the place of is forgotten. */
static void keep_failed(struct negotiation *n, struct entry *entry)
{
    unsigned at = n->failures++ % FAILED;
    struct entry *old = n->failed[at];
    if (old)
        old->failed = 0;
    if (old && old->id == NO_ID && !has_tally(n, old))
        forget(n, old);
    n->failed[at] = entry;
    entry->failed = at + 1;
}

int32_t ronde__negotiation_follow(struct negotiation *n, const struct record *decision,
                                  uint64_t decisions)
{
    struct entry *entry = decision->name_bytes
                              ? ronde__negotiation_find(n, decision->kind, decision->name,
                                                        decision->name_bytes)
                              : ronde__negotiation_by_number(n, decision->id);
    int voids = decision->flags & RECORD_VOIDS;
    int32_t status = RONDE_OK;
    if (!entry && voids) { /* announcements may be on their way that it makes void */
        entry = make(n, decision);
        if (!entry)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory for the name of a tensor");
    }
    if (!entry)
        return RONDE_OK;
    entry->void_before = voids ? decisions : 0;
    if (decision->type == RECORD_RUN) {
        status = check_number(n, entry, decision->id);
        if (status)
            return status;
        /* Where all have joined below here nobody has announced it. */
        entry->agreed = decision->flags & RECORD_SIGNED ? decision->signature : entry->signature;
        entry->id = decision->id;
        if (entry->id < n->capacity)
            n->by_id[entry->id] = entry;
    } else {
        status = void_mates(n, entry, decisions);
    }
    end_tally(n, entry);
    if (entry->id == NO_ID && !entry->void_before)
        forget(n, entry);
    else if (entry->id == NO_ID && !entry->failed)
        keep_failed(n, entry);
    return status;
}
