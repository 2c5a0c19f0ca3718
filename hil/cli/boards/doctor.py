"""``hil boards doctor``: what keeps this host from its boards."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from hil.findings import BAD, Finding, as_lines

NOT_FIT = 3


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards doctor``."""
    p = argparse.ArgumentParser(
        prog="hil boards doctor",
        description="Check what keeps this host from its boards, each with the command that "
        "mends it.",
        epilog="Each check is ok, warn or BAD: a board that lab.toml names will not work (exit "
        "code 3). On a host without boards everything is ok.",
    )
    p.add_argument("--lab", metavar="FILE", help="lab file (default: HIL_LAB, ./lab.toml)")
    p.add_argument("--json", action="store_true", help="print one object")
    return p


def main(argv: list[str]) -> int:
    """Check everything; return 3 if a board that is asked for will not work."""
    args = parser().parse_args(argv)
    from hil.boards import doctor
    from hil.boards.host import Host

    findings = doctor.examine(doctor.Bench.of(Host(), args.lab))
    fit = all(finding.state != BAD for finding in findings)
    if args.json:
        print(json.dumps({"fit": fit, "checks": [asdict(finding) for finding in findings]}))
    else:
        print("\n".join([*as_lines(findings), verdict(findings)]))
    return 0 if fit else NOT_FIT


def verdict(findings: list[Finding]) -> str:
    """Return the last line."""
    bad = sum(finding.state == BAD for finding in findings)
    return f"{bad} to mend before boards work" if bad else "nothing keeps this host from boards"
