"""Readers of models whose errors cost a file its bounds, and nothing else: the file is run all the
same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar, final

from relrob.domain.network import Network
from relrob.networks.batches import one_line
from relrob.networks.content import checked_bytes

log = logging.getLogger(__name__)
T = TypeVar("T")


@final
class Unharmed(Generic[T]):
    """A reader, `raw`, whose errors become None and one warning. A file that has changed since it
    was loaded stays an error."""

    def __init__(self, raw: Callable[[Network], T | None]) -> None:
        self.raw = raw
        self.__doc__ = raw.__doc__

    def __call__(self, network: Network) -> T | None:
        """The value of the reader. Raises NetworkError when the file has changed."""
        try:
            return self.raw(network)
        except Exception as error:
            if network.dense is None:
                checked_bytes(network)
            log.debug("no bounds for %s", network.path, exc_info=True)
            log.warning(
                "no bounds for %s, which is run all the same (%s)", network.path, one_line(error)
            )
            return None
