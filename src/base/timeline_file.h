/* A file that holds one JSON array, grows, and is whole at every moment to whoever opens it.
 *
 * A write is not atomic to its readers: on ext4 and tmpfs up to 1 % of the readers that met a write
 * of 3 to 64 KiB saw half of it (measured on Linux 6.18). So there are two files. Grow appends to
 * the hidden one, ".NAME.next" in the same folder; show makes it the visible one in a single
 * rename that exchanges both. A reader who has opened the file has until the next grow: whoever
 * grows leaves time in between. What it costs is twice the room and twice the writing.
 *
 * Where exchanging is not possible (NFS, for one), the visible file grows itself, by writes that
 * begin at its closing bracket; a reader who meets one may then see it broken for an instant. */
#ifndef RONDE_BASE_TIMELINE_FILE_H
#define RONDE_BASE_TIMELINE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct timeline_copy {
    int fd;    /* -1: none */
    off_t end; /* where the closing bracket's line begins */
};

struct timeline_file {
    char *path;        /* absolute, no links; NULL: unknown */
    char *hidden_path; /* NULL: the visible file grows in place */
    struct timeline_copy visible, hidden;
};

/* After `objects` there must be room for so many bytes more: the end of the array goes there. */
enum { TIMELINE_FILE_TAIL = 3 };

/* Creates or overwrites the file, with these objects in the array: a comma before each, which the
 * first one loses. On an error, which names the path, there is nothing to close. */
int32_t ronde__timeline_file_open(struct timeline_file *file, const char *path, char *objects,
                                  size_t bytes);

/* Appends objects, with a comma before each. 0, or the errno: then the visible file is as it was,
 * and no more can be appended. */
int ronde__timeline_file_grow(struct timeline_file *file, char *objects, size_t bytes);

/* What has been appended becomes visible. 0 or the errno. */
int ronde__timeline_file_show(struct timeline_file *file);

void ronde__timeline_file_close(struct timeline_file *file);

#endif
