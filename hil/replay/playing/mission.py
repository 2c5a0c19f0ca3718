"""Play into our own ground segment: the downlink of a recorded run, and ground acts on it again.

The world, the passes and the operator run as they did; nobody flies. What ground sends up, what it
reports, and when it has the spacecraft are its outputs: they are compared with the recorded ones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from flightsw.codec.wire import Kind, Record, Status, unpack_all
from hil.capture.reader import Capture
from hil.errors import HostError, UsageError
from hil.fitting import planned_images
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.flown import Flown
from hil.replay.outcome import PLAY, Replayed, ReplayOptions
from hil.replay.playing.stimulus import Delivered, Player, is_downlink, stimulus
from hil.replay.playing.verdict import Played
from hil.replay.rules import Rules
from hil.replay.watching import WatchingStream
from hil.rig import SECOND, Rig
from hil.time.pacing import Pacer, fine_sleep

_OUTPUTS = frozenset((int(Kind.TC), int(Kind.LINK)))
_EVENT = int(Kind.EVENT)
_GROUND = b'"source":"ground"'


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Play the downlink of a run of ours into the ground segment."""
    with Capture(flown.capture, tolerant=not flown.whole) as capture:
        rig_names: dict[int, str] = {}
        comparison = Comparison(
            _ground(capture.buffers()),
            Decoder(flown.board, flown.mission, rig_names),
            Rules.of(flown.board, options.ignore, options.tolerate),
            rig_names,
        )
        rig = _rig(flown, comparison)
        rig_names.update(rig.channel_names())
        delivered = Delivered.of(capture)
        player, pacer = _player(rig, capture, options, delivered)
        say("silenced: the flight software does not fly, and the transceiver sends nothing")
        begin = time.perf_counter()
        with fine_sleep() if pacer is not None else contextlib.nullcontext():
            player.begin()
            rig.exchange.finish()
        wall_s = time.perf_counter() - begin
        rig.finish()
        verdict = comparison.finish(stopped=options.until is not None)
    if not delivered.counts:
        raise UsageError(f"{flown.path}: holds no downlink; --to ground plays records of /link/tm")
    _keep(rig, options.out)
    figures = {
        "packets": len(rig.ground.archive),
        "pus": {f"{a},{b}": count for (a, b), count in sorted(rig.ground.types.items())},
        "products": len(rig.ground.products.complete),
        "delivered": dict(delivered.counts),
        "counters": {k: v for k, v in rig.ground.receiver.counters.items() if v},
    }
    end_s = rig.kernel.now_ns / SECOND
    return Played(PLAY, verdict, end_s, wall_s, flown.wall_s, figures | delivered.figures())


def _rig(flown: Flown, comparison: Comparison) -> Rig:
    """Return the rig with nobody on it, whose outputs of the ground are compared."""

    def observe(octets: bytes) -> None:
        kept = next(_ground([octets]))
        if kept:
            comparison.feed(kept)

    options = flown.options
    rig = Rig(
        flown.board,
        flown.mission,
        seed=options.seed,
        duration_s=options.duration_s,
        flight=False,
        stream=WatchingStream(observe),
        umbilical=options.umbilical,
    )
    # The plan without the camera, which nobody triggers.
    rig.plan = planned_images(flown.mission, rig.world, rig.end_ns)
    rig.ground.plan = list(rig.plan)
    rig.exchange.held_back.update(dict.fromkeys(rig.exchange.lanes, 0))
    return rig


def _player(
    rig: Rig, capture: Capture, options: ReplayOptions, delivered: Delivered
) -> tuple[Player, Pacer | None]:
    def bring(record: Record) -> None:
        if record.status != Status.ABSENT:  # those beyond the budget of a pass never came down
            rig.radio.carry(record.t_ns, record.duration_ns, record.status, record.payload)

    pacer = None if options.pace == "max" else Pacer(rig.kernel, options.pace)
    late = None if pacer is None else pacer.late_ns
    records = stimulus(capture, options, is_downlink)
    return Player(rig.kernel, records, bring, delivered, late), pacer


def _ground(buffers: Iterable[bytes]) -> Iterator[bytes]:
    """Yield of each buffer what ground did."""
    for buffer in buffers:
        yield b"".join(r.pack() for r in unpack_all(buffer) if _is_ground(r))


def _is_ground(record: Record) -> bool:
    if record.kind == _EVENT:
        return _GROUND in record.payload
    return record.kind in _OUTPUTS


def _keep(rig: Rig, out: Path | None) -> None:
    """Write telemetry and products as a run does."""
    if out is None:
        return
    try:
        (out / "products").mkdir(parents=True, exist_ok=True)
        packets = b"".join(one.packet for one in rig.ground.archive)
        (out / "telemetry.pkts").write_bytes(packets)
        for job, product in sorted(rig.ground.products.complete.items()):
            (out / "products" / f"{job:04d}.bin").write_bytes(product.octets)
    except OSError as error:
        raise HostError(f"{out}: {error.strerror}; choose another --out") from None
