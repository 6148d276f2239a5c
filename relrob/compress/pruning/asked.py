"""What the user asks of pruning: a method and its parameters, checked without Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relrob.compress.in_training.parse import GRADIENTS
from relrob.compress.pruning.activations import GRANULARITIES
from relrob.errors import UsageError

# Each method: the share that stays where none is named, the parameters that it takes, and a
# sentence.
METHODS: Final[dict[str, tuple[float, tuple[str, ...], str]]] = {
    "magnitude": (
        0.3,
        ("density", "threshold", "scope"),
        "weights of small magnitude, once (Han et al. 2015)",
    ),
    "surgery": (
        0.3,
        ("density", "gradients"),
        "such weights, some of which come back while it trains on (Guo et al. 2016)",
    ),
    "soft-filter": (
        0.9,
        ("density",),
        "filters of small norm, which train on (He et al. 2018)",
    ),
    "activations": (
        0.7,
        ("density", "block", "granularity"),
        "units of small mean activation behind one block (Matachana et al. 2020)",
    ),
}
SCOPES: Final = ("layer", "global")
_OWN: Final = ("density", "threshold", "scope", "gradients", "block", "granularity")


@dataclass(frozen=True)
class Pruning:
    """A method of `METHODS` and its parameters, None where the user named none.

    `density`: the share of weights, filters or units that stay. `threshold`: the least magnitude
    that stays, instead. `scope`: the share is of each layer, or of all weights together.
    `gradients`: as in `relrob.compress.in_training`. `block`: the layer whose outputs are masked,
    by name; the ReLU before the last layer where none is named. `granularity`: single units, or
    channels. `epochs` of training afterwards, 0 for none.

    Raises UsageError for an illegal value, and a parameter of another method.
    """

    method: str = "magnitude"
    density: float | None = None
    threshold: float | None = None
    scope: str | None = None
    gradients: str | None = None
    block: str | None = None
    granularity: str | None = None
    epochs: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"pruning method {self.method!r}", ", ".join(METHODS))
        _, takes, _ = METHODS[self.method]
        for name in _OWN:
            if getattr(self, name) is not None and name not in takes:
                able = [word for word, (_, own, _) in METHODS.items() if name in own]
                raise UsageError(
                    f"{name} with method {self.method}", f"{name} with {', '.join(able)}"
                )
        self._check_numbers()
        for name, words in (
            ("scope", SCOPES),
            ("gradients", GRADIENTS),
            ("granularity", GRANULARITIES),
        ):
            if getattr(self, name) not in (None, *words):
                raise UsageError(f"{name} {getattr(self, name)!r}", ", ".join(words))

    def _check_numbers(self) -> None:
        """Refuse numbers out of range, and two that say the same."""
        if self.density is not None and not 0 < self.density <= 1:
            raise UsageError(
                f"density {self.density:g}", "a share above 0, up to 1", "--density 0.3"
            )
        if self.threshold is not None and not 0 <= self.threshold < float("inf"):
            raise UsageError(f"threshold {self.threshold:g}", "a magnitude, 0 or more")
        if self.threshold is not None and (self.density is not None or self.scope is not None):
            raise UsageError("threshold with density or scope", "one or the other")
        if self.epochs < 0:
            raise UsageError(f"epochs {self.epochs}", "a whole number, 0 or more")
        if self.method == "surgery" and not self.epochs:
            raise UsageError(
                "surgery without training, in which nothing comes back",
                "--epochs 1 or more",
                "--method magnitude",
            )

    @property
    def share(self) -> float:
        """The share that stays."""
        return METHODS[self.method][0] if self.density is None else self.density

    @property
    def text(self) -> str:
        """The method with its parameters, the same however it was asked for."""
        if self.threshold is not None:
            parts = [f"threshold={self.threshold:g}"]
        else:
            parts = [f"density={self.share:g}"]
        filled = {
            "magnitude": {} if self.threshold is not None else {"scope": self.scope or SCOPES[0]},
            "surgery": {"gradients": self.gradients or GRADIENTS[0]},
            "activations": {
                "block": self.block or "last",
                "granularity": self.granularity or GRANULARITIES[0],
            },
        }.get(self.method, {})
        parts += [f"{name}={value}" for name, value in filled.items()]
        parts += [f"epochs={self.epochs}"] if self.epochs else []
        return ":".join([self.method, *parts])
