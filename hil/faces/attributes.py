"""Live attributes: files of sysfs whose text is made when a program reads them.

What a driver of the kernel shows comes over the bus: each read is a transaction that takes its time
and is recorded, as if the driver had made it. What the computer itself shows comes from the world.

An attribute is two generators, ``show`` and ``store``. Each yields the transactions that it needs,
``(octets to write, number to read)``, is sent the octets read, and returns the text (of ``store``
nothing is shown). A failure is an ``OSError`` with the errno that the program gets. A device does
one access at a time, in the order in which they came, as a driver with a lock does.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flightsw.codec.bus_payload import pack_i2c
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, pack
from hil.faces.handles import Client
from hil.time.participant import Participant
from hil.transactions import Lane

#: What an access does on its bus, and its text.
Steps = Generator[tuple[bytes, int], bytes, str]
#: (participant, header, payload): asks for a transaction; see :meth:`hil.docket.Docket.request`
Ask = Callable[[Participant, tuple[int, ...], bytes], None]

_I2C, _ATTRIBUTE, _REPLY = int(Kind.I2C), int(Kind.ATTRIBUTE), int(Flag.REPLY)
#: sysfs gives a text one page.
PAGE_NBYTES = 4096
#: Accesses that may wait for one device; a program that sends on without reading fills no memory.
WAITING_LIMIT = 256
#: Names in a path, those of links included; more is a ring.
_STEPS_LIMIT = 400


class Attribute(NamedTuple):
    """One live file. ``device`` is None where no bus is needed."""

    show: Callable[[], Steps] | None
    store: Callable[[str], Steps] | None = None
    device: Device | None = None

    @property
    def mode(self) -> int:
        """The permissions of the file."""
        return (0o444 if self.show else 0) | (0o200 if self.store else 0)


#: (path, whether it was written, errno, text read or written, when it began, when it was over)
Told = Callable[[str, bool, int, str, int, int], None]


class _Access(NamedTuple):
    steps: Steps
    done: Callable[[int, str, int], None]  #: (errno, text, when)


class Device:
    """A part on an I2C bus that a driver of the kernel holds."""

    def __init__(self, name: str, bus: str, address: int, probe: Callable[[], Steps]) -> None:
        """``probe`` is what the driver does when it finds the part."""
        self.name = name
        self.bus = bus
        self.address = address
        self.probe = probe
        self.lane: Lane | None = None
        self.client: Client | None = None
        self.waiting: deque[_Access] = deque()


class Tree:
    """What the payload computer shows below ``/sys``, ``/proc`` and ``/etc``, by absolute path."""

    def __init__(self) -> None:
        #: files whose text never changes
        self.files: dict[str, bytes] = {}
        #: symbolic links, relative as in sysfs
        self.links: dict[str, str] = {}
        self.live: dict[str, Attribute] = {}
        #: folders that hide those of the host
        self.whole: set[str] = set()
        self.devices: list[Device] = []

    def text(self, path: str, text: str) -> None:
        """Add a file of one line."""
        self.files[path] = f"{text}\n".encode()

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link to an absolute path; it is made relative."""
        here, there = path.split("/")[1:-1], target.split("/")[1:]
        same = 0
        while same < min(len(here), len(there)) and here[same] == there[same]:
            same += 1
        self.links[path] = "/".join([*[".."] * (len(here) - same), *there[same:]])

    def find(self, path: str) -> Attribute | None:
        """Return the live attribute that a path leads to, by way of any links."""
        way: list[str] = []
        left = path.split("/")[::-1]
        for _ in range(_STEPS_LIMIT):
            if not left:
                return self.live.get("/" + "/".join(way))
            part = left.pop()
            if part == "..":
                del way[-1:]
            elif part not in ("", "."):
                way.append(part)
                target = self.links.get("/" + "/".join(way))
                if target is not None:
                    way.pop()
                    left += target.split("/")[::-1]
        return None

    def held(self, bus: str) -> list[int]:
        """Return the addresses on a bus that drivers hold."""
        return sorted(device.address for device in self.devices if device.bus == bus)

    def write(self, root: Path) -> None:
        """Put all of it below ``root``. A sticky bit marks live files and whole folders."""
        for path in sorted(self.whole):
            (root / path[1:]).mkdir(parents=True, exist_ok=True)
        for path, octets in self.files.items():
            file = _made(root, path)
            file.write_bytes(octets)
            file.chmod(0o444)
        for path, target in self.links.items():
            _made(root, path).symlink_to(target)
        for path, attribute in self.live.items():
            file = _made(root, path)
            file.touch()
            with file.open("r+b") as opened:
                opened.truncate(PAGE_NBYTES)
            file.chmod(0o1000 | attribute.mode)
        for path in self.whole:
            (root / path[1:]).chmod(0o1755)


def _made(root: Path, path: str) -> Path:
    file = root / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def constant(text: Callable[[], str]) -> Callable[[], Steps]:
    """Return the ``show`` of an attribute that needs no bus."""

    def show() -> Steps:
        return text()
        yield b"", 0  # makes it a generator

    return show


