"""Reference networks that relrob can train: their shapes and the recipe that trains them, as values."""

from __future__ import annotations

from dataclasses import dataclass

from relrob.errors import UsageError

RECIPE = 2  # goes up whenever a change here or in relrob.training changes the trained weights


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron with ReLU: sizes of the `hidden` layers, `dropout` after each of them while it is trained.

    `epochs`, `batch`, learning `rate` and `optimiser` ("rmsprop" at a constant rate, "adam" with cosine decay) are its recipe.
    `standardise`: train on pixels of mean 0 and deviation 1 (folded into the weights afterwards), or on levels/255 as they are.
    """

    name: str
    hidden: tuple[int, ...]
    dropout: float
    epochs: int
    batch: int
    rate: float
    optimiser: str
    standardise: bool
    summary: str


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(  # the paper's own recipe: weights of pixels that are black in all training images stay as they were drawn
        name="mlp-512x2",
        hidden=(512, 512),
        dropout=0.2,
        epochs=20,
        batch=128,
        rate=1e-3,
        optimiser="rmsprop",
        standardise=False,
        summary="512-512, dropout 0.2, RMSprop: the MNIST network of Duncan et al. 2020",
    ),
    Architecture(
        name="mlp-256x2",
        hidden=(256, 256),
        dropout=0.5,
        epochs=30,
        batch=128,
        rate=5e-4,
        optimiser="adam",
        standardise=True,
        summary="256-256, dropout 0.5: the CIFAR-10 network of Duncan et al. 2020",
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
