"""Reading BLF and ASC logs of Vector's tools, through python-can (the extra ``can``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from flightsw.codec.wire import Flag, Kind
from hil.capture.importing.unit import TIME_LIMIT_NS, ImportDamage, Source, Unit, plain
from hil.errors import HostError

#: A container of a BLF file has 128 KiB of objects as a rule; what claims more is damage.
_READ_LIMIT_NBYTES = 1 << 20
_LINE_LIMIT = 4096
#: A first time below this counts from the start of the log.
_RELATIVE_LIMIT_NS = 10**17
_EXTENDED, _REMOTE, _ERROR = 0x8000_0000, 0x4000_0000, 0x2000_0000


def _python_can() -> Any:
    try:
        import can
    except ModuleNotFoundError:
        raise HostError(
            "BLF and ASC logs are read by python-can, which is not installed; run "
            "`pip install 'flatsat[can]'`, or save the log as candump or pcapng"
        ) from None
    return can


class _Binary:
    """A binary file whose reads are limited and counted."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.at = file, 0

    def read(self, nbytes: int = -1) -> bytes:
        """Return up to ``nbytes`` octets."""
        if not 0 <= nbytes <= _READ_LIMIT_NBYTES:
            raise ValueError(f"an object claims {nbytes} octets")
        data = self.file.read(nbytes)
        self.at += len(data)
        return data

    def close(self) -> None:
        """Leave the file to whoever opened it."""


class _Text:
    """The lines of a text file, counted in octets."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.at = file, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(_LINE_LIMIT)
        if not line:
            raise StopIteration
        self.at += len(line)
        return line.decode(errors="replace")

    def close(self) -> None:
        """Leave the file to whoever opened it."""


class _VectorSource(Source):
    """A log of Vector's that python-can reads."""

    def __init__(self, place: _Binary | _Text, name: str, open_it: Callable[[Any], Any]) -> None:
        super().__init__(name)
        self._place = place
        self._messages = self._read(open_it)
        self._first: Unit | None = None
        try:
            self._first = next(self._messages, None)
        except ImportDamage as damage:
            self.damage = damage
        self.absolute = self._first is not None and self._first.t_ns >= _RELATIVE_LIMIT_NS

    def units(self) -> Iterator[Unit]:
        if self._first is not None:
            yield self._first
            yield from self._messages

    def _read(self, open_it: Callable[[Any], Any]) -> Iterator[Unit]:
        module = _python_can()
        try:
            for message in open_it(module)(self._place):
                unit = self._unit(message)
                if unit is None:
                    self.counters["skipped_frames_that_no_bus_carries"] += 1
                else:
                    yield unit
        except Exception as wrong:  # noqa: BLE001 - foreign code on a foreign file: it is damage
            words = str(wrong).splitlines() or [type(wrong).__name__]
            raise ImportDamage(self._place.at, f"python-can gives up: {words[0][:200]}") from None

    def _unit(self, message: Any) -> Unit | None:
        data, limit = bytes(message.data or b""), 64 if message.is_fd else 8
        t_ns = round(message.timestamp * 1e6) * 1000
        if len(data) > limit or not 0 <= t_ns < TIME_LIMIT_NS:
            return None
        flags = int(Flag.INPUT) if message.is_rx else 0
        if message.is_fd:
            flags |= int(Flag.CAN_FD)
            flags |= int(Flag.CAN_BRS) if message.bitrate_switch else 0
            flags |= int(Flag.CAN_ESI) if message.error_state_indicator else 0
        address = message.arbitration_id & 0x1FFF_FFFF
        address |= _EXTENDED if message.is_extended_id else 0
        # FD frames have no remote form: python-can takes an empty one in a text log for it
        address |= _REMOTE if message.is_remote_frame and not message.is_fd else 0
        if message.is_error_frame:
            address = message.arbitration_id & 0x1FFF_FFFF | _ERROR
        where = message.channel
        name = f"can{where}" if isinstance(where, int) else plain(str(where or "can0").encode())
        return Unit(t_ns, Kind.CAN, name, data, flags, address=address)


class BlfSource(_VectorSource):
    """A binary log (``.blf``); times are UTC, to the microsecond."""

    form = "blf"

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(_Binary(file), name, lambda can: can.BLFReader)


class AscSource(_VectorSource):
    """A text log (``.asc``); its date is taken as local time, as it does not say."""

    form = "asc"

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(
            *(_Text(file), name),
            lambda can: lambda place: can.ASCReader(place, relative_timestamp=False),
        )
