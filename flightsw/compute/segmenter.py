"""Water, land or cloud, for every pixel: the onboard network, and the rule for when it is off.

Both take tiles uint8[N, 128, 128, 3] (RGB) and return classes uint8[N, 128, 128]. The network's
weights and activations are integers small enough that float32 sums are exact in any order, so its
classes are the same on every processor and runtime; ``tests/flightsw/compute`` proves the bound.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.dictionary import Provider, ProviderFailure
from flightsw.codec.install import install_command
from flightsw.compute.providers import NAMES, NUMBERS, Fallback, Opened, asked, open_session
from flightsw.errors import ModelError

Bytes = NDArray[np.uint8]

WATER, LAND, CLOUD = 0, 1, 2
TILE = 128

_MODEL = Path(__file__).parent / "models" / "segmenter.onnx"
_REMEDY = install_command()


class TileClassifier(Protocol):
    """What the compute service needs of a segmenter."""

    @property
    def name(self) -> str:
        """A short name for events and reports."""

    @property
    def provider(self) -> str:
        """What executes it."""

    @property
    def provider_number(self) -> Provider:
        """The same as telemetry has it."""

    @property
    def fallbacks(self) -> Sequence[Fallback]:
        """Providers that were asked for and given up."""

    @property
    def sha256(self) -> str:
        """Hash of what decides its results, hexadecimal."""

    def classify(self, tiles: Bytes) -> Bytes:
        """Return classes uint8[N, 128, 128] of tiles uint8[N, 128, 128, 3]."""


class Segmenter:
    """The ONNX network, on one thread of onnxruntime."""

    name = "segmenter"

    def __init__(self, path: Path | str | None = None, providers: Sequence[str] = ("cpu",)) -> None:
        """Load a model and the JSON file beside it; ``providers`` in order of preference.

        Behind all of them stands the processor (:mod:`flightsw.compute.providers`). Raises
        ModelError when onnxruntime or a file is missing, a provider is none, or the hash does not
        match.
        """
        self._path = path
        try:
            self._providers = asked(",".join(providers))
        except ValueError as error:
            raise ModelError(f"model {self._model}: {error}") from None
        #: providers that were given up, in order, and who is told of the next one
        self.fallbacks: list[Fallback] = []
        self.on_fallback: Callable[[Fallback], None] | None = None
        model = self._model
        self.card = _read_card(model.with_suffix(".json"))
        data = _read(model)
        self._sha256 = hashlib.sha256(data).hexdigest()
        if self._sha256 != self.card.get("sha256"):
            raise ModelError(
                f"model {model}: sha256 {self._sha256[:12]} is not that of its card "
                f"({str(self.card.get('sha256'))[:12]}); restore the file or train it again"
            )
        opened = _open(data, self._providers, model)
        self._session: Any = opened.session
        self._word = opened.provider
        self.fallbacks += opened.fallbacks

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: where the model is, which is loaded when it is first used."""
        return {**self.__dict__, "_session": None}

    @property
    def _model(self) -> Path:
        return Path(self._path) if self._path is not None else _MODEL

    @property
    def provider(self) -> str:
        """The execution provider, as onnxruntime calls it."""
        return NAMES[self._word]

    @property
    def provider_number(self) -> Provider:
        """The execution provider as telemetry has it."""
        return NUMBERS[self._word]

    @property
    def sha256(self) -> str:
        """Hash of the model file."""
        return self._sha256

    def classify(self, tiles: Bytes) -> Bytes:
        """Return classes uint8[N, 128, 128] of tiles uint8[N, 128, 128, 3]."""
        _check_tiles(tiles)
        if len(tiles) == 0:
            return np.empty((0, TILE, TILE), np.uint8)
        if self._session is None:
            self._session = _open(_read(self._model), (self._word,), self._model).session
        feed = {"tiles": np.ascontiguousarray(tiles)}
        try:
            classes: Bytes = self._session.run(None, feed)[0]
        except Exception as error:
            if self._word == "cpu":
                raise
            self._fall_back((str(error).splitlines() or [type(error).__name__])[0])
            classes = self._session.run(None, feed)[0]
        return classes

    def _fall_back(self, why: str) -> None:
        """Go on with the processor: the provider stopped in the middle of its work."""
        fallback = Fallback(self._word, ProviderFailure.STOPPED, why)
        self.fallbacks.append(fallback)
        self._word = "cpu"
        self._session = _open(_read(self._model), ("cpu",), self._model).session
        if self.on_fallback is not None:
            self.on_fallback(fallback)


