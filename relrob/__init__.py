"""relrob: is the quantised network still robust where the full-precision network was proved
robust?"""

from __future__ import annotations

from importlib import import_module

from relrob.errors import RelrobError
from relrob.system.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from relrob.api.ladder import ladder
    from relrob.api.quantise import quantise
    from relrob.api.train import train
    from relrob.api.verify import verify

__version__ = VERSION
__all__ = ["RelrobError", "__version__", "ladder", "quantise", "train", "verify"]

_LAZY = ("verify", "ladder", "train", "quantise")


def __getattr__(name: str) -> Any:
    """Import the library's front door when it is first used, so that `import relrob` stays
    light."""
    if name in _LAZY:
        return getattr(import_module(f"relrob.api.{name}"), name)
    raise AttributeError(f"module 'relrob' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__
