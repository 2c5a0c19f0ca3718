"""What strangers do to a listening tcp socket of a bench, each as a function.

Each is given the place and the keys, does what it does until the bench has hung up on it, and
returns what the bench must have counted.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from hil.time.transports.keys import read_private

#: How long a stranger waits for a bench that does not hang up: a failure.
PATIENCE_S = 20.0
REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
)
#: A greeting of ZMTP 3.1 up to its mechanism, which is cut off.
HALF_A_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01CUR"

CURVE_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(52, b"\0")
#: Octets of a good handshake, there and back: greetings; HELLO and WELCOME (ZeroMQ RFC 26).
STEPS = ((64, 64), (202, 170))

Counted = dict[str, int]
Attack = Callable[[str, Path], Counted]


def place_of(endpoint: str) -> tuple[str, int]:
    """Return host and port."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def connected(endpoint: str) -> Iterator[socket.socket]:
    """Give a plain connection."""
    with socket.create_connection(place_of(endpoint), timeout=PATIENCE_S) as connection:
        yield connection


def hung_up(connection: socket.socket) -> None:
    """Read until the bench closes the connection; fails if it does not."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            continue


def scan(endpoint: str, keys: Path) -> Counted:
    """Connect and close, as a port scan."""
    for _ in range(20):
        with connected(endpoint) as connection:
            connection.shutdown(socket.SHUT_WR)
            hung_up(connection)
    return {"accepted": 20, "dropped": 20}


def half_open(endpoint: str, keys: Path) -> Counted:
    """Connect, and say nothing, or half of a greeting."""
    with connected(endpoint) as silent, connected(endpoint) as half:
        half.sendall(HALF_A_GREETING)
        hung_up(silent)
        hung_up(half)
    return {"accepted": 2, "timed_out": 2}


def slow(endpoint: str, keys: Path) -> Counted:
    """Send a greeting an octet at a time, and never come to its end."""
    with connected(endpoint) as connection, contextlib.suppress(ConnectionError):
        greeting = HALF_A_GREETING + bytes(40)
        for octet in greeting[:40]:
            connection.sendall(bytes((octet,)))
        hung_up(connection)
    return {"accepted": 1, "timed_out": 1}


def foreign_protocols(endpoint: str, keys: Path) -> Counted:
    """Speak HTTP, TLS, SSH, zeros."""
    first = (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        bytes(100),
    )
    for octets in first:
        with connected(endpoint) as connection:
            connection.sendall(octets)
            hung_up(connection)
    return {"accepted": len(first), "malformed": len(first)}


def random_messages(endpoint: str, keys: Path, count: int = 2000) -> Counted:
    """Send random messages, a hundred in one go, until the bench hangs up; and come again."""
    chance = random.Random(count)
    connections = -(-count // 100)
    for _ in range(connections):
        # Never the first octet of a ZMTP greeting: what follows is awaited then.
        first = bytes((chance.randrange(1, 255),)) + chance.randbytes(64)
        more = (chance.randbytes(chance.randrange(1, 200)) for _ in range(99))
        with connected(endpoint) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"".join((first, *more)))
            hung_up(connection)
    return {"accepted": connections, "malformed": connections}


def random_handshakes(endpoint: str, keys: Path, count: int = 20) -> Counted:
    """Greet as CURVE does, and send a HELLO of the right shape and random content."""
    chance = random.Random(count)
    for _ in range(count):
        with connected(endpoint) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(CURVE_GREETING)
            hello = b"\x05HELLO\x01\x00" + bytes(72) + chance.randbytes(120)
            connection.sendall(bytes((4, len(hello))) + hello)
            hung_up(connection)
    return {"accepted": count, "refused_wrong_key": count}


@contextlib.contextmanager
def peer(endpoint: str, server: str = "", public: str = "", secret: str = "") -> Iterator[None]:
    """Connect with ZeroMQ, and wait until that has come to nothing."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as one:
        one.linger = 0
        one.reconnect_ivl = -1
        if server:
            one.curve_serverkey = server.encode()
            one.curve_publickey = public.encode()
            one.curve_secretkey = secret.encode()
        monitor = one.get_monitor_socket(REFUSED)
        one.connect(endpoint)
        one.send(b"let me in", zmq.NOBLOCK)
        while monitor.poll(int(PATIENCE_S * 1000)):
            if recv_monitor_message(monitor)["event"] == zmq.EVENT_DISCONNECTED:
                break
        else:
            raise AssertionError("the bench has not hung up")
        yield
        one.disable_monitor()
        monitor.close()


def without_keys(endpoint: str, keys: Path) -> Counted:
    """Speak ZMTP without security: a whole greeting with the mechanism NULL."""
    with connected(endpoint) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(52, b"\0"))
        hung_up(connection)
    return {"accepted": 1, "refused_no_key": 1}


def wrong_keys(endpoint: str, keys: Path) -> Counted:
    """Have a client's keys, and take another bench's key for this one's."""
    known = read_private(keys / "client.key")
    other = zmq.curve_keypair()[0].decode()
    with peer(endpoint, other, known["public"], known["secret"]):
        return {"accepted": 1, "refused_wrong_key": 1}


def unknown_client(endpoint: str, keys: Path) -> Counted:
    """Know the key of the bench, and be on nobody's list."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    with peer(endpoint, read_private(keys / "client.key")["server"], public, secret):
        return {"accepted": 1, "refused_client": 1}


def stolen_public_key(endpoint: str, keys: Path) -> Counted:
    """Give a client's public key for one's own."""
    known = read_private(keys / "client.key")
    secret = zmq.curve_keypair()[1].decode()
    with peer(endpoint, known["server"], known["public"], secret):
        return {"accepted": 1, "refused_wrong_key": 1}


def second_client(endpoint: str, keys: Path) -> Counted:
    """Have every key, and come second."""
    known = read_private(keys / "client.key")
    with peer(endpoint, known["server"], known["public"], known["secret"]):
        return {"accepted": 1, "refused_busy": 1}


class Recorder:
    """A proxy in front of a bench that keeps what one client sends, and can send it again."""

    def __init__(self, endpoint: str) -> None:
        self.bench = endpoint
        self.octets = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._pass_on)
        self._thread.start()

    def _pass_on(self) -> None:
        client, _ = self._listener.accept()
        with client, connected(self.bench) as bench:
            back = threading.Thread(target=self._copy, args=(bench, client))
            back.start()
            while octets := client.recv(1 << 16):
                self.octets += octets
                bench.sendall(octets)
            bench.shutdown(socket.SHUT_WR)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while octets := source.recv(1 << 16):
                target.sendall(octets)
            target.shutdown(socket.SHUT_WR)

    def replay(self, endpoint: str, keys: Path) -> Counted:
        """Send what a client has sent when it came in, once more and all at once."""
        with connected(endpoint) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(self.octets)
            hung_up(connection)
        return {"accepted": 1, "malformed": 1}

    def replay_in_step(self, endpoint: str, keys: Path) -> Counted:
        """Send it step by step, each when the bench has answered the one before."""
        with connected(endpoint) as connection, contextlib.suppress(ConnectionError):
            at = 0
            for sent, answered in STEPS:
                connection.sendall(self.octets[at : at + sent])
                at += sent
                received = b""
                while len(received) < answered:
                    received += (octets := connection.recv(answered - len(received)))
                    assert octets, "the bench hung up before the INITIATE"
            connection.sendall(self.octets[at:])
            hung_up(connection)
        return {"accepted": 1, "refused_wrong_key": 1}

    def close(self) -> None:
        """Wait for the client to leave."""
        self._thread.join()
        self._listener.close()
