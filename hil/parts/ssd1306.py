"""Solomon Systech SSD1306: controller of a monochrome display of up to 128 by 64 pixels.

Source: data sheet SSD1306 Rev 1.1 (April 2008), sections 8.1 (I2C, four-wire SPI), 8.7 (memory), 9
(commands), 10 (their meaning), and the application note on the charge pump behind it.

:meth:`Ssd1306.image` is what one sees on the usual module, which is upright with the remapping of
A1h and C8h. Columns beyond the glass are cut in the middle, as modules wire them. Without its
charge pump, unless the board gives the voltage (``external_vcc``), the display stays dark.

Not modelled (touches are counted): scrolling, clock, precharge and VCOMH, COM pin hardware
configuration, brightness beyond the number, three-wire SPI, parallel interfaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hil.parts.base import Param, Part
from hil.parts.guide import Command, Guide
from hil.parts.limits import check_limits

COLUMNS, PAGES, ROWS = 128, 8, 64
HORIZONTAL, VERTICAL, PAGE = 0, 1, 2
#: octets that follow a command
ARGUMENTS = {
    **dict.fromkeys((0x20, 0x81, 0x8D, 0xA8, 0xAD, 0xD3, 0xD5, 0xD9, 0xDA, 0xDB), 1),
    **dict.fromkeys((0x21, 0x22, 0xA3), 2),
    **dict.fromkeys((0x29, 0x2A), 5),
    **dict.fromkeys((0x26, 0x27), 6),
}
#: commands that are taken and are to change nothing
SILENT = frozenset((0xE3, 0x2E))
#: settings of what drives the glass, which an image does not show
DRIVING = frozenset((0xAD, 0xD5, 0xD9, 0xDA, 0xDB))
SCROLLS = frozenset((0x26, 0x27, 0x29, 0x2A, 0x2F, 0xA3))


class Ssd1306(Part):
    """SSD1306 on I2C or on SPI with its pin D/C; the glass has ``width`` by ``height`` pixels."""

    PARAMS: ClassVar[Mapping[str, Param]] = {
        "width": Param(None, COLUMNS),
        "height": Param(None, ROWS),
        "external_vcc": Param(None, False),
    }
    PINS: ClassVar[Mapping[str, str]] = {"dc": "in", "reset": "in"}
    #: pin SA0, which is D/C (section 8.1.5)
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x3C, 0x3D)
    GUIDE: ClassVar[Guide] = Guide(
        commands={"status": Command(b"", 1, "bit 6: the display is off")},
        note="send 00af switches it on, send 00a5 lights every pixel; on SPI nothing comes back",
    )
    spi_modes: frozenset[int] = frozenset({0, 3})
    spi_max_hz = 10_000_000

    gpio_drive: Callable[[int, str, int], None]

    def __init__(
        self,
        name: str,
        seed: int = 0,
        width: int = COLUMNS,
        height: int = ROWS,
        external_vcc: bool = False,
    ) -> None:
        super().__init__(name, seed)
        check_limits(name, {"width": (width, 1, COLUMNS), "height": (height, 1, ROWS)})
        self.width, self.height, self.external_vcc = width, height, external_vcc
        #: octets of display memory: page, then column
        self.memory = np.zeros((PAGES, COLUMNS), np.uint8)
        self.counters = dict.fromkeys(("commands", "data", "cut", "unknown"), 0)
        self._data = False  # pin D/C
        self._held = False  # pin RES# is low
        self._reset()

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "counters": dict(self.counters)}

    def _reset(self) -> None:
        """Section 8.5: all but the display memory."""
        self.contrast = 0x7F
        self.display_on = self.inverted = self.all_on = self.charge_pump = False
        self._mode = PAGE
        self._columns, self._pages = (0, COLUMNS - 1), (0, PAGES - 1)
        self._column = self._page = 0
        self._column_remap = self._row_remap = False
        self._start_line = self._offset = 0
        self._multiplex = ROWS
        self._command: list[int] = []

    # World face -----------------------------------------------------------------------------------

    def image(self) -> NDArray[np.bool_]:
        """Return the lit pixels, shape (height, width), row 0 at the top."""
        if not self.display_on or not (self.charge_pump or self.external_vcc):
            return np.zeros((self.height, self.width), np.bool_)
        bits = np.unpackbits(self.memory, axis=0, bitorder="little").reshape(ROWS, COLUMNS)
        rows = (np.arange(self._multiplex) + self._offset + self._start_line) % ROWS
        seen = np.ones_like(bits[rows]) if self.all_on else bits[rows]
        if not self._row_remap:
            seen = seen[::-1]
        seen = seen[:, ::-1]
        left = (COLUMNS - self.width) // 2
        lit = np.zeros((self.height, self.width), np.bool_)
        shown = min(self._multiplex, self.height)
        lit[:shown] = (seen[:shown, left : left + self.width] ^ self.inverted).astype(np.bool_)
        return lit

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """See D/C or RES# change."""
        if pin == "dc":
            self._data = bool(level)
        else:
            self._held = not level
            self._reset()

    # Bus faces ------------------------------------------------------------------------------------

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Take control octets and what they announce (section 8.1.5.2)."""
        at = 0
        while at < len(data):
            control = data[at]
            if control & 0x3F:
                self.touch(f"control octet {control:02X}h")
            end = at + 2 if control & 0x80 else len(data)
            octets = data[at + 1 : end]
            if control & 0x40:
                self._write(octets)
            else:
                self._commands(octets)
            at = max(end, at + 1)
        return len(data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Serve the status: bit 6 says that the display is off."""
        return bytes((0x00 if self.display_on else 0x40,)) * nbytes

    def i2c_stop(self, t_ns: int) -> None:
        """See the stop condition: a command may go on in the next message."""

    def spi_select(self, t_ns: int) -> None:
        """See chip select become active."""

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Take data or commands, as the pin D/C says; nothing comes back."""
        if self._data:
            self._write(tx)
        else:
            self._commands(tx)
        return b"\xff" * len(tx)

    def spi_deselect(self, t_ns: int) -> None:
        """See chip select become inactive."""

    # Memory ---------------------------------------------------------------------------------------

    def _write(self, octets: bytes) -> None:
        """Write display memory and move the pointer (section 10.1.3)."""
        if self._held:
            return
        self.counters["data"] += len(octets)
        if self._command:
            self.counters["cut"] += 1
            self._command.clear()
        (left, right), (top, bottom) = self._columns, self._pages
        for octet in octets:
            column = COLUMNS - 1 - self._column if self._column_remap else self._column
            self.memory[self._page, column] = octet
            if self._mode == PAGE:
                self._column = (self._column + 1) % COLUMNS
            elif self._mode == HORIZONTAL:
                at_end = self._column == right
                self._column = left if at_end else (self._column + 1) % COLUMNS
                if at_end:
                    self._page = top if self._page == bottom else (self._page + 1) % PAGES
            else:
                at_end = self._page == bottom
                self._page = top if at_end else (self._page + 1) % PAGES
                if at_end:
                    self._column = left if self._column == right else (self._column + 1) % COLUMNS

    # Commands -------------------------------------------------------------------------------------

    def _commands(self, octets: bytes) -> None:
        if self._held:
            return
        for octet in octets:
            self._command.append(octet)
            if len(self._command) > ARGUMENTS.get(self._command[0], 0):
                self.counters["commands"] += 1
                self._act(self._command[0], self._command[1:])
                self._command.clear()

    def _act(self, code: int, given: list[int]) -> None:
        """Run one command (table 9-1)."""
        if code in SCROLLS:
            self.touch(f"scroll {code:02X}h")
        elif code in DRIVING:
            self.touch(f"setting {code:02X}h")
        elif code < 0x20:
            if self._mode == PAGE:
                low, high = self._column & 0x0F, self._column & 0xF0
                self._column = (code & 7) << 4 | low if code & 0x10 else high | code & 0x0F
        elif 0x40 <= code < 0x80:
            self._start_line = code & 0x3F
        elif 0xB0 <= code < 0xB8:
            if self._mode == PAGE:
                self._page = code & 7
        elif code & 0xF0 == 0xC0:
            self._row_remap = bool(code & 8)
        elif code in (0x20, 0x21, 0x22, 0xA8, 0xD3):
            self._place(code, given)
        elif code in (0x81, 0x8D):
            if code == 0x81:
                self.contrast = given[0]
            else:
                self.charge_pump = bool(given[0] & 4)
        elif code in (0xA0, 0xA1):
            self._column_remap = bool(code & 1)
        elif code in (0xA4, 0xA5):
            self.all_on = bool(code & 1)
        elif code in (0xA6, 0xA7):
            self.inverted = bool(code & 1)
        elif code in (0xAE, 0xAF):
            self.display_on = bool(code & 1)
        elif code not in SILENT:
            self.counters["unknown"] += 1
            self.touch(f"command {code:02X}h")

    def _place(self, code: int, given: list[int]) -> None:
        """Run a command that says where things are."""
        if code == 0x20:
            self._mode = min(given[0] & 3, PAGE)
        elif code == 0x21:
            self._columns = given[0] & 0x7F, given[1] & 0x7F
            self._column = self._columns[0]
        elif code == 0x22:
            self._pages = given[0] & 7, given[1] & 7
            self._page = self._pages[0]
        elif code == 0xA8:
            self._multiplex = max((given[0] & 0x3F) + 1, 16)
        else:
            self._offset = given[0] & 0x3F
