"""The layers that relrob adds to Keras, by name, for the readers that import no Keras. Their code
stands in `own_layers` and `quantisers`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

# The package under which Keras registers them: files name them "relrob>ChannelPadding".
PACKAGE: Final = "relrob"
MODULES: Final = ("relrob.networks.keras.own_layers", "relrob.networks.keras.quantisers")
_BASE: Final = frozenset({"name", "trainable", "dtype", "autocast", "activity_regularizer"})
# The settings of each layer in a file beside those that all layers have. All of them treat the
# images of a batch apart and round alike in any place of it, but for `STEPPED`.
OWN: Final = MappingProxyType(
    {
        "ImageStandardisation": frozenset[str](),
        "ChannelPadding": frozenset({"before", "after"}),
        "FixedPoint": frozenset({"width", "point", "halves"}),
        "DoReFa": frozenset({"bits", "scale"}),
        "APoT": frozenset({"bits"}),
        "Mask": frozenset[str](),
    }
)
# Layers that make a step of a rounding: an input whose last bit depends on its place in a batch
# gives another level there.
STEPPED: Final = ("FixedPoint", "DoReFa", "APoT")


def owned(entry: dict[str, Any]) -> bool:
    """Is this serialised object one of relrob's layers, with no settings but its own?"""
    kind, config = entry.get("class_name"), entry.get("config")
    if not isinstance(kind, str) or kind not in OWN or not isinstance(config, dict):
        return False
    named = entry.get("module") in MODULES and entry.get("registered_name") == f"{PACKAGE}>{kind}"
    return named and set(config) <= _BASE | OWN[kind]
