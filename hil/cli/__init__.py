"""The ``hil`` command: a table of verbs, each imported only when it is asked for."""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from collections.abc import Sequence

from hil import __version__

#: verb -> (module with ``main(argv) -> int``, what it does)
VERBS = {
    "run": ("hil.cli.run", "fly a mission against the emulated bench and judge it"),
    "bench": ("hil.cli.bench", "measure this machine: our figure, its floor and its peers"),
    "doctor": ("hil.cli.doctor", "check what this host lacks, with the command that mends it"),
}

INTERRUPTED = 130


def usage() -> str:
    """Return the text of ``hil --help``."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return f"""usage: hil VERB [options]

  hil run                 fly one orbit of BUPT-1 with the default board
  hil run --json          the same, with one JSON object on stdout
  hil doctor              is this host fit?

verbs:
{verbs}

`hil VERB --help` lists the options of a verb. `hil --version [--json]` names the build.
Exit codes: 0 good, 1 checked and failed, 2 usage, 3 host not fit, 4 participant lost,
130 interrupted.
"""


def version(as_json: bool) -> str:
    """Return the version, as text or as a JSON object with the build's facts."""
    if not as_json:
        return f"hil {__version__}"
    return json.dumps({"version": __version__, "python": sys.version.split()[0]}, sort_keys=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in {"-h", "--help", "help"}:
        print(usage(), end="")
        return 0
    verb, rest = args[0], args[1:]
    if verb == "--version":
        print(version("--json" in rest))
        return 0
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean `hil {near[0]}`?" if near else "; `hil --help` lists the verbs"
        print(f"hil: no verb {verb!r}{hint}", file=sys.stderr)
        return 2
    return run_verb(verb, rest)


def run_verb(verb: str, rest: Sequence[str]) -> int:
    """Import and run ``verb``; turn our own errors into one line and their exit code."""
    from flightsw.codec.errors import FlatsatError

    try:
        module = importlib.import_module(VERBS[verb][0])
        return int(module.main(list(rest)))
    except FlatsatError as error:
        print(f"hil {verb}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"hil {verb}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
