"""What a packed run says of itself: what made it, how to fly it again, the hash of each file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hil.errors import CaptureError

NAME = "manifest.json"
FORMAT, VERSION = "flatsat-run", 1
#: hashes are BLAKE2b-256
DIGEST_NBYTES = 32
#: A run has a few dozen files; images and products may be hundreds.
MEMBERS_LIMIT = 20_000
MANIFEST_LIMIT_NBYTES = 8 << 20
NAME_LIMIT = 400


@dataclass(frozen=True)
class Member:
    """A file of the run: octets as it lies in the directory, and their hash as text."""

    nbytes: int
    blake2b: str


@dataclass(frozen=True)
class Manifest:
    """The table of a packed run."""

    members: Mapping[str, Member]
    #: facts of the installation that recorded it, see ``hil.provenance``
    made_by: Mapping[str, Any] = field(default_factory=dict)
    #: seed, options, command, program, digest
    run: Mapping[str, Any] = field(default_factory=dict)
    #: what lay in the directory and was not packed, with the reason
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Octets of all members together, unpacked."""
        return sum(member.nbytes for member in self.members.values())

    def as_json(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "format": FORMAT,
            "format_version": VERSION,
            "made_by": dict(self.made_by),
            "run": dict(self.run),
            "members": {
                name: {"nbytes": member.nbytes, "blake2b": member.blake2b}
                for name, member in sorted(self.members.items())
            },
            "left_out": dict(sorted(self.left_out.items())),
        }

    def encode(self) -> bytes:
        """Return it as the octets of the file: the same manifest, the same octets."""
        return json.dumps(self.as_json(), indent=1, sort_keys=True).encode() + b"\n"


def decode(octets: bytes, place: str) -> Manifest:
    """Return the manifest of a packed file; ``place`` is what complaints call it.

    Raises :class:`~hil.errors.CaptureError` for what is none, or of a version to come.
    """
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError) as wrong:
        raise CaptureError(f"{place}: the manifest is damaged: {wrong}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CaptureError(f"{place}: is no packed run: its manifest says something else")
    version = found.get("format_version")
    if version != VERSION:
        raise CaptureError(
            f"{place}: is packed in format version {str(version)[:16]}, this installation reads "
            f"{VERSION}; take the version of FlatSat that packed it, or a later one"
        )
    tables = [found.get(key, {}) for key in ("made_by", "run", "left_out")]
    if not all(isinstance(table, dict) for table in tables):
        raise CaptureError(f"{place}: the manifest is damaged: a table is none")
    return Manifest(_members(found.get("members"), place), *tables)


def _members(table: object, place: str) -> dict[str, Member]:
    """Return the members that a manifest lists."""
    if not isinstance(table, dict) or len(table) > MEMBERS_LIMIT:
        raise CaptureError(f"{place}: the manifest lists no members, or more than {MEMBERS_LIMIT}")
    found = {}
    for name, entry in table.items():
        reason = unsafe(name)
        if reason:
            raise CaptureError(f"{place}: member {name[:80]!r}: {reason}; nothing was unpacked")
        nbytes = entry.get("nbytes") if isinstance(entry, dict) else None
        digest = entry.get("blake2b") if isinstance(entry, dict) else None
        if not isinstance(nbytes, int) or isinstance(nbytes, bool) or not 0 <= nbytes < 1 << 63:
            raise CaptureError(f"{place}: member {name!r}: the manifest gives no size")
        if not isinstance(digest, str) or len(digest) != 2 * DIGEST_NBYTES:
            raise CaptureError(f"{place}: member {name!r}: the manifest gives no hash")
        found[name] = Member(nbytes, digest)
    return found


def unsafe(name: str) -> str:
    """Return why a file of this name is never unpacked; empty where it may be."""
    if not name or len(name) > NAME_LIMIT:
        return "has no name, or one that is too long"
    if name.startswith("/") or "\\" in name or ":" in name:
        return "its name is no relative path"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "its name leads out of the folder"
    if not name.isprintable():
        return "its name has signs that cannot be shown"
    if any(len(part.encode(errors="surrogatepass")) > 255 for part in name.split("/")):
        return "a part of its name is too long"
    return ""
