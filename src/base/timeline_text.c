#include "base/timeline_text.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ronde.h"

/* ---- characters ------------------------------------------------------------------------------ */

/* Not printf: a busy timeline has some 100 000 events a second, each of 100 to 300 characters. */
static void put_bytes(struct timeline_text *text, const void *bytes, size_t count)
{
    assert(text->used + count <= TIMELINE_TEXT_BYTES);
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
}

static void put(struct timeline_text *text, const char *string)
{
    put_bytes(text, string, strlen(string));
}

static void put_unsigned(struct timeline_text *text, uint64_t number, unsigned base)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    put_bytes(text, digits + at, sizeof(digits) - at);
}

static void put_signed(struct timeline_text *text, int64_t number)
{
    if (number < 0)
        put(text, "-");
    put_unsigned(text, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10);
}

/* With what stands before it, such as ",\"pid\":". */
static void put_field(struct timeline_text *text, const char *key, int64_t number)
{
    put(text, key);
    put_signed(text, number);
}

/* How many bytes the well-formed UTF-8 character at s has, 0 where there is none. Table 3-7 of the
 * Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    unsigned char least = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char most = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < length; i++) {
        if (s[i] < least || s[i] > most)
            return 0;
        least = 0x80;
        most = 0xbf;
    }
    return length;
}

static int is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* A JSON string. A byte that is no part of a character becomes U+FFFD. */
static void put_string(struct timeline_text *text, const char *string)
{
    put(text, "\"");
    for (const unsigned char *s = (const unsigned char *)string; *s;) {
        size_t length = 0;
        while (is_plain(s[length]))
            length++;
        if (length == 0 && *s >= 0x80)
            length = utf8_length(s);
        if (length > 0)
            put_bytes(text, s, length);
        else if (*s >= 0x80)
            put(text, "\\ufffd");
        else
            put_bytes(text,
                      (char[]){'\\', 'u', '0', '0', "01234567"[*s >> 4],
                               "0123456789abcdef"[*s & 15]},
                      6);
        s += length ? length : 1;
    }
    put(text, "\"");
}

/* Microseconds with three decimals: no rounding, and every int64_t fits. `key` as for put_field. */
static void put_us(struct timeline_text *text, const char *key, int64_t ns)
{
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    unsigned below = (unsigned)(size % 1000);
    put(text, key);
    if (ns < 0)
        put(text, "-");
    put_unsigned(text, size / 1000, 10);
    put_bytes(text,
              (char[]){'.', (char)('0' + below / 100), (char)('0' + below / 10 % 10),
                       (char)('0' + below % 10)},
              4);
}

/* ---- about the file -------------------------------------------------------------------------- */

static void put_metadata(struct timeline_text *text, const char *name, int tid)
{
    put(text, ",\n{\"name\":\"");
    put(text, name);
    put_field(text, "\",\"ph\":\"M\",\"pid\":", text->rank);
    put_field(text, ",\"tid\":", tid);
    put(text, ",\"args\":{");
}

void ronde__timeline_text_rank(struct timeline_text *text)
{
    char host[256] = "";
    if (gethostname(host, sizeof(host) - 1))
        host[0] = 0;
    put_metadata(text, "ronde_rank", 1);
    put_field(text, "\"rank\":", text->rank);
    put(text, ",\"version\":");
    put_string(text, ronde_version());
    put(text, ",\"host\":");
    put_string(text, host);
    put(text, "}}");
    put_metadata(text, "process_name", 1);
    put_field(text, "\"name\":\"rank ", text->rank);
    put(text, "\"}}");
    put_metadata(text, "process_sort_index", 1);
    put_field(text, "\"sort_index\":", text->rank);
    put(text, "}}");
    put_metadata(text, "thread_name", 1);
    put(text, "\"name\":\"cycles\"}}");
}

void ronde__timeline_text_clock(struct timeline_text *text, int64_t now_ns, int64_t offset_ns,
                                int64_t error_ns)
{
    put_metadata(text, "ronde_clock", 1);
    put_field(text, "\"offset_ns\":", offset_ns);
    put_field(text, ",\"error_ns\":", error_ns);
    put_us(text, "},\"ts\":", now_ns);
    put(text, "}");
}

