"""One GPIO line: who drives it and how, what pulls it, and the level that comes of it.

Push-pull drives both levels, open drain only low, open source only high. If nobody drives, a
resistor of the board decides, else the bias of the input, else the line reads low. Two push-pull
drivers on one line are a conflict, which reads low if either pulls low; so is a low against a high.

An input has the thresholds of a Schmitt trigger: a voltage between them leaves the level as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hil.parts.base import GPIODevice

PUSH_PULL: Final = "push_pull"
OPEN_DRAIN: Final = "open_drain"
OPEN_SOURCE: Final = "open_source"
DRIVES: Final = (PUSH_PULL, OPEN_DRAIN, OPEN_SOURCE)
BIASES: Final = {"none": -1, "pull_up": 1, "pull_down": 0}
EDGES: Final = {"none": (), "rising": (1,), "falling": (0,), "both": (0, 1)}


def driven(level: int, drive: str) -> int:
    """Return the level that a driver puts on the line, -1 when it lets go."""
    if (level == 1 and drive == OPEN_DRAIN) or (level == 0 and drive == OPEN_SOURCE):
        return -1
    return level


class Settings(NamedTuple):
    """How a user of the payload computer has asked for a line (``GPIO_V2_GET_LINE_IOCTL``)."""

    #: which edges of an input are reported: a key of ``EDGES``
    edges: str = "both"
    #: of an input: a key of ``BIASES``
    bias: str = "none"
    #: of an output: one of ``DRIVES``
    drive: str = PUSH_PULL
    #: an input must be stable for so long before its change is one
    debounce_ns: int = 0


class Line:
    """One line; the chip moves it."""

    __slots__ = (
        "board_pull",
        "changes",
        "level",
        "listeners",
        "parts",
        "payload",
        "reported",
        "settings",
        "user",
    )

    def __init__(self) -> None:
        self.level = 0
        self.payload = -1  # level set by the payload computer, -1: an input
        #: what each part puts on the line, by its name: (level or -1, push-pull or not)
        self.parts: dict[str, tuple[int, bool]] = {}
        self.listeners: list[tuple[GPIODevice, str]] = []
        self.settings = Settings()
        self.user = ""
        self.board_pull = -1
        #: level that a debounced input has reported last, and how often the pin has changed
        self.reported = 0
        self.changes = 0

    def resolve(self) -> tuple[int, bool]:
        """Return the level at the pin, and whether drivers fight over it."""
        strong = [level for level, _ in self.parts.values() if level >= 0]
        pushing = sum(push_pull for _, push_pull in self.parts.values())
        if self.payload >= 0:
            own = driven(self.payload, self.settings.drive)
            if own >= 0:
                strong.append(own)
                pushing += self.settings.drive == PUSH_PULL
        if strong:
            return min(strong), pushing > 1 or min(strong) != max(strong)
        pull = BIASES[self.settings.bias] if self.board_pull < 0 else self.board_pull
        return max(pull, 0), False
