/* The library's own threads. */
#ifndef RONDE_BASE_THREAD_H
#define RONDE_BASE_THREAD_H

#include <pthread.h>

/* pthread_create, of a thread that takes no signals: those are for the caller's threads. (A signal
 * that such a thread causes itself, SIGPIPE or SIGXFSZ, waits for ever, and the call fails instead.)
 * Returns 0 or an error number. */
int ronde__thread_start(pthread_t *thread, void *(*run)(void *), void *state);

#endif
