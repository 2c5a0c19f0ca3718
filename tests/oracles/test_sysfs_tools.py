"""Readers of /sys that others wrote, unmodified, on the tree of an emulated computer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
HWMON = "/sys/bus/i2c/devices/1-0040/hwmon/hwmon0"

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)

#: what the rails of the test's Jetson carry: V, A, and the label
RAILS = {"VDD_IN": (5.096, 2.44), "VDD_CPU_GPU_CV": (4.984, 1.2), "VDD_SOC": (5.016, 0.504)}
CHIP_C = 61.0
#: 8 mV; 40 uV over 5 mohm
VOLT_LSB, CURRENT_LSB = 8, 8


@pytest.fixture
def jetson(tmp_path: Path) -> str:
    """Give a board file of the Jetson whose rails and sensor are set to known values."""
    text = (ROOT / "boards" / "jetson_orin_nano.toml").read_text()
    head, _, rest = text.partition("[part.power_monitor.world]")
    rails = "".join(
        f'bus{n}_v = "{volt} V"\ncurrent{n}_a = "{ampere} A"\n'
        for n, (volt, ampere) in enumerate(RAILS.values(), 1)
    )
    tail = rest[rest.index("# --- on the header") :].replace(
        '"thermal.board_c"', f'"{CHIP_C} degC"'
    )
    path = tmp_path / "jetson.toml"
    path.write_text(f"{head}[part.power_monitor.world]\n{rails}\n{tail}")
    return str(path)


def run(
    folder: Path,
    board: str,
    *command: str,
    mission: str = "tiansuan_bupt1",
    time: tuple[str, ...] = ("--pace", "max"),
    **env: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program on the bench of a board; skips where it is not installed."""
    if not shutil.which(command[0], path=PATH):
        pytest.skip(f"{command[0]} is not installed")
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "hil", "run", *time, "-q", "--board", board]
    words += ["--mission", mission, "--out", str(folder / "run"), "--", *command]
    around = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        words, capture_output=True, text=True, env=around, cwd=folder, timeout=120
    )


def script(folder: Path, board: str, text: str, **options: str) -> object:
    """Run a Python program that prints JSON, and return what it printed."""
    done = run(folder, board, sys.executable, "-c", text, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_jtop_reads_the_power_rails_of_a_jetson(tmp_path: Path, jetson: str) -> None:
    """The power service of jetson-stats finds the three rails with their labels and values."""
    pytest.importorskip("jtop", reason="jetson-stats is not installed")
    text = "import json; from jtop.core.power import PowerService\n"
    text += "print(json.dumps(PowerService().get_status()))"
    status = script(tmp_path, jetson, text)
    assert isinstance(status, dict)
    rails = {**status["rail"], status["tot"].pop("name"): status["tot"]}
    assert set(rails) == set(RAILS)
    for name, (volt, ampere) in RAILS.items():
        assert abs(rails[name]["volt"] - volt * 1000) <= VOLT_LSB
        assert abs(rails[name]["curr"] - ampere * 1000) <= CURRENT_LSB
        assert rails[name]["warn"] == rails[name]["crit"] == 32760
    known = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]
    assert known["bus.i2c-1"]["transfers"] == known["host.attributes"]["transactions"]


def test_jtop_reads_the_temperatures_of_a_jetson(tmp_path: Path, jetson: str) -> None:
    """jetson-stats finds the nine thermal zones of the chip, all at its temperature."""
    pytest.importorskip("jtop", reason="jetson-stats is not installed")
    text = "import json; from jtop.core.temperature import TemperatureService\n"
    text += "print(json.dumps(TemperatureService().get_status()))"
    status = script(tmp_path, jetson, text)
    assert isinstance(status, dict)
    assert set(status) == {"cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj"}
    assert len({zone["temp"] for zone in status.values()}) == 1
    assert all(zone["online"] for zone in status.values())


