"""The C codec, in whichever of its two forms was built (see ``csrc/build_hook.py``)."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from flightsw.codec.errors import CodecError

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


def tiers() -> tuple[str, ...]:
    """Return the tiers that this processor runs, the plainest first."""
    names = (lib.fs_tier_name(level) for level in range(lib.fs_tier_best() + 1))
    return tuple(ffi.string(name).decode() for name in names)


def force_tier(name: str) -> None:
    """Use another tier from now on; CodecError if this processor does not run it."""
    if name not in tiers():
        raise CodecError(f"codec tier {name!r}: this processor runs {', '.join(tiers())}")
    lib.fs_tier_force(tiers().index(name))


if "FLATSAT_TIER" in os.environ:  # for tests: everything on one tier
    force_tier(os.environ["FLATSAT_TIER"])
