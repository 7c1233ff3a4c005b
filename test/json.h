/* Whether a text is JSON, to the letter of RFC 8259: no control characters in strings, no broken
 * UTF-8, no leading zeros, nothing after the end. */
#ifndef RONDE_TEST_JSON_H
#define RONDE_TEST_JSON_H

#include <string.h>

struct json {
    const unsigned char *at, *end;
    int depth;
};

static inline int json_value(struct json *json);

static inline int json_byte(const struct json *json)
{
    return json->at < json->end ? *json->at : -1;
}

static inline int json_take(struct json *json, const char *text)
{
    size_t length = strlen(text);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, text, length) != 0)
        return 0;
    json->at += length;
    return 1;
}

static inline void json_space(struct json *json)
{
    while (json_byte(json) == ' ' || json_byte(json) == '\n' || json_byte(json) == '\t' ||
           json_byte(json) == '\r')
        json->at++;
}

static inline int json_digits(struct json *json)
{
    const unsigned char *begin = json->at;
    while (json_byte(json) >= '0' && json_byte(json) <= '9')
        json->at++;
    return json->at > begin;
}

static inline int json_number(struct json *json)
{
    json_take(json, "-");
    if (!json_take(json, "0") && !json_digits(json))
        return 0;
    if (json_take(json, ".") && !json_digits(json))
        return 0;
    if (json_take(json, "e") || json_take(json, "E")) {
        if (!json_take(json, "+"))
            json_take(json, "-");
        return json_digits(json);
    }
    return 1;
}

/* By the value of the code point, so in another way than what it checks. */
static inline int json_utf8(struct json *json)
{
    static const unsigned least[] = {0, 0x80, 0x800, 0x10000};
    unsigned first = *json->at++;
    int more = first < 0x80 ? 0 : first < 0xc0 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if (more < 0 || first > 0xf7)
        return 0;
    unsigned code = more ? first & (0x3fU >> more) : first;
    for (int i = 0; i < more; i++) {
        int byte = json_byte(json);
        if (byte < 0x80 || byte > 0xbf)
            return 0;
        code = code << 6 | ((unsigned)byte & 0x3f);
        json->at++;
    }
    return code >= 0x20 && code >= least[more] && code <= 0x10ffff && code >> 11 != 0x1b;
}

static inline int json_escape(struct json *json)
{
    if (!json_take(json, "u")) {
        int known = json_byte(json) > 0 && strchr("\"\\/bfnrt", json_byte(json)) != NULL;
        json->at++;
        return known;
    }
    for (int i = 0; i < 4; i++, json->at++)
        if (json_byte(json) <= 0 || !strchr("0123456789abcdefABCDEF", json_byte(json)))
            return 0;
    return 1;
}

static inline int json_string(struct json *json)
{
    if (!json_take(json, "\""))
        return 0;
    while (json->at < json->end && *json->at != '"')
        if (json_take(json, "\\") ? !json_escape(json) : !json_utf8(json))
            return 0;
    return json_take(json, "\"");
}

/* The members of an array or an object, after its opening bracket. */
static inline int json_members(struct json *json, const char *close, int named)
{
    json_space(json);
    if (json_take(json, close))
        return 1;
    do {
        json_space(json);
        if (named && !json_string(json))
            return 0;
        json_space(json);
        if (named && !json_take(json, ":"))
            return 0;
        if (!json_value(json))
            return 0;
    } while (json_take(json, ","));
    return json_take(json, close);
}

/* A value and the space around it. */
static inline int json_value(struct json *json)
{
    int valid;
    if (json->depth == 100)
        return 0;
    json->depth++;
    json_space(json);
    if (json_take(json, "["))
        valid = json_members(json, "]", 0);
    else if (json_take(json, "{"))
        valid = json_members(json, "}", 1);
    else if (json_byte(json) == '"')
        valid = json_string(json);
    else
        valid = json_take(json, "true") || json_take(json, "false") || json_take(json, "null") ||
                json_number(json);
    json_space(json);
    json->depth--;
    return valid;
}

static inline int json_is_valid(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    struct json json = {bytes, bytes + length, 0};
    return json_value(&json) && json.at == json.end;
}

#endif
