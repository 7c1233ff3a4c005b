#ifndef RONDE_BASE_CLOCK_H
#define RONDE_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic time of this host. */
int64_t ronde__now_ns(void);
/* CPU time of the calling thread. */
int64_t ronde__thread_cpu_ns(void);

#endif
