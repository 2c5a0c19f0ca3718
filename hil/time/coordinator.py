"""The coordinator: keeps participants and the kernel in step, over channels.

Time moves only when every participant has said what it waits for. All answers of one instant are
sent first, then every participant's next message is awaited; the messages are taken in order of
(time, participant), whatever order they came in. One participant alone goes the short way through
:meth:`hil.exchange.Exchange.handle`, with the same records.

A participant whose process died or whose channel broke is taken out at once and reported to
``on_gone``; the rig may model that as a reset and :meth:`Coordinator.add` a new incarnation, now or
from an event. One that lives but does not answer within its wall limit ends the run by name.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from operator import itemgetter

from flightsw.codec.wire import HEADER, Kind, pack
from hil.docket import too_short
from hil.errors import ParticipantError, StalledError
from hil.exchange import Exchange
from hil.greeting import answer_hello, check_end_ack
from hil.time.participant import Participant
from hil.time.transports import Channel, ChannelAway, ChannelLost

_NEXT = int(Kind.NEXT)
_order = itemgetter(0, 1)

#: What is said of participants that leave: (participant, how).
GoneHandler = Callable[[Participant, str], None]


class Coordinator:
    """Runs an exchange with participants on channels."""

    def __init__(self, exchange: Exchange, on_gone: GoneHandler | None = None) -> None:
        self.exchange = exchange
        #: called when a participant is lost; None: that ends the run with ParticipantError
        self.on_gone = on_gone
        counters = {"messages": 0, "instants": 0, "lost": 0}
        self.counters = exchange.counted.setdefault("coordinator", counters)
        self._new: list[Participant] = []
        self._running: list[Participant] = []

    def add(
        self,
        channel: Channel,
        name: str,
        died: Callable[[], str | None] | None = None,
        wall_limit_s: float = 60.0,
        channels: frozenset[int] | None = None,
    ) -> Participant:
        """Add a participant that is about to say HELLO; time stands until it has.

        ``died`` tells how its process ended, None while it lives. May be called before the run and
        by events during it; the participant then starts at that virtual time.
        """
        participant = self.exchange.join(name, channel, died, wall_limit_s, channels)
        self._new.append(participant)
        return participant

    def remove(self, participant: Participant, reason: str) -> None:
        """Take a participant out at the present time, as a reset does, without ``on_gone``."""
        if participant.channel is not None:
            participant.channel.close()
        self.exchange.leave(participant, reason)
        for group in (self._new, self._running):
            if participant in group:
                group.remove(participant)

    def resume(self, participant: Participant) -> None:
        """Wait again for a participant that was away: what it waited for is forgotten, by it too.

        While it is away (its channel raises ``ChannelAway``) it stays in the exchange, where inputs
        are queued for it, and nobody waits for it.
        """
        assert participant not in self._running, f"{participant.name!r} was not away"
        self.exchange.forget(participant)
        self._running.append(participant)
        self._running.sort(key=lambda one: one.id)

    def run(self) -> None:
        """Run to the end of the run and see every participant off.

        Raises :class:`~hil.errors.StalledError` for a participant that does not answer, and
        :class:`~hil.errors.ParticipantError` for one that breaks the protocol or, without
        ``on_gone``, is lost.
        """
        exchange = self.exchange
        while not exchange.over:
            exchange.disturbed = False
            self._greet()
            if len(exchange.participants) == 1 and len(self._running) == 1:
                self._run_one(self._running[0])
                continue
            self._collect()
            if self._new or exchange.disturbed:
                continue
            self.counters["instants"] += 1
            reply, running = exchange.reply, self._running
            for participant in exchange.run():
                try:
                    participant.send(reply(participant))
                    running.append(participant)
                except ChannelAway:
                    continue
                except ChannelLost as error:
                    self._lose(participant, str(error))
        self._see_off()

    # --- the two ways -------------------------------------------------------------------------

    def _run_one(self, participant: Participant) -> None:
        """Serve the only participant until it leaves, another comes, or the run is over."""
        exchange = self.exchange
        handle, recv, send = exchange.handle, participant.recv, participant.send
        messages = 0
        try:
            while True:
                message = recv()
                if message is None:
                    message = self._await(participant)
                messages += 1
                reply = handle(participant, message)
                if exchange.over or exchange.disturbed:
                    break
                send(reply)
        except ChannelAway:
            self._running.remove(participant)
            return
        except ChannelLost as error:
            self._lose(participant, str(error))
            return
        finally:
            self.counters["messages"] += messages
            participant.counters["messages"] += messages
        if participant.gone:
            return
        self._running.remove(participant)
        if reply and not exchange.over:
            self._send(participant, reply)

    def _collect(self) -> None:
        """Await a message of everyone who runs, then take them in order."""
        exchange = self.exchange
        running, self._running = self._running, []
        messages: list[tuple[int, int, Participant, bytes]] = []
        now_ns = exchange.kernel.now_ns
        # Backwards: who was answered last runs last. By the time it has spoken all have, and this
        # process was woken once instead of by each.
        for participant in reversed(running):
            try:
                message = participant.recv()
                if message is None:
                    message = self._await(participant)
            except ChannelAway:
                continue
            except ChannelLost as error:
                self._lose(participant, str(error))
                continue
            participant.counters["messages"] += 1
            self.counters["messages"] += 1
            try:
                header = HEADER.unpack_from(message)
            except struct.error:
                raise too_short(participant, message) from None
            t_ns = header[5]
            if header[0] == _NEXT and not header[2] and t_ns >= now_ns:
                # Nothing but a wait: it touches nobody and so needs no place in the order.
                participant.last = (_NEXT, 0, t_ns, header[7])
                exchange.wait(participant, t_ns)
            else:
                messages.append((t_ns, participant.id, participant, message))
        messages.sort(key=_order)
        for _, _, participant, message in messages:
            if not participant.gone:
                exchange.begin(participant, message)

    # --- coming and going ---------------------------------------------------------------------

    def _greet(self) -> None:
        while self._new:
            participant = self._new[0]
            try:
                answer = answer_hello(
                    participant, self._await(participant), self.exchange.welcome()
                )
                participant.send(answer)
            except ChannelLost as error:
                self._lose(participant, str(error))
                continue
            if answer[0] != Kind.WELCOME:
                reason = answer[32:].decode()
                raise ParticipantError(f"participant {participant.name!r} was refused: {reason}")
            self._new.remove(participant)
            self._running.append(participant)
            self._running.sort(key=lambda one: one.id)

    def _see_off(self) -> None:
        """Tell everyone that the run is over, and check what they say they received."""
        for participant in list(self.exchange.participants):
            try:
                participant.send(self.exchange.end(participant))
                check_end_ack(participant, self._await(participant))
                # The last word is ours, so that the participant can leave without losing its own.
                participant.send(pack(Kind.END, t_ns=self.exchange.kernel.now_ns))
            except ChannelLost as error:
                self._lose(participant, f"{error} before it acknowledged the end")

    def _send(self, participant: Participant, message: bytes) -> None:
        try:
            participant.send(message)
            self._running.append(participant)
        except ChannelAway:
            return
        except ChannelLost as error:
            self._lose(participant, str(error))

    def _await(self, participant: Participant) -> bytes:
        """Wait for a message with an eye on the process and the wall clock."""
        since = time.monotonic()
        while True:
            message = participant.recv()
            if message is not None:
                return message
            how = participant.died() if participant.died is not None else None
            if how is not None:
                # What it sent before it died still counts.
                message = participant.recv()
                if message is not None:
                    return message
                raise ChannelLost(how)
            silent_s = time.monotonic() - since
            if silent_s >= participant.wall_limit_s:
                now_s = self.exchange.kernel.now_ns / 1e9
                raise StalledError(
                    f"participant {participant.name!r} has not asked for time since "
                    f"t={now_s:.6f} s, {silent_s:.1f} s of wall time ago; "
                    f"{participant.describe_last()}: "
                    "see whether it loops or waits for something outside virtual time"
                )

    def _lose(self, participant: Participant, reason: str) -> None:
        self.counters["lost"] += 1
        how = participant.died() if participant.died is not None else None
        reason = how or reason
        self.remove(participant, reason)
        if self.on_gone is None:
            now_s = self.exchange.kernel.now_ns / 1e9
            raise ParticipantError(
                f"participant {participant.name!r} was lost at t={now_s:.6f} s: {reason}; "
                f"{participant.describe_last()}"
            )
        self.on_gone(participant, reason)