void ronde__timeline_text_dropped(struct timeline_text *text, int64_t now_ns, uint64_t count)
{
    put(text, ",\n{\"name\":\"dropped ");
    put_unsigned(text, count, 10);
    put(text, " events\",\"cat\":\"dropped\",\"ph\":\"i\",\"s\":\"p\"");
    put_field(text, ",\"pid\":", text->rank);
    put_us(text, ",\"tid\":1,\"ts\":", now_ns);
    put(text, ",\"args\":{\"count\":");
    put_unsigned(text, count, 10);
    put(text, "}}");
}

/* ---- tracks ---------------------------------------------------------------------------------- */

static const char *track_name(enum timeline_phase phase)
{
    switch (phase) {
    case TIMELINE_PACK: return "pack";
    case TIMELINE_REDUCE: return "reduce";
    case TIMELINE_EXCHANGE: return "exchange";
    case TIMELINE_UNPACK: return "unpack";
    case TIMELINE_SEND: return "send to";
    case TIMELINE_RECV: return "receive from";
    case TIMELINE_OPERATION:
    case TIMELINE_NEGOTIATE:
    case TIMELINE_QUEUE:
    case TIMELINE_CYCLE: break;
    }
    return "other";
}

static void name_track(struct timeline_text *text, const struct timeline_track *track, int tid)
{
    put_metadata(text, "thread_name", tid);
    put(text, "\"name\":\"");
    put(text, track_name((enum timeline_phase)track->phase));
    if (track->peer >= 0)
        put_field(text, " rank ", track->peer);
    if (track->lane > 0) {
        put_field(text, " (", track->lane + 1);
        put(text, ")");
    }
    put(text, "\"}}");
    put_metadata(text, "thread_sort_index", tid);
    put_field(text, "\"sort_index\":", ((int64_t)track->phase << 26) + track->peer + 1);
    put(text, "}}");
}

/* A new track, or the last one where there are as many as a viewer can bear, or memory is out. */
static int add_track(struct timeline_text *text, struct timeline_track track)
{
    enum { MOST_TRACKS = 4096 };
    if (text->track_count == text->track_room && text->track_room < MOST_TRACKS) {
        int room = text->track_room ? 2 * text->track_room : 16;
        struct timeline_track *more = realloc(text->tracks, (size_t)room * sizeof(*more));
        if (more) {
            text->tracks = more;
            text->track_room = room;
        }
    }
    if (text->track_count == text->track_room)
        return text->track_count + 1;
    text->tracks[text->track_count++] = track;
    name_track(text, &track, text->track_count + 1);
    return text->track_count + 1;
}

/* The tid for an event: of its phase and peer's tracks the first that is free since begin_ns. */
static int find_track(struct timeline_text *text, const struct timeline_event *event)
{
    int wire = event->phase == TIMELINE_SEND || event->phase == TIMELINE_RECV;
    struct timeline_track wanted = {event->phase, wire ? event->peer : -1, 0, event->end_ns};
    for (int i = 0; i < text->track_count; i++) {
        struct timeline_track *track = &text->tracks[i];
        if (track->phase != wanted.phase || track->peer != wanted.peer)
            continue;
        if (track->busy_until_ns <= event->begin_ns) {
            track->busy_until_ns = event->end_ns;
            return i + 2;
        }
        wanted.lane++;
    }
    return add_track(text, wanted);
}

/* ---- events ---------------------------------------------------------------------------------- */

static const char *phase_name(enum timeline_phase phase)
{
    switch (phase) {
    case TIMELINE_OPERATION: return "";
    case TIMELINE_NEGOTIATE: return "NEGOTIATE_";
    case TIMELINE_QUEUE: return "QUEUE";
    case TIMELINE_PACK: return "PACK";
    case TIMELINE_REDUCE: return "REDUCE";
    case TIMELINE_EXCHANGE: return "EXCHANGE";
    case TIMELINE_UNPACK: return "UNPACK";
    case TIMELINE_SEND: return "SEND";
    case TIMELINE_RECV: return "RECV";
    case TIMELINE_CYCLE: return "CYCLE_START";
    }
    return "OTHER";
}

