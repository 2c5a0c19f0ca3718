"""Hatchling build hook: compiles the C sources of this folder into one extension module.

Every ``*.c`` in this folder and in :data:`ROOMS` is part of the module; files for another processor
family compile to nothing. ``flatsat.h`` lists the headers, and each of them is both what the
sources include and, between its two ``CFFI`` marks, the declaration that cffi reads. There is no
second list of functions or files to keep in step.

With Python's headers at hand the result is a cffi API-mode module (``_codec.abi3.so``). Debian
splits those headers off into python3-dev; without them the same sources become a plain shared
library that cffi opens at run time. It answers the same and costs about 80 ns more a call.

Two variables are for releases: ``FLATSAT_CROSS="COMPILER INCLUDE"`` compiles for another machine,
and ``FLATSAT_MANYLINUX=1`` gives the wheel the lowest manylinux tag that its files allow.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CSRC = Path(__file__).resolve().parent
sys.path.insert(0, str(CSRC))  # this file is loaded by its path, and natives lies beside it
from manylinux import platform_tag  # noqa: E402
from natives import (  # noqa: E402
    FIRMWARE,
    board_inputs,
    build_id,
    header_names,
    shim_sources,
    sources,
    supervisor_sources,
)

TARGET = CSRC.parent / "flightsw" / "codec"
FACES = CSRC.parent / "hil" / "faces"
BOARDS = CSRC.parent / "hil" / "boards"
MODULE = "flightsw.codec._codec"
#: -g0 takes back what Python's own flags ask for: debug information is ten times the code.
CFLAGS = ["-O3", "-g0", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"]
CFLAGS += ["-Wno-unused-parameter"]
#: Nothing here is unwound: no exceptions cross C.
CFLAGS += ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
#: What cffi writes between Python and C for each function is as quick small as it is large.
GLUE = """\
#if !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#include "flatsat.h"
"""
#: Names of what is not exported help nobody who installs a wheel.
LDFLAGS = ["-Wl,-s"] if sys.platform == "linux" else []

#: The preload shim stands in front of libc: it defines what fortified headers would redefine.
SHIM_CFLAGS = ["-Os", "-g0", "-std=c11", "-fvisibility=hidden", "-U_FORTIFY_SOURCE"]
SHIM_CFLAGS += ["-Wall", "-Wextra", "-fno-asynchronous-unwind-tables"]
#: Before glibc 2.34 these were libraries of their own.
SHIM_LDFLAGS = ["-Wl,-s", "-Wl,-z,noseparate-code", "-Wl,--as-needed", "-ldl", "-lpthread"]


#: The firmware is small on every board; here it is quick to start, too.
BOARD_CFLAGS = ["-Os", "-g0", "-std=c11", "-Wall", "-Wextra", "-pie", "-fPIE"]
BOARD_CFLAGS += ["-fno-asynchronous-unwind-tables", "-ffunction-sections", "-Wl,--gc-sections"]


def declarations() -> str:
    """Return what cffi reads: the marked part of each header, in the order of ``flatsat.h``."""
    return "\n".join(marked_part(CSRC / name) for name in header_names())


def built_of() -> str:
    """Return the option that tells the module which headers it is built of (``built.h``)."""
    octets = b"".join((CSRC / name).read_bytes() for name in header_names())
    return f"-DFS_BUILT_OF={zlib.crc32(octets):#010x}u"


def marked_part(header: Path) -> str:
    """Return the part of a header between its two marks, which cffi can parse."""
    text, begin, end = header.read_text(), "/* CFFI BEGIN */", "/* CFFI END */"
    assert text.count(begin) == text.count(end) == 1, f"{header.name} holds one pair of CFFI marks"
    return text.split(begin, 1)[1].split(end, 1)[0]


def have_python_headers() -> bool:
    """Tell whether an API-mode module can be compiled here."""
    return (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def install(built: Path, target: Path) -> Path:
    """Put a built file beside its Python face by rename: a running process keeps what it mapped."""
    staged = target.with_name(f"{target.name}.new")
    staged.write_bytes(built.read_bytes())
    staged.chmod(0o755)
    staged.replace(target)
    return target


def compile_api(cflags: list[str]) -> Path:
    """Compile the extension module against the limited API."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(
        MODULE,
        GLUE,
        sources=[str(path) for path in sources()],
        include_dirs=[str(CSRC)],
        extra_compile_args=[*cflags, built_of()],
        extra_link_args=[*LDFLAGS, *build_id("codec")],
        py_limited_api=True,
        define_macros=[("Py_LIMITED_API", "0x030b0000")],
    )
    with tempfile.TemporaryDirectory() as scratch:
        return install(Path(ffi.compile(tmpdir=scratch)), TARGET / "_codec.abi3.so")


