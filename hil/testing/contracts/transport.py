"""The contract suite of participant channels: every transport must pass it.

Public on purpose: whoever writes another transport runs the same checks on it. The bench's end is a
:class:`hil.time.transports.Listener`; the participant's end is given as a callable that opens it
and runs in a thread of its own. A check raises AssertionError with what was promised and what came.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from hil.time.transports import Channel, ChannelLost, Listener

#: Lengths around every limit: the least record, one packet, its multiples, a camera frame, 5 MB.
LENGTHS = (32, 33, 4095, 4096, 4097, 8192, 65536, 65537, 800_032, 5_000_000)
#: How many slices a check waits for something that must come.
_PATIENCE = 300


class Peer(Protocol):
    """The participant's end."""

    def exchange(self, message: bytes) -> bytes:
        """Send a message and return the reply."""

    def close(self) -> None:
        """Drop the connection."""


OpenPeer = Callable[[str], Peer]


def check_transport(
    make: Callable[[], Listener], open_peer: OpenPeer, lost: type[BaseException]
) -> None:
    """Run the suite: ``make()`` binds a fresh endpoint, ``open_peer(endpoint)`` connects to it.

    ``lost`` is what the participant's end raises when the bench goes away. Raises AssertionError
    with what was promised and what came.
    """
    with make() as listener:
        check_messages(listener, open_peer)
    with make() as listener:
        check_silence(listener)
    with make() as listener:
        check_lost_participant(listener, open_peer)
    with make() as listener:
        check_lost_bench(listener, open_peer, lost)


@contextmanager
def running(act: Callable[[], None]) -> Iterator[list[BaseException]]:
    """Run the participant's end in a thread; what it raised stands in the list afterwards."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who judges
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield failures
    finally:
        thread.join()


def receive(channel: Channel) -> bytes:
    """Return the next message; fails when none comes."""
    for _ in range(_PATIENCE):
        message = channel.recv()
        if message is not None:
            return message
    raise AssertionError("a message that was sent did not arrive")


def check_messages(listener: Listener, open_peer: OpenPeer) -> None:
    """Messages of every length arrive whole, unchanged and in order, in both directions."""
    messages = [bytes((n + i) & 0xFF for i in range(251)) * (n // 251 + 1) for n in LENGTHS]
    messages = [message[:n] for message, n in zip(messages, LENGTHS, strict=True)]
    replies: list[bytes] = []

    def act() -> None:
        peer = open_peer(listener.endpoint)
        replies.extend(peer.exchange(message) for message in messages)
        peer.close()

    channel = listener.channel()
    with running(act) as failures:
        for message in messages:
            got = receive(channel)
            assert got == message, f"{len(message)} octets were sent, other {len(got)} arrived"
            channel.send(message[::-1])
    assert not failures, f"the participant's end failed: {failures[0]!r}"
    assert [len(reply) for reply in replies] == [len(message) for message in messages]
    assert replies == [message[::-1] for message in messages], "a reply arrived changed"


def check_silence(listener: Listener) -> None:
    """A wait for a message that does not come returns None instead of blocking for ever."""
    assert listener.channel().recv() is None, "nobody is there, and yet something was received"


def check_lost_participant(listener: Listener, open_peer: OpenPeer) -> None:
    """A participant that leaves without a word is noticed, and the next one can connect."""
    for incarnation in (b"first".ljust(32), b"second".ljust(32)):
        channel = listener.channel()

        def act(word: bytes = incarnation) -> None:
            peer = open_peer(listener.endpoint)
            peer.exchange(word)
            peer.close()

        with running(act) as failures:
            assert receive(channel) == incarnation, "another incarnation than the present spoke"
            channel.send(incarnation)
            try:
                for _ in range(_PATIENCE):
                    assert channel.recv() is None, "a message came that nobody sent"
            except ChannelLost:
                pass
            else:
                raise AssertionError("the participant left and the channel did not notice")
        assert not failures, f"the participant's end failed: {failures[0]!r}"


def check_lost_bench(listener: Listener, open_peer: OpenPeer, lost: type[BaseException]) -> None:
    """A bench that goes away in the middle of an exchange is noticed by the participant."""
    channel = listener.channel()

    def act() -> None:
        peer = open_peer(listener.endpoint)
        try:
            peer.exchange(b"anybody there?".ljust(32))
        finally:
            peer.close()

    with running(act) as failures:
        receive(channel)
        listener.close()
    assert failures, "the bench closed and the participant's exchange returned as if it had not"
    assert isinstance(failures[0], lost), f"the participant saw {failures[0]!r} instead of {lost}"
