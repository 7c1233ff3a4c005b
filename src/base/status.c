#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_error[1024];

const char *ronde_last_error(void)
{
    return last_error;
}

int32_t ronde__fail(int32_t status, const char *format, ...)
{
    char text[sizeof(last_error)]; /* an argument may be the old text */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return ronde__fail_text(status, text);
}

int32_t ronde__fail_text(int32_t status, const char *text)
{
    snprintf(last_error, sizeof(last_error), "%s", text);
    return status;
}

int32_t ronde_fail(int32_t status, const char *text)
{
    return ronde__fail_text(status, text ? text : "");
}

/* 1 where the byte continues a character of UTF-8. */
static int continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

struct short_name ronde__short_name(const char *name, size_t most)
{
    enum { CHARACTER_BYTES = 4 }; /* a byte that is no UTF-8 is a character of its own */
    struct short_name shown;
    size_t length = most ? strnlen(name, most) : 0, head = SHORT_NAME_END_BYTES,
           tail = SHORT_NAME_END_BYTES;
    if (length < sizeof(shown.text)) {
        snprintf(shown.text, sizeof(shown.text), "%.*s", (int)length, length ? name : "");
        return shown;
    }
    while (head > SHORT_NAME_END_BYTES - CHARACTER_BYTES && continues(name[head]))
        head--;
    while (tail > SHORT_NAME_END_BYTES - CHARACTER_BYTES && continues(name[length - tail]))
        tail--;
    snprintf(shown.text, sizeof(shown.text), "%.*s...%.*s", (int)head, name, (int)tail,
             name + length - tail);
    return shown;
}

char *ronde__text(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

const char *ronde_status_name(int32_t status)
{
    switch ((enum ronde_status)status) {
    case RONDE_OK: return "ok";
    case RONDE_PENDING: return "pending";
    case RONDE_ERR_ARGUMENT: return "argument";
    case RONDE_ERR_OVERFLOW: return "overflow";
    case RONDE_ERR_MEMORY: return "memory";
    case RONDE_ERR_CLOSED: return "closed";
    case RONDE_ERR_HANDLE: return "handle";
    case RONDE_ERR_DUPLICATE: return "duplicate";
    case RONDE_ERR_MISMATCH: return "mismatch";
    case RONDE_ERR_TRUNCATED: return "truncated";
    case RONDE_ERR_THREADS: return "threads";
    case RONDE_ERR_MPI: return "mpi";
    case RONDE_ERR_SYSTEM: return "system";
    case RONDE_ERR_PEER: return "peer lost";
    case RONDE_ERR_STALLED: return "stalled";
    case RONDE_ERR_PROCESS_SET: return "process set";
    }
    return "unknown status";
}

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)

const char *ronde_version(void)
{
    return STRING(RONDE_VERSION_MAJOR) "." STRING(RONDE_VERSION_MINOR) "." STRING(
        RONDE_VERSION_PATCH);
}
