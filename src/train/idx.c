/* An IDX file is 0, 0, the type of its elements, the number of dimensions, each of those as 32
 * bits, and the elements; all with the high byte first. http://yann.lecun.com/exdb/mnist/ */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "train/table.h"

struct header {
    uint32_t magic;
    int32_t dtype;
    size_t element_bytes, elements;
    char shape[96]; /* "1437x8x8" */
};

static int32_t bad_file(const char *path, const char *reason)
{
    return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s: %s", path, reason);
}

static int32_t read_number(FILE *file, const char *path, uint32_t *number)
{
    unsigned char b[4];
    if (fread(b, 1, 4, file) != 4)
        return bad_file(path, "ends within its header");
    *number = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return RONDE_OK;
}

static int32_t dtype_of(uint32_t type)
{
    switch (type) {
    case 0x08: return RONDE_UINT8;
    case 0x09: return RONDE_INT8;
    case 0x0B: return RONDE_INT16;
    case 0x0C: return RONDE_INT32;
    case 0x0D: return RONDE_FLOAT32;
    case 0x0E: return RONDE_FLOAT64;
    default: return -1;
    }
}

static int32_t read_magic(FILE *file, const char *path, struct header *header, struct table *table)
{
    int32_t status = read_number(file, path, &header->magic);
    if (status != RONDE_OK)
        return status;
    if (header->magic >> 16 == 0x1f8b)
        return bad_file(path, "is compressed by gzip; decompress it with gunzip");
    header->dtype = dtype_of(header->magic >> 8);
    table->dimensions = (int32_t)(header->magic & 0xff);
    if (header->dtype < 0 || table->dimensions < 1 || table->dimensions > TABLE_DIMENSIONS)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "%s: starts with 0x%08x, where an IDX file of bytes in 3 "
                                 "dimensions starts with 0x00000803",
                                 path, header->magic);
    return RONDE_OK;
}

/* Dimensions are below 2^32, and their product is too if it is one that a file can have. */
static int32_t read_shape(FILE *file, const char *path, struct header *header, struct table *table)
{
    size_t used = 0;
    header->elements = 1;
    for (int i = 0; i < table->dimensions; i++) {
        uint32_t length;
        int32_t status = read_number(file, path, &length);
        if (status != RONDE_OK)
            return status;
        if (i > 0 && length == 0)
            return ronde__train_fail(RONDE_ERR_ARGUMENT, "%s: dimension %d is 0", path, i);
        if (length && header->elements > SIZE_MAX / 8 / length)
            return ronde__train_fail(RONDE_ERR_OVERFLOW,
                                     "%s: claims more elements than there can be", path);
        header->elements *= length;
        table->shape[i] = length;
        if (used < sizeof header->shape)
            used += (size_t)snprintf(header->shape + used, sizeof header->shape - used, "%s%u",
                                     i ? "x" : "", length);
    }
    return RONDE_OK;
}

/* What follows the header is as long as that says, or it is another file. */
static int32_t check_length(FILE *file, const char *path, const struct header *header)
{
    off_t start = ftello(file), end;
    if (start < 0 || fseeko(file, 0, SEEK_END) || (end = ftello(file)) < 0)
        return ronde__train_fail(RONDE_ERR_SYSTEM, "%s: %s", path, strerror(errno));
    size_t promised = header->elements * header->element_bytes;
    if ((size_t)(end - start) != promised)
        return ronde__train_fail(RONDE_ERR_ARGUMENT,
                                 "%s: has %zu bytes after its header, which promises %zu (it "
                                 "starts with 0x%08x and claims %s elements of %s)",
                                 path, (size_t)(end - start), promised, header->magic,
                                 header->shape, ronde_dtype_name(header->dtype));
    return fseeko(file, start, SEEK_SET)
               ? ronde__train_fail(RONDE_ERR_SYSTEM, "%s: %s", path, strerror(errno))
               : RONDE_OK;
}

static int is_little_endian(void)
{
    const uint16_t one = 1;
    unsigned char low;
    memcpy(&low, &one, 1);
    return low;
}

static void turn_bytes(unsigned char *values, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++, values += bytes)
        for (size_t low = 0, high = bytes - 1; low < high; low++, high--) {
            unsigned char kept = values[low];
            values[low] = values[high];
            values[high] = kept;
        }
}

static int32_t read_rows(FILE *file, const char *path, const struct header *header,
                         struct table *table)
{
    size_t row_bytes = table->row_count * header->element_bytes, bytes = table->rows * row_bytes;
    if (bytes == 0)
        return RONDE_OK;
    table->values = malloc(bytes);
    if (!table->values)
        return ronde__train_fail(RONDE_ERR_MEMORY, "%s: no memory for %zu bytes", path, bytes);
    if (fseeko(file, (off_t)(table->first * row_bytes), SEEK_CUR) ||
        fread(table->values, 1, bytes, file) != bytes)
        return ronde__train_fail(RONDE_ERR_SYSTEM, "%s: could be read in part only", path);
    if (is_little_endian() && header->element_bytes > 1)
        turn_bytes(table->values, bytes / header->element_bytes, header->element_bytes);
    return RONDE_OK;
}

int32_t ronde__table_read_idx(FILE *file, const char *path, struct share share, struct table *table)
{
    struct header header;
    int32_t status = read_magic(file, path, &header, table);
    if (status == RONDE_OK)
        status = read_shape(file, path, &header, table);
    if (status != RONDE_OK)
        return status;
    header.element_bytes = ronde_dtype_bytes(header.dtype);
    table->dtype = header.dtype;
    table->row_count = 1;
    for (int i = 1; i < table->dimensions; i++)
        table->row_count *= table->shape[i];
    table->first = ronde__share_first(table->shape[0], share);
    table->rows = ronde_share_rows(table->shape[0], share.ranks, share.rank);
    status = check_length(file, path, &header);
    return status == RONDE_OK ? read_rows(file, path, &header, table) : status;
}
