"""Where ports come from, which of them is whose, and why one cannot be opened."""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hil.boards.boardtype import load_type
from hil.boards.cable import Cable
from hil.boards.host import Host
from hil.boards.identity import PortInfo, Wanted, match_ports
from hil.boards.lab import Instance
from hil.boards.opening import PortError, holders, open_port
from hil.boards.ports import (
    FolderPorts,
    JoinedPorts,
    MachinePorts,
    PortRegistry,
    emulated_port,
    ports_folder,
)
from hil.boards.session import Session, State
from tests.hil.boards.cabled import Holder
from tests.hil.boards.plantedhost import UNO, PlantedHost

UNO_TYPE, POSIX = load_type("uno"), load_type("posix")


@pytest.fixture
def planted(tmp_path: Path) -> PlantedHost:
    """Return a host laid out as files, with nothing plugged in."""
    return PlantedHost(tmp_path)


def machine(planted: PlantedHost) -> MachinePorts:
    """Return the ports of a laid-out host."""
    return MachinePorts(lambda: Host(planted.root))


# --- listing --------------------------------------------------------------------------------------


def test_a_usb_port_has_its_whole_identity(planted: PlantedHost) -> None:
    """Numbers, serial, interface, socket, driver and product are read from where sysfs has them."""
    usb = planted.usb(UNO, "1-1.3")
    where = "sys/devices/pci0000:00/usb1/1-1.3"
    planted.put(f"{where}/serial", "5573 \n")
    planted.put(f"{where}/product", "Arduino Uno\n")
    planted.port("ttyACM0", usb)
    planted.put(f"{where}/1-1.3:1.0/bInterfaceNumber", "02\n")
    (planted.root / "sys/bus/usb/drivers/cdc_acm").mkdir(parents=True)
    planted.link(f"{where}/1-1.3:1.0/driver", planted.root / "sys/bus/usb/drivers/cdc_acm")
    (port,) = machine(planted).ports()
    assert (port.vid, port.pid, port.serial, port.interface) == (0x2341, 0x0043, "5573", 2)
    assert (port.usb_path, port.driver, port.product) == ("1-1.3", "cdc_acm", "Arduino Uno")
    assert port.path == str(planted.root / "dev/ttyACM0")
    assert port.device is None
    assert port.arrival


def test_a_uart_of_the_computer_has_the_name_of_its_bus(planted: PlantedHost) -> None:
    """A UART of a Pi or a Jetson is known by its device, however deep its port hangs below it."""
    for name, below in (("ttyAMA0", ""), ("ttyTHS1", "/fe201000.serial:0/fe201000.serial:0.0")):
        folder = planted.root / f"sys/devices/platform/fe201000.serial{below}"
        folder.mkdir(parents=True)
        planted.port(name)
        planted.link(f"sys/class/tty/{name}/device", folder)
    ports = machine(planted).ports()
    assert [port.device for port in ports] == ["fe201000.serial"] * 2
    assert not any(port.is_usb for port in ports)


def test_a_pc_shows_only_uarts_that_are_there(planted: PlantedHost) -> None:
    """Of the 32 ttyS of a PC those without a chip are left out, and USB comes first."""
    for number, kind in ((0, "4"), (1, "0")):
        planted.port(f"ttyS{number}")
        planted.put(f"sys/class/tty/ttyS{number}/type", kind + "\n")
    planted.port("ttyUSB0", planted.usb(UNO))
    assert [Path(port.path).name for port in machine(planted).ports()] == ["ttyUSB0", "ttyS0"]


def test_the_token_of_the_machine_changes_with_its_ports(planted: PlantedHost) -> None:
    """Whoever waits for a board asks for the token alone until it is another."""
    ports = machine(planted)
    before = ports.token()
    assert ports.token() == before
    planted.port("ttyACM0", planted.usb(UNO))
    assert ports.token() != before


def test_this_machine_can_be_listed() -> None:
    """Sysfs of the machine that runs the tests is read without an error."""
    ports = MachinePorts()
    assert ports.token() == ports.token()
    assert all(port.path.startswith("/dev/tty") for port in ports.ports())


def test_a_registry_tells_one_arrival_from_the_next() -> None:
    """What is plugged in again under the same name is not taken for what was there before."""
    ports = PortRegistry()
    ports.plug(PortInfo("/dev/pts/1"))
    (first,), token = ports.ports(), ports.token()
    ports.pull("/dev/pts/1")
    ports.pull("/dev/pts/1")
    assert ports.ports() == []
    ports.plug(PortInfo("/dev/pts/1"))
    (second,) = ports.ports()
    assert first.arrival != second.arrival
    assert ports.token() != token


