/* One run of ronde-perf. */
#ifndef RONDE_PERF_SESSION_H
#define RONDE_PERF_SESSION_H

#include "buffers.h"
#include "options.h"
#include "report.h"
#include "work.h"

enum { MOST_VARIANTS = 64, MOST_ALGOS = 8, WIRES = 3 };

/* A context in which allreduces between nodes use one algorithm; "default": as the library chooses. */
struct algo {
    char name[32];
    ronde_context *context;
};

struct session {
    struct options options;
    struct work work;
    struct report report;
    struct algo algos[MOST_ALGOS];
    size_t algo_number;
    ronde_call calls[WIRES];
    struct buffers arena, private;
    struct pieces pieces, flat; /* flat: of steps only */
    struct variant variants[MOST_VARIANTS];
    size_t number;
};

/* Collective. Measures and reports every size, or the list; `work` and `report` are ready, and a
 * context is open where Ronde is asked for. 0, or 2 with a line said. */
int session_run(struct session *session);

/* Collective. Releases what session_run made. */
void session_free(struct session *session);

/* For what is the same on all ranks: rank 0 says one line. Returns 2, the exit status. */
int refuse(const struct work *work, const char *text);

#endif
