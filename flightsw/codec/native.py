"""The C codec, in whichever of its two forms was built (see ``csrc/build_hook.py``)."""

from __future__ import annotations

import os
import re
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

from flightsw.codec.errors import CodecError, StaleCodecError

ffi: Any
lib: Any
#: ``api`` or ``plain``
form: str

try:
    _module = import_module("flightsw.codec._codec")
    ffi, lib, form = _module.ffi, _module.lib, "api"
except ImportError:
    _module = import_module("flightsw.codec._codec_plain_ffi")
    ffi, form = _module.ffi, "plain"
    lib = ffi.dlopen(str(Path(__file__).with_name("_codec_plain.so")))


def check_built(built_of: int, csrc: Path) -> None:
    """Raise StaleCodecError if the codec was built of other headers than lie in ``csrc``.

    An installation has no sources: there the two come together.
    """
    try:
        listed = re.findall(r'^#include "(.+\.h)"$', (csrc / "flatsat.h").read_text(), re.MULTILINE)
        octets = b"".join((csrc / name).read_bytes() for name in listed)
    except FileNotFoundError:
        return
    if built_of != zlib.crc32(octets):
        raise StaleCodecError(
            f"{_module.__name__}: built of other sources than those in {csrc}, as before a pull; "
            f"run `python {csrc / 'build_hook.py'}` with the Python of this environment"
        )


check_built(
    lib.fs_built_of() if hasattr(lib, "fs_built_of") else 0,
    Path(__file__).resolve().parents[2] / "csrc",
)


def tiers() -> tuple[str, ...]:
    """Return the tiers that this processor runs, the plainest first."""
    names = (lib.fs_tier_name(level) for level in range(lib.fs_tier_best() + 1))
    return tuple(ffi.string(name).decode() for name in names)


def octets_of(cdata: Any, *pointers: str) -> bytes:
    """Return the octets of the C struct that ``cdata`` points to, its ``pointers`` as NULL."""
    copy = ffi.new(ffi.typeof(cdata))
    ffi.memmove(copy, cdata, ffi.sizeof(copy[0]))
    for name in pointers:
        setattr(copy, name, ffi.NULL)
    return bytes(ffi.buffer(copy))


def with_octets(cdata: Any, octets: bytes) -> Any:
    """Return ``cdata``, a C struct, with the octets of another; CodecError for another length."""
    if len(octets) != ffi.sizeof(cdata[0]):
        what = ffi.typeof(cdata).cname
        raise CodecError(f"{what}: {len(octets)} octets, must be {ffi.sizeof(cdata[0])}")
    ffi.memmove(cdata, octets, len(octets))
    return cdata


def force_tier(name: str) -> None:
    """Use another tier from now on; CodecError if this processor does not run it."""
    if name not in tiers():
        raise CodecError(f"codec tier {name!r}: this processor runs {', '.join(tiers())}")
    lib.fs_tier_force(tiers().index(name))


if "FLATSAT_TIER" in os.environ:  # for tests: everything on one tier
    force_tier(os.environ["FLATSAT_TIER"])
