"""Every fault that keeps a host from its boards is found, weighed and mended by a command."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from hil.boards.boardtype import load_type, type_names
from hil.boards.doctor import Bench, emulations, examine, images
from hil.boards.host import Host
from hil.boards.lab import load_lab
from hil.boards.ports import PortRegistry
from hil.boards.whereabouts import survey
from hil.findings import BAD, GOOD, WARN, Finding
from tests.hil.boards.plantedhost import CH340, FT232, OTHER_GID, OTHER_UID, UNO, PlantedHost


@pytest.fixture
def host(tmp_path: Path) -> PlantedHost:
    """Return a host with nothing plugged in."""
    return PlantedHost(tmp_path)


def wrong(bench: Bench) -> list[Finding]:
    """Return what is not good; every finding of it must say what to do."""
    found = [finding for finding in examine(bench) if finding.state != GOOD]
    assert all(finding.fix for finding in found)
    return found


def only(bench: Bench) -> Finding:
    """Return the one thing that is wrong."""
    (finding,) = wrong(bench)
    return finding


def test_a_host_without_ports_is_good(host: PlantedHost) -> None:
    """Without a port there is one finding, and it says that none is needed."""
    findings = examine(host.bench())
    assert {finding.state for finding in findings} == {GOOD}
    assert findings[0].detail == "none here; emulated boards need none"


def test_this_host_can_be_examined() -> None:
    """The real files of this host are read without an error, whatever they hold."""
    assert examine(Bench(Host()))[0].state == GOOD


def test_a_healthy_port_is_named_with_its_identity(host: PlantedHost) -> None:
    """A board that works is told with path, vendor and product, and nothing else."""
    host.port("ttyACM10", host.usb(UNO, "1-2"))
    host.port("ttyACM9")
    assert wrong(host.bench("ttyACM9", "ttyACM10")) == []
    finding = examine(host.bench())[0]
    assert (finding.state, finding.detail) == (GOOD, "/dev/ttyACM9, /dev/ttyACM10 (2341:0043)")


@pytest.mark.parametrize(("claimed", "state"), [((), WARN), (("ttyACM0",), BAD)])
def test_a_port_of_a_group_that_one_is_not_in(
    host: PlantedHost, claimed: tuple[str, ...], state: str
) -> None:
    """It names user, group, the command and the udev line; a claimed port makes it bad."""
    host.port("ttyACM0", host.usb(UNO))
    finding = only(host.bench(*claimed, member=False))
    assert finding.state == state
    assert finding.detail == "no access for ann; it is of the group dialout"
    assert "sudo usermod -aG dialout ann, then log in again" in finding.fix
    rule = 'SUBSYSTEM=="tty", ATTRS{idVendor}=="2341", ATTRS{idProduct}=="0043", '
    assert rule + 'MODE="0660", TAG+="uaccess"' in finding.fix


def test_a_member_whose_session_is_older(host: PlantedHost) -> None:
    """Who has just become a member is told to log in again, not to become one."""
    host.port("ttyAMA1")
    host.put("etc/group", f"dialout:x:{host.gid}:bob,ann\n")
    finding = only(host.bench(member=False))
    assert "log out and in again" in finding.fix
    assert "usermod" not in finding.fix


def test_a_port_that_lacks_write(host: PlantedHost) -> None:
    """A group that may only read is not enough."""
    host.port("ttyACM0", mode=0o640)
    assert only(host.bench()).name == "permission ttyACM0"


def test_a_group_without_a_name_is_told_by_number(host: PlantedHost) -> None:
    """A user and a group that no file names are told as numbers."""
    host.port("ttyACM0")
    host.put("etc/group", "")
    host.put("etc/passwd", "")
    assert only(host.bench(member=False)).detail.endswith(f"of the group {host.gid}")


def test_a_program_that_has_the_port_open(host: PlantedHost) -> None:
    """The holder is named with its number."""
    host.port("ttyACM0", host.usb(UNO))
    host.process(71, "/usr/bin/screen", "/dev/ttyACM0", has="/dev/ttyACM0")
    host.process(72, "/bin/sh", has="/dev/null")
    finding = only(host.bench("ttyACM0"))
    assert (finding.state, finding.detail) == (BAD, "open in screen (71)")
    assert finding.fix.endswith("kill 71")


def test_a_lock_file_of_a_port(host: PlantedHost) -> None:
    """A lock file of the old kind names the process that wrote it."""
    host.port("ttyUSB0")
    host.put("run/lock/LCK..ttyUSB0", "      4711 minicom ann\n")
    assert "process 4711 has it" in only(host.bench()).detail


def test_a_process_of_which_nothing_is_shown(host: PlantedHost) -> None:
    """Who may not see the files of a process takes it for no holder."""
    host.port("ttyACM0")
    host.process(71, "secret")
    (host.root / "proc/71/fd").rmdir()
    assert wrong(host.bench()) == []


def test_modem_manager(host: PlantedHost) -> None:
    """ModemManager is told of, with the udev line that makes it ignore the board."""
    host.port("ttyACM0", host.usb(UNO))
    host.port("ttyAMA0")
    host.process(9, "/usr/sbin/ModemManager")
    finding = only(host.bench())
    assert finding.name == "modems ttyACM0"
    assert 'ATTRS{idProduct}=="0043", ENV{ID_MM_DEVICE_IGNORE}="1"' in finding.fix


def test_modem_manager_that_was_told(host: PlantedHost) -> None:
    """A rule that names the board, or udev's own record of the port, settles it."""
    host.port("ttyACM0", host.usb(UNO))
    host.process(9, "/usr/sbin/ModemManager")
    rule = 'ATTRS{idVendor}=="2341", ATTRS{idProduct}=="0043", ENV{ID_MM_DEVICE_IGNORE}="1"'
    rules = host.put("etc/udev/rules.d/60-hil.rules", f"# {rule}\n")
    assert len(wrong(host.bench())) == 1, "a comment is no rule"
    rules.write_text(rule + "\n")
    assert wrong(host.bench()) == []
    rules.unlink()
    host.put("run/udev/data/c166:0", "S:serial/by-id/x\nE:ID_MM_DEVICE_IGNORE=1\n")
    assert wrong(host.bench()) == []


