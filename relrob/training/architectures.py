"""Reference networks that relrob can train, as values: their shapes and the recipe that trains
them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relrob.errors import UsageError
from relrob.system.files import check_writable

# The number goes up whenever a change here or in relrob.training.train changes trained weights.
RECIPE = 2


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron with ReLU, and its recipe.

    `hidden`: sizes of the hidden layers. `dropout`: after each of them while it is trained.
    `epochs`, `batch`, learning `rate` and `optimiser` ("rmsprop" at a constant rate, "adam" with
    cosine decay) are the recipe. `standardise`: it is trained on pixels of mean 0 and deviation 1,
    folded into the weights afterwards, and else on levels/255.
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
    # the paper's own recipe: weights of pixels that are black in all training images stay as they
    # were drawn
    Architecture(
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
    """The architecture of that name. Raises UsageError that lists the others.

    >>> find_architecture("mlp-512x2").hidden
    (512, 512)
    """
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    raise UsageError(f"architecture {name!r}", ", ".join(a.name for a in ARCHITECTURES))


def check_training(
    arch: str, output: Path, seed: int, epochs: int | None = None, limit: int | None = None
) -> Architecture:
    """The architecture. An error that would come after minutes of training comes at once. Raises
    UsageError, StoreError."""
    architecture = find_architecture(arch)
    if output.suffix != ".keras":
        raise UsageError(
            f"output {output}",
            "a file name that ends in .keras",
            f"-o {output.with_suffix('.keras')}",
        )
    if epochs is not None and epochs < 1:
        raise UsageError(f"epochs {epochs}", "a whole number above 0", "--epochs 10")
    if not 0 <= seed < 2**31:
        raise UsageError(f"seed {seed}", "a whole number from 0 to 2147483647", "--seed 0")
    if limit is not None and limit < 2:
        raise UsageError(f"limit {limit}", "2 training images or more")
    check_writable(output, 4 << 20)
    return architecture


def default_architecture(dataset: str) -> str:
    """The name of the architecture that the paper uses for a data set, `mlp-512x2` where it names
    none.

    >>> default_architecture("cifar10")
    'mlp-256x2'
    """
    return "mlp-256x2" if dataset in ("cifar10", "svhn") else "mlp-512x2"
