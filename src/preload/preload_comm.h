/* What preload.c needs of preload_comm.c. */
#ifndef RONDE_PRELOAD_PRELOAD_COMM_H
#define RONDE_PRELOAD_PRELOAD_COMM_H

#include <mpi.h>

/* The delete callback of the attribute. Local: the others may still use the shared memory, which
 * lives for as long as any of them maps it. */
int ronde__preload_forget(MPI_Comm comm, int keyval, void *attribute, void *extra);

/* MPI_Finalize: the threads forget the communicators that they have used last. */
void ronde__preload_forget_all(void);

#endif
