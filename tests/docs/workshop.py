"""A folder that holds what the pages name, and a shell that runs their commands in it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from blocks import ROOT, Block

from hil.boards.emulators import start
from hil.cli import main

#: a command that the shell must read, or that asks who sits there
SHELL = re.compile(r"[|&$;<>`*]|^(?!hil )|--break-at|--step")
PROGRAM = """\
import time
from pathlib import Path
for path in ("/dev/i2c-1", "/dev/ttyCAN0", "/dev/ttyAMA1"):
    with open(path, "rb+", buffering=0):
        pass
time.sleep(0.01)
"""
MONITOR = """\
import can
with can.Bus(interface="hil", channel="can0") as bus:
    while bus.recv(0.3):
        pass
"""
PLAN = """\
[[fault]]
on = "i2c-1"
kind = "delay"
ns = 1000

[[fault]]
on = "can0"
kind = "crc"
rate = 0.1
"""


SHORT = ("--duration", "80", "--inference", "threshold", "--transport", "direct", "-q")


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    said: str


def script(text: str) -> Callable[[Path], None]:
    """Return what writes an executable file."""

    def write(path: Path) -> None:
        path.write_text(text)
        path.chmod(0o755)

    return write


def flown(seed: int) -> Callable[[Path], None]:
    """Return what flies a short run."""

    def fly(path: Path) -> None:
        faults = ["--fault", "can0:crc,rate=0.1"] if seed > 1 else []
        quiet(["run", "--seed", str(seed), "--out", str(path), *SHORT, *faults])

    return fly


def blf(path: Path) -> None:
    """Write what a logger of Vector's would have."""
    import can

    with can.BLFWriter(str(path)) as writer:
        for at in range(3):
            writer.on_message_received(can.Message(at + 1.0, 0x123, data=[at], channel=1))


