"""What ``with`` closes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """A context manager that does nothing but close at its end, whatever ended it."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Let go of everything held; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
