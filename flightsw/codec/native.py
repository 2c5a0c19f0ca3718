"""The C codec, in whichever of its two forms was built (see ``csrc/build_hook.py``)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

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
