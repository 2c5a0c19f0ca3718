"""The look-alike of smbus2 against smbus2 itself, which runs here on a kernel's end of its ioctls.

:class:`Kernel` takes smbus2's C structures apart as ``drivers/i2c/i2c-dev.c`` and
``i2c_smbus_xfer_emulated`` do, and puts the messages on a bus. Whatever call is made, both must
put the same octets on their buses and give the caller the same answer.
"""

from __future__ import annotations

import ctypes
import errno
import inspect
import os
from typing import Any

import pytest
import smbus2
import smbus2.smbus2 as real
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.wire import Status
from hil.buses.adapters import errno_for
from hil.buses.i2c import I2CBus
from hil.buses.i2c_messages import LENGTH_FIRST
from hil.faces import smbus2 as face
from hil.testing.contracts.bus import I2CMemory

ADDRESS, ABSENT = 0x50, 0x51


class Wire:
    """A memory on a bus, and what went over it."""

    def __init__(self) -> None:
        self.bus = I2CBus("i2c-1", 400_000, "ideal")
        self.bus.attach(ADDRESS, I2CMemory())
        self.seen: list[list[tuple[int, int, bytes | int]]] = []

    def messages(self, messages: list[tuple[int, int, bytes | int]]) -> list[bytes]:
        self.seen.append(messages)
        status, _, data = self.bus.transfer_messages(0, messages)
        if status != Status.OK:
            code = errno_for("ideal", status)
            raise OSError(code, os.strerror(code))
        return data

    def transfer(self, address: int, write: bytes, nread: int) -> bytes:
        messages: list[tuple[int, int, bytes | int]] = []
        if write or not nread:
            messages.append((address, 0, write))
        if nread:
            messages.append((address, 1, nread))
        return b"".join(self.messages(messages))


def pec_of(octets: bytes) -> int:
    """x8 + x2 + x + 1, by long division."""
    rest = int.from_bytes(octets) << 8
    for shift in range(8 * len(octets) - 1, -1, -1):
        if rest >> shift + 8 & 1:
            rest ^= 0x107 << shift
    return rest


