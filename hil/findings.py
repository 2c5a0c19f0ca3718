"""What a check of a host found: how it stands and the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GOOD, WARN, BAD = "good", "warn", "bad"


@dataclass(frozen=True)
class Finding:
    """One check: how it stands and, if something is to be done, the command."""

    name: str
    state: str
    detail: str
    fix: str = ""


def as_lines(findings: Sequence[Finding]) -> list[str]:
    """Return one line a check, and below it the command if there is something to do."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        mark = {GOOD: "ok  ", WARN: "warn", BAD: "BAD "}[finding.state]
        lines.append(f"{mark}  {finding.name:<{width}}  {finding.detail}")
        if finding.fix:
            lines.append(f"      {'':<{width}}  mend: {finding.fix}")
    return lines
