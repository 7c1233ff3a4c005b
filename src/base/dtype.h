/* Data types and reduction operators: what is known about each without computing with it. */
#ifndef RONDE_BASE_DTYPE_H
#define RONDE_BASE_DTYPE_H

#include "ronde.h"

enum { RONDE__DTYPES = RONDE_FLOAT64 + 1, RONDE__OPS = RONDE_PRODUCT + 1 };

int ronde__dtype_is_valid(int32_t dtype);
int ronde__dtype_is_float(int32_t dtype);
int ronde__op_is_valid(int32_t op);

/* Sets *bytes to count elements' size; RONDE_ERR_OVERFLOW where that exceeds PTRDIFF_MAX. */
int32_t ronde__bytes_of(size_t count, int32_t dtype, size_t *bytes);

#endif
