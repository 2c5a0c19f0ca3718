"""What is read below /sys and /proc: each layout of files, and each way in which one is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flightsw.computer import clocks, host, rails, raspberrypi, zones
from flightsw.computer.kinds import Computer, kind_of
from flightsw.computer.reading import Absent, Reading, Unreadable, number_of

HERE = Path(__file__).parent
MODEL = "sys/firmware/devicetree/base/model"


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write files below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_rails_of_jetpack_4(tmp_path: Path) -> None:
    """NVIDIA's own driver below IIO tells mW by the name of the rail; a channel of none is left."""
    at = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    plant(
        tmp_path,
        {
            f"{at}/rail_name_0": "POM_5V_IN\n",
            f"{at}/in_power0_input": "2217\n",
            f"{at}/rail_name_1": "POM_5V_GPU\n",
            f"{at}/rail_name_2": "NC\n",
            f"{at}/in_power2_input": "1\n",
        },
    )
    found = rails.rails(tmp_path)
    assert found[0] == Reading("rail.POM_5V_IN", 2217, "mW")
    assert isinstance(found[1], Absent)
    assert "in_power1_input" in found[1].because
    assert len(found) == 2
    assert rails.board_mw(found) == 2217


def test_rails_of_jetpack_5_and_6(tmp_path: Path) -> None:
    """The kernel's driver tells mV and mA; the inputs of an AGX Orin are summed, no other rails."""
    at = "sys/bus/i2c/drivers/ina3221"
    labels = {
        "1-0040": ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
        "1-0041": ("NC", "VDDQ", "NC"),
    }
    for address, names in labels.items():
        for channel, name in enumerate(names, 1):
            folder = f"{at}/{address}/hwmon/hwmon{address[-1]}"
            files = {"label": name, "input": "5000"}
            plant(tmp_path, {f"{folder}/in{channel}_{k}": v for k, v in files.items()})
            plant(tmp_path, {f"{folder}/curr{channel}_input": str(channel * 100)})
    found = rails.rails(tmp_path)
    assert [one.name for one in found] == [
        *("rail.VDD_GPU_SOC", "rail.VDD_CPU_CV", "rail.VIN_SYS_5V0", "rail.VDDQ"),
    ]
    assert rails.board_mw(found) == 500 + 1000 + 1500
    assert rails.board_mw(found[1:]) is None


def test_a_zone_without_power_is_absent(tmp_path: Path) -> None:
    """A zone that refuses or says what no chip has is absent; the others count."""
    at = "sys/class/thermal/thermal_zone"
    plant(
        tmp_path,
        {
            f"{at}0/type": "cpu-thermal",
            f"{at}0/temp": "51250\n",
            f"{at}1/type": "cv0-thermal",
            f"{at}1/temp": "-256000\n",
            f"{at}2/type": "gpu-thermal",
            f"{at}10/type": "gpu-thermal",
            f"{at}10/temp": "61000\n",
        },
    )
    (tmp_path / f"{at}2/temp").mkdir()
    cpu, cv0, gpu, other = zones.zones(tmp_path)
    assert cpu == Reading("zone.cpu-thermal", 51250, "m°C")
    assert isinstance(cv0, Absent)
    assert isinstance(gpu, Absent)
    assert "Is a directory" in gpu.because
    assert other == Reading("zone.gpu-thermal.10", 61000, "m°C")
    assert zones.hottest([cpu, cv0, gpu, other]) == 61000
    assert zones.hottest([cpu, cv0, gpu, other], zones.PROCESSOR) == 51250
    assert zones.hottest([cv0]) is None


def test_a_number_is_a_number(tmp_path: Path) -> None:
    """A file with words, and a missing one, say what they are."""
    (tmp_path / "words").write_text("warm\n")
    with pytest.raises(Unreadable, match="says 'warm', which is no number"):
        number_of(tmp_path / "words")
    with pytest.raises(Unreadable, match="there is no "):
        number_of(tmp_path / "missing")


def test_a_file_without_end_is_read_to_a_limit() -> None:
    """A file that never ends costs 4096 octets."""
    with pytest.raises(Unreadable, match="no number"):
        number_of(Path("/dev/zero"))


