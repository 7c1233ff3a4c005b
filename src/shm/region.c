#include "shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/status.h"

#define SHARED_MEMORY "/dev/shm"

/* What a node's first rank tells the others, and every rank tells all. */
struct offer {
    int32_t status;
    char name[32];
    uint64_t bytes;
    char *address; /* where the ranks are threads */
    char text[160];
};

static int32_t system_error(int error, const char *call, size_t bytes)
{
    if (error == ENOSPC || error == ENOMEM)
        return ronde__fail(RONDE_ERR_MEMORY,
                           "no room for %zu bytes in shared memory (%s): enlarge " SHARED_MEMORY
                           ", free some, or lower slots, slice_bytes or wire_buffer_bytes",
                           bytes, call);
    return ronde__fail(RONDE_ERR_SYSTEM, "%s of %zu bytes of shared memory: %s", call, bytes,
                       strerror(error));
}

static int32_t map(struct region *region)
{
    int flags = region->file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    void *base = mmap(NULL, region->bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE,
                      region->file, 0);
    if (base == MAP_FAILED)
        return system_error(errno, "mmap", region->bytes);
    region->base = base;
    return RONDE_OK;
}

/* The first rank of the node: a file with a name that nobody guesses, of the right size. */
static int32_t create(struct region *region, enum region_kind kind, char name[32])
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return system_error(errno, "getrandom", region->bytes);
    snprintf(name, 32, "/ronde-%016llx", (unsigned long long)random);
    region->file = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (region->file < 0) {
        name[0] = '\0';
        return system_error(errno, "shm_open", region->bytes);
    }
    if (ftruncate(region->file, (off_t)region->bytes))
        return system_error(errno, "ftruncate", region->bytes);
    if (kind == REGION_COMMITTED)
        return ronde__region_commit(region, 0, region->bytes);
    return RONDE_OK;
}

static int32_t create_and_map(struct region *region, const struct net *net, enum region_kind kind,
                              struct offer *offer)
{
    if (!net->one_process) {
        int32_t status = create(region, kind, offer->name);
        if (status)
            return status;
    }
    int32_t status = map(region);
    offer->bytes = region->bytes;
    offer->address = region->base;
    return status;
}

static int32_t join(struct region *region, const struct net *net, const struct offer *offer)
{
    region->bytes = offer->bytes;
    if (net->one_process) {
        region->base = offer->address;
        return RONDE_OK;
    }
    region->file = shm_open(offer->name, O_RDWR | O_CLOEXEC, 0600);
    if (region->file < 0)
        return system_error(errno, "shm_open", region->bytes);
    return map(region);
}

/* Everybody learns the first failure, in rank order, so that everybody fails alike. */
static int32_t agree(struct net *net, int32_t status, struct offer *mine, struct offer *all)
{
    mine->status = status;
    snprintf(mine->text, sizeof(mine->text), "%s", status ? ronde_last_error() : "");
    status = ronde__net_allgather(net, mine, sizeof(*mine), all);
    for (int rank = 0; rank < net->size && !status; rank++)
        if (all[rank].status)
            status = ronde__fail(all[rank].status, "rank %d: %s", rank, all[rank].text);
    return status;
}

int32_t ronde__region_open(struct region *region, struct net *net, size_t bytes,
                           enum region_kind kind)
{
    long page = sysconf(_SC_PAGESIZE);
    struct offer mine = {0};
    struct offer *all = calloc((size_t)net->size, sizeof(*all));
    if (!all)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory to open the shared segment");
    *region = (struct region){.bytes = (bytes + (size_t)page - 1) / (size_t)page * (size_t)page,
                              .file = -1};
    int32_t status = RONDE_OK;
    if (net->local_rank == 0)
        status = create_and_map(region, net, kind, &mine);
    int32_t agreed = agree(net, status, &mine, all);
    if (!agreed) {
        if (net->local_rank != 0)
            status = join(region, net, &all[ronde__net_rank_at(net, net->node, 0)]);
        agreed = agree(net, status, &mine, all);
    }
    if (mine.name[0])
        shm_unlink(mine.name);
    if (agreed)
        ronde__region_close(region, net);
    free(all);
    return agreed;
}

int32_t ronde__region_commit(struct region *region, size_t from, size_t bytes)
{
    int error = 0;
    if (region->file >= 0)
        do
            error = posix_fallocate(region->file, (off_t)from, (off_t)bytes);
        while (error == EINTR);
    return error ? system_error(error, "posix_fallocate", bytes) : RONDE_OK;
}

void ronde__region_close(struct region *region, const struct net *net)
{
    int mapped_here = !net->one_process || net->local_rank == 0;
    if (region->base && mapped_here)
        munmap(region->base, region->bytes);
    if (region->file >= 0)
        close(region->file);
    *region = (struct region){.file = -1};
}

static struct flock lock_of(int local_rank)
{
    return (
        struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = local_rank, .l_len = 1};
}

int32_t ronde__region_hold(struct region *region, int local_rank)
{
    struct flock mine = lock_of(local_rank);
    if (region->file >= 0 && fcntl(region->file, F_OFD_SETLK, &mine))
        return ronde__fail(RONDE_ERR_SYSTEM, "locking local rank %d's byte of shared memory: %s",
                           local_rank, strerror(errno));
    return RONDE_OK;
}

int ronde__region_is_held(const struct region *region, int local_rank)
{
    struct flock theirs = lock_of(local_rank);
    if (region->file < 0 || fcntl(region->file, F_OFD_GETLK, &theirs))
        return 1; /* no way to tell */
    return theirs.l_type != F_UNLCK;
}

size_t ronde__region_capacity(void)
{
    struct statvfs room;
    if (statvfs(SHARED_MEMORY, &room))
        return 0;
    return (size_t)room.f_blocks * room.f_frsize;
}
