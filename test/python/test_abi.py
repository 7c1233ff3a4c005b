# ronde-test: np=1 timeout=60
"""The table of functions against the header and the export list; finding and refusing libraries."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from ctypes import POINTER

import pytest
from conftest import TOP

import ronde
from ronde import _abi

OWN_CONTEXT = True
CC = os.environ.get("CC", "gcc")
HEADER = re.sub(r"/\*.*?\*/", " ", (TOP / "include/ronde.h").read_text(), flags=re.DOTALL)
C_TYPES = {
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "int64_t": ctypes.c_int64,
    "size_t": ctypes.c_size_t,
    "double": ctypes.c_double,
    "ronde_options": _abi.Options,
    "ronde_call": _abi.Call,
    "ronde_counters": _abi.Counters,
}


def ctype_of(text):
    """What ctypes calls a C type: 'const size_t *'."""
    words = text.replace("const", " ").replace("*", " * ").split()
    base, stars = words[0], words.count("*")
    if stars == 0:
        return None if base == "void" else C_TYPES[base]
    if base == "char" and stars == 1:
        return ctypes.c_char_p
    if base in ("void", "ronde_context"):
        return ctypes.c_void_p if stars == 1 else POINTER(ctypes.c_void_p)
    made = C_TYPES[base]
    for _ in range(stars):
        made = POINTER(made)
    return made


def declared():
    """{name: (result, [arguments])} of the header."""
    found = {}
    for result, name, arguments in re.findall(
        r"^((?:const )?\w+ \*?)(ronde_\w+)\(([^)]*)\);", HEADER, re.MULTILINE
    ):
        types = []
        for argument in arguments.split(","):
            argument = " ".join(argument.split())
            if argument != "void":
                types.append(ctype_of(re.sub(r"\w+$", "", argument)))
        found[name] = (ctype_of(result), types)
    return found


def test_the_table_is_the_header():
    header = declared()
    assert len(header) > 60
    assert set(_abi.FUNCTIONS) == set(header)
    for name, (result, arguments) in header.items():
        assert _abi.FUNCTIONS[name][0] is result, name
        assert list(_abi.FUNCTIONS[name][1]) == arguments, name


def test_the_table_is_the_export_list():
    exported = set(
        re.findall(r"^ *(ronde_\w+);", (TOP / "src/ronde.map").read_text(), re.MULTILINE)
    )
    # One takes an MPI_Comm, which is another type with every MPI. What is of training loops in C,
    # ronde_train.h, Python's frameworks have already.
    training = (TOP / "include/ronde_train.h").read_text()
    of_c = set(re.findall(r"\b(ronde_\w+)\(", training)) | {"ronde_open_mpi"}
    assert exported - set(_abi.FUNCTIONS) == of_c & exported
    assert set(_abi.FUNCTIONS) <= exported


@pytest.mark.skipif(not shutil.which(CC), reason="there is no C compiler")
def test_structures_and_numbers_are_those_of_the_compiler(tmp_path):
    structures = {
        "ronde_options": _abi.Options,
        "ronde_call": _abi.Call,
        "ronde_counters": _abi.Counters,
    }
    enums = {
        "RONDE_": ronde.DType,
        "RONDE_ ": ronde.Op,
        "RONDE_DIVIDE_": ronde.Divide,
        "RONDE_WIRE_": ronde.Wire,
        "RONDE_ERR_": ronde.errors.Status,
    }
    lines, want = [], []
    for name, structure in structures.items():
        lines.append(f'printf("%zu ", sizeof({name}));')
        want.append(ctypes.sizeof(structure))
        body = re.search(rf"typedef struct {name} {{(.*?)}}", HEADER, re.DOTALL).group(1)
        members = re.findall(r"(\w+);", body)
        assert members == [field[0] for field in structure._fields_]
        for field in structure._fields_:
            member = f"(({name} *)0)->{field[0]}"
            lines.append(f'printf("%zu %zu ", offsetof({name}, {field[0]}), sizeof({member}));')
            described = getattr(structure, field[0])
            want += [described.offset, described.size]
    for prefix, enum in enums.items():
        for member in enum:
            name = prefix.strip() + member.name
            if enum is ronde.errors.Status and member >= 0:
                name = f"RONDE_{member.name}"
            lines.append(f'printf("%d ", (int){name});')
            want.append(int(member))
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <ronde.h>\nint main(void)\n{\n"
        + "\n".join(lines)
        + "\nreturn 0;\n}\n"
    )
    program = tmp_path / "layout"
    subprocess.run([CC, "-I", TOP / "include", source, "-o", program], check=True)
    said = subprocess.run([program], capture_output=True, text=True, check=True)
    assert [int(word) for word in said.stdout.split()] == want
    # None is missing: as many enumerators as the header has.
    assert sum(len(enum) for enum in enums.values()) == len(re.findall(r"\bRONDE_\w+ = ", HEADER))


def test_names_are_the_librarys():
    library = _abi.library()
    for dtype in ronde.DType:
        assert library.ronde_dtype_name(dtype).decode() == dtype.name.lower()
        assert library.ronde_dtype_bytes(dtype) == dtype.itemsize
    for op in ronde.Op:
        assert library.ronde_op_name(op).decode() == op.name.lower()
    for status in ronde.errors.Status:
        if status < 0:
            assert ronde.errors.error_class(status).status == status
    defaults = _abi.Call()
    library.ronde_call_init(ctypes.byref(defaults), ctypes.sizeof(defaults))
    made = _abi.Call(_abi.CALL_BYTES, 0, 1, 1, None, 0, 0, 1, 0, 0, 0, 0)
    assert bytes(defaults) == bytes(made)


def test_the_package_and_the_library_are_of_one_version():
    text = (TOP / "bindings/python/pyproject.toml").read_text()
    assert f'version = "{ronde.__version__}"' in text
    assert ronde.version() == ronde.__version__


def said_with(library, **more):
    env = {**os.environ, "RONDE_LIBRARY": str(library), **more}
    code = (
        "import ronde\ntry:\n ronde.init()\nexcept ImportError as e:\n print(type(e).__name__, e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert not done.stderr, done.stderr
    return done.stdout


def fake_library(tmp_path, text):
    source = tmp_path / "fake.c"
    source.write_text(text)
    library = tmp_path / "libfake.so"
    subprocess.run([CC, "-shared", "-fPIC", source, "-o", library], check=True)
    return library


@pytest.mark.skipif(not shutil.which(CC), reason="there is no C compiler")
def test_other_libraries_are_refused_with_words(tmp_path):
    assert "no such file" in said_with(tmp_path / "nowhere.so")
    (tmp_path / "text.so").write_text("text")
    assert "LibraryError libronde.so was not found" in said_with(tmp_path / "text.so")
    other = fake_library(tmp_path, 'const char *ronde_version(void) { return "1.0.0"; }\n')
    assert "is Ronde 1.0.0, but this package speaks to 0.x" in said_with(other)
    older = fake_library(tmp_path, 'const char *ronde_version(void) { return "0.0.9"; }\n')
    assert "is Ronde 0.0.9, which has no ronde_" in said_with(older)
    none = fake_library(tmp_path, "int nothing;\n")
    assert "is no libronde.so" in said_with(none)


def test_no_symbols_are_made_global_where_the_mpi_needs_none():
    assert _abi.wants_global_symbols("Open MPI v3.1.6, package: of somebody")
    for text in (
        "Open MPI v4.1.4, package: Debian OpenMPI",
        "Open MPI v5.0.1",
        "MPICH Version: 4.0.2",
    ):
        assert not _abi.wants_global_symbols(text)
    code = (
        "import ctypes, ronde\n"
        "from ronde import _abi\n"
        "_abi.library()\n"
        "needed = _abi.make_symbols_global_if_needed()\n"
        "everywhere = ctypes.CDLL(None)\n"
        "print(needed == hasattr(everywhere, 'MPI_Init'), hasattr(everywhere, 'ronde_open'))\n"
        "ronde.init()\n"
        "print(ronde.allreduce(2, ronde.Sum), hasattr(everywhere, 'ronde_open'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True False\n2 False\n", done.stderr


def test_the_mpi_is_the_one_that_the_library_brought():
    _abi.library()
    mpi = _abi.mpi_library()
    assert mpi is not None and mpi.exists()
    name = _abi.mpi_text().split()[0]
    assert name in ("Open", "MPICH")
