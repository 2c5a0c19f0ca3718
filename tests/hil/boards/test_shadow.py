"""Shadow: a real part beside the emulated one, compared register by register."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.wire import Status
from hil.boards.desk import Boards
from hil.boards.shadow import Comparison
from hil.boards.targets import I2CAnswer
from hil.errors import ConfigError, UsageError
from hil.parts.ina3221 import Ina3221
from hil.parts.tmp117 import Tmp117
from tests.hil.boards.flying import LAB, Flown

OK, NAK = int(Status.OK), int(Status.NAK_ADDRESS)
ADDRESS = 0x40
SHADOW = LAB.replace(
    'emulate = "posix"\n',
    'emulate = "posix"\nparts = { power_monitor = "i2c0" }\nshadow = ["power_monitor"]\n{}\n',
    1,
)


def compared(
    real: Mapping[int, bytes],
    emulated: Mapping[int, bytes],
    messages: list[Any],
    tolerances: Mapping[str, int] = {},
    part: Any = None,
) -> Comparison:
    comparison = Comparison("power", part or Ina3221("power"), tolerances)
    comparison.compare(1.5, messages, I2CAnswer(OK, real), I2CAnswer(OK, emulated))
    return comparison


def read(register: int, nbytes: int = 2) -> list[Any]:
    return [(ADDRESS, 0, bytes((register,))), (ADDRESS, 1, nbytes)]


@pytest.mark.parametrize("bit", range(16))
def test_one_bit_is_named_by_register_and_field(bit: int) -> None:
    """Whatever bit of CONFIG differs, the difference is in CONFIG, in the field that has it."""
    word = 0x7127 ^ 1 << bit
    comparison = compared({1: word.to_bytes(2, "big")}, {1: b"\x71\x27"}, read(0))
    (found,) = comparison.differences.values()
    assert (found.register, found.real, found.emulated, found.count) == ("CONFIG", word, 0x7127, 1)
    (name,) = found.bits
    assert name.endswith(f"bit {bit}")
    assert any(field in name for field in ("RST", "CH", "AVG", "CT", "MODE"))


def test_bits_without_a_field_are_named_by_number() -> None:
    """A register of which the guide names no field shows the bits themselves."""
    (found,) = compared({1: b"\x00\x09"}, {1: b"\x00\x08"}, read(0x07)).differences.values()
    assert (found.register, found.bits) == ("CRITICAL_LIMIT_1", {"bit 0": 1})


def test_a_read_without_a_pointer_goes_on_where_the_part_is() -> None:
    """The pointer of an earlier write names the register of a later read."""
    comparison = Comparison("power", Ina3221("power"), {})
    same = I2CAnswer(OK)
    comparison.compare(0.0, [(ADDRESS, 0, b"\x0f")], same, same)
    messages = [(ADDRESS, 1, 2)]
    real, emulated = I2CAnswer(OK, {0: b"\x00\x03"}), I2CAnswer(OK, {0: b"\x00\x02"})
    (new,) = comparison.compare(0.1, messages, real, emulated)
    assert (new.register, new.bits) == ("MASK_ENABLE", {"CVRF bit 0": 1})
    assert comparison.compare(0.2, messages, real, emulated) == [], "told once, counted always"
    assert comparison.differences["MASK_ENABLE"].count == 2


@pytest.mark.parametrize(("counts", "differs"), [(0, True), (1, True), (2, False), (3, False)])
@pytest.mark.parametrize("key", ["BUS_VOLTAGE_1", "bus1_v"])
def test_readings_have_a_tolerance(key: str, counts: int, differs: bool) -> None:
    """Counts by register, or by quantity: then of its last bit, which lies three bits up."""
    shift = 3 if key == "bus1_v" else 0
    real, emulated = 0x1000 + (2 << shift), 0x1000
    messages, answers = read(2), ({1: real.to_bytes(2, "big")}, {1: emulated.to_bytes(2, "big")})
    comparison = compared(*answers, messages, {key: counts})
    assert bool(comparison.differences) is differs
    assert comparison.counters["within_tolerance"] == (not differs)


def test_a_tolerance_of_nothing_known_is_refused() -> None:
    """A mistyped register is an error with the nearest that there is."""
    with pytest.raises(ConfigError, match="did you mean 'bus1_v'"):
        Comparison("power", Ina3221("power"), {"bus1_w": 1})


def test_a_status_that_differs_is_a_difference() -> None:
    """One acknowledges and the other does not: both are named."""
    comparison = Comparison("power", Tmp117("power"), {})
    nothing = I2CAnswer(NAK)
    (new,) = comparison.compare(0.0, read(0), nothing, I2CAnswer(OK, {1: b"\x00\x00"}))
    assert (new.register, set(new.bits)) == ("STATUS", {"NAK_ADDRESS", "OK"})


# --- in flight ----------------------------------------------------------------------------------


def plant(boards: Boards) -> None:
    """Turn one bit of the emulated part's identity over: DIE_ID bit 5."""
    rig: Any = boards._rig
    rig.wiring.parts["power_monitor"].file.values[0xFF] ^= 1 << 5


