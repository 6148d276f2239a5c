"""relrob: is the quantised network still robust where the full-precision network was proved
robust?"""

from __future__ import annotations

from importlib import import_module

from relrob.system.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from relrob.api.compare import compare_runtimes
    from relrob.api.ladder import ladder
    from relrob.api.quantise import quantise
    from relrob.api.train import train
    from relrob.api.verify import verify

__version__ = VERSION
__all__ = ["__version__", "compare_runtimes", "ladder", "quantise", "train", "verify"]

# Each word of the front door, and the module that has it.
_LAZY = {
    "verify": "verify",
    "compare_runtimes": "compare",
    "ladder": "ladder",
    "train": "train",
    "quantise": "quantise",
}


def __getattr__(name: str) -> Any:
    """Import the library's front door when it is first used, so that `import relrob` stays
    light."""
    if name in _LAZY:
        return getattr(import_module(f"relrob.api.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'relrob' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__
