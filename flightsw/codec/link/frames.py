"""What the frames of a physical channel are, for everything that makes or takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import index
from typing import Any

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib

#: Frame checks by name, with the octets of each.
FECF_NBYTES: dict[str | None, int] = {None: 0, "crc16": 2, "crc32": 4}
#: What a virtual channel carries, by name.
SERVICES: dict[str, int] = {
    "stated": lib.FS_SERVICE_STATED,
    "bitstream": lib.FS_SERVICE_BITSTREAM,
    "opaque": lib.FS_SERVICE_OPAQUE,
}
#: Kinds of frames, with the highest number that their headers can give a spacecraft.
SPACECRAFT = {"tm": 1023, "aos": 1023, "uslp": 65_535, "tc": 1023}
OCF_NBYTES = 4

_KINDS = {"tm": lib.FS_FRAME_TM, "aos": lib.FS_FRAME_AOS, "uslp": lib.FS_FRAME_USLP}
_MOST_CHANNELS = 1024  # MAPs of all virtual channels
_TC_NBYTES = 1024
#: What is said of each kind where settings do not go together.
_RULES = {
    "tm": f"{lib.FS_TM_FRAME_MIN_NBYTES} to {lib.FS_TM_FRAME_NBYTES} octets, crc16 or no check,"
    " opaque services; fhec, insert zones and varying lengths are of AOS and USLP",
    "aos": f"up to {lib.FS_FRAME_NBYTES} octets, crc16 or no check; varying lengths are of USLP",
    "uslp": f"up to {lib.FS_FRAME_NBYTES} octets, truncated ones no longer than others; fhec and"
    " bitstream are of AOS",
    "tc": f"up to {_TC_NBYTES} octets with crc16 and a segment header or none; no more options",
}


@dataclass(frozen=True)
class Frames:
    """Transfer frames of one physical channel, and who receives them.

    ``kind`` is ``"tm"`` (CCSDS 132.0-B-3), ``"aos"`` (732.0-B-4), ``"uslp"`` (732.1-B-3) or
    ``"tc"`` (232.0-B-4). Raises FieldRangeError for settings that do not go together.
    """

    kind: str
    #: octets of a frame, Reed-Solomon parity not included; where lengths vary, of the longest
    nbytes: int
    #: spacecraft whose frames are taken and made; None takes any, which is for one on the air
    scid: int | None = None
    #: the frame check: ``"crc16"``, ``"crc32"`` (USLP), or None
    fecf: str | None = "crc16"
    #: frames hold an operational control field; in TM and USLP a flag of each frame decides
    ocf: bool = False
    #: octets of the insert zone (AOS, USLP)
    insert_nbytes: int = 0
    #: headers have a check of their own, which corrects them (AOS)
    fhec: bool = False
    #: lengths of frames vary (USLP)
    variable: bool = False
    #: octets of truncated frames (USLP); with 0 they are refused
    truncated_nbytes: int = 0
    #: telecommand frames begin their data with a segment header
    segment_header: bool = True
    #: virtual channels, in USLP MAPs of them, that may carry data at a time: 64 KiB each
    channels: int = 16
    #: virtual channels that carry no packets: ``"bitstream"`` (B_PDUs of AOS) or ``"opaque"``
    services: Mapping[int, str] = field(default_factory=dict, hash=False)
    #: give idle packets, too
    keep_idle: bool = False

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "services", dict(self.services))  # as they are checked here
            fits = 0 < self.channels <= _MOST_CHANNELS and self._fit()
        except (OverflowError, LookupError, TypeError, ValueError):
            fits = False
        if not fits:
            raise FieldRangeError(f"{self} cannot be: {self._may_be()}")

    def _may_be(self) -> str:
        kind = str(self.kind)
        if kind not in SPACECRAFT:
            return f"their kind is one of {', '.join(SPACECRAFT)}"
        return (
            f"{_RULES[kind]}; scid up to {SPACECRAFT[kind]}, 1 to {_MOST_CHANNELS} channels,"
            f" services of channels 0 to {lib.FS_FRAME_CHANNELS - 1}: {', '.join(SERVICES)}"
        )

    def __str__(self) -> str:
        """Return kind and length, and the settings that differ from their defaults."""
        names = [f.name for f in fields(self)[2:]]
        told = [f"{name} {getattr(self, name)!r}" for name in names if self._says(name)]
        options = ", ".join(told) or "no options"
        return f"{str(self.kind).upper()} frames of {self.nbytes} octets ({options})"

    def _says(self, name: str) -> bool:
        value = getattr(self, name)
        return bool(value) if name == "services" else value != getattr(Frames, name)

    def _fit(self) -> bool:
        if self.kind == "tc":
            names = "ocf", "insert_nbytes", "fhec", "variable", "truncated_nbytes", "services"
            extras = [getattr(self, name) for name in names]
            fits = 0 < self.nbytes <= _TC_NBYTES and 0 <= (self.scid or 0) <= SPACECRAFT["tc"]
            return fits and self.fecf == "crc16" and not any(extras)
        least = lib.FS_TM_FRAME_MIN_NBYTES if self.kind == "tm" else 0
        return self.nbytes >= least and lib.fs_frame_check(self.made()) >= 0

    def made(self) -> Any:
        """Return the settings as C takes them; OverflowError or LookupError for what is none."""
        made = ffi.new("fs_frame_settings *")
        made.kind = _KINDS[self.kind]
        made.nbytes = self.nbytes
        if self.scid is not None and self.scid < 0:
            raise OverflowError
        made.scid = -1 if self.scid is None else self.scid
        made.fecf = FECF_NBYTES[self.fecf]
        for name in ("ocf", "insert_nbytes", "fhec", "variable", "truncated_nbytes", "keep_idle"):
            setattr(made, name, index(getattr(self, name)))
        for vcid, service in self.services.items():
            made.service[vcid] = SERVICES[service]
        return made

    @property
    def fecf_nbytes(self) -> int:
        """Octets of the frame check."""
        return FECF_NBYTES[self.fecf]

    @property
    def ocf_nbytes(self) -> int:
        """Octets of the control field."""
        return OCF_NBYTES * self.ocf

    def sender(self, kind: str) -> int:
        """Return the spacecraft that makes these frames; FieldRangeError if it is not told."""
        if self.kind != kind or self.scid is None:
            raise FieldRangeError(
                f"{kind.upper()} encoder: {self}; it needs kind {kind!r}, and scid"
            )
        return self.scid


def closed(octets: bytes, fecf: str | None) -> bytes:
    """Return a frame with its check behind it; FieldRangeError for a check that there is not."""
    if fecf == "crc16":
        return octets + crc16(octets).to_bytes(2, "big")
    if fecf == "crc32":
        return octets + int(lib.fs_crc32_uslp(octets, len(octets), 0)).to_bytes(4, "big")
    if fecf is not None:
        raise FieldRangeError(f"frame check {fecf!r}: give 'crc16', 'crc32' (USLP) or None")
    return octets
