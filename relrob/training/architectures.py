"""Networks that relrob can train, as values: their shapes and the recipes that train them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relrob.errors import ShapeError, UsageError
from relrob.training import recipes
from relrob.training.recipes import Recipe

# The number goes up whenever a change here or in relrob.training changes trained weights of MLPs.
RECIPE = 2
PROFILES: Final = ("quick", "full")
_MNIST, _CIFAR = (28, 28, 1), (32, 32, 3)


@dataclass(frozen=True)
class Architecture:
    """A network and its recipes.

    `hidden` and `dropout`: of a multilayer perceptron, empty for the networks of convolutions.
    `shape`: of the images, None for any. `parameters`: trained ones, of 10 classes, at full width;
    0 where the images decide. `standardise`: it is trained on pixels of mean 0 and deviation 1,
    folded into the weights afterwards, and else on levels/255. `neutral`: the pixel of each channel
    that the network reads as 0, for cutout. `full`: the paper's recipe; `quick`: minutes to an hour
    on two cores. `retrained`: (quick, full) recipes from given weights on. `svhn`: the paper's
    where SVHN has its own.
    """

    name: str
    summary: str
    full: Recipe
    quick: Recipe
    retrained: tuple[Recipe, Recipe]
    hidden: tuple[int, ...] = ()
    dropout: float = 0.5
    standardise: bool = False
    shape: tuple[int, int, int] | None = None
    parameters: int = 0
    neutral: tuple[float, ...] = (0.0,)
    svhn: Recipe | None = None

    def recipe(self, profile: str, again: bool = False, dataset: str = "") -> Recipe:
        """The recipe of a profile; `again`: from given weights on. Raises UsageError."""
        if profile not in PROFILES:
            raise UsageError(f"profile {profile!r}", ", ".join(PROFILES), "--profile quick")
        if again:
            return self.retrained[PROFILES.index(profile)]
        if profile == "full":
            return self.svhn if self.svhn is not None and dataset == "svhn" else self.full
        return self.quick

    def check_images(self, shape: tuple[int, ...], dataset: str) -> None:
        """Raise ShapeError where the network is not one of such images."""
        if self.shape is not None and tuple(shape) != self.shape:
            raise ShapeError(
                f"{dataset} has images of {shape}, {self.name} reads {self.shape}",
                f"a data set of {self.shape}",
                "--dataset mnist" if self.shape == _MNIST else "--dataset cifar10",
            )


ARCHITECTURES: tuple[Architecture, ...] = (
    # the paper's own recipe: weights of pixels that are black in all training images stay as they
    # were drawn
    Architecture(
        name="mlp-512x2",
        summary="512-512, dropout 0.2, RMSprop: the MNIST network of Duncan et al. 2020",
        full=recipes.DUNCAN_MNIST,
        quick=recipes.DUNCAN_MNIST,
        retrained=(recipes.MLP_TUNED, recipes.MLP_TUNED),
        hidden=(512, 512),
        dropout=0.2,
    ),
    Architecture(
        name="mlp-256x2",
        summary="256-256, dropout 0.5: the CIFAR-10 network of Duncan et al. 2020",
        full=recipes.DUNCAN_CIFAR,
        quick=recipes.DUNCAN_CIFAR,
        retrained=(recipes.MLP_TUNED, recipes.MLP_TUNED),
        hidden=(256, 256),
        standardise=True,
    ),
    Architecture(
        name="lenet5",
        summary="431,080 parameters: the MNIST network of Zhao et al. 2018",
        full=recipes.LENET5,
        quick=recipes.LENET5_QUICK,
        retrained=(recipes.LENET5_TUNED_QUICK, recipes.LENET5_TUNED),
        shape=_MNIST,
        parameters=431_080,
        neutral=(0.5,),
    ),
    Architecture(
        name="cifarnet",
        summary="1,296,074 parameters: the CIFAR-10 network of Zhao et al. 2018",
        full=recipes.CIFARNET,
        quick=recipes.CIFARNET_QUICK,
        retrained=(recipes.CIFARNET_TUNED_QUICK, recipes.CIFARNET_TUNED),
        shape=_CIFAR,
        parameters=1_296_074,
    ),
    Architecture(
        name="resnet18",
        summary="11,173,962 parameters: the network of Matachana et al. 2020",
        full=recipes.RESNET18,
        quick=recipes.RESNET18_QUICK,
        retrained=(recipes.RESNET18_TUNED_QUICK, recipes.RESNET18_TUNED),
        shape=_CIFAR,
        parameters=11_173_962,
        neutral=(0.4914, 0.4822, 0.4465),
        svhn=recipes.RESNET18_SVHN,
    ),
    Architecture(
        name="mnist-a",
        summary="414,170 parameters: the MNIST network of Shrestha and Grossmann 2024",
        full=recipes.MNIST_A,
        quick=recipes.MNIST_A_QUICK,
        retrained=(recipes.MNIST_A_TUNED, recipes.MNIST_A_TUNED),
        shape=_MNIST,
        parameters=414_170,
    ),
    Architecture(
        name="resnet20",
        summary="269,722 parameters: the CIFAR-10 network of Shrestha and Grossmann 2024",
        full=recipes.RESNET20,
        quick=recipes.RESNET20_QUICK,
        retrained=(recipes.RESNET20_TUNED, recipes.RESNET20_TUNED),
        shape=_CIFAR,
        parameters=269_722,
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


def default_architecture(dataset: str) -> str:
    """The name of the architecture that the paper uses for a data set, `mlp-512x2` where it names
    none.

    >>> default_architecture("cifar10")
    'mlp-256x2'
    """
    return "mlp-256x2" if dataset in ("cifar10", "svhn") else "mlp-512x2"