def test_the_device_tree_tells_the_kind(tmp_path: Path) -> None:
    """A Raspberry Pi and a Jetson are known by their device tree, an empty host is none."""
    assert kind_of(tmp_path, "libnone.so") == "none"
    plant(tmp_path / "pi", {MODEL: "Raspberry Pi 4 Model B Rev 1.5\0"})
    compatible = "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0"
    plant(tmp_path / "j", {"sys/firmware/devicetree/base/compatible": compatible})
    assert kind_of(tmp_path / "pi", "libnone.so") == "pi"
    assert kind_of(tmp_path / "j", "libnone.so") == "jetson"


@pytest.mark.parametrize("kind", ["pi", "jetson", "gpu", "none"])
def test_an_empty_host_has_no_number(kind: str, tmp_path: Path) -> None:
    """On a host that shows nothing every reading is absent with a reason, and nothing raises."""
    for one in Computer(kind, tmp_path, "libnone.so").read():
        assert isinstance(one, Absent), one
        assert one.because


@pytest.mark.parametrize(
    "where", ["soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware"], ids=["4", "5"]
)
def test_the_firmware_s_own_file(where: str, tmp_path: Path) -> None:
    """The throttle word of models 4 and 5 is hexadecimal below /sys."""
    plant(tmp_path, {f"sys/devices/platform/{where}/get_throttled": "50005\n"})
    assert raspberrypi.throttled(tmp_path) == Reading("pi.throttled", 0x50005, "bits")


def test_what_a_throttle_word_means() -> None:
    """Bits that hold now and bits kept since boot are told apart."""
    assert raspberrypi.told(0x50004) == "now: throttled; since boot: under-voltage, throttled"


def test_the_mailbox_answers(tmp_path: Path) -> None:
    """Through /dev/vcio the word is asked for with the documented message, which clears nothing."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here")
    stub = tmp_path / "vcio.so"
    words = ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(stub)]
    subprocess.run([*words, str(HERE / "vcio_stub.c"), "-ldl"], check=True)
    plant(tmp_path, {"dev/vcio": ""})
    code = (
        "import json, pathlib, sys; from flightsw.computer import raspberrypi; "
        "print(json.dumps(raspberrypi.throttled(pathlib.Path(sys.argv[1]))))"
    )
    command = ["env", f"LD_PRELOAD={stub}", sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    assert json.loads(said) == ["pi.throttled", 0x50005, "bits"]


def test_a_mailbox_that_is_none(tmp_path: Path) -> None:
    """A file in the place of the mailbox refuses; an answer that is not one is no word."""
    plant(tmp_path, {"dev/vcio": ""})
    none = raspberrypi.throttled(tmp_path)
    assert isinstance(none, Absent)
    assert "dev/vcio refuses" in none.because
    with pytest.raises(Unreadable, match="the firmware answers 0x0"):
        raspberrypi.answer(raspberrypi.request())


def test_the_loads_of_a_host(tmp_path: Path) -> None:
    """Load, memory in use and busy cores come from /proc; the first look has no utilisation."""
    plant(
        tmp_path,
        {
            "proc/loadavg": "1.25 0.50 0.10 1/200 4711\n",
            "proc/meminfo": "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable: 6000 kB\n",
            "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n",
        },
    )
    busy = host.Utilisation(tmp_path)
    assert isinstance(busy.read(), Absent)
    plant(tmp_path, {"proc/stat": "cpu  170 0 130 900 0 0 0 0 0 0\n"})
    assert busy.read() == Reading("host.busy", 500, "1/1000")
    assert host.load(tmp_path) == Reading("host.load", 125, "1/100")
    assert host.memory(tmp_path)[0] == Reading("host.memory_used", 2000, "KiB")


def test_the_load_of_a_gpu_by_release(tmp_path: Path) -> None:
    """The clock and load of a Jetson's GPU are found where each release has them."""
    plant(tmp_path, {"sys/class/devfreq/57000000.gpu/cur_freq": "76800000\n"})
    plant(tmp_path, {"sys/devices/gpu.0/load": "330\n"})
    assert clocks.gpu(tmp_path) == [
        Reading("gpu.clock", 76_800_000, "Hz"),
        Reading("gpu.load", 330, "1/1000"),
    ]
