/* ronde_open_mpi: the one public function that knows mpi.h, an adapter to ronde_open. */
#include "ronde_mpi.h"

#include <string.h>

#include "net/net_mpi.h"

int32_t ronde_open_mpi(MPI_Comm communicator, const ronde_options *options, ronde_context **context)
{
    int32_t status = ronde__mpi_check_communicator(communicator);
    if (status != RONDE_OK)
        return status;
    ronde_options mine;
    ronde_options_init(&mine, sizeof(mine));
    if (options &&
        options->size <=
            65536) /* as many bytes as the caller knows; what it does not know keeps its default */
        memcpy(&mine, options, options->size < sizeof(mine) ? options->size : sizeof(mine));
    if (options && (options->size < sizeof(options->size) || options->size > 65536))
        mine.size = 0; /* which ronde_open refuses, with the reason */
    else
        mine.size = sizeof(mine);
    mine.communicator = MPI_Comm_c2f(communicator);
    mine.has_communicator = 1;
    return ronde_open(&mine, context);
}
