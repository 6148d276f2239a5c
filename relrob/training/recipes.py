"""Recipes of training as values: the papers' own, and quick ones for two cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OPTIMISERS: Final = ("sgd", "momentum", "rmsprop", "rmsprop-momentum", "adam", "adam-cosine")
AUGMENTS: Final = ("crop", "flip", "colours", "mixup", "cutout")
KEPT: Final = ("last", "best")
# The weights that are decayed: none, kernels of convolutions, all kernels, all that is trained, or
# the kernel of one layer by its name.
NONE, CONVOLUTIONS, KERNELS, ALL = "none", "convolutions", "kernels", "all"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    - `rates`: (epoch from which on, learning rate), the first from epoch 0.
    - `optimiser`: "sgd"; "momentum" 0.9; "rmsprop" as Keras has it; "rmsprop-momentum" (decay 0.9,
      momentum 0.9, epsilon 1, as Mayo has it); "adam"; "adam-cosine", whose rate falls to 0.
    - `decay` of the weights `decayed`: decay * sum(w^2) / 2 is added to the loss.
    - `augment`: changes of the images, drawn anew each step; words of AUGMENTS.
    - `images`: the first so many training images alone. `width`: factor of all numbers of filters.
    - `steps` an epoch, where it is not one pass over the images.
    - `keep`: the weights after the "last" epoch, or the "best" by the loss of the validation
      images. `patience`: training ends after so many epochs without a better one.
    - `statistics`: momentum of the moving averages of batch normalisation.
    """

    epochs: int
    batch: int
    optimiser: str
    rates: tuple[tuple[int, float], ...]
    decay: float = 0.0
    decayed: str = NONE
    augment: tuple[str, ...] = ()
    images: int | None = None
    width: float = 1.0
    steps: int | None = None
    keep: str = "last"
    patience: int | None = None
    statistics: float = 0.9

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS or self.keep not in KEPT:
            raise ValueError(f"a recipe of {self.optimiser!r} that keeps {self.keep!r}")
        if not set(self.augment) <= set(AUGMENTS):
            raise ValueError(f"a recipe that augments by {self.augment}")
        starts = [epoch for epoch, _ in self.rates]
        if min(self.epochs, self.batch) < 1 or starts[:1] != [0] or starts != sorted(set(starts)):
            raise ValueError(f"a recipe of {self.epochs} epochs, rates {self.rates}")

    def rate(self, epoch: int) -> float:
        """The learning rate in an epoch, 0 for the first.

        >>> Recipe(3, 10, "sgd", ((0, 0.1), (2, 0.01))).rate(1)
        0.1
        """
        return [rate for start, rate in self.rates if start <= epoch][-1]

    @property
    def described(self) -> str:
        """The recipe in words; epochs count from 1.

        >>> Recipe(3, 10, "sgd", ((0, 0.1), (2, 0.01)), augment=("flip",)).described
        '3 epochs; batch 10; sgd 0.1, 0.01 from epoch 3; flip'
        """
        rates = [f"{rate:g}" + (f" from epoch {at + 1}" if at else "") for at, rate in self.rates]
        words = [f"{self.epochs} epochs"]
        words += [f"{self.steps:,} steps an epoch"] if self.steps else []
        words += [f"batch {self.batch}", f"{self.optimiser} {', '.join(rates)}"]
        words += [f"decay {self.decay:g} of {self.decayed}"] if self.decay else []
        words += [f"width x {self.width:g}"] if self.width != 1 else []
        words += [f"{self.images:,} images"] if self.images else []
        words += [" + ".join(self.augment)] if self.augment else []
        words += ["best epoch kept"] if self.keep == "best" else []
        return "; ".join(words)


# Duncan et al. 2020: the MLPs.
DUNCAN_MNIST: Final = Recipe(20, 128, "rmsprop", ((0, 1e-3),))
DUNCAN_CIFAR: Final = Recipe(30, 128, "adam-cosine", ((0, 5e-4),))
MLP_TUNED: Final = Recipe(3, 128, "adam", ((0, 1e-4),))

