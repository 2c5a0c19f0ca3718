"""What was real: the boards that took part, and how real parts compare with emulated ones."""

from __future__ import annotations

from typing import Any

from hil.report.html import clock, number, section, table
from hil.report.model import Report


def boards(report: Report) -> str:
    """Return which parts were real and when, how the boards did, and what shadows found."""
    found = report["boards"]
    rows = [(clock(row["t_s"]), row["what"], row["by"], row["how"]) for row in found["history"]]
    body = table(("from", "part or bus", "answered by", "as"), rows)
    body += "<h3>Boards</h3>" + table(
        (
            *("board", "firmware", "emulated by", "at the end", "lost #", "came back #"),
            *("away #", "round trips #", "median #", "slowest #", "clock within #"),
        ),
        [_board(name, board) for name, board in found["boards"].items()],
    )
    if found["shadow"]:
        body += "<h3>Real parts beside emulated ones</h3>" + table(
            ("part", "compared #", "equal #", "within tolerance #", "different #", "skipped #"),
            [
                (
                    row["part"],
                    *(
                        number(row[key])
                        for key in ("compared", "equal", "within_tolerance", "different", "skipped")
                    ),
                )
                for row in found["shadow"]
            ],
        )
    differences = [
        (
            row["part"],
            one["register"],
            ", ".join(one["bits"]),
            number(one["count"]),
            clock(one["first_s"]),
            f"{one['last_real']:#x}",
            f"{one['last_emulated']:#x}",
        )
        for row in found["shadow"]
        for one in row["differences"]
    ]
    if differences:
        heads = ("part", "register", "bits", "times #", "first", "real #", "emulated #")
        body += table(heads, differences)
    return section("Real boards", body)


def own_buses(report: Report) -> str:
    """Return which buses were those of the payload computer itself."""
    rows = list(report["boards"]["local"].items())
    return section("Real buses", table(("bus", "device of the payload computer"), rows))


def _board(name: str, board: dict[str, Any]) -> tuple[str, ...]:
    residual = board["clock_residual_us"]
    return (
        f"{name} ({board['type']})",
        board.get("firmware", ""),
        board["emulated_by"] or "",
        board["state"],
        number(board["losses"]),
        number(board["reconnects"]),
        f"{board['away_s']:.1f} s",
        number(board["round_trips"]),
        f"{board['round_trip_p50_us'] / 1000:.2f} ms",
        f"{board['round_trip_max_us'] / 1000:.2f} ms",
        "" if residual is None else f"{residual:.0f} µs",
    )
