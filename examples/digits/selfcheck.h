/* The program's own arithmetic, checked without MPI. */
#ifndef DIGITS_SELFCHECK_H
#define DIGITS_SELFCHECK_H

/* Compares gradients with finite differences. Says what it found; 0 where all is well, else 1. */
int selfcheck(void);

#endif
