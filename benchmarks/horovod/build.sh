#!/bin/sh
# Builds Horovod (CPU, MPI, PyTorch) in a virtual environment: benchmarks/horovod/build.sh [FOLDER]
# FOLDER (build/horovod) gets the environment FOLDER/venv and Horovod's sources. Python 3.9 to 3.11,
# a C++17 compiler, MPI's compiler wrapper and some 1.5 GiB of disk; JOBS compilers run at once (1).
# TORCH, HOROVOD and PYTHON choose other versions than those that are known to go together.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-build/horovod}
torch=${TORCH:-2.13.0}
horovod=${HOROVOD:-0.28.1}
mkdir -p "$folder"
cd "$folder"

[ -x venv/bin/python ] || "${PYTHON:-python3}" -m venv venv
pip() { venv/bin/python -m pip --disable-pip-version-check "$@"; }
has() { venv/bin/python -c "import $1" 2>/dev/null; }

# PyTorch's own index has builds without CUDA; TORCH_INDEX= (empty) asks pip's usual index instead,
# which brings gigabytes of CUDA where that is what it has.
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
has torch || pip install -q ${index:+--index-url "$index"} "torch==$torch"
pip install -q setuptools wheel 'cmake>=3.13,<4' packaging cloudpickle psutil pyyaml cffi numpy

source=horovod-$horovod
if [ ! -d "$source" ]; then
    pip download -q --no-deps --no-build-isolation --no-binary :all: "horovod==$horovod"
    tar xzf "$source.tar.gz"
fi
# PyTorch's headers want C++17 since 2.1, Horovod 0.28.1 asks the compiler for C++14.
sed -i 's/^\( *set(CMAKE_CXX_STANDARD\) 14)/\1 17)/' "$source/CMakeLists.txt" \
    "$source/horovod/torch/CMakeLists.txt"

# Without Gloo, TensorFlow and MXNet, whose absence is otherwise found out at length.
HOROVOD_WITH_MPI=1 HOROVOD_WITH_PYTORCH=1 HOROVOD_CPU_OPERATIONS=MPI HOROVOD_WITHOUT_GLOO=1 \
    HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1 \
    HOROVOD_CMAKE="$PWD/venv/bin/cmake" MAKEFLAGS="-j${JOBS:-1}" \
    pip install --no-build-isolation --no-deps -v "./$source" >build.log 2>&1 || {
    grep -m 5 'error' build.log >&2 || tail -n 20 build.log >&2
    echo "Horovod did not build: see $PWD/build.log and benchmarks/horovod/README.md" >&2
    exit 1
}
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "${MPIRUN:-mpirun}" -np 1 \
    venv/bin/python -c 'import horovod.torch as hvd
hvd.init()
print("Horovod is built, on MPI:", hvd.mpi_built())'
