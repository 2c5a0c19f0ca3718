"""The rig: the one place that composes clock, buses, parts, world, radio, ground and records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.bus_payload import MEASURED_POWER
from flightsw.codec.wire import Kind
from hil.board import Board
from hil.camera import CameraView
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.fitting import FRAME_NBYTES, flight_config, part_overrides, planned_images
from hil.ground.radio import Radio, slant_light_ns
from hil.ground.segment import GroundSegment
from hil.missions.mission import Mission
from hil.series import Series
from hil.time.kernel import Kernel
from hil.time.phase import Phase
from hil.wiring import Wiring
from hil.world.passes import Pass
from hil.world.world import World

SECOND = 1_000_000_000
#: The station of a link that is up from the beginning to the end: a cable on the ground.
UMBILICAL = "umbilical"
#: Octets that the flight software may send through it: more than any run has.
UMBILICAL_OCTETS = (1 << 32) - 1
#: Channel numbers of records that belong to no bus of the board.
LINK_CHANNEL, EVENT_CHANNEL, WORLD_CHANNEL = 0xF0, 0xF1, 0xF2
CHANNEL_NAMES = {LINK_CHANNEL: "link", EVENT_CHANNEL: "event", WORLD_CHANNEL: "world"}
#: Order of ties at one instant (see hil.time.phase); buses and parts come after, in hil.wiring.
WORLD_SOURCE, RADIO_SOURCE, GROUND_SOURCE = 0, 1, 2
WORLD_SAMPLE_S = 10


def unwatched(rig: Rig) -> None:
    """Let nobody watch a run."""


def unheard(t_ns: int, event: dict[str, Any]) -> None:
    """Let nobody hear of an event."""


class Rig:
    """A composed bench. Build it, let a participant fly on ``exchange``, then read the books.

    ``sink`` gets whole wire records in batches, for the capture; who watches records as they are
    made brings a ``stream`` of their own in its place. ``watch(rig)`` is called once a
    second of virtual time, outside everything that is recorded. Without ``flight`` software ground
    plans no images, and the ground below the camera is loaded when somebody takes one.

    ``umbilical``: the link is a cable that is plugged in from the beginning to the end, without
    light time, errors or budget, whatever the satellite would see of its stations. Without an
    ``operator`` ground sends what it is given and nothing by itself.
    """

    def __init__(
        self,
        board: Board,
        mission: Mission,
        *,
        seed: int,
        duration_s: float | None = None,
        inference: str = "onnx",
        sink: Callable[[bytes], None] | None = None,
        watch: Callable[[Rig], None] = unwatched,
        flight: bool = True,
        stream: RecordStream | None = None,
        umbilical: bool = False,
        operator: bool = True,
    ) -> None:
        self.board = board
        self.mission = mission
        self.seed = seed
        self.watch = watch
        self.umbilical = umbilical
        #: told (t_ns, event) of every event and fault, as ``events.jsonl`` has them
        self.heard: Callable[[int, dict[str, Any]], None] = unheard
        #: called when the supply of the payload computer fails (False) and comes back (True)
        self.on_supply: Callable[[int, bool], None] = lambda t_ns, good: None
        #: the power that the payload computer measures of itself goes in place of the profile's
        self.measured_power = False
        self._supplied = True
        self.world = World(mission, seed, duration_s)
        self.world.payload.boot_left_s = 0.0  # the run begins with the computer up
        self.stream = RecordStream(sink) if stream is None else stream
        self.kernel = Kernel()
        self.end_ns = round(self.world.duration_s * SECOND)
        self.exchange = Exchange(self.kernel, self.stream, self.end_ns)
        self.exchange.transactor.on_load = self._load
        self.events: list[dict[str, Any]] = []
        self.counters: Counter[str] = Counter()
        self.series = Series()
        self.station = ""
        self._is_cut = False
        #: what each pass carried, by its AOS
        self.pass_figures: dict[int, dict[str, int]] = {}
        self._pass_aos_ns = 0
        self._before: dict[str, int] = {}
        self.wiring = Wiring(board, self.exchange, seed, part_overrides(mission))
        self.radio = self._radio()
        flies_plan = flight and operator
        self.plan = planned_images(mission, self.world, self.end_ns) if flies_plan else []
        if flies_plan:
            _ = self.camera  # what it lacks is found before the run begins
        self.ground = GroundSegment(
            self.radio,
            scid=mission.integer("link.spacecraft_id"),
            frame_nbytes=FRAME_NBYTES,
            plan=self.plan,
            log=self._ground_event,
            operator=operator,
        )
        self.exchange.identity = {
            "rig": mission.id,
            "board": board.name,
            "boot_count": 1,
            "devices": board.devices(),
            "config": flight_config(mission, inference),
        }
        if umbilical:
            self.exchange.identity["config"]["pass_budget_octets"] = UMBILICAL_OCTETS
        self._wire_up()
        if missing := board.missing_roles():
            self.event(0, "bench", 1, "ROLES_MISSING", board=board.name, roles=missing)

    # --- composition ---------------------------------------------------------------------------

    @cached_property
    def camera(self) -> CameraView:
        """What the payload's camera sees."""
        sensor = self.wiring.of_type("imager")
        size = None if sensor is None else (sensor.width, sensor.height)
        return CameraView(self.mission, self.world, self.seed, size)

    def render(self, t_ns: int, exposure_us: int) -> NDArray[np.uint8]:
        """Return what the payload's camera sees, uint8[H, W, 3]."""
        return self.camera.render(t_ns, exposure_us)

    def _radio(self) -> Radio:
        mission, cable = self.mission, self.umbilical
        error_rate = 0.0 if cable else mission.number("link.frame_error_rate")
        budget = UMBILICAL_OCTETS if cable else mission.integer("link.pass_byte_budget")
        return Radio(
            self.kernel,
            RADIO_SOURCE,
            self.stream.record,
            channel=LINK_CHANNEL,
            seed=self.seed,
            frame_error_rate=error_rate,
            pass_budget_octets=budget,
            uplink_bps=mission.number("link.uplink_bps"),
            light_time_ns=lambda t_ns: self._light_ns,
        )

    def _wire_up(self) -> None:
        ttc = self.wiring.of_type("ttc")
        if ttc is not None:
            ttc.on_downlink = self.radio.downlink
            self.radio.transceiver = ttc
        imager = self.wiring.of_type("imager")
        if imager is not None:
            imager.render = self.render
        gnss = self.wiring.of_type("ublox")
        if gnss is not None:
            gnss.epoch_utc = self.mission.start_utc
        self._light_ns = 0
        self._ttc = ttc
        self.wiring.feel(self.world.state)
        self.wiring.start()
        self.kernel.at(0, Phase.PHYSICS, WORLD_SOURCE, self._second)

    # --- what happens by itself ----------------------------------------------------------------

    def _second(self, t_ns: int) -> None:
        """Advance the world to ``t_ns`` and let parts, radio and ground feel it."""
        world = self.world
        world.step(t_ns)
        if world.power.browned_out is self._supplied:
            self._supplied = not world.power.browned_out
            self.event(t_ns, "bench", 4, "SUPPLY" if self._supplied else "BROWN_OUT")
            self.on_supply(t_ns, self._supplied)
        self.wiring.feel(world.state)
        self._contact(t_ns)
        self.ground.tick(t_ns)
        second = t_ns // SECOND
        if second % WORLD_SAMPLE_S == 0:
            self._sample(t_ns)
        self.series.extremes(world.state)
        self.watch(self)
        self.kernel.at(t_ns + SECOND, Phase.PHYSICS, WORLD_SOURCE, self._second)

    @cached_property
    def contacts(self) -> list[Pass]:
        """When ground can speak to the spacecraft: the passes, or the umbilical."""
        if self.umbilical:
            return [Pass(UMBILICAL, 0, self.end_ns, 90.0, 0)]
        return self.world.passes

    def cut_link(self, is_cut: bool) -> None:
        """Cut the link now, whatever stations see; False: let it be again as they do."""
        self._is_cut = is_cut
        self._contact(self.kernel.now_ns)

    def _contact(self, t_ns: int) -> None:
        """Follow the contacts: lock the carrier while a station sees the spacecraft."""
        contacts = () if self._is_cut else self.contacts
        station = next((p for p in contacts if p.aos_ns <= t_ns < p.los_ns), None)
        name = station.station if station else ""
        self._light_ns = self._range_ns(t_ns) if station and not self.umbilical else 0
        if self._ttc is not None:
            self._ttc.set("locked", 1.0 if station else 0.0)
        if name == self.station:
            return
        if self.station:
            self._note_pass()
            self.ground.end_contact(t_ns)
            self._link_event(t_ns, {"carrier": 0, "station": self.station})
        self.station = name
        if station:
            self._pass_aos_ns = station.aos_ns
            self._before = self._pass_totals()
            self._link_event(t_ns, {"carrier": 1, "station": name})
            self.ground.begin_contact(t_ns, name)

    def _pass_totals(self) -> dict[str, int]:
        air, ground = self.radio.counters, self.ground
        return {
            "frames": air["downlink_units"],
            "damaged": air["downlink_units_damaged"],
            "telecommands": ground.fop.counters["acknowledged"],
        }

    def _note_pass(self) -> None:
        """Keep what the pass that is now over has carried."""
        now = self._pass_totals()
        figures = {name: now[name] - before for name, before in self._before.items()}
        self.pass_figures[self._pass_aos_ns] = {**figures, "octets": self.radio.pass_octets}

    def finish(self) -> None:
        """End an open pass and flush the records; call once, when the run is over."""
        if self.station:
            self._note_pass()
        self.stream.flush()

    def _range_ns(self, t_ns: int) -> int:
        """Return the light time to the station in ns, from elevation and height (round Earth)."""
        state = self.world.state
        return slant_light_ns(state["link.elevation_deg"], state["orbit.alt_km"])

    def _sample(self, t_ns: int) -> None:
        state = self.world.state
        self.series.add(t_ns, state)
        sample = {name: round(value, 6) for name, value in state.items()}
        self._json(Kind.WORLD, WORLD_CHANNEL, t_ns, sample)

    def _load(self, participant: str, t_ns: int, model_class: str, units: int) -> tuple[int, int]:
        """Answer what a piece of computation costs, and let the world draw its power."""
        if model_class == MEASURED_POWER:
            self.counters["load.measured"] += 1
            if self.measured_power:
                self.world.payload.measure(units / 1000)
            return 0, 0
        if units == 0:
            self.world.payload.end()
            return 0, 0
        self.counters["load.units"] += units
        return self.world.payload.begin(model_class, units)

    # --- records -------------------------------------------------------------------------------

    def _link_event(self, t_ns: int, values: Mapping[str, Any]) -> None:
        self._json(Kind.LINK, LINK_CHANNEL, t_ns, values)

    def event(self, t_ns: int, source: str, severity: int, name: str, **values: Any) -> None:
        """Put an event of the bench into the records and into ``events.jsonl``."""
        event = {"source": source, "severity": severity, "name": name, **values}
        self._json(Kind.EVENT, EVENT_CHANNEL, t_ns, event)
        self._tell(t_ns, event)

    def _tell(self, t_ns: int, event: dict[str, Any]) -> None:
        told = {"t_s": round(t_ns / SECOND, 6), **event}
        self.events.append(told)
        self.heard(t_ns, told)

    def fault(self, t_ns: int, **values: Any) -> None:
        """Put a fault that took effect into the records and into ``events.jsonl``."""
        self._json(Kind.FAULT, EVENT_CHANNEL, t_ns, values)
        # In what order a plan gives its keys means nothing, here or where it is read again.
        known = dict(sorted(values.items()))
        self._tell(t_ns, {"source": "fault", **known})

    def _ground_event(self, t_ns: int, severity: int, name: str, values: dict[str, Any]) -> None:
        now_ns = self.kernel.now_ns
        event = {"source": "ground", "severity": severity, "name": name, **values}
        if t_ns != now_ns:
            event["t_onboard_s"] = round(t_ns / SECOND, 6)
        self._json(Kind.EVENT, EVENT_CHANNEL, now_ns, event)
        self._tell(now_ns, event)

    def _json(self, kind: int, channel: int, t_ns: int, value: Mapping[str, Any]) -> None:
        payload = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        self.stream.record(kind, channel, 0, 0, t_ns, 0, 0, payload)

    def channel_names(self) -> dict[int, str]:
        """Return the names of all channels by index, for the capture."""
        return channel_names(self.board)


def channel_names(board: Board) -> dict[int, str]:
    """Return the names of all channels of a rig with this board by index."""
    return {**{spec.index: spec.name for spec in board.buses}, **CHANNEL_NAMES}