def test_sensors_shows_rails_and_temperatures(tmp_path: Path, jetson: str) -> None:
    """sensors of lm-sensors names chips, adapters and labels, with values in V, A and degC."""
    done = run(tmp_path, jetson, "sensors", "-j")
    assert done.returncode == 0, done.stderr
    chips = json.loads(done.stdout)
    power = chips["ina3221-i2c-1-40"]
    assert power["Adapter"] == "tegra (i2c-1)"
    for n, (name, (volt, ampere)) in enumerate(RAILS.items(), 1):
        assert abs(power[name][f"in{n}_input"] - volt) <= VOLT_LSB / 1000
        assert abs(power[f"curr{n}"][f"curr{n}_input"] - ampere) <= CURRENT_LSB / 1000
        assert power[f"curr{n}"][f"curr{n}_max_alarm"] == 0
    temperature = chips["lm75-i2c-7-48"]["temp1"]
    assert temperature == {"temp1_input": CHIP_C, "temp1_max": 80.0, "temp1_max_hyst": 75.0}


def test_psutil_reads_temperatures_and_clocks(tmp_path: Path, jetson: str) -> None:
    """psutil finds the sensors by glob, and the clocks of cpufreq."""
    pytest.importorskip("psutil", reason="psutil is not installed")
    text = "import json, psutil; print(json.dumps([psutil.sensors_temperatures(), "
    text += "psutil.cpu_freq()]))"
    temperatures, clock = script(tmp_path, jetson, text)  # type: ignore[misc]
    assert temperatures == {"lm75": [["", CHIP_C, 80.0, 80.0]]}
    assert clock == [1510.4, 729.6, 1510.4]  # the least of every power mode


def test_cat_redirection_and_grep_read_the_same(tmp_path: Path, jetson: str) -> None:
    """What a shell hands to cat, what grep opens, a copy and a relative name give one value."""
    text = f"cat {HWMON}/in1_input; cat < {HWMON}/in1_input; cp {HWMON}/in1_input copy; "
    text += f"cd {HWMON}; cat in1_input; pwd -P"
    done = run(tmp_path, jetson, "sh", "-c", f"{text}; grep . in1_label in1_input")
    assert done.stderr == ""
    first, second, third, folder, *found = done.stdout.splitlines()
    assert first == second == third == "5096"
    assert (tmp_path / "copy").read_bytes() == b"5096\n"
    assert folder == "/sys/devices/platform/i2c-1.adapter/i2c-1/1-0040/hwmon/hwmon0"
    assert found == ["in1_label:VDD_IN", "in1_input:5096"]


#: reads by glob(3), a C++ stream, an unbuffered C stream from its start again, and fdopen(3)
STREAMS = r"""
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <glob.h>
#include <iostream>
#include <string>
int main() {
    glob_t found;
    glob("/sys/class/hwmon/hwmon*/in1_input", 0, nullptr, &found);
    const char *path = found.gl_pathv[0];
    std::ifstream whole(path);
    std::string text;
    std::getline(whole, text);
    std::cout << found.gl_pathc << " " << path << " " << text << std::endl;
    FILE *again = fopen(path, "r");
    char line[32];
    setvbuf(again, nullptr, _IONBF, 0);
    for (int i = 0; i < 2; i++) {
        rewind(again);
        std::cout << fgets(line, sizeof line, again);
    }
    fclose(again);
    FILE *made = fdopen(open(path, O_RDONLY), "r");
    std::cout << fgets(line, sizeof line, made);
    fclose(made);
    std::ofstream("/sys/class/hwmon/hwmon0/curr1_crit") << 2000;
    int limit;
    std::ifstream("/sys/class/hwmon/hwmon0/curr1_crit") >> limit;
    std::cout << limit << std::endl;
}
"""
#: reads again from the start, by relative names and folders; stat of a name and of a descriptor
HANDLES = """
import os
folder = "/sys/class/hwmon/hwmon0"
fd = os.open(folder + "/in1_input", os.O_RDONLY)
print(os.pread(fd, 9, 0), os.pread(fd, 9, 0), os.read(fd, 9), os.read(fd, 9), os.lseek(fd, 0, 0))
one, other = os.stat(folder + "/in1_input"), os.fstat(fd)
print(one.st_ino == other.st_ino, other.st_size, oct(other.st_mode))
inside = os.open(folder, os.O_DIRECTORY)
reader = open("in1_input", opener=lambda name, flags: os.open(name, flags, dir_fd=inside))
print(reader.read().strip(), len(os.listdir(inside)) == len(list(os.scandir(folder))) > 30)
os.chdir(folder)
print(os.getcwd() == os.path.realpath(folder), open("../../name").read().strip())
with open("curr1_crit", "r+") as limit:
    limit.write("3000")
    limit.flush()
    limit.seek(0)
    print(limit.read().strip())
"""


