"""The layers of a network that hold weights, read from files of every format as one kind of value.

Only comparisons read them. A bound never does: kernels, wiring and options are not modelled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from relrob.domain.arrays import Doubles, Ints
from relrob.domain.network import Layout, Network
from relrob.networks.shapes import raster
from relrob.registry import load

READERS: Final = {
    "tflite": "relrob.networks.litert.weighted:read_weighted",
    "onnx": "relrob.networks.onnx.weighted:read_weighted",
    "keras": "relrob.networks.keras.weighted:read_weighted",
    "keras-h5": "relrob.networks.keras.weighted:read_weighted",
}


class NotReadError(Exception):
    """The reason why the weights of a file are not read, short enough for a user."""


@dataclass(frozen=True, eq=False)
class Codes:
    """How integers stand for activations: code q in `least` .. `most` for (q - `zero`) * `scale`.

    `name`: the tensor in its file. `made_by`: the scale and zero point by which the integers were
    made, where those by which they are read are others; else None.
    """

    name: str
    scale: float
    zero: int
    least: int
    most: int
    made_by: tuple[float, int] | None = None

    @property
    def bottom(self) -> float:
        """The smallest real that has a code."""
        return (self.least - self.zero) * self.scale

    @property
    def top(self) -> float:
        """The largest real that has a code."""
        return (self.most - self.zero) * self.scale

    def read_by(self, other: Codes | None) -> Codes:
        """These integers, read by the scale and zero point of other codes, where there are any."""
        made = self.scale, self.zero
        if other is None or made == (other.scale, other.zero):
            return self
        return replace(self, scale=other.scale, zero=other.zero, made_by=made)


@dataclass(frozen=True, eq=False)
class Stored:
    """Integers that stand for weights (out, fan): `codes` less `zeros`, times `scales`.

    `scales`, `zeros`: (groups,). `groups` (out, fan): the scale of each weight. `least`, `most`:
    the ends of the codes. `name`: of their type.
    """

    codes: Ints
    scales: Doubles
    zeros: Ints
    groups: Ints
    least: int
    most: int
    name: str

    @property
    def values(self) -> Doubles:
        """The weights that they stand for."""
        return self.centred * self.steps

    @property
    def centred(self) -> Ints:
        """The codes less their zero points."""
        centred: Ints = self.codes - self.zeros[self.groups]
        return centred

    @property
    def steps(self) -> Doubles:
        """The scale of each weight."""
        steps: Doubles = self.scales[self.groups]
        return steps

    def at(self, index: tuple[slice | Ints, slice | Ints]) -> Stored:
        """Rows or columns of it."""
        return replace(self, codes=self.codes[index], groups=self.groups[index])

    @property
    def scheme(self) -> str:
        """The type of the codes and the reach of a scale."""
        outputs = self.codes.shape[0]
        reach = {1: "per tensor", outputs: "per channel"}.get(len(self.scales), "blockwise")
        return f"{self.name} {reach}"


class Affine(NamedTuple):
    """x * `factor` + `shift`: arrays of one number, or of one a channel."""

    factor: Doubles
    shift: Doubles


@dataclass(frozen=True, eq=False)
class Weighted:
    """A layer with weights.

    `label`: as its file names it. `kind`: "dense", "conv" or "depthwise". `values` (out, fan): the
    weights as reals; the fan of a convolution is its window (height, width, channels). `stored`:
    None where the file holds floats. `scheme`: "float32", "float16" or that of `stored`. `bias`
    (out,): None where the layer has none. `bias_steps` (out,): its scales, as the file states
    them. `folded`: a batch normalisation was folded in. `depth`: 1 for a layer that reads the
    image, 1 more than the deepest layer that it reads. `given`, `result`: codes of its input and
    output. `relu`, `capped`: does the output have a least value of 0, and a largest of its own?
    `tied`: the format ties the scale of a bias to the scales of input and weights. `tensor`: the
    output in its file. `before`: what the network does to the inputs of the weights, with or
    without a pooling between, the last step nearest to them, in arrays that broadcast to `values`;
    `behind`: to the outputs, one number
    or one an output, the first step nearest to them. `after`: those of `behind` that `values` do
    not hold; `bare`: the layer where `values` hold none of them, None where it is this one.
    `known`: does `before` hold all that the network does to the inputs since the layers before, or
    since the last step that is no affine one? `cuts`: numbers of steps of `before` behind which a
    quantiser may have taken a ReLU away. `before_off`, `after_off`: how far rounding may have moved
    each number of `before` and `after`, () where the file holds them as floats.
    `earlier`: steps on the way from the layers before that an activation follows, for each
    activation as one and how far rounding may have moved its numbers, in arrays of one number, of
    one a channel, or of one a column of `values`. `traced`: does `earlier` hold all of them?
    `feeder`: the number of the layer that alone feeds this one, through `behind` of that and
    nothing else; else None. `padded`: zeros stand around what a convolution reads, which no shift
    reaches. relrob.networks.folds says where a converter may put these steps.
    `ancestors`: the numbers of the layers from whose outputs, through others or not, its input is
    computed. `activated`: does an activation stand between the nearest of them and this layer?
    """

    label: str
    kind: str
    values: Doubles
    window: tuple[int, ...]
    scheme: str
    depth: int
    stored: Stored | None = None
    bias: Doubles | None = None
    bias_steps: Doubles | None = None
    folded: bool = False
    given: Codes | None = None
    result: Codes | None = None
    relu: bool = False
    capped: bool = False
    tied: bool = False
    tensor: str = ""
    before: tuple[Affine, ...] = ()
    after: tuple[Affine, ...] = ()
    behind: tuple[Affine, ...] = ()
    bare: Weighted | None = None
    known: bool = False
    cuts: tuple[int, ...] = ()
    before_off: tuple[Affine, ...] = ()
    after_off: tuple[Affine, ...] = ()
    earlier: tuple[tuple[Affine, Affine], ...] = ()
    traced: bool = False
    feeder: int | None = None
    padded: bool = False
    ancestors: frozenset[int] = frozenset()
    activated: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(out, fan)."""
        return self.values.shape[0], self.values.shape[1]

    def reordered(self, columns: Ints) -> Weighted:
        """The same layer with its columns in this order."""
        return replace(
            self,
            values=self.values[:, columns],
            stored=None if self.stored is None else self.stored.at((slice(None), columns)),
            before=_steps_at(self.before, columns),
            before_off=_steps_at(self.before_off, columns),
            earlier=tuple(self._earlier_at(*each, columns) for each in self.earlier),
            bare=None if self.bare is None else self.bare.reordered(columns),
        )

    def _earlier_at(self, step: Affine, off: Affine, columns: Ints) -> tuple[Affine, Affine]:
        """A step before an activation, for these columns."""
        if len(step.factor) != self.shape[1]:
            return step, off
        return Affine(*(each[columns] for each in step)), Affine(*(each[columns] for each in off))

    def fed_by(self, affines: Sequence[Affine]) -> Weighted:
        """The same layer behind these steps, the last of them nearest to it."""
        before: list[Affine] = []
        for affine in affines:
            wide = [self._on_inputs(each) for each in affine]
            if any(each is None for each in wide):
                before.clear()
                continue
            before.append(Affine(*(each for each in wide if each is not None)))
        return replace(self, before=tuple(before))

    def _on_inputs(self, numbers: Doubles) -> Doubles | None:
        """Numbers of channels that the layer reads, in an array that broadcasts to `values`; None
        where it reads others."""
        outputs, fan = self.shape
        if self.kind == "depthwise":
            # Outputs stand in the order of the channels that they read.
            count, rest = divmod(outputs, len(numbers))
            return None if rest else np.repeat(numbers, count)[:, None]
        channels = self.window[-1] if self.kind == "conv" else len(numbers)
        if len(numbers) in (1, channels):
            return None if fan % len(numbers) else np.tile(numbers, fan // len(numbers))[None, :]
        # Each group of outputs reads the next channels, as many as the window has.
        groups, rest = divmod(len(numbers), channels)
        if rest or outputs % groups:
            return None
        rows = np.tile(numbers.reshape(groups, channels), fan // channels)
        return np.repeat(rows, outputs // groups, axis=0)

    def folded_in(self, factor: Doubles, shift: Doubles) -> Weighted:
        """The same layer with its outputs multiplied by `factor` (out,), and `shift` (out,) added.

        A batch normalisation behind it has the factor gamma / sqrt(variance + epsilon).
        """
        bias = np.zeros(len(factor)) if self.bias is None else self.bias
        return replace(
            self,
            values=self.values * factor[:, None],
            stored=None,
            bias=bias * factor + shift,
            bias_steps=None,
            folded=True,
        )

    def with_outputs(self, rows: Ints) -> Weighted:
        """The same layer with its outputs in this order."""
        return replace(
            self,
            values=self.values[rows],
            stored=None if self.stored is None else self.stored.at((rows, slice(None))),
            bias=None if self.bias is None else self.bias[rows],
            bias_steps=None if self.bias_steps is None else self.bias_steps[rows],
        )


def _steps_at(steps: tuple[Affine, ...], columns: Ints) -> tuple[Affine, ...]:
    """Steps before a layer, for these columns."""
    return tuple(Affine(*(_at(each, columns) for each in step)) for step in steps)


def _at(values: Doubles, columns: Ints) -> Doubles:
    """Columns of an array that broadcasts to weights."""
    return values if values.shape[1] == 1 else values[:, columns]


def stored_of(
    codes: Ints,
    scales: Doubles,
    zeros: Ints,
    along: int | None,
    ends: tuple[int, int],
    name: str,
    turn: tuple[int, ...],
) -> Stored:
    """Codes as their file holds them, turned to (out, ...) and flattened.

    `scales`, `zeros`: one, or one a place along the dimension `along` of `codes`. `turn`: the
    dimensions of `codes` in the order (out, height, width, channels).
    """
    count = len(scales)
    groups = np.zeros(codes.shape, np.int64)
    if count > 1:
        if along is None or not -codes.ndim <= along < codes.ndim or codes.shape[along] != count:
            raise NotReadError(f"{count} scales along no dimension of {codes.shape}")
        wide = [1] * codes.ndim
        wide[along] = count
        groups = np.broadcast_to(np.arange(count).reshape(wide), codes.shape)
    turned, placed = codes.transpose(turn), groups.transpose(turn)
    return Stored(
        turned.reshape(len(turned), -1).astype(np.int64),
        np.asarray(scales, np.float64),
        np.broadcast_to(np.asarray(zeros, np.int64), (count,)),
        placed.reshape(len(turned), -1),
        *ends,
        name,
    )


def weights_of(network: Network) -> tuple[Weighted, ...]:
    """The layers of a network with weights, in the order of its graph. A dense layer that reads the
    pixels has them in the order of an (H, W, C) raster.

    Raises NotReadError, and NetworkError when the file has changed.
    """
    return network.derived.once(_Layers, lambda: _Layers(_read(network))).layers


@dataclass(frozen=True, eq=False)
class _Layers:
    layers: tuple[Weighted, ...]


def _read(network: Network) -> tuple[Weighted, ...]:
    if network.format not in READERS:
        return tuple(_in_raster_order(layer, network, Layout.HWC) for layer in _of_dense(network))
    layers: tuple[Weighted, ...] = load(READERS[network.format])(network)
    if not layers:
        raise NotReadError("it has no layer with weights that are read")
    return tuple(_in_raster_order(layer, network, network.layout) for layer in layers)


def _in_raster_order(layer: Weighted, network: Network, layout: Layout) -> Weighted:
    """A layer over the pixels with its columns in the order of the raster, red first."""
    if layer.depth > 1 or (layout is Layout.HWC and not network.contract.bgr):
        return layer
    channels = network.image_shape[2]
    columns = np.arange(layer.shape[1])
    if layer.kind == "dense" and layer.shape[1] == network.inputs:
        columns = np.argsort(raster(layout, network.image_shape))
    elif layer.kind == "dense" or layer.window[-1] != channels:
        return layer
    if network.contract.bgr:
        columns = columns.reshape(-1, channels)[:, ::-1].ravel()
    return layer.reordered(columns)


def _of_dense(network: Network) -> tuple[Weighted, ...]:
    """The layers of an MLP that was read as one."""
    if network.dense is None:
        raise NotReadError(f"the weights of a {network.format} file are not read")
    return tuple(
        Weighted(
            f"dense layer {number}",
            "dense",
            layer.weights.T.astype(np.float64),
            (len(layer.weights),),
            "float32",
            number,
            bias=layer.bias.astype(np.float64),
            folded=not layer.plain,
            relu=layer.relu,
            ancestors=frozenset(range(number - 1)),
        )
        for number, layer in enumerate(network.dense.layers, start=1)
    )
