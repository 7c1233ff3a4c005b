/* Gloo behind a C interface. peer.cc implements it; it is built as a shared object of its own,
 * which ronde-perf loads (perf/run_gloo.c), so that ronde-perf needs neither Gloo nor C++.
 *
 * What can fail returns NULL or -1, with one line in `error`. Calls are collective, and come from
 * one thread. */
#ifndef RONDE_GLOO_PEER_H
#define RONDE_GLOO_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "ronde.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GLOO_ERROR_BYTES = 256 };
enum { GLOO_ALLREDUCE = 1, GLOO_BROADCAST = 2, GLOO_ALLGATHER = 3 };

struct gloo_world {
    int rank, ranks;
    int busy; /* poll sockets while waiting: where each rank has a CPU to itself */
    const char *interface;
    /* Every rank's `bytes` bytes, in the order of ranks. */
    void (*gather)(const void *mine, size_t bytes, void *all);
};

/* Buffers belong to the caller, and stay until the operation is dropped. A broadcast has `out`
 * only; `in` and `out` may be the same memory (an allgather's `in` a part of `out`). */
struct gloo_task {
    int collective;
    int32_t dtype, op, root;
    const void *in;
    void *out;
    size_t count; /* of a rank's contribution */
};

struct gloo_peer {
    /* NULL, or why Gloo, or this shim of it, cannot do such a task (static text). */
    const char *(*refuses)(const struct gloo_task *task);
    void *(*open)(const struct gloo_world *world, char *error);
    void (*close)(void *peer);
    /* The ways of doing a task are numbered from 0; NULL, with no error text, after the last one.
     * All ranks prepare the same tasks in the same ways and order. */
    void *(*prepare)(void *peer, const struct gloo_task *task, int way, char *error);
    int (*run)(void *operation, char *error);
    void (*drop)(void *operation);
};

/* The name to look up, and its type. */
#define GLOO_PEER_SYMBOL "ronde_gloo_peer"
extern const struct gloo_peer ronde_gloo_peer;

#ifdef __cplusplus
}
#endif

#endif
