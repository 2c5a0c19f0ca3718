"""Images: rebuilt they are the same octets, and they are what a real board takes."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from hil.boards import hexfile, uf2

FIRMWARE = Path(__file__).resolve().parents[3] / "boards" / "firmware"
PICO = FIRMWARE / "images" / "hilwire-pico.hex"


def test_images_are_what_their_sources_make(tmp_path: Path) -> None:
    """Built anew, every image has the hash that is committed with it."""
    compilers = [name for name in ("avr-gcc", "arm-none-eabi-gcc") if shutil.which(name)]
    if not compilers or shutil.which("make") is None:
        pytest.skip("neither avr-gcc nor arm-none-eabi-gcc, or no make, is here")
    command = ["make", "-s", "-C", str(FIRMWARE), "check", f"BUILD={tmp_path}"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("OK") == sum(
        {"avr-gcc": 1, "arm-none-eabi-gcc": 5}[name] for name in compilers
    )


def test_every_image_has_its_hash() -> None:
    """Each image below images/ stands in SHA256SUMS, and nothing else does."""
    lines = (FIRMWARE / "images" / "SHA256SUMS").read_text().split()
    images = {path.name for path in (FIRMWARE / "images").iterdir()} - {"SHA256SUMS"}
    assert set(lines[1::2]) == images


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


def test_a_uf2_holds_the_image(tmp_path: Path) -> None:
    """The blocks of the UF2, read back by its specification, are the image and the number."""
    made = tmp_path / "pico.uf2"
    assert uf2.main([str(PICO), str(made), "--uid", "0011223344556677"]) == 0
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
    assert flash[0x101F_FF00][-8:] == bytes.fromhex("0011223344556677")


def test_a_number_of_the_wrong_length_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number that is not of 16 digits is a usage error that says so."""
    with pytest.raises(SystemExit) as ended:
        uf2.main([str(PICO), str(tmp_path / "x"), "--uid", "0011"])
    assert ended.value.code == 2
    assert "--uid takes 16 digits, not 4" in capsys.readouterr().err
