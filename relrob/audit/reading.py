"""Readings of the same images by the same file: the scale, mean and std of pixels, and the order of
channels and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit.sample import spread
from relrob.domain.arrays import Floats, Ints
from relrob.domain.contract import InputContract
from relrob.domain.network import Layout, Network
from relrob.networks.accuracy import CHUNK, as_floats
from relrob.networks.evaluator import Evaluator
from relrob.networks.feed import fed
from relrob.networks.open import open_network
from relrob.networks.shapes import raster

AS_IS: Final = "as is"
TURNED: Final = "turned"  # the other layout of the network
DATA: Final = "data"  # the images are stored as (C, H, W)
RESHAPED: Final = "reshaped"  # so they were, and got the shape (H, W, C) without being turned
SIDEWAYS: Final = "columns first"  # the images are stored as (W, H, C)
OWN: Final = "the images' own mean and std"
_COLOURS: Final = (1, 3, 4)

LEVELS: Final = InputContract(Fraction(255))
SIGNED: Final = InputContract(mean=(Fraction(1, 2),), std=(Fraction(1, 2),))
SHIFTED: Final = InputContract(Fraction(255), mean=(Fraction(128),))


def _contract(mean: str, std: str = "", scale: int = 1) -> InputContract:
    means, stds = (tuple(Fraction(each) for each in text.split()) for text in (mean, std))
    return InputContract(Fraction(scale), means, stds)


# The usual input contracts by name, for images of one channel and of three.
_ANY: Final = {"pixels 0..1": InputContract(), "levels 0..255": LEVELS, "-1..1": SIGNED}
_BYTES: Final = {"levels -128..127": SHIFTED}
USUAL: Final = {
    1: {
        **_ANY,
        **_BYTES,
        "MNIST's mean and std": _contract("0.1307", "0.3081"),
        "Fashion-MNIST's mean and std": _contract("0.2860", "0.3530"),
    },
    3: {
        **_ANY,
        **_BYTES,
        "ImageNet's mean and std": _contract("0.485 0.456 0.406", "0.229 0.224 0.225"),
        "CIFAR-10's mean and std": _contract("0.4914 0.4822 0.4465", "0.2470 0.2435 0.2616"),
        "ImageNet's mean of levels": _contract("123.68 116.779 103.939", scale=255),
    },
}


@dataclass(frozen=True)
class Reading:
    """One way for a network to read images: `name` of `contract`, and the `order` of the values:
    `AS_IS`, `TURNED`, `DATA`, `RESHAPED` or `SIDEWAYS`."""

    name: str
    contract: InputContract
    order: str = AS_IS

    def changes(self, now: Reading) -> int:
        """How many of values, channels and order differ from another reading."""
        return sum(
            (
                not same_values(self.contract, now.contract),
                self.contract.bgr != now.contract.bgr,
                self.order != now.order,
            )
        )


def same_values(one: InputContract, other: InputContract) -> bool:
    """Do two contracts differ in the order of channels at most?"""
    return replace(one, bgr=False, output="") == replace(other, bgr=False, output="")


def is_scale(contract: InputContract) -> bool:
    """Does it only scale and shift pixels to another usual range?"""
    return any(same_values(contract, each) for each in (InputContract(), LEVELS, SIGNED, SHIFTED))


def present(network: Network) -> Reading:
    """How the network reads images now."""
    return Reading("as given", network.contract)


def usual(network: Network, pixels: NDArray[Any]) -> tuple[Reading, ...]:
    """The readings to try on images (n, H, W, C), without the present one."""
    now, output = present(network), network.contract.output
    own = _own(pixels)
    found = [
        Reading(name, replace(contract, bgr=bgr, output=output), order)
        for order in _orders(network)
        for bgr in ((False, True) if _channels(network, order) == 3 else (False,))
        for name, contract in _values(_channels(network, order), own if order != DATA else None)
    ]
    return tuple(each for each in found if each.changes(now))


def _values(channels: int, own: InputContract | None) -> list[tuple[str, InputContract]]:
    """The contracts of images of so many channels."""
    found = dict(USUAL.get(channels, {**_ANY, **_BYTES}))
    return [*found.items(), *([(OWN, own)] if own is not None else [])]


def _orders(network: Network) -> Iterator[str]:
    """The orders of values that make a difference."""
    height, width, channels = network.image_shape
    yield AS_IS
    if height == width > 1:
        yield SIDEWAYS
    if channels in _COLOURS[1:] and height * width > 1:
        yield TURNED
        yield RESHAPED
    if height in _COLOURS and min(width, channels) > max(_COLOURS):
        yield DATA


def _channels(network: Network, order: str) -> int:
    return network.image_shape[0 if order == DATA else 2]


def _own(pixels: NDArray[Any]) -> InputContract | None:
    """Mean and std of each channel, to 4 digits. None where a channel is constant or they are
    many."""
    channels = pixels.shape[-1]
    if channels not in _COLOURS:
        return None
    some = pixels[spread(len(pixels), 1000)]
    values = as_floats(some).reshape(-1, channels).astype(np.float64)
    means, stds = values.mean(axis=0), values.std(axis=0)
    if stds.min() < 1e-3:
        return None
    return _contract(" ".join(f"{m:.4f}" for m in means), " ".join(f"{s:.4f}" for s in stds))


class Reader:
    """A network, opened once, that reads images in any way."""

    def __init__(
        self, network: Network, threads: int, opener: Callable[..., Evaluator] = open_network
    ) -> None:
        """`opener`: of its evaluator, with the network and the number of threads."""
        plain = InputContract(output=network.contract.output)
        self.network = network
        self._evaluator = opener(replace(network, contract=plain), threads)

    def outputs(self, pixels: NDArray[Any], reading: Reading) -> Floats:
        """Outputs (n, classes) of images (n, H, W, C), uint8 levels or float32 in [0, 1]."""
        parts = [np.zeros((0, self.network.classes), np.float32)]
        for start in range(0, len(pixels), CHUNK):
            values = self._values(as_floats(pixels[start : start + CHUNK]), reading)
            with np.errstate(all="ignore"):
                parts.append(self._evaluator.outputs(values))
        return np.concatenate(parts)

    def _values(self, images: Floats, reading: Reading) -> Floats:
        """Images (n, d) such that the file, which puts their values in its own order, gets those of
        the reading."""
        network, shape = self.network, self.network.image_shape
        if reading.order == DATA:
            depth, height, width = shape
            shape = (height, width, depth)
        if reading.order in (DATA, RESHAPED):
            images = np.ascontiguousarray(images[:, np.argsort(raster(Layout.CHW, shape))])
        if reading.order == SIDEWAYS:
            turned = images.reshape(-1, *shape).transpose(0, 2, 1, 3)
            images = np.ascontiguousarray(turned).reshape(len(images), -1)
        shown = replace(network, image_shape=shape, contract=reading.contract, dense=None)
        values = fed(images, shown)
        now = raster(network.layout, network.image_shape)
        wanted = raster(_layout(network, reading.order), shape)
        index: Ints = np.empty_like(now)
        index[now] = wanted
        return values if np.array_equal(now, wanted) else np.ascontiguousarray(values[:, index])


def _layout(network: Network, order: str) -> Layout:
    """The layout of the file in that order."""
    if order != TURNED:
        return network.layout
    return Layout.HWC if network.layout is Layout.CHW else Layout.CHW
