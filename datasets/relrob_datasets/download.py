"""The body of an address of the web, in blocks. The clients of the web are imported here alone."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib import error, request
from urllib.parse import urlsplit

from relrob.errors import DatasetError

TIMEOUT = 30.0
BLOCK = 1 << 18


def blocks(url: str) -> Iterator[tuple[bytes, int]]:
    """The body in blocks, each with the announced length (0: unknown). Raises DatasetError for
    every fault of the network."""
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise DatasetError("not an address of the web", "http or https")
        with _opener().open(url, timeout=TIMEOUT) as response:
            announced = int(response.headers.get("Content-Length") or 0)
            while block := response.read(BLOCK):
                yield block, announced
    except error.HTTPError as problem:
        problem.close()
        raise DatasetError(f"the server answers {problem.code} {problem.reason}") from problem
    except (OSError, http.client.HTTPException, ValueError) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise DatasetError(
            f"{getattr(reason, 'strerror', None) or reason or type(problem).__name__}"
        ) from problem


def _opener() -> request.OpenerDirector:
    """urllib without its handlers for files, FTP and data URLs: no redirection reaches these."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.UnknownHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