/* What every event has, its time included. The kind stands in the names of some, in capitals. */
static void put_head(struct timeline_text *text, const struct timeline_event *event,
                     const char *category, char type, int tid)
{
    put(text, ",\n{\"name\":\"");
    put(text, phase_name((enum timeline_phase)event->phase));
    if (event->phase == TIMELINE_OPERATION || event->phase == TIMELINE_NEGOTIATE)
        for (const char *kind = event->kind ? event->kind : "operation"; *kind; kind++)
            put_bytes(text, &(char){(char)toupper((unsigned char)*kind)}, 1);
    put(text, "\",\"cat\":\"");
    put(text, category);
    put_bytes(text, (char[]){'"', ',', '"', 'p', 'h', '"', ':', '"', type, '"'}, 10);
    put_field(text, ",\"pid\":", text->rank);
    put_field(text, ",\"tid\":", tid);
    put_us(text, ",\"ts\":", type == 'e' ? event->end_ns : event->begin_ns);
}

static void put_arguments(struct timeline_text *text, const struct timeline_event *event)
{
    put(text, ",\"args\":{\"tensor\":");
    put_string(text, event->name ? event->name : "");
    put(text, ",\"kind\":");
    put_string(text, event->kind ? event->kind : "");
    put(text, ",\"bytes\":");
    put_unsigned(text, event->bytes, 10);
    put(text, ",\"use\":");
    put_unsigned(text, event->id, 10);
    if (event->process_set)
        put_field(text, ",\"process_set\":", event->process_set);
    if (event->peer >= 0)
        put_field(text, ",\"peer\":", event->peer);
    if (event->lamport) {
        put(text, ",\"lamport\":");
        put_unsigned(text, event->lamport, 10);
    }
    put(text, ",\"status\":\"");
    put(text, ronde_status_name(event->status));
    put(text, "\"}");
}

static void put_id(struct timeline_text *text, uint64_t id)
{
    put(text, ",\"id2\":{\"local\":\"0x");
    put_unsigned(text, id, 16);
    put(text, "\"}");
}

static void put_span(struct timeline_text *text, const struct timeline_event *event)
{
    put_head(text, event, "tensor", 'b', 1);
    put_id(text, event->id);
    put_arguments(text, event);
    put(text, "}");
    put_head(text, event, "tensor", 'e', 1);
    put_id(text, event->id);
    put(text, "}");
}

static void put_complete(struct timeline_text *text, const struct timeline_event *event)
{
    int wire = event->phase == TIMELINE_SEND || event->phase == TIMELINE_RECV;
    put_head(text, event, wire ? "wire" : "bin", 'X', find_track(text, event));
    put_us(text, ",\"dur\":", event->end_ns - event->begin_ns);
    put_arguments(text, event);
    put(text, "}");
}

static void put_moment(struct timeline_text *text, const struct timeline_event *event)
{
    put_head(text, event, "cycle", 'i', 1);
    put(text, ",\"s\":\"t\"");
    put_arguments(text, event);
    put(text, "}");
}

void ronde__timeline_text_event(struct timeline_text *text, const struct timeline_event *event)
{
    struct timeline_event forward = *event;
    if (forward.end_ns < forward.begin_ns)
        forward.end_ns = forward.begin_ns;
    switch ((enum timeline_phase)event->phase) {
    case TIMELINE_OPERATION:
    case TIMELINE_NEGOTIATE:
    case TIMELINE_QUEUE: put_span(text, &forward); break;
    case TIMELINE_PACK:
    case TIMELINE_REDUCE:
    case TIMELINE_EXCHANGE:
    case TIMELINE_UNPACK:
    case TIMELINE_SEND:
    case TIMELINE_RECV: put_complete(text, &forward); break;
    case TIMELINE_CYCLE: put_moment(text, &forward); break;
    }
}
