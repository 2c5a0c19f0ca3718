"""Which provider runs the network: the order asked for, and what becomes of one that fails."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flightsw.codec.dictionary import Provider, ProviderFailure
from flightsw.compute import providers
from flightsw.compute.providers import NAMES, asked, open_session
from flightsw.compute.segmenter import TILE, Segmenter

onnxruntime = pytest.importorskip("onnxruntime")
CPU, CUDA, TENSORRT = NAMES["cpu"], NAMES["cuda"], NAMES["tensorrt"]


class Runtime:
    """The interface of onnxruntime that is used here, on a computer with these providers.

    ``refuses`` raise when a session is made, ``replaces`` are taken for another in silence, as
    onnxruntime does where a library of CUDA is missing.
    """

    __version__ = "1.18.0"
    SessionOptions = SimpleNamespace

    def __init__(self, *there: str, refuses: str = "", replaces: str = "") -> None:
        self.there, self.refuses, self.replaces = [*there, CPU], refuses, replaces
        self.options: dict[str, Any] = {}

    def get_available_providers(self) -> list[str]:
        return self.there

    def InferenceSession(self, data: bytes, options: Any, providers: Any) -> Any:
        names = [name for name, _ in providers]
        self.options.update(providers)
        if names[0] == self.refuses:
            raise RuntimeError("CUDA failure 35: driver too old\n  at line 12")
        taken = [name for name in names if name != self.replaces]
        return SimpleNamespace(get_providers=lambda: taken)


def test_the_order_is_as_asked_and_ends_with_the_processor() -> None:
    """A list is taken in its order, each once, and the processor stands at its end."""
    assert asked("auto") == ("tensorrt", "cuda", "cpu")
    assert asked("cuda") == ("cuda", "cpu")
    assert asked("cpu, cuda,cuda") == ("cuda", "cpu")
    with pytest.raises(ValueError, match="'rocm' is no provider"):
        asked("rocm")


def test_the_first_that_works_is_taken() -> None:
    """Where all are there TensorRT runs the network; CUDA is kept exact by its options."""
    assert open_session(b"", asked("auto"), Runtime(TENSORRT, CUDA))[1:] == ("tensorrt", ())
    runtime = Runtime(CUDA)
    opened = open_session(b"", asked("auto"), runtime)
    assert opened.provider == "cuda"
    assert [one.failure for one in opened.fallbacks] == [ProviderFailure.ABSENT]
    assert runtime.options[CUDA] == {"cudnn_conv_algo_search": "DEFAULT", "use_tf32": "0"}


@pytest.mark.parametrize(
    ("runtime", "failure", "why"),
    [
        (Runtime(), ProviderFailure.ABSENT, f"this onnxruntime has {CPU}"),
        (Runtime(CUDA, refuses=CUDA), ProviderFailure.REFUSED, "CUDA failure 35: driver too old"),
        (Runtime(CUDA, replaces=CUDA), ProviderFailure.REPLACED, f"onnxruntime took {CPU}"),
    ],
    ids=["absent", "refused", "replaced"],
)
def test_a_provider_that_fails_is_told(runtime: Runtime, failure: Any, why: str) -> None:
    """However a provider fails, the processor runs the network and the reason is kept."""
    opened = open_session(b"", asked("cuda"), runtime)
    assert opened.provider == "cpu"
    assert opened.fallbacks == (("cuda", failure, why),)


def test_asking_for_cuda_here_falls_back() -> None:
    """On this computer's onnxruntime the same happens for real, and the classes are the same."""
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    segmenter = Segmenter(providers=("cuda",))
    assert (segmenter.provider, segmenter.provider_number) == (CPU, Provider.CPU)
    assert [one.failure for one in segmenter.fallbacks] == [ProviderFailure.ABSENT]
    tiles = np.random.default_rng(3).integers(0, 256, (2, TILE, TILE, 3), dtype=np.uint8)
    assert np.array_equal(segmenter.classify(tiles), Segmenter().classify(tiles))


def test_a_provider_that_stops_in_its_work_is_given_up() -> None:
    """A session that raises while it runs is replaced by the processor's, which does the work."""

    class Gone:
        def run(self, *ignored: Any) -> Any:
            raise RuntimeError("CUDA error 719: launch failure")

    segmenter, told = Segmenter(), []
    tiles = np.random.default_rng(3).integers(0, 256, (1, TILE, TILE, 3), dtype=np.uint8)
    wanted = segmenter.classify(tiles)
    segmenter._session, segmenter._word = Gone(), "cuda"
    segmenter.on_fallback = told.append
    assert np.array_equal(segmenter.classify(tiles), wanted)
    assert told == [("cuda", ProviderFailure.STOPPED, "CUDA error 719: launch failure")]
    assert segmenter.provider_number == Provider.CPU


def test_what_this_host_has_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The script has a row a provider; the processor runs and is like itself."""
    assert providers.main(["--json", "--tiles", "1", "--repeats", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["provider"]: row for row in found["rows"]}
    assert rows.keys() == {"tensorrt", "cuda", "cpu"}
    assert rows["cpu"]["runs"] is True
    assert rows["cpu"]["pixels_unlike"] == 0
    assert all(row["runs"] or row["why"] for row in rows.values())
