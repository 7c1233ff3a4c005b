#!/bin/sh
# Prepares the Python of the tests in build/venv (VENV): numpy and pytest, what builds a wheel, some
# packages without which tests are skipped, and PyTorch. TORCH says what pip is to install for that:
# "no", or, say,
#   TORCH='torch --index-url ...' make check    (PyTorch's index of CPU builds)
# Not said, a wheel that lies on this machine is taken, and otherwise none: pip's own choice brings
# gigabytes of CUDA. Costs nothing where all is there. Where it cannot be done it says so, and the
# Python tests are skipped.
set -u
cd "$(dirname "$0")/.."
venv=${VENV:-build/venv}
python=${PYTHON:-python3}
torch=${TORCH:-auto}
needed="numpy pytest setuptools>=64 wheel"
wanted="ml_dtypes cloudpickle mpi4py"

case $torch:$(cat "$venv/ready" 2>/dev/null) in
"$torch:$needed $wanted $torch" | "no:$needed $wanted "*) exit 0 ;;
esac

skip() {
    echo "The Python tests will be skipped: $1" >&2
    exit 0
}

pip() { "$venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check >>"$venv/pip.log" 2>&1; }

add_torch() {
    case $torch in
    no) return 0 ;;
    auto)
        # First what lies here, by itself; then what it needs.
        if ! pip install --no-index --no-deps torch; then
            echo "No PyTorch in $venv, so its tests are skipped; tools/prepare-venv.sh tells of TORCH." >&2
            return 0
        fi
        pip install torch ;;
    *) # shellcheck disable=SC2086
        pip install $torch ;;
    esac || echo "pip did not bring PyTorch ($torch): see $venv/pip.log" >&2
}

command -v "$python" >/dev/null || skip "there is no $python"
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    "$python" -m venv "$venv" >&2 || skip "$python cannot make $venv (Debian: python3-venv)"
fi
echo "Preparing $venv for the Python tests (pip's words are in $venv/pip.log)" >&2
: >"$venv/pip.log"
# shellcheck disable=SC2086
pip install $needed || skip "pip did not bring $needed: see $venv/pip.log"
for package in $wanted; do
    pip install "$package" || echo "pip did not bring $package: its tests are skipped" >&2
done
add_torch
echo "$needed $wanted $torch" >"$venv/ready"
