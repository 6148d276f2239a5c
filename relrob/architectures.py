"""Reference networks that relrob can train: their shapes and the recipe that trains them, as values."""

from __future__ import annotations

from dataclasses import dataclass

from relrob.errors import UsageError

RECIPE = 1  # goes up whenever a change here or in relrob.training changes the trained weights


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron with ReLU: sizes of the `hidden` layers, `dropout` after each of them while it is trained.

    `epochs`, `batch` and the peak learning `rate` (Adam, cosine decay) are the defaults of its recipe.
    """

    name: str
    hidden: tuple[int, ...]
    dropout: float
    epochs: int
    batch: int
    rate: float
    summary: str


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        "mlp-512x2", (512, 512), 0.2, 12, 128, 2e-3, "512-512, dropout 0.2: the MNIST network of Duncan et al. 2020"
    ),
    Architecture(
        "mlp-256x2", (256, 256), 0.5, 30, 128, 5e-4, "256-256, dropout 0.5: the CIFAR-10 network of Duncan et al. 2020"
    ),
)


def find_architecture(name: str) -> Architecture:
    """The architecture of that name; raises UsageError that lists the others.

    >>> find_architecture("mlp-512x2").hidden
    (512, 512)
    """
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    raise UsageError(f"architecture {name!r}", ", ".join(a.name for a in ARCHITECTURES))


def default_architecture(dataset: str) -> str:
    """The name of the architecture that the paper uses for a data set, `mlp-512x2` where it names none.

    >>> default_architecture("cifar10")
    'mlp-256x2'
    """
    return "mlp-256x2" if dataset in ("cifar10", "svhn") else "mlp-512x2"