def test_a_model_that_is_right_differs_nowhere(tmp_path: Path) -> None:
    """The same part on both sides: every transaction is compared, and within tolerance."""
    limits = "tolerances.power_monitor = { "
    limits += ", ".join(
        f"{q}{n}_{u} = 400" for n in (1, 2, 3) for q, u in (("bus", "v"), ("current", "a"))
    )
    flown = Flown(tmp_path, SHADOW.replace("{}", limits + " }"), duration_s=2.0)
    outcome = flown.fly()
    (row,) = outcome.boards["shadow"]
    assert row["compared"] > 5
    assert row["differences"] == []
    assert outcome.boards["real"] == []
    assert {by for _, _, by in flown.power()} == {False}, "the emulated part is heard"


@pytest.mark.parametrize("shows", ["emulated", "real"])
def test_a_planted_one_bit_error_is_found_and_named(tmp_path: Path, shows: str) -> None:
    """One wrong bit in the model: register and bit are in events, run.json and the report."""
    # The run waits for a board that the lab names: it is there when the identity is first read.
    flown = Flown(tmp_path, SHADOW.replace("{}", ""), duration_s=2.5)
    flown.at(0.0, plant)
    flown.at(0.0, lambda boards: boards.shadow("power_monitor", "bench", shows))
    outcome = flown.fly()
    row = outcome.boards["shadow"][-1]
    found = {one["register"]: one for one in row["differences"]}
    assert found["DIE_ID"]["bits"] == {"bit 5": found["DIE_ID"]["count"]}
    assert (found["DIE_ID"]["last_real"], found["DIE_ID"]["last_emulated"]) == (0x3220, 0x3200)
    events = flown.events("SHADOW_DIFFERS")
    assert ("DIE_ID", "bit 5") in {(one["register"], one["bits"]) for one in events}
    assert "DIE_ID" in (outcome.run_dir / "report.html").read_text()
    assert (True in {by for _, _, by in flown.power()}) is (shows == "real")


def test_a_shadow_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """``off`` takes the real part away; what was compared stays in the books."""
    flown = Flown(tmp_path, SHADOW.replace("{}", ""), duration_s=2.5)
    flown.at(1.5, lambda boards: boards.shadow("power_monitor", "off"))
    outcome = flown.fly()
    assert [row["how"] for row in outcome.boards["history"]] == ["shadow", "emulated"]
    assert outcome.boards["shadow"][0]["compared"] > 0


def test_only_registers_on_i2c_can_be_shadowed(tmp_path: Path) -> None:
    """A part on another bus is refused with the reason, and the run goes on."""
    said: list[str] = []

    def act(boards: Boards) -> None:
        with pytest.raises(UsageError) as caught:
            boards.shadow("gnss", "bench")
        said.append(str(caught.value))

    flown = Flown(tmp_path, duration_s=1.0)
    flown.at(0.5, act)
    flown.fly()
    assert "only I2C parts can be shadowed" in said[0]
