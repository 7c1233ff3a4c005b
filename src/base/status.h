/* Statuses and the text of the last error of each thread. */
#ifndef RONDE_BASE_STATUS_H
#define RONDE_BASE_STATUS_H

#include "ronde.h"

/* Records the message (one line, lower case, with the values and what to do) as this thread's last
 * error and returns `status`. Called once, where the error is decided; callers pass it up. */
int32_t ronde__fail(int32_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with a finished text, for errors decided elsewhere (another thread, another rank). */
int32_t ronde__fail_text(int32_t status, const char *text);

/* malloc'd text, or NULL where memory is out. */
char *ronde__text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
