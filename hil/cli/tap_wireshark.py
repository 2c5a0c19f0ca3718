"""``hil tap`` as Wireshark calls it (extcap), and its place in the folders of Wireshark.

An extcap program is asked for its interfaces, for the link types and options of each, and is then
told to write packets of one into a named pipe (https://www.wireshark.org/docs/man-pages/extcap).
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from hil import __version__
from hil.errors import HostError, UsageError

#: name of the interface that is the newest run, and what names of others begin with
NEWEST = "flatsat"
SHOWN = "FlatSat bench"
LUA = "flatsat.lua"
#: first line of what we install, so that only ours is replaced or removed
MARK = "installed by `hil tap --install-wireshark`"
_QUESTIONS = ("--extcap-interfaces", "--extcap-dlts", "--extcap-config", "--capture")


def is_meant(argv: list[str]) -> bool:
    """Tell whether the words are Wireshark's, or about it."""
    words = {word.partition("=")[0] for word in argv}
    return bool(words & {*_QUESTIONS, "--extcap-version", "--install-wireshark", "--remove"})


def parser() -> argparse.ArgumentParser:
    """Return the options that Wireshark gives, and those of the installation."""
    p = argparse.ArgumentParser(prog="hil tap", allow_abbrev=False)
    add = p.add_argument
    for question in (*_QUESTIONS, "--install-wireshark", "--remove", "--quiet"):
        add(question, action="store_true")
    add("--extcap-version", nargs="?", const="", metavar="V")
    add("--extcap-interface", metavar="NAME")
    add("--extcap-capture-filter", metavar="EXPR")
    add("--extcap-reload-option", metavar="NAME")
    add("--fifo", type=Path)
    add("--runs", type=Path)
    add("--dir", type=Path, help="folder of Wireshark's settings (default: the personal ones)")
    add("--topic", default="")
    add("--filter", default="")
    return p


def main(argv: list[str]) -> int:
    """Answer a question of Wireshark, hand it packets, or settle in its folders."""
    args = parser().parse_args(argv)
    if args.install_wireshark or args.remove:
        return remove(args.dir) if args.remove else install(args.dir, args.runs)
    if args.capture:
        return capture(args)
    if args.extcap_interfaces:
        lines = interfaces(args.runs)
    elif args.extcap_dlts:
        # What the stream holds is said in it; this is what Wireshark shows before.
        lines = ["dlt {number=147}{name=USER0}{display=FlatSat records}"]
    elif args.extcap_config:
        lines = config()
    else:
        lines = [version()]
    print("\n".join(lines))
    return 0


# --- what Wireshark asks --------------------------------------------------------------------------


def version() -> str:
    """Return the sentence that says who answers."""
    return f"extcap {{version={__version__}}}{{display={SHOWN}}}"


def interfaces(runs: Path | None) -> list[str]:
    """Return a line for each running run, and one for whichever comes next."""
    lines = [version(), f"interface {{value={NEWEST}}}{{display={SHOWN}: newest run, or the next}}"]
    for value in running(runs):
        name = value.removeprefix(f"{NEWEST}-")
        lines.append(f"interface {{value={value}}}{{display={SHOWN}: {name}}}")
    return lines


def running(runs: Path | None) -> dict[str, Path]:
    """Return the captures of running runs by the name of their interface."""
    from hil.tapping import growing, run_name

    found: dict[str, Path] = {}
    for path in reversed(growing(runs)):  # the older keeps its name when another comes
        name = f"{NEWEST}-{safe(run_name(path))}"
        names = [name, *(f"{name}-{n}" for n in range(2, len(found) + 3))]
        found[next(free for free in names if free not in found)] = path
    return found


def safe(name: str) -> str:
    """Return a name as a sentence of extcap can hold it."""
    return re.sub(r"[^\w.+-]", "_", name)


