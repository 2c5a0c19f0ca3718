"""From a class map to the product that goes to ground; layout in the dictionary."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.codec import class_map
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.dictionary import (
    PRODUCT_CRC_NBYTES,
    PRODUCT_HEADER,
    PRODUCT_HEADER_NBYTES,
    PRODUCT_VERSION,
)
from flightsw.compute.jobs import Job

Classes = NDArray[np.uint8]

_NCLASSES = 3
_KIND_CLASS_MAP = 1
_DECIMATIONS = (1, 2, 4, 8, 16, 32)
_HEADER = compile_layout(PRODUCT_HEADER)
assert _HEADER.nbytes == PRODUCT_HEADER_NBYTES


def pack_classes(classes: Classes) -> bytes:
    """Return two bits a pixel, first pixel highest, rows padded to whole octets."""
    width = classes.shape[-1]
    if width % 4:
        pad = [(0, 0)] * (classes.ndim - 1) + [(0, 4 - width % 4)]
        classes = np.pad(classes, pad)
    quads: Classes = classes.reshape(*classes.shape[:-1], -1, 4)
    packed = quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3]
    octets: bytes = packed.tobytes()
    return octets


def unpack_classes(octets: bytes, shape: tuple[int, ...]) -> Classes:
    """Return the classes, uint8 of ``shape``; the inverse of :func:`pack_classes`."""
    width = shape[-1]
    packed = np.frombuffer(octets, np.uint8).reshape(*shape[:-1], -(-width // 4), 1)
    shifts = np.array([6, 4, 2, 0], np.uint8)
    quads = np.bitwise_and(np.right_shift(packed, shifts), np.uint8(3))
    return np.ascontiguousarray(quads.reshape(*shape[:-1], -1)[..., :width])


def decimate(classes: Classes, factor: int) -> Classes:
    """Return the most frequent class of each block of ``factor`` by ``factor``; ties go low."""
    if factor == 1:
        return classes
    rows, columns = classes.shape[0] // factor, classes.shape[1] // factor
    blocks = classes[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    counts = [(blocks == number).sum(axis=(1, 3)) for number in range(_NCLASSES)]
    winners: Classes = np.argmax(np.stack(counts), axis=0).astype(np.uint8)
    return winners


def make_product(job: Job, classes: Classes, model_sha256: str, max_nbytes: int) -> bytes:
    """Return header, compressed class map and CRC-32, decimated to at most ``max_nbytes``."""
    overhead = PRODUCT_HEADER_NBYTES + PRODUCT_CRC_NBYTES
    for factor in _DECIMATIONS:
        small: Classes = decimate(classes, factor)
        body = class_map.encode(small)
        if overhead + len(body) <= max_nbytes or min(small.shape) < 2 * factor:
            break
    octets = _HEADER.encode(_head(job, small, factor, len(body), model_sha256)) + body
    return octets + zlib.crc32(octets).to_bytes(PRODUCT_CRC_NBYTES, "big")


def _head(job: Job, small: Classes, factor: int, nbytes: int, sha256: str) -> dict[str, Any]:
    sea, land, cloud = permille(job.counts)
    return {
        "version": PRODUCT_VERSION,
        "kind": _KIND_CLASS_MAP,
        "job": job.id,
        "t_ns": job.image_ns,
        "latitude": job.latitude,
        "longitude": job.longitude,
        "altitude_m": job.altitude_m,
        "position_age_ms": job.age_ms,
        "exposure_us": job.exposure_us,
        "width": small.shape[1],
        "height": small.shape[0],
        "decimation": factor,
        "priority": job.priority,
        "tiles": job.tiles_total,
        "sea_permille": sea,
        "land_permille": land,
        "cloud_permille": cloud,
        "model": bytes.fromhex(sha256)[:8],
        "body_nbytes": nbytes,
    }


def permille(counts: list[int]) -> tuple[int, int, int]:
    """Return the shares of the three classes, rounded, in thousandths."""
    total = sum(counts) or 1
    sea, land, cloud = ((1000 * count + total // 2) // total for count in counts)
    return sea, land, cloud
