"""The C codec, in whichever of its two forms was built (see ``csrc/build_hook.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ffi: Any
lib: Any
#: ``api`` or ``plain``
form: str

try:
    from flightsw.codec import _codec

    ffi, lib, form = _codec.ffi, _codec.lib, "api"
except ImportError:
    from flightsw.codec import _codec_plain_ffi

    ffi, form = _codec_plain_ffi.ffi, "plain"
    lib = ffi.dlopen(str(Path(__file__).with_name("_codec_plain.so")))
