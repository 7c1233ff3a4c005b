/* The text file behind the setting tuning_file. What its lines mean is settings.c's. */
#ifndef RONDE_BASE_TUNING_FILE_H
#define RONDE_BASE_TUNING_FILE_H

#include <stdint.h>

/* Sets *text to all of the file, malloc'd, or to NULL where there is none. label, for messages, is
 * what named the path. RONDE_ERR_ARGUMENT where it cannot be read or is no text. */
int32_t ronde__tuning_file_read(const char *path, const char *label, char **text);
/* Replaces the file in one step: who reads meanwhile sees all of the old or all of the new.
 * RONDE_ERR_SYSTEM leaves the old. */
int32_t ronde__tuning_file_write(const char *path, const char *text);

#endif
