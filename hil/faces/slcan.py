"""A serial CAN adapter that speaks the LAWICEL protocol (SLCAN), on an emulated CAN bus.

Sources: LAWICEL CANUSB manual, CAN232 manual version 3; error and state lines as Linux 6.0 and
later reads them. ``hil.faces.slcan_lines`` has the forms of the lines, ``slcan_filter`` the filter.

The adapter is a node: frames that it sends arbitrate and take bus time, frames of others come as
lines when they end. It is reached over any stream of octets: what a program wrote goes to
:meth:`SlcanAdapter.feed`, what it is to read comes out at ``out``::

    adapter = SlcanAdapter(bus, out=port.write)             # the payload computer's controller
    adapter = SlcanAdapter(bus, port.write, name="stick")   # or a node of its own
    adapter.feed(t_ns, b"C\\rS6\\rO\\rt1232AA55\\r")

Each command is answered in order: CR, ``z`` or ``Z`` with CR for a frame that was queued, BELL for
what cannot be done or is not understood (counted as ``refused`` and ``malformed``). A transmit FIFO
that is full holds back what comes behind, as the flow control of USB does; only when error passive,
with perhaps nobody there to acknowledge, it answers BELL. A bit rate that is not that of the bus
(more than 1.5 % off) makes it deaf and mute; a real one would destroy frames. ``Sn`` may be left
out: the adapter then has the bit rate of the bus. After bus off it stays off until it is closed and
opened, and is back on the bus when it has seen 128 times 11 recessive bits.

Not modelled: ``U`` (accepted: a stream has no baud), ``Q`` (malformed), the time that lines take to
the computer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hil.buses.can import CANBus
from hil.buses.can_frame import FD_FLAG
from hil.faces import slcan_lines as lines
from hil.faces.slcan_port import RefusedError, SlcanPort

OK, BELL = "\r", "\a"
#: The longest line: an extended CAN FD frame of 64 octets.
LINE_LIMIT_NBYTES: Final = 1 + 8 + 1 + 128
#: Octets that wait behind a full transmit FIFO; whoever feeds more than this loses it.
BACKLOG_NBYTES: Final = 4096
VERSION, SERIAL = "V1013\r", "NFS01\r"


class SlcanAdapter(SlcanPort):
    """One adapter on ``bus``; ``name``: as a node of its own, else as the bus's controller."""

    def __init__(self, bus: CANBus, out: Callable[[bytes], object], name: str = "") -> None:
        super().__init__(bus, name)
        #: a frame waits for room in the FIFO, and what was fed behind it waits as well
        self.held = False
        #: called when nothing is held any more
        self.more: Callable[[int], object] = lambda t_ns: None
        self._out = out
        self._input = bytearray()
        self._skipping = False  # the rest of a line that is too long

    # --- the stream -------------------------------------------------------------------------------

    def feed(self, t_ns: int, octets: bytes) -> None:
        """Take what a program wrote at ``t_ns``."""
        room = BACKLOG_NBYTES - len(self._input)
        self.counters["overflow"] += max(len(octets) - room, 0)
        self._input += octets[:room]
        self._work(t_ns)

    def go_on(self, t_ns: int) -> None:
        """Do what was held, as far as there is room now."""
        if self.held:
            self._work(t_ns)
            if not self.held:
                self.more(t_ns)

    def _work(self, t_ns: int) -> None:
        """Do every command that is there, as far as the FIFO has room."""
        self.held = False
        while (end := self._input.find(b"\r")) >= 0:
            if self.must_wait and chr(self._input[0]) in lines.FRAME_LETTERS:
                self.held = True
                return
            line = self._input[:end].decode("latin-1")
            del self._input[: end + 1]
            self.say(self._answer(t_ns, line))
        if len(self._input) > LINE_LIMIT_NBYTES:
            self._input.clear()
            self._skipping = True

    def say(self, text: str) -> None:
        """Give a line to the stream."""
        self._out(text.encode("ascii"))

    def _answer(self, t_ns: int, line: str) -> str:
        self.counters["commands"] += 1
        skipped, self._skipping = self._skipping, False
        try:
            if not skipped:
                return self._do(t_ns, line)
            self.counters["malformed"] += 1
        except ValueError:
            self.counters["malformed"] += 1
        except RefusedError:
            self.counters["refused"] += 1
        return BELL

    # --- commands ---------------------------------------------------------------------------------

    def _do(self, t_ns: int, line: str) -> str:
        """Do a command and return its answer. Raises ``ValueError`` and ``RefusedError``."""
        if not line:
            return OK
        letter, rest = line[0], line[1:]
        if letter in lines.FRAME_LETTERS:
            return self._send(t_ns, line)
        if letter in _ACTS and not rest:
            return _ACTS[letter](self, t_ns)
        nbytes, set_it = _SETTINGS.get(letter, (-1, SlcanAdapter._set_nothing))
        if len(rest) != nbytes:
            raise ValueError(f"{line!r} is no command")
        if self.is_open:
            raise RefusedError
        set_it(self, rest)
        return OK

    def _send(self, t_ns: int, line: str) -> str:
        can_id, data = lines.parse_frame(line)
        if not self.is_open or self.listens or (can_id & FD_FLAG and not self.can_fd):
            raise RefusedError
        self.send(t_ns, can_id, data)
        answer = "Z" if line[0].isupper() else "z"
        return f"{answer}\r" if self.polls else OK

    def _open(self, t_ns: int) -> str:
        self.start(t_ns, False)
        return OK

    def _listen(self, t_ns: int) -> str:
        self.start(t_ns, True)
        return OK

    def _close(self, t_ns: int) -> str:
        self.stop()
        return OK

    def _status(self, t_ns: int) -> str:
        if not self.is_open:
            raise RefusedError
        return f"F{self.status():02X}\r"

    def _version(self, t_ns: int) -> str:
        return VERSION

    def _serial(self, t_ns: int) -> str:
        return SERIAL

    def _poll(self, t_ns: int) -> str:
        """Return one frame that was heard."""
        if not self.is_open or self.polls:
            raise RefusedError
        return self.heard.popleft() if self.heard else OK

    def _poll_all(self, t_ns: int) -> str:
        """Return every frame that was heard, and A behind them."""
        if not self.is_open or self.polls:
            raise RefusedError
        found = "".join(self.heard)
        self.heard.clear()
        return f"{found}A\r"

    # --- settings ---------------------------------------------------------------------------------

    def _set_rate(self, text: str) -> None:
        self.rates_hz[0] = lines.BIT_RATES[lines.digit(text, 9)]

    def _set_registers(self, text: str) -> None:
        self.rates_hz[0] = lines.bit_rate_of_registers(text)

    def _set_data_rate(self, text: str) -> None:
        if not self.can_fd or text not in lines.DATA_BIT_RATES:
            raise RefusedError
        self.rates_hz[1] = lines.DATA_BIT_RATES[text]

    def _set_code(self, text: str) -> None:
        self.code = lines.hexadecimal(text)

    def _set_mask(self, text: str) -> None:
        self.mask = lines.hexadecimal(text)

    def _set_single(self, text: str) -> None:
        self.single = lines.digit(text, 1) == 1

    def _set_stamps(self, text: str) -> None:
        self.stamps = lines.digit(text, 1) == 1

    def _set_polls(self, text: str) -> None:
        self.polls = lines.digit(text, 1) == 1

    def _set_nothing(self, text: str) -> None:
        lines.digit(text, 6)


_ACTS: Final[dict[str, Callable[[SlcanAdapter, int], str]]] = {
    "O": SlcanAdapter._open,
    "L": SlcanAdapter._listen,
    "C": SlcanAdapter._close,
    "F": SlcanAdapter._status,
    "V": SlcanAdapter._version,
    "N": SlcanAdapter._serial,
    "P": SlcanAdapter._poll,
    "A": SlcanAdapter._poll_all,
}
#: letter -> (digits behind it, what it does); all of them only while the channel is closed
_SETTINGS: Final[dict[str, tuple[int, Callable[[SlcanAdapter, str], None]]]] = {
    "S": (1, SlcanAdapter._set_rate),
    "s": (4, SlcanAdapter._set_registers),
    "Y": (1, SlcanAdapter._set_data_rate),
    "M": (8, SlcanAdapter._set_code),
    "m": (8, SlcanAdapter._set_mask),
    "W": (1, SlcanAdapter._set_single),
    "Z": (1, SlcanAdapter._set_stamps),
    "X": (1, SlcanAdapter._set_polls),
    "U": (1, SlcanAdapter._set_nothing),
}