def test_streams_of_c_and_cplusplus_read_and_write(tmp_path: Path, jetson: str) -> None:
    """glob, ifstream, stdio and fdopen get the value, and an ofstream sets a limit."""
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    (tmp_path / "streams.cc").write_text(STREAMS)
    subprocess.run(["g++", "-o", "streams", "streams.cc"], cwd=tmp_path, check=True)
    done = run(tmp_path, jetson, str(tmp_path / "streams"))
    first, *others = done.stdout.splitlines()
    assert first == "1 /sys/class/hwmon/hwmon0/in1_input 5096"
    assert others == ["5096", "5096", "5096", "2000"]
    known = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]
    # What the kernel would have read: one a stream, two after rewind; the limit is kept.
    assert known["host.attributes"]["reads"] == 5


STATIC = r"""
#include <dirent.h>
#include <stdio.h>
int main(void) {
    char line[32];
    FILE *limit = fopen("/sys/class/hwmon/hwmon0/curr1_crit", "w");
    fputs("2000", limit);
    fclose(limit);
    fputs(fgets(line, sizeof line, fopen("/sys/class/hwmon/hwmon0/curr1_crit", "r")), stdout);
    fputs(fgets(line, sizeof line, fopen("/sys/class/hwmon/hwmon0/in1_input", "r")), stdout);
    int count = 0;
    for (DIR *all = opendir("/sys/class/thermal"); readdir(all);) {
        count++;
    }
    printf("%d", count);
}
"""


def test_a_static_program_reads_and_writes(tmp_path: Path, jetson: str) -> None:
    """Under the supervisor a static binary gets values, sets a limit and lists the zones."""
    (tmp_path / "static.c").write_text(STATIC)
    words = ["gcc", "-static", "-o", "static", "static.c"]
    if (
        not shutil.which("gcc")
        or subprocess.run(words, cwd=tmp_path, capture_output=True).returncode
    ):
        pytest.skip("no gcc that links statically")
    done = run(tmp_path, jetson, str(tmp_path / "static"))
    if "supervisor" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout.split() == ["2000", "5096", "11"], done.stderr


def test_a_text_is_made_anew_from_the_start(tmp_path: Path, jetson: str) -> None:
    """pread at 0, seek to 0, folder descriptors and relative names work as on sysfs."""
    done = run(tmp_path, jetson, sys.executable, "-c", HANDLES)
    value = repr(b"5096\n")
    assert done.stdout.splitlines() == [
        f"{value} {value} {value} b'' 0",
        "True 4096 0o100444",
        "5096 True",
        "True ina3221",
        "3000",
    ], done.stderr