def cut(path: Path) -> None:
    """Write the first half of a capture, as a run leaves it that was killed."""
    quiet(["run", "--out", str(path.with_name(".cut")), *SHORT])
    octets = (path.with_name(".cut") / "capture.mcap").read_bytes()
    path.write_bytes(octets[: len(octets) // 2])


def packed(path: Path) -> None:
    """Write a packed run."""
    quiet(["run", "--out", str(path.with_name(".packed")), *SHORT])
    quiet(["pack", str(path.with_name(".packed")), "--out", str(path)])


def imported(octets: bytes, *words: str) -> Callable[[Path], None]:
    """Return what makes a capture of a file of octets."""

    def make(path: Path) -> None:
        raw = path.with_suffix(".raw")
        raw.write_bytes(octets)
        quiet(["import", str(raw), "--out", str(path), "-q", *words])

    return make


def quiet(words: list[str]) -> Done:
    """Run a command of ours in this process; return what it said on both streams."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, said.getvalue())


def copy_of(name: str) -> Callable[[Path], None]:
    """Return what copies a file of the repository."""
    return lambda path: path.write_bytes((ROOT / name).read_bytes())


READER = "#!/bin/sh\nexec i2ctransfer -y 1 w1@0x48 0x0f r2\n"
CANDUMP = "(1.000000) can0 123#0102\n(1.100000) can0 124#03\n"
HERA = ("--channel", str(ROOT / "docs" / "channels" / "hera.toml"))
#: What pages name -> what makes it. Runs are flown once and copied.
RUNS: Mapping[str, int] = {
    **dict.fromkeys(("RUN", "A", "runs/tiansuan_bupt1-0001", "runs/bupt-1-1", "runs/one"), 1),
    **dict.fromkeys(("OTHER", "B", "runs/tiansuan_bupt1-0002", "runs/bupt-1-2"), 2),
}
FILES: Mapping[str, Callable[[Path], None]] = {
    "my_payload.py": script(PROGRAM),
    "my_program.py": script(PROGRAM),
    "my_can_program.py": script(PROGRAM),
    "./my_payload": script("#!/bin/sh\nexec true\n"),
    "./my_static_payload": script("#!/bin/sh\nexec true\n"),
    "./my_go_payload": script("#!/bin/sh\nexec true\n"),
    "./my_own_reader": script(READER),
    "./inspect": script("#!/bin/sh\nexec true\n"),
    "monitor.py": script(MONITOR),
    "storm.toml": lambda path: void(path.write_text(PLAN)),
    "plan.toml": lambda path: void(path.write_text(PLAN)),
    "channel.toml": copy_of("docs/channels/mars2020.toml"),
    "hera.toml": copy_of("docs/channels/hera.toml"),
    "mission.toml": copy_of("docs/channels/hera.toml"),
    "docs/channels/hera.toml": copy_of("docs/channels/hera.toml"),
    "boards/firmware/images/hilwire-pico.hex": copy_of("boards/firmware/images/hilwire-pico.hex"),
    "pass.bin": lambda path: void(path.write_bytes(bytes(2230))),
    "pass.u8": lambda path: void(path.write_bytes(bytes(3 * 1113))),
    "night.cadu": lambda path: void(path.write_bytes(bytes(3 * 1113))),
    "imu.bin": lambda path: void(path.write_bytes(bytes(range(200)))),
    "suda.spl": lambda path: void(
        path.write_bytes(bytes(4) + bytes.fromhex("0801c0000000") + b"a")
    ),
    "candump-2024-10-07.log": lambda path: void(path.write_text(CANDUMP)),
    "tiansuan_bupt1-0001.flatsat": packed,
    "FILE": packed,
    "drive.blf": blf,
    "capture.mcap.partial": cut,
    "bus.mcap": imported(CANDUMP.encode(), "--as", "candump", "--bus", "can0"),
    "hera.mcap": imported(bytes(4000), *HERA),
}


def void(_: object) -> None:
    """Return nothing, of what says how much it wrote."""


class Workshop:
    """One folder and its shell. ``flights`` is where runs are kept that all may copy."""

    def __init__(self, folder: Path, flights: Path, tools: Path) -> None:
        self.folder = folder
        self._flights = flights
        self._tools = tools
        self._made: set[str] = set()

    def provide(self, text: str) -> None:
        """Put into the folder what a text names and the folder has not."""
        for name, seed in RUNS.items():
            if self._names(text, name):
                base = self._flights / str(seed)
                if not base.exists():
                    flown(seed)(base)
                shutil.copytree(base, self.folder / name, copy_function=os.link)
        for name, make in FILES.items():
            if self._names(text, name):
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                make(path)
        if self._names(text, "trace.pcapng"):
            self.provide("RUN")
            quiet(["export", str(self.folder / "RUN"), "--out", str(self.folder / "trace.pcapng")])

    def _names(self, text: str, name: str) -> bool:
        """Tell whether a text names what the folder has not; from then on the folder has it."""
        if name in self._made or not re.search(
            rf"(?<![\w/.-]){re.escape(name)}(?![\w/-]|\.\w)", text
        ):
            return False
        self._made.add(name)
        if re.search(rf"--out {re.escape(name)}(?!\S)", text):
            return False  # a command makes it
        return not (self.folder / name).exists()

    def write(self, block: Block) -> None:
        """Write a file that a page shows with its name."""
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        self._made.add(block.file)

    def run(self, command: str, aloud: bool = False) -> Done:
        """Run one command; the working directory must be the folder.

        ``aloud``: what programs print that it starts is wanted, too.
        """
        if SHELL.search(command) or (aloud and " -- " in command):
            return self._shell(command)
        return quiet(shlex.split(command)[1:])

    def execute(self, block: Block, names: dict[str, object]) -> None:
        """Run a program of a page among the names of those before it; on the bench, if it must be.

        A dev board at ``/dev/ttyACM0`` is one that is emulated.
        """
        text = block.text
        with contextlib.ExitStack() as boards:
            if "/dev/ttyACM0" in text:
                text = text.replace(
                    "/dev/ttyACM0", boards.enter_context(start("uno", "posix")).port
                )
            elif "/dev/" in text:
                (self.folder / "block.py").write_text(text)
                done = self.run("hil run --duration 80 -- python3 block.py")
                assert done.code == 0, f"{block}\n{done.said}"
                return
            exec(compile("\n" * block.line + text, block.page, "exec"), names)

    def _shell(self, command: str) -> Done:
        path = f"{self._tools}:{os.environ['PATH']}:/usr/sbin"
        command = command.replace(":5557", f":{free_port()}")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return Done(done.returncode, done.stdout)


def free_port() -> int:
    """Return a port of loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def write_tools(folder: Path) -> Path:
    """Write the commands that a shell finds in an installation; return their folder."""
    folder.mkdir()
    known = {each.name for each in metadata.entry_points(group="pytest11")}
    plugin = "" if "hil" in known else "-p hil.testing.plugin"
    words = {"hil": "-m hil", "flightsw": "-m flightsw", "pytest": f"-m pytest {plugin}"}
    for name, how in {**words, "python": "", "python3": ""}.items():
        script(f'#!/bin/sh\nexec {sys.executable} {how} "$@"\n')(folder / name)
    return folder
