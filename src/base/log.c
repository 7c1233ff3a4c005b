#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* Writes up to PIPE_BUF (4096) bytes to a pipe are not split, so lines of ranks that share one do
 * not mix. A longer line is cut. */
enum { LINE_BYTES = 4096 };

static const char *level_name(int level)
{
    switch ((enum ronde__log_level)level) {
    case RONDE__LOG_ERROR: return "error";
    case RONDE__LOG_WARN: return "warn";
    case RONDE__LOG_INFO: return "info";
    case RONDE__LOG_DEBUG: return "debug";
    }
    return "note";
}

/* Length after another snprintf into a line of which `length` bytes are used. */
static size_t extended(size_t length, int written)
{
    size_t most = LINE_BYTES - 1;
    length += written > 0 ? (size_t)written : 0;
    return length < most ? length : most;
}

void ronde__log(const struct log *log, int level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    int errno_before = errno;
    if (level > log->level)
        return;
    size_t length = extended(0, snprintf(line, sizeof(line), "ronde[%d] %s: ", log->rank,
                                         level_name(level)));
    va_start(arguments, format);
    length = extended(length, vsnprintf(line + length, sizeof(line) - length, format, arguments));
    va_end(arguments);
    line[length++] = '\n'; /* over the terminating zero */
    while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
        ;
    errno = errno_before;
}
