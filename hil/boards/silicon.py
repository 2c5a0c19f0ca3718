"""Silicon: emulated parts on the wires of an emulated board.

What a real board has soldered to its buses, the emulation of one has here: parts built from the
rows of a board file as any rig builds them (:mod:`hil.wiring`), on a clock of their own, fed with
the state of the world by :meth:`Silicon.feel`. They are served in a thread of their own, because
the board asks while the bench waits for the board:

- to firmware that runs as a process of this computer, as ``/dev/i2c-1`` and its like through the
  preload shim (:meth:`Silicon.serve_host`), at the pace of the wall;
- to an emulated processor through its wires (:meth:`Silicon.serve_wires`), at the processor's own
  clock.

On the wires nobody knows how many octets a read will take until it is over, and a part is asked for
a number. So a copy of the part answers :data:`~hil.boards.wires.PREFETCH_NBYTES` octets at the
address, and when the read has ended the part itself is asked for just those that were clocked, at
the same time: what registers a read has cleared and where it has left the pointer is as on silicon.
A copy drives no pin and sends nothing. Octets written are acknowledged as a copy does, and taken by
the part when the message is over. Faults and interceptors are those of the rig's own bus, which
stands in front of the board, not of the buses here.
"""

from __future__ import annotations

import copy
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hil.board import Board, BusSpec, PartSpec
from hil.boards.wires import PREFETCH_NBYTES, Answer, Nothing, Wires
from hil.buses.i2c import I2CBus
from hil.buses.spi import CS_CHANGE, SPIBus
from hil.digest import RecordStream
from hil.errors import ConfigError
from hil.exchange import Exchange
from hil.faces.host import Host
from hil.faces.nodes import write_overlay
from hil.parts.base import I2CTarget, Part, unwired
from hil.parts.registers import RegisterFile, RegisterTarget
from hil.time.kernel import AFTER_ALL, Kernel
from hil.wiring import Wiring

#: the pin that is chip select 0 on an Uno, D10: port B, bit 2
UNO_SELECTS: Final[Mapping[tuple[int, int], int]] = {(0, 2): 0}
#: long enough for the first conversion of any part
POWERED_S: Final = 10
_STEP_S: Final = 0.05


