"""Beside pyproject.toml: the wheel carries libronde.so where there is one.

That is the file that ``RONDE_LIBRARY`` names, or what ``make`` has built in the source tree. Then
the wheel is of this platform, but of any Python, since ctypes calls the library. Without one it is
of any platform, and looks for the library at its first use. Nothing is built in the source tree.
"""

import os
import shutil
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70
    from wheel.bdist_wheel import bdist_wheel

SONAME = "libronde.so.0"
SCRATCH = tempfile.TemporaryDirectory(prefix="ronde-build-")


def library():
    """The library to carry, or None."""
    named = os.environ.get("RONDE_LIBRARY")
    path = Path(named) if named else Path(__file__).resolve().parents[2] / "build/lib" / SONAME
    if named and not path.exists():
        raise SystemExit(f"RONDE_LIBRARY: {path}: no such file")
    return path if path.exists() else None


class BuildPackage(build_py):
    """Copies the library beside the modules (an editable install finds it in the source tree)."""

    def run(self):
        """As ever, and then the library."""
        super().run()
        if library() and not self.editable_mode:
            target = Path(self.build_lib) / "ronde" / "lib"
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(library(), target / SONAME)


class Package(Distribution):
    """Of this platform where it carries a library."""

    def has_ext_modules(self):
        """What makes setuptools treat it so."""
        return library() is not None


class AnyPython(bdist_wheel):
    """Of any Python 3. No manylinux tag: the library needs the machine's own MPI."""

    def get_tag(self):
        """The parts of the wheel's name."""
        return ("py3", "none", super().get_tag()[2])


setup(
    distclass=Package,
    cmdclass={"build_py": BuildPackage, "bdist_wheel": AnyPython},
    options={"build": {"build_base": SCRATCH.name}, "egg_info": {"egg_base": SCRATCH.name}},
)