def compile_plain(cflags: list[str]) -> Path:
    """Compile a plain shared library and the Python module that opens it."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source("flightsw.codec._codec_plain_ffi", None)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "library.so"
        flags = [flag for flag in cflags if flag != "-fvisibility=hidden"]
        command = [compiler, "-shared", "-fPIC", *flags, built_of(), f"-I{CSRC}"]
        command += ["-o", str(library)]
        command += [*map(str, sources()), *LDFLAGS, *build_id("codec")]
        subprocess.run(command, check=True)
        ffi.emit_python_code(str(Path(scratch) / "ffi.py"))
        install(Path(scratch) / "ffi.py", TARGET / "_codec_plain_ffi.py")
        return install(library, TARGET / "_codec_plain.so")


def compile_faces(compiler: str = "") -> list[Path]:
    """Compile preload shim and supervisor beside the faces; nothing where there is no Linux."""
    if sys.platform != "linux":
        return []
    compiler = compiler or (sysconfig.get_config_var("CC") or "cc").split()[0]
    forms = {
        "_shim.so": (["-shared", "-fPIC", *build_id("shim")], shim_sources()),
        "_supervisor": (["-pie", "-fPIE", *build_id("supervisor")], supervisor_sources()),
    }
    made = []
    for name, (form, files) in forms.items():
        with tempfile.TemporaryDirectory() as scratch:
            built = Path(scratch) / name
            command = [compiler, *form, *SHIM_CFLAGS, "-o", str(built), *map(str, files)]
            subprocess.run([*command, *SHIM_LDFLAGS], check=True)
            made.append(install(built, FACES / name))
    return made


def compile_board(
    compiler: str = "", flags: tuple[str, ...] = (), into: Path = BOARDS
) -> list[Path]:
    """Compile the firmware of dev boards for this computer; nothing where there is no Linux.

    The core is the one that every board runs; the folder ``posix`` puts it on a terminal."""
    if sys.platform != "linux":
        return []
    compiler = compiler or (sysconfig.get_config_var("CC") or "cc").split()[0]
    inputs = board_inputs()
    files = [path for path in inputs if path.suffix == ".c"]
    folders = sorted({path.parent for path in inputs})
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "_hilwire_posix"
        command = [compiler, *BOARD_CFLAGS, *(f"-I{folder}" for folder in folders)]
        command += [f"-DHW_BUILD=0x{digest[:8]}u", *flags]
        command += ["-o", str(built), *map(str, files), "-Wl,-s", "-Wl,-z,noseparate-code"]
        subprocess.run([*command, *build_id("board")], check=True)
        return [install(built, into / "_hilwire_posix")]


def compile_module(extra_cflags: tuple[str, ...] = ()) -> Path:
    """Compile the best form of the module that this host can build; return the path of it."""
    cflags = [*CFLAGS, *extra_cflags]
    return compile_api(cflags) if have_python_headers() else compile_plain(cflags)


def compile_cross(compiler: str, include: Path, into: Path) -> Path:
    """Compile the API-mode module for another machine, with its compiler and its Python.h."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(MODULE, GLUE)
    target = into / "_codec.abi3.so"
    with tempfile.TemporaryDirectory() as scratch:
        glue = Path(scratch) / "glue.c"
        ffi.emit_c_code(str(glue))
        flags = [*CFLAGS, "-shared", "-fPIC", built_of(), f"-I{CSRC}", f"-I{include}"]
        flags += [f"-ffile-prefix-map={scratch}=."]  # what is built twice is the same twice
        flags += ["-idirafter", str(include.parent)]  # Debian keeps pyconfig.h by machine there
        flags += ["-DPy_LIMITED_API=0x030b0000"]
        command = [compiler, *flags, "-o", str(target), str(glue), *map(str, sources())]
        subprocess.run([*command, *LDFLAGS, *build_id("codec")], check=True)
    return target


def board_files() -> dict[str, str]:
    """Return what an installation has of the folder of boards, and where: firmware as images only.

    Its sources are of use where they are changed, which is beside their Makefile."""
    boards = FIRMWARE.parent
    wanted = {
        path
        for path in boards.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if FIRMWARE not in path.parents or path.parent == FIRMWARE / "images"
    }
    return {str(path): f"hil/_boards/{path.relative_to(boards)}" for path in sorted(wanted)}


def compress(wheel: Path) -> None:
    """Write a wheel again at the highest level of deflate."""
    smaller = wheel.with_suffix(".new")
    with zipfile.ZipFile(wheel) as made, zipfile.ZipFile(smaller, "w") as again:
        for entry in made.infolist():
            again.writestr(entry, made.read(entry), zipfile.ZIP_DEFLATED, compresslevel=9)
    smaller.replace(wheel)


class CodecBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        cross = os.environ.get("FLATSAT_CROSS", "").split()
        built = compile_cross(cross[0], Path(cross[1]), TARGET) if cross else compile_module()
        compiler = cross[0] if cross else ""
        files = [built, *compile_faces(compiler), *compile_board(compiler)]
        build_data["force_include"].update(board_files())
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        if cross or "FLATSAT_MANYLINUX" in os.environ:
            platform = platform_tag(files)
        build_data["pure_python"] = False
        form = "cp311-abi3" if built.name.endswith("abi3.so") else "py3-none"
        build_data["tag"] = f"{form}-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.target_name == "wheel" and artifact_path.endswith(".whl"):
            compress(Path(artifact_path))


def main() -> None:
    """Build in place; or with ``--cross CC INCLUDE DIRECTORY`` for another machine."""
    if sys.argv[1:2] == ["--cross"]:
        compiler, include, into = sys.argv[2:]
        print(compile_cross(compiler, Path(include), Path(into)))
        print(*compile_faces(compiler), *compile_board(compiler), sep="\n")
    else:
        print(compile_module(tuple(sys.argv[1:])))
        print(*compile_faces() or ["no preload shim: it needs Linux"], sep="\n")
        print(*compile_board() or ["no board on this computer: it needs Linux"], sep="\n")


if __name__ == "__main__":
    main()
