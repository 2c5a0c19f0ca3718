"""Images are what a real board takes."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from hil.boards import hexfile, uf2

FIRMWARE = Path(__file__).resolve().parents[3] / "boards" / "firmware"
PICO = FIRMWARE / "images" / "hilwire-pico.hex"


def crc32(octets: bytes) -> int:
    """CRC-32 as the RP2040's boot ROM has it: not reflected, preset to ones, not inverted."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def test_the_picos_second_stage_has_its_check() -> None:
    """The first 256 octets of the image are what the boot ROM starts."""
    pieces = hexfile.memory(PICO.read_text(), PICO.name)
    stage = pieces[0x1000_0000][:256]
    assert crc32(stage[:252]) == int.from_bytes(stage[252:], "little")


def test_a_uf2_holds_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of the UF2, read back by its specification, are the image and the number."""
    made = tmp_path / "pico.uf2"
    monkeypatch.chdir(FIRMWARE.parents[1])
    page = (FIRMWARE.parents[1] / "docs" / "emulated-boards.md").read_text()
    (command,) = re.findall(r"^python -m hil.boards.uf2 (.*)$", page, re.M)
    assert uf2.main(command.replace("pico.uf2", str(made)).split()) == 0
    octets = made.read_bytes()
    flash: dict[int, bytes] = {}
    for number, at in enumerate(range(0, len(octets), 512)):
        block = octets[at : at + 512]
        first, second, flags, address, n, index, count, family = struct.unpack_from("<8I", block)
        assert (first, second, block[508:]) == (0x0A324655, 0x9E5D5157, b"\x30\x6f\xb1\x0a")
        assert (flags, n, index, count) == (0x2000, 256, number, len(octets) // 512)
        assert (family, address % 256) == (0xE48BFF56, 0)
        flash[address] = block[32 : 32 + n]
    for start, piece in hexfile.memory(PICO.read_text(), PICO.name).items():
        for offset, octet in enumerate(piece):
            page = (start + offset) // 256 * 256
            assert flash[page][start + offset - page] == octet
    assert flash[0x101F_FF00][-8:] == bytes.fromhex("5f3c9a0012d4e801")


def test_a_number_of_the_wrong_length_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number that is not of 16 digits is a usage error that says so."""
    with pytest.raises(SystemExit) as ended:
        uf2.main([str(PICO), str(tmp_path / "x"), "--uid", "0011"])
    assert ended.value.code == 2
    assert "--uid takes 16 digits, not 4" in capsys.readouterr().err