class Silicon:
    """Emulated parts on buses of their own. Close it, or use it as a context manager."""

    def __init__(
        self,
        board: Board,
        seed: int = 0,
        overrides: Mapping[str, dict[str, Any]] | None = None,
        now_utc: datetime | None = None,
    ) -> None:
        """Build the buses and parts of ``board``; ``overrides`` as :class:`hil.wiring.Wiring`.

        The parts have had power for :data:`POWERED_S` when the board first asks, which is at
        ``now_utc`` for those that know the time of day.
        """
        self.kernel = Kernel()
        self.exchange = Exchange(self.kernel, RecordStream(), 2**62)
        self.wiring = Wiring(board, self.exchange, seed, overrides or {})
        if now_utc is not None:
            for part in self.wiring.parts.values():
                if hasattr(part, "epoch_utc"):
                    part.epoch_utc = now_utc - timedelta(seconds=POWERED_S)
        self.wiring.start()
        self.kernel.run_before(POWERED_S * 1_000_000_000, AFTER_ALL)
        self.parts = self.wiring.parts
        self._state: Mapping[str, float] | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        #: what ended the thread, if it was an error
        self.error: Exception | None = None

    @staticmethod
    def of(
        parts: Iterable[PartSpec], buses: Sequence[BusSpec], adapter: str = "bcm2835", seed: int = 0
    ) -> Silicon:
        """Build parts on buses that no board file names."""
        return Silicon(
            Board("silicon", "parts of a board", adapter, Path(), tuple(buses), tuple(parts)), seed
        )

    @staticmethod
    def behind(
        board: Board,
        names: Iterable[str],
        seed: int = 0,
        now_utc: datetime | None = None,
        **overrides: Any,
    ) -> Silicon:
        """Build those parts of a board file that a dev board has, with the switches before them."""
        wanted = set(names)
        known = {part.name: part for part in board.parts}
        for name in wanted - known.keys():
            raise ConfigError(f"board {board.name} has no part {name!r}")
        for name in list(wanted):
            while (mux := known[name].mux) is not None:
                wanted.add(mux)
                name = mux
        parts = tuple(part for part in board.parts if part.name in wanted)
        return Silicon(replace(board, parts=parts), seed, overrides, now_utc)

    def feel(self, state: Mapping[str, float]) -> None:
        """Set the physical inputs of all parts, before whatever the board does next."""
        self._state = dict(state)

    def sense(self) -> None:
        """Give the parts the state that was last felt."""
        state, self._state = self._state, None
        if state is not None:
            self.wiring.feel(state)

    def counters(self) -> dict[str, Any]:
        """Return the counters of every bus and part, those that are not zero."""
        return self.wiring.counters()

    def bus_of_kind(self, kind: str) -> Any:
        """Return the first bus of a kind, or None."""
        return next((bus for bus in self.wiring.buses.values() if bus.kind == kind), None)

    # --- serving -------------------------------------------------------------------------------

    def serve_wires(
        self,
        end: socket.socket,
        clock_hz: int = 16_000_000,
        selects: Mapping[tuple[int, int], int] = UNO_SELECTS,
        on_baud: Callable[[int], None] | None = None,
    ) -> Wires:
        """Serve the wires of an emulated processor from now on; ``end`` is then owned."""
        wires = Wires(end, Around(self, clock_hz, selects), on_baud)
        wires.is_served = True

        def step() -> None:
            wires.service(_STEP_S)
            if wires.is_gone:
                self._over.set()

        self._start("wires", step, wires.close)
        return wires

    def serve_host(self, folder: Path) -> Path:
        """Serve programs below the preload shim from now on; return the socket, their HIL_BENCH.

        ``folder``: for it and for the device files that they find; made if it is not there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        home = folder.resolve()  # the shim knows it by the name that the kernel gives it
        host = Host(self.exchange, home / "bench")
        ttys = {at: line.path for at, line in host.lines.items()}
        write_overlay(home / "root", host.nodes.values(), ttys)

        def step() -> None:
            self.sense()
            host.step(_STEP_S)

        self._start("host", step, host.close)
        return home / "bench"

    def _start(self, what: str, step: Callable[[], None], end: Callable[[], None]) -> None:
        self._end()

        def loop() -> None:
            try:
                while not self._over.is_set():
                    step()
            except Exception as error:  # noqa: BLE001 - raised by close(), in whoever closes it
                self.error = error
            finally:
                end()

        self._thread = threading.Thread(target=loop, name=f"silicon {what}", daemon=True)
        self._thread.start()

    def _end(self) -> None:
        """End serving one board: parts outlive an emulation that is started anew."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._over.clear()

    def close(self) -> None:
        """End serving. Raises what ended it before, if that was an error."""
        self._end()
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class Around(Nothing):
    """Silicon around a processor: the parts of its first I2C and its first SPI bus."""

    def __init__(
        self, silicon: Silicon, clock_hz: int, selects: Mapping[tuple[int, int], int]
    ) -> None:
        self._silicon = silicon
        self._clock_hz = clock_hz
        self._base_ns = silicon.kernel.now_ns
        self._selects = selects
        self._i2c: I2CBus | None = silicon.bus_of_kind("i2c")
        self._spi: SPIBus | None = silicon.bus_of_kind("spi")
        self._selected: int | None = None
        self._target: I2CTarget | None = None
        self._reads = False
        self._began_ns = 0
        self._written = bytearray()
        self._served = b""
        self._seen: list[I2CTarget] = []
        #: late_naks: octets that were acknowledged and that the part then did not take;
        #: diverged: reads in which the part served other octets than its copy
        self.counters = {"transactions": 0, "late_naks": 0, "diverged": 0}
        silicon.exchange.counted["wires"] = self.counters

    def _at(self, cycles: int) -> int:
        """Bring the parts to the time of the processor, and to the state of the world."""
        kernel = self._silicon.kernel
        t_ns = self._base_ns + cycles * 1_000_000_000 // self._clock_hz
        kernel.run_before(t_ns, AFTER_ALL)
        self._silicon.sense()
        return t_ns

    # --- I2C -----------------------------------------------------------------------------------

    def i2c_start(self, cycles: int, octet: int, is_repeated: bool, clocked: int) -> Answer:
        """Address a part; the message before, if any, is over."""
        t_ns = self._at(cycles)
        self._settle(clocked)
        if not is_repeated:
            self.counters["transactions"] += 1
        self._reads = bool(octet & 1)
        self._began_ns = t_ns
        self._served = b""
        self._target = None if self._i2c is None else self._i2c.target_at(octet >> 1)
        if self._target is None:
            return Answer(False)
        answer = self._more(0) if self._reads else Answer(self._acks(b""))
        if not answer.is_acked:
            self._target = None
        elif self._target not in self._seen:
            self._seen.append(self._target)
        return answer

    def i2c_write(self, cycles: int, octet: int) -> Answer:
        """Take an octet, if the part would."""
        if self._target is None:
            return Answer(False)
        if not self._acks(bytes((*self._written, octet))):
            return Answer(False)
        self._written.append(octet)
        return Answer(True)

    def i2c_more(self, cycles: int, clocked: int) -> Answer:
        """Serve what the part would serve next."""
        return Answer(False) if self._target is None else self._more(clocked)

    def i2c_stop(self, cycles: int, clocked: int) -> None:
        """See the end of a transaction."""
        t_ns = self._at(cycles)
        self._settle(clocked)
        for target in self._seen:
            target.i2c_stop(t_ns)
        self._seen.clear()

    def _settle(self, clocked: int) -> None:
        """Do for good what the message has been: write its octets, or read as many as it took."""
        target, self._target = self._target, None
        written = bytes(self._written)
        self._written.clear()
        if target is None:
            return
        if not self._reads:
            taken = target.i2c_write(self._began_ns, written)
            self.counters["late_naks"] += max(len(written) - max(taken, 0), 0)
        elif clocked:
            served = target.i2c_read(self._began_ns, clocked)
            self.counters["diverged"] += served != self._served[:clocked]

    def _more(self, clocked: int) -> Answer:
        target = self._target
        assert target is not None
        served = self._copy(target).i2c_read(self._began_ns, clocked + PREFETCH_NBYTES)
        if served is None:
            return Answer(False)
        self._served = served
        return Answer(True, getattr(target, "i2c_stretch_ns", 0), served[clocked:])

    def _acks(self, octets: bytes) -> bool:
        target = self._target
        assert target is not None
        if type(target).i2c_write is RegisterTarget.i2c_write:
            return True
        return self._copy(target).i2c_write(self._began_ns, octets) == len(octets)

    def _copy(self, target: I2CTarget) -> I2CTarget:
        """Return a copy of a part that reaches nothing outside: no pin, no line, no clock."""
        silicon = self._silicon
        memo: dict[int, Any] = {id(silicon.kernel): _Still(silicon.kernel.now_ns)}
        for part in silicon.parts.values():
            for value in vars(part).values():
                if callable(value) and not isinstance(value, (Part, type)):
                    memo[id(value)] = unwired
                elif isinstance(value, RegisterFile):  # its values alone are one part's own
                    rules = (what for what in vars(value).values() if what is not value.values)
                    memo.update((id(what), what) for what in rules)
                    memo[id(value.values)] = value.values.copy()
        return copy.deepcopy(target, memo)

    # --- SPI -----------------------------------------------------------------------------------

    def port(self, cycles: int, port: int, direction: int, value: int) -> None:
        """See chip selects move: a pin that is an output and low selects."""
        for (at, bit), select_number in self._selects.items():
            if at != port:
                continue
            is_low = bool(direction >> bit & 1) and not value >> bit & 1
            if is_low:
                self._selected = select_number
            elif self._selected == select_number:
                self._selected = None
                if self._spi is not None:
                    self._spi.transfer_segments(
                        self._at(cycles), select_number, [(b"", 0, 8, 0, 0)]
                    )

    def spi_exchange(self, cycles: int, octet: int, mode: int, hz: int) -> int:
        """Exchange an octet with the part that is selected."""
        if self._spi is None or self._selected is None:
            return 0xFF
        t_ns = self._at(cycles)
        self._spi.configure(self._selected, mode=mode)
        segment = (bytes((octet,)), hz, 8, CS_CHANGE, 0)
        _, _, received = self._spi.transfer_segments(t_ns, self._selected, [segment])
        return received[0][0] if received else 0xFF


class _Still:
    """A scheduler for copies of parts: it is always now, and nothing that is scheduled comes."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def at(self, t_ns: int, phase: int, source: int, callback: Callable[[int], None]) -> object:
        """Forget it."""
        return None