def test_programs_show_each_other_their_ports(tmp_path: Path) -> None:
    """A port that one program shows is listed by another, until it is pulled."""
    here, there = FolderPorts(tmp_path / "ports"), FolderPorts(tmp_path / "ports")
    assert there.ports() == []
    before = there.token()
    tty = tmp_path / "tty"
    tty.touch()
    here.plug(PortInfo(str(tty), 0x2341, 0x0043, usb_path="1-1"))
    assert there.token() != before
    (port,) = there.ports()
    assert (port.path, port.vid, port.usb_path) == (str(tty), 0x2341, "1-1")
    assert stat.S_IMODE(here.folder.stat().st_mode) == 0o700
    here.pull(str(tty))
    here.pull(str(tty))
    assert there.ports() == []


def test_what_is_no_port_is_counted(tmp_path: Path) -> None:
    """Files that are none, ports whose program has ended and folders of others are not believed."""
    ports = FolderPorts(tmp_path)
    tmp_path.chmod(0o700)
    (tmp_path / "a.port.json").write_text("not json")
    (tmp_path / "b.port.json").write_text('{"owner": 1, "colour": "red"}')
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    row = {"owner": ended.pid, "path": str(tmp_path)}
    (tmp_path / "c.port.json").write_text(json.dumps(row))
    assert ports.ports() == []
    assert ports.counters == {"unreadable": 2, "stale": 1, "not_ours": 0}
    tmp_path.chmod(0o722)
    assert ports.ports() == []
    assert ports.counters["not_ours"] == 1
    tmp_path.chmod(0o700)


def test_the_folder_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HIL_PORTS goes before the runtime folder, and that before the temporary one."""
    monkeypatch.setenv("HIL_PORTS", str(tmp_path / "x"))
    assert ports_folder() == tmp_path / "x"
    monkeypatch.delenv("HIL_PORTS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert ports_folder() == tmp_path / "hil-ports"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    assert ports_folder().name == f"hil-ports-{os.geteuid()}"


def test_sources_are_joined_in_order() -> None:
    """A path that two sources list is listed once, as the first has it."""
    one, other = PortRegistry(), PortRegistry()
    one.plug(PortInfo("/dev/pts/1", serial="one"))
    other.plug(PortInfo("/dev/pts/1", serial="other"))
    other.plug(PortInfo("/dev/pts/2"))
    joined = JoinedPorts(one, other)
    assert [port.serial for port in joined.ports()] == ["one", None]
    before = joined.token()
    other.pull("/dev/pts/2")
    assert joined.token() != before


# --- matching -------------------------------------------------------------------------------------

TWO = (
    PortInfo("/dev/ttyACM0", 0x2341, 0x0043, serial="A", interface=0, usb_path="1-1"),
    PortInfo("/dev/ttyACM1", 0x2341, 0x0043, serial="B", interface=0, usb_path="1-2"),
)
PLAIN = PortInfo("/dev/ttyAMA0", device="fe201000.serial")
BRIDGE = PortInfo("/dev/ttyUSB0", 0x10C4, 0xEA60, usb_path="1-3")


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (Wanted(usb_serial="B"), "/dev/ttyACM1"),
        (Wanted(usb_serial="B", interface=0), "/dev/ttyACM1"),
        (Wanted(usb_path="1-1"), "/dev/ttyACM0"),
        (Wanted(usb_path="1-3"), "/dev/ttyUSB0"),
        (Wanted(device="fe201000.serial"), "/dev/ttyAMA0"),
        (Wanted(port="/dev/ttyUSB0"), "/dev/ttyUSB0"),
        (Wanted(port="/dev/pts/9"), "/dev/pts/9"),
    ],
)
def test_one_port_fits(wanted: Wanted, path: str) -> None:
    """Serial, socket, device or the user's own word single one port out."""
    match = match_ports(wanted, UNO_TYPE, (*TWO, PLAIN, BRIDGE))
    assert [port.path for port in match.ports] == [path]
    assert match.is_sure


def test_an_interface_tells_ports_of_one_device_apart() -> None:
    """A probe with two ports and one serial number needs the interface; the error says so."""
    ports = [replace(TWO[0], interface=0), replace(TWO[0], path="/dev/ttyACM1", interface=2)]
    match = match_ports(Wanted(usb_serial="A"), UNO_TYPE, ports)
    assert match.ambiguous
    assert "say interface in lab.toml" in match.why
    assert match_ports(Wanted(usb_serial="A", interface=2), UNO_TYPE, ports).is_sure


def test_more_than_one_port_is_none() -> None:
    """What fits two ports fits neither: both are listed with what tells them apart."""
    match = match_ports(Wanted(), UNO_TYPE, (*TWO, PLAIN, BRIDGE))
    assert match.ambiguous
    for text in ("2 ports fit a uno", "/dev/ttyACM0", "serial B", "USB path 1-1", "usb_serial"):
        assert text in match.why


def test_equal_boards_need_their_uid() -> None:
    """Nothing of USB tells two ports apart: the remedy is the uid."""
    ports = [PortInfo(path, 0x2341, 0x0043) for path in ("/dev/ttyUSB0", "/dev/ttyUSB1")]
    assert "say uid in lab.toml" in match_ports(Wanted(), UNO_TYPE, ports).why


