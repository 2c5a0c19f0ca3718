"""Recorded downlink of real spacecraft, imported and played into the ground as a user does.

Frames decoded by Daniel Estévez and others (CC BY 4.0, github.com/daniestevez/jupyter_notebooks),
packets from lasp/space_packet_parser (BSD-3-Clause) and IMAP-Science-Operations-Center (MIT);
looked for in ``$FLATSAT_CORPORA``, else in ``../shared/corpora`` beside the repository.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hil.cli import main

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLATSAT_CORPORA", ROOT.parent / "shared" / "corpora"))
CHANNELS = ROOT / "docs" / "channels"

MARS = "frames/Mars2020__mars2020_frames.u8"
SAFE_MODE = "frames/Mars2020__safemode_frames.u8"
HERA = "frames/Hera__hera_low_rate_frames_2024_10_07_16_24_20.u8"
CHANGE_5 = (
    "frames/CE5__Bochum_2020-12-02_8463__SDRSharp_20201202_060001Z_8463752190Hz_IQ_2M5"
    "_dec8_CE5_frames.u8"
)
QUEQIAO = "frames/Queqiao__queqiao_rs_frames.u8"
BITS = "frames/BlueWalker3__viterbi_out_1_20220925_051912.u8"
BW3_FRAMES = "frames/BlueWalker3__bw3_frames_20220925_051912.u8"
JPSS = "spp/jpss__J01_G011_LZ_2021-04-09T00-00-00Z_V01.DAT1"
SUDA = "spp/suda__sciData_2022_130_17_41_53.spl"
HIT = "imap/hit__test_data__imap_hit_l0_hk_20100105_v001.pkts"


class Ground:
    """The two commands of a user, and what they print."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.capture = folder / "pass.mcap"

    def imported(self, name: str, *options: str) -> dict[str, Any]:
        """Import a recording, or skip the test where it is not; return what the command says."""
        path = CORPORA / name
        if not path.is_file():
            pytest.skip(f"{path} is not here; set FLATSAT_CORPORA to where recorded downlink is")
        assert main(["import", str(path), *options, "--out", str(self.capture), "--json"]) == 0
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert found["damage"] == {}
        return found

    def played(self, *options: str) -> dict[str, Any]:
        """Play it into the ground endpoint; return the figures."""
        words = ["replay", str(self.capture), "--mode", "play", "--to", "ground", "--json", "-q"]
        assert main([*words, *options]) == 0
        found = json.loads(self.capsys.readouterr().out)
        assert found["identical"]
        assert found["verdict"]["lost"] == {}
        figures: dict[str, Any] = found["figures"]
        return figures


