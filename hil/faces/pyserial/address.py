"""``hil://`` URLs: what they say, and which bench has the line.

``hil://LINE``, ``hil://BENCH/LINE`` or ``hil:///dev/LINE``, with settings behind ``?``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from serial import SerialException

from hil.faces.pyserial import benches
from hil.faces.pyserial.handle import Handle, open_line


def _yes(text: str) -> bool:
    return {"1": True, "0": False, "true": True, "false": False}[text.lower()]


#: settings in a URL: the name of pySerial's attribute, and what makes its value of text
OPTIONS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "baud": ("baudrate", int),
    "bytesize": ("bytesize", int),
    "parity": ("parity", str.upper),
    "stopbits": ("stopbits", lambda text: float(text) if "." in text else int(text)),
    "rtscts": ("rtscts", _yes),
    "xonxoff": ("xonxoff", _yes),
}


class Address(NamedTuple):
    """What a URL says."""

    url: str
    #: name of a bench, rig or board; empty: any that has the line
    bench: str
    line: str
    #: attribute of pySerial -> value
    settings: dict[str, Any]


def parse(url: str) -> Address:
    """Return what a URL says. Raises ``SerialException`` for one that cannot be read."""
    parts = urlsplit(url)
    host, path = unquote(parts.netloc), unquote(parts.path)
    if not host:
        bench, line = "", path
    elif path.strip("/"):
        bench, line = host, path.strip("/")
    else:
        bench, line = "", host
    if parts.scheme.lower() != "hil" or not line.strip("/"):
        raise SerialException(f"{url}: expected hil://LINE or hil://BENCH/LINE")
    settings = {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in OPTIONS:
            raise SerialException(f"{url}: no option {key!r}; there are {', '.join(OPTIONS)}")
        name, read = OPTIONS[key]
        try:
            settings[name] = read(text)
        except (ValueError, KeyError):
            raise SerialException(f"{url}: {key}={text} cannot be read") from None
    return Address(url, bench, line, settings)


class Opened(NamedTuple):
    """An open line, and what to call when it is closed."""

    handle: Handle
    release: Callable[[], None]


def connect(address: Address) -> Opened:
    """Open the line that an address names. Raises ``SerialException``."""
    url, bench, line = address.url, address.bench, address.line
    here = benches.registered()
    name = Path(line).name
    if bench in here:
        return Opened(open_line(url, here[bench].path, line), _nothing)
    for served in here.values() if not bench else ():
        if name in served.lines():
            return Opened(open_line(url, served.path, name), _nothing)
    path = os.environ.get("HIL_BENCH", "")
    if path and not (line == benches.LOOP and not bench):
        return Opened(_on(url, open_line(url, path, line), bench), _nothing)
    if line == benches.LOOP and not bench:
        return _loop(url)
    known = ", ".join(
        f"hil://{name}/{one}" for name, served in here.items() for one in served.lines()
    )
    raise SerialException(
        f"{url}: no bench has it: run the program under `hil run --`, or register a rig with "
        f"hil.faces.pyserial.register; here are {known or 'none'} and hil://{benches.LOOP}"
    )


def _loop(url: str) -> Opened:
    path = benches.loop.acquire()
    try:
        return Opened(open_line(url, path, benches.LOOP), benches.loop.release)
    except SerialException:
        benches.loop.release()
        raise


def _on(url: str, handle: Handle, bench: str) -> Handle:
    """Return a handle if its bench goes by that name."""
    names = [str(handle.about.get(key, "")) for key in ("board", "rig")]
    if bench and bench not in names:
        handle.close()
        raise SerialException(
            f"{url}: the bench of this program is board {names[0]!r}, rig {names[1]!r}; "
            f"write hil://{names[0]}/{handle.about['name']}"
        )
    return handle


def _nothing() -> None:
    """Release what needs no release."""