class ThresholdSegmenter:
    """Two thresholds in plain NumPy, for when inference is off: bright grey is cloud, blue water.

    The constants are the best on the network's training longitudes. Snow it takes for cloud.
    """

    name = "threshold"
    provider = "numpy"
    provider_number = Provider.NUMPY
    fallbacks: Sequence[Fallback] = ()

    #: the darkest channel of a cloud pixel, and the widest spread of its channels, in counts
    CLOUD_DARKEST = 100
    CLOUD_SPREAD = 40
    #: water is at least this much bluer than red, in counts
    WATER_BLUER = 5

    @property
    def sha256(self) -> str:
        """Hash of the constants."""
        text = f"{self.CLOUD_DARKEST},{self.CLOUD_SPREAD},{self.WATER_BLUER}"
        return hashlib.sha256(text.encode()).hexdigest()

    def classify(self, tiles: Bytes) -> Bytes:
        """Return classes uint8[N, 128, 128] of tiles uint8[N, 128, 128, 3]."""
        _check_tiles(tiles)
        red, green, blue = (tiles[..., i].astype(np.int16) for i in range(3))
        classes: Bytes = (blue - red < self.WATER_BLUER).astype(np.uint8)
        darkest = np.minimum(np.minimum(red, green), blue)
        brightest = np.maximum(np.maximum(red, green), blue)
        cloud = (darkest >= self.CLOUD_DARKEST) & (brightest - darkest <= self.CLOUD_SPREAD)
        classes[cloud] = CLOUD
        return classes


class Grid(NamedTuple):
    """How an image was cut: tile rows and columns, and the size of the image itself."""

    rows: int
    columns: int
    height: int
    width: int


def split_tiles(image: Bytes) -> tuple[Bytes, Grid]:
    """Cut uint8[H, W, 3] into tiles uint8[N, 128, 128, 3], row by row; black fills the margin."""
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"an image is uint8[H, W, 3] and not empty, not {image.shape}")
    height, width = image.shape[:2]
    grid = Grid(-(-height // TILE), -(-width // TILE), height, width)
    full = (grid.rows * TILE, grid.columns * TILE)
    if full != (height, width):
        padded = np.zeros((*full, 3), np.uint8)
        padded[:height, :width] = image
        image = padded
    blocks = image.reshape(grid.rows, TILE, grid.columns, TILE, 3).swapaxes(1, 2)
    return np.ascontiguousarray(blocks).reshape(-1, TILE, TILE, 3), grid


def join(classes: Bytes, grid: Grid) -> Bytes:
    """Put classes uint8[N, 128, 128] of :func:`split_tiles` together to uint8[H, W]."""
    if classes.shape != (grid.rows * grid.columns, TILE, TILE):
        raise ValueError(f"classes of shape {classes.shape} do not fill {grid}")
    blocks = classes.reshape(grid.rows, grid.columns, TILE, TILE).swapaxes(1, 2)
    whole = blocks.reshape(grid.rows * TILE, grid.columns * TILE)
    return np.ascontiguousarray(whole[: grid.height, : grid.width])


def _check_tiles(tiles: Bytes) -> None:
    """Refuse anything but uint8[N, 128, 128, 3]."""
    if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[1:] != (TILE, TILE, 3):
        raise ValueError(f"tiles are uint8[N, 128, 128, 3], not {tiles.dtype}{tiles.shape}")


def _read(path: Path) -> bytes:
    """Read a file of the model; raises ModelError."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"model {path}: cannot be read ({reason}); reinstall flatsat or train it: "
            "python -m hil.world.imagery.training"
        ) from error


def _read_card(path: Path) -> dict[str, Any]:
    """Return the JSON card of a model; raises ModelError."""
    try:
        card = json.loads(_read(path))
    except ValueError as error:
        raise ModelError(f"model card {path}: not JSON ({error}); restore the file") from error
    if not isinstance(card, dict):
        raise ModelError(f"model card {path}: not a JSON object; restore the file")
    return card


def _open(data: bytes, wanted: Sequence[str], model: Path) -> Opened:
    """Return an onnxruntime session; raises ModelError."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ModelError(f"model {model}: onnxruntime is not installed; {_REMEDY}") from error
    try:
        return open_session(data, wanted, ort)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise ModelError(f"model {model}: onnxruntime cannot load it ({error})") from error
