/* For callers who hold an MPI_Comm. */
#ifndef RONDE_MPI_H
#define RONDE_MPI_H

#include <mpi.h>

#include "ronde.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Collective over `communicator`, an intracommunicator, which is duplicated. As ronde_open; the
 * communicator in `options` (NULL: defaults) is ignored. */
int32_t ronde_open_mpi(MPI_Comm communicator, const ronde_options *options,
                       ronde_context **context);

#ifdef __cplusplus
}
#endif

#endif