class Kernel:
    """The other end of the ioctls."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.address, self.pec = wire, 0, 0

    def ioctl(self, fd: int, request: int, argument: Any) -> None:
        os.fstat(fd)  # what fcntl.ioctl raises for something that is no descriptor
        if request in (real.I2C_SLAVE, real.I2C_SLAVE_FORCE):
            if not 0 <= argument <= 0x7F:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            self.address = argument
        elif request == real.I2C_FUNCS:
            argument.value = int(face.I2cFunc.I2C | face.I2cFunc.SMBUS_EMUL)
        elif request == real.I2C_PEC:
            self.pec = argument
        elif request == real.I2C_SMBUS:
            self.smbus(argument.read_write, argument.command, argument.size, argument.data.contents)
        elif request == real.I2C_RDWR:
            self.rdwr(argument)
        else:
            pytest.fail(f"ioctl {request:#x} is not one of smbus2's")

    def smbus(self, read: int, command: int, size: int, data: Any) -> None:
        block = bytes(data.block[1 : 1 + data.block[0]])
        out, nread = {
            real.I2C_SMBUS_QUICK: (b"", 0),
            real.I2C_SMBUS_BYTE: (b"" if read else bytes((command,)), read),
            real.I2C_SMBUS_BYTE_DATA: (bytes((command, *([] if read else [data.byte]))), read),
            real.I2C_SMBUS_WORD_DATA: (
                bytes((command,)) + (b"" if read else data.word.to_bytes(2, "little")),
                2 * read,
            ),
            real.I2C_SMBUS_PROC_CALL: (bytes((command,)) + data.word.to_bytes(2, "little"), 2),
            real.I2C_SMBUS_BLOCK_DATA: (
                bytes((command,)) + (b"" if read else bytes((len(block),)) + block),
                -read,
            ),
            real.I2C_SMBUS_BLOCK_PROC_CALL: (bytes((command, len(block))) + block, -1),
            real.I2C_SMBUS_I2C_BLOCK_DATA: (
                bytes((command,)) + (b"" if read else block),
                data.block[0] * read,
            ),
        }[size]
        plain = (real.I2C_SMBUS_QUICK, real.I2C_SMBUS_I2C_BLOCK_DATA)
        pec = self.pec and size not in plain
        head = bytes((self.address << 1,)) + out if out else b""
        if pec and not nread:
            out += bytes((pec_of(head),))
        if nread < 0:
            flags = 1 | LENGTH_FIRST
            got = self.wire.messages([(self.address, 0, out), (self.address, flags, 1 + bool(pec))])
            got = got[0]
        else:
            got = self.wire.transfer(self.address, out, nread + bool(pec and nread))
        if pec and nread:
            if pec_of(head + bytes((self.address << 1 | 1,)) + got[:-1]) != got[-1]:
                raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
            got = got[:-1]
        if nread < 0:
            data.block[0 : len(got)] = list(got)
        elif size == real.I2C_SMBUS_I2C_BLOCK_DATA and read:
            data.block[1 : 1 + len(got)] = list(got)
        elif nread == 2:
            data.word = int.from_bytes(got, "little")
        elif nread:
            data.byte = got[0]

    def rdwr(self, argument: Any) -> None:
        if not 0 < argument.nmsgs <= 42:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        messages = [argument.msgs[n] for n in range(argument.nmsgs)]
        got = self.wire.messages(
            [
                (m.addr, m.flags, m.len if m.flags & 1 else ctypes.string_at(m.buf, m.len))
                for m in messages
            ]
        )
        for message, octets in zip((m for m in messages if m.flags & 1), got, strict=True):
            ctypes.memmove(message.buf, octets, len(octets))


octet = st.integers(-3, 300)
block = st.lists(st.integers(0, 255), max_size=34)
address = st.sampled_from([ADDRESS, ADDRESS, ADDRESS, ABSENT, 0x90])
CALLS = {
    "write_quick": (),
    "read_byte": (),
    "write_byte": (octet,),
    "read_byte_data": (octet,),
    "write_byte_data": (octet, octet),
    "read_word_data": (octet,),
    "write_word_data": (octet, st.integers(-3, 70_000)),
    "process_call": (octet, st.integers(0, 0xFFFF)),
    "read_block_data": (octet,),
    "write_block_data": (octet, block),
    "block_process_call": (octet, block),
    "read_i2c_block_data": (octet, st.integers(1, 34)),
    "write_i2c_block_data": (octet, block),
}
call = st.sampled_from(sorted(CALLS)).flatmap(
    lambda name: st.tuples(st.just(name), address, *CALLS[name])
)
messages = st.lists(
    st.tuples(
        st.sampled_from([ADDRESS, ADDRESS, ABSENT]), st.one_of(st.integers(1, 8), st.binary())
    ),
    max_size=5,
)


def outcome(do: Any) -> tuple[Any, Any]:
    """Return what a call gives back, or the kind and number of what it raises."""
    try:
        return "value", do()
    except OSError as error:
        return "OSError", error.errno
    except ValueError as error:
        return "ValueError", str(error)


@pytest.fixture
def ioctls(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A patch that puts a kernel under smbus2."""
    return monkeypatch


def both(patch: pytest.MonkeyPatch) -> tuple[Wire, Any, Wire, Any]:
    """Return smbus2's bus and ours, each on a memory of its own."""
    ours, theirs = Wire(), Wire()
    patch.setattr(real, "ioctl", Kernel(theirs).ioctl)
    module = face.look_alike({1: face.Adapter(ours.transfer, ours.messages)})
    return theirs, smbus2.SMBus("/dev/null"), ours, module.SMBus(1)


@settings(max_examples=150, deadline=None)
@given(calls=st.lists(call, min_size=1, max_size=12), pec=st.booleans())
def test_calls(calls: list[tuple[Any, ...]], pec: bool) -> None:
    """Every call, with values in range and out of it: the same octets, answers and errors."""
    with pytest.MonkeyPatch.context() as patch:
        theirs, their_bus, ours, our_bus = both(patch)
        their_bus.pec = our_bus.pec = pec
        for name, *arguments in calls:
            expected = outcome(lambda n=name, a=arguments: getattr(their_bus, n)(*a))
            assert outcome(lambda n=name, a=arguments: getattr(our_bus, n)(*a)) == expected
            assert ours.seen == theirs.seen
        their_bus.close()


