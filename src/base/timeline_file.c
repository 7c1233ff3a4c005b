#include "base/timeline_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status.h"

static const char TAIL[] = "\n]\n";
enum { TAIL_BYTES = TIMELINE_FILE_TAIL };

/* ---- one copy -------------------------------------------------------------------------------- */

/* Writes all of it: 0 or errno. */
static int write_at(int fd, const char *bytes, size_t count, off_t at)
{
    while (count > 0) {
        ssize_t written = pwrite(fd, bytes, count, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        bytes += written;
        count -= (size_t)written;
        at += written;
    }
    return 0;
}

/* Makes the copy whole again after a write that stopped half-way: the tail's room it has. */
static void cut_back(const struct timeline_copy *copy)
{
    if (write_at(copy->fd, TAIL, TAIL_BYTES, copy->end) == 0)
        while (ftruncate(copy->fd, copy->end + TAIL_BYTES) && errno == EINTR)
            ;
}

/* One write, from the closing bracket on, unless the kernel stops in the middle. */
static int append(struct timeline_copy *copy, char *objects, size_t bytes)
{
    memcpy(objects + bytes, TAIL, TAIL_BYTES);
    int error = write_at(copy->fd, objects, bytes + TAIL_BYTES, copy->end);
    if (error)
        cut_back(copy);
    else
        copy->end += (off_t)bytes;
    return error;
}

/* Appends to the hidden copy what it lacks of the visible one: nothing while it is ahead. */
static int catch_up(struct timeline_file *file)
{
    char piece[16384 + TIMELINE_FILE_TAIL];
    const off_t room = sizeof(piece) - TIMELINE_FILE_TAIL;
    while (file->hidden.end < file->visible.end) {
        off_t left = file->visible.end - file->hidden.end;
        ssize_t got = pread(file->visible.fd, piece, (size_t)(left < room ? left : room),
                            file->hidden.end);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : EIO; /* somebody else has cut it */
        int error = append(&file->hidden, piece, (size_t)got);
        if (error)
            return error;
    }
    return 0;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Renames each to the other's name. No wrapper of libc's: it is younger than the system call. */
static int exchange(const char *a, const char *b)
{
    const unsigned exchange_flag = 1 << 1; /* RENAME_EXCHANGE */
    return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, exchange_flag) ? errno : 0;
}

/* Whether the path still leads to our file: somebody else's must not be moved away. */
static int is_ours(const char *path, int fd)
{
    struct stat named, opened;
    return stat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
}

int ronde__timeline_file_show(struct timeline_file *file)
{
    if (!file->hidden_path || file->hidden.end < file->visible.end)
        return 0; /* in place, or nothing has been appended */
    if (!is_ours(file->path, file->visible.fd))
        return ENOENT;
    int error = exchange(file->path, file->hidden_path);
    if (error)
        return error;
    struct timeline_copy visible = file->hidden;
    file->hidden = file->visible;
    file->visible = visible;
    return 0;
}

int ronde__timeline_file_grow(struct timeline_file *file, char *objects, size_t bytes)
{
    if (bytes == 0)
        return 0;
    if (!file->hidden_path)
        return append(&file->visible, objects, bytes);
    int error = catch_up(file);
    return error ? error : append(&file->hidden, objects, bytes);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int32_t refuse(const char *path, int error)
{
    const char *why = error == EWOULDBLOCK
                          ? "another timeline writes to it; each needs its own file"
                          : strerror(error);
    return ronde__fail(RONDE_ERR_SYSTEM, "timeline %s: %s", path, why);
}

/* Opens what may be there already, for us alone: two writers would spoil each other's file. Locks
 * are advice, and where they do not work (some network file systems) we do without. 0 or errno. */
static int open_locked(struct timeline_copy *copy, const char *path, int flags)
{
    copy->end = 0;
    copy->fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | flags, 0666);
    if (copy->fd < 0)
        return errno;
    return flock(copy->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK ? EWOULDBLOCK : 0;
}

/* Sets the paths, as far as they can be known: the folder without links, and ".NAME.next" in it. */
static void find_paths(struct timeline_file *file, const char *path)
{
    file->path = realpath(path, NULL);
    if (!file->path) { /* not there yet */
        const char *slash = strrchr(path, '/');
        char *folder = slash ? ronde__text("%.*s/", (int)(slash - path), path) : strdup(".");
        char *real = folder ? realpath(folder, NULL) : NULL;
        file->path = real ? ronde__text("%s/%s", real, slash ? slash + 1 : path) : NULL;
        free(folder);
        free(real);
    }
    const char *slash = file->path ? strrchr(file->path, '/') : NULL;
    if (slash)
        file->hidden_path = ronde__text("%.*s/.%s.next", (int)(slash - file->path), file->path,
                                        slash + 1);
}

/* A child that was forked meanwhile has the file open, too: closing alone would leave it locked. */
static void close_locked(struct timeline_copy *copy)
{
    if (copy->fd < 0)
        return;
    flock(copy->fd, LOCK_UN);
    close(copy->fd);
    copy->fd = -1;
}

static void remove_hidden(struct timeline_file *file)
{
    if (file->hidden.fd >= 0)
        unlink(file->hidden_path);
    close_locked(&file->hidden);
    free(file->hidden_path);
    file->hidden_path = NULL;
}

/* An empty hidden file with the rights of the visible one. */
static int open_hidden(struct timeline_file *file)
{
    struct stat visible;
    int error = open_locked(&file->hidden, file->hidden_path, O_CREAT | O_NOFOLLOW);
    if (!error && ftruncate(file->hidden.fd, 0))
        error = errno;
    if (!error && file->visible.fd >= 0 &&
        (fstat(file->visible.fd, &visible) || fchmod(file->hidden.fd, visible.st_mode & 07777)))
        error = errno;
    return error;
}

/* Begins the array in a hidden file, which then takes the place of what was there, if anything: so
 * the path never leads to less than a whole file. 0 or errno. */
static int begin_hidden(struct timeline_file *file, char *objects, size_t bytes)
{
    int error = file->hidden_path ? open_hidden(file) : ENOENT;
    if (!error)
        error = append(&file->hidden, objects, bytes);
    if (!error && rename(file->hidden_path, file->path))
        error = errno;
    if (error)
        return error;
    close_locked(&file->visible);
    file->visible = file->hidden;
    file->hidden.fd = -1;
    return 0;
}

/* Begins the array in the visible file. */
static int begin_in_place(struct timeline_file *file, const char *path, char *objects, size_t bytes)
{
    int error = 0, made = file->visible.fd < 0;
    if (made)
        error = open_locked(&file->visible, path, O_CREAT);
    if (!error && ftruncate(file->visible.fd, 0))
        error = errno;
    if (!error)
        error = append(&file->visible, objects, bytes);
    if (error && made && file->visible.fd >= 0 && error != EWOULDBLOCK)
        unlink(path);
    return error;
}

/* What has been begun is visible; now a hidden copy, and whether they can be exchanged. */
static void add_hidden(struct timeline_file *file)
{
    if (!file->hidden_path)
        return;
    if (open_hidden(file) || catch_up(file) || ronde__timeline_file_show(file))
        remove_hidden(file);
}

static int begin(struct timeline_file *file, const char *path, char *objects, size_t bytes)
{
    find_paths(file, path);
    int error = begin_hidden(file, objects, bytes);
    if (error == EWOULDBLOCK) { /* the hidden file is another timeline's: not ours to remove */
        close(file->hidden.fd);
        file->hidden.fd = -1;
    } else if (error) {
        remove_hidden(file);
        error = begin_in_place(file, path, objects, bytes);
    } else {
        add_hidden(file);
    }
    return error;
}

int32_t ronde__timeline_file_open(struct timeline_file *file, const char *path, char *objects,
                                  size_t bytes)
{
    struct stat visible;
    *file = (struct timeline_file){.visible = {.fd = -1}, .hidden = {.fd = -1}};
    objects[0] = '[';
    int error = open_locked(&file->visible, path, 0);
    int regular = error || (fstat(file->visible.fd, &visible) == 0 && S_ISREG(visible.st_mode));
    if (regular && (!error || error == ENOENT))
        error = begin(file, path, objects, bytes);
    if (regular && !error)
        return RONDE_OK;
    ronde__timeline_file_close(file);
    if (!regular)
        return ronde__fail(RONDE_ERR_SYSTEM, "timeline %s: is not a regular file", path);
    return refuse(path, error);
}

void ronde__timeline_file_close(struct timeline_file *file)
{
    remove_hidden(file);
    close_locked(&file->visible);
    free(file->path);
    *file = (struct timeline_file){.visible = {.fd = -1}, .hidden = {.fd = -1}};
}
