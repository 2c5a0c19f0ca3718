"""Two machines: network namespaces of their own with a cable between them, nothing else.

``with two_machines() as (bench, pi)`` gives both; a program started on one sees loopback and the
cable, and reaches the other by its address. The host's own interfaces are never touched. Needs
root, ``ip`` and veth: :func:`lacking` says what is missing, for the reason of a skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

#: Addresses at the two ends of the cable.
BENCH, PI = "10.77.0.1", "10.77.0.2"
_PORT = "cable"


@dataclass(frozen=True)
class Machine:
    """One end of the cable."""

    name: str
    address: str

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the words that run a program on this machine."""
        return ["ip", "netns", "exec", self.name, *words]

    @contextmanager
    def start(self, words: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Have a program on this machine while this lasts."""
        with subprocess.Popen(self.command(words), text=True, **options) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program on this machine to its end."""
        return subprocess.run(self.command(words), text=True, check=False, **options)

    def unplug(self) -> None:
        """Take the cable out: what is sent is lost, and nobody is told."""
        _ip("-n", self.name, "link", "set", _PORT, "down")

    def outage(self, begins_s: float, lasts_s: float) -> subprocess.Popen[str]:
        """Have the cable out for a while, some time from now; a shell does it by itself."""
        set_link = f"ip -n {self.name} link set {_PORT}"
        steps = f"sleep {begins_s}; {set_link} down; sleep {lasts_s}; {set_link} up"
        return subprocess.Popen(["sh", "-c", steps], text=True)

    def plug(self) -> None:
        """Put the cable back."""
        _ip("-n", self.name, "link", "set", _PORT, "up")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Have two machines with a cable between them while this lasts."""
    tag = f"flatsat-{os.getpid()}-{os.urandom(2).hex()}"
    machines = Machine(f"{tag}-bench", BENCH), Machine(f"{tag}-pi", PI)
    made: list[str] = []
    try:
        for machine in machines:
            _ip("netns", "add", machine.name)
            made.append(machine.name)
            _ip("-n", machine.name, "link", "set", "lo", "up")
        bench, pi = machines
        peer = ("type", "veth", "peer", "name", _PORT, "netns", pi.name)
        _ip("-n", bench.name, "link", "add", _PORT, *peer)
        for machine in machines:
            _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", _PORT)
            machine.plug()
        yield machines
    finally:
        for name in made:  # and its end of the cable with it
            _ip("netns", "del", name)


@cache
def lacking() -> str:
    """Return what this host lacks for two machines; "" if nothing."""
    if os.geteuid() != 0:
        return "two network namespaces need root"
    if shutil.which("ip") is None:
        return "two network namespaces need ip (iproute2)"
    try:
        with two_machines():
            return ""
    except OSError as error:
        return f"no network namespaces here: {error}"


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Two machines, bench and Pi; skipped by name where this host has none to give."""
    if lacking():
        pytest.skip(lacking())
    with two_machines() as both:
        yield both
