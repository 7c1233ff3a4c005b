#!/bin/sh
# Installs what is missing for the purposes named: tools/install-deps.sh [build] [check] [bench]
# It looks for the things themselves, so that a machine with everything in another place is left
# alone, and costs nothing where all is there. Debian and Ubuntu: apt-get, as root or with sudo, no
# questions. Elsewhere, or without the rights: says what is missing, and fails if it is indispensable.
set -u
cc=${CC:-gcc}
mpicc=${MPICC:-mpicc}
mpirun=${MPIRUN:-mpirun}
needed= # packages without which the purpose fails
wanted= # packages without which some tests, or peers in benchmarks, are skipped

has() { command -v "$1" >/dev/null 2>&1; }
includes() { echo "#include <$2>" | "$1" -x c -E - >/dev/null 2>&1; } # compiler header
python_has() {
    for python in python3 /usr/bin/python3; do
        "$python" -c "from importlib.util import find_spec as f
raise SystemExit(not all(f(m) for m in '$*'.split()))" 2>/dev/null && return 0
    done
    return 1
}

look() {
    needed= wanted=
    for purpose in "$@"; do
        case $purpose in
        build)
            has make || needed="$needed make"
            # After mpi.h nothing else of the compiler can be missing.
            if ! has "$cc" || ! has "$mpicc" || ! includes "$mpicc" mpi.h; then
                case $cc in *clang*) needed="$needed clang" ;; *) needed="$needed gcc" ;; esac
                case $mpicc in
                *mpich*) needed="$needed libc6-dev libmpich-dev mpich" ;;
                *) needed="$needed libc6-dev libopenmpi-dev openmpi-bin" ;;
                esac
            fi
            has "$mpirun" || case $mpirun in
            *mpich*) needed="$needed mpich" ;;
            *) needed="$needed openmpi-bin" ;;
            esac
            has pkg-config || wanted="$wanted pkg-config" ;;
        check)
            has ctest || needed="$needed cmake"
            has python3 || needed="$needed python3"
            "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || wanted="$wanted python3-venv"
            has nm || needed="$needed binutils"
            has g++ || wanted="$wanted g++"
            has gfortran || wanted="$wanted gfortran"
            has "${CROSS_CC:-aarch64-linux-gnu-gcc}" || [ "$(uname -m)" = aarch64 ] ||
                wanted="$wanted gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
            has qemu-aarch64 || has qemu-aarch64-static || [ "$(uname -m)" = aarch64 ] ||
                wanted="$wanted qemu-user"
            has ip && has tc || wanted="$wanted iproute2"
            has mpicc.mpich && has mpirun.mpich || wanted="$wanted libmpich-dev mpich" ;;
        bench)
            has python3 || needed="$needed python3"
            python_has numpy matplotlib || needed="$needed python3-numpy python3-matplotlib"
            # Peers, and hosts to race them on.
            has mpicc.mpich && has mpirun.mpich || wanted="$wanted libmpich-dev mpich"
            has g++ || wanted="$wanted g++"
            includes "$cc" gloo/config.h || wanted="$wanted libgloo-dev"
            has ip && has tc || wanted="$wanted iproute2" ;;
        *)
            echo "usage: tools/install-deps.sh [build] [check] [bench]" >&2
            exit 2 ;;
        esac
    done
}

# Ends the script where nothing can be installed: that is an error only if something is needed.
give_up() {
    if [ -n "$needed" ]; then
        echo "Needed, and missing here (names of Debian's packages):$needed" >&2
        [ -z "$wanted" ] || echo "Good to have, for tests and peers that are skipped otherwise:$wanted" >&2
        echo "$1" >&2
        exit 1
    fi
    echo "Not here, so some tests or peers will be skipped (names of Debian's packages):$wanted" >&2
    exit 0
}

look "$@"
[ -n "$needed$wanted" ] || exit 0
has apt-get || give_up "Install their like with your system's package manager, then run make again."

if [ "$(id -u)" = 0 ]; then
    sudo=
elif has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    sudo=sudo # asks for a password only where there is somebody to answer
else
    give_up "Neither root nor sudo here. Have an administrator run:
    apt-get install$needed$wanted"
fi

as_root() { $sudo env DEBIAN_FRONTEND=noninteractive "$@"; }
install() {
    # shellcheck disable=SC2086
    as_root apt-get install -y -q --no-install-recommends "$@"
}

# The log goes to standard error: standard output belongs to what was asked for.
{
    echo "Installing with apt-get:$needed$wanted"
    updated=
    if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ]; then
        as_root apt-get update -q
        updated=1
    fi
    # shellcheck disable=SC2086
    if ! install $needed $wanted; then
        [ -n "$updated" ] || as_root apt-get update -q
        # One that cannot be had must not keep the others away.
        [ -z "$needed" ] || install $needed
        for package in $wanted; do install "$package"; done
    fi
} >&2

look "$@"
[ -n "$needed$wanted" ] || exit 0
give_up "apt-get did not bring them. Its messages are above."