@pytest.fixture
def ground(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ground:
    """Give a folder for the capture, and the commands."""
    return Ground(tmp_path, capsys)


def channel(name: str) -> tuple[str, str]:
    """Return the option that names one of the channels of the manual."""
    return "--channel", str(CHANNELS / f"{name}.toml")


def by_apid(figures: dict[str, Any]) -> dict[int, int]:
    """Return the packets of each APID."""
    stages = figures["counters"].items()
    return {int(s.split()[1]): c["packets"] for s, c in stages if s.startswith("apid ")}


def test_mars_2020(ground: Ground) -> None:
    """950 frames, 946 with a good check and 4 without: 813 packets of three APIDs, 17 frames lost,
    also when they come at the rate of a link."""
    assert ground.imported(MARS, *channel("mars2020"), "--rate", "10M")["records"] == 950
    for pace in ("max", "x20"):
        figures = ground.played("--pace", pace)
        link = figures["counters"]["link"]
        assert (link["frames"], link["bad_fecf"], link["vc_lost_frames"]) == (946, 4, 17)
        assert figures["packets"] == 813
        assert by_apid(figures) == {0x7FF: 741, 0x9: 58, 0xF7: 14}
        assert ("lateness_us" in figures) is (pace != "max")


def test_mars_2020_in_safe_mode(ground: Ground, tmp_path: Path) -> None:
    """Of four frames of 223 octets three are good, and the check of one is not."""
    described = (CHANNELS / "mars2020.toml").read_text().replace("1115", "223")
    file = tmp_path / "safe.toml"
    file.write_text(described)
    assert ground.imported(SAFE_MODE, "--channel", str(file))["records"] == 4
    link = ground.played()["counters"]["link"]
    assert (link["frames"], link["bad_fecf"]) == (3, 1)


def test_hera(ground: Ground) -> None:
    """256 packets in 56 frames: 250 PUS reports of known types whose check is right, 6 times."""
    assert ground.imported(HERA, *channel("hera"))["records"] == 56
    figures = ground.played("--out", str(ground.folder / "out"))
    assert figures["packets"] == 256
    assert figures["pus"] == {"3,25": 229, "5,1": 14, "5,3": 1, "1,1": 3, "1,7": 3}
    assert by_apid(figures)[0] == 6
    assert "bad_error_control" not in figures["counters"]["packets"]
    assert "vc_lost_frames" not in figures["counters"]["link"]
    octets = (ground.folder / "out" / "telemetry.pkts").read_bytes()
    assert len(octets) == figures["counters"]["packets"]["octets"]


def test_change_5(ground: Ground) -> None:
    """3,292 packets in 480 frames with an insert zone; no frame and no alignment is lost."""
    assert ground.imported(CHANGE_5, *channel("change5"))["records"] == 480
    figures = ground.played()
    link = figures["counters"]["link"]
    assert (link["frames"], figures["packets"]) == (480, 3292)
    lost = {"vc_lost_frames", "mc_lost_frames", "pointer_errors", "packets_lost_pieces"}
    assert lost & set(link) == set()


def test_queqiao(ground: Ground, tmp_path: Path) -> None:
    """Of 3,282 codewords 251 fail and 3,031 are taken; a strict decoder refuses every one."""
    assert ground.imported(QUEQIAO, *channel("queqiao"))["records"] == 3282
    link = ground.played()["counters"]["link"]
    assert (link["air_units"], link["failed_units"]) == (3282, 251)
    assert (link["codewords"], link["failed_codewords"]) == (3282, 251)
    strict = tmp_path / "strict.toml"
    text = (CHANNELS / "queqiao.toml").read_text()
    strict.write_text(text.replace("lenient = true", "lenient = false"))
    link = ground.played("--channel", str(strict))["counters"]["link"]
    assert (link["fill_codewords"], link["failed_units"]) == (3031, 3282)


def test_bluewalker_3_bits(ground: Ground) -> None:
    """435,680 bits hold 151 whole units behind markers that stand on no octet."""
    found = ground.imported(BITS, *channel("bluewalker3"))
    assert "octets_that_are_no_bit" not in found["counters"][Path(BITS).name]
    assert ground.played()["counters"]["link"]["air_units"] == 151


def test_bluewalker_3_frames(ground: Ground, tmp_path: Path) -> None:
    """The published frames of the same pass, derandomised, are taken one for one."""
    described = (CHANNELS / "bluewalker3.toml").read_text()
    described = described.replace('"bits"', '"frames"').replace('"tm"\n\n[marker]', '"none"\n')
    file = tmp_path / "frames.toml"
    file.write_text(described)
    count = ground.imported(BW3_FRAMES, "--channel", str(file))["records"]
    path = CORPORA / BW3_FRAMES
    assert count == path.stat().st_size // 355
    link = ground.played()["counters"]["link"]
    assert link["air_units"] == count
    assert link["frames"] + link["bad_version"] == count


def test_jpss_1(ground: Ground) -> None:
    """7,200 packets of APID 11 fill 7,200 rows; by their own times they span two hours."""
    found = ground.imported(JPSS, *channel("jpss1"), "--packet-time", "cds 2 2 tai @ 6")
    assert found["records"] == 7200
    assert 7198 < found["span_s"] < 7200
    figures = ground.played()
    assert by_apid(figures) == {11: 7200}
    assert figures["counters"]["layout geolocation"]["rows"] == 7200


def test_suda(ground: Ground) -> None:
    """13 packets behind record headers of four octets, in sequence."""
    found = ground.imported(SUDA, "--packet-prefix", "4")
    assert found["counters"][Path(SUDA).name]["record_octets"] == 52
    figures = ground.played()
    assert by_apid(figures) == {1425: 13}
    assert "lost" not in figures["counters"]["packets"]


def test_imap_hit(ground: Ground) -> None:
    """88 packets of housekeeping of one APID, none missing between them."""
    assert ground.imported(HIT, "--as", "packets")["records"] == 88
    figures = ground.played()
    assert by_apid(figures) == {1251: 88}
    assert "lost" not in figures["counters"]["packets"]
