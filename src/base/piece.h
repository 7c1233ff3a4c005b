/* A bin is a list of pieces: contiguous runs of elements that together form one virtual buffer,
 * whose offset 0 is the first element of the first piece. Collectives read and write through the
 * list, so that packing is part of their own pass. All pieces of a bin have one dtype. */
#ifndef RONDE_BASE_PIECE_H
#define RONDE_BASE_PIECE_H

#include <stddef.h>

struct piece {
    const char *in;
    char *out; /* equal to in: in place */
    size_t count;
};

/* A position in a list of pieces, moved forward only. */
struct piece_cursor {
    const struct piece *piece;
    size_t start; /* offset in the virtual buffer at which *piece begins */
};

/* Moves the cursor to the piece that holds virtual offset `at`, skipping empty pieces, and returns
 * how many elements are left in it from there. `at` lies inside the virtual buffer, not before the
 * cursor's piece. */
static inline size_t ronde__piece_seek(struct piece_cursor *cursor, size_t at)
{
    while (at - cursor->start >= cursor->piece->count) {
        cursor->start += cursor->piece->count;
        cursor->piece++;
    }
    return cursor->piece->count - (at - cursor->start);
}

#endif