def test_a_limit_that_a_shell_writes_reaches_the_part(tmp_path: Path, jetson: str) -> None:
    """echo, printf and tee set curr1_crit; the part raises its alarm; nonsense is refused."""
    text = f"cd {HWMON}; echo 4000 > curr1_crit; cat curr1_crit curr1_crit_alarm; "
    text += "printf 1000 | tee curr1_crit >/dev/null; sleep 0.1; cat curr1_crit curr1_crit_alarm; "
    text += "/bin/echo 2000 > curr1_max; sleep 0.1; cat curr1_max; printf x | tee curr1_crit"
    done = run(tmp_path, jetson, "bash", "-c", text)
    assert done.stdout.split() == ["4000", "0", "1000", "1", "2000", "x"], done.stderr
    assert "Invalid argument" in done.stderr
    done = run(tmp_path / "again", jetson, "sh", "-c", f"echo 1 > {HWMON}/in1_input")
    assert "Permission denied" in done.stderr


def test_a_read_takes_its_bus_time_on_the_clock_of_the_program(tmp_path: Path, jetson: str) -> None:
    """On virtual time a read of 120 us is seen as such, and two runs give one digest."""
    text = f"import os, time; fd = os.open('{HWMON}/in1_input', os.O_RDONLY)\n"
    text += "for _ in range(3):\n    time.sleep(1); t = time.monotonic_ns(); os.pread(fd, 9, 0)\n"
    text += "    print(time.monotonic_ns() - t)"
    digests = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        done = run(folder, jetson, sys.executable, "-c", text, time=("--virtual-time",))
        assert all(120_000 <= int(line) < 125_000 for line in done.stdout.splitlines()), done
        digests.add(json.loads((folder / "run" / "run.json").read_text())["digest"])
    assert len(done.stdout.splitlines()) == 3
    assert len(digests) == 1


def test_i2cdetect_shows_what_a_driver_holds(tmp_path: Path, jetson: str) -> None:
    """The address of a part that the kernel holds is UU; i2cget needs -f there."""
    done = run(tmp_path, jetson, "i2cdetect", "-y", "-r", "1")
    assert done.stdout.splitlines()[5].split()[:2] == ["40:", "UU"]
    text = "i2cget -y 1 0x40 0xfe w; i2cget -f -y 1 0x40 0xfe w"
    done = run(tmp_path / "again", jetson, "sh", "-c", text)
    assert done.stdout == "0x4954\n"
    assert "Device or resource busy" in done.stderr


def test_gpiozero_reads_the_temperature_of_a_raspberry_pi(tmp_path: Path) -> None:
    """gpiozero's CPUTemperature is that of the chip, within a step of its converter."""
    pytest.importorskip("gpiozero", reason="gpiozero is not installed")
    text = "import gpiozero; print(gpiozero.CPUTemperature().temperature)"
    env = {"GPIOZERO_PIN_FACTORY": "mock"}
    done = run(tmp_path, "raspberrypi4", sys.executable, "-W", "error", "-c", text, **env)
    assert done.returncode == 0, done.stderr
    assert 0.0 < float(done.stdout) < 20.0


def test_low_supply_shows_as_throttling(tmp_path: Path) -> None:
    """A supply of 4.5 V sets under-voltage and throttled, now and since boot, and the alarm."""
    mission = (ROOT / "hil" / "missions" / "tiansuan_bupt1.toml").read_text()
    low = mission.replace("voltage = { value = 5.1,", "voltage = { value = 4.5,")
    assert low != mission
    (tmp_path / "low.toml").write_text(low)
    text = "cat /sys/devices/platform/soc/soc:firmware/get_throttled; cd /sys/class/hwmon/; "
    text += "grep . hwmon*/name hwmon*/in0_lcrit_alarm; tr -d '\\0' < /proc/device-tree/model"
    done = run(tmp_path, "raspberrypi4", "sh", "-c", text, mission=str(tmp_path / "low.toml"))
    assert done.stdout.splitlines() == [
        "50005",
        "hwmon0/name:cpu_thermal",
        "hwmon1/name:rpi_volt",
        "hwmon1/in0_lcrit_alarm:1",
        "Raspberry Pi 4 Model B Rev 1.5",
    ]
    done = run(tmp_path / "again", "raspberrypi4", "sh", "-c", text)
    assert done.stdout.splitlines()[0] == "0"
