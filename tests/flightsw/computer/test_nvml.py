"""GPUs through the interface of NVML, on a library of ours with that interface, and by program."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from flightsw.computer import nvidia_smi, nvml
from flightsw.computer.kinds import Computer, gpus, kind_of
from flightsw.computer.reading import Absent, Reading

HERE = Path(__file__).parent


def needs_compiler() -> None:
    """Skip what builds a library where nothing can."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the library."""
    needs_compiler()
    made = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    words = ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(made)]
    subprocess.run([*words, str(HERE / "nvml_stub.c")], check=True)
    return str(made)


def test_every_quantity_arrives_in_its_unit(library: str) -> None:
    """What the library has of a GPU is read with type and unit; counts are not cut to 32 bits."""
    found = {one.name: one for one in nvml.readings(library)}
    assert found["gpu.driver"] == Reading("gpu.driver", "550.54.15", "")
    wanted = {
        "name": ("H100 80GB", ""),
        "temperature": (41, "°C"),
        "power": (87654, "mW"),
        "busy": (73, "%"),
        "memory_busy": (12, "%"),
        "memory_used": (5 << 20, "KiB"),
        "memory_total": (85520809984 // 1024, "KiB"),
        "clock": (1980, "MHz"),
        "ecc_corrected": (5_000_000_000, ""),
        "ecc_uncorrected": (2, ""),
        "throttle": (0x24, "bits"),
    }
    for name, (value, unit) in wanted.items():
        assert found[f"gpu0.{name}"] == Reading(f"gpu0.{name}", value, unit)
    assert found["gpu1.busy"] == Reading("gpu1.busy", 74, "%")


def test_what_a_gpu_lacks_is_absent_and_not_zero(library: str) -> None:
    """A call that is not supported gives the library's own reason."""
    found = {one.name: one for one in nvml.readings(library)}
    for name in ("gpu1.power", "gpu1.ecc_corrected", "gpu1.ecc_uncorrected"):
        one = found[name]
        assert isinstance(one, Absent)
        assert one.because.endswith("says Not Supported")


def test_the_library_is_let_go_of(library: str) -> None:
    """Reading leaves no user of the driver behind, and closing twice is harmless."""
    nvml.readings(library)
    with nvml.Nvml(library) as open_library:
        assert ctypes.CDLL(library).stub_users() == 1
        open_library.close()
    assert ctypes.CDLL(library).stub_users() == 0


def test_a_host_without_a_gpu_says_so() -> None:
    """Without library or program there is one absent reading that names both."""
    (none,) = gpus("libno-such-driver.so.1")
    assert isinstance(none, Absent)
    assert "libno-such-driver.so.1" in none.because
    assert "nvidia-smi" in none.because


def test_a_library_that_lacks_a_call_is_read_without_it(tmp_path: Path) -> None:
    """An old driver gives what it has; what it lacks is absent by the name of the call."""
    needs_compiler()
    source = tmp_path / "old.c"
    source.write_text(
        "int nvmlInit_v2(void) { return 0; }\nint nvmlShutdown(void) { return 0; }\n"
        "int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return 0; }\n"
        "int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = &i - i; return 0; }\n"
    )
    made = tmp_path / "libold.so"
    subprocess.run(["cc", "-w", "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    found = nvml.readings(str(made))
    assert Absent("gpu0.power", "this driver has no nvmlDeviceGetPowerUsage") in found
    assert not [one for one in found if isinstance(one, Reading)]


def test_a_host_with_the_driver_is_of_kind_gpu(library: str, tmp_path: Path) -> None:
    """Without a device tree and with a GPU the kind is found, and all of it is read."""
    assert kind_of(tmp_path, library) == "gpu"
    computer = Computer("auto", tmp_path, library)
    for _ in range(2):
        names = {one.name for one in computer.read()}
        assert {"gpu0.power", "gpu1.temperature", "host.load", "zones"} <= names
    assert ctypes.CDLL(library).stub_users() == 1, "the driver is opened once"
    computer.close()
    assert ctypes.CDLL(library).stub_users() == 0


TABLE = """\
NVIDIA A100-SXM4-40GB, 33, 58.21, 97, 41, 1024, 40960, 1410, 7, 0, 0x0000000000000004, 535.104.05
NVIDIA T4, 55, [N/A], 3, 1, 12, 15360, 585, [Not Supported], 0, 0x0000000000000001, 535.104.05
"""


def test_the_program_gives_the_same_readings() -> None:
    """The table of nvidia-smi becomes readings of the same names and units."""
    found = {one.name: one for one in nvidia_smi.parse(TABLE)}
    assert found["gpu.driver"] == Reading("gpu.driver", "535.104.05", "")
    assert found["gpu0.power"] == Reading("gpu0.power", 58210, "mW")
    assert found["gpu0.memory_used"] == Reading("gpu0.memory_used", 1024 * 1024, "KiB")
    assert found["gpu1.throttle"] == Reading("gpu1.throttle", 1, "bits")
    assert found["gpu1.power"] == Absent("gpu1.power", "nvidia-smi says [N/A]")
    assert isinstance(found["gpu1.ecc_corrected"], Absent)


def test_a_program_that_fails_or_babbles_is_absent(tmp_path: Path) -> None:
    """A program with an exit code, or with a line of another shape, is told in a clause."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    program.chmod(0o755)
    (failed,) = nvidia_smi.readings(str(program))
    assert failed == Absent("gpu", "nvidia-smi says No devices were found")
    (odd,) = nvidia_smi.parse("one, two")
    assert odd == Absent("gpu0", "nvidia-smi says 'one, two'")
