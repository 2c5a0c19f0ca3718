"""Tables of the cyclic redundancy checks that buses need, most significant bit first."""

from __future__ import annotations


def crc_table(width: int, polynomial: int) -> tuple[int, ...]:
    """Return what each octet makes of a register of ``width`` bits, 8 or more, that is zero."""
    top, mask = 1 << (width - 1), (1 << width) - 1
    table = []
    for octet in range(256):
        register = octet << (width - 8)
        for _ in range(8):
            register = (register << 1 & mask) ^ (polynomial & mask if register & top else 0)
        table.append(register)
    return tuple(table)
