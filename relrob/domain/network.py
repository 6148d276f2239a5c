"""A classifier as a value: what it is, where its bytes are, and, for dense networks, its
weights."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import prod

import numpy as np

from relrob.domain.arrays import Doubles, Floats, frozen
from relrob.domain.derived import Derived
from relrob.errors import NetworkError, ShapeError


class Layout(StrEnum):
    """The order in which a network reads the pixels of an image that is stored as (height, width,
    channels)."""

    HWC = "hwc"
    CHW = "chw"


class Arithmetic(StrEnum):
    """What a verdict is about (docs/soundness.md, "Arithmetics")."""

    REAL = "real"
    FLOAT32 = "float32"
    INTEGER = "integer"


@dataclass(frozen=True, eq=False)
class Layer:
    """One dense layer: `weights` (n_in, n_out), `bias` (n_out,), ReLU after it or not.

    A plain layer is what the file holds, float32 to the bit. A modelled one stands for a dense
    layer among steps on constants (a normalisation before it, a scale after it): real weights,
    which are float64 here alone; for inputs h >= 0 the file's own float32 arithmetic strays from h
    @ weights + bias by no more than a plain layer of `extra` more roundings, and `slack` (n_out,).
    Raises NetworkError when the shapes disagree or a value is not finite.
    """

    weights: Floats
    bias: Floats
    relu: bool
    extra: int = 0
    slack: Doubles | None = None

    def __post_init__(self) -> None:
        kind = np.float32 if self.plain else np.float64
        weights = frozen(np.asarray(self.weights, dtype=kind))
        bias = frozen(np.asarray(self.bias, dtype=kind))
        slack = frozen(
            np.zeros(bias.shape) if self.slack is None else np.asarray(self.slack, np.float64)
        )
        if weights.ndim != 2 or bias.shape != (weights.shape[1],) or slack.shape != bias.shape:
            raise NetworkError(
                f"a dense layer has weights {weights.shape} and bias {bias.shape}",
                "(n_in, n_out), (n_out,)",
            )
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise NetworkError(
                "a dense layer has NaN or infinite weights",
                "finite float32 values",
                "train or export again",
            )
        if self.extra < 0 or not (slack >= 0).all():
            raise NetworkError("a modelled layer has an error below 0", "errors of at least 0")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "slack", None if self.slack is None else slack)

    @property
    def plain(self) -> bool:
        """Are these the float32 numbers of the file, and nothing else?"""
        return self.extra == 0 and self.slack is None

    @property
    def terms(self) -> int:
        """Float32 roundings on the way to an output: products, sums, the bias, and a spare one."""
        return len(self.weights) + 2 + self.extra


@dataclass(frozen=True, eq=False)
class Dense:
    """A multilayer perceptron: `layers` in order; ReLU after each but the last; `softmax` ends it
    or not.

    The label is the first index of the largest logit; the softmax is never needed for it, and is
    kept for conversion.
    """

    layers: tuple[Layer, ...]
    softmax: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise NetworkError("a dense network without layers", "at least one dense layer")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.weights.shape[1] != after.weights.shape[0]:
                raise NetworkError(
                    f"a dense layer of {before.weights.shape[1]} outputs feeds one of {after.weights.shape[0]} inputs"
                )
        if self.layers[-1].relu:
            raise NetworkError(
                "the last dense layer ends in a ReLU", "logits, or a softmax over them"
            )

    @property
    def plain(self) -> bool:
        """Does it hold the file's own weights, layer by layer, so that another program may run or
        convert them?"""
        return all(layer.plain for layer in self.layers)

    @property
    def inputs(self) -> int:
        """Number of input values."""
        return int(self.layers[0].weights.shape[0])

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].weights.shape[1])


@dataclass(frozen=True, eq=False)
class Network:
    """A network that can be run: a file, the runtime that executes it, and its weights where it is
    a float MLP.

    `path`: the file, as the user named it; `sha256` of its bytes; `format`: "keras", "keras-h5",
    "keras1-h5", "onnx", "tflite", "fixed" or "savedmodel"; `runtime`: who executes it ("numpy",
    "onnxruntime", "xnnpack", "builtin", "reference", "fixed", "keras"; "real": nobody); `inputs`:
    number of input values; `classes`: number of outputs; `image_shape`: (H, W, C) of the images
    that it is given, H*W*C = `inputs`; `layout`: order of the pixels it reads; `scheme`:
    quantisation scheme or "float32"; `dense`: the weights, with rows in the order of an (H, W, C)
    raster whatever the layout, or None for a black box; `folded`: the file does more than plain
    dense layers (a normalisation, two layers in a row), of which these weights are a model
    (`Layer`), and its runtime executes the file; `black_box`: why the file is only run and nothing
    of it modelled, "" where bounds may speak of it; `apart`: its graph is known to treat the images
    of a batch apart, else one runs at a time; `conversion`: what the runtime executes where that is
    not the file as given, "" where it is.
    """

    path: str
    sha256: str
    format: str
    runtime: str
    inputs: int
    classes: int
    image_shape: tuple[int, int, int]
    layout: Layout = Layout.HWC
    scheme: str = "float32"
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    dense: Dense | None = None
    folded: bool = False
    black_box: str = ""
    apart: bool = True
    conversion: str = ""

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.classes < 2:
            raise NetworkError(
                f"{self.path} has {self.inputs} inputs and {self.classes} outputs",
                "a classifier of images",
            )
        if len(self.image_shape) != 3 or prod(self.image_shape) != self.inputs:
            raise ShapeError(
                f"{self.path} has {self.inputs} inputs",
                f"images of {self.image_shape}, (height, width, channels)",
            )
        if self.dense is not None and (self.dense.inputs, self.dense.classes) != (
            self.inputs,
            self.classes,
        ):
            raise NetworkError(
                f"{self.path}: the weights do not fit {self.inputs} inputs and {self.classes} classes"
            )

    @cached_property
    def derived(self) -> Derived:
        """Values that are computed from the file and these fields, such as the enclosure. It is no
        field: `replace` and pickle start with none."""
        return Derived()
