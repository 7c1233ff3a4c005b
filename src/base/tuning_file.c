#include "base/tuning_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"

enum { MOST_BYTES = 64 << 10 }; /* every setting with its longest value fits many times */

int32_t ronde__tuning_file_read(const char *path, const char *label, char **text)
{
    char *read = NULL;
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT) {
        *text = NULL;
        return RONDE_OK;
    }
    if (!file)
        return ronde__fail(RONDE_ERR_ARGUMENT, "%s is \"%s\": %s", label, path, strerror(errno));
    int32_t status = RONDE_OK;
    read = malloc(MOST_BYTES + 1);
    size_t bytes = read ? fread(read, 1, MOST_BYTES + 1, file) : 0;
    if (!read)
        status = ronde__fail(RONDE_ERR_MEMORY, "no memory to read %s", path);
    else if (ferror(file))
        status = ronde__fail(RONDE_ERR_ARGUMENT, "%s is \"%s\": %s", label, path, strerror(errno));
    else if (bytes > MOST_BYTES || memchr(read, '\0', bytes))
        status = ronde__fail(RONDE_ERR_ARGUMENT, "%s is \"%s\", which is no text of at most %d KiB",
                             label, path, MOST_BYTES >> 10);
    fclose(file);
    if (status) {
        free(read);
        return status;
    }
    read[bytes] = '\0';
    *text = read;
    return RONDE_OK;
}

static int write_all(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return 0;
    int written = fputs(text, file) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    int error = errno;
    if (fclose(file) != 0)
        return 0;
    errno = error;
    return written;
}

int32_t ronde__tuning_file_write(const char *path, const char *text)
{
    char
        beside[PATH_MAX]; /* in the same folder, since only within a file system rename is a step */
    int length = snprintf(beside, sizeof(beside), "%s.%ld.new", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof(beside))
        return ronde__fail(RONDE_ERR_SYSTEM, "the path %.80s... is too long", path);
    if (write_all(beside, text) && rename(beside, path) == 0)
        return RONDE_OK;
    int error = errno;
    unlink(beside);
    return ronde__fail(RONDE_ERR_SYSTEM, "writing %s: %s", path, strerror(error));
}
