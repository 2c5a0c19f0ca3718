"""The CURVE keys of a bench: made by us, mode 0600, refused when anyone else can read them.

A key folder (mode 0700) holds ``server.key`` (the bench: ``public``, ``secret``), ``clients.allow``
(one client a line: its public key and its name) and, for each client whose keys were made here, a
file ``NAME.key`` (``public``, ``secret``, ``server``) to hand over. Each key is 40 characters of
Z85 (ZeroMQ RFC 32). A client on another machine needs its ``NAME.key`` and nothing else.

A bench reads ``clients.allow`` whenever somebody asks to come in, so that a client is added or
revoked without a restart; ``hil keys`` replaces that file as a whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import zmq
from zmq.utils import z85

from hil.errors import TransportError, UsageError

SERVER, CLIENT, ALLOWED = "server.key", "client.key", "clients.allow"
KEY_NCHARS = 40
#: The client that a new folder has, and that a bench on one machine starts itself.
FIRST_CLIENT = CLIENT.removesuffix(".key")
NAME_LIMIT_NCHARS = 32
#: A file of keys is some hundred octets, the list 73 a client; what is longer is none of ours.
FILE_LIMIT_NBYTES = 1 << 20
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{NAME_LIMIT_NCHARS - 1}}}")
_WIDE = 0o077


def default_folder() -> Path:
    """Return where the keys of this user lie unless told: below the folder of their settings."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "flatsat" / "keys"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first octet on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)


def check_private(what: str, path: Path, status: os.stat_result) -> None:
    """Raise ``TransportError`` if others than we can reach it, or it is somebody else's.

    What a service manager hands over (systemd.exec(5), ``LoadCredential=``) is root's, and its
    access list shows as a group that may read.
    """
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    wide, owners = _WIDE, {os.geteuid()}
    if given and path.absolute().is_relative_to(given):
        wide, owners = 0o027, owners | {0}
    if status.st_uid not in owners:
        raise TransportError(
            f"{what} {path} belongs to user {status.st_uid}, not to us ({os.geteuid()}): who made "
            "it knows the keys; use keys of your own, `hil keys new DIR` makes them"
        )
    if stat.S_IMODE(status.st_mode) & wide:
        mode = 700 if stat.S_ISDIR(status.st_mode) else 600
        raise TransportError(
            f"{what} {path} has mode {stat.S_IMODE(status.st_mode):04o}, others can read it: "
            f"run chmod {mode} {path}, or make new keys if they may have been read"
        )


def read_file(what: str, path: Path) -> str:
    """Return the text of a private file; the file that is checked is the one that is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            check_private(what, path, os.fstat(descriptor))
            return file.read(FILE_LIMIT_NBYTES).decode("ascii")
    except OSError as error:
        raise TransportError(
            f"{what} {path}: {error.strerror}: make the keys of this bench first, with "
            f"`hil keys new {path.parent}`"
        ) from None
    except UnicodeDecodeError:
        raise TransportError(f"{what} {path} is no text of ours: make new keys") from None


def read_private(path: Path) -> dict[str, str]:
    """Read ``name = key`` lines. Raises ``TransportError`` if others can read the file too."""
    text = read_file("key file", path)
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    keys = {name.strip(): key.strip() for name, _, key in pairs}
    for name, key in keys.items():
        if not is_key(key):
            raise TransportError(
                f"key file {path}: {name[:NAME_LIMIT_NCHARS]!r} is not a key of {KEY_NCHARS} "
                "characters: copy the file again, or make new keys"
            )
    return keys


def is_key(text: str) -> bool:
    """Tell whether a text is a CURVE key in Z85."""
    if len(text) != KEY_NCHARS or not text.isascii():
        return False
    try:
        return len(z85.decode(text)) == KEY_NCHARS * 4 // 5
    except (ValueError, KeyError, struct.error):
        return False


def make_keys(directory: Path) -> None:
    """Make the keys of a bench and of one participant in ``directory``; existing ones stay."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / SERVER).exists():
        return
    server_public, server_secret = _pair()
    public, secret = _pair()
    write_private(directory / ALLOWED, f"{public} {FIRST_CLIENT}\n")
    write_private(directory / CLIENT, client_file(public, secret, server_public))
    write_private(directory / SERVER, f"public = {server_public}\nsecret = {server_secret}\n")


def _pair() -> tuple[str, str]:
    """Return a public and a secret key."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def client_file(public: str, secret: str, server: str) -> str:
    """Return what a client's key file holds."""
    return f"public = {public}\nsecret = {secret}\nserver = {server}\n"


