#!/bin/sh
# Starts ranks the way Ronde's tests and demos want it: as any user, more ranks than cores if need
# be, and idle ranks give their core away. tools/mpirun.sh [mpirun's arguments] program arguments ...
# MPIRUN names the launcher (Open MPI's or MPICH's).
set -eu
mpirun=${MPIRUN:-mpirun}
case $("$mpirun" --version 2>&1) in
*"Open MPI"*)
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    # Says nothing where a container forbids one process to read another's memory, or has no fabric.
    export OMPI_MCA_btl_base_warn_component_unused=0
    export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism:-none}"
    exec "$mpirun" --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 "$@" </dev/null ;;
*HYDRA*)
    exec "$mpirun" "$@" </dev/null ;;
*)
    echo "$mpirun is neither Open MPI's launcher nor MPICH's; set MPIRUN" >&2
    exit 1 ;;
esac
