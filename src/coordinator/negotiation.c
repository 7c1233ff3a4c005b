#include "coordinator/negotiation.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { BUCKETS = 4096 };

struct negotiation {
    int contributors, size;
    size_t capacity;      /* numbers there are */
    uint32_t numbers;     /* given so far */
    struct entry **by_id; /* [capacity] */
    struct entry *bucket[BUCKETS];
    struct entry *oldest, *newest;
};

int32_t ronde__negotiation_open(struct negotiation **negotiation, int contributors, int size,
                                size_t cache_capacity)
{
    struct negotiation *n = calloc(1, sizeof(*n));
    struct entry **by_id = calloc(cache_capacity + 1, sizeof(struct entry *));
    if (!n || !by_id) {
        free(n);
        free(by_id);
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for %zu cached names", cache_capacity);
    }
    n->contributors = contributors;
    n->size = size;
    n->capacity = cache_capacity;
    n->by_id = by_id;
    *negotiation = n;
    return RONDE_OK;
}

static void free_entry(struct entry *entry)
{
    free(entry->name);
    free(entry->conflict);
    free(entry->rows);
    free(entry->by);
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

static struct entry *find_id(struct negotiation *n, uint32_t id)
{
    return id < n->capacity ? n->by_id[id] : NULL;
}

static struct entry *make(struct negotiation *n, const struct record *record)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    char *name = malloc(record->name_bytes + 1u);
    unsigned char *by = calloc((size_t)n->contributors, 1);
    unsigned char *known = calloc((size_t)n->size, 1);
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
                            .id = RECORD_NO_ID,
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
    free_entry(entry);
}

struct entry *ronde__negotiation_oldest(struct negotiation *n)
{
    return n->oldest;
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
    if (!has_tally(n, entry))
        return;
    *(entry->earlier ? &entry->earlier->later : &n->oldest) = entry->later;
    *(entry->later ? &entry->later->earlier : &n->newest) = entry->earlier;
    entry->earlier = entry->later = NULL;
    free(entry->conflict);
    entry->conflict = NULL;
    entry->announced = entry->complete = entry->reported = 0;
    entry->row_words = 0;
    memset(entry->by, 0, (size_t)n->contributors);
    memset(entry->ranks_known, 0, (size_t)n->size);
}

static int32_t add_rows(struct entry *entry, const struct record *record)
{
    size_t words = entry->row_words + record->row_words;
    if (words > entry->row_room) {
        uint64_t *grown = realloc(entry->rows, 2 * words * sizeof(*grown));
        if (!grown)
            return ronde__fail(RONDE_ERR_MEMORY, "no memory to gather '%s'", entry->name);
        entry->rows = grown;
        entry->row_room = 2 * words;
    }
    if (record->row_words)
        memcpy(entry->rows + entry->row_words, record->rows, record->row_words * sizeof(uint64_t));
    entry->row_words = words;
    return RONDE_OK;
}

/* The first conflict is kept; comparisons are with the lowest rank's signature. */
static int32_t compare(struct entry *entry, const struct record *record,
                       const struct signature *theirs)
{
    if (!entry->conflict && record->text_bytes)
        entry->conflict = ronde__text("%.*s", (int)record->text_bytes, record->text);
    else if (!entry->conflict && entry->announced &&
             !ronde__signature_equal(&entry->signature, theirs)) {
        int first = entry->rank < record->rank;
        entry->conflict = ronde__signature_conflict(entry->name, first ? &entry->signature : theirs,
                                                    first ? entry->rank : record->rank,
                                                    first ? theirs : &entry->signature,
                                                    first ? record->rank : entry->rank);
    } else
        return RONDE_OK;
    return entry->conflict ? RONDE_OK
                           : ronde__fail(RONDE_ERR_MEMORY, "no memory to describe a mismatch");
}

static void know_ranks(struct negotiation *n, struct entry *entry, const struct record *record)
{
    for (uint32_t i = 0; i < record->row_words; i++) {
        uint64_t rank;
        memcpy(&rank, (const char *)record->rows + i * sizeof(rank), sizeof(rank));
        if (rank < (uint64_t)n->size)
            entry->ranks_known[rank] = 1;
    }
}