def allowed_clients(directory: Path) -> dict[str, str]:
    """Return the clients that may connect, public key to name.

    A line of a public key alone, as earlier versions wrote it, is that of ``client.key`` or a
    client without a name: it gets one of its first characters, so that it can be revoked.
    """
    found: dict[str, str] = {}
    for line in read_file("list", directory / ALLOWED).splitlines():
        key, _, name = line.strip().partition(" ")
        if is_key(key):
            name = name.strip()
            found[key] = name if _NAME.fullmatch(name) else _name_of(directory, key)
    return found


def _name_of(directory: Path, key: str) -> str:
    """Return the name of a client whose line has none."""
    with contextlib.suppress(TransportError):
        if read_private(directory / CLIENT).get("public") == key:
            return FIRST_CLIENT
    return f"key-{key.encode().hex()[:12]}"


def allowed_keys(directory: Path) -> frozenset[str]:
    """Return the public keys that may connect."""
    return frozenset(allowed_clients(directory))


# --- changing a folder ----------------------------------------------------------------------------


def check_folder(directory: Path) -> None:
    """Raise ``TransportError`` unless it is a folder of keys, ours, and nobody else's to enter."""
    try:
        status = directory.stat()
    except OSError as error:
        raise TransportError(
            f"key folder {directory}: {error.strerror}: make the keys first, with "
            f"`hil keys new {directory}`"
        ) from None
    check_private("key folder", directory, status)
    if not (directory / SERVER).exists():
        raise TransportError(
            f"key folder {directory} holds no {SERVER}: make the keys first, with "
            f"`hil keys new {directory}`"
        )


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep a second ``hil keys`` out while one changes the folder."""
    check_folder(directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _store(directory: Path, clients: Mapping[str, str]) -> None:
    """Replace the list as a whole: a bench that reads now sees the old one or the new one."""
    fresh = directory / f"{ALLOWED}.new"
    fresh.unlink(missing_ok=True)
    write_private(fresh, "".join(f"{key} {name}\n" for key, name in clients.items()))
    fresh.rename(directory / ALLOWED)


def checked_name(name: str) -> str:
    """Return a client's name if it can be one. Raises ``UsageError``."""
    if not _NAME.fullmatch(name) or f"{name}.key" == SERVER or name.startswith("key-"):
        raise UsageError(
            f"client name {name[:64]!r} cannot be: give 1 to {NAME_LIMIT_NCHARS} of a-z, 0-9, "
            ". _ and -, a letter or digit first, not 'server' and not beginning with 'key-'"
        )
    return name


def add_client(directory: Path, name: str, public: str | None = None) -> Path | None:
    """Let a client in from now on; return its key file, None if it has made its ``public`` itself.

    Raises ``UsageError`` for a name or key that is in use or is none.
    """
    checked_name(name)
    with _alone(directory):
        clients = allowed_clients(directory)
        path = directory / f"{name}.key"
        if name in clients.values() or path.exists():
            raise UsageError(
                f"client {name!r} is there already in {directory}: revoke it first with "
                f"`hil keys revoke {name}`, or take another name"
            )
        if public is not None:
            if not is_key(public) or public in clients:
                state = "is allowed already" if public in clients else "is none in Z85"
                raise UsageError(f"the public key of client {name!r} {state}: give its own")
            _store(directory, {**clients, public: name})
            return None
        server = read_private(directory / SERVER)["public"]
        public, secret = _pair()
        write_private(path, client_file(public, secret, server))
        _store(directory, {**clients, public: name})
        return path


def client_key(directory: Path, name: str) -> tuple[str, dict[str, str]]:
    """Return a client's public key and, where its key file is still here, the keys in it.

    Raises ``UsageError`` where no such client is allowed.
    """
    clients = allowed_clients(directory)
    for key, known in clients.items():
        if known == name:
            path = directory / f"{name}.key"
            return key, read_private(path) if path.exists() else {}
    names = ", ".join(sorted(clients.values())) or "none"
    raise UsageError(f"no client {name[:64]!r} in {directory}: there are {names}")


def revoke_client(directory: Path, name: str) -> str:
    """Let a client in no more, and remove its key file; return its public key."""
    with _alone(directory):
        key, _ = client_key(directory, name)
        clients = allowed_clients(directory)
        del clients[key]
        _store(directory, clients)
        (directory / f"{name}.key").unlink(missing_ok=True)
    return key


def export_client(directory: Path, name: str, out: Path) -> None:
    """Write a client's key file to ``out``, mode 0600, to be handed over."""
    check_folder(directory)
    _, keys = client_key(directory, name)
    if not keys:
        raise UsageError(
            f"client {name!r} made its keys itself, or they were taken away: nothing to export; "
            f"revoke it and add it again with `hil keys add {name}`"
        )
    try:
        write_private(out, client_file(keys["public"], keys["secret"], keys["server"]))
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}: give a file that is not there yet") from None
