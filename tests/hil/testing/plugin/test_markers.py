"""Markers say what the rig of a test is; what they cannot say is refused by the test's name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hil.testing.plugin.seeds import nth_seed, seed_of

Inner = Callable[..., pytest.RunResult]
USAGE = pytest.ExitCode.USAGE_ERROR


def test_a_marker_is_over_all_but_a_flag(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest marker wins over module and variable; what is typed wins over all of them."""
    monkeypatch.setenv("HIL_SEED", "9")
    text = """
        import pytest
        pytestmark = pytest.mark.hil(flight="none", seed=1, duration="2 min")

        @pytest.mark.hil(seed={0})
        def test_near(rig):
            assert (rig.seed, rig.options.flight, rig.end_ns) == ({1}, "none", 120 * 10**9)
        """
    inner(text.format(2, 2)).assert_outcomes(passed=1)
    inner(text.format(2, 5), "--hil-seed=5").assert_outcomes(passed=1)


def test_the_seed_of_a_test_is_that_of_its_id(inner: Inner) -> None:
    """Cases of one test fly in worlds of their own, and every time in the same."""
    seeds = [seed_of(f"test_it.py::test_a[{n}]") for n in (0, 1)]
    text = f"""
        import pytest

        @pytest.mark.hil(flight="none")
        @pytest.mark.parametrize("n", [0, 1])
        def test_a(rig_factory, n):
            assert rig_factory().seed == {seeds}[n]
            assert rig_factory().seed == {[nth_seed(seed, 2) for seed in seeds]}[n]
            assert rig_factory(seed=4).seed == 4
        """
    inner(text).assert_outcomes(passed=2)


def test_the_board_of_the_session_is_a_fixture(inner: Inner) -> None:
    """``hil_board`` is the board file that the session names, and is read once."""
    text = """
        def test_a(hil_board):
            assert hil_board.name == "raspberrypi5"
        """
    inner(text, "--hil-board=raspberrypi5").assert_outcomes(passed=1)
    result = inner(text, "--hil-board=raspberrypi6")
    assert result.ret == USAGE
    result.stderr.fnmatch_lines(["*test_it.py::test_a: *raspberrypi6*did you mean*"])


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("hil(sead=1)", "marker hil: no argument 'sead'; did you mean 'seed'?"),
        ("hil('x')", "marker hil('x'): say it by name: board=, mission="),
        ("hil(seed='1')", "marker hil: seed: '1' is no whole number"),
        ("hil(seed=-1)", "marker hil: seed: '-1' is no whole number"),
        ("hil(seed=True)", "marker hil: seed: 'True' is no whole number"),
        ("hil(board='raspberypi4')", "raspberypi4"),
        ("hil(mission='moon')", "moon"),
        ("hil(speed='fast')", "pace 'fast' is none"),
        ("hil(flight='flightsoft')", "flight 'flightsoft' is none; did you mean 'flightsw'?"),
        ("hil(duration=20)", "duration: 20: give at least one second in nanoseconds"),
        ("hil(duration='long')", "marker hil: duration"),
        ("hil(faults=3)", "faults: 3: give rows of a fault plan"),
        ("hil(faults='i2c-9:stuck_sda')", "i2c-9"),
        ("hil(faults='i2c-1:tired')", "tired"),
        ("needs_hw()", "marker needs_hw: say what is needed"),
        ("needs_hw('can_df')", "no board can 'can_df'; did you mean 'can_fd'?"),
    ],
)
def test_what_no_rig_can_be_is_refused_before_any_test_runs(
    inner: Inner, marker: str, said: str
) -> None:
    """The session ends as wrong usage does, and names the test and the nearest right word."""
    result = inner(
        f"""
        import pytest
        def test_good(rig): pass
        @pytest.mark.{marker}
        def test_wrong(rig): pass
        """
    )
    assert result.ret == USAGE
    (line,) = [line for line in result.stderr.lines if "test_wrong" in line]
    assert line.startswith("ERROR: test_it.py::test_wrong: ")
    assert said in line
    result.assert_outcomes()


def test_a_worker_fails_the_test_whose_rig_cannot_be(workers: Inner) -> None:
    """Under xdist the same words are the error of the test, and the session does not crash.

    A group of tests, which xdist writes behind their ids, moves no seed.
    """
    result = workers(
        """
        import pytest
        def test_good(): pass
        @pytest.mark.hil(sead=1)
        def test_wrong(rig): pass

        @pytest.mark.xdist_group("bench")
        @pytest.mark.hil(flight="none")
        def test_grouped(rig):
            assert rig.seed == SEED
        """.replace("SEED", str(seed_of("test_it.py::test_grouped"))),
        *("--dist", "loadgroup"),
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*marker hil: no argument 'sead'; did you mean 'seed'?*"])


def test_rig_factory_refuses_what_it_does_not_know(inner: Inner) -> None:
    """A mistyped word is an error in the test, and no rig with the default in its place."""
    text = """
        import pytest
        def test_a(rig_factory):
            with pytest.raises(pytest.UsageError, match="did you mean 'board'"):
                rig_factory(bord="raspberrypi5")
        """
    inner(text).assert_outcomes(passed=1)


def test_a_function_of_the_test_file_flies(inner: Inner, pytester: pytest.Pytester) -> None:
    """A marker takes flight code as it is, and a factory too; reports name it by its module."""
    inner(
        """
        import pytest
        from hil.testing import s

        def fly(hal):
            hal.clock.sleep_until(1 * s)
            hal.can("can0").send(0x7, b"up")

        @pytest.mark.hil(flight=fly)
        def test_a(rig):
            rig.bus("can0").expect(address=0x7)

        def test_b(rig_factory):
            rig_factory(flight=fly).bus("can0").expect(address=0x7)
        """,
        "--junit-xml=report.xml",
    ).assert_outcomes(passed=2)
    assert (pytester.path / "report.xml").read_text().count('value="test_it:fly"') == 2
