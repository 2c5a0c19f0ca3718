"""The flight software of a mock, called directly.

A :class:`MockPort` is a :class:`~hil.time.transports.direct.DirectPort` with two short ways: an I2C
transaction that is the next recorded one of its bus, to the octet and to the nanosecond, is
answered without a bus; and what came in is handed over as it lies in the capture. Everything else
goes through the exchange, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flightsw.codec.bus_payload import pack_i2c
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind
from hil.replay.mocking.inputs import Inputs
from hil.replay.mocking.lives import Lives
from hil.time.transports.direct import ENDED, DirectPort
from hil.transactions import MEMO_LIMIT
from hil.uut import DirectFlight, ProcessFlight

_I2C, _NEXT = int(Kind.I2C), int(Kind.NEXT)
_WAKE = int(Flag.WAKE)
#: (t_ns, address, octets to write, octets to read) -> (status, end_ns, octets read)
Transfer = Callable[[int, int, bytes, int], tuple[int, int, bytes]]


class MockPort(DirectPort):
    """The exchange of a mock as its only participant calls it."""

    def __init__(self, lives: Lives, inputs: Inputs, participant: Any) -> None:
        bench = self._bench = lives.rig
        self._inputs = inputs
        inputs.upto(bench.kernel.now_ns)  # what came before this start was heard by nobody
        inputs.levels()
        super().__init__(bench.exchange, participant)

    def inputs(self) -> bytes:
        """Return the records that came in since the last call: results, then inputs."""
        now_ns = self._bench.kernel.now_ns
        participant = self.participant
        if participant.inputs or participant.results:
            return _in_order(self._inputs.upto(now_ns) + b"".join(participant.take(now_ns)))
        return self._inputs.upto(now_ns) if self._inputs.next_ns <= now_ns else b""

    def request(self, message: bytes) -> bytes:
        """Do what a message asks; the reply, or nothing if the run is over for the caller."""
        header = HEADER.unpack_from(message)
        if header[0] != _NEXT or not header[2] & _WAKE:
            reply = super().request(message)
            if reply and self._inputs.next_ns <= self._bench.kernel.now_ns:
                reply = self._inputs.upto(self._bench.kernel.now_ns) + reply
            return reply
        # Until the first input, which the exchange does not know of.
        kernel = self._bench.kernel
        next_ns = max(self._inputs.next_ns, kernel.now_ns)
        if next_ns < header[5]:
            message = HEADER.pack(*header[:5], next_ns, *header[6:])
        reply = super().request(message)
        return self._inputs.upto(kernel.now_ns) + reply if reply else reply

    def i2c(self, index: int) -> Transfer:
        """Return ``transfer(t_ns, address, write, nread) -> (status, end_ns, data)`` of a channel.

        A status of -1 says that the run is over.
        """
        bench, participant, sleep = self._bench, self.participant, self.sleep
        kernel, stream, lane = bench.kernel, bench.stream, bench.exchange.lanes[index]
        recorded = bench.answers_of(_I2C, index).lane
        indices, times, taken = recorded.indices, recorded.times, recorded.taken
        octets, heads = bench.recording.octets, bench.recording.heads[indices]
        bodies = (bench.recording.starts[indices] + HEADER_NBYTES).tolist()
        ends = bench.recording.ends[indices].tolist()
        done = (heads["t_ns"] + heads["duration_ns"]).tolist()
        failed = (heads["status"] != 0).tolist()
        keep, caused, last = stream.kept.append, stream.caused, len(indices)
        requests: dict[tuple[int, bytes, int], bytes] = {}
        slow = super().i2c(index)

        def transfer(t_ns: int, address: int, write: bytes, nread: int) -> tuple[int, int, bytes]:
            at = recorded.at
            if at >= last or times[at] != t_ns or failed[at] or lane.busy_ns > t_ns:
                return slow(t_ns, address, write, nread)
            try:
                request = requests[address, write, nread]
            except KeyError:
                if len(requests) >= MEMO_LIMIT:
                    requests.clear()
                request = requests[address, write, nread] = pack_i2c(address, write, nread)
            body = bodies[at]
            if (
                not octets.startswith(request, body)
                or ends[at] - body != len(request) + nread
                or taken[at]
                or indices[at] in caused
            ):
                return slow(t_ns, address, write, nread)
            if kernel.due_ns > t_ns < participant.end_ns:
                kernel.now_ns = t_ns
            elif not sleep(t_ns):
                return ENDED
            if recorded.at != at:  # while time passed another was taken
                return slow(t_ns, address, write, nread)
            taken[at] = 1
            recorded.at = at + 1
            keep(indices[at])
            lane.busy_ns = done_ns = done[at]
            if kernel.due_ns > done_ns < participant.end_ns:
                kernel.now_ns = done_ns
            elif not sleep(done_ns):
                return ENDED
            return 0, done_ns, octets[body + len(request) : ends[at]]

        return transfer


def _in_order(message: bytes) -> bytes:
    """Return records in the order of their global numbers."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(message):
        header = HEADER.unpack_from(message, at)
        end = at + HEADER_NBYTES + header[4]
        found.append((header[7], message[at:end]))
        at = end
    return b"".join(octets for _, octets in sorted(found, key=lambda one: one[0]))


class MockDirectFlight(DirectFlight):
    """The flight software in this loop; one that dies of itself is lost, as a process would be."""

    supervisor: Lives

    def __init__(self, lives: Lives, storage: Path, inputs: Inputs) -> None:
        super().__init__(lives, storage)
        self._inputs = inputs

    def step(self) -> bool:
        """Do the next thing; False: the run is over."""
        try:
            return super().step()
        except Exception as error:  # noqa: BLE001  # it is told with the verdict
            self.app = None
            exchange = self.supervisor.rig.exchange
            exchange.leave(self._joined, "crash")
            words = str(error).splitlines() or [""]
            self.supervisor.lost(f"{type(error).__name__}: {words[0]}", "crash")
            return True

    def close(self) -> None:
        """Count what came in behind the last look."""
        self._inputs.upto(self.supervisor.rig.kernel.now_ns)

    def _boot(self, port: DirectPort) -> None:
        super()._boot(MockPort(self.supervisor, self._inputs, port.participant))


class OwnFlight(ProcessFlight):
    """Flight software of somebody's own, in a process of its own over a channel.

    Where the words of its command have ``{endpoint}`` and ``{storage}``, they get them.
    """

    def __init__(
        self,
        lives: Lives,
        endpoint: str,
        storage: Path,
        wall_limit_s: float,
        command: Sequence[str],
    ) -> None:
        super().__init__(lives, endpoint, storage, wall_limit_s)
        self._command = command

    def command(self) -> list[str]:
        """Return the words that start it."""
        given = {"{endpoint}": self.listener.endpoint, "{storage}": str(self.storage)}
        words = list(self._command)
        for name, value in given.items():
            words = [word.replace(name, value) for word in words]
        return words
