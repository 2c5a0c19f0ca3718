"""Putting products together from the parts of service 13, and knowing what is missing."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import NamedTuple

from flightsw.codec import dictionary
from flightsw.codec.dictionary.products import PART_HEADER, PART_LAST

PART_HEADER_NBYTES = PART_HEADER.sizeof()


class Product(NamedTuple):
    """A product as ground holds it: the octets, and when the last missing part arrived."""

    job: int
    t_ns: int
    octets: bytes


class Assembly:
    """The parts of one product so far."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.total: int | None = None
        self.t_last_ns = 0

    def gaps(self) -> list[tuple[int, int]]:
        """Return the missing parts as (first, count) runs.

        While the last part is unknown, the run behind the newest part is open: count 65535.
        """
        newest = max(self.parts, default=0)
        runs: list[tuple[int, int]] = []
        for number in range(1, (self.total or newest) + 1):
            if number in self.parts:
                continue
            if runs and sum(runs[-1]) == number:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((number, 1))
        if self.total is None:
            runs.append((newest + 1, 0xFFFF))
        return runs

    def octets(self) -> bytes | None:
        """Return the whole product, or None while parts are missing."""
        if self.total is None or len(self.parts) < self.total:
            return None
        return b"".join(self.parts[number] for number in range(1, self.total + 1))


class ProductAssembler:
    """Takes TM[13,x] source data; keeps complete products and the gaps of incomplete ones.

    ``counters``: ``parts``, ``parts_repeated`` (a part already held, not asked for again),
    ``parts_after_complete`` (a part of a product that was already whole), ``bad_parts`` (cannot be
    read), ``bad_products`` (whole, but the checksum is wrong: thrown away and asked for again).
    """

    def __init__(self) -> None:
        self.complete: dict[int, Product] = {}
        self.open: dict[int, Assembly] = {}
        #: how often each (job, part) was asked for and has not come since
        self.asked: Counter[tuple[int, int]] = Counter()
        self.counters: Counter[str] = Counter()

    def take(self, t_ns: int, subtype: int, data: bytes) -> Product | None:
        """Take one part; return the product that it completes, if any."""
        if len(data) <= PART_HEADER_NBYTES:
            self.counters["bad_parts"] += 1
            return None
        head = PART_HEADER.parse(data[:PART_HEADER_NBYTES])
        job, number, body = head.job, head.part, data[PART_HEADER_NBYTES:]
        self.counters["parts"] += 1
        wanted = self.asked[job, number] > 0
        self.asked[job, number] -= wanted
        if job in self.complete:
            self.counters["parts_after_complete"] += not wanted
            return None
        assembly = self.open.setdefault(job, Assembly())
        assembly.t_last_ns = t_ns
        if number in assembly.parts:
            self.counters["parts_repeated"] += not wanted
            return None
        assembly.parts[number] = body
        if subtype == PART_LAST:
            assembly.total = number
        return self._finish(t_ns, job, assembly)

    def expect(self, t_ns: int, job: int, total: int) -> None:
        """Note that a product of ``total`` parts was sent, so that one lost entirely is missed."""
        if job in self.complete or not total:
            return
        assembly = self.open.get(job)
        if assembly is None:
            assembly = self.open[job] = Assembly()
            assembly.t_last_ns = t_ns
        assembly.total = total

    def _finish(self, t_ns: int, job: int, assembly: Assembly) -> Product | None:
        octets = assembly.octets()
        if octets is None:
            return None
        del self.open[job]
        body, crc = octets[: -dictionary.PRODUCT_CRC_NBYTES], octets[-4:]
        if zlib.crc32(body) != int.from_bytes(crc, "big"):
            self.counters["bad_products"] += 1
            fresh = self.open[job] = Assembly()
            fresh.t_last_ns = t_ns
            return None
        self.complete[job] = Product(job, t_ns, octets)
        return self.complete[job]

    def to_ask(self, t_ns: int, quiet_ns: int) -> list[tuple[int, int, int]]:
        """Return (job, first, count) of what to ask for again.

        A product is asked for when its last part has come, or when nothing of it came for
        ``quiet_ns``. What is returned counts as asked for.
        """
        wanted = []
        for job in sorted(self.open):
            assembly = self.open[job]
            if t_ns - assembly.t_last_ns < quiet_ns:
                continue
            assembly.t_last_ns = t_ns
            for first, count in assembly.gaps():
                wanted.append((job, first, count))
                self.asked.update((job, first + i) for i in range(min(count, 4096)))
        return wanted
