"""A network as steps from the values that its file reads to its logits: what gradients need.

The steps are those of the file over the reals, with the roundings of its activations; they are near
its runtime, and no proof rests on them. Values are (n, *dims), `dims` in the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Final

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.weighted import Codes, NotReadError
from relrob.registry import load

READERS: Final = {
    "tflite": "relrob.networks.litert.flow:read_flow",
    "onnx": "relrob.networks.onnx.flow:read_flow",
    "fixed": "relrob.networks.fixed.flow:read_flow",
}
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Product:
    """x @ `weights` (n_in, n_out) + `bias` (n_out,), of all values of an image at once where
    `flat`, else along its last dimension."""

    source: int
    weights: Floats
    bias: Floats
    flat: bool = True


@dataclass(frozen=True, eq=False)
class Convolution:
    """`kernel` (height, width, channels in a group, channels out), `bias` (channels out,). `pads`:
    zeros before and after the rows and the columns. `first`: are channels the first dimension, and
    not the last?"""

    source: int
    kernel: Floats
    bias: Floats
    strides: Pair
    dilations: Pair
    pads: tuple[Pair, Pair]
    groups: int = 1
    first: bool = False


@dataclass(frozen=True, eq=False)
class Pool:
    """The `largest` or the mean value of each window. A mean counts no padding unless `padding`."""

    source: int
    largest: bool
    window: Pair
    strides: Pair
    pads: tuple[Pair, Pair]
    first: bool = False
    padding: bool = False


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean along dimensions of an image (0 is its first), which are kept with length 1 or
    dropped."""

    source: int
    axes: tuple[int, ...]
    keep: bool


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of two values of one shape."""

    source: int
    other: int


@dataclass(frozen=True, eq=False)
class Affine:
    """x `factor` + `shift`, both of a shape that goes with the dimensions of an image."""

    source: int
    factor: Floats
    shift: Floats


@dataclass(frozen=True, eq=False)
class Clip:
    """x clipped to [`least`, `most`]: a ReLU where these are 0 and infinity."""

    source: int
    least: float = 0.0
    most: float = float("inf")


@dataclass(frozen=True, eq=False)
class Rounded:
    """x as the nearest real that has a code. The gradient of a rounding is 1, and that of a value
    beyond the codes 0; at a network's `end`, 1 there too."""

    source: int
    codes: Codes
    end: bool = False


@dataclass(frozen=True, eq=False)
class RowRounded:
    """x on a grid of 8 bits that spans the values of its own image: from the least to the largest
    of them and 0, or, where `symmetric`, as far below 0 as above. Its gradient is 1."""

    source: int
    symmetric: bool


@dataclass(frozen=True, eq=False)
class Shaped:
    """The same values with other `dims`, after their dimensions were put in the order `turn`, ()
    for their own."""

    source: int
    dims: tuple[int, ...]
    turn: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Padded:
    """Zeros before and after each dimension of an image."""

    source: int
    pads: tuple[Pair, ...]


Step = (
    Product
    | Convolution
    | Pool
    | Mean
    | Sum
    | Affine
    | Clip
    | Rounded
    | RowRounded
    | Shaped
    | Padded
)


def dims_after(step: Step, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of an image behind a step whose source has `dims`. Raises NotReadError where
    the step does not fit them."""
    match step:
        case Product():
            fan, outputs = step.weights.shape
            found = prod(dims) if step.flat else dims[-1]
            if fan != found:
                raise NotReadError(f"a product with {fan} rows of {found} values")
            return (outputs,) if step.flat else (*dims[:-1], outputs)
        case Convolution() | Pool():
            return _window_dims(step, dims)
        case Mean() if step.keep:
            return tuple(1 if axis in step.axes else n for axis, n in enumerate(dims))
        case Mean():
            return tuple(n for axis, n in enumerate(dims) if axis not in step.axes)
        case Affine():
            return np.broadcast_shapes(dims, step.factor.shape, step.shift.shape)
        case Shaped():
            if prod(step.dims) != prod(dims):
                raise NotReadError(f"{dims} shaped as {step.dims}")
            return step.dims
        case Padded():
            return tuple(n + sum(pad) for n, pad in zip(dims, step.pads, strict=True))
        case _:
            return dims


def _window_dims(step: Convolution | Pool, dims: tuple[int, ...]) -> tuple[int, ...]:
    if len(dims) != 3:
        raise NotReadError(f"a window over images of {dims}")
    channels = dims[0] if step.first else dims[2]
    if isinstance(step, Convolution):
        *reach, inputs, depth = step.kernel.shape
        dilations = step.dilations
        if channels != inputs * step.groups:
            raise NotReadError(f"a kernel {step.kernel.shape} over {channels} channels")
    else:
        reach, depth, dilations = [*step.window], channels, (1, 1)
    sizes = [
        (size + sum(pad) - (each - 1) * dilation - 1) // stride + 1
        for size, pad, each, dilation, stride in zip(
            dims[1:] if step.first else dims[:2],
            step.pads,
            reach,
            dilations,
            step.strides,
            strict=True,
        )
    ]
    return (depth, *sizes) if step.first else (*sizes, depth)


@dataclass(frozen=True, eq=False)
class Flow:
    """`dims`: of an image as the file reads it. Value 0 is the image; step i gives value i + 1, of
    values before it. The last value holds the logits."""

    dims: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def rounds(self) -> bool:
        """Are activations rounded to codes?"""
        return any(isinstance(step, Rounded | RowRounded) for step in self.steps)

    @property
    def chain(self) -> bool:
        """Do products of flat images follow one another, with steps on single values between?"""
        kinds = (Product, Affine, Clip, Rounded, RowRounded, Shaped)
        return all(
            isinstance(step, kinds)
            and step.source == place
            and not (isinstance(step, Shaped) and step.turn)
            and not (isinstance(step, Product) and not step.flat)
            for place, step in enumerate(self.steps)
        )

    def ended(self) -> Flow:
        """The same flow whose last rounding lets all gradients through."""
        steps = list(self.steps)
        for place in reversed(range(len(steps))):
            last = steps[place]
            if isinstance(last, Rounded):
                steps[place] = replace(last, end=True)
            if not isinstance(last, Shaped | Affine):
                break
        return replace(self, steps=tuple(steps))


def flow_of(network: Network) -> Flow | None:
    """The steps of a network's file, None for a format that is not read. Raises NotReadError, and
    NetworkError when the file has changed."""
    if network.format not in READERS:
        return None
    found: Flow = load(READERS[network.format])(network)
    return found.ended()
