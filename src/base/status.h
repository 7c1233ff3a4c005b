/* Statuses and the text of the last error of each thread. */
#ifndef RONDE_BASE_STATUS_H
#define RONDE_BASE_STATUS_H

#include "ronde.h"

/* Records the message (one line, lower case, with the values and what to do) as this thread's last
 * error and returns `status`. Called once, where the error is decided; callers pass it up. */
int32_t ronde__fail(int32_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with a finished text, for errors decided elsewhere (another thread, another rank). */
int32_t ronde__fail_text(int32_t status, const char *text);

/* A user's name as every text shows it: of a long one both ends, in whole characters of UTF-8, so that
 * the text has room for what it says of it. `most`: bytes that are read at most, for names that no
 * zero ends. Used as ronde__short_name(name, NAME_ROOM).text, within one expression. */
enum { SHORT_NAME_END_BYTES = 40 };
struct short_name {
    char text[2 * SHORT_NAME_END_BYTES + sizeof("...")];
};
struct short_name ronde__short_name(const char *name, size_t most);

/* malloc'd text, or NULL where memory is out. */
char *ronde__text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
