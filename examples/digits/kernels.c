#include "kernels.h"

#include <math.h>
#include <string.h>

#define REAL float
#define NAME(stem) stem##_float32
#define TABLE kernels_float32
#include "kernels_template.h"
#undef REAL
#undef NAME
#undef TABLE

#define REAL double
#define NAME(stem) stem##_float64
#define TABLE kernels_float64
#include "kernels_template.h"
