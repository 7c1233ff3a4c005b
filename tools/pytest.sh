#!/bin/sh
# Runs a file of Python tests by pytest on every rank: tools/pytest.sh RANKS FILE [pytest's arguments]
# BUILD names the build folder, VENV the Python (see tools/prepare-venv.sh). One rank takes no launcher.
set -eu
cd "$(dirname "$0")/.."
ranks=$1
file=$2
shift 2
python=${VENV:-build/venv}/bin/python
if ! [ -x "$python" ] || ! "$python" -c 'import numpy, pytest' 2>/dev/null; then
    echo "no Python with numpy and pytest in ${VENV:-build/venv}: tools/prepare-venv.sh"
    exit 77
fi
build=${BUILD:-build}
export PYTHONPATH="$PWD/bindings/python" PYTHONDONTWRITEBYTECODE=1
case $build in
/*) export RONDE_LIBRARY="$build/lib/libronde.so" ;;
*) export RONDE_LIBRARY="$PWD/$build/lib/libronde.so" ;;
esac
# One thread a rank: what numpy and PyTorch compute with would else be as many as cores, each.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
set -- "$python" -m pytest -q -x --color=no -p no:cacheprovider -W ignore::pytest.PytestWarning "$@" "$file"
[ "$ranks" -gt 1 ] || exec "$@" </dev/null
exec tools/mpirun.sh -np "$ranks" "$@"
