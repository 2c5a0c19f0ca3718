"""The tree of exceptions, with what `hil` returns when one of them reaches the shell."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from flatsat_docs.markdown import code, plain, table


def classes() -> Iterator[tuple[int, type[BaseException]]]:
    """Yield every error of ours with its depth in the tree, from the root down."""
    import flightsw.errors
    import hil.errors
    from flightsw.codec.errors import FlatsatError

    assert hil.errors
    assert flightsw.errors

    def below(depth: int, error: type[BaseException]) -> Iterator[tuple[int, type[BaseException]]]:
        yield depth, error
        for inner in sorted(
            error.__subclasses__(), key=lambda each: (each.__module__, each.__name__)
        ):
            if inner.__module__.endswith(".errors"):
                yield from below(depth + 1, inner)

    yield from below(0, FlatsatError)


def page() -> str:
    """Return the tree as a table."""
    rows = []
    for depth, error in classes():
        why = plain((inspect.getdoc(error) or "").split("\n\n")[0])
        indent = "&nbsp;" * 4 * depth
        rows.append(
            (
                indent + code(error.__name__),
                code(error.__module__),
                getattr(error, "exit_code", ""),
                why,
            )
        )
    return table(("error", "module", "exit code", "why it exists"), rows)
