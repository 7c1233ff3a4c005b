/* Links that streams share: each stream gets what its fullest link has for it, max-min fair, as
 * fluids do. Fairness and its algorithm, progressive filling: Bertsekas and Gallager, Data
 * Networks, section 6.5.2. It is run for the streams whose links have lost or got one, and again
 * with those beside them to whom the outcome is not fair, until there are none: mostly few. */
#ifndef RONDE_SIM_SHARE_H
#define RONDE_SIM_SHARE_H

#include <stddef.h>
#include <stdint.h>

enum { STREAM_LINKS = 4 }; /* at most: card, switch, switch, card */

struct stream {
    int32_t links, link[STREAM_LINKS];
    size_t place[STREAM_LINKS]; /* in the link's list */
    double rate;                /* 1: a card's speed; 0: not known yet */
    double next_rate;           /* while shares are found */
    uint64_t seen;              /* the last round in which it was found */
};

struct link {
    double speed; /* 1: a card's */
    struct stream **stream;
    size_t count, room;
    int is_dirty;
    /* While shares are found: */
    double left;             /* of the speed, for those found; ... */
    size_t wanting;          /* ... how many of them have none yet */
    double used, most;       /* of all, and the largest */
    uint64_t joined, looked; /* the last pass for which these were */
};

struct share {
    struct link *link;
    int32_t *dirty, *joined; /* lists of links */
    int32_t links, dirty_count;
    struct stream **found; /* whose rates are looked for */
    size_t found_count, found_room;
    uint64_t round, pass;
};

/* All with speed 1. 0, or -1: no memory. */
int share_open(struct share *share, int32_t links);
void share_close(struct share *share);
/* The stream's links are set. 0, or -1: no memory. */
int share_add(struct share *share, struct stream *stream);
void share_remove(struct share *share, struct stream *stream);
/* Finds the rates after adding and removing; calls `changed` where one is another, with the new one
 * in next_rate. 0, or -1: no memory. */
int share_settle(struct share *share, void (*changed)(void *, struct stream *), void *context);

#endif
