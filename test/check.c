#include "check.h"

#include <stdarg.h>

int check_failures;

void check_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    __atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED); /* ranks may be threads */
}

int check_result(void)
{
    return check_failures ? 1 : 0;
}
