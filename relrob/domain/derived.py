"""Values that are computed from another value, each once, and kept with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, final

T = TypeVar("T")


@final
class Derived:
    """The derivations of one frozen value, each under the function or class that makes it.

    They are correct for this one value alone. A pickled or deeply copied one is therefore empty.

    >>> derived = Derived()
    >>> [derived.once(list, lambda: [1]), derived.once(list, lambda: [2])]
    [[1], [1]]
    """

    def __init__(self) -> None:
        self._found: dict[Callable[..., Any], Any] = {}

    def __reduce__(self) -> tuple[type[Derived], tuple[()]]:
        return Derived, ()

    def once(self, key: Callable[..., T], make: Callable[[], T]) -> T:
        """The derivation under `key`, made by `make` on the first call. An error is not kept."""
        if key not in self._found:
            self._found[key] = make()
        found: T = self._found[key]
        return found