static int32_t add_to(struct negotiation *n, struct entry *entry, int contributor,
                      const struct record *record)
{
    const struct signature *theirs = record->type == RECORD_CACHED ? &entry->agreed
                                                                   : &record->signature;
    int32_t status = compare(entry, record, theirs);
    if (!status)
        status = add_rows(entry, record);
    if (status)
        return status;
    if (record->rank < entry->rank) {
        entry->rank = record->rank;
        entry->signature = *theirs;
    }
    if (record->type != RECORD_CACHED) {
        entry->cached_only = 0;
        entry->cacheable &= record->cacheable;
    }
    entry->seen = record->seen < entry->seen ? record->seen : entry->seen;
    entry->by[contributor] = 1;
    entry->announced++;
    entry->complete = entry->announced == n->contributors;
    return RONDE_OK;
}

int32_t ronde__negotiation_add(struct negotiation *n, int contributor, const struct record *record,
                               int64_t now_ns, struct entry **complete)
{
    *complete = NULL;
    int by_number = record->type == RECORD_CACHED;
    struct entry *entry = by_number ? find_id(n, record->id)
                                    : ronde__negotiation_find(n, record->kind, record->name,
                                                              record->name_bytes);
    if (!entry && by_number)
        return ronde__fail(RONDE_ERR_SYSTEM, "rank %d announced number %u, which nobody was given",
                           record->rank, record->id);
    if (!entry && !(entry = make(n, record)))
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the name of a tensor");
    if (record->seen < entry->void_before)
        return RONDE_OK; /* its rank will see, or has seen, that it failed */
    if (!has_tally(n, entry))
        begin_tally(n, entry, now_ns);
    if (record->type == RECORD_PARTIAL) {
        know_ranks(n, entry, record);
        return RONDE_OK;
    }
    if (entry->by[contributor])
        return ronde__fail(RONDE_ERR_SYSTEM, "'%s' was announced twice by the subtree of rank %d",
                           entry->name, record->rank);
    int32_t status = add_to(n, entry, contributor, record);
    if (!status && entry->complete)
        *complete = entry;
    return status;
}

struct record ronde__negotiation_up(const struct entry *entry)
{
    int by_number = entry->cached_only && entry->id != RECORD_NO_ID;
    return (struct record){
        .type = by_number ? RECORD_CACHED : RECORD_ANNOUNCE,
        .kind = entry->kind,
        .cacheable = (uint8_t)entry->cacheable,
        .id = entry->id,
        .rank = entry->rank,
        .seen = entry->seen,
        .signature = entry->signature,
        .name = entry->name,
        .name_bytes = by_number ? 0 : entry->name_bytes,
        .text = entry->conflict,
        .text_bytes = entry->conflict ? (uint32_t)strlen(entry->conflict) : 0,
        .rows = entry->rows,
        .row_words = (uint32_t)entry->row_words,
    };
}

uint32_t ronde__negotiation_number(struct negotiation *n, const struct entry *entry)
{
    if (entry->id != RECORD_NO_ID || !entry->cacheable || n->numbers >= n->capacity)
        return entry->id;
    return n->numbers++;
}

void ronde__negotiation_follow(struct negotiation *n, const struct record *decision,
                               uint64_t decisions)
{
    struct entry *entry = decision->name_bytes
                              ? ronde__negotiation_find(n, decision->kind, decision->name,
                                                        decision->name_bytes)
                              : find_id(n, decision->id);
    int stalled = decision->type == RECORD_ERROR && decision->status == RONDE_ERR_STALLED;
    if (!entry && stalled) /* announcements may be on their way that it makes void */
        entry = make(n, decision);
    if (!entry)
        return;
    entry->void_before = stalled ? decisions : 0;
    if (decision->type == RECORD_RUN) {
        entry->agreed = entry->signature;
        entry->id = decision->id;
        if (entry->id < n->capacity)
            n->by_id[entry->id] = entry;
    }
    end_tally(n, entry);
    if (entry->id == RECORD_NO_ID && !entry->void_before)
        forget(n, entry);
}
