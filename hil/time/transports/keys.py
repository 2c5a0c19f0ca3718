"""The CURVE keys of a bench: made by us, mode 0600, refused when anyone else can read them.

A key directory holds ``server.key`` (the bench: ``public``, ``secret``), ``client.key`` (a
participant: ``public``, ``secret``, ``server``) and ``clients.allow``, the public keys that may
connect, one a line. Each key is 40 characters of Z85 (ZeroMQ RFC 32). A participant on another
machine needs ``client.key`` and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

import zmq

from hil.errors import TransportError

SERVER, CLIENT, ALLOWED = "server.key", "client.key", "clients.allow"
KEY_NCHARS = 40


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first octet on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)


def read_private(path: Path) -> dict[str, str]:
    """Read ``name = key`` lines. Raises ``TransportError`` if others can read the file too."""
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except OSError as error:
        raise TransportError(
            f"key file {path}: {error.strerror}: make the keys of this bench first"
        ) from None
    if mode & 0o077:
        raise TransportError(
            f"key file {path} has mode {mode & 0o777:04o}, others can read it: "
            f"run chmod 600 {path}, or make new keys if they may have been read"
        )
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    keys = {name.strip(): key.strip() for name, _, key in pairs}
    for name, key in keys.items():
        if len(key) != KEY_NCHARS:
            raise TransportError(
                f"key file {path}: {name!r} is not a key of {KEY_NCHARS} characters"
            )
    return keys


def make_keys(directory: Path) -> None:
    """Make the keys of a bench and of one participant in ``directory``; existing ones stay."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / SERVER).exists():
        return
    server_public, server_secret = (key.decode() for key in zmq.curve_keypair())
    public, secret = (key.decode() for key in zmq.curve_keypair())
    write_private(directory / ALLOWED, f"{public}\n")
    write_private(
        directory / CLIENT, f"public = {public}\nsecret = {secret}\nserver = {server_public}\n"
    )
    write_private(directory / SERVER, f"public = {server_public}\nsecret = {server_secret}\n")


def allowed_keys(directory: Path) -> frozenset[str]:
    """Return the public keys that may connect."""
    try:
        lines = (directory / ALLOWED).read_text().split()
    except OSError as error:
        raise TransportError(
            f"{directory / ALLOWED}: {error.strerror}: make the keys first"
        ) from None
    return frozenset(line for line in lines if len(line) == KEY_NCHARS)
