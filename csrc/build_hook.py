"""Hatchling build hook: compiles the C sources of this folder into one abi3 extension module.

Every ``*.c`` in this folder (not below it) is part of the module; ``flatsat.h`` is both the header
that the sources include and, between its two ``CFFI`` marks, the declaration that cffi reads. There
is no second list of functions or files to keep in step.
"""

from __future__ import annotations

import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CSRC = Path(__file__).resolve().parent
TARGET = CSRC.parent / "flightsw" / "codec"
MODULE = "flightsw.codec._codec"
CFLAGS = ["-O3", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]


def declarations(header: str) -> str:
    """Return the part of the header between the CFFI marks, which cffi can parse."""
    begin, end = "/* CFFI BEGIN */", "/* CFFI END */"
    assert header.count(begin) == header.count(end) == 1, "flatsat.h must hold one pair of CFFI marks"
    return header.split(begin, 1)[1].split(end, 1)[0]


def compile_module(extra_cflags: tuple[str, ...] = ()) -> Path:
    """Compile the extension beside its Python face and return its path."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations((CSRC / "flatsat.h").read_text()))
    ffi.set_source(
        MODULE,
        '#include "flatsat.h"',
        sources=[str(path) for path in sorted(CSRC.glob("*.c"))],
        include_dirs=[str(CSRC)],
        extra_compile_args=[*CFLAGS, *extra_cflags],
        py_limited_api=True,
        define_macros=[("Py_LIMITED_API", "0x030b0000")],
    )
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(ffi.compile(tmpdir=scratch))
        target = TARGET / "_codec.abi3.so"
        # Replace by rename: a running process keeps the library it has mapped.
        staged = target.with_suffix(".new")
        staged.write_bytes(built.read_bytes())
        staged.chmod(0o755)
        staged.replace(target)
    return target


class CodecBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        compile_module()
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"


if __name__ == "__main__":
    print(compile_module(tuple(sys.argv[1:])))
