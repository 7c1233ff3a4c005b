#include "train/optimiser.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "ronde.h"

#define REAL float
#define WORD uint32_t
#define INFINITE UINT32_C(0x7f800000)
#define ROOT sqrtf
#define NAME(stem) stem##_float32
#define TABLE float32
#include "train/optimiser.inc.h"
#undef REAL
#undef WORD
#undef INFINITE
#undef ROOT
#undef NAME
#undef TABLE

#define REAL double
#define WORD uint64_t
#define INFINITE UINT64_C(0x7ff0000000000000)
#define ROOT sqrt
#define NAME(stem) stem##_float64
#define TABLE float64
#include "train/optimiser.inc.h"

const struct arithmetic *ronde__arithmetic(int dtype)
{
    switch (dtype) {
    case RONDE_FLOAT32: return &float32;
    case RONDE_FLOAT64: return &float64;
    default: return NULL;
    }
}
