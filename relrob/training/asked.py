"""One training as it was asked for, checked before TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from relrob.errors import UsageError
from relrob.system.files import check_writable, readable
from relrob.training.architectures import Architecture, find_architecture
from relrob.training.compression import CompressionMethod
from relrob.training.recipes import AUGMENTS, Recipe

# Bytes of a parameter on the disk, with the room that a state takes beside it.
_ROOM: Final = 16


@dataclass(frozen=True)
class Training:
    """What is trained and how.

    `epochs`, `limit` (training images), `patience`: None leaves the recipe's. `augment`: changes of
    images beside the recipe's. `start`: a `.keras` file of the same architecture, from whose
    weights training goes on. `compress`: a method of compression in training, None for none.
    Raises UsageError.
    """

    arch: str
    dataset: str
    seed: int = 0
    profile: str = "quick"
    epochs: int | None = None
    limit: int | None = None
    patience: int | None = None
    augment: tuple[str, ...] = ()
    start: Path | None = None
    compress: CompressionMethod | None = None

    def __post_init__(self) -> None:
        self.architecture.recipe(self.profile)
        for name, least, value in (
            ("epochs", 1, self.epochs),
            ("limit", 2, self.limit),
            ("patience", 1, self.patience),
        ):
            if value is not None and value < least:
                raise UsageError(f"{name} {value}", f"{least} or more", f"--{name} 10")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"seed {self.seed}", "a whole number from 0 to 2147483647", "--seed 0")
        strange = [word for word in self.augment if word not in AUGMENTS]
        if strange or (self.augment and self.architecture.standardise):
            raise UsageError(
                f"augment {', '.join(self.augment)} of {self.arch}",
                f"{', '.join(AUGMENTS)}, for networks that read pixels as they are",
                "--augment mixup",
            )
        if self.start is not None and not self.start.is_file():
            raise UsageError(f"start {self.start}", "a .keras file", "--start full.keras")

    def __str__(self) -> str:
        words = [f"training {self.arch}"]
        words += [f"compressed by {self.method}"] if self.method else []
        words += [f"from {readable(self.start)}"] if self.start is not None else []
        return f"{' '.join(words)} on {self.dataset}, profile {self.profile}, seed {self.seed}"

    @property
    def method(self) -> str:
        """The text of the method of compression, "" for none."""
        return "" if self.compress is None else self.compress.text

    @property
    def architecture(self) -> Architecture:
        """The network. Raises UsageError for an unknown one."""
        return find_architecture(self.arch)

    @property
    def recipe(self) -> Recipe:
        """The recipe, with all that was asked otherwise."""
        plain = self.architecture.recipe(self.profile, self.start is not None, self.dataset)
        changed: dict[str, Any] = {}
        if self.epochs is not None:
            changed["epochs"] = self.epochs
        if self.limit is not None:
            changed["images"] = self.limit
        if self.patience is not None:
            changed |= {"patience": self.patience, "keep": "best"}
        if self.augment:
            changed["augment"] = tuple(dict.fromkeys((*plain.augment, *self.augment)))
        return replace(plain, **changed)

    def check_output(self, output: Path) -> None:
        """Raise UsageError or StoreError now, which would come after minutes of training."""
        if output.suffix != ".keras":
            raise UsageError(
                f"output {output}",
                "a file name that ends in .keras",
                f"-o {output.with_suffix('.keras')}",
            )
        check_writable(output, max(4 << 20, _ROOM * self.architecture.parameters))