def config() -> list[str]:
    """Return the options that Wireshark shows in a dialogue."""
    topic = "channels, by name or pattern, with blanks between: can0 /bus/i2c-*"
    condition = "only records like this: status != 0 and t > 300"
    shown = [("--topic", "Channels", topic), ("--filter", "Filter", condition)]
    return [
        f"arg {{number={n}}}{{call={call}}}{{display={name}}}{{tooltip={words}}}{{type=string}}"
        for n, (call, name, words) in enumerate(shown)
    ]


def capture(args: argparse.Namespace) -> int:
    """Write the packets of an interface into the pipe until the run, or Wireshark, has enough."""
    from hil.cli import tap

    wanted = args.extcap_interface or NEWEST
    if args.fifo is None:
        raise UsageError("--capture: give the named pipe, as --fifo PIPE")
    found = running(args.runs)
    if wanted != NEWEST and wanted not in found:
        raise UsageError(f"interface {wanted}: that run has ended; take another in the list")
    words = ["--quiet", "--out", str(args.fifo)]
    words += ["--runs", str(args.runs)] if args.runs else []
    words += [str(found[wanted])] if wanted in found else ["--wait"]
    words += [word for topic in args.topic.split() for word in ("--topic", topic)]
    words += ["--filter", args.filter] if args.filter else []
    try:
        return tap.tap(tap.parser().parse_args(words))
    except (BrokenPipeError, KeyboardInterrupt):
        # Wireshark has enough; what is said on stderr it would show as trouble.
        return 0


# --- its folders ----------------------------------------------------------------------------------


def folders(base: Path | None) -> tuple[Path, list[Path]]:
    """Return the folder for scripts of Lua, and those for extcap programs.

    Where programs go has changed: 4.0 looks among the settings, later ones as tshark says.
    """
    if base is not None:
        return base / "plugins", [base / "extcap"]
    home = Path.home()
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "wireshark"
    told = told_folders()
    scripts = told.get("Personal Lua Plugins", home / ".local/lib/wireshark/plugins")
    return scripts, [told.get("Personal Extcap path", settings / "extcap")]


def told_folders() -> dict[str, Path]:
    """Return the folders that tshark tells; none without tshark."""
    program = shutil.which("tshark")
    if program is None:
        return {}
    done = subprocess.run([program, "-G", "folders"], capture_output=True, text=True, check=False)
    lines = (line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    return {name.strip(): Path(place.strip()) for name, place in lines if place.strip()}


def launcher(runs: Path | None) -> str:
    """Return the program that Wireshark starts: this Python, this FlatSat, these runs."""
    only = [] if runs is None else ["--runs", str(runs.resolve())]
    words = shlex.join([sys.executable, "-m", "hil", "tap", *only])
    root = shlex.quote(str(Path(__file__).resolve().parents[2]))
    path = f"PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}"
    return f'#!/bin/sh\n# {MARK}\n{path} exec {words} "$@"\n'


def install(base: Path | None, runs: Path | None) -> int:
    """Put dissector and launcher where Wireshark looks for them; say where that is."""
    scripts, programs = folders(base)
    text = (files("hil.capture") / "wireshark" / LUA).read_text()
    put(scripts / LUA, f"-- {MARK}\n{text}", 0o644)
    for folder in programs:
        put(folder / NEWEST, launcher(runs), 0o755)
    print(f"in Wireshark: {SHOWN} among the interfaces; captures are dissected")
    return 0


def put(path: Path, text: str, mode: int) -> None:
    """Write one file, unless another's is in its place."""
    if path.exists() and not is_ours(path):
        raise HostError(f"{path}: is not ours; move it away, or choose another place with --dir")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    except OSError as error:
        raise HostError(f"{path}: cannot be written: {error.strerror}; choose --dir") from None
    print(path)


def remove(base: Path | None) -> int:
    """Take away what was installed; say what."""
    scripts, programs = folders(base)
    for path in (scripts / LUA, *(folder / NEWEST for folder in programs)):
        if path.exists() and is_ours(path):
            path.unlink()
            print(f"{path} removed")
    return 0


def is_ours(path: Path) -> bool:
    """Tell whether we installed a file."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(256)
