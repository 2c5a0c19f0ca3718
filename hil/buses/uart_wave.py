"""The wave form of a serial line: what an octet looks like, and what a receiver makes of it.

How a receiver with other settings reads a line is not drawn: it follows from sampling the levels.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hil.errors import ConfigError

PARITIES: Final = ("N", "E", "O", "M", "S")
#: Two UARTs still understand each other while their rates differ by less than this share: half a
#: bit time over the ten bits of a frame, from edge to middle of the stop bit.
BAUD_TOLERANCE_PERCENT: Final = 5


class Setting(NamedTuple):
    """How one end of a line is set; ``stop_bits`` is 1, 1.5 or 2, ``parity`` N, E, O, M or S."""

    baud: int
    data_bits: int = 8
    parity: str = "N"
    stop_bits: float = 1

    @property
    def half_bits(self) -> int:
        """Half bit times of an octet: start, data, parity and stop."""
        return int(2 * (1 + self.data_bits + (self.parity != "N") + self.stop_bits))

    def time_ns(self, noctets: int) -> int:
        """Return how long ``noctets`` octets back to back take, nearest nanosecond."""
        return (noctets * self.half_bits * 1_000_000_000 + self.baud) // (2 * self.baud)

    def cut(self, data: bytes) -> bytes:
        """Return what of ``data`` goes on the line: the low bits of each octet."""
        if self.data_bits == 8:
            return data
        mask = (1 << self.data_bits) - 1
        return bytes(octet & mask for octet in data)


def checked(name: str, setting: Setting) -> Setting:
    """Return a setting that a UART can have. Raises :class:`~hil.errors.ConfigError` otherwise."""
    baud, data_bits, parity, stop_bits = setting
    if baud <= 0:
        raise ConfigError(f"uart {name}: {baud} baud: give a rate above 0")
    if data_bits not in (5, 6, 7, 8) or parity not in PARITIES:
        raise ConfigError(
            f"uart {name}: {data_bits}{parity}: no such line setting; give 5 to 8 bits and N, E, O"
        )
    if stop_bits not in (1, 1.5, 2):
        raise ConfigError(f"uart {name}: {stop_bits} stop bits; give 1, 1.5 or 2")
    return setting


def far_off(sent: Setting, read: Setting) -> bool:
    """Tell whether two rates are too far apart for each other."""
    return abs(sent.baud - read.baud) * 100 >= BAUD_TOLERANCE_PERCENT * read.baud


def understands(read: Setting, sent: Setting) -> bool:
    """Tell whether a receiver reads a sender without fail; stop bits only take their time."""
    return sent == read or (sent[1:3] == read[1:3] and not far_off(sent, read))


def resample(data: bytes, sent: Setting, read: Setting) -> tuple[bytes, int, int]:
    """Read the wave form of ``data`` with a receiver that is set otherwise.

    The receiver does what a UART does: it waits for a falling edge, samples the middle of each of
    its own bit times, and discards an octet whose stop bit reads low. One with wrong parity it
    hands on, as Linux does unless INPCK is set. Returns what it accepted, how many octets it
    discarded, and how many had wrong parity. The line idles high before and after.
    """
    wave = _wave(data, sent)
    # Positions in 1/(2 * read.baud) of a sent half bit keep the sampling exact: one receiver bit
    # is 2 * sent.baud of them, one wave sample (half a sent bit) is read.baud.
    bit, sample = 2 * sent.baud, read.baud
    nbits = read.data_bits + (read.parity != "N")
    accepted, discarded, odd = bytearray(), 0, 0
    i = 0
    while True:
        i = _falling_edge(wave, i)
        if i < 0:
            return bytes(accepted), discarded, odd
        start = i * sample
        levels = [
            _level(wave, (start + bit * (3 + 2 * k) // 2) // sample) for k in range(nbits + 1)
        ]
        value = sum(level << k for k, level in enumerate(levels[: read.data_bits]))
        if not levels[nbits]:
            discarded += 1
        else:
            accepted.append(value)
            odd += read.parity != "N" and levels[nbits - 1] != _parity(value, read.parity)
        i = (start + bit * (3 + 2 * nbits) // 2) // sample


def _parity(value: int, parity: str) -> int:
    """Return the parity bit of an octet: even, odd, mark (1) or space (0)."""
    if parity in "MS":
        return int(parity == "M")
    return (value.bit_count() & 1) ^ (parity == "O")


def _wave(data: bytes, setting: Setting) -> list[int]:
    """Return the line levels of ``data``, two samples a bit, least significant bit first."""
    wave = [1, 1]
    for octet in setting.cut(data):
        wave += (0, 0)
        for k in range(setting.data_bits):
            level = octet >> k & 1
            wave += (level, level)
        if setting.parity != "N":
            level = _parity(octet, setting.parity)
            wave += (level, level)
        wave += [1] * int(2 * setting.stop_bits)
    return wave


def _falling_edge(wave: list[int], at: int) -> int:
    """Return the index of the first low sample after a high one from ``at`` on, or -1."""
    last = len(wave) - 1
    while at < last:
        if wave[at] and not wave[at + 1]:
            return at + 1
        at += 1
    return -1


def _level(wave: list[int], at: int) -> int:
    return wave[at] if at < len(wave) else 1
