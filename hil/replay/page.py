"""Two runs on one page: the verdict, both traces laid over each other, each difference marked.

One HTML file under 300 KB that needs no network and no other file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hil.capture.reader import Capture
from hil.errors import RunDirectoryError
from hil.replay.decode import Decoder
from hil.replay.diff import names_of
from hil.replay.flown import Flown
from hil.replay.overlay import Line, Overlay, overlays
from hil.replay.verdict import KINDS, Divergence, TopicCount, Verdict, cut
from hil.report.html import Html, number, section, table, tile
from hil.report.html import text as escaped

SIZE_LIMIT_NBYTES = 300_000
#: (points of a line, rows of a list): the first that fits
_DETAIL = ((900, 300), (500, 200), (250, 100), (100, 50), (40, 20))
_HERE = Path(__file__).parent
_REPORT = _HERE.parent / "report"


def write_page(path: Path, verdict: Verdict, old: Flown, new: Flown | None) -> None:
    """Write the page of two runs; without the second only what was recorded is drawn.

    Raises :class:`~hil.errors.RunDirectoryError` if the file cannot be written.
    """
    runs = [old] if new is None else [old, new]
    with ExitStack() as stack:
        captures = [stack.enter_context(Capture(run.capture, not run.whole)) for run in runs]
        decoders = [Decoder(old.board, old.mission, names_of(capture)) for capture in captures]
        drawn = overlays(verdict, captures, decoders)
    page = render(verdict, drawn, runs)
    try:
        _write(path, _octets(page))
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunDirectoryError(f"{path}: the page cannot be written: {reason}") from None


def _write(path: Path, octets: bytes) -> None:
    """Write a file that is there whole, or not at all: a disk may be full."""
    if path.exists() and not path.is_file():  # a pipe, or /dev/stdout
        path.write_bytes(octets)
        return
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(octets)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def render(verdict: Verdict, drawn: list[Overlay], runs: Sequence[Flown]) -> str:
    """Return the whole page, with as much detail as it has room for."""
    for points, rows in _DETAIL:
        page = _page(verdict, drawn, runs, points, rows)
        if len(_octets(page)) < SIZE_LIMIT_NBYTES:
            break
    return page


def _octets(page: str) -> bytes:
    """Return the page as UTF-8; halves of characters, which JSON can name, are spelt out."""
    return page.encode("utf-8", "backslashreplace")


def _page(
    verdict: Verdict, drawn: list[Overlay], runs: Sequence[Flown], points: int, rows: int
) -> str:
    body = [
        _head(verdict, runs),
        _tiles(verdict),
        _first(verdict, rows),
        _context(verdict),
        _charts(drawn),
        _counts(verdict),
        _list(verdict, rows),
        _runs(runs),
    ]
    data = [_chart(nth, overlay, points) for nth, overlay in enumerate(drawn)]
    return _assemble("".join(body), data, "identical" if verdict.identical else "differs")


def _head(verdict: Verdict, runs: Sequence[Flown]) -> str:
    word, mood = ("IDENTICAL", "good") if verdict.identical else ("DIFFERS", "bad")
    title = "Two runs" if len(runs) > 1 else "A run and its replay"
    names = " and ".join(f"<b>{escaped(run.path.name)}</b>" for run in runs)
    return (
        f"<header><span class='badge {mood}'>{word}</span>"
        f"<div><h1>{title}</h1><p>{names}</p></div></header>"
    )


def _tiles(verdict: Verdict) -> str:
    counts = verdict.counts.values()
    total = sum(count.differences for count in counts)
    sides = (sum(count.recorded for count in counts), sum(count.replayed for count in counts))
    parted = sum(bool(count.differences) for count in counts)
    mood = "bad" if total else "good"
    tiles = [
        tile("records", number(sides[0]), f"against {number(sides[1])}"),
        tile("differences", number(total), f"on {parted} of {len(counts)} topics", mood),
    ]
    if verdict.first is not None:
        first = verdict.first
        where = f"{first.t_ns / 1e9:.6f} s"
        tiles.append(tile("first", where, f"{first.topic}, {first.kind}"))
    for name, count in verdict.units.items():
        if count.differences and name.endswith("packets"):
            tiles.append(tile(name, number(count.differences), count.line().partition(": ")[2]))
    tolerated = sum(count.tolerated for count in counts)
    if tolerated:
        tiles.append(tile("tolerated", number(tolerated), "differ within the rules"))
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def _first(verdict: Verdict, most: int) -> str:
    if verdict.first is None:
        how = "octet for octet" if verdict.same_octets else "topic by topic"
        return section("Identical", f"<p>Both runs hold the same records, {how}.</p>")
    first = verdict.first
    rows: list[tuple[str, object, object]] = [
        (cut(change.name), _value(change.old), _value(change.new)) for change in first.fields[:most]
    ]
    if (more := len(first.fields) - most) > 0:
        rows.append((f"and {number(more)} fields more", "", ""))
    told = first.lines()[0].removeprefix("first divergence: ")
    rows.append(("record", cut(first.recorded) or "nothing", cut(first.replayed) or "nothing"))
    fields = table(("field", "recorded", "replayed"), rows, "small")
    return section("First divergence", fields, told)


def _value(value: object) -> object:
    return (
        Html("<i>nothing</i>")
        if value is None
        else Html(f"<code>{escaped(cut(str(value)))}</code>")
    )


def _context(verdict: Verdict) -> str:
    if not verdict.context:
        return ""
    marks = {"-": "old", "+": "new"}
    rows = "".join(
        f"<tr class='{marks.get(line.mark, 'both')}'><td>{escaped(line.mark)}</td>"
        f"<td class='r'>{line.seq}</td><td class='r'>{line.t_ns / 1e9:.9f}</td>"
        f"<td><code>{escaped(cut(line.text))}</code></td></tr>"
        for line in verdict.context
    )
    heads = "<th></th><th class='r'>#</th><th class='r'>s</th><th>event</th>"
    body = f"<div class='scroll'><table class='small context'><tr>{heads}</tr>{rows}</table></div>"
    return section("Around it", body, "- recorded only, + replayed only")


def _charts(drawn: list[Overlay]) -> str:
    if not drawn:
        return ""
    cards = "".join(
        section(cut(overlay.name), f"<div class='chart' id='chart-{nth}'></div>", overlay.topic)
        for nth, overlay in enumerate(drawn)
    )
    return f"<div class='grid2'>{cards}</div>"


def _counts(verdict: Verdict) -> str:
    named = {**verdict.counts, **verdict.units}
    rows = [_count(name, count, verdict) for name, count in named.items()]
    heads = ("topic", "recorded #", "replayed #", *(f"{kind} #" for kind in KINDS), "fields", "")
    return section("By topic", table(heads, rows, "small"))


def _count(name: str, count: TopicCount, verdict: Verdict) -> tuple[object, ...]:
    most = ", ".join(f"{cut(field)} {number(n)}" for field, n in count.most(5))
    more = f" and {len(count.fields) - 5} more" if len(count.fields) > 5 else ""
    again = verdict.rejoined.get(name)
    state = "identical"
    if count.differences:
        state = "never identical again" if again is None else f"identical again from #{again}"
    kinds = (getattr(count, kind) or "" for kind in KINDS)
    return (name, number(count.recorded), number(count.replayed), *kinds, most + more, state)


def _list(verdict: Verdict, rows: int) -> str:
    if verdict.identical:
        return ""
    units = [
        (f"{unit.t_ns / 1e9:.6f}", unit.seq, f"{unit.topic} {unit.units}", unit.kind,
         cut("; ".join(change.line() for change in unit.fields)))
        for unit in verdict.listed_units[:rows]
    ]  # fmt: skip
    records = [_row(one) for one in verdict.listed[:rows]]
    heads = ("s #", "# #", "topic", "what", "fields")
    note = "the first of each topic; the counts are above"
    body = table(heads, records, "small")
    packets = section("Packets, frames, messages", table(heads, units, "small")) if units else ""
    return packets + section("Records", body, note)


def _row(one: Divergence) -> tuple[object, ...]:
    seq = one.seq_replayed if one.seq_recorded is None else one.seq_recorded
    told = "; ".join(change.line() for change in one.fields) or one.recorded or one.replayed
    return f"{one.t_ns / 1e9:.6f}", seq, one.topic, one.kind, cut(told)


def _runs(runs: Sequence[Flown]) -> str:
    keys = sorted({key for run in runs for key in run.made_by})
    shown = [key for key in keys if key not in ("options", "program")]
    rows: list[tuple[str, ...]] = [("digest", *(run.digest or "" for run in runs))]
    rows += [(cut(key), *(cut(run.made_by.get(key, "")) for run in runs)) for key in shown]
    return section("The runs", table(("", "recorded", "replayed")[: len(runs) + 1], rows, "small"))


# --- charts ---------------------------------------------------------------------------------------


def _chart(nth: int, overlay: Overlay, points: int) -> dict[str, Any]:
    return {
        "id": f"chart-{nth}",
        "old": _thin(overlay.old, points),
        "new": _thin(overlay.new, points),
        "marks": [round(t_s, 3) for t_s in overlay.marks[:points]],
    }


def _thin(line: Line, points: int) -> list[list[float | None]]:
    """Return times and values, of each stretch the least and the greatest."""
    pairs = sorted(zip(line.t_s, line.values, strict=True))
    step = max(1, -(-2 * len(pairs) // points))
    kept: list[tuple[float, float]] = []
    for at in range(0, len(pairs), step):
        stretch = pairs[at : at + step]
        ends = {min(stretch, key=lambda pair: pair[1]), max(stretch, key=lambda pair: pair[1])}
        kept += sorted(ends)
    times = [round(t_s, 3) for t_s, _ in kept]
    return [list(times), [_figure(value) for _, value in kept]]


def _figure(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _assemble(body: str, charts: list[dict[str, Any]], title: str) -> str:
    data = json.dumps(charts, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    style = (_REPORT / "report.css").read_text(encoding="utf-8")
    plot = (_REPORT / "vendor" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    plot_style = (_REPORT / "vendor" / "uPlot.min.css").read_text(encoding="utf-8")
    own = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Two runs: {escaped(title)}</title><style>{plot_style}{style}{own}</style></head>"
        f"<body><main>{body}</main><script type='application/json' id='data'>{data}</script>"
        f"<script>{plot}</script><script>{script}</script></body></html>"
    )