@settings(max_examples=150, deadline=None)
@given(rows=messages)
def test_rdwr(rows: list[tuple[int, int | bytes]]) -> None:
    """Combined transactions of any shape: the same octets, answers, errors and contents."""
    with pytest.MonkeyPatch.context() as patch:
        theirs, their_bus, ours, our_bus = both(patch)
        their_messages, our_messages = (
            [kind.read(a, w) if isinstance(w, int) else kind.write(a, w) for a, w in rows]
            for kind in (smbus2.i2c_msg, face.i2c_msg)
        )
        expected = outcome(lambda: their_bus.i2c_rdwr(*their_messages))
        assert outcome(lambda: our_bus.i2c_rdwr(*our_messages)) == expected
        assert ours.seen == theirs.seen
        for one, other in zip(our_messages, their_messages, strict=True):
            assert (bytes(one), list(one), len(one), str(one), repr(one)) == (
                *(bytes(other), list(other), len(other), str(other), repr(other)),
            )
            assert [one.buf[n] for n in range(one.len)] == [other.buf[n] for n in range(one.len)]
        their_bus.close()


def test_the_public_methods_are_smbus2s() -> None:
    """Every public method of SMBus and i2c_msg is there, with the same parameters and defaults."""
    for theirs, ours in ((smbus2.SMBus, face.SMBus), (smbus2.i2c_msg, face.i2c_msg)):
        for name, method in inspect.getmembers(theirs, callable):
            if name.startswith("_"):
                continue
            there = inspect.signature(method).parameters.values()
            here = inspect.signature(getattr(ours, name)).parameters.values()
            assert [(p.name, p.default, p.kind) for p in here] == [
                (p.name, p.default, p.kind) for p in there
            ], name
    for flag in smbus2.I2cFunc:
        assert face.I2cFunc[flag.name] == flag


def test_opening_and_closing(ioctls: pytest.MonkeyPatch) -> None:
    """A bus that is not there is ENOENT, a closed one TypeError; with closes; PEC needs support."""
    _, their_bus, wire, our_bus = both(ioctls)
    for bus in (their_bus, our_bus):
        with bus as entered:
            assert entered.read_byte_data(ADDRESS, 3) == 3
            assert entered.funcs & face.I2cFunc.SMBUS_PEC
        bus.close()
        with pytest.raises(TypeError):
            bus.read_byte(ADDRESS)
    module = face.look_alike({1: face.Adapter(wire.transfer, funcs=1)})
    for kind in (smbus2.SMBus, module.SMBus):
        with pytest.raises(FileNotFoundError):
            kind("/dev/i2c-77")
        with pytest.raises(TypeError):
            kind(1.5)
        assert kind().fd is None
    with pytest.raises(OSError, match="SMBUS_PEC is not a feature"):
        module.SMBus(1).enable_pec()
    with pytest.raises(OSError, match="supported"):
        module.SMBus("/dev/i2c-1").i2c_rdwr(*[face.i2c_msg.read(ADDRESS, 1)] * 2)
    simple = face.look_alike({1: face.Adapter(wire.transfer)}).SMBus(1)
    with pytest.raises(OSError, match="supported"):
        simple.read_block_data(ADDRESS, 3)
    assert our_bus.fd is None


def test_installed_stands_in_for_the_module() -> None:
    """Inside ``installed`` importing smbus2 finds the look-alike, afterwards the module itself."""
    wire = Wire()
    with face.installed({1: face.Adapter(wire.transfer)}, "smbus2", "smbus"):
        import smbus  # ours: there need not be another
        import smbus2 as inside

        assert inside.SMBus(1).read_word_data(ADDRESS, 0x10) == 0x1110
        assert smbus.SMBus(1).read_byte(ADDRESS) == 0x12
    import smbus2 as outside

    assert outside is smbus2
