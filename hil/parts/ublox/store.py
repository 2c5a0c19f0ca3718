"""The layers of the configuration, and the messages that set, get and delete items.

u-blox M9 interface description (UBX-19035940), chapter "Configuration interface" and messages
UBX-CFG-VALSET, VALGET, VALDEL and UBX-CFG-CFG. What holds is in RAM; it is put together from the
defaults, the flash and the battery-backed RAM when the receiver starts, the later over the earlier.
A message that names an unknown key or a value that is not allowed changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hil.parts.ublox.items import ITEMS, KEYS, VALUE_NBYTES, Item

RAM, BBR, FLASH, DEFAULT = 0, 1, 2, 7
#: bits of the field ``layers`` of VALSET and VALDEL
LAYER_BITS: Final = {1: RAM, 2: BBR, 4: FLASH}
MAX_ITEMS: Final = 64
#: ``transaction`` of VALSET and VALDEL version 1: none, begin, go on, apply
NO_TRANSACTION, BEGIN, CONTINUE, APPLY = range(4)
#: Sub-sections of UBX-CFG-CFG by bit, as groups of items; what is in none goes with navConf.
SECTIONS: Final = {
    0: ("UART1", "I2C"),
    1: ("MSGOUT",),
    2: ("INFMSG",),
    10: ("TP",),
}
NAV_SECTION: Final = 3

Change = tuple[int, int | None]  # key, value; None: delete
Transaction = tuple[int, list[Change]]  # layers, changes


class Store:
    """The items of a receiver in their layers.

    ``flash`` is what was stored before the first start, by name; ``touch`` counts what has no
    effect; ``check(ram)`` says whether a whole set of values can be.
    """

    def __init__(self, flash: Mapping[str, int], touch: Callable[[str], None]) -> None:
        self.layers: dict[int, dict[int, int]] = {
            RAM: {},
            BBR: {},
            FLASH: {KEYS[name]: value for name, value in flash.items()},
        }
        self._touch = touch
        self._open: dict[bool, Transaction] = {}
        #: called when values in RAM have changed
        self.changed: Callable[[], None] = lambda: None
        self.check: Callable[[Mapping[int, int]], bool] = lambda ram: True
        self.start()

    def __getitem__(self, name: str) -> int:
        """Return the value that holds, by the name of the item without ``CFG-``."""
        return self.layers[RAM][KEYS[name]]

    def start(self) -> None:
        """Put RAM together as a start of the receiver does."""
        ram = {key: item.default for key, item in ITEMS.items()}
        self.layers[RAM] = ram | self.layers[FLASH] | self.layers[BBR]
        self._open.clear()
        self.changed()

    def preset(self, name: str, value: int) -> None:
        """Have a value in the flash from before the first start."""
        self.layers[FLASH][KEYS[name]] = value
        self.start()

    def set_all(self, values: Mapping[str, int], layers: int = 1) -> bool:
        """Set items by name, all or none; return whether they were taken."""
        return self._apply(layers, [(KEYS[name], value) for name, value in values.items()])

    # -- messages --------------------------------------------------------------------------------

    def valset(self, payload: bytes) -> bool:
        """Take UBX-CFG-VALSET; return whether it was accepted."""
        if len(payload) < 4:
            return False
        changes: list[Change] = []
        at = 4
        while at < len(payload):
            key = int.from_bytes(payload[at : at + 4], "little")
            end = at + 4 + VALUE_NBYTES.get(key >> 28 & 7, len(payload))
            if end > len(payload):
                return False
            changes.append((key, int.from_bytes(payload[at + 4 : end], "little")))
            at = end
        return self._take(payload, changes, 7, False)

    def valdel(self, payload: bytes) -> bool:
        """Take UBX-CFG-VALDEL: items of the battery-backed RAM or the flash go away."""
        keys = _keys(payload)
        if keys is None:
            return False
        changes: list[Change] = [(key, None) for wanted in keys for key in self._match(wanted)]
        known = all(any(True for _ in self._match(wanted)) for wanted in keys)
        return known and self._take(payload, changes, 6, True, len(keys))

    def valget(self, payload: bytes) -> bytes | None:
        """Return the answer to UBX-CFG-VALGET, None where it is refused."""
        keys = _keys(payload)
        if not keys or len(keys) > MAX_ITEMS or payload[0] != 0:
            return None
        layer = payload[1]
        if layer not in (RAM, BBR, FLASH, DEFAULT):
            return None
        position = int.from_bytes(payload[2:4], "little")
        found: list[Item] = []
        for wanted in keys:
            matched = list(self._match(wanted))
            if not matched:
                self._touch(f"configuration key {wanted:08X}")
                return None
            found += [ITEMS[key] for key in matched if self._value(layer, ITEMS[key]) is not None]
        if not found:
            return None
        return (
            b"\x01"
            + payload[1:4]
            + b"".join(
                item.key.to_bytes(4, "little") + self._octets(layer, item)
                for item in found[position : position + MAX_ITEMS]
            )
        )

    def cfg(self, payload: bytes) -> bool:
        """Take UBX-CFG-CFG: clear, save, load, in this order, by sub-section."""
        if len(payload) not in (12, 13):
            return False
        clear, save, load = (
            set(self._section(int.from_bytes(payload[at : at + 4], "little"))) for at in (0, 4, 8)
        )
        # deviceMask: bit 0 battery-backed RAM, bit 1 flash; without it, both
        devices = payload[12] if len(payload) == 13 else 3
        ram = self.layers[RAM]
        for bit, layer in ((1, BBR), (2, FLASH)):
            if devices & bit:
                kept = self.layers[layer]
                for key in clear:
                    kept.pop(key, None)
                kept |= {key: ram[key] for key in save}
        if load:
            stored = self.layers[FLASH] | self.layers[BBR]
            self.layers[RAM] = ram | {key: stored.get(key, ITEMS[key].default) for key in load}
            self.changed()
        return True

    # -- inside ----------------------------------------------------------------------------------

    def _value(self, layer: int, item: Item) -> int | None:
        return item.default if layer == DEFAULT else self.layers[layer].get(item.key)

    def _octets(self, layer: int, item: Item) -> bytes:
        value = self._value(layer, item)
        assert value is not None, "only items that the layer has are sent"
        return value.to_bytes(item.nbytes, "little")

    @staticmethod
    def _match(wanted: int) -> Iterator[int]:
        """Yield the keys that one stands for: itself, a group (item FFFFh), all (group FFFh)."""
        if wanted & 0xFFFF != 0xFFFF:
            yield from (wanted,) if wanted in ITEMS else ()
            return
        group = wanted >> 16 & 0xFFF
        yield from (key for key in sorted(ITEMS) if group in (0xFFF, key >> 16 & 0xFFF))

    @staticmethod
    def _section(mask: int) -> Iterator[int]:
        """Yield the keys of the sub-sections of a mask of UBX-CFG-CFG."""
        bits = {group: bit for bit, groups in SECTIONS.items() for group in groups}
        for key, item in ITEMS.items():
            group = item.name.split("-")[1].removesuffix("INPROT").removesuffix("OUTPROT")
            if mask >> bits.get(group, NAV_SECTION) & 1:
                yield key

    def _take(
        self, payload: bytes, changes: list[Change], layer_mask: int, deletes: bool, count: int = -1
    ) -> bool:
        """Apply changes at once, or keep them for the end of their transaction."""
        version, layers, transaction = payload[0], payload[1], payload[2]
        count = len(changes) if count < 0 else count
        if version > 1 or count > MAX_ITEMS or layers & ~layer_mask or not layers:
            self._open.pop(deletes, None)
            return False
        if version == 0 or transaction == NO_TRANSACTION:
            self._open.pop(deletes, None)
            return bool(changes) and self._apply(layers, changes)
        if transaction == BEGIN:
            self._open[deletes] = (layers, [])
        opened = self._open.get(deletes)
        good = opened is not None and opened[0] == layers and transaction <= APPLY
        if not good or not self._valid(changes):
            self._open.pop(deletes, None)
            return False
        assert opened is not None
        opened[1].extend(changes)
        if transaction != APPLY:
            return True
        del self._open[deletes]
        return self._apply(layers, opened[1])

    def _valid(self, changes: list[Change]) -> bool:
        for key, value in changes:
            item = ITEMS.get(key)
            if item is None:
                self._touch(f"configuration key {key:08X}")
                return False
            if value is not None and value not in item.allowed:
                self._touch(f"{item.name} set to {value}")
                return False
        return True

    def _apply(self, layers: int, changes: list[Change]) -> bool:
        """Make changes in the layers of a mask, all or none."""
        if not self._valid(changes):
            return False
        new = {key: value for key, value in changes if value is not None}
        if layers & 1 and not self.check(self.layers[RAM] | new):
            return False
        for bit, layer in LAYER_BITS.items():
            if layers & bit:
                kept = self.layers[layer]
                for key, value in changes:
                    if value is None:
                        kept.pop(key, None)
                    else:
                        if layer == RAM and not ITEMS[key].has_effect and kept[key] != value:
                            self._touch(f"{ITEMS[key].name} has no effect")
                        kept[key] = value
        if layers & 1:
            self.changed()
        return True


def _keys(payload: bytes) -> list[int] | None:
    """Return the keys of a VALGET or VALDEL, None for a malformed one."""
    if len(payload) < 4 or len(payload) % 4:
        return None
    return [int.from_bytes(payload[at : at + 4], "little") for at in range(4, len(payload), 4)]
