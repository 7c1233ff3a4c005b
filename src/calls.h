/* Between the operations' own functions and what all calls share. */
#ifndef RONDE_CALLS_H
#define RONDE_CALLS_H

#include "context.h"

/* Submits what is demanded, and gives its handle, or waits for it. */
int32_t ronde__call_async(ronde_context *context, struct demand *demand, uint64_t *handle);
int32_t ronde__call_and_wait(ronde_context *context, struct demand *demand);

#endif
