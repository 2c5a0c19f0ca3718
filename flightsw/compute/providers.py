"""Which execution provider of onnxruntime runs the network: TensorRT, CUDA or the processor.

Providers are tried in the order asked for, and the processor is always the last. One that is not
there, refuses or is replaced by onnxruntime in silence is a :class:`Fallback`: counted, reported,
never hidden. ``python -m flightsw.compute.providers`` shows what this host has, how fast each is
and whether it gives the same classes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flightsw.codec.dictionary import Provider, ProviderFailure

#: words of ``--providers`` and names in onnxruntime
NAMES = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
#: the order of ``auto``: what is fastest, where it is there
AUTO = ("tensorrt", "cuda", "cpu")
NUMBERS = {"tensorrt": Provider.TENSORRT, "cuda": Provider.CUDA, "cpu": Provider.CPU}
_CPU = "cpu"
_TILES = 8


class Fallback(NamedTuple):
    """A provider that was asked for and does not run the network, and why."""

    provider: str
    failure: ProviderFailure
    why: str


class Opened(NamedTuple):
    """A session, the word of its provider, and what was given up before it."""

    session: Any
    provider: str
    fallbacks: tuple[Fallback, ...]


def asked(words: str) -> tuple[str, ...]:
    """Return the providers that a comma-separated list asks for, the processor at its end.

    Raises ``ValueError`` for a word that names none.
    """
    if words == "auto":
        return AUTO
    names = [word.strip() for word in words.split(",")]
    for name in names:
        if name not in NAMES:
            raise ValueError(f"{name!r} is no provider: name some of {', '.join(NAMES)}, or auto")
    return (*dict.fromkeys(name for name in names if name != _CPU), _CPU)


def open_session(data: bytes, wanted: Sequence[str], runtime: Any) -> Opened:
    """Return a session on the first provider that takes the model; ``runtime``: onnxruntime.

    Raises what onnxruntime raises where the processor does not take it either.
    """
    available = runtime.get_available_providers()
    fallbacks: list[Fallback] = []
    for name in wanted:
        if name == _CPU:
            continue
        if NAMES[name] not in available:
            why = f"this onnxruntime has {', '.join(available)}"
            fallbacks.append(Fallback(name, ProviderFailure.ABSENT, why))
            continue
        try:
            session = _session(data, name, runtime)
        except Exception as error:  # noqa: BLE001 - it raises unrelated classes; kept and told
            why = (str(error).splitlines() or [type(error).__name__])[0]
            fallbacks.append(Fallback(name, ProviderFailure.REFUSED, why))
            continue
        first = session.get_providers()[0]
        if first == NAMES[name]:
            return Opened(session, name, tuple(fallbacks))
        fallbacks.append(Fallback(name, ProviderFailure.REPLACED, f"onnxruntime took {first}"))
    return Opened(_session(data, _CPU, runtime), _CPU, tuple(fallbacks))


def _session(data: bytes, name: str, runtime: Any) -> Any:
    """Return a session of one provider, on one thread."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    rows = [(NAMES[name], _options(name, runtime.__version__))]
    if name != _CPU:
        rows.append((NAMES[_CPU], {}))  # for operators that the other does not have
    return runtime.InferenceSession(data, options, providers=rows)


def _options(name: str, version: str) -> dict[str, str]:
    if name != "cuda":
        return {}
    # A plain matrix product; the other algorithms may use transforms that are not exact.
    options = {"cudnn_conv_algo_search": "DEFAULT"}
    if tuple(int(part) for part in version.split(".")[:2]) >= (1, 18):
        options["use_tf32"] = "0"
    return options


# --- what this host has ---------------------------------------------------------------------------


def compare(tiles: int, repeats: int, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """Return a row a provider: whether it runs, seconds a tile, pixels unlike the processor's."""
    import numpy as np

    from flightsw.compute.segmenter import TILE, Segmenter

    inputs = np.random.default_rng(7).integers(0, 256, (tiles, TILE, TILE, 3), dtype=np.uint8)
    reference = Segmenter().classify(inputs)
    rows = []
    for name in AUTO:
        began = clock()
        segmenter = Segmenter(providers=(name,))
        opened_s = clock() - began
        if segmenter.provider != NAMES[name]:
            fallback = segmenter.fallbacks[0]
            why = f"{fallback.failure.name.lower()}: {fallback.why}"
            rows.append({"provider": name, "runs": False, "why": why})
            continue
        classes = segmenter.classify(inputs)
        took = []
        for _ in range(repeats):
            began = clock()
            segmenter.classify(inputs)
            took.append((clock() - began) / tiles)
        row = {"provider": name, "runs": True, "open_s": opened_s, "tile_s": min(took)}
        row |= {"tile_median_s": statistics.median(took)}
        row |= {"pixels_unlike": int(np.count_nonzero(classes != reference))}
        rows.append(row | {"pixels": int(classes.size)})
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Print what this host has; return 1 where classes differ from the processor's."""
    parser = argparse.ArgumentParser(
        prog="python -m flightsw.compute.providers",
        description="Show the execution providers of onnxruntime here: speed, and same classes.",
        epilog="Exit code 1 where a provider gives other classes than the processor.",
    )
    parser.add_argument("--tiles", type=int, default=_TILES, help=f"a batch (default {_TILES})")
    parser.add_argument("--repeats", type=int, default=20, help="batches timed (default 20)")
    parser.add_argument("--json", action="store_true", help="print one object")
    arguments = parser.parse_args(argv)
    if arguments.tiles < 1 or arguments.repeats < 1:
        parser.error("--tiles and --repeats: give 1 or more")
    import onnxruntime

    rows = compare(arguments.tiles, arguments.repeats, time.perf_counter)
    available = onnxruntime.get_available_providers()
    found = {"onnxruntime": onnxruntime.__version__, "available": available, "rows": rows}
    if arguments.json:
        print(json.dumps(found))
    else:
        print(f"onnxruntime {onnxruntime.__version__}: {', '.join(available)}")
        print("\n".join(map(_line, rows)))
    return int(any(row.get("pixels_unlike") for row in rows))


def _line(row: dict[str, Any]) -> str:
    if not row["runs"]:
        return f"{row['provider']:<9} does not run ({row['why']})"
    return (
        f"{row['provider']:<9} {row['tile_s'] * 1e3:8.3f} ms a tile at best, "
        f"{row['tile_median_s'] * 1e3:.3f} in the middle, opened in {row['open_s']:.2f} s; "
        f"{row['pixels_unlike']:,} of {row['pixels']:,} pixels unlike the processor's"
    )


if __name__ == "__main__":
    sys.exit(main())