# Zhao et al. 2018, from Mayo, the authors' tool: rates times 0.16 each 300 and 200 epochs. The
# paper does not say after how many epochs the first training ends: as many as its retraining.
LENET5: Final = Recipe(
    350, 256, "sgd", ((0, 0.01), (300, 0.0016)), decay=0.004, decayed=CONVOLUTIONS
)
LENET5_QUICK: Final = Recipe(9, 128, "adam", ((0, 1e-3), (6, 1e-4)))
CIFARNET: Final = Recipe(
    300,
    256,
    "rmsprop-momentum",
    ((0, 0.01), (200, 0.0016)),
    decay=1e-4,
    decayed=CONVOLUTIONS,
    augment=("flip", "colours"),
    statistics=0.9997,
)
CIFARNET_QUICK: Final = Recipe(
    20,
    128,
    "adam",
    ((0, 1e-3), (14, 1e-4)),
    decay=1e-4,
    decayed=CONVOLUTIONS,
    augment=("flip",),
    images=20_000,
    width=0.5,
)
# Their retraining after compression: 0.01 and three drops by ten (section 4).
LENET5_TUNED: Final = Recipe(350, 256, "sgd", ((0, 0.01), (88, 1e-3), (175, 1e-4), (263, 1e-5)))
LENET5_TUNED_QUICK: Final = Recipe(4, 128, "momentum", ((0, 0.01), (2, 1e-3), (3, 1e-4)))
CIFARNET_TUNED: Final = Recipe(
    300,
    256,
    "sgd",
    ((0, 0.01), (75, 1e-3), (150, 1e-4), (225, 1e-5)),
    decay=1e-4,
    decayed=CONVOLUTIONS,
    augment=("flip", "colours"),
    statistics=0.9997,
)
CIFARNET_TUNED_QUICK: Final = Recipe(
    4,
    128,
    "momentum",
    ((0, 0.01), (2, 1e-3), (3, 1e-4)),
    decay=1e-4,
    decayed=CONVOLUTIONS,
    augment=("flip",),
    images=20_000,
    width=0.5,
)

# Matachana et al. 2020, section 4. Epochs and augmentation are not said: 160 with crops and flips
# for CIFAR-10, 20 without for SVHN. The "learning rate of 0.0001" beside momentum is weight decay.
RESNET18: Final = Recipe(
    160,
    250,
    "momentum",
    ((0, 0.1), (80, 0.01), (120, 1e-3)),
    decay=1e-4,
    decayed=ALL,
    augment=("crop", "flip"),
)
RESNET18_SVHN: Final = Recipe(
    20, 250, "momentum", ((0, 0.1), (10, 0.01), (15, 1e-3)), decay=1e-4, decayed=ALL
)
RESNET18_QUICK: Final = Recipe(
    16,
    125,
    "momentum",
    ((0, 0.05), (10, 5e-3), (14, 5e-4)),
    decay=1e-4,
    decayed=ALL,
    augment=("crop", "flip"),
    images=20_000,
    width=0.25,
)
RESNET18_TUNED: Final = Recipe(
    10, 250, "momentum", ((0, 1e-3),), decay=1e-4, decayed=ALL, augment=("crop", "flip")
)
RESNET18_TUNED_QUICK: Final = Recipe(
    3,
    125,
    "momentum",
    ((0, 1e-3),),
    decay=1e-4,
    decayed=ALL,
    augment=("crop", "flip"),
    images=20_000,
    width=0.25,
)

# Shrestha & Grossmann 2024, from ANNT, the authors' tool, whose epoch of ResNet20 is 1,000 steps.
# They keep the weights of the least loss on the test images; here validation images choose them.
MNIST_A: Final = Recipe(30, 128, "adam", ((0, 1e-3),), decay=1e-5, decayed="fc0", keep="best")
MNIST_A_QUICK: Final = Recipe(10, 128, "adam", ((0, 1e-3),), decay=1e-5, decayed="fc0", keep="best")
MNIST_A_TUNED: Final = Recipe(3, 128, "adam", ((0, 1e-4),), decay=1e-5, decayed="fc0", keep="best")
RESNET20: Final = Recipe(
    90,
    64,
    "momentum",
    ((0, 0.1), (31, 0.01), (47, 1e-3), (71, 2e-4), (81, 2e-5)),
    decay=2e-4,
    decayed=KERNELS,
    augment=("flip",),
    steps=1000,
    keep="best",
)
RESNET20_QUICK: Final = Recipe(
    20,
    64,
    "momentum",
    ((0, 0.1), (12, 0.01), (17, 1e-3)),
    decay=2e-4,
    decayed=KERNELS,
    augment=("flip",),
    images=20_000,
    keep="best",
)
RESNET20_TUNED: Final = Recipe(
    4,
    64,
    "momentum",
    ((0, 0.01), (2, 1e-3)),
    decay=2e-4,
    decayed=KERNELS,
    augment=("flip",),
    images=20_000,
    keep="best",
)
