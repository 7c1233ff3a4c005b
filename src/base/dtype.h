/* Data types and reduction operators: what is known about each without computing with it. */
#ifndef RONDE_BASE_DTYPE_H
#define RONDE_BASE_DTYPE_H

#include "ronde.h"

enum { RONDE__DTYPES = RONDE_FLOAT64 + 1, RONDE__OPS = RONDE_WEIGHTED_AVERAGE + 1 };

int ronde__dtype_is_valid(int32_t dtype);
int ronde__dtype_is_float(int32_t dtype);
int ronde__op_is_valid(int32_t op);
/* 1 where the op means something for the dtype; 0 also where either is unknown. */
int ronde__op_fits(int32_t op, int32_t dtype);

/* Sets *bytes to count elements' size; RONDE_ERR_OVERFLOW where that exceeds PTRDIFF_MAX. */
int32_t ronde__bytes_of(size_t count, int32_t dtype, size_t *bytes);

#endif
