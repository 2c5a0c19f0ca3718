"""The ground end: receives telemetry, keeps the books of telecommands and products, sends plans.

An automatic operator does what a shift would: says hello, loads the plan, acknowledges products,
asks for what is missing, and repeats a telecommand whose reports did not come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flightsw.codec import dictionary
from flightsw.codec.coding import cltu
from flightsw.codec.dictionary.commands import TELECOMMANDS
from flightsw.codec.errors import CodecError
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import pus
from hil.ground.fop import Fop
from hil.ground.products import ProductAssembler
from hil.ground.radio import Radio
from hil.ground.telecommands import Telecommand, TelecommandLog

SECOND = 1_000_000_000
#: A product that falls silent is asked for after this.
QUIET_NS = 8 * SECOND
#: A telecommand whose completion was not reported is radiated again after this much contact: the
#: spacecraft knows it again and repeats its reports.
REPORT_TIMEOUT_NS = 30 * SECOND
FOP_TIMER_NS = 12 * SECOND
#: Activities in one TC[11,4]: the frame holds 1024 octets.
PLAN_CHUNK = 8
#: Functions of ground repeat at most this often before the operator gives up and says so.
REPEAT_LIMIT = 5


class Acquisition(NamedTuple):
    """One image of the plan."""

    job: int
    t_ns: int
    exposure_us: int
    priority: int


class Received(NamedTuple):
    """One telemetry packet as received."""

    t_ns: int
    virtual_channel: int
    packet: bytes


def unheard(t_ns: int, packet: bytes) -> None:
    """Let nobody hear of a packet."""


class GroundSegment:
    """One ground segment for one spacecraft. Without an ``operator`` it sends what :meth:`send` is
    given, and nothing by itself.

    ``log(t_ns, severity, name, values)`` gets every event report and every decision of the
    operator. ``counters`` and those of ``receiver``, ``fop``, ``products``, ``telecommands`` hold
    what was skipped, lost or repeated.
    """

    def __init__(
        self,
        radio: Radio,
        *,
        scid: int,
        frame_nbytes: int,
        plan: Sequence[Acquisition],
        log: Callable[[int, int, str, dict[str, Any]], None],
        operator: bool = True,
    ) -> None:
        self.radio = radio
        radio.receive = self.receive
        self.receiver = tm_frame.Receiver(Frames("tm", frame_nbytes, scid, ocf=True))
        self.fop = Fop(scid, timer_ns=FOP_TIMER_NS)
        self.telecommands = TelecommandLog(dictionary.APID)
        self.products = ProductAssembler()
        self.plan = list(plan)
        self.log = log
        self.operator = operator
        #: told (t_ns, packet) of every telemetry packet, after ground has acted on it
        self.heard: Callable[[int, bytes], None] = unheard
        self.counters: Counter[str] = Counter()
        self.types: Counter[tuple[int, int]] = Counter()
        self.archive: list[Received] = []
        self.housekeeping: dict[int, list[tuple[int, dict[str, Any]]]] = {}
        self.jobs: dict[int, dict[str, Any]] = {}
        self.in_contact = False
        self._contacts = 0
        self._contact_begin_ns = 0
        self._repeats: Counter[bytes] = Counter()
        self._asked: dict[bytes, int] = {}

    # --- contacts ------------------------------------------------------------------------------

    def begin_contact(self, t_ns: int, station: str) -> None:
        """Acquire the spacecraft over a station."""
        self.in_contact = True
        self._contacts += 1
        self._contact_begin_ns = t_ns
        self.radio.begin_pass()
        self.log(t_ns, 1, "CONTACT_BEGIN", {"station": station, "contact": self._contacts})
        if not self.operator:
            return
        self.send(self.telecommands.make("are you alive", t_ns, 17, 1))
        if self._contacts == 1:
            self._load_plan(t_ns)

    def end_contact(self, t_ns: int) -> None:
        """Lose the spacecraft at the horizon."""
        self.in_contact = False
        self.fop.lost_contact()
        self.log(t_ns, 1, "CONTACT_END", {"octets": self.radio.pass_octets})

    def tick(self, t_ns: int) -> None:
        """Act once a second while in contact."""
        if not self.in_contact:
            return
        if self.operator:
            self._ask_again(t_ns)
        if self.radio.uplink_busy_until_ns > t_ns + SECOND:
            return
        for frame in self.fop.frames(t_ns):
            self.radio.uplink(t_ns, cltu.encode(frame))

    def _ask_again(self, t_ns: int) -> None:
        """Ask for what is missing of products, and for reports that did not come."""
        for job, first, count in self.products.to_ask(t_ns, QUIET_NS):
            self.counters["repairs_asked"] += 1
            values = {"job": job, "first": first, "count": count}
            self.send(self.telecommands.function("RESEND_PARTS", t_ns, values))
        self._repeat_unreported(t_ns)

    def _load_plan(self, t_ns: int) -> None:
        """Switch the schedule on and load the plan; ask for the limits of the governors."""
        self.send(self.telecommands.make("enable schedule", t_ns, 11, 1))
        activities = [
            self.telecommands.function(
                "TAKE_IMAGE",
                t_ns,
                {
                    "job": a.job,
                    "exposure_us": a.exposure_us,
                    "priority": a.priority,
                    "max_cloud": 255,
                },
                release_ns=a.t_ns,
            )
            for a in self.plan
        ]
        for first in range(0, len(activities), PLAN_CHUNK):
            self.send(self.telecommands.plan(t_ns, activities[first : first + PLAN_CHUNK]))
        self.send(self.telecommands.make("schedule summary", t_ns, 11, 17))
        limits = [p.id for p in dictionary.PARAMETERS[:12]]
        arguments = TELECOMMANDS[20, 1].build({"parameters": limits})
        self.send(self.telecommands.make("report limits", t_ns, 20, 1, arguments))

    def send(self, telecommand: Telecommand) -> None:
        """Queue a telecommand for the uplink."""
        telecommand.t_sent_ns = telecommand.t_made_ns
        self.fop.enqueue(telecommand.packet)

    def _repeat_unreported(self, t_ns: int) -> None:
        """Radiate again what should have been reported complete in this contact, and was not."""
        if not self.fop.idle:
            return
        for telecommand in self.telecommands.all:
            if telecommand.verified or telecommand.failure or not self._due(telecommand, t_ns):
                continue
            if self._repeats[telecommand.request] == REPEAT_LIMIT:
                self._repeats[telecommand.request] += 1
                self.counters["telecommands_given_up"] += 1
                self.log(t_ns, 3, "TELECOMMAND_GIVEN_UP", {"telecommand": telecommand.name})
            elif self._repeats[telecommand.request] < REPEAT_LIMIT:
                self._repeats[telecommand.request] += 1
                self.counters["telecommands_repeated"] += 1
                self._asked[telecommand.request] = t_ns
                self.fop.enqueue(telecommand.packet)

    def _due(self, telecommand: Telecommand, t_ns: int) -> bool:
        """Tell whether the reports of a telecommand are overdue.

        An activity of the plan counts only when the job is known to have begun: repeating one that
        never ran would run it at the wrong time.
        """
        since_ns = self._asked.get(telecommand.request, telecommand.t_sent_ns)
        if telecommand.release_ns is not None and since_ns is None:
            if telecommand.job not in self.jobs and telecommand.job not in self.products.complete:
                return False
            since_ns = telecommand.release_ns
        if since_ns is None:
            return False
        return t_ns - max(since_ns, self._contact_begin_ns) >= REPORT_TIMEOUT_NS

    # --- telemetry -----------------------------------------------------------------------------

    def receive(self, t_ns: int, octets: bytes) -> None:
        """Take what the station demodulated; decode, file and act on each packet."""
        frames = self.receiver.counters["frames"]
        for virtual_channel, packet in self.receiver.feed(octets):
            self.archive.append(Received(t_ns, virtual_channel, packet))
            self._take_packet(t_ns, packet)
        clcw = self.receiver.clcw
        # The receiver keeps the last report; only one that has just come is news.
        if clcw is not None and self.receiver.counters["frames"] != frames:
            self.fop.on_clcw(t_ns, clcw)

    def _take_packet(self, t_ns: int, packet: bytes) -> None:
        try:
            report = pus.unpack_tm(packet)
        except CodecError as error:
            self.counters["packets_refused"] += 1
            self.log(t_ns, 2, "PACKET_REFUSED", {"why": str(error), "octets": len(packet)})
            return
        self.types[report.service, report.subtype] += 1
        if report.service == 1:
            self._take_verification(t_ns, report.subtype, report.data)
        elif report.service == 3 and report.subtype == 25:
            self._take_housekeeping(report.t_ns or 0, report.data)
        elif report.service == 5:
            self._take_event(t_ns, report.t_ns or 0, report.subtype, report.data)
        elif report.service == 13:
            self._take_part(t_ns, report.subtype, report.data)
        self.heard(t_ns, packet)

    def _take_verification(self, t_ns: int, subtype: int, data: bytes) -> None:
        telecommand = self.telecommands.on_report(t_ns, subtype, data)
        if telecommand is None:
            return
        if telecommand.failure and subtype not in {1, 3, 5, 7}:
            failure = telecommand.failure._asdict()
            self.log(t_ns, 3, "TELECOMMAND_FAILED", {"telecommand": telecommand.name, **failure})

    def _take_housekeeping(self, t_ns: int, data: bytes) -> None:
        structure = dictionary.STRUCTURE_BY_SID.get(data[0]) if data else None
        if structure is None or len(data) - 1 != structure.struct.sizeof():
            self.counters["housekeeping_of_unknown_layout"] += 1
            return
        values = dict(structure.struct.parse(data[1:]))
        values.pop("_io", None)
        self.housekeeping.setdefault(structure.sid, []).append((t_ns, values))

    def _take_event(self, now_ns: int, t_ns: int, severity: int, data: bytes) -> None:
        event = dictionary.EVENT_BY_ID.get(int.from_bytes(data[:2], "big"))
        if severity > 4:
            return
        if event is None or len(data) - 2 != event.struct.sizeof():
            self.counters["events_of_unknown_layout"] += 1
            return
        values = dict(event.struct.parse(data[2:]))
        values.pop("_io", None)
        self.log(t_ns, severity, event.name, values)
        if event.name == "JOB_STATE":
            self.jobs[values["job"]] = values
            if values["state"] == dictionary.JobState.SENT:
                self.products.expect(now_ns, values["job"], values["parts"])
        if event.name == "BOOT" and values["boot_count"] > 1:
            self.counters["restarts_reported"] += 1

    def _take_part(self, t_ns: int, subtype: int, data: bytes) -> None:
        product = self.products.take(t_ns, subtype, data)
        if product is not None:
            values = {"job": product.job, "octets": len(product.octets)}
            self.log(t_ns, 1, "PRODUCT_RECEIVED", values)
            if self.operator:
                job = {"job": product.job}
                self.send(self.telecommands.function("ACKNOWLEDGE", t_ns, job))
