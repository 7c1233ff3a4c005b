#include "base/thread.h"

#include <signal.h>

int ronde__thread_start(pthread_t *thread, void *(*run)(void *), void *state)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, state);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