def test_brltty_that_has_taken_a_converter(host: PlantedHost) -> None:
    """A converter of the kind that braille displays have, and no port: brltty has it."""
    host.usb(CH340)
    host.process(5, "/bin/brltty")
    finding = only(host.bench())
    assert (finding.state, finding.detail) == (
        BAD,
        "brltty runs: the converter 1a86:7523 has no port",
    )


def test_brltty_that_may_take_a_converter(host: PlantedHost) -> None:
    """Its rules alone are a warning while the port is there; other devices are left out."""
    host.port("ttyUSB0", host.usb(CH340))
    host.usb(("046d", "c077"), "1-3")
    assert wrong(host.bench()) == []
    host.put("lib/udev/rules.d/85-brltty.rules", 'RUN+="brltty-udev"\n')
    finding = only(host.bench())
    assert finding.state == WARN
    assert finding.detail.startswith("/lib/udev/rules.d/85-brltty.rules is there")


def test_the_latency_timer_of_ftdi(host: PlantedHost) -> None:
    """More than 1 ms is told with the command and the line that keeps it so."""
    host.port("ttyUSB0", host.usb(FT232))
    timer = host.put("sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "16\n")
    finding = only(host.bench())
    assert "16 ms" in finding.detail
    assert "echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer" in finding.fix
    timer.write_text("1\n")
    assert wrong(host.bench()) == []


@pytest.mark.parametrize("word", ["ttyTHS1", "/dev/ttyTHS1"])
def test_a_login_on_the_port(host: PlantedHost, word: str) -> None:
    """A getty that runs on it is named once, with the units of systemd and of a Jetson."""
    host.port("ttyTHS1")
    host.process(33, "/sbin/agetty", "-o", "-p", word, "115200", has="/dev/ttyTHS1")
    finding = only(host.bench("ttyTHS1"))
    assert (finding.state, finding.name) == (BAD, "login ttyTHS1")
    assert "serial-getty@ttyTHS1.service nvgetty.service" in finding.fix


def test_a_login_at_the_next_start(host: PlantedHost) -> None:
    """A unit that is switched on is told of though no getty runs."""
    host.port("ttyAMA0")
    host.link("dev/serial0", "ttyAMA0")
    unit = "etc/systemd/system/getty.target.wants/serial-getty@serial0.service"
    host.link(unit, "/lib/systemd/system/serial-getty@.service")
    assert only(host.bench()).fix == "sudo systemctl disable --now serial-getty@serial0.service"


@pytest.mark.parametrize("console", ["ttyAMA0", "serial0"])
def test_the_console_of_the_kernel_on_the_port(host: PlantedHost, console: str) -> None:
    """The console is found by the port's name and by its alias."""
    host.port("ttyAMA0")
    host.link("dev/serial0", "ttyAMA0")
    host.put("proc/cmdline", f"console={console},115200 console=tty1 root=/dev/sda1")
    finding = only(host.bench())
    assert finding.detail.endswith(f"console={console}")


def test_a_usb_device_that_is_put_to_sleep(host: PlantedHost) -> None:
    """Autosuspend is told of with the file that switches it off."""
    usb = host.usb(UNO)
    host.port("ttyACM0", usb)
    (usb / "power/control").write_text("auto\n")
    finding = only(host.bench())
    assert "echo on | sudo tee /sys/devices/pci0000:00/usb1/1-1/power/control" in finding.fix


LAB = """schema = 1

[[instance]]
id = "bench-uno-1"
type = "uno"
usb_serial = "75A1"
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Return a lab file with one Uno."""
    path = tmp_path / "lab.toml"
    path.write_text(LAB)
    return path


def of(host: PlantedHost, lab: Path) -> Bench:
    """Return the bench of a host with a lab file, as somebody who is in no group."""
    asker = Host(host.root, OTHER_UID, frozenset({OTHER_GID}))
    return replace(Bench.of(asker, str(lab)), types=())


def test_a_lab_whose_boards_are_there(host: PlantedHost, lab: Path) -> None:
    """The port of an instance is claimed: what keeps it from us is bad then."""
    host.port("ttyACM0", host.usb(UNO, serial="75A1"))
    finding = only(of(host, lab))
    assert (finding.name, finding.state) == ("permission ttyACM0", BAD)


def test_a_board_of_the_lab_that_is_absent(host: PlantedHost, lab: Path) -> None:
    """An instance without a port is a warning that says what is sought."""
    finding = only(of(host, lab))
    assert (finding.name, finding.state) == ("board bench-uno-1", WARN)
    assert finding.detail == "no port has USB serial 75A1"


def test_two_boards_for_one_instance(host: PlantedHost, lab: Path) -> None:
    """An instance that fits two ports is bad, with both of them named."""
    for number in range(2):
        host.port(f"ttyACM{number}", host.usb(UNO, f"1-{number + 1}", "75A1"), mode=0o666)
    finding = only(of(host, lab))
    assert finding.state == BAD
    assert "2 ports fit USB serial 75A1" in finding.detail
    assert "USB path 1-2" in finding.detail


def test_a_lab_file_that_is_wrong(host: PlantedHost, lab: Path) -> None:
    """A mistake in the file is told with line and key, and the rest is examined all the same."""
    lab.write_text(LAB.replace("usb_serial", "usb_serail"))
    host.port("ttyACM0", host.usb(UNO), mode=0o666)
    finding = only(of(host, lab))
    assert (finding.name, finding.state) == ("lab file", BAD)
    assert "did you mean 'usb_serial'?" in finding.detail


def test_an_image_that_is_not_what_was_built(tmp_path: Path) -> None:
    """An image is bad when it is damaged, when it has no hash, and when it is absent."""
    images = tmp_path / "images"
    images.mkdir()
    image, sums = images / "x.hex", images / "SHA256SUMS"
    uno = load_type("uno")
    kind = replace(uno, firmware=replace(uno.firmware, file=str(image)))
    bench = replace(PlantedHost(tmp_path / "root").bench(), types=(kind,))

    def told() -> tuple[str, str]:
        (found,) = (finding for finding in wrong(bench) if finding.name == "image uno")
        assert found.state == BAD
        return found.detail, found.fix

    assert told() == ("x.hex is not there", "make -C boards/firmware")
    image.write_text(":00000001FF\n")
    assert told()[0] == f"{sums} is not there"
    sums.write_text("")
    assert told()[0] == "x.hex is not in SHA256SUMS"
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    sums.write_text(f"{digest}  x.hex\n")
    assert [finding for finding in wrong(bench) if finding.name == "image uno"] == []
    image.write_text(":00000001FE\n")
    assert told()[0] == "x.hex is not the image whose hash is in SHA256SUMS"


def test_the_images_that_come_with_us_are_whole() -> None:
    """Every image in the tree has the hash that lies beside it."""
    bench = Bench.of(Host())
    assert [finding for finding in images(bench) if finding.state != GOOD] == []


def test_emulations_whose_programs_are_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is installed each emulation that needs a program is named with its package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    bench = Bench(types=tuple(load_type(name) for name in type_names()))
    found = {finding.name: finding for finding in emulations(bench)}
    for name in ("emulation qemu", "emulation simavr"):
        assert found[name].state == WARN
        assert "apt-get install" in found[name].fix
    assert "posix" in found["emulations"].detail


def test_an_emulation_that_does_not_run_is_no_fault(tmp_path: Path) -> None:
    """A run starts it: nothing is to be plugged in."""
    lab = tmp_path / "lab.toml"
    lab.write_text('schema = 1\n[[instance]]\nid = "first"\ntype = "uno"\nemulate = "posix"\n')
    bench = Bench(host=Host(), lab=load_lab(str(lab)), sources=PortRegistry())
    (row,) = survey(bench.lab, PortRegistry(), Host())
    assert row.state == "emulated"
    assert not [one for one in examine(bench) if "first" in one.name]
