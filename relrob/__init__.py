"""relrob: is the quantised network still robust where the full-precision network was proved
robust?"""

from __future__ import annotations

from importlib import import_module

from relrob.errors import RelrobError
from relrob.system.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from relrob.api.attack import attack
    from relrob.api.attacks import attacks
    from relrob.api.audit import audit
    from relrob.api.compare import compare_runtimes
    from relrob.api.demo import demo
    from relrob.api.explain import explain
    from relrob.api.ladder import ladder
    from relrob.api.page import page
    from relrob.api.prune import prune
    from relrob.api.quantise import quantise
    from relrob.api.radius import radius
    from relrob.api.study import study, table
    from relrob.api.train import train
    from relrob.api.transfer import transfer
    from relrob.api.verify import verify
    from relrob.domain.events import Event
    from relrob.errors import RelrobError

__version__ = VERSION
__all__ = [
    "Event",
    "RelrobError",
    "__version__",
    "attack",
    "attacks",
    "audit",
    "compare_runtimes",
    "demo",
    "explain",
    "ladder",
    "page",
    "prune",
    "quantise",
    "radius",
    "study",
    "table",
    "train",
    "transfer",
    "verify",
]

_LAZY = {
    "Event": "relrob.domain.events:Event",
    "RelrobError": "relrob.errors:RelrobError",
    "attack": "relrob.api.attack:attack",
    "compare_runtimes": "relrob.api.compare:compare_runtimes",
    "demo": "relrob.api.demo:demo",
    "explain": "relrob.api.explain:explain",
    "ladder": "relrob.api.ladder:ladder",
    "page": "relrob.api.page:page",
    "prune": "relrob.api.prune:prune",
    "quantise": "relrob.api.quantise:quantise",
    "radius": "relrob.api.radius:radius",
    "table": "relrob.api.study:table",
    "train": "relrob.api.train:train",
    "transfer": "relrob.api.transfer:transfer",
    "verify": "relrob.api.verify:verify",
}
# Packages that are called like functions (`relrob.registry.Door`).
_DOORS = ("attacks", "audit", "study")


def __getattr__(name: str) -> Any:
    """Import the library's front door when it is first used, so that `import relrob` stays
    light."""
    if name in _DOORS:
        return import_module(f"relrob.{name}")
    if name in _LAZY:
        module, _, attribute = _LAZY[name].partition(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'relrob' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__
