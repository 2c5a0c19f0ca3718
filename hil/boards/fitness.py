"""Whether the board that answers is the one that was meant, and its supply holds.

Nothing here asks a board: :func:`misfit` reads its identity, :class:`ResetWatch` the times of its
resets.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from hil.boards.boardtype import BoardType
from hil.boards.lab import Instance
from hil.boards.protocol import Capability, Identity, ResetCause

SECOND_NS: Final = 1_000_000_000
#: So many resets within so long, and something is wrong with the board or its supply.
RESETS, WITHIN_NS = 3, 15 * SECOND_NS
#: How long a board that keeps resetting is left alone, doubled each time.
BACK_OFF_NS, BACK_OFF_LIMIT_NS = 5 * SECOND_NS, 60 * SECOND_NS
#: Nobody unplugs a board for these causes.
TROUBLED: Final = frozenset({ResetCause.BROWN_OUT, ResetCause.WATCHDOG, ResetCause.FAULT})

_CAPABILITY = {
    "i2c": Capability.I2C,
    "spi": Capability.SPI,
    "uart": Capability.UART,
    "gpio": Capability.GPIO,
    "can": Capability.CAN,
}
_REMEDY = {
    ResetCause.BROWN_OUT: "its supply dips: try another cable, hub or power source",
    ResetCause.WATCHDOG: "its firmware hangs: hil boards log shows what it says",
    ResetCause.FAULT: "its firmware crashes: hil boards log shows what it says",
}


def expected_firmware(instance: Instance) -> str:
    """Return the name of the firmware that answers for an instance."""
    if instance.emulate == "posix":
        return "hilwire-posix"  # stands in for any type
    return instance.type.firmware.name


def remedy(kind: BoardType, port: str) -> str:
    """Return the command that puts the right firmware on a board."""
    if kind.firmware.command(port, "") is None:
        return f"put {kind.firmware.name} on it"
    return f"hil boards flash --type {kind.name} --port {port}"


def misfit(instance: Instance, identity: Identity, port: str) -> str:
    """Return why a board is not what the instance asks for, with the remedy; '' if it is."""
    kind = instance.type
    wanted = expected_firmware(instance)
    flash = remedy(kind, port)
    has = f"firmware {identity.firmware!r} {identity.version_text}"
    if identity.firmware != wanted:
        return f"{port} has {has}, not {wanted!r}; {flash}"
    least = kind.firmware.least
    if identity.version[0] != least[0] or identity.version < least:
        text = ".".join(map(str, least))
        return f"{port} has {has}; the {kind.name} needs {text} or later of {least[0]}.x; {flash}"
    missing = [
        name for name in sorted(instance.needs) if _CAPABILITY[name] not in identity.capabilities
    ]
    if missing:
        return f"{port} has {has} without {', '.join(missing)}, which is bound to it; {flash}"
    return ""


def another_board(before: bytes | None, identity: Identity, port: str) -> str:
    """Return what is wrong where a board has come back with another uid; '' if it has not."""
    if before is None or not any(before) or identity.uid == before:
        return ""
    return (
        f"another board is plugged in at {port}: uid {identity.uid.hex()}, before it was "
        f"{before.hex()}; plug that one in, or say in lab.toml which is meant"
    )


class ResetWatch:
    """Counts the resets of one board, and tells when they come too often."""

    def __init__(self) -> None:
        self._times: deque[int] = deque()
        self._causes: deque[ResetCause] = deque()
        self._boot_id: int | None = None
        self._loops = 0

    def add(self, boot_id: int, cause: ResetCause, now_ns: int, in_session: bool) -> bool:
        """Take a boot that was seen; return whether it is another than the last, and unasked for.

        Power-on counts only ``in_session``: else the board was plugged in.
        """
        fresh = boot_id != self._boot_id
        known, self._boot_id = self._boot_id is not None, boot_id
        if not fresh or not known or not (in_session or cause in TROUBLED):
            return False
        self._times.append(now_ns)
        self._causes.append(cause)
        while now_ns - self._times[0] > WITHIN_NS:
            self._times.popleft()
            self._causes.popleft()
        return True

    def loop(self) -> tuple[str, int] | None:
        """Return what a loop of resets is and how long to leave the board alone, or None.

        The resets are forgotten then; the next loop is left alone twice as long.
        """
        if len(self._times) < RESETS:
            return None
        cause = max(set(self._causes), key=self._causes.count)
        count, seconds = len(self._times), (self._times[-1] - self._times[0]) / SECOND_NS
        self._times.clear()
        self._causes.clear()
        wait_ns = min(BACK_OFF_NS << self._loops, BACK_OFF_LIMIT_NS)
        self._loops = min(self._loops + 1, 8)
        name = cause.name.lower().replace("_", "-")
        advice = _REMEDY.get(cause, "look at its supply and its reset line")
        return f"reset {count} times in {seconds:.1f} s ({name}); {advice}", wait_ns

    def steady(self) -> None:
        """Note that the board has run for long: a new loop starts with a short wait."""
        self._loops = 0
