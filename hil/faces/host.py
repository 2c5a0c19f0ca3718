"""The bench's socket: programs that are no participants use the buses of a rig.

Such a program keeps its own time. What it asks for is stamped when it arrives, the clock is brought
to then, the transaction runs on the bus as any other and is recorded, and the reply goes out when
its bus time is over. Each connection is one handle, as an open device file is; one that closes
loses what it still waited for and releases what it held. ``docs/bench-socket.md`` has the messages.

The clock is behind :class:`hil.time.present.Present`. Programs whose own clock is virtual have
:class:`hil.faces.virtual_clock.VirtualHost`: they say what they wait for, and the loop advances the
kernel to there instead of sleeping.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import select
import socket
import termios
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flightsw.codec.errors import CodecError
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Status, pack
from hil.docket import Docket
from hil.exchange import Exchange
from hil.faces.attributes import Attributes, Tree
from hil.faces.can_desk import CanHandles
from hil.faces.gpio_handles import GpioHandles
from hil.faces.handles import Client, Desk
from hil.faces.leaving import let_leave
from hil.faces.nodes import Node, nodes_of
from hil.faces.ptyline import PtyLine
from hil.faces.reception import Reception, RefusedError
from hil.faces.slcan_line import SlcanLine
from hil.faces.uart_desk import UartDesk
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.time.present import Present
from hil.transactions import Lane

_CHECK = int(Phase.CHECK)
_I2C, _SPI, _OPEN = int(Kind.I2C), int(Kind.SPI), int(Kind.OPEN)
_REPLY = int(Flag.REPLY)
#: Octets of one message: 42 I2C messages of 8192 octets with their heads.
MESSAGE_LIMIT_NBYTES = 360 * 1024
#: The host of a socket sleeps in whole milliseconds; shorter waits end in looking again and again.
_SPIN_S = 60e-6
_COUNTERS = (
    "clients",
    "clients_most",
    "turned_away",
    "requests",
    "refused",
    "unheard",
    "left_waiting",
    "unread",
    "unsent",
)
#: Messages of each client that may lie there when its program has ended.
_LAST_MESSAGES = 16


def _unread(connection: socket.socket) -> int:
    """Return how many octets that were sent lie unread at the other end, with their overhead."""
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), "little")


class Host:
    """The loop of a bench that foreign programs use. Close it when they are done."""

    #: told of the channel on which a program begins to hear what comes in
    begins: Callable[[Lane], None] = staticmethod(lambda lane: None)
    #: told when the program has ended, before what it has written last leaves
    ended: Callable[[], None] = staticmethod(lambda: None)
    #: of a wait, what is spent looking again and again instead of asleep, seconds
    spin_s = _SPIN_S
    #: called before each look at what is due, and how long to wait for it at most, seconds
    look_after: Callable[[], None] = staticmethod(lambda: None)
    idle_s: Callable[[], float] = staticmethod(lambda: 3600.0)

    def __init__(
        self,
        exchange: Exchange,
        path: Path,
        pace: str = "real",
        tree: Tree | None = None,
        present: Present | None = None,
    ) -> None:
        """Listen at ``path``; ``tree`` is what the computer shows of itself and of its sensors.

        ``present`` says which time it is, instead of one at this ``pace``.
        """
        self.exchange = exchange
        self.kernel = exchange.kernel
        self.present = present or self._make_present(path, pace)
        self.nodes = nodes_of(exchange.lanes.values())
        self.counters = dict.fromkeys(_COUNTERS, 0)
        exchange.counted["host"] = self.counters
        self.stopped = False
        self._docket = Docket(
            self.kernel, exchange.lanes, exchange.transactor, exchange.counters, self._answer
        )
        #: the tty of each UART and CAN bus, by its device path
        self.lines: dict[str, PtyLine | SlcanLine] = {}
        #: who serves the handles that are more than transactions, by the kind of their bus
        self.desks: dict[str, Desk] = {
            "gpio": GpioHandles(self.present.wall_ns, self.push),
            "uart": UartDesk(self),
            "can": CanHandles(exchange, self.present, self.push),
        }
        for kind, desk in self.desks.items():
            exchange.counted[f"host.{kind}"] = desk.counters
        self._clients: dict[int, Client] = {}
        # (when, order, participant, record): what goes out when its bus time is over
        self._replies: list[tuple[int, int, Client, bytes]] = []
        self._order = 0
        self._ident = 0
        self._by_participant: dict[int, Client] = {}
        self._epoll = select.epoll()
        # Given up to hang up on who comes when there are no more descriptors.
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._watched: dict[int, Callable[[], None]] = {}
        self._hearers: dict[int, PtyLine] = {}
        for node in self.nodes.values():
            if node.lane.kind in ("uart", "can"):
                self._add_line(node)
        exchange.hearers.append(self._hear)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.watch(self._listener.fileno(), self._accept)
        self.tree = tree or Tree()
        self.attributes = Attributes(self.tree, exchange.lanes.values(), self._ask)
        self._reception = Reception(exchange, self.nodes, self.lines, self.desks, self.tree)
        exchange.counted["host.attributes"] = self.attributes.counters
        self.attributes.probe(self._insiders(), self.kernel.now_ns)

    def _insiders(self) -> Iterator[Client]:
        """Make clients within the bench: drivers of the kernel, which use buses as programs do."""
        while True:
            self._ident += 1
            client = Client(None, Participant(self._ident, f"driver {self._ident}"))
            self._by_participant[self._ident] = client
            yield client

    def _ask(self, participant: Participant, header: tuple[int, ...], payload: bytes) -> None:
        self._docket.request(participant, header, payload, True)

    def settle(self, t_ns: int) -> None:
        """Let virtual time pass until ``t_ns`` before anybody asks: the computer is long up."""
        self.present.jump(t_ns)
        self._advance()

    def _make_present(self, path: Path, pace: str) -> Present:
        """Return what says which time it is."""
        return Present(self.kernel, pace)

    def _add_line(self, node: Node) -> None:
        bus = node.lane.bus
        line: PtyLine | SlcanLine
        if node.lane.kind == "can":
            line = SlcanLine(self.kernel, bus, self.present.now_ns)
            self.watch(line.room, line.flush, select.EPOLLOUT | select.EPOLLET)
        else:
            line = PtyLine(bus, self.present.now_ns)
            line.begins = lambda: self.begins(node.lane)
            self._hearers[node.lane.index] = line
        self.lines[node.path] = line
        self.exchange.counted[f"host.{bus.name}"] = line.counters
        # Edges only: a tty that nobody has open would be ready all the time.
        self.watch(line.master, line.pump, select.EPOLLIN | select.EPOLLET)

    def _hear(self, index: int, octets: bytes) -> None:
        lane = self.exchange.lanes[index]
        desk = self.desks.get(lane.kind)
        if desk is not None:
            desk.hear(lane, octets)
        line = self._hearers.get(index)
        if line is not None and octets[3] != Status.OVERRUN:
            line.receive(octets[HEADER_NBYTES:])

    def watch(self, fd: int, ready: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Call ``ready()`` whenever ``fd`` can be read; until :meth:`unwatch`."""
        self._watched[fd] = ready
        self._epoll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Look at ``fd`` no more."""
        del self._watched[fd]
        self._epoll.unregister(fd)

    def close(self) -> None:
        """Drop every client and close the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self.exchange.hearers.remove(self._hear)
        for line in self.lines.values():
            self.unwatch(line.master)
            if isinstance(line, SlcanLine):
                self.unwatch(line.room)
            line.close()
        self.unwatch(self._listener.fileno())
        self._listener.close()
        self._epoll.close()
        os.close(self._spare)

    # --- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until :attr:`stopped` is set or the end of the run is reached."""
        while not self.stopped and not self.exchange.over:
            self.step()

    def serve_until_exit(self, pid: int) -> None:
        """Serve until a child process has ended, or the run."""
        ended = os.pidfd_open(pid)
        self.watch(ended, self.stop)
        try:
            self.run()
        finally:
            self.unwatch(ended)
            os.close(ended)

    def stop(self) -> None:
        """End :meth:`run` after what it is doing."""
        self.stopped = True

    def drain(self) -> None:
        """Let what programs have written get out, now that they are gone: a computer does not
        forget it. Octets and frames that something holds back are counted as ``unsent``."""
        self.ended()
        for _ in range(_LAST_MESSAGES):
            if not self._serve_last():
                break
        for line in self.lines.values():
            line.pump()
        self.counters["unsent"] += let_leave(self.exchange)

    def _serve_last(self) -> bool:
        """Take what ended programs have left to be read; tell whether there was anything."""
        before = self.counters["requests"], len(self._clients)
        for fd, _ in self._epoll.poll(0):
            ready = self._watched.get(fd)
            if ready is not None:
                ready()
        return before != (self.counters["requests"], len(self._clients))

    def step(self, most_s: float = 3600.0) -> None:
        """Bring the clock to the present, send what is due, then serve whoever asks.

        Waits for that ``most_s`` seconds of the wall at most.
        """
        self.look_after()
        self._advance()
        due_ns = self.kernel.next_key()[0]
        if self._replies and self._replies[0][0] < due_ns:
            due_ns = self._replies[0][0]
        due_ns = min(due_ns, self.exchange.end_ns)
        for fd, _ in self._ready(min(self.present.wait_s(due_ns), most_s, self.idle_s())):
            ready = self._watched.get(fd)
            if ready is not None:  # None: what was served before it has closed it
                ready()

    def _ready(self, wait_s: float) -> list[tuple[int, int]]:
        """Return who can be read within ``wait_s``; a wait ends on time, to a few microseconds."""
        if wait_s > self.spin_s:
            select.select([self._epoll], [], [], wait_s - self.spin_s)
        return self._epoll.poll(0)

    def _advance(self) -> int:
        """Run everything up to the present, send the replies due; return the present."""
        kernel, replies = self.kernel, self._replies
        now_ns = self.present.now_ns()
        while True:
            due_ns = kernel.next_key()[0]
            at_ns = min(due_ns, replies[0][0]) if replies else due_ns
            if at_ns > now_ns or at_ns >= self.exchange.end_ns:
                break
            self.present.late(now_ns - at_ns)
            kernel.run_before(at_ns, _CHECK)
            while replies and replies[0][0] <= at_ns:
                _, _, client, octets = heapq.heappop(replies)
                self._send(client, octets)
            kernel.run_until(at_ns)
        if now_ns >= self.exchange.end_ns:
            self.exchange.finish()
            return self.exchange.end_ns
        kernel.run_before(now_ns, _CHECK)
        return now_ns

    def backlog_nbytes(self) -> int:
        """Return how much the program that is most behind has not read yet."""
        unread = [_unread(client.socket) for client in self._clients.values()]
        unread += [line.terminal.unread() for line in self.lines.values() if line.terminal.in_use]
        uarts = self.desks["uart"]
        assert isinstance(uarts, UartDesk)
        return max([*unread, uarts.backlog_nbytes()])

    # --- clients -------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._turn_away()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_LIMIT_NBYTES)
        self._ident += 1
        client = Client(connection, Participant(self._ident, f"client {self._ident}"))
        self._clients[connection.fileno()] = client
        self._by_participant[self._ident] = client
        self.counters["clients"] += 1
        self.counters["clients_most"] = max(self.counters["clients_most"], len(self._clients))
        self.watch(connection.fileno(), lambda: self._serve(client))

    def _turn_away(self) -> None:
        """Hang up on a program for which there is no descriptor left: the loop would turn on it."""
        self.counters["turned_away"] += 1
        os.close(self._spare)
        with contextlib.suppress(OSError):
            self._listener.accept()[0].close()
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _drop(self, client: Client) -> None:
        """Let go of a client: it will hear nothing more, and what it waits for is abandoned."""
        client.participant.gone = "disconnected"
        before = len(self._replies)
        # In place: whoever sends replies just now goes on with the same list.
        self._replies[:] = [reply for reply in self._replies if reply[2] is not client]
        heapq.heapify(self._replies)
        self.counters["left_waiting"] += before - len(self._replies)
        if client.desk is not None:
            client.desk.release(client, self.kernel.now_ns)
        fd = client.socket.fileno()
        self.unwatch(fd)
        del self._clients[fd], self._by_participant[client.participant.id]
        client.socket.close()

    def _send(self, client: Client, octets: bytes) -> None:
        client.asks = False
        if client.take is not None:
            client.take(octets)
            return
        try:
            client.socket.send(octets)
        except OSError:
            self.counters["unheard"] += 1
            self._drop(client)

    def _serve(self, client: Client) -> None:
        """Take one message of a client."""
        try:
            message = client.socket.recv(MESSAGE_LIMIT_NBYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._drop(client)
            return
        if client.attribute is not None:
            self.attributes.serve(client, message, self._send, self._advance())
            return
        if len(message) < HEADER_NBYTES:
            self._refuse(client, f"a message of {len(message)} octets is no wire record")
            return
        header = HEADER.unpack_from(message)
        if header[4] != len(message) - HEADER_NBYTES:
            self._refuse(client, f"a record of {header[4]} octets in {len(message)} octets")
        elif client.node is None or client.lane is None:
            self._open(client, header, message[HEADER_NBYTES:])
        elif header[0] == _OPEN:
            self._send(client, self._reception.settle(client.node, message[HEADER_NBYTES:]))
        elif header[0] != client.kind or header[1] != client.lane.index or header[2]:
            self._refuse(client, f"no request of {client.lane.kind} {client.lane.bus.name!r}")
        elif client.asks:
            self._refuse(client, "a request of this handle is under way: wait for its reply")
        else:
            client.asks = client.desk is None
            self._request(client, client.lane, header, message[HEADER_NBYTES:])

    def _refuse(self, client: Client, why: str) -> None:
        """Tell a client what is wrong and let go of it."""
        self.counters["refused"] += 1
        self._send(client, pack(Kind.REFUSE, payload=why.encode()))
        if client.socket.fileno() >= 0:
            self._drop(client)

    def _open(self, client: Client, header: tuple[int, ...], payload: bytes) -> None:
        """Give a client the device that it names; without a name, tell it the channels."""
        try:
            answer = self._reception.open(client, header, payload)
        except RefusedError as why:
            self._refuse(client, str(why))
        else:
            self._advance()
            self._look_who_hears(client)
            self._send(client, answer)

    def look_who_has_opened(self) -> None:
        """See whether programs have opened or closed ttys since something crossed them."""
        for line in self._hearers.values():
            line.look()

    def _look_who_hears(self, client: Client) -> None:
        """Say so when a client begins to hear its channel."""
        if not client.hears and client.desk is not None and client.desk.hears(client):
            client.hears = True
            assert client.lane is not None, "a client at a desk has opened a device"
            self.begins(client.lane)

    # --- requests ------------------------------------------------------------------------------

    def _request(self, client: Client, lane: Lane, header: tuple[int, ...], payload: bytes) -> None:
        """Run a request at the present, or queue it behind what its bus is busy with."""
        self.counters["requests"] += 1
        now_ns = self._advance()
        if not self.present.wait and lane.busy_ns > now_ns:
            self.present.jump(lane.busy_ns)
            now_ns = self._advance()
        self._perform(client, lane, header, payload, now_ns)

    def _perform(
        self, client: Client, lane: Lane, header: tuple[int, ...], payload: bytes, now_ns: int
    ) -> None:
        """Begin a request now, or behind those that its bus has to do first."""
        try:
            if client.desk is not None:
                client.desk.request(client, header[8], payload, now_ns)
                self._look_who_hears(client)
                return
            if lane.is_free(now_ns):
                transactor = self.exchange.transactor
                if client.kind == _I2C:
                    duration_ns, octets = transactor.i2c(lane, payload, now_ns)
                else:
                    call = transactor.call(client.kind, lane, header[8], payload, "")
                    duration_ns, octets = call(now_ns)
                lane.busy_ns = now_ns + duration_ns
                self._answer(client.participant, lane.busy_ns, octets)
                return
            call = self.exchange.transactor.call(client.kind, lane, header[8], payload, "")
            self._docket.put(lane, (client.participant, True, call), now_ns)
        except CodecError as error:
            self._invalid(client, header, error)

    def push(self, client: Client, octets: bytes, fds: Sequence[int] = ()) -> bool:
        """Send what a desk has to say; a program that reads none loses the newest, counted."""
        try:
            if fds:
                socket.send_fds(client.socket, [octets], fds)
            else:
                client.socket.send(octets)
        except BlockingIOError:
            self.counters["unread"] += 1
        except OSError:
            self.counters["unheard"] += 1
        else:
            return True
        return False

    def _invalid(self, client: Client, header: tuple[int, ...], error: CodecError) -> None:
        """Answer a request that cannot be read as the driver of the bus would: EINVAL."""
        self.counters["refused"] += 1
        octets = pack(
            client.kind,
            header[1],
            _REPLY,
            int(Status.INVALID),
            address=header[8],
            payload=str(error).encode(),
        )
        self._send(client, octets)

    def _answer(self, participant: Participant, done_ns: int, octets: bytes) -> None:
        """Send a reply when its bus time is over."""
        client = self._by_participant.get(participant.id)
        if client is None:
            self.counters["unheard"] += 1
        elif self.present.wait:
            self._order += 1
            heapq.heappush(self._replies, (done_ns, self._order, client, octets))
        else:
            self.present.jump(done_ns)
            self._send(client, octets)
