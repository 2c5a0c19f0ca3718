"""Small pictures as ``data:`` addresses, within a budget of octets."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hil.report.model import ImageRow

#: colours of water, land, cloud and unknown pixels in a class map
CLASS_COLOURS = ((46, 104, 176), (88, 138, 66), (235, 239, 244), (96, 96, 104))
#: the longer side of a picture in a report with room for it, pixels
LARGEST_SIDE = 208
_SIDES = (LARGEST_SIDE, 176, 144, 112, 88, 64, 40)
#: what the element of a picture takes besides its address: tag, alternative text, attributes
_TAG_NBYTES = 80
#: A side is tried only if this many pictures of it do not take far more than their share.
_SAMPLE = 6

Pixels = NDArray[np.uint8]


def thumbnails(images: Sequence[ImageRow], budget: int) -> list[tuple[str | None, str | None]]:
    """Return (photograph, class map) of each image as ``data:`` addresses of at most ``budget``
    octets together; from the last on they are None where even the smallest do not fit."""
    made: list[tuple[str | None, str | None]] = []
    shown = sum("pixels" in image or "classes" in image for image in images)
    sample = [image for image in images if "pixels" in image][:_SAMPLE]
    for side in _SIDES:
        share = sum(_nbytes(_pair(image, side)) for image in sample) / max(len(sample), 1)
        if side != _SIDES[-1] and share * shown > 2 * budget:
            continue
        made = [_pair(image, side) for image in images]
        if sum(_nbytes(pair) for pair in made) <= budget:
            return made
    total = 0
    for i, pair in enumerate(made):
        total += _nbytes(pair)
        if total > budget:
            made[i] = (None, None)
    return made


def _nbytes(pair: tuple[str | None, str | None]) -> int:
    return sum(len(address) + _TAG_NBYTES for address in pair if address is not None)


def _pair(image: ImageRow, side: int) -> tuple[str | None, str | None]:
    pixels, classes = image.get("pixels"), image.get("classes")
    photo = None if pixels is None else photograph(shrink_mean(pixels, side))
    return photo, None if classes is None else class_map(shrink_pick(classes, side))


def shrink_mean(pixels: Pixels, side: int) -> Pixels:
    """Return ``pixels`` with its longer side at most about ``side``, by means of whole blocks."""
    step = max(1, -(-max(pixels.shape[:2]) // side))
    height, width = pixels.shape[0] // step * step, pixels.shape[1] // step * step
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step, -1)
    mean: Pixels = (blocks.sum(axis=(1, 3), dtype=np.uint32) // (step * step)).astype(np.uint8)
    return mean


def shrink_pick(classes: Pixels, side: int) -> Pixels:
    """Return ``classes`` with its longer side at most about ``side``, by picking pixels."""
    step = max(1, -(-max(classes.shape) // side))
    return classes[step // 2 :: step, step // 2 :: step]


def photograph(pixels: Pixels) -> str:
    """Return RGB pixels as a JPEG (a PNG where pillow is not installed)."""
    try:
        from PIL import Image
    except ImportError:
        return _address("png", png(pixels, 2))
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=72, optimize=True)
    return _address("jpeg", out.getvalue())


def class_map(classes: Pixels) -> str:
    """Return a class map as a PNG with a palette."""
    known: Pixels = np.minimum(classes, len(CLASS_COLOURS) - 1)
    height, width = known.shape
    padded = np.zeros((height, -(-width // 4) * 4), np.uint8)
    padded[:, :width] = known
    quads = padded.reshape(height, -1, 4)
    packed: Pixels = (
        quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3]
    ).astype(np.uint8)
    palette = b"".join(bytes(colour) for colour in CLASS_COLOURS)
    return _address("png", png(packed, 3, width, palette))


def png(rows: Pixels, colour_type: int, width: int | None = None, palette: bytes = b"") -> bytes:
    """Return a PNG (ISO/IEC 15948): RGB of 8 bits for colour type 2, a palette of 2 bits for 3."""
    height = rows.shape[0]
    depth = 8 if colour_type == 2 else 2
    head = struct.pack(">IIBBBBB", width or rows.shape[1], height, depth, colour_type, 0, 0, 0)
    flat = rows.reshape(height, -1)
    filtered = np.hstack([np.zeros((height, 1), np.uint8), flat]).tobytes()
    chunks = [(b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(filtered, 9))]
    body = b"".join(_chunk(*chunk) for chunk in chunks if chunk[1])
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