class Attributes:
    """Serves the handles on live attributes; a part of the host's loop."""

    def __init__(self, tree: Tree, lanes: Iterable[Lane], ask: Ask) -> None:
        self.tree = tree
        self.counters = {"reads": 0, "writes": 0, "failed": 0, "transactions": 0, "unanswered": 0}
        #: told of each access that is over
        self.told: Told | None = None
        #: returns errno and text of a read of what no bus is asked for, where they are known before
        self.known: Callable[[str], tuple[int, str] | None] = lambda path: None
        self._ask = ask
        by_name = {lane.bus.name: lane for lane in lanes}
        for device in tree.devices:
            device.lane = by_name[device.bus]

    def probe(self, clients: Iterator[Client], t_ns: int) -> None:
        """Let each driver find its part; ``clients`` gives every driver its place on the bus."""
        for device, client in zip(self.tree.devices, clients, strict=False):
            device.client = client
            client.take = lambda octets, device=device: self._take(device, octets)
            self._begin(Attribute(None, device=device), device.probe(), _nobody, t_ns)

    def serve(self, client: Client, message: bytes, send: Any, t_ns: int) -> None:
        """Read or write the attribute that a client has open.

        Plain octets, from a program that has inherited the descriptor, are written and not
        answered.
        """
        attribute = client.attribute
        assert attribute is not None, "served by whoever has one open"
        header = HEADER.unpack_from(message) if len(message) >= HEADER_NBYTES else (0,) * 9
        framed = header[0] == _ATTRIBUTE and header[4] == len(message) - HEADER_NBYTES
        written = (message[HEADER_NBYTES:] if framed else message).decode(errors="replace")
        reads = framed and not header[8]

        def done(code: int, text: str, when_ns: int) -> None:
            self.counters["failed"] += code != 0
            if self.told is not None:
                text_of = text if reads else written
                self.told(client.path, not reads, code, text_of, t_ns, when_ns)
            if not framed or client.participant.gone:
                self.counters["unanswered"] += 1
                return
            octets = code.to_bytes(4, "little") + text.encode()[:PAGE_NBYTES]
            send(client, pack(_ATTRIBUTE, 0, _REPLY, t_ns=when_ns, payload=octets))

        known = self.known(client.path) if reads and attribute.device is None else None
        if known is not None:
            self.counters["reads"] += 1
            done(*known, t_ns)
            return
        if reads:
            self.counters["reads"] += 1
            steps = attribute.show and attribute.show()
        else:
            self.counters["writes"] += 1
            steps = attribute.store and attribute.store(written)
        if steps is None:
            done(errno.EIO, "", t_ns)  # as sysfs answers where a driver has no such call
        elif attribute.device is not None and len(attribute.device.waiting) >= WAITING_LIMIT:
            done(errno.EBUSY, "", t_ns)
        else:
            self._begin(attribute, steps, done, t_ns)

    def _begin(
        self,
        attribute: Attribute,
        steps: Steps,
        done: Callable[[int, str, int], None],
        t_ns: int,
    ) -> None:
        access = _Access(steps, done)
        device = attribute.device
        if device is None:
            code, text, step = _advance(access, None)
            assert step is None, "an attribute without a device needs no bus"
            done(code, text, t_ns)
            return
        device.waiting.append(access)
        if len(device.waiting) == 1:
            self._go_on(device, None, t_ns)

    def _take(self, device: Device, octets: bytes) -> None:
        """Go on with what the bus has answered."""
        header = HEADER.unpack_from(octets)
        assert device.lane is not None, "it has asked there"
        result: bytes | OSError = octets[HEADER_NBYTES:]
        if header[3]:
            code = device.lane.errno.get(header[3], errno.EIO)
            result = OSError(code, f"status {header[3]}")
        self._go_on(device, result, header[5] + header[6])

    def _go_on(self, device: Device, result: bytes | OSError | None, t_ns: int) -> None:
        while device.waiting:
            access = device.waiting[0]
            code, text, step = _advance(access, result)
            if step is not None:
                self._transact(device, step, t_ns)
                return
            device.waiting.popleft()
            access.done(code, text, t_ns)
            result = None

    def _transact(self, device: Device, step: tuple[bytes, int], t_ns: int) -> None:
        assert device.client is not None, "the driver has probed"
        assert device.lane is not None, "it sits on a bus of the board"
        self.counters["transactions"] += 1
        address = device.address
        header = (_I2C, device.lane.index, 0, 0, 0, t_ns, 0, 0, address)
        self._ask(device.client.participant, header, pack_i2c(address, *step))


def _advance(
    access: _Access, result: bytes | OSError | None
) -> tuple[int, str, tuple[bytes, int] | None]:
    """Return (errno, text, None) of an access that is over, else the transaction that it needs."""
    try:
        if isinstance(result, OSError):
            return 0, "", access.steps.throw(result)
        if result is None:
            return 0, "", next(access.steps)
        return 0, "", access.steps.send(result)
    except StopIteration as end:
        return 0, str(end.value), None
    except OSError as error:
        return error.errno or errno.EIO, "", None


def _nobody(code: int, text: str, when_ns: int) -> None:
    """Take the end of a probe; a driver that fails there fails again at each read."""


def whole_number(text: str) -> int:
    """Return the number that was written to an attribute; raises ``OSError`` with EINVAL."""
    try:
        return int(text.strip().rstrip("\0"), 0)
    except ValueError:
        raise OSError(errno.EINVAL, f"{text[:32]!r} is no number") from None


def steps_of(tree: Mapping[str, Attribute], path: str) -> Steps:
    """Return the steps of a read of an attribute, for tests that play the bus."""
    show = tree[path].show
    assert show is not None, f"{path} cannot be read"
    return show()