def test_a_type_alone_fits_its_usb_numbers() -> None:
    """Known by its type alone, a board is the one port with its USB numbers, never another."""
    assert match_ports(Wanted(), UNO_TYPE, (TWO[0], PLAIN, BRIDGE)).ports == (TWO[0],)
    none = match_ports(Wanted(), UNO_TYPE, (PLAIN, BRIDGE))
    assert none.ports == ()
    assert none.why == "no port has a uno"
    assert match_ports(Wanted(), POSIX, (TWO[0], PLAIN)).ports == (PLAIN,)


def test_a_uid_has_to_be_asked_for() -> None:
    """All ports of the type are candidates, then those without USB, and none is sure."""
    match = match_ports(Wanted(uid=bytes(8)), UNO_TYPE, (PLAIN, BRIDGE, *TWO))
    assert match.ports == (*TWO, PLAIN)
    assert not match.is_sure


# --- opening --------------------------------------------------------------------------------------


def test_a_port_is_ours_alone(tmp_path: Path) -> None:
    """An open port is raw, locked and exclusive, and says what came of low latency."""
    board, far = socket.socketpair()
    with Cable(far) as cable, board:
        assert cable.port is not None
        port = open_port(PortInfo(cable.port), UNO_TYPE.link, 115200)
        settings = termios.tcgetattr(port.fd)
        assert settings[4] == settings[5] == termios.B115200
        assert not settings[3] & (termios.ICANON | termios.ECHO)
        assert settings[2] & termios.CLOCAL
        assert port.notes == ("low latency: not here (Inappropriate ioctl for device)",)
        other = os.open(cable.port, os.O_RDWR | os.O_NOCTTY) if os.geteuid() == 0 else -1
        if other >= 0:
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(other)
        with pytest.raises(PortError, match="another board of this program") as caught:
            open_port(PortInfo(cable.port), UNO_TYPE.link, 115200)
        assert caught.value.kind == "busy"
        port.close()


def test_a_rate_without_a_name_is_set() -> None:
    """A rate that termios has no constant for is set all the same."""
    board, far = socket.socketpair()
    with Cable(far, 250_000) as cable, board:
        assert cable.port is not None
        port = open_port(PortInfo(cable.port), UNO_TYPE.link, 250_000)
        os.write(port.fd, b"x")
        cable.service(0)
        cable.service(1_000_000_000)
        assert board.recv(1) == b"x"
        port.close()


def test_who_holds_a_port_is_named() -> None:
    """Programs that have it open are named with their number; who emulates it is not."""
    board, far = socket.socketpair()
    with Cable(far) as cable, board:
        assert cable.port is not None
        assert holders(cable.port, Host()) == ""
        with Holder(cable.port) as holder:
            assert f"({holder.process.pid})" in holders(cable.port, Host(), besides_us=True)


@pytest.mark.parametrize(("path", "kind"), [("/dev/ttyNONE", "gone"), ("/dev/null", "unfit")])
def test_what_is_no_port_is_told(path: str, kind: str) -> None:
    """A port that is not there, and a file that is no port, are two different errors."""
    with pytest.raises(PortError, match=path) as caught:
        open_port(PortInfo(path), UNO_TYPE.link, 115200)
    assert caught.value.kind == kind


def as_stranger(act: Callable[[], str]) -> str:
    """Return what ``act`` returns in a process of a user who may nothing; needs root for that."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writer, act().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may nothing")
def test_permission_denied_says_how_to_be_let_in() -> None:
    """A port of another group: REFUSED with user, group, and the udev rule of its device."""
    board, far = socket.socketpair()
    ports = PortRegistry()
    with Cable(far) as cable, board:
        assert cable.port is not None
        Path(cable.port).chmod(0o000)
        os.chown(cable.port, 0, 20)
        ports.plug(PortInfo(cable.port, 0x2341, 0x0043, usb_path="1-1"))

        def act() -> str:
            instance = Instance("bench-1", UNO_TYPE, Wanted(usb_path="1-1"))
            session = Session(instance, ports, lambda: 0)
            session.service(0)
            assert session.state is State.REFUSED
            assert session.counters["denied"] == 1
            return session.why

        why = as_stranger(act)
        user, group = pwd.getpwuid(65534).pw_name, grp.getgrgid(20).gr_name
        for text in (
            f"{cable.port}: permission denied for {user}",
            f"sudo usermod -aG {group} {user}",
            'ATTRS{idVendor}=="2341", ATTRS{idProduct}=="0043"',
        ):
            assert text in why


def test_an_emulated_port_is_known_by_its_instance() -> None:
    """The port of an emulation fits the instance that it stands in for, and no other."""
    ports = [emulated_port(name, f"/dev/pts/{i}") for i, name in enumerate(("a", "b"))]
    assert match_ports(Wanted(device="emulated:b"), UNO_TYPE, ports).ports == (ports[1],)
