"""The throttle word of a Raspberry Pi: whether its firmware holds the clock down, and why.

Three ways to it, the first that is there: the firmware's own file below /sys (kernels of Raspberry
Pi OS), the property mailbox through /dev/vcio, the program ``vcgencmd``. Without any the alarm of
the driver ``raspberrypi-hwmon`` still tells under-voltage. Sources: Raspberry Pi documentation,
"vcgencmd get_throttled"; the mailbox property interface, tag 0x00030046. The value that goes with
the tag clears the bits kept since boot that it names; 0 clears none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

from flightsw.computer.reading import (
    Absent,
    Reading,
    Result,
    Unreadable,
    folders,
    number_of,
    reading,
    text_of,
)

#: bits that hold now; each is 16 places higher once it has held since boot
BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_MODEL = "sys/firmware/devicetree/base/model"
_FILES = "sys/devices/platform/soc*/soc*firmware/get_throttled"
_TAG, _SUCCESS = 0x0003_0046, 0x8000_0000
#: _IOWR(100, 0, char *), whose size is that of a pointer
_IOCTL = 3 << 30 | struct.calcsize("P") << 16 | 100 << 8
#: length, request, tag, room for the value, length of the value, value, end tag
_MESSAGE = struct.Struct("=7I")
_PATIENCE_S = 2.0


def is_pi(root: Path) -> bool:
    """Tell whether the device tree names a Raspberry Pi."""
    try:
        return "Raspberry Pi" in text_of(root / _MODEL)
    except Unreadable:
        return False


def throttled(root: Path = Path("/")) -> Result:
    """Return the throttle word."""
    name = "pi.throttled"
    for path in folders(root, _FILES):
        return reading(name, path, "bits", base=16)
    vcio = root / "dev/vcio"
    if vcio.exists():
        return _by_mailbox(name, vcio)
    program = shutil.which("vcgencmd") if root == Path("/") else None
    if program is not None and is_pi(root):
        return _by_vcgencmd(name, program)
    if not is_pi(root):
        return Absent(name, "this is no Raspberry Pi")
    return Absent(name, "there is no get_throttled below /sys, no /dev/vcio and no vcgencmd")


def under_voltage(root: Path = Path("/")) -> Result:
    """Return the under-voltage alarm of raspberrypi-hwmon, 1 while it holds."""
    name = "pi.under_voltage"
    for folder in folders(root, "sys/class/hwmon/hwmon*"):
        try:
            if text_of(folder / "name") == "rpi_volt":
                return Reading(name, number_of(folder / "in0_lcrit_alarm"), "")
        except Unreadable as why:
            return Absent(name, str(why))
    return Absent(name, "no sensor of /sys/class/hwmon is called rpi_volt")


def request() -> bytes:
    """Return the message that asks the firmware for the throttle word and clears nothing."""
    return _MESSAGE.pack(_MESSAGE.size, 0, _TAG, 4, 0, 0, 0)


def answer(message: bytes) -> int:
    """Return the throttle word of the firmware's answer. Raises Unreadable."""
    size, code, tag, _, length, value, _ = _MESSAGE.unpack(message)
    # The top bit of the length says that the firmware knew the tag.
    if size != _MESSAGE.size or code != _SUCCESS or tag != _TAG or length != _SUCCESS | 4:
        raise Unreadable(f"the firmware answers {code:#x} to the tag {_TAG:#x}")
    return int(value)


def _by_mailbox(name: str, vcio: Path) -> Result:
    message = bytearray(request())
    try:
        descriptor = os.open(vcio, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _IOCTL, message)
        finally:
            os.close(descriptor)
        return Reading(name, answer(bytes(message)), "bits")
    except OSError as error:
        return Absent(name, f"{vcio} refuses ({error.strerror})")
    except Unreadable as why:
        return Absent(name, str(why))


def _by_vcgencmd(name: str, program: str) -> Result:
    try:
        done = subprocess.run(  # noqa: S603 - found in the path of who runs us
            [program, "get_throttled"],
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Absent(name, f"vcgencmd does not answer ({error})")
    said = done.stdout[:80].decode("ascii", "replace").strip()
    key, _, word = said.partition("=")
    try:
        if key != "throttled":
            raise ValueError
        return Reading(name, int(word, 16), "bits")
    except ValueError:
        return Absent(name, f"vcgencmd says {said[:40]!r}")


def told(word: int) -> str:
    """Return what a throttle word means, for people."""
    now = [text for bit, text in BITS.items() if word >> bit & 1]
    since = [text for bit, text in BITS.items() if word >> bit + 16 & 1]
    return f"now: {', '.join(now) or 'nothing'}; since boot: {', '.join(since) or 'nothing'}"
