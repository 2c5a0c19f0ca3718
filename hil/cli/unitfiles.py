"""What virtual channels carry other than packets, as files: ``vc5.bin`` for each of them.

Units stand one behind the other, as they came: bitstream data, opaque data fields, units and octet
streams of USLP, encapsulation packets.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from flightsw.codec.link.units import Units
from flightsw.codec.native import lib
from hil.errors import HostError, UsageError


class UnitFiles(contextlib.ExitStack):
    """A directory in which there is no such file yet; ``nbytes`` counts octets by file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.nbytes: dict[Path, int] = {}
        self._files: dict[int, BinaryIO] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = sorted(folder.glob("vc*.bin"))
        except OSError as error:
            raise HostError(f"{folder}: {error.strerror}; give another directory") from None
        if there:
            raise UsageError(f"{folder} holds {there[0].name} already; give an empty directory")

    def __enter__(self) -> Self:
        return self

    def write(self, units: Units) -> None:
        """Append each unit to the file of its virtual channel, idle ones to none."""
        rows = units.rows[units.rows["kind"] != lib.FS_UNIT_IDLE]
        for vcid in np.unique(rows["vcid"]).tolist():
            path = self.folder / f"vc{vcid}.bin"
            if vcid not in self._files:
                self._files[vcid] = self.enter_context(path.open("xb"))
            octets = b"".join(units._replace(rows=rows[rows["vcid"] == vcid]).each())
            self._files[vcid].write(octets)
            self.nbytes[path] = self.nbytes.get(path, 0) + len(octets)
