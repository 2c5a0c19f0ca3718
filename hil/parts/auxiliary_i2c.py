"""The auxiliary I2C controller inside an ICM-20948 (DS-000189 Rev 1.3, sections 5.4, 11).

In each round it serves slave 0 to 3, whose octets go one after the other into EXT_SLV_SENS_DATA,
and once, when it is told so, slave 4. Rounds come at the rate of I2C_MST_ODR_CONFIG while the
controller is duty-cycled (the reset value of LP_CONFIG), else with each sample. They are worked off
when somebody looks; of a long time in which nobody did, the last ones are enough.

Not modelled: the time that a round takes on the auxiliary bus, its clock and stops between reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from hil.parts.base import I2CTarget

#: bank 3
ODR_CONFIG, DELAY_CTRL, SLAVE0, SLAVE4 = 0x00, 0x02, 0x03, 0x13
_ADDR, _REG, _CTRL, _DO, _DI = range(5)
ENABLE, INT_ENABLE, SWAP, REGISTER_OFF, ODD_GROUPS, READ = 0x80, 0x40, 0x40, 0x20, 0x10, 0x80
#: I2C_MST_STATUS
SLAVE4_DONE, SLAVE4_NACK = 0x40, 0x10
BASE_NS = 909_091
#: rounds that decide what is to be seen: more than the delay of any slave
LAST_ROUNDS = 33
EXTERNAL_NBYTES = 24


class AuxiliaryI2C:
    """The engine over the registers of bank 3; it fills ``external`` and ``status``."""

    def __init__(self, registers: list[int], targets: Mapping[int, I2CTarget]) -> None:
        self.registers = registers
        self.targets = targets
        self.external = bytearray(EXTERNAL_NBYTES)
        self.status = 0
        #: slave 4 is done and wants an interrupt
        self.interrupt = False
        #: transactions that a slave did not acknowledge
        self.nacks = 0
        self._period_ns = 0
        self._start_ns = 0
        self._round = 0

    def start(self, t_ns: int, period_ns: int) -> None:
        """Have rounds come every ``period_ns`` from now on; 0 stops them."""
        if period_ns != self._period_ns:
            self._period_ns, self._start_ns, self._round = period_ns, t_ns, 0

    def reset(self) -> None:
        """Forget what is pending."""
        self.registers[SLAVE4 + _CTRL] &= ~ENABLE

    def run(self, t_ns: int) -> None:
        """Work off the rounds up to ``t_ns``."""
        if not self._period_ns:
            return
        due = (t_ns - self._start_ns) // self._period_ns
        if due <= self._round:
            return
        # Slave 4 acts once, in the first round after it was told; the rest goes on from there.
        first, self._round = self._round + 1, due
        self._serve_slave4(self._start_ns + first * self._period_ns)
        for number in range(max(first, due - LAST_ROUNDS), due + 1):
            self._serve_round(self._start_ns + number * self._period_ns, number)

    def _serve_round(self, t_ns: int, number: int) -> None:
        at = 0
        delay = 1 + (self.registers[SLAVE4 + _CTRL] & 0x1F)
        for slave in range(4):
            base = SLAVE0 + 4 * slave
            address, register, control, out = self.registers[base : base + 4]
            if not control & ENABLE:
                continue
            skipped = self.registers[DELAY_CTRL] >> slave & 1 and number % delay
            nread = control & 0x0F if address & READ else 0
            if not skipped:
                data = self._transfer(t_ns, address, register, control, out, nread)
                if data is None:
                    self.status |= 1 << slave
                    data = b"\xff" * nread
                if control & SWAP:
                    data = _swapped(data, bool(control & ODD_GROUPS) ^ bool(register & 1))
                self.external[at : at + nread] = data
                del self.external[EXTERNAL_NBYTES:]
            at += nread

    def _serve_slave4(self, t_ns: int) -> None:
        registers = self.registers
        address, register, control, out = registers[SLAVE4 : SLAVE4 + 4]
        if not control & ENABLE:
            return
        data = self._transfer(t_ns, address, register, control, out, int(bool(address & READ)))
        registers[SLAVE4 + _CTRL] &= ~ENABLE
        if data:
            registers[SLAVE4 + _DI] = data[0]
        self.status |= SLAVE4_DONE | (SLAVE4_NACK if data is None else 0)
        self.interrupt = bool(control & INT_ENABLE)

    def _transfer(
        self, t_ns: int, address: int, register: int, control: int, out: int, nread: int
    ) -> bytes | None:
        """Write ``out``, or read; None when the slave does not acknowledge."""
        target = self.targets.get(address & 0x7F)
        if target is None:
            self.nacks += 1
            return None
        head = b"" if control & REGISTER_OFF else bytes((register,))
        if not address & READ:
            target.i2c_write(t_ns, head + bytes((out,)))
        elif head:
            target.i2c_write(t_ns, head)
        data = target.i2c_read(t_ns, nread) if nread else b""
        target.i2c_stop(t_ns)
        return data


def _swapped(data: bytes, odd: bool) -> bytes:
    """Swap the octets of each word; ``odd``: words start at the second octet."""
    swapped = bytearray(data)
    for at in range(int(odd), len(data) - 1, 2):
        swapped[at], swapped[at + 1] = data[at + 1], data[at]
    return bytes(swapped)
