"""What a board says of itself, in words and as an object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hil.boards.protocol import Identity
from hil.boards.whereabouts import Place, guess


def as_dict(identity: Identity) -> dict[str, Any]:
    """Return an identity as JSON holds it."""
    return {
        "board": identity.board,
        "firmware": identity.firmware,
        "version": identity.version_text,
        "build": f"{identity.build:08x}",
        "uid": identity.uid.hex(),
        "capabilities": capabilities(identity),
        "max_frame": identity.max_frame,
        "window": identity.window,
        "rx_credit": identity.rx_credit,
        "reset_cause": _words(identity.reset_cause.name),
        "boot_id": f"{identity.boot_id:08x}",
        "minor": identity.minor,
    }


def capabilities(identity: Identity) -> list[str]:
    """Return the names of what a board can do."""
    return [_words(flag.name) for flag in identity.capabilities if flag.name]


def _words(name: str) -> str:
    return name.lower().replace("_", "-")


def describe(identity: Identity, about: str = "") -> Iterator[str]:
    """Yield what a board says of itself, a line each; ``about`` is the text that it keeps."""
    version = f"{identity.firmware} {identity.version_text}, build {identity.build:08x}"
    yield f"board      {identity.board}"
    if about:
        yield f"about      {' '.join(about.split())}"
    yield f"firmware   {version}, HILwire 1.{identity.minor}"
    yield f"uid        {identity.uid.hex()}"
    yield f"can        {', '.join(capabilities(identity)) or 'nothing beyond the protocol'}"
    yield f"frames     {identity.max_frame} octets, window {identity.window}"
    yield f"last reset {_words(identity.reset_cause.name)}"


def lab_lines(identity: Identity, place: Place) -> Iterator[str]:
    """Yield the row of lab.toml that names this board; the id and the binding are the user's."""
    kind = place.kind.name if place.kind else guess(identity)
    yield "[[instance]]"
    yield f'id = "{place.instance.id if place.instance else f"{kind}-1"}"'
    yield f'type = "{kind}"'
    if any(identity.uid):
        yield f'uid = "{identity.uid.hex()}"'
    else:
        yield "# it has no uid; `hil boards identify --set-uid random` gives it one"
    yield '# parts = { power_monitor = "i2c0" }   what it stands in for'
